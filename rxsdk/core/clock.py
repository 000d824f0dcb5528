"""`Clock`: the time, and timers, as arguments.

Floor 1. `LoopClock` is the real one; tests put another in its place and move it by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Clock", "LoopClock", "Timer", "done_within"]


class Timer(Protocol):
    """A timer that is set."""

    def cancel(self) -> None:
        """Let it not ring."""
        ...


class Clock(Protocol):
    """Seconds: ``now`` never jumps, ``wall`` counts from 1970."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def wall(self) -> float:
        """Seconds since 1970."""
        ...

    def call_at(self, when: float, callback: Callable[..., Any]) -> Timer:
        """Call ``callback`` on the loop when ``now`` has reached ``when``."""
        ...


class LoopClock:
    """The clock of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        is_stock = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
        # uvloop tells the beginning of its turn in whole milliseconds: there a round trip would take none at all.
        is_real = is_stock or type(loop).__module__ == "uvloop"
        self.now = time.monotonic if is_real else loop.time
        self.wall = time.time
        self._loop = loop

    def call_at(self, when: float, callback: Callable[..., Any]) -> Timer:
        """See `Clock.call_at`."""
        return self._loop.call_later(when - self.now(), callback)


async def done_within(clock: Clock, timeout_s: float | None, future: asyncio.Future[Any]) -> bool:
    """Wait for ``future`` (its outcome is left alone) at most so long by ``clock``; whether it is done."""
    if future.done():
        return True
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: object = None) -> None:
        if not woken.done():
            woken.set_result(None)

    timer = None if timeout_s is None else clock.call_at(clock.now() + timeout_s, wake)
    future.add_done_callback(wake)
    try:
        await woken
    finally:
        future.remove_done_callback(wake)
        if timer is not None:
            timer.cancel()
    return future.done()
