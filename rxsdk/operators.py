"""Operators for ``pipe``: what applications do with calls, and reactivex has no word for.

Floor 3. Piped from a stream of rxsdk they give a `rxsdk.Stream` again, which can be awaited and iterated anywhere;
from any other Observable, an Observable.

**Calls are hot, retrying wants cold.** ``api.call(…)`` is on its way when it returns, and keeps its outcome: to
subscribe to it again, as ``ops.retry`` does, is to hear the same error again. What is to be tried again is made anew by
each subscription::

    reactivex.defer(lambda _: api.call("staff/read")).pipe(ops.retry(3))
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable, SingleAssignmentDisposable

from rxsdk.changes import Gap
from rxsdk.errors import CallNotSent, ConfigurationError, DeliveryOverflow
from rxsdk.protocols.limp.res import Res
from rxsdk.reactive.call import Call

if TYPE_CHECKING:
    from rxsdk.limp import ApiService

__all__ = ["call_each", "docs", "retry_not_sent"]

T = TypeVar("T")
Operator = Callable[[Observable[Any]], Observable[Any]]


def call_each(
    api: ApiService,
    endpoint: str,
    make: Callable[[T], Mapping[str, Any]],
    *,
    max_in_flight: int = 8,
    ordered: bool = True,
    max_waiting: int = 100_000,
) -> Callable[[Observable[T]], Observable[Any]]:
    """Make a call of every value, only so many at a time, and emit the replies.

    ::

        ──1───2───3──────────|                source
            call_each(max_in_flight=2)        the call of 1 takes longer than that of 2
        ───────────①②───③────|                ordered: the replies in the order of the values
        ────────②──①────③────|                ordered=False: as they come

    A call that fails ends it with that error: nothing further is called, what is on its way is not taken back. So does
    what ``make`` raises. Values that come faster than calls are answered wait in memory for their turn, as a source
    cannot be told to be slower; more than ``max_waiting`` of them end it with `DeliveryOverflow`::

        reactivex.from_iterable(rows).pipe(call_each(api, "staff/create", lambda row: {"doc": row}))

    Args:
        api: the service to call.
        endpoint: as of `ApiService.call`.
        make: makes of a value the keyword arguments of `ApiService.call`, such as ``{"query": …, "doc": …}``.
        max_in_flight: calls that are made and not emitted yet, at most.
        ordered: emit the replies in the order of the values.
        max_waiting: values that wait for their turn, at most.

    Raises:
        ConfigurationError: ``max_in_flight`` or ``max_waiting`` is no whole number above 0.
    """
    _check_count("max_in_flight", max_in_flight)
    _check_count("max_waiting", max_waiting)

    def start(value: T) -> Call[Any]:
        return api.call(endpoint, **make(value))

    def operator(source: Observable[T]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> Any:
            each = _CallEach(observer, start, max_in_flight, max_waiting, ordered=ordered)
            return each.begin(source, scheduler)

        return Observable(subscribe)

    return operator


def retry_not_sent(attempts: int = 3) -> Operator:
    """Subscribe again when it fails with `CallNotSent`, ``attempts`` times in all: such a call did certainly not run.

    ::

        ──X                    first subscription: CallNotSent
              ───①|            second
            retry_not_sent()
        ──────────①|

    Every other error is passed on at once: what may have run is not run twice. It wants a cold source (see
    `rxsdk.operators`)::

        reactivex.defer(lambda _: api.call("staff/create", doc=doc)).pipe(retry_not_sent())

    Args:
        attempts: how often to subscribe, the first time included.

    Raises:
        ConfigurationError: ``attempts`` is no number of times.
        TypeError: piped from a call itself, which would fail the same way again.
    """
    _check_count("attempts", attempts)

    def operator(source: Observable[Any]) -> Observable[Any]:
        if isinstance(source, Call):
            raise TypeError("a call is made once; retry reactivex.defer(lambda _: api.call(…))")

        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> Any:
            present = SerialDisposable()

            def attempt(left: int) -> None:
                def failed(error: Exception) -> None:
                    if isinstance(error, CallNotSent) and left > 1:
                        attempt(left - 1)
                    else:
                        observer.on_error(error)

                one = SingleAssignmentDisposable()
                present.disposable = one
                one.disposable = source.subscribe(observer.on_next, failed, observer.on_completed, scheduler=scheduler)

            attempt(attempts)
            return present

        return Observable(subscribe)

    return operator


def docs() -> Operator:
    """Emit each document of each reply.

    ::

        ──[a b]──Gap──[]──[c]──|       replies
            docs()
        ──a─b─────────────c────|

    Also of `ApiService.pages`; a `Gap` has none. Of what is no reply it is a TypeError.
    """

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> Any:
            def on_next(res: Any) -> None:
                if isinstance(res, Res):
                    for doc in res.docs:
                        observer.on_next(doc)
                elif not isinstance(res, Gap):
                    observer.on_error(TypeError(f"docs() wants replies, not {type(res).__name__}"))

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return operator


class _Slot:
    """A call that was made and not emitted yet, and what has come of it before its turn."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.is_done = False


