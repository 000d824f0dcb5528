"""`Pulled`: a cold stream whose source waits for its observer.

Floor 2. Each subscription runs the source anew, as a task on the service's loop. The next value is asked for when the
observer has returned from the one before; with ``async for``, when the next is asked for there. So however slow the
observer, one value is on its way at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from reactivex import abc

from rxsdk.core.loop import wake
from rxsdk.errors import CallNotSent, ConnectionLost
from rxsdk.reactive.iteration import Iteration
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.reactive.subscription import Subscription

__all__ = ["Pulled"]

T = TypeVar("T")


class _Run(Multicast[T]):
    """The values of one run of the source, for the one who asked for it.

    ``asks`` is whether the next is wanted as soon as the observer has returned; else `want` says so.
    """

    def __init__(self, life: Life, what: str, values: Callable[[], AsyncGenerator[T, None]], *, asks: bool) -> None:
        super().__init__(life.dispatcher)
        self._life = life
        self._what = what
        self._values = values
        self._asks = asks
        self._wanted: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Run it."""
        if self._life.still_open():
            self._life.on_loop(_Run[T]._begin_here, self)
            return
        error = CallNotSent(self._what, self._life.why_closed)
        if not self._life.is_used:
            raise error  # there is no place yet where an observer could be told
        self.fail(error)
        self._dispatcher.run_if_closed()

    def want(self) -> None:
        """The next value may come; from any thread."""
        if self._wanted is not None:
            wake(self._life.lease.loop, self._wanted)

    def _begin_here(self) -> None:
        if not self._life.is_open:
            self.fail(CallNotSent(self._what, self._life.why_closed))
        elif self.has_observers:
            self._task = self._life.spawn(self._work(), f"rxsdk {self._what}", self._cut_off)
            self._task.add_done_callback(self._worked)

    async def _work(self) -> None:
        async with aclosing(self._values()) as values:
            async for value in values:
                self._wanted = asyncio.get_running_loop().create_future()
                if self.emit(value, self._handed if self._asks else None):
                    await self._wanted

    def _handed(self, _: bool) -> None:
        self.want()

    def _worked(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._cut_off()
        elif isinstance(error := task.exception(), Exception):
            self.fail(error)
        else:
            self.complete()

    def _cut_off(self) -> None:
        self.fail(ConnectionLost(self._life.why_closed))  # or nobody listens: then nobody hears

    def _detach(self, subscription: Subscription) -> None:
        super()._detach(subscription)
        if self._life.is_open:
            self._life.on_loop(_Run[T]._end_here, self)

    def _end_here(self) -> None:
        if self._task is not None:
            self._task.cancel()


class Pulled(Stream[T]):
    """See the module.

    Args:
        what: what it does, for errors.
        values: makes the values, on the service's loop; closed when nobody wants more.

    Raises:
        CallNotSent: from ``subscribe`` and its like, when the service was never opened; later it is the stream's error.
    """

    def __init__(self, life: Life, what: str, values: Callable[[], AsyncGenerator[T, None]]) -> None:
        super().__init__(life.dispatcher)
        self._life = life
        self._what = what
        self._values = values

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> Subscription:
        """See `Stream.subscribe`."""
        run = self._run(asks=True)
        subscription = run.subscribe(on_next, on_error, on_completed)
        run.begin()
        return subscription

    def _run(self, *, asks: bool) -> _Run[T]:
        return _Run(self._life, self._what, self._values, asks=asks)

    def __aiter__(self) -> Iteration[T]:
        return _Pulling(self._run(asks=False))


class _Pulling(Iteration[T]):
    """``async for``: asking for a value is what lets it come."""

    def __init__(self, run: _Run[T]) -> None:
        super().__init__(run, run._mailbox)
        self._run = run
        run.begin()

    async def __anext__(self) -> T:
        self._run.want()
        return await super().__anext__()
