"""`Stream`: an Observable that can be awaited, iterated and waited for from any loop and thread, also after ``pipe``.

Floor 2. reactivex' own ``await`` stalls when the value comes from another thread, because it does not wake the loop;
these do. `Multicast` is the stream a service feeds: hot, any number of observers, the latest value kept if asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

from reactivex import Observable, abc, operators
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxsdk.core.loop import check_may_block, running_loop
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.delivery import MAILBOX_SIZE, Dispatcher, Subscription, callbacks_of

__all__ = ["Multicast", "Stream", "wake"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_NOTHING: Any = object()


def wake(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """Set ``future`` of ``loop`` from whatever thread this is."""

    def set_it() -> None:
        if not future.done():
            future.set_result(None)

    if running_loop() is loop:
        set_it()
    else:
        with suppress(RuntimeError):  # that loop has closed: nobody waits there any more
            loop.call_soon_threadsafe(set_it)


class _Last:
    """An observer that keeps the last value and tells when it is over."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._value = _NOTHING
        self._error: Exception | None = None

    def on_next(self, value: Any) -> None:
        self._value = value

    def on_error(self, error: Exception) -> None:
        self._error = error
        self._done()

    def on_completed(self) -> None:
        self._done()

    def outcome(self) -> Any:
        if self._error is not None:
            error, self._error = self._error, None  # its traceback will hold us
            try:
                raise error
            finally:
                del error
        if self._value is _NOTHING:
            raise SequenceContainsNoElementsError()
        return self._value