class _CallEach:
    """One subscription to `call_each`. The lock keeps the source's thread and the replies' one apart."""

    def __init__(
        self,
        observer: abc.ObserverBase[Any],
        start: Callable[[Any], Call[Any]],
        most: int,
        most_waiting: int,
        *,
        ordered: bool,
    ) -> None:
        self._observer = observer
        self._start = start
        self._most = most
        self._most_waiting = most_waiting
        self._ordered = ordered
        self._lock = threading.RLock()
        self._waiting: deque[Any] = deque()
        self._slots: deque[_Slot] = deque()
        self._source_is_over = False
        self._is_over = False
        self._subscriptions = CompositeDisposable()

    def begin(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Returns what ends it."""
        upstream = SingleAssignmentDisposable()
        self._subscriptions.add(upstream)
        upstream.disposable = source.subscribe(self._came, self._fail, self._source_ended, scheduler=scheduler)
        return Disposable(self.end)

    def end(self) -> None:
        """Call no more, and listen no more."""
        with self._lock:
            self._is_over = True
            self._waiting.clear()
        self._subscriptions.dispose()

    def _came(self, value: Any) -> None:
        with self._lock:
            if not self._is_over:
                self._waiting.append(value)
                self._fill()
            if len(self._waiting) > self._most_waiting:
                self._fail(DeliveryOverflow(self._most_waiting))

    def _source_ended(self) -> None:
        with self._lock:
            self._source_is_over = True
            self._look_for_the_end()

    def _fill(self) -> None:
        while self._waiting and len(self._slots) < self._most:
            value = self._waiting.popleft()
            try:
                call = self._start(value)
            except Exception as error:  # the application's own function may raise anything
                self._fail(error)
                return
            slot = _Slot()
            self._slots.append(slot)
            one = SingleAssignmentDisposable()
            self._subscriptions.add(one)
            one.disposable = call.subscribe(partial(self._replied, slot), self._fail, partial(self._done, slot, one))

    def _replied(self, slot: _Slot, value: Any) -> None:
        with self._lock:
            if self._ordered and self._slots[0] is not slot:
                slot.values.append(value)
            elif not self._is_over:
                self._observer.on_next(value)

    def _done(self, slot: _Slot, subscription: abc.DisposableBase) -> None:
        with self._lock:
            self._subscriptions.remove(subscription)
            slot.is_done = True
            if self._ordered:
                self._emit_in_order()
            else:
                self._slots.remove(slot)
            self._fill()
            self._look_for_the_end()

    def _emit_in_order(self) -> None:
        while self._slots and self._slots[0].is_done:
            self._slots.popleft()
            for value in self._slots[0].values if self._slots else ():
                if not self._is_over:
                    self._observer.on_next(value)

    def _look_for_the_end(self) -> None:
        if self._source_is_over and not self._slots and not self._waiting and not self._is_over:
            self._is_over = True
            self._observer.on_completed()

    def _fail(self, error: Exception) -> None:
        with self._lock:
            if not self._is_over:
                self.end()
                self._observer.on_error(error)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(name, "must be a whole number of at least 1")
