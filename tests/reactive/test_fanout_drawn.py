"""Subscribers of every policy that come, lag and go as drawn: each hears exactly what it was granted."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, get_args

import pytest

from rxsdk.core.mailbox import OnOverflow
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.streams import Multicast
from tests.reactive.helpers import Notes

POLICIES = get_args(OnOverflow)


class Drawn(Notes):
    """One that now and then is slow, or disposes itself."""

    def __init__(self, stream: Multicast[int], joined_at: int, draw: random.Random) -> None:
        super().__init__()
        self.joined_at = joined_at
        self.size, self.policy = draw.choice([2, 20, 16_384]), draw.choice(POLICIES)
        self.is_disposed = False
        self._slow_s = draw.choice([0, 0, 0.002, 0.004])
        self._draw = random.Random(draw.random())
        self.subscription: Any = stream.buffered(self.size, on_overflow=self.policy).subscribe(self)

    def on_next(self, value: int) -> None:
        super().on_next(value)
        if self._draw.random() < 0.5:
            time.sleep(self._slow_s)
        if self._draw.random() < 0.005:
            self.dispose()

    def dispose(self) -> None:
        self.is_disposed = True
        self.subscription.dispose()

    def check(self, emitted: int) -> None:
        """After all were told of the end."""
        heard, granted = self.values, emitted - self.joined_at
        assert heard == sorted(set(heard))
        if self.policy == "error":
            assert heard == list(range(self.joined_at, self.joined_at + len(heard)))
            assert self.subscription.dropped == 0
        if self.is_disposed:
            return
        if isinstance(self.error, DeliveryOverflow):
            assert self.policy == "error"
            assert self.size <= len(heard) < granted
        else:
            assert self.completed
            assert len(heard) + self.subscription.dropped == granted
            assert not heard or heard[-1] == emitted - 1


async def emit_to_whoever_comes(dispatcher: Dispatcher, draw: random.Random) -> None:
    stream: Multicast[int] = Multicast(dispatcher)
    drawn: list[Drawn] = []
    emitted = 0
    for _ in range(draw.randint(20, 100)):
        if draw.random() < 0.15 and len(drawn) < 12:
            drawn.append(Drawn(stream, emitted, draw))
        if draw.random() < 0.03 and drawn:
            draw.choice(drawn).dispose()
        for _ in range(draw.choice([1, 1, 1, 3, 3, 20, 200])):
            stream.emit(emitted)
            emitted += 1
        if draw.random() < 0.8:
            await asyncio.sleep(draw.choice([0, 0, 0, 0.001]))
    stream.complete()
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    dispatcher.close(lambda: loop.call_soon_threadsafe(over.set))
    await asyncio.wait_for(over.wait(), 20)
    for one in drawn:
        one.check(emitted)
    assert (stream._log, stream._apart, stream._in_step) == (None, (), ())


@pytest.mark.parametrize("place", ["loop", "thread"])
@pytest.mark.parametrize("seed", [2, 9, 25])
def test_everybody_hears_what_was_granted(seed: int, place: str) -> None:
    async def scene() -> None:
        dispatcher, loop = Dispatcher(), asyncio.get_running_loop()
        if place == "loop":
            dispatcher.run_on_loop(loop)
        else:
            dispatcher.run_on_thread("rxsdk test delivery", loop)
        await emit_to_whoever_comes(dispatcher, random.Random(seed))
        dispatcher.join()

    asyncio.run(scene())
