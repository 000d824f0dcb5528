"""`Stream`: an Observable that can be awaited, iterated and waited for from any loop and thread, also after ``pipe``.

Floor 2. reactivex' own ``await`` stalls when the value comes from another thread, because it does not wake the loop;
these do. `Multicast` is the stream a service feeds: hot, any number of observers, the latest value kept if asked.
`HotStream` is what it and `rxsdk.reactive.call.Call` have in common.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

from reactivex import ConnectableObservable, Observable, abc, operators
from reactivex.disposable import SingleAssignmentDisposable
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxsdk.core.loop import check_may_block, wake
from rxsdk.core.mailbox import DeliveryPolicy, Mailbox, OnOverflow, check_mailbox
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.fanout import Fanout
from rxsdk.reactive.iteration import Iteration
from rxsdk.reactive.piping import Piping
from rxsdk.reactive.subscription import Place, Subscription, callbacks_of, caught, end

__all__ = ["NOTHING", "ConnectableStream", "HotStream", "Multicast", "Stream"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NOTHING: Any = object()


class _Last:
    """An observer that keeps the last value and tells when it is over."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._value = NOTHING
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
        if self._value is NOTHING:
            raise SequenceContainsNoElementsError()
        return self._value


class Stream(Piping[T_co]):
    """An Observable for every way of using one.

    Besides ``subscribe`` and ``pipe`` (which gives a Stream again):

    - ``await stream``: the last value when it completes, from any event loop;
    - ``async for value in stream``: each value; leaving the loop disposes the subscription;
    - ``stream.result(timeout_s)``: ``await`` for threads without a loop.
    """

    _source: Observable[T_co] | None = None
    _lock: threading.RLock | None = None

    def __init__(self, dispatcher: Dispatcher, source: Observable[T_co] | None = None) -> None:
        # reactivex' own __init__ is left out: it makes a lock for each, which only some operators want.
        self._dispatcher = dispatcher
        if source is not None:
            self._source = source

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
    ) -> Subscription:
        """Subscribe an observer, or up to three callbacks. They are called on the service's loop or its thread."""
        leaf = _Leaf(*callbacks_of(on_next, on_error, on_completed), self)
        source = cast("Observable[T_co]", self._source)
        leaf.upstream.disposable = source.subscribe(leaf.next, leaf.fail, leaf.complete, scheduler=scheduler)
        return leaf

    def buffered(self, size: int, *, on_overflow: OnOverflow) -> Stream[T_co]:
        """The same, but for each of its subscribers ``size`` notifications may wait; then ``on_overflow`` decides.

        ``"error"``: the subscriber hears those that wait and then `DeliveryOverflow`. ``"drop_oldest"``: the oldest is
        dropped. ``"latest"``: only one ever waits, the newest. ``subscription.lag`` and ``.dropped`` count them.

        Raises:
            ConfigurationError: these make no mailbox.
        """
        check_mailbox(size, on_overflow, "size", "on_overflow")
        return _Buffered(self, DeliveryPolicy(size, on_overflow).mailbox)

    def _detach(self, subscription: Subscription) -> None:
        cast(_Leaf, subscription).upstream.dispose()

    def _lag_of(self, subscription: Subscription) -> int:
        return 0  # it is called within the callback of the source's subscription

    def _take_turn(self, subscription: Subscription, place: Place) -> bool:
        return False

    @property
    def _mailbox(self) -> Mailbox:
        return self._dispatcher.policy.mailbox

    __iter__ = None  # reactivex' indexing would make a plain ``for`` endless

    def __repr__(self) -> str:
        return "<Stream>"

    def _piped(self) -> Observable[Any]:
        return self if self._source is None else self._source

    def _ours(self, result: Any) -> Any:
        if type(result) is list:  # of ``partition``
            return [self._ours(part) for part in result]
        if type(result) is ConnectableObservable:
            return ConnectableStream(self._dispatcher, result)
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

    def __aiter__(self) -> Iteration[T_co]:
        return Iteration(self, self._mailbox)


