"""How things look on the command line: `Screen`, and the short forms of what travels on the wire.

Part of the command line; knows rich, and nothing of what is going on. What comes from elsewhere (a server, a file's
name) passes `plain`, so no control character of theirs reaches the terminal, and no secret the screen was told of.
Without a terminal, or with ``NO_COLOR``, the same lines come as plain text; where the output cannot hold the
symbols, in ASCII.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from rxsdk.cli.tap import Received, Sent
from rxsdk.protocols.limp.res import ANON_SID, REDACTED, redact
from rxsdk.protocols.limp.uploads import UPLOAD_ENDPOINT

__all__ = ["Screen", "brief", "milliseconds", "plain", "short", "size"]

MAX_WIDTH = 100
_INDENT = 4
_SHORTEST_SECRET = 4
_MANY_CHUNKS = 5

_SYMBOLS = {"→": "->", "←": "<-", "✓": "ok", "✗": "XX", "–": "-", "·": ".", "…": "...", "•••": "***", "│": "|"}
_ID = re.compile(r"[0-9a-f]{24}")
_LOCALE = re.compile(r"[a-z]{2}_[A-Z]{2}")
_TOLD_OTHERWISE = frozenset({"call_id", "count", "total", "code", "watch", "oper"})
_DULL = frozenset({"user", "create_time"})


def plain(text: str) -> str:
    """``text`` on one line, with everything that does not print (controls, bidi marks, …) written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def milliseconds(seconds: float) -> str:
    """A duration as people like it: ``0.8 ms``, ``24 ms``, ``1.2 s``."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    ms = seconds * 1000
    return f"{ms:.0f} ms" if ms >= 9.95 else f"{ms:.1f} ms"


def size(count: int) -> str:
    """``3,587 bytes``."""
    return f"{count:,} byte{'' if count == 1 else 's'}"


def short(value: Any) -> str:
    """A JSON value for reading: no quotes around keys, ids cut in the middle, secrets as dots."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(short, value)) + "]"
    if value == REDACTED:
        return "•••"
    if isinstance(value, str):
        return f'"{value[:4]}…{value[-4:]}"' if _ID.fullmatch(value) else f'"{value}"'
    return json.dumps(value)


