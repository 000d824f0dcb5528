"""Markup, safe by how it is made: what is not `Html` is escaped, and only this module makes `Html`.

A leaf, pure. What a server sent may be shown by it without being looked at.
"""

from __future__ import annotations

import html
from importlib.resources import files
from typing import TypeAlias

__all__ = ["Child", "Html", "framed", "tag"]


class Html(str):
    """Markup to be shown as it stands."""

    __slots__ = ()


Child: TypeAlias = "str | list[Child] | None"

# What cannot be seen, turns what follows around, or cannot be sent to a frontend: its picture (␛, ␀) or a �.
_UNSEEN = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"},
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), 0x202D, 0x202E], 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}
_STYLE = Html(f"<style>{(files(__package__) / 'style.css').read_text('utf-8')}</style>")


def tag(name: str, *children: Child, **attributes: str | bool | None) -> Html:
    """An element. Children that are plain text are escaped, as are attributes; ``class_`` is ``class``.

    An attribute that is None or False is left out.
    """
    shown = [
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value if isinstance(value, str) else "")}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    return Html(f"<{name}{''.join(shown)}>{_inner(list(children))}</{name}>")


def framed(*children: Child) -> Html:
    """A whole display: its style and its content."""
    return Html(tag("div", _STYLE, *children, class_="rxsdk"))


def _inner(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, list):
        return "".join(map(_inner, child))
    return child if isinstance(child, Html) else _escaped(child)


def _escaped(text: str) -> str:
    return html.escape(text.translate(_UNSEEN))
