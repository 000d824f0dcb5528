"""Cells without a kernel: what is displayed, when, and what is left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from reactivex.subject import BehaviorSubject, Subject

pytest.importorskip("IPython", reason="IPython is not installed (extra: notebook)")
pytest.importorskip("anywidget", reason="anywidget is not installed (extra: notebook)")

from ipywidgets.widgets import widget as widgets

from rxsdk import ApiService, Args, Call, Res, Watch, notebook
from rxsdk.emulator import Emulator
from rxsdk.notebook import cells
from rxsdk.notebook.views import Live
from tests.conftest import wait_until

# ipywidgets, outside of a kernel
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Shell:
    """As much of IPython's as we use; the test says which cell runs."""

    def __init__(self) -> None:
        self.cell = "one"
        self.has_ids = True
        self.hooks: dict[str, Callable[[Any], None]] = {}
        self.html: dict[type, Any] = {}
        self.views: dict[type, Any] = {}
        self.displayed: list[tuple[str, dict[str, Any]]] = []
        self.updated: list[tuple[str, dict[str, Any]]] = []
        self.events = SimpleNamespace(register=self.hooks.__setitem__)
        self.display_formatter = SimpleNamespace(
            formatters={"text/html": SimpleNamespace(for_type=self.html.__setitem__)},
            ipython_display_formatter=SimpleNamespace(for_type=self.views.__setitem__),
        )

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell}} if self.has_ids else {"content": {"code": self.cell}}

    def run(self, cell: str, show: Callable[[], object]) -> None:
        self.cell = cell
        self.hooks["pre_run_cell"](None)
        show()
        self.hooks["post_run_cell"](None)

    def display(self, bundle: dict[str, Any], *, raw: bool, display_id: str) -> None:
        assert raw
        self.displayed.append((display_id, bundle))

    def update(self, bundle: dict[str, Any], *, raw: bool, display_id: str) -> None:
        assert raw
        self.updated.append((display_id, bundle))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, no_thread_left: None) -> Iterator[Shell]:
    shell = Shell()
    monkeypatch.setattr(cells, "get_ipython", lambda: shell)
    monkeypatch.setattr(cells, "in_notebook", lambda: True)
    monkeypatch.setattr(cells, "display", shell.display)
    monkeypatch.setattr(cells, "update_display", shell.update)
    monkeypatch.setattr(cells, "_cells", cells._Cells())
    cells.install({Res: str}, {Call: lambda call: Live(call, "call")})
    yield shell
    shell.run("one", lambda: None)
    shell.run("two", lambda: None)


def board() -> Any:
    """The newest widget's markup."""
    return [widget for widget in widgets._instances.values() if type(widget).__name__ == "Board"][-1].html


def test_a_widget_is_shown_and_told_of_changes(shell: Shell) -> None:
    source: Subject[Any] = Subject()
    shell.run("one", notebook.live(source, "numbers")._ipython_display_)
    ((_, bundle),) = shell.displayed
    assert "numbers" in bundle["text/html"]
    assert cells._WIDGET in bundle
    source.on_next(42)
    wait_until(lambda: "42" in board())
    assert shell.updated == []


def test_what_has_ended_is_plain_html(shell: Shell) -> None:
    source: Subject[Any] = Subject()
    shell.run("one", notebook.live(source)._ipython_display_)
    source.on_next({"_id": "1"})
    source.on_completed()
    wait_until(lambda: shell.updated)
    (display_id, bundle) = shell.updated[0]
    assert display_id == shell.displayed[0][0]
    assert "ended" in bundle["text/html"]
    assert cells._WIDGET not in bundle
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "rxsdk notebook"])


def test_a_cell_leaves_what_is_so_at_its_end(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells._Painter, "_run", lambda self: None)  # it may come too late
    monkeypatch.setattr(cells, "_painter", cells._Painter())
    source: Subject[Any] = Subject()
    shell.run("one", notebook.live(source)._ipython_display_)
    shell.run("two", source.on_completed)
    ((_, bundle),) = shell.updated
    assert "ended" in bundle["text/html"]


