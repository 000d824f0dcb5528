"""`do_on`: have the loop of another thread do something, and wait for it.

A leaf, for `FaultProxy` and `FakeClock`, which are called from a test's thread and act on a loop's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

__all__ = ["do_on"]


def do_on(loop: asyncio.AbstractEventLoop, work: Callable[[], object], *, turns: int = 0) -> None:
    """Have ``loop`` do ``work`` and then turn ``turns`` times; returns when it has, and raises what ``work`` raised.

    A loop that is closed does nothing; one that stands still is not waited for, it does it when it runs again.
    """
    done = threading.Event()
    raised: list[BaseException] = []

    def turn(left: int) -> None:
        if left:
            loop.call_soon(turn, left - 1)
        else:
            done.set()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        turn(turns)

    try:
        loop.call_soon_threadsafe(run)
    except RuntimeError:
        return
    while not done.wait(0.05) and loop.is_running():
        pass
    if raised:
        raise raised[0]
