"""Docs as a table, and a reply with its docs: pure functions from values to markup.

A leaf. Secrets are taken out first, by the rules of `rxsdk.protocols.limp.res.redact`; every text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from rxsdk.notebook.html import Child, Html, tag
from rxsdk.protocols.limp.res import Res, redact

__all__ = ["MOST_ROWS", "as_doc", "counted", "pill", "reply", "size_text", "table_of"]

MOST_ROWS = 50
_MOST_COLUMNS = 14
_MOST_NAMED = 10
_LONGEST = 120
_LONGEST_TITLE = 1000
_NARROW = 24
_ID = re.compile(r"[0-9a-f]{24}")
_LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d)?[.\d]*(?:Z|[+-]\d\d:?\d\d)?")
_KIB = 1024
_SHOWN_OTHERWISE = frozenset({"docs", "call_id", "code"})


def as_doc(value: Any) -> dict[str, Any] | None:
    """A document as plain JSON without secrets; None for what is none. Typed docs are taken apart."""
    if not isinstance(value, Mapping):
        try:
            value = msgspec.to_builtins(value, str_keys=True)
        except (TypeError, msgspec.MsgspecError):
            return None
    if not isinstance(value, Mapping):
        return None
    plain = redact(dict(value))
    return plain if isinstance(plain, dict) else None


def table_of(docs: Sequence[Any], *, fresh: Collection[int] = (), limit: int = MOST_ROWS) -> Html:
    """A table of documents, of which no more than ``limit`` are looked at; the rows in ``fresh`` light up."""
    shown = [doc for doc in map(as_doc, docs[:limit]) if doc is not None]
    columns = list(dict.fromkeys(key for doc in shown for key in doc))
    more_columns, columns = columns[_MOST_COLUMNS:], columns[:_MOST_COLUMNS]
    head = tag("tr", [tag("th", _short(str(column))) for column in columns])
    rows: list[Child] = [
        tag("tr", [_cell(doc.get(column)) for column in columns], class_="rx-fresh" if number in fresh else None)
        for number, doc in enumerate(shown)
    ]
    table = tag("table", tag("thead", head), tag("tbody", rows), class_="rx-table")
    left_out = [
        counted(len(docs) - limit, "more row") if len(docs) > limit else "",
        _columns_left_out(more_columns) if more_columns else "",
    ]
    foot = " · ".join(filter(None, left_out))
    scroll = tag("div", table, class_="rx-scroll")
    return Html(scroll + tag("div", foot, class_="rx-foot")) if foot else scroll


def reply(res: Res[Any], title: str | None = None, *above: Child) -> Html:
    """What the server answered: its status and text, its docs as a table (under ``above``), what else it sent."""
    tone = "good" if res.status == 200 else "bad"
    head = tag(
        "div",
        pill(tone, str(res.status)),
        tag("span", title, class_="rx-name") if title else None,
        tag("span", res.msg, dir="auto"),
        tag("span", res.code, class_="rx-code rx-muted") if res.code else None,
        class_="rx-head",
    )
    rest = as_doc({key: value for key, value in res.args.items() if key not in _SHOWN_OTHERWISE}) or {}
    facts = [*_session_facts(rest.pop("session", None)), *rest.items()]
    foot: list[Child] = [
        tag("span", tag("span", key, class_="rx-key"), _value(value), class_="rx-fact")
        for key, value in facts
        if value is not None and value not in ({}, [])
    ]
    return tag(
        "div",
        head,
        *above,
        table_of(res.docs) if res.docs else None,
        tag("div", foot, class_="rx-foot") if foot else None,
        class_="rx-card",
    )


def _session_facts(session: Any) -> list[tuple[str, Any]]:
    if not isinstance(session, dict):
        return []
    user = session.get("user")
    name = user.get("email") or user.get("_id") if isinstance(user, dict) else user
    return [("signed in as", name), ("until", session.get("expiry"))]


def pill(tone: str, text: str) -> Html:
    """A short coloured word; ``tone`` is good, wait, bad or off."""
    return tag("span", text, class_=f"rx-pill rx-{tone}")


def counted(number: int, thing: str) -> str:
    """How many there are: ``1 doc``, ``2 docs``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def size_text(n_bytes: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if n_bytes < _KIB:
            return f"{n_bytes:,.0f} {unit}" if unit == "bytes" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= _KIB
    return f"{n_bytes:,.1f} GiB"


def _columns_left_out(columns: Sequence[Any]) -> str:
    names = [_short(str(column)) for column in columns[:_MOST_NAMED]]
    if len(columns) > _MOST_NAMED:
        names.append(f"and {len(columns) - _MOST_NAMED:,} others")
    return f"more columns: {', '.join(names)}"


def _cell(value: Any) -> Html:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return tag("td", _value(value), class_="rx-number" if is_number else None)


def _value(value: Any) -> Child:
    if value is None:
        return tag("span", "–", class_="rx-muted")
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, int):
        text = f"{value:,}"
        return tag("span", _short(text), title=_title(text)) if len(text) > _NARROW else text
    if isinstance(value, float):
        text = f"{value:.12g}"
        return text if float(text) == value else tag("span", text, title=repr(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict) and value:
        return _dict(value)
    return _json(value)


def _text(value: str) -> Child:
    if _ID.fullmatch(value):
        return tag("span", f"…{value[-6:]}", class_="rx-id", title=value)
    time = _TIME.fullmatch(value)
    if time:
        return tag("span", f"{time[1]} {time[2]}", title=value)
    return tag("bdi", _short(value), title=_title(value))


def _dict(value: dict[str, Any]) -> Child:
    if all(isinstance(key, str) and _LOCALE.fullmatch(key) for key in value):
        texts = {str(text): locale for locale, text in reversed(value.items()) if text}
        words: list[Child] = []
        for text, locale in texts.items():
            words += [tag("span", " · ", class_="rx-muted") if words else None, _worded(text, locale)]
        return words
    if isinstance(value.get("name"), str) and {"type", "size"} <= value.keys():
        size = value["size"]
        note = size_text(size) if isinstance(size, (int, float)) else ""
        return tag("span", _short(value["name"]), " ", tag("span", note, class_="rx-muted"), class_="rx-file")
    return _json(value)


def _worded(text: str, locale: str) -> Html:
    return tag("bdi", _short(text), lang=locale[:2], title=f"{locale}: {text[:_LONGEST_TITLE]}")


def _json(value: Any) -> Html:
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, msgspec.MsgspecError):
        text = repr(value)
    return tag("span", _short(text), class_="rx-code", title=_title(text))


def _title(text: str) -> str | None:
    """The text to point at, where a cell of the table may be too narrow for it."""
    return text[:_LONGEST_TITLE] if len(text) > _NARROW else None


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
