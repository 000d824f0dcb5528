"""Notebooks: replies as tables, calls as progress, watches as live tables, the connection as a badge.

A leaf; the extra ``notebook`` (anywidget, IPython). Import it in a cell; from then on what ends a cell shows itself:

- a `Res`, or a list of documents, as a table;
- a `Call` as its progress: files going up, then its reply; a watch, of `call` or `watch`, as a live table;
- an `ApiService` as a badge: its state, why, the next try, who is signed in.

`live` shows any Observable, `table`, `progress` and `badge` say it in so many words, also with ``IPython.display``.
What a server sent is escaped; secrets are not shown. Where the frontend has no widgets, the same is plain HTML.

Running a cell again disposes what it showed before: its watch is deleted on the server, unless somebody else listens;
an upload that nobody else listens to is cancelled. ``await api.call(…)`` and ``.result()`` both work in a cell, and
what is shown goes on while a cell computes: the connection has a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reactivex import Observable

from rxsdk.limp import ApiService
from rxsdk.notebook.cells import install, show
from rxsdk.notebook.html import Html, framed, tag
from rxsdk.notebook.tables import MOST_ROWS, as_doc, counted, reply, table_of
from rxsdk.notebook.views import Badge, Live, Progress, View
from rxsdk.protocols.limp.res import Res
from rxsdk.reactive.call import Call
from rxsdk.watch import Watch

__all__ = ["Display", "Table", "badge", "live", "progress", "table"]


class Display:
    """Shows itself live when it ends a cell, or with ``IPython.display.display``; subscribes only then."""

    def __init__(self, make: Callable[[], View], text: str) -> None:
        self._make = make
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _ipython_display_(self) -> None:
        show(self._make())


class Table:
    """Documents as a table."""

    def __init__(self, docs: list[Any], limit: int) -> None:
        self._docs = docs
        self._limit = limit

    def __repr__(self) -> str:
        return f"<table of {counted(len(self._docs), 'doc')}>"

    def _repr_html_(self) -> str:
        return _card(self._docs, self._limit)


def live(source: Observable[Any], title: str | None = None) -> Display:
    """An Observable as a live table, for as long as its cell is not run again.

    Messages and changes of a watch create, change and take away rows; a list of documents is the whole table, one
    document with an ``_id`` is a row of it; other values become a log of the latest. Of more than 50 rows those that
    changed last are shown, the latest first.
    """
    name = title or getattr(source, "endpoint", None) or "stream"
    return Display(lambda: Live(source, name), f"<live {name}>")


def progress(call: Call[Any]) -> Display:
    """A call as it goes: its files going up, then its reply or its error."""
    return Display(lambda: Progress(call), f"<progress of {call!r}>")


def badge(api: ApiService) -> Display:
    """The connection: its state, why it is not ready, when it tries again, and who is signed in."""
    return Display(lambda: Badge(api), repr(api))


def table(docs: Iterable[Any] | Res[Any], limit: int = MOST_ROWS) -> Table:
    """Documents, plain or typed, or those of a reply, as a table of ``limit`` rows at most.

    Raises:
        TypeError: one of them is no document.
    """
    made = list(docs.docs if isinstance(docs, Res) else docs)
    for doc in made:
        if not isinstance(doc, Mapping) and as_doc(doc) is None:
            raise TypeError(f"{type(doc).__name__} is no document: a table wants mappings, dataclasses or Structs")
    return Table(made, limit)


def _live_watch(watch: Watch[Any]) -> View:
    return Live(watch, watch.endpoint)


def _docs_html(values: list[Any]) -> str | None:
    """A list is shown as a table when it holds documents of a server, and left as it is otherwise."""
    are_docs = bool(values) and all(
        "_id" in (value if isinstance(value, Mapping) else as_doc(value) or {}) for value in values
    )
    return _card(values, MOST_ROWS) if are_docs else None


def _card(docs: list[Any], limit: int) -> Html:
    if not docs:
        return framed(tag("div", tag("div", "No docs.", class_="rx-empty"), class_="rx-card"))
    return framed(tag("div", table_of(docs, limit=limit), class_="rx-card"))


install(
    {Res: lambda res: framed(reply(res)), list: _docs_html}, {Call: Progress, Watch: _live_watch, ApiService: Badge}
)