class ConnectableStream(Stream[T], ConnectableObservable[T]):
    """What ``publish`` and its kin make: subscribed to its source when it is told to."""

    def __init__(self, dispatcher: Dispatcher, connectable: ConnectableObservable[T]) -> None:
        Stream.__init__(self, dispatcher, connectable)
        self._connectable = connectable

    def connect(self, scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase | None:
        """Subscribe to the source, once; returns that subscription."""
        return self._connectable.connect(scheduler)

    def ref_count(self) -> Stream[T]:
        """Connected while anybody is subscribed."""
        made: Stream[T] = self._ours(operators.ref_count()(self._connectable))
        return made

    def auto_connect(self, subscriber_count: int = 1) -> Stream[T]:
        """Connected for good once so many have subscribed; 0 connects now."""
        made: Stream[T] = self._ours(self._connectable.auto_connect(subscriber_count))
        return made


class _Leaf(Subscription):
    """The subscription to what operators have made.

    What its callbacks raise does not get into the operators, which may be on their way to others too.
    """

    __slots__ = ("upstream",)

    def __init__(self, on_next: Any, on_error: Any, on_completed: Any, stream: Stream[Any]) -> None:
        super().__init__(on_next, on_error, on_completed, stream)
        self.upstream = SingleAssignmentDisposable()

    def next(self, value: Any) -> None:
        """See `Subscription.next`; already within the context and the call of the source's subscription."""
        try:
            self._next(value)
        except BaseException as error:
            out = self.raised(error)
            if out is not None:
                raise out from None

    def _say(self, name: str, callback: Callable[..., Any], *arguments: Any) -> None:
        self._stop()
        try:
            callback(*arguments)
        except BaseException as error:
            caught(error, name)


class HotStream(Fanout, Stream[T]):
    """A stream that its owner feeds, to whoever is subscribed at that moment."""

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> Subscription:
        """See `Stream.subscribe`."""
        on_next, on_error, on_completed = callbacks_of(on_next, on_error, on_completed)
        subscription = Subscription(on_next, on_error, on_completed, self)
        self.admit(subscription)
        return subscription

    @abstractmethod
    def admit(self, subscription: Subscription) -> None:
        """Give it what is kept for those who come late, and what comes from now on."""


class _Buffered(Stream[T]):
    """A stream whose subscribers have mailboxes of their own choice."""

    def __init__(self, stream: Stream[T], mailbox: Mailbox) -> None:
        super().__init__(stream._dispatcher, stream)
        self._granted = mailbox

    @property
    def _mailbox(self) -> Mailbox:
        return self._granted

    def _piped(self) -> Observable[Any]:
        return self  # else the operators would go round the mailbox

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> Subscription:
        """See `Stream.subscribe`."""
        stream = cast("Stream[T]", self._source)
        relay = stream if isinstance(stream, HotStream) else _Relay(self._dispatcher)
        subscription = Subscription(*callbacks_of(on_next, on_error, on_completed), relay, self._granted)
        relay.admit(subscription)
        if isinstance(relay, _Relay):
            relay.upstream.disposable = stream.subscribe(
                relay.on_next, relay.on_error, relay.on_completed, scheduler=scheduler
            )
        return subscription


class Multicast(HotStream[T]):
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
        initial: Any = NOTHING,
        joined: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self._in_step = self._apart = ()  # not the class's: these are asked for at every message
        self._is_slow = False
        self._joined = joined
        self._keep_latest = keep_latest
        self._latest = initial
        self._is_over = False
        self._error: Exception | None = None

    @property
    def has_observers(self) -> bool:
        """Whether anybody listens."""
        return bool(self._in_step or self._apart) and not self._is_over

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    def admit(self, subscription: Subscription) -> None:
        """See `HotStream.admit`."""
        dispatcher = self._dispatcher
        with dispatcher.lock:
            if self._latest is not NOTHING:
                dispatcher.post(subscription.next, self._latest)
            if self._is_over:
                dispatcher.post(self._end_one, subscription)
            else:
                self._join(subscription)
        dispatcher.run_if_closed()
        if self._joined is not None:
            self._joined()

    def _end_one(self, subscription: Subscription) -> None:
        end((subscription,), self._error)

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
            if not self._is_heard():
                return False
            self._post(value, delivered)
            return True

    def complete(self) -> None:
        """Nothing more comes."""
        self._finish(None)

    def fail(self, error: Exception) -> None:
        """It ends with ``error``."""
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        with self._dispatcher.lock:
            if not self._is_over:
                self._is_over = True
                self._error = error
                self._post_end()


class _Relay(Multicast[T]):
    """Between what operators have made and one subscriber with a mailbox."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self.upstream = SingleAssignmentDisposable()

    def on_next(self, value: T) -> None:
        self.emit(value)
        self._dispatcher.run_if_closed()

    def on_error(self, error: Exception) -> None:
        self.fail(error)
        self._dispatcher.run_if_closed()

    def on_completed(self) -> None:
        self.complete()
        self._dispatcher.run_if_closed()

    def _detach(self, subscription: Subscription) -> None:
        super()._detach(subscription)
        self.upstream.dispose()
