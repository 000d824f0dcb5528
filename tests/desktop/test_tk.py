"""Tk's side: the queue that is looked at, its timers, the life of a widget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from rxsdk.desktop import deliver_on
from tests.desktop.responsiveness import MOST_LATE_S, Beat, best_of, flood, work_a_little

tkinter = pytest.importorskip(
    "tkinter", reason="tkinter is not in this Python (Debian: python3-tk)", exc_type=ImportError
)

from rxsdk.desktop import tk


@pytest.fixture
def root(screen: str) -> Iterator[Any]:
    root = tkinter.Tk()
    yield root
    with suppress(tkinter.TclError):  # the test did
        root.destroy()


def turn_until(root: Any, condition: Callable[[], object]) -> None:
    """Run Tk's main loop until something is so; fail when it is not within 10 s."""
    deadline = time.monotonic() + 10

    def look() -> None:
        if condition() or time.monotonic() > deadline:
            root.quit()
        else:
            root.after(1, look)

    root.after(1, look)
    root.mainloop()
    assert condition(), f"still not true after 10 s: {condition}"


def test_work_of_another_thread_runs_on_the_windows(root: Any) -> None:
    source: Subject[int] = Subject()
    seen: list[Any] = []
    source.pipe(deliver_on(tk.TkScheduler(root))).subscribe(
        lambda value: seen.append((value, threading.current_thread())), on_completed=lambda: seen.append("end")
    )
    thread = flood(source)
    turn_until(root, lambda: seen and seen[-1] == "end")
    thread.join()
    assert seen[:-1] == [(number, threading.main_thread()) for number in range(10_000)]


def test_its_timers_ring_and_stop(root: Any) -> None:
    gui = tk.TkScheduler(root)
    rung: list[str] = []
    timer = gui.schedule_relative(60, lambda *_: rung.append("stopped"))
    before = len(root.tk.call("after", "info"))
    gui.drain()
    assert len(root.tk.call("after", "info")) == before + 1
    timer.dispose()
    gui.drain()
    assert len(root.tk.call("after", "info")) == before
    gui.schedule_relative(0.03, lambda *_: rung.append("rang"))
    turn_until(root, lambda: rung)
    assert rung == ["rang"]


def test_reactivex_operators_work_on_it(root: Any) -> None:
    seen: list[int] = []
    reactivex.interval(0.005, scheduler=tk.TkScheduler(root)).pipe(ops.take(3)).subscribe(seen.append)
    turn_until(root, lambda: len(seen) == 3)


def lateness(root: Any) -> float:
    """The worst delay of a timer while 10 000 changes arrive, each costing the window 50 µs."""
    source: Subject[int] = Subject()
    shown: list[str] = []
    source.pipe(deliver_on(tk.TkScheduler(root))).subscribe(work_a_little, on_completed=lambda: shown.append("all"))
    beat = Beat()

    def tick() -> None:
        beat.tick()
        if not shown:
            root.after(round(Beat.interval_s * 1000), tick)

    root.after(round(Beat.interval_s * 1000), tick)
    thread = flood(source)
    turn_until(root, lambda: shown)
    thread.join()
    assert beat.ticks
    return beat.worst_s


@pytest.mark.alone
def test_a_flood_does_not_freeze_the_window(root: Any) -> None:
    assert best_of(lambda: lateness(root)) < MOST_LATE_S


def test_it_ends_with_the_widget(root: Any) -> None:
    frame = tkinter.Frame(root)
    child = tkinter.Label(frame)
    source: Subject[str] = Subject()
    ended: list[str] = []
    for name in ("one", "two"):
        source.pipe(deliver_on(tk.TkScheduler(root)), tk.until_destroyed(frame)).subscribe(
            lambda text: child.configure(text=text), on_completed=lambda name=name: ended.append(name)
        )
    source.on_next("shown")
    turn_until(root, lambda: child["text"] == "shown")
    child.destroy()
    assert ended == []
    source.on_next("too late")
    frame.destroy()
    assert sorted(ended) == ["one", "two"]
    assert source.observers == []


def test_another_thread_may_end_it(root: Any) -> None:
    frame = tkinter.Frame(root)
    source: Subject[str] = Subject()
    ended: list[bool] = []
    subscription = source.pipe(tk.until_destroyed(frame)).subscribe(on_completed=lambda: ended.append(True))
    thread = threading.Thread(target=source.on_completed)
    thread.start()
    thread.join()
    frame.destroy()
    subscription.dispose()
    assert ended == [True]


def test_when_the_window_has_gone_nothing_runs(root: Any) -> None:
    gui = tk.TkScheduler(root)
    ran: list[bool] = []
    root.destroy()
    gui.schedule(lambda *_: ran.append(True))
    assert ran == []