def brief(value: Any) -> Any:
    """A copy of a JSON value with a text in several locales as its English or first one, a file as its name."""
    if isinstance(value, list):
        return [brief(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value and all(_LOCALE.fullmatch(key) for key in value):
        return next((text for key, text in value.items() if key.startswith("en")), next(iter(value.values())))
    if {"name", "type", "size"} <= value.keys():
        return value["name"]
    return {key: brief(item) for key, item in value.items()}


class Screen:
    """Prints the story of a connection, a line at a time, at most 100 columns wide.

    Args:
        console: where to; standard output as it is now when None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, file=sys.stdout)
        self._width = min(self._console.width, MAX_WIDTH)
        self._ascii = not self._console.encoding.lower().startswith("utf")
        self._secrets: set[str] = set()
        self._seen: dict[str, dict[str, Any]] = {}

    def hide(self, secret: str) -> None:
        """From now on print dots in place of ``secret``, wherever it turns up."""
        if len(secret) >= _SHORTEST_SECRET:
            self._secrets.add(secret)

    # -- the lines of a story

    def head(self, title: str, facts: dict[str, str]) -> None:
        """The first lines."""
        self._line((title, "bold"))
        for name, fact in facts.items():
            self._line((f"{name:<8}", "dim"), (fact, ""))

    def step(self, number: int, title: str, code: str) -> None:
        """A step begins; ``code`` is what a program would say."""
        self._blank()
        self._line((f"{number:>2}  ", "bold cyan"), (title, "bold"))
        self._line((" " * _INDENT, ""), (code, "cyan"))

    def sent(self, call: Sent) -> None:
        """A call went out. Of a file in many chunks the first two and the last are shown."""
        if call.endpoint == UPLOAD_ENDPOINT:
            if not _is_left_out(call):
                self.asked(call.endpoint, _upload(call.doc))
            elif call.doc["chunk"] == 3:
                self._line((" " * _INDENT, ""), (f"   … {call.doc['total'] - 3} more chunks …", "dim"))
            return
        parts = [part for part in (call.query, call.doc) if part]
        said = " ".join(map(short, parts))
        if cell_len(f"{call.endpoint}  {said}") > self._width - _INDENT - 3:
            said = " ".join(short(brief(part)) for part in parts)
        self.asked(call.endpoint, said)

    def received(self, message: Received) -> None:
        """A message came in."""
        res = message.res
        if res.status == 200 and message.answers is not None and _is_left_out(message.answers):
            return
        rest = [str(res.args[key]) for key in ("oper", "code") if res.args.get(key)]
        for key, item in redact(dict(res.args)).items():
            if key == "docs" and isinstance(item, list):
                rest += [short(self._by_news(doc)) for doc in item]
            elif key == "session":
                rest.append(_session(item))
            elif key not in _TOLD_OTHERWISE and item != {}:
                rest.append(f"{key}: {short(item)}")
        self.answered(res.status, res.msg, " ".join(rest), message.after_s)

    def asked(self, what: str, said: str) -> None:
        """Something went out."""
        self._wire(("→  ", "bright_blue"), (what, "bright_blue"), (f"  {said}", "dim"))

    def answered(self, status: int, msg: str, said: str, after_s: float | None) -> None:
        """Something came in; ``after_s`` is None when nobody asked for it."""
        colour = "green" if status == 200 else "red"
        timing = "pushed" if after_s is None else milliseconds(after_s)
        self._wire((f"←  {status} ", colour), (msg, ""), (f"  {said}", "dim"), right=timing)

    def _by_news(self, doc: Any) -> Any:
        """A document in brief, what has changed since it was seen last standing first."""
        if not isinstance(doc, dict):
            return doc
        seen = self._seen.setdefault(str(doc.get("_id")), {})
        news = {key for key, item in doc.items() if seen.get(key) != item}
        seen.update(doc)
        shown: dict[str, Any] = brief(doc)
        return {key: shown[key] for key in sorted(shown, key=lambda key: (key != "_id", key in _DULL, key not in news))}

    def happened(self, text: str) -> None:
        """Something of the connection, neither sent nor received."""
        self._wire(("·  ", "yellow"), (text, "yellow"))

    def proven(self, text: str, seconds: float) -> None:
        """A step did what it should: ``text`` says what was found to be so."""
        self._said("✓", "bold green", text, right=milliseconds(seconds))

    def failed(self, reason: str) -> None:
        """A step did not."""
        self._said("✗", "bold red", reason, style="red")

    def fine(self, text: str) -> None:
        """Something is as it should be."""
        self._said("✓", "bold green", text)

    def dull(self, text: str) -> None:
        """Something could not be looked at."""
        self._said("·", "dim", text, style="dim")

    def advice(self, text: str) -> None:
        """What to do about what was said last."""
        self._said(" ", "", f"→ {text}", style="cyan")

    def note(self, text: str) -> None:
        """A remark."""
        self._said("–", "yellow", text, style="yellow")

    def skipped(self, steps: dict[int, str]) -> None:
        """Steps that a failure kept from being made."""
        self._blank()
        for number, title in steps.items():
            self._line((f"{number:>2}  {title}: skipped", "dim"))

    def end(self, mark: str, text: str, *more: str) -> None:
        """The last lines."""
        self._blank()
        self._line((f" {mark}  ", "bold green"), (text, "bold"))
        for line in more:
            self._line((" " * _INDENT + line, "dim"))

    # -- inside

    def _blank(self) -> None:
        self._console.print()

    def _text(self, *parts: tuple[str, str]) -> Text:
        text = Text()
        for part, style in parts:
            text.append(self._clean(part), style)
        return text

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "•••")
        text = plain(text)
        if self._ascii:
            for symbol, plainer in _SYMBOLS.items():
                text = text.replace(symbol, plainer)
        return text

    def _line(self, *parts: tuple[str, str]) -> None:
        """One line, cut where it is too long."""
        self._print(self._fitted(self._text(*parts), self._width))

    def _wire(self, mark: tuple[str, str], *parts: tuple[str, str], right: str = "") -> None:
        """One line of the wire, cut where it is too long, with a remark at its right end."""
        room = self._width - (cell_len(right) + 2 if right else 0)
        text = self._fitted(self._text((" " * _INDENT, ""), mark, *parts), room)
        self._print(self._with_right(text, right))

    def _said(self, mark: str, mark_style: str, text: str, *, style: str = "", right: str = "") -> None:
        """A sentence behind its mark, folded to as many lines as it needs."""
        mark = self._clean(mark)
        left = " " * _INDENT + f"{mark}  "
        room = self._width - cell_len(left) - (cell_len(right) + 2 if right else 0)
        lines = self._text((text, style)).wrap(self._console, max(room, 20))
        for index, line in enumerate(lines):
            line.rstrip()
            start = Text(" " * _INDENT).append(mark, mark_style).append("  ") if index == 0 else Text(" " * len(left))
            self._print(self._with_right(start.append_text(line), right if index == 0 else ""))

    def _with_right(self, text: Text, right: str) -> Text:
        if right:
            text.append(" " * max(self._width - text.cell_len - cell_len(right), 1)).append(right, "dim")
        return text

    def _fitted(self, text: Text, width: int) -> Text:
        text.rstrip()
        if text.cell_len > width:
            more = "..." if self._ascii else "…"
            text.truncate(width - len(more))
            text.append(more, "dim")
        return text

    def _print(self, text: Text) -> None:
        text.no_wrap = True
        self._console.print(text, soft_wrap=True)


def _is_left_out(call: Sent) -> bool:
    """Whether it is one of so many chunks that showing it would tell nothing."""
    doc = call.doc
    return call.endpoint == UPLOAD_ENDPOINT and doc["total"] > _MANY_CHUNKS and 2 < doc["chunk"] < doc["total"]


def _upload(doc: dict[str, Any]) -> str:
    """A chunk of a file: its bytes travel as decimal numbers joined by commas."""
    file = doc["file"]
    count = size(file["content"].count(",") + 1)
    return f'{doc["attr"]}: "{file["name"]}" chunk {doc["chunk"]} of {doc["total"]}, {count}'


def _session(session: Any) -> str:
    """A session by its user only."""
    if not isinstance(session, dict):
        return "session"
    if session.get("_id") == ANON_SID:
        return "nobody"
    user = session.get("user")
    names = user if isinstance(user, dict) else {"_id": user}
    name = next((names[key] for key in ("email", "username", "_id") if names.get(key)), None)
    return f"{name} until {str(session.get('expiry'))[:10]}"
