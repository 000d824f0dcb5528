"""How views get into a notebook's cells and out again.

A leaf, with IPython; with anywidget (the extra ``notebook``) what is shown is a widget whose one trait is its markup,
without it an output that is replaced. One thread, while anything is shown, paints what has changed ten times a second:
a flood of changes costs the kernel no more than that, and a cell that computes does not stop it.

When a view ends, its widget is replaced by plain HTML, so a saved notebook shows its last state anywhere. When a cell
is run again (the same cell, or the same text where the frontend does not number its cells), what it showed before is
disposed, and the frontend has taken it away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

try:
    from IPython.core.getipython import get_ipython
    from IPython.display import display, update_display
except ImportError as error:
    raise ImportError("rxsdk.notebook needs IPython: pip install 'rxsdk[notebook]'", name="IPython") from error

from rxsdk.core.loop import SdkThread, in_notebook
from rxsdk.notebook.views import View
from rxsdk.reactive.delivery import report_unhandled

__all__ = ["install", "show"]

_PAINT_S = 0.1
_TICK_S = 1.0
_WIDGET = "application/vnd.jupyter.widget-view+json"

_SCRIPT = """
function render({ model, el }) {
  const draw = () => {
    const places = [...el.querySelectorAll(".rx-scroll")].map((one) => [one.scrollTop, one.scrollLeft]);
    el.innerHTML = model.get("html");
    el.querySelectorAll(".rx-scroll").forEach((one, i) => { [one.scrollTop, one.scrollLeft] = places[i] ?? [0, 0]; });
  };
  draw();
  model.on("change:html", draw);
  return () => model.off("change:html", draw);
}
export default { render };
"""


class _Surface(Protocol):
    """Where markup is put, with a mimebundle that shows it; ``close`` when it is replaced for good."""

    def bundle(self, html: str) -> dict[str, Any]: ...

    def put(self, html: str) -> None: ...

    def close(self) -> None: ...


class _WidgetSurface:
    def __init__(self, html: str) -> None:
        import anywidget  # noqa: PLC0415 - an extra
        import traitlets  # noqa: PLC0415

        class Board(anywidget.AnyWidget):
            _esm = _SCRIPT
            html = traitlets.Unicode("").tag(sync=True)

        self._board = Board(html=html)

    def bundle(self, html: str) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self._board.model_id}
        return {**_plain(html), _WIDGET: view}

    def put(self, html: str) -> None:
        self._board.html = html

    def close(self) -> None:
        self._board.close()


class _HtmlSurface:
    def __init__(self, display_id: str) -> None:
        self._display_id = display_id

    def bundle(self, html: str) -> dict[str, Any]:
        return _plain(html)

    def put(self, html: str) -> None:
        update_display(_plain(html), raw=True, display_id=self._display_id)

    def close(self) -> None:
        """Nothing is kept."""


def _plain(html: str) -> dict[str, Any]:
    return {"text/plain": "<live output>", "text/html": html}


class _Shown:
    """One view in one cell."""

    def __init__(self, view: View, display_id: str) -> None:
        self.view = view
        self._display_id = display_id
        self._last = view.html()
        self._surface: _Surface
        try:
            self._surface = _WidgetSurface(self._last)
        except ImportError:
            self._surface = _HtmlSurface(display_id)
        self._lock = threading.Lock()
        self._is_closed = False
        display(self._surface.bundle(self._last), raw=True, display_id=display_id)
        self._subscription = view.start(lambda: _painter.note(self))

    def paint(self) -> None:
        """Show what there is to see now."""
        with self._lock:
            if self._is_closed:
                return
            is_over, html = self.view.is_over, self.view.html()
            if html != self._last:
                self._last = html
                self._surface.put(html)
            if is_over:
                update_display(_plain(html), raw=True, display_id=self._display_id)
                self._end()

    def dispose(self) -> None:
        """The cell is run again."""
        with self._lock:
            if not self._is_closed:
                self._end()

    def _end(self) -> None:
        self._is_closed = True
        _painter.forget(self)
        self._surface.close()
        self._subscription.dispose()


class _Painter:
    """The thread that paints; it lives while anything is shown."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shown: set[_Shown] = set()
        self._dirty: set[_Shown] = set()
        self._thread: SdkThread | None = None

    def add(self, shown: _Shown) -> None:
        with self._changed:
            self._shown.add(shown)
            self._dirty.add(shown)
            if self._thread is None:
                self._thread = SdkThread("rxsdk notebook", self._run)
                self._thread.start()
            self._changed.notify()

    def note(self, shown: _Shown) -> None:
        with self._changed:
            self._dirty.add(shown)
            self._changed.notify()

    def forget(self, shown: _Shown) -> None:
        with self._changed:
            self._shown.discard(shown)
            self._changed.notify()

    def flush(self) -> None:
        """Paint now what has changed."""
        with self._changed:
            batch, self._dirty = self._dirty & self._shown, set()
        self._paint(batch)

    def _run(self) -> None:
        while True:
            with self._changed:
                ticking = {one for one in self._shown if one.view.ticks}
                self._changed.wait_for(lambda: self._dirty or not self._shown, _TICK_S if ticking else None)
                batch, self._dirty = (self._dirty | ticking) & self._shown, set()
                if not self._shown:
                    self._thread = None
                    return
            self._paint(batch)
            threading.Event().wait(_PAINT_S)

    @staticmethod
    def _paint(batch: set[_Shown]) -> None:
        for shown in batch:
            try:
                shown.paint()
            except Exception as error:
                report_unhandled(error, "a notebook's display")
                shown.dispose()


class _Cells:
    """What each cell shows."""

    def __init__(self) -> None:
        self._shown: dict[str, list[_Shown]] = {}

    def pre_run_cell(self, _info: object) -> None:
        """IPython is about to run a cell: what it showed before is of the past."""
        for shown in self._shown.pop(_this_cell(), []):
            shown.dispose()

    def post_run_cell(self, _result: object) -> None:
        """A cell has run: what runs notebooks without a frontend keeps nothing that comes between two cells."""
        _painter.flush()

    def add(self, shown: _Shown) -> None:
        self._shown.setdefault(_this_cell(), []).append(shown)


_painter = _Painter()
_cells = _Cells()


def show(view: View) -> None:
    """Show ``view`` in the cell that runs, until it ends or the cell is run again."""
    shown = _Shown(view, uuid4().hex)
    _cells.add(shown)
    _painter.add(shown)


def install(html: Mapping[type, Callable[[Any], str | None]], views: Mapping[type, Callable[[Any], View]]) -> None:
    """In a notebook's kernel: show objects of these types as this markup, and those as these views."""
    if not in_notebook():
        return
    shell = get_ipython()
    for kind, markup in html.items():
        shell.display_formatter.formatters["text/html"].for_type(kind, markup)
    for kind, view_of in views.items():
        shell.display_formatter.ipython_display_formatter.for_type(kind, partial(_show_as, view_of))
    shell.events.register("pre_run_cell", _cells.pre_run_cell)
    shell.events.register("post_run_cell", _cells.post_run_cell)


def _show_as(view_of: Callable[[Any], View], value: Any) -> None:
    show(view_of(value))


def _this_cell() -> str:
    """The cell that runs: its id, or its text where the frontend gives none."""
    request = get_ipython().get_parent() or {}
    return str(request.get("metadata", {}).get("cellId") or request.get("content", {}).get("code"))
