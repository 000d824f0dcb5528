"""`Clock`: the time, and timers, as arguments.

Floor 1. `LoopClock` is the real one; tests put another in its place and move it by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Clock", "LoopClock", "Timer"]


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
        self.now = loop.time
        self.wall = time.time
        self._loop = loop

    def call_at(self, when: float, callback: Callable[..., Any]) -> Timer:
        """See `Clock.call_at`."""
        return self._loop.call_at(when, callback)