@pytest.mark.parametrize("has_ids", [True, False])
def test_running_a_cell_again_disposes_what_it_showed(shell: Shell, has_ids: bool) -> None:
    shell.has_ids = has_ids
    source: Subject[Any] = Subject()
    other: Subject[Any] = Subject()
    for _ in range(3):
        shell.run("one", notebook.live(source)._ipython_display_)
    shell.run("two", notebook.live(other)._ipython_display_)
    assert (len(source.observers), len(other.observers)) == (1, 1)
    shell.run("one", lambda: None)
    assert (len(source.observers), len(other.observers)) == (0, 1)


def test_without_anywidget_the_output_is_replaced(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    source: Subject[Any] = Subject()
    shell.run("one", notebook.live(source, "numbers")._ipython_display_)
    assert cells._WIDGET not in shell.displayed[0][1]
    source.on_next(42)
    wait_until(lambda: shell.updated)
    assert "42" in shell.updated[0][1]["text/html"]


def test_what_changes_by_time_alone_is_painted_every_second(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_TICK_S", 0.01)
    monkeypatch.setattr(cells, "_PAINT_S", 0.001)

    class Clock(Live):
        ticks = True
        painted = 0

        def html(self) -> Any:
            self.painted += 1
            return super().html()

    clock = Clock(Subject(), "clock")
    shell.run("one", lambda: cells.show(clock))
    wait_until(lambda: clock.painted > 3)


def test_a_view_that_raises_is_reported_and_let_go(shell: Shell, unhandled: list[BaseException]) -> None:
    class Broken(Live):
        def html(self) -> Any:
            if self._count:
                raise KeyError("a mistake")
            return super().html()

    source: Subject[Any] = Subject()
    shell.run("one", lambda: cells.show(Broken(source, "broken")))
    source.on_next(1)
    wait_until(lambda: unhandled)
    wait_until(lambda: not source.observers)
    assert type(unhandled[0]) is KeyError


def test_a_flood_is_painted_ten_times_a_second(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    source: BehaviorSubject[int] = BehaviorSubject(0)
    shell.run("one", notebook.live(source)._ipython_display_)
    for number in range(10_000):
        source.on_next(number)
    source.on_completed()
    wait_until(lambda: shell.updated and "ended" in shell.updated[-1][1]["text/html"])
    assert len(shell.updated) < 100


def test_types_are_shown_by_themselves(shell: Shell, api: ApiService) -> None:
    assert shell.html == {Res: str}
    call = api.call("staff/read")
    shell.run("one", lambda: shell.views[Call](call))
    wait_until(lambda: shell.updated)
    assert "Found 0 docs" not in shell.displayed[0][1]["text/html"]


def test_a_watch_shows_itself(shell: Shell, signed_in: ApiService, emulator: Emulator) -> None:
    cells.install({}, {Watch: notebook._live_watch})
    watch = signed_in.watch("staff/watch", snapshot="staff/read")
    assert repr(notebook.live(watch)) == "<live staff/watch>"
    assert emulator.watches == 0
    shell.run("one", lambda: shell.views[Watch](watch))
    assert "staff/watch" in shell.displayed[0][1]["text/html"]
    wait_until(lambda: emulator.watches == 1)
    shell.run("one", lambda: None)
    wait_until(lambda: emulator.watches == 0)


def test_outside_of_a_kernel_nothing_is_installed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "in_notebook", lambda: False)
    cells.install({Args: str}, {})
    assert Args not in shell.html


def test_what_shows_itself_says_so_in_text(api: ApiService) -> None:
    call = api.call("staff/read")
    assert repr(notebook.live(call)) == "<live staff/read>"
    assert repr(notebook.live(Subject())) == "<live stream>"
    assert repr(notebook.badge(api)) == repr(api)
    assert repr(notebook.progress(call)).startswith("<progress of <Call staff/read")


def test_lists_are_tables_only_when_they_hold_docs() -> None:
    shown = notebook._docs_html([{"_id": "1"}, {"_id": "2"}])
    assert shown is not None
    assert shown.count("<tr") == 3
    assert notebook._docs_html([]) is None
    assert notebook._docs_html([1, "a"]) is None
    assert notebook._docs_html([{"_id": "1"}, {"name": "x"}]) is None


def test_display_makes_a_view_each_time(shell: Shell, api: ApiService) -> None:
    shell.run("one", notebook.badge(api)._ipython_display_)
    shell.run("two", notebook.progress(api.call("staff/read"))._ipython_display_)
    assert "ready" in shell.displayed[0][1]["text/html"]
    assert "staff/read" in shell.displayed[1][1]["text/html"]
