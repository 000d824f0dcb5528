"""``rxsdk typegen``: a typed module from a schema; the work is done by `rxsdk.typegen`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rxsdk.cli.ending import ending, tell
from rxsdk.typegen import typed_module

__all__ = ["commands"]

commands = typer.Typer()


class Kinds(StrEnum):
    """The choices of ``--kind``."""

    STRUCT = "struct"
    TYPED_DICT = "typed-dict"


_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk typegen schema.toml -o myapp/limp_types.py
$ rxsdk typegen schema.toml --kind typed-dict

[bold]A schema[/bold]
  \\[modules.staff]
  name = "LOCALE"
  photo = "FILE"
  rank = "INT?"
  tags = "LIST\\[STR]"
"""


@commands.command(epilog=_EXAMPLES)
def typegen(
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA", exists=True, dir_okay=False, help="A TOML file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to standard output.")
    ] = None,
    kind: Annotated[
        Kinds, typer.Option(help="struct: msgspec.Struct, read by attribute; typed-dict: plain dicts with types.")
    ] = Kinds.STRUCT,
) -> None:
    """Write a Python module of typed documents and endpoints from a schema of the server's modules.

    Every type the server knows may stand in the schema; pydoc rxsdk.typegen has all of it.
    """
    with ending("typegen"):
        try:
            text = schema.read_text("utf-8")
        except UnicodeDecodeError:
            raise typer.BadParameter(f"{schema} is not text", param_hint="SCHEMA") from None
        module = typed_module(text, kind=kind.value, source=schema.name)
        if output is None:
            print(module, end="")
            return
        output.write_text(module, "utf-8")
        tell(f"Wrote {output}.", "green")
