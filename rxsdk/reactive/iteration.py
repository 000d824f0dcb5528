"""`Iteration`: ``async for`` over a stream, and the inbox it takes from.

Floor 2.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar, cast

from rxsdk.core.loop import wake
from rxsdk.core.mailbox import Mailbox
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.subscription import Subscription

__all__ = ["Iteration"]

T = TypeVar("T")


class _Inbox:
    """What an iteration has received and not yet given out; bounded like every mailbox."""

    def __init__(self, loop: asyncio.AbstractEventLoop, mailbox: Mailbox) -> None:
        self._loop = loop
        self._size, self._on_overflow = mailbox
        self.values: deque[Any] = deque()
        self.dropped = 0
        self.over = False
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None

    def on_next(self, value: Any) -> None:
        if self.over:
            return
        if len(self.values) >= self._size:
            if self._on_overflow == "error":
                self.on_error(DeliveryOverflow(self._size))
                return
            self._drop()
        self.values.append(value)
        self._wake()

    def on_error(self, error: Exception) -> None:
        if not self.over:
            self.error = error
            self.on_completed()

    def on_completed(self) -> None:
        self.over = True
        self._wake()

    def _drop(self) -> None:
        with suppress(IndexError):  # the iteration has taken it meanwhile
            self.values.popleft()
            self.dropped += 1

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            wake(self._loop, waiter)


class _Iterable(Protocol):
    def subscribe(self, on_next: Any, on_error: Any, on_completed: Any) -> Subscription: ...


class Iteration(Generic[T]):
    """``async for`` over a stream. Dropping it, as ``break`` does, disposes the subscription.

    Its values wait in an inbox, bounded as the stream's mailboxes are.
    """

    def __init__(self, stream: _Iterable, mailbox: Mailbox) -> None:
        self._inbox = inbox = _Inbox(asyncio.get_running_loop(), mailbox)
        self._subscription = stream.subscribe(inbox.on_next, inbox.on_error, inbox.on_completed)

    @property
    def lag(self) -> int:
        """How many values wait to be taken."""
        return len(self._inbox.values) + self._subscription.lag

    @property
    def dropped(self) -> int:
        """How many were dropped because too many waited."""
        return self._inbox.dropped + self._subscription.dropped

    def __aiter__(self) -> Iteration[T]:
        return self

    async def __anext__(self) -> T:
        inbox = self._inbox
        while True:
            try:
                return cast(T, inbox.values.popleft())
            except IndexError:
                if inbox.over and not inbox.values:
                    self._end()
            inbox.waiter = asyncio.get_running_loop().create_future()
            if not inbox.values and not inbox.over:  # else it came before the waiter was there to be woken
                await inbox.waiter
            inbox.waiter = None

    def _end(self) -> None:
        self._subscription.dispose()
        error, self._inbox.error = self._inbox.error, None
        if error is None:
            raise StopAsyncIteration
        try:
            raise error
        finally:
            del error

    async def aclose(self) -> None:
        """Stop early, as a generator's ``aclose`` does."""
        self._subscription.dispose()
        self._inbox.values.clear()
        self._inbox.over = True

    def __del__(self) -> None:
        if hasattr(self, "_subscription"):
            self._subscription.dispose()
