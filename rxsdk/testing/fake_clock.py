"""`FakeClock`: time that passes when a test says so.

A leaf; it takes the place of `rxsdk.core.clock.Clock` in a service (``ApiService(config, clock=FakeClock())``), in a
`Connection`, or wherever ``now`` and ``wall`` are asked for.

Which thread: `advance` may be called from any. Each timer rings on the event loop it was set on, as with the real
clock. A loop that runs on another thread (a service that was opened in sync code) is waited for: first it does what it
was told before, then the timers ring one by one, and when `advance` returns they all have, and the loop has had a few
turns for what they set going. A loop that runs on the calling thread (async code) cannot turn while `advance` runs:
there use ``await clock.advance_async(…)``, which does the same for it.

What the network does takes real time, which no clock can advance: advance to what should happen, wait until it has
(a reply, a state, a record of the emulator), and go on. Two heartbeats' time in one go is a heartbeat not answered.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from rxsdk.core.clock import Timer
from rxsdk.core.loop import running_loop
from rxsdk.testing.threads import do_on

__all__ = ["FakeClock"]

_TURNS = 10  # of a loop, for what one ring sets going: call_soon, a woken task, its next step …


class _FakeTimer:
    """A callback, where it rings, and whether it still shall."""

    __slots__ = ("callback", "loop")

    def __init__(self, callback: Callable[..., Any], loop: asyncio.AbstractEventLoop | None) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.loop = loop

    def cancel(self) -> None:
        self.callback = None

    def ring(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class FakeClock:
    """A `rxsdk.core.clock.Clock` that moves only when told to.

    Args:
        now: the monotonic time it starts at.
        wall: the seconds since 1970 it starts at; the present when not given, so that a real server takes what is
            signed with it.
    """

    def __init__(self, *, now: float = 0.0, wall: float | None = None) -> None:
        self._now = now
        self._ahead = (time.time() if wall is None else wall) - now
        self._timers: list[tuple[float, int, _FakeTimer]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._is_moving = False

    def __repr__(self) -> str:
        return f"<FakeClock {self._now:g} s, {self.pending} timers>"

    # -- Clock

    def now(self) -> float:
        """See `Clock.now`."""
        return self._now

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._ahead + self._now

    def call_at(self, when: float, callback: Callable[..., Any]) -> Timer:
        """See `Clock.call_at`. A time that is not in the future rings in the loop's next turn."""
        loop = running_loop()
        timer = _FakeTimer(callback, loop)
        with self._lock:
            if loop is not None:
                self._loops.add(loop)
            if when > self._now or self._is_moving or loop is None:
                heapq.heappush(self._timers, (when, next(self._order), timer))
                return timer
        loop.call_soon(timer.ring)
        return timer

    # -- what a test does with it

    @property
    def pending(self) -> int:
        """How many timers are set."""
        with self._lock:
            return sum(timer.callback is not None for _, _, timer in self._timers)

    @property
    def next_at(self) -> float | None:
        """When the next timer rings; None when none is set."""
        with self._lock:
            return min((when for when, _, timer in self._timers if timer.callback is not None), default=None)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: ring what is due by then, each at its own time, in the order of their times.

        Timers at the same time ring in the order they were set in; ones set meanwhile ring too when they are due.

        Raises:
            ValueError: a clock does not go back.
            RuntimeError: called from a timer's callback, or from two threads at once.
            (And what a callback raises; the clock then stands at the time of that callback.)
        """
        target = self._begin(seconds)
        here = running_loop()
        try:
            self._let_others_turn(here)
            while (timer := self._next_due(target)) is not None:
                self._ring(timer, here)
        except BaseException:
            self._is_moving = False
            raise

    async def advance_async(self, seconds: float) -> None:
        """`advance` for code that runs on the loop itself: the loop turns before, between and after the rings."""
        target = self._begin(seconds)
        here = running_loop()
        try:
            self._let_others_turn(here)
            await _turns()
            while (timer := self._next_due(target)) is not None:
                self._ring(timer, here)
                await _turns()
        except BaseException:
            self._is_moving = False
            raise

    def jump_wall(self, seconds: float) -> None:
        """Let the wall clock run ahead of the monotonic one, as after sleep; nothing rings. Negative: set back."""
        self._ahead += seconds

    # -- inside

    def _begin(self, seconds: float) -> float:
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"a clock goes forward, not by {seconds!r} s")
        with self._lock:
            if self._is_moving:
                raise RuntimeError("the clock is advancing already")
            self._is_moving = True
            return self._now + seconds

    def _next_due(self, target: float) -> _FakeTimer | None:
        """The next timer that is due by ``target``, the time moved to it; None, and the time moved to ``target``."""
        with self._lock:
            while self._timers and self._timers[0][0] <= target:
                when, _, timer = heapq.heappop(self._timers)
                if timer.callback is not None:
                    self._now = max(self._now, when)
                    return timer
            self._now = target
            self._is_moving = False  # in one step with the look: what is set from now on is a new matter
            return None

    def _ring(self, timer: _FakeTimer, here: asyncio.AbstractEventLoop | None) -> None:
        if timer.loop is None or timer.loop is here:
            timer.ring()
        else:
            do_on(timer.loop, timer.ring, turns=_TURNS)

    def _let_others_turn(self, here: asyncio.AbstractEventLoop | None) -> None:
        """Calls that were made before the time passes are to be written before it passes."""
        with self._lock:
            others = [loop for loop in self._loops if loop is not here]
        for loop in others:
            do_on(loop, lambda: None, turns=_TURNS)


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
