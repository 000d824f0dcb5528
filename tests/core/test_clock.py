"""`LoopClock`: the loop's own time."""

from __future__ import annotations

import asyncio
import time

from rxsdk.core.clock import LoopClock


def test_it_tells_the_loops_time_and_rings_on_it() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        clock = LoopClock(loop)
        assert abs(clock.now() - loop.time()) < 1.0
        assert abs(clock.wall() - time.time()) < 1.0
        rung = asyncio.Event()
        silent = clock.call_at(clock.now() + 0.005, lambda: rang_all_the_same.append(1))
        silent.cancel()
        clock.call_at(clock.now() + 0.01, rung.set)
        await asyncio.wait_for(rung.wait(), 5)

    rang_all_the_same: list[int] = []
    asyncio.run(scene())
    assert rang_all_the_same == []
