"""`LoopClock`: the loop's own time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rxsdk.core.clock import LoopClock, done_within
from rxsdk.testing import FakeClock


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


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, pytest.param("uvloop", id="uvloop")])
def test_within_one_turn_of_the_loop_time_passes_too(factory: Any) -> None:
    async def scene() -> float:
        clock = LoopClock(asyncio.get_running_loop())
        before, began = clock.now(), time.perf_counter()
        while time.perf_counter() - began < 0.0003:
            pass
        return clock.now() - before

    if factory == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        assert 0.0002 <= runner.run(scene()) < 5


def test_a_loop_with_a_time_of_its_own_is_followed() -> None:
    class Slow(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return super().time() / 2

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert abs(LoopClock(loop).now() - loop.time()) < 1.0

    with asyncio.Runner(loop_factory=Slow) as runner:
        runner.run(scene())


@pytest.mark.parametrize("timeout_s", [None, 5.0])
@pytest.mark.parametrize("outcome", ["result", "error", "cancelled", "before"])
def test_done_within_waits_for_a_future_and_leaves_its_outcome_alone(timeout_s: float | None, outcome: str) -> None:
    async def scene() -> None:
        clock, future = FakeClock(), asyncio.get_running_loop().create_future()
        if outcome == "before":
            future.set_result(1)
        waiting = asyncio.create_task(done_within(clock, timeout_s, future))
        await asyncio.sleep(0)
        if outcome == "result":
            future.set_result(1)
        elif outcome == "error":
            future.set_exception(ValueError())
        elif outcome == "cancelled":
            future.cancel()
        assert await waiting is True
        if outcome == "error":
            assert isinstance(future.exception(), ValueError)
        assert not future._callbacks  # type: ignore[attr-defined]

    asyncio.run(scene())


def test_done_within_returns_when_the_time_is_over_and_the_future_goes_on() -> None:
    async def scene() -> None:
        clock, future = FakeClock(), asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(done_within(clock, 5.0, future))
        await asyncio.sleep(0)
        await clock.advance_async(4.9)
        assert not waiting.done()
        await clock.advance_async(0.2)
        assert await waiting is False
        assert not future.done()
        cancelled = asyncio.create_task(done_within(clock, None, future))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert not future.cancelled()

    asyncio.run(scene())