class Stream(Observable[T_co]):
    """An Observable for every way of using one.

    Besides ``subscribe`` and ``pipe`` (which gives a Stream again):

    - ``await stream``: the last value when it completes, from any event loop;
    - ``async for value in stream``: each value; leaving the loop disposes the subscription;
    - ``stream.result(timeout_s)``: ``await`` for threads without a loop.
    """

    def __init__(self, dispatcher: Dispatcher, source: Observable[T_co] | None = None) -> None:
        # reactivex' own __init__ is left out: it makes a lock for each, which only some operators want.
        self._dispatcher = dispatcher
        self._source = source
        self._lock: threading.RLock | None = None

    @property
    def lock(self) -> threading.RLock:  # type: ignore[override]
        """What reactivex' operators synchronise on; made when one does."""
        if self._lock is None:
            self._lock = threading.RLock()
        return self._lock

    def subscribe(
        self,
        on_next: abc.ObserverBase[T_co] | abc.OnNext[T_co] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Subscribe an observer, or up to three callbacks. They are called on the service's loop or its thread."""
        return cast("Observable[T_co]", self._source).subscribe(on_next, on_error, on_completed, scheduler=scheduler)

    __iter__ = None  # reactivex' indexing would make a plain ``for`` endless

    def __repr__(self) -> str:
        return "<Stream>"

    def pipe(self, *steps: Callable[[Any], Any]) -> Any:
        """reactivex' ``pipe``; what comes out is a Stream again, unless an operator makes something of its own."""
        result: Any = self
        for operator in steps:
            result = operator(result)
        return self._ours(result)

    def _ours(self, result: Any) -> Any:
        if type(result) is list:  # of ``partition``
            return [self._ours(part) for part in result]
        return Stream(self._dispatcher, result) if type(result) is Observable else result

    # These go round ``pipe`` in reactivex.

    def __add__(self, other: Observable[Any]) -> Stream[Any]:
        return Stream(self._dispatcher, super().__add__(other))

    def __iadd__(self, other: Observable[Any]) -> Stream[Any]:
        return self + other

    def dematerialize(self) -> Any:
        return self.pipe(operators.dematerialize())

    def exclusive(self) -> Any:
        return self.pipe(operators.exclusive())

    def partition_indexed(self, predicate_indexed: Callable[[Any, int], bool]) -> Any:
        return self.pipe(operators.partition_indexed(predicate_indexed))

    def pluck(self, key: Any) -> Any:
        return self.pipe(operators.pluck(key))

    def sum(self, key_mapper: Callable[[Any], float] | None = None) -> Any:
        return self.pipe(operators.sum(cast(Any, key_mapper)))

    def switch_latest(self) -> Any:
        return self.pipe(operators.switch_latest())

    def __await__(self) -> Generator[Any, None, T_co]:
        return self._wait_for_last().__await__()

    async def _wait_for_last(self) -> T_co:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        last = _Last(lambda: wake(loop, future))
        subscription = self.subscribe(last.on_next, last.on_error, last.on_completed)
        try:
            await future
        finally:
            subscription.dispose()
        return cast(T_co, last.outcome())

    def result(self, timeout_s: float | None = None) -> T_co:
        """Block until it completes and return the last value.

        Raises:
            TimeoutError: not complete within ``timeout_s`` seconds.
            WrongThreadError: on a thread that runs an event loop, or one of the SDK's.
        """
        check_may_block(".result()", "await", self._dispatcher.loop)
        done = threading.Event()
        last = _Last(done.set)
        subscription = self.subscribe(last.on_next, last.on_error, last.on_completed)
        try:
            if not done.wait(timeout_s):
                raise TimeoutError(f"not complete within {timeout_s:g} s")
        finally:
            subscription.dispose()
        return cast(T_co, last.outcome())

    def run(self, scheduler: abc.SchedulerBase | None = None) -> T_co:
        """reactivex' name for `result`."""
        return self.result()

    def __aiter__(self) -> _Iteration[T_co]:
        return _Iteration(self)


class _Inbox:
    """What an iteration has received and not yet given out; bounded like every mailbox."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.values: deque[Any] = deque()
        self.over = False
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None

    def on_next(self, value: Any) -> None:
        if self.over:
            return
        if len(self.values) < MAILBOX_SIZE:
            self.values.append(value)
            self._wake()
        else:
            self.on_error(DeliveryOverflow(MAILBOX_SIZE))

    def on_error(self, error: Exception) -> None:
        if not self.over:
            self.error = error
            self.on_completed()

    def on_completed(self) -> None:
        self.over = True
        self._wake()

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            wake(self._loop, waiter)


class _Iteration(Generic[T]):
    """``async for`` over a stream. Dropping it, as ``break`` does, disposes the subscription."""

    def __init__(self, stream: Stream[T]) -> None:
        self._inbox = inbox = _Inbox(asyncio.get_running_loop())
        self._subscription = stream.subscribe(inbox.on_next, inbox.on_error, inbox.on_completed)

    def __aiter__(self) -> _Iteration[T]:
        return self

    async def __anext__(self) -> T:
        inbox = self._inbox
        while not inbox.values:
            if inbox.over:
                self._subscription.dispose()
                if inbox.error is not None:
                    error, inbox.error = inbox.error, None
                    try:
                        raise error
                    finally:
                        del error
                raise StopAsyncIteration
            inbox.waiter = asyncio.get_running_loop().create_future()
            if not inbox.values and not inbox.over:  # else it came before the waiter was there to be woken
                await inbox.waiter
            inbox.waiter = None
        return cast(T, inbox.values.popleft())

    async def aclose(self) -> None:
        """Stop early, as a generator's ``aclose`` does."""
        self._subscription.dispose()
        self._inbox.values.clear()
        self._inbox.over = True

    def __del__(self) -> None:
        if hasattr(self, "_subscription"):
            self._subscription.dispose()


class Multicast(Stream[T]):
    """A hot stream: what is emitted goes to all who are subscribed at that moment.

    With ``keep_latest`` a late subscriber is first given the latest value. After its end, everybody is told that end.
    ``emit``, ``fail`` and ``complete`` are for the owner, on its loop; ``joined`` is called with nothing, on whatever
    thread it was, after somebody has subscribed.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        keep_latest: bool = False,
        initial: Any = _NOTHING,
        joined: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self._joined = joined
        self._keep_latest = keep_latest
        self._latest = initial
        self._subscriptions: tuple[Subscription, ...] = ()
        self._is_over = False
        self._error: Exception | None = None
        self._posted = 0
        self._delivered = 0

    @property
    def has_observers(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscriptions)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """See `Stream.subscribe`."""
        subscription = Subscription(*callbacks_of(on_next, on_error, on_completed), self._detach, self._dispatcher.loop)
        with self._dispatcher.lock:
            if self._latest is not _NOTHING:
                self._dispatcher.post(subscription.next, self._latest)
            if self._is_over:
                self._dispatcher.post(self._end_one, subscription)
            else:
                subscription.joined = self._posted
                self._subscriptions = (*self._subscriptions, subscription)
        self._dispatcher.run_if_closed()
        if self._joined is not None:
            self._joined()
        return subscription

    def emit(self, value: T, delivered: Callable[[bool], None] | None = None) -> bool:
        """Give ``value`` to everybody; returns whether there was anybody.

        ``delivered`` is called, on the thread that delivers, once all who were subscribed have been handed it, or have
        left before: with whether it was handed to anybody. Never when there was nobody to begin with.
        """
        with self._dispatcher.lock:
            if self._is_over:
                return False
            if self._keep_latest:
                self._latest = value
            if not self._subscriptions:
                return False
            if self._posted - self._delivered >= MAILBOX_SIZE:
                self._drop_the_slow()
            self._posted += 1
            self._dispatcher.post(self._deliver, (self._subscriptions, value, delivered))
            return True

    def complete(self) -> None:
        """Nothing more comes."""
        self._finish(None)

    def fail(self, error: Exception) -> None:
        """It ends with ``error``."""
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        with self._dispatcher.lock:
            if self._is_over:
                return
            self._is_over = True
            self._error = error
            subscriptions, self._subscriptions = self._subscriptions, ()
            for subscription in subscriptions:
                self._dispatcher.post(self._end_one, subscription)

    def _end_one(self, subscription: Subscription) -> None:
        if self._error is not None:
            subscription.fail(self._error)
        else:
            subscription.complete()

    def _deliver(self, job: tuple[tuple[Subscription, ...], T, Callable[[bool], None] | None]) -> None:
        self._delivered += 1
        subscriptions, value, delivered = job
        handed = False
        for subscription in subscriptions:
            handed = handed or not subscription.is_stopped
            subscription.next(value)
        if delivered is not None:
            delivered(handed)

    def _drop_the_slow(self) -> None:
        """Whoever is a whole mailbox behind is told so and let go."""
        slow = [one for one in self._subscriptions if self._posted - max(one.joined, self._delivered) >= MAILBOX_SIZE]
        self._subscriptions = tuple(one for one in self._subscriptions if one not in slow)
        for subscription in slow:
            self._dispatcher.post(lambda one: one.fail(DeliveryOverflow(MAILBOX_SIZE)), subscription)

    def _detach(self, subscription: Subscription) -> None:
        with self._dispatcher.lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)
