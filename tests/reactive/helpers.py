"""Places to deliver on, and observers that note what they hear and check the contract."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from rxsdk.errors import CallRejected
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.subscription import Place, Subscription


class Notes:
    """An observer that notes everything, and that it is never called concurrently nor after the end."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.error: Exception | None = None
        self.completed = False
        self.threads: set[threading.Thread] = set()
        self.over = threading.Event()
        self._busy = threading.Lock()

    def _hear(self, hear: Callable[[], None]) -> None:
        assert self._busy.acquire(blocking=False), "called concurrently"
        try:
            assert not self.over.is_set(), "called after the end"
            self.threads.add(threading.current_thread())
            hear()
        finally:
            self._busy.release()

    def on_next(self, value: Any) -> None:
        self._hear(lambda: self.values.append(value))

    def on_error(self, error: Exception) -> None:
        def hear() -> None:
            self.error = error
            self.over.set()

        self._hear(hear)

    def on_completed(self) -> None:
        def hear() -> None:
            self.completed = True
            self.over.set()

        self._hear(hear)


@contextmanager
def delivery_thread(dispatcher: Dispatcher | None = None) -> Iterator[Dispatcher]:
    """A dispatcher on a thread of its own, which has run everything at the end."""
    dispatcher = dispatcher or Dispatcher()
    dispatcher.run_on_thread("rxsdk test delivery")
    try:
        yield dispatcher
    finally:
        dispatcher.close(lambda: None)
        dispatcher.join()


def drained(dispatcher: Dispatcher, timeout_s: float = 10.0) -> None:
    """Wait until all that was posted has been run by the thread."""
    done = threading.Event()
    dispatcher.post(lambda _: done.set(), None)
    assert done.wait(timeout_s)


async def drained_here(dispatcher: Dispatcher, timeout_s: float = 10.0) -> None:
    """Wait until all that was posted has been run by this loop."""
    done = asyncio.Event()
    dispatcher.post(lambda _: done.set(), None)
    await asyncio.wait_for(done.wait(), timeout_s)


class Nowhere:
    """A source that has no subscribers; notes which are detached."""

    def __init__(self) -> None:
        self._dispatcher = Dispatcher()
        self.detached: list[Subscription] = []

    def _detach(self, subscription: Subscription) -> None:
        self.detached.append(subscription)

    def _lag_of(self, subscription: Subscription) -> int:
        return 0

    def _take_turn(self, subscription: Subscription, place: Place) -> bool:
        return False


def subscription_of(notes: Notes) -> Subscription:
    """A subscription that nobody holds."""
    return Subscription(notes.on_next, notes.on_error, notes.on_completed, Nowhere())


class Table:
    """Makes calls and notes how they are taken back."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.cancelled: list[bool] = []

    def call(self, decode: Callable[[Any], Any] | None = None) -> Call[Any]:
        return Call("staff/read", self.dispatcher, lambda call, asked: self.cancelled.append(asked), decode)

    def drained(self) -> None:
        drained(self.dispatcher)


def rejected() -> CallRejected:
    """A refusal by the server."""
    res: Any = SimpleNamespace(status=403, code="CORE_SESSION_FORBIDDEN", msg="no")
    return CallRejected("staff/read", res)
