"""Tk: work on the thread of the main loop by a queue that ``after`` drains, subscriptions that end with a widget.

A leaf, with tkinter of the standard library. Tk must not be called by other threads, not even to wake it: the queue is
looked at every 10 ms, which is half of the time at most that a flood can take from the window.
"""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rxsdk.reactive.schedulers import WindowScheduler

__all__ = ["TkScheduler", "until_destroyed"]

T = TypeVar("T")

_LOOK_S = 0.01
_WATCHED = "_rxsdk_when_destroyed"
_roots: set[tkinter.Misc] = set()
"""Kept for good: Tcl ends the process when a root is freed by another thread, as by the garbage collector in ours."""


class TkScheduler(WindowScheduler):
    """Runs work on the thread of ``root``; any thread may schedule. One for a root is enough.

    Make it on that thread. It ends with ``root``: what is scheduled later is never run.
    """

    def __init__(self, root: tkinter.Misc) -> None:
        super().__init__(_do_nothing, self._call_later)
        self._root = root
        self._timers: set[str] = set()
        _callbacks_of(root).append(self._end)
        self._look()

    def _look(self) -> None:
        self._call_later(_LOOK_S, self._look)  # before it works: a dialog may be opened in there
        self.drain()

    def _call_later(self, seconds: float, then: Callable[[], None]) -> Callable[[], object]:
        def ring() -> None:
            self._timers.discard(timer)
            then()

        timer = self._root.after(round(seconds * 1000), ring)
        self._timers.add(timer)
        return lambda: self._stop(timer)

    def _stop(self, timer: str) -> None:
        if timer in self._timers:
            self._timers.remove(timer)
            self._root.after_cancel(timer)

    def _end(self) -> None:
        for timer in list(self._timers):  # Tk would call what is no more, and complain of it
            self._stop(timer)


def _do_nothing() -> None:
    """Nobody is woken: the queue is looked at in any case."""


def until_destroyed(widget: tkinter.Misc) -> Callable[[Observable[T]], Observable[T]]:
    """An operator: ends with ``widget``: completes and disposes when Tk destroys it.

    Subscribe on Tk's thread; put it last, behind `deliver_on`; then nothing reaches a widget that is no more.
    """

    def subscribe(observer: abc.ObserverBase[None], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        def on_destroyed() -> None:
            observer.on_next(None)

        callbacks = _callbacks_of(widget)
        callbacks.append(on_destroyed)

        def forget() -> None:
            with suppress(ValueError):  # destroyed, and all callbacks called
                callbacks.remove(on_destroyed)

        return Disposable(forget)

    return ops.take_until(reactivex.create(subscribe))


def _callbacks_of(widget: tkinter.Misc) -> list[Callable[[], None]]:
    """What to call when ``widget`` is destroyed: one binding a widget, so that other threads may take theirs back."""
    callbacks: list[Callable[[], None]] | None = getattr(widget, _WATCHED, None)
    if callbacks is None:
        callbacks = []

        def on_destroy(event: tkinter.Event[Any]) -> None:
            if event.widget is widget:  # a window hears of its children too
                while callbacks:
                    callbacks.pop()()

        _roots.add(widget._root())  # type: ignore[attr-defined] # public in all but name
        widget.bind("<Destroy>", on_destroy, add="+")
        setattr(widget, _WATCHED, callbacks)
    return callbacks
