"""What commands print on standard output: JSON that any terminal may be shown, and small tables.

Part of the command line. What a server sent never reaches the terminal as it is: secrets are taken out, and every
character that does not print is written as JSON's own escape, so the text means the same to a program.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from rxsdk.cli.show import plain
from rxsdk.protocols.limp.res import Res, redact

__all__ = ["AsJson", "as_text", "print_facts", "print_line", "print_res", "print_value", "reply_of"]

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\n]")


def as_text(value: Any, *, indent: int | None = None) -> str:
    """``value`` as JSON: secrets taken out, and only characters that print."""
    text = json.dumps(redact(msgspec.to_builtins(value)), ensure_ascii=False, indent=indent)
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0].isprintable() else _escape(found[0]), text)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0x7F else f"\\u{ord(char):04x}"


def print_line(value: Any) -> None:
    """``value`` as one line of JSON."""
    print(as_text(value), flush=True)


def print_value(value: Any) -> None:
    """``value`` as JSON for people: indented, and in colours where there are any."""
    text = as_text(value, indent=2)
    console = Console(file=sys.stdout, highlight=False)
    console.print(JSONHighlighter()(Text(text)) if console.is_terminal else Text(text), soft_wrap=True)


def print_facts(facts: Mapping[str, Any]) -> None:
    """A table of two columns."""
    console = Console(file=sys.stdout, highlight=False)
    width = max(map(len, facts))
    for name, fact in facts.items():
        shown = fact if isinstance(fact, str) else as_text(fact)
        line = Text(f"{name:<{width}}  ", style="dim").append(plain(shown), style="not dim")
        console.print(line, soft_wrap=True)


def reply_of(res: Res[Any]) -> dict[str, Any]:
    """A reply as an object, without what belongs to the wire alone."""
    args = {name: value for name, value in res.args.items() if name != "call_id"}
    return {"status": res.status, "msg": res.msg, "args": args, **res.extra}


def print_res(res: Res[Any]) -> None:
    """A reply for people: its documents, else what came in their place."""
    rest = {name: value for name, value in res.args.items() if name not in ("call_id", "docs", "count", "total")}
    print_value(res.docs if "docs" in res.args else {name: value for name, value in rest.items() if value != {}})
