"""`Subscription`: one observer of one stream or call, and where it stands in what it is given.

Floor 2. `rxsdk.reactive.fanout` decides what a subscription is given and when; here it is handed over.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import FunctionType, MethodType, NoneType
from typing import Any, Protocol, cast

from reactivex import abc

from rxsdk.core.loop import running_loop
from rxsdk.core.mailbox import Mailbox
from rxsdk.reactive.delivery import Dispatcher, let_out, report_unhandled

__all__ = ["Place", "Source", "Subscription", "callbacks_of", "caught", "end", "give"]

_MAKES_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_FUNCTIONS = frozenset({FunctionType, MethodType, NoneType})

OnNext = Callable[[Any], Any] | None
OnError = Callable[[Exception], Any] | None
OnCompleted = Callable[[], Any] | None


class Source(Protocol):
    """What a subscription belongs to."""

    _dispatcher: Dispatcher

    def _detach(self, subscription: Subscription) -> None:
        """It listens no more."""

    def _lag_of(self, subscription: Subscription) -> int:
        """How many notifications wait for it."""
        ...

    def _take_turn(self, subscription: Subscription, place: Place) -> bool:
        """Give it some of what it missed; returns whether there is more."""
        ...


class Place:
    """Where a subscription stands that is not in step with the others."""

    __slots__ = ("at", "dropped", "is_apart", "is_behind", "rest", "size")

    def __init__(self) -> None:
        self.is_apart = False  # else it has been, and only what it dropped still counts
        self.at = 0  # the number, in its source's count, of the value that it is given next
        self.is_behind = False  # it is given what it missed in turns of its own; else the others are to reach it
        self.rest: deque[Any] | None = None  # it was let go: what it is still given
        self.size = 0  # and the mailbox that was full
        self.dropped = 0


class Subscription(abc.DisposableBase):
    """One observer: its callbacks, the context they were given in, and whether it still listens.

    They are called by the dispatcher only, so never two at once and never after the end. `dispose` ends it; so does
    leaving a ``with`` block.

    Where a loop runs on the subscriber's thread and is not the one that delivers, it is nudged after each callback:
    reactivex' own awaits set a future from the delivering thread and do not wake the loop that waits for it.
    """

    __slots__ = ("_completed", "_context", "_error", "_next", "_nudged", "_source", "mailbox", "place")

    def __init__(
        self,
        on_next: OnNext,
        on_error: OnError,
        on_completed: OnCompleted,
        source: Source,
        mailbox: Mailbox | None = None,
    ) -> None:
        running = running_loop()
        if running is None or running is source._dispatcher.loop:
            self._nudged = None
            self._next = on_next or _ignore
        else:
            self._nudged = running
            self._next = partial(_nudging, running, on_next or _ignore)
        self._error = on_error
        self._completed = on_completed
        self._context = copy_context()
        self._source: Source | None = source
        self.mailbox = mailbox  # None: as the service's policy says
        self.place: Place | None = None

    # -- for its holder

    @property
    def is_stopped(self) -> bool:
        """Whether it has ended or was disposed."""
        return self._source is None

    @property
    def lag(self) -> int:
        """How many notifications wait for it at this moment."""
        source = self._source
        return 0 if source is None else source._lag_of(self)

    @property
    def dropped(self) -> int:
        """How many notifications it was not given because its mailbox was full (``on_overflow``)."""
        return 0 if self.place is None else self.place.dropped

    def dispose(self) -> None:
        """Listen no more. Any thread may, also from within a callback."""
        source = self._source
        self._stop()
        if source is not None:
            source._detach(self)

    # -- for its source, on the dispatcher

    def next(self, value: Any) -> None:
        """Hand a value over."""
        source = self._source
        if source is not None:
            give(source._dispatcher, (self,), value)

    def fail(self, error: Exception) -> None:
        """Hand the error over, the last thing it hears; without ``on_error`` it is reported as unhandled."""
        on_error = self._error
        if on_error is not None:
            self._say("on_error", on_error, error)
        elif self._source is not None:
            self._stop()
            report_unhandled(error, "a subscription without on_error")

    def complete(self) -> None:
        """Say that nothing more comes."""
        on_completed = self._completed
        if on_completed is not None:
            self._say("on_completed", on_completed)
        else:
            self._stop()

    @property
    def pressure(self) -> float:
        """How full its mailbox is: 1 is full, 0 empty; 0 too when it has ended, or has run over."""
        source, place = self._source, self.place
        if source is None or (place is not None and place.rest is not None):
            return 0.0
        size, _ = self.mailbox or source._dispatcher.policy.mailbox
        return source._lag_of(self) / size

    def take_turn(self) -> bool:
        """See `rxsdk.reactive.delivery.Laggard`."""
        source, place = self._source, self.place
        return source is not None and place is not None and source._take_turn(self, place)

    def raised(self, error: BaseException) -> BaseException | None:
        """Its ``on_next`` raised: report that, and keep or detach it, as the policy says.

        Returns what is to be raised on, once the others have been given the value.
        """
        source = self._source
        if source is not None and source._dispatcher.policy.on_raise == "detach":
            self.dispose()
        try:
            caught(error, "on_next")
        except BaseException as out:
            return out
        return None

    def _say(self, name: str, callback: Callable[..., Any], *arguments: Any) -> None:
        """The last word."""
        dispatcher = cast(Source, self._source)._dispatcher
        self._stop()
        dispatcher.calls = (self,), iter(())
        try:
            self._context.run(callback, *arguments)
        except BaseException as error:
            caught(error, name)
        finally:
            dispatcher.calls = None
        if self._nudged is not None:
            _nudge(self._nudged)

    def _stop(self) -> None:
        self._next = _ignore
        self._source = self._error = self._completed = None


def give(
    dispatcher: Dispatcher,
    subscriptions: Sequence[Subscription],
    value: Any,
    turn: Iterator[Subscription] | None = None,
) -> None:
    """Hand ``value`` to each of ``subscriptions``, which ``turn`` gives one after the other.

    Raises:
        KeyboardInterrupt, SystemExit: a callback did, on the caller's loop.
    """
    out: BaseException | None = None
    if turn is None:
        turn = iter(subscriptions)
    dispatcher.calls = subscriptions, turn
    for subscription in turn:  # little in it: an event may have many subscribers
        try:
            subscription._context.run(subscription._next, value)
        except BaseException as error:
            out = subscription.raised(error) or out
    dispatcher.calls = None
    if out is not None:
        raise out


def end(subscriptions: Iterable[Subscription], error: Exception | None) -> None:
    """Tell each of ``subscriptions`` that it ends with ``error``, or is complete.

    Raises:
        KeyboardInterrupt, SystemExit: a callback did, on the caller's loop.
    """
    out: BaseException | None = None
    for subscription in subscriptions:
        try:
            if error is None:
                subscription.complete()
            else:
                subscription.fail(error)
        except BaseException as raised:
            out = raised
    if out is not None:
        raise out


def _ignore(value: Any) -> None:
    """What a subscription without ``on_next``, or one that has ended, does with a value."""


def _nudging(loop: asyncio.AbstractEventLoop, on_next: Callable[[Any], Any], value: Any) -> None:
    try:
        on_next(value)
    finally:
        _nudge(loop)


def _nudge(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # it has closed, and nobody waits there any more
        loop.call_soon_threadsafe(_do_nothing)


def _do_nothing() -> None:
    """What a nudged loop wakes up for."""


def caught(error: BaseException, callback: str) -> None:
    """Report what a callback raised, unless it is to end the program."""
    let_out(error)
    report_unhandled(error, f"{callback} of a subscriber")


def callbacks_of(on_next: Any, on_error: OnError, on_completed: OnCompleted) -> tuple[OnNext, OnError, OnCompleted]:
    """What ``subscribe`` was given, as three callbacks: an observer counts as its three methods.

    Raises:
        TypeError: one is an ``async def``, or cannot be called.
    """
    if type(on_next) not in _FUNCTIONS and callable(getattr(on_next, "on_next", None)):
        on_next, on_error, on_completed = on_next.on_next, on_next.on_error, on_next.on_completed
    for callback in (on_next, on_error, on_completed):
        if callback is None:
            continue
        code = getattr(callback, "__code__", None)  # first: this is asked at each subscribe
        if code.co_flags & _MAKES_COROUTINE if code is not None else _cannot_be(callback):
            name = "on_next" if callback is on_next else "on_error" if callback is on_error else "on_completed"
            if not callable(callback):
                raise TypeError(f"{name} must be callable, not {type(callback).__name__}")
            instead = "write: async for value in stream: await …"
            raise TypeError(f"{name} must not be async, nobody would await it; {instead}")
    return on_next, on_error, on_completed


def _cannot_be(callback: Any) -> bool:
    """Whether it, which is no function, cannot be called, or calling it only makes a coroutine."""
    while isinstance(callback, partial):
        callback = callback.func
    if not callable(callback):
        return True
    code = getattr(callback, "__code__", None) or getattr(type(callback).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & _MAKES_COROUTINE)
