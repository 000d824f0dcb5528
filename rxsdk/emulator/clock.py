"""Clocks: what time it is for the emulator, and what is due when.

Imports nothing of the emulator. `SystemClock` is real time; `ManualClock` stands still until a test calls
``advance``, which returns after everything that became due has been done. `Alarms` belongs to the emulator's
loop: everything in the emulator that waits for protocol time (idle, scripted delays) waits here, never in ``asyncio``.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Alarms", "Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Anything that tells the time, in seconds."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The computer's own clocks."""

    def monotonic(self) -> float:
        """``time.monotonic()``."""
        return time.monotonic()

    def wall(self) -> float:
        """``time.time()``."""
        return time.time()


class ManualClock:
    """A clock that moves only when told to; safe from any thread.

    Args:
        wall: the time it starts at, seconds since 1970; the present when not given, so that what real
            clients sign with the real time is valid.
    """

    def __init__(self, wall: float | None = None) -> None:
        self._offset = time.time() if wall is None else wall
        self._elapsed = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def wall(self) -> float:
        """The starting time plus the seconds advanced so far."""
        return self._offset + self._elapsed

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``; returns when all that became due by then has been done.

        Do not call it from a callback running on an emulator's own thread.
        """
        if seconds < 0:
            raise ValueError("a clock does not go back")
        with self._lock:
            self._elapsed += seconds
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after every advance, on the advancing thread; returns how to stop that."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return unsubscribe


class Alarms:
    """Callbacks due at moments of a clock, run on one event loop.

    A callback gets the moment it was due, which a jump of a `ManualClock` may have left behind.
    """

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = clock
        self._loop = loop
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        subscribe = getattr(clock, "subscribe", None)
        self._manual = subscribe is not None
        self._unsubscribe: Callable[[], None] | None = subscribe(self._advanced) if subscribe else None

    def after(self, seconds: float, callback: Callable[[float], None]) -> None:
        """Run ``callback(due)`` once ``seconds`` from now."""
        heapq.heappush(self._due, (self._clock.monotonic() + seconds, next(self._order), callback))
        self._arm()

    def at(self, moment: float, callback: Callable[[float], None]) -> None:
        """Run ``callback(due)`` once the clock's monotonic time is ``moment``."""
        heapq.heappush(self._due, (moment, next(self._order), callback))
        self._arm()

    def close(self) -> None:
        """Forget everything that is still due."""
        self._due.clear()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._manual:
            if self._due and self._due[0][0] <= self._clock.monotonic():
                self._loop.call_soon(self._run_due)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            wait = max(0.0, self._due[0][0] - self._clock.monotonic())
            self._timer = self._loop.call_later(wait, self._run_due)

    def _run_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock.monotonic():
            due, _, callback = heapq.heappop(self._due)
            callback(due)
        self._arm()

    def _advanced(self) -> None:
        """On the thread that moved the clock: have the loop do what is due, and wait until it has."""
        done = threading.Event()

        def run() -> None:
            try:
                self._run_due()
            finally:
                done.set()

        try:
            self._loop.call_soon_threadsafe(run)
        except RuntimeError:
            return  # the loop has ended: nothing is due any more
        done.wait(timeout=10)
