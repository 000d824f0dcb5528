"""`Outcome`: of what is under way, as an Observable that can also be awaited, iterated, blocked on and cancelled.

Floor 2. Hot: it is on its way when the service returns it, whoever subscribes. Its outcome is kept for whoever comes
later; a watch keeps its latest message. A failure that nobody saw is logged once, when it is dropped. `Call` is that
of a call; that of a download is in `rxsdk.files.download`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxsdk.core.loop import check_may_block, wake
from rxsdk.errors import CallCancelled, CallOutcomeUnknown
from rxsdk.reactive.delivery import FORKED, Dispatcher
from rxsdk.reactive.progress import UploadProgress
from rxsdk.reactive.streams import NOTHING, HotStream, Multicast, Stream
from rxsdk.reactive.subscription import Subscription, end, give

__all__ = ["Call", "Outcome", "UploadCall"]

T = TypeVar("T")

_log = logging.getLogger("rxsdk")


class _Unseen:
    """The failure of a call that nobody has looked at; logged when it is dropped so.

    An object of its own, for what has a ``__del__`` is dropped slowly, and most calls are answered.
    """

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    def __del__(self) -> None:
        if self.error is not None:
            _log.warning("a failed call that nobody looked at: %s", self.error)


class Outcome(HotStream[T]):
    """What something that is under way comes to: its one answer, or the many of a watch, or its error.

    - ``outcome.subscribe(on_next, on_error, on_completed)``: every answer; it completes after the last.
    - ``await outcome``, ``outcome.result()``: the *first* answer, or raises the error. Neither is a subscription, and
      cancelling the awaiting task does not cancel what is under way.
    - ``async for answer in outcome``: every answer; leaving the loop disposes.
    - ``outcome.cancel()``: take it back as far as that goes.
    """

    # There may be thousands. In Python 3.11 each had a dict of its own, of half a KiB, once thirty were made before the
    # first was answered: what a reply sets then had no place in the dict that objects of a class share.
    __slots__ = (
        "_again",
        "_apart",
        "_began_with",
        "_cancel",
        "_decode",
        "_delivered",
        "_dispatcher",
        "_error",
        "_first",
        "_in_step",
        "_is_over",
        "_is_slow",
        "_latest",
        "_look_at",
        "_posted",
        "_turn",
        "_unseen",
        "_waiters",
        "_was_left",
        "endpoint",
        "request",
    )

    def __init__(
        self,
        endpoint: str,
        dispatcher: Dispatcher,
        cancel: Callable[[Any, bool], None],
        decode: Callable[[Any], T] | None = None,
        request: Any = None,
    ) -> None:
        self._dispatcher = dispatcher  # all that `Stream` would do, for every call
        self.endpoint = endpoint
        self.request = request  # the service's: what it knows this call by
        self._cancel = cancel  # (this, whether it was asked for in so many words)
        self._decode = decode
        self._first = self._latest = NOTHING
        self._is_over = self._was_left = self._is_slow = False
        self._again: Callable[[Any], Any] | None = None  # makes the latest of what is kept of it
        self._error: Exception | None = None
        self._unseen: _Unseen | None = None
        self._waiters: tuple[Callable[[], None], ...] = ()
        self._in_step = self._apart = ()
        self._posted = self._delivered = self._look_at = self._began_with = 0
        self._turn = None

    def __repr__(self) -> str:
        if self._error is not None:
            state = type(self._error).__name__
        elif self._is_over:
            state = "done"
        else:
            state = "pending" if self._first is NOTHING else "watching"
        return f"<{type(self).__name__} {self.endpoint} {state}>"

    # -- for its users

    def admit(self, subscription: Subscription) -> None:
        """See `HotStream.admit`."""
        dispatcher = self._dispatcher
        with dispatcher.lock:
            if dispatcher.is_abandoned:
                self._end_if_left_behind()
            if self._latest is NOTHING and not self._is_over:
                self._join(subscription)
                return
            if self._is_over:
                self._see()
                dispatcher.post(self._tell_outcome_to, (subscription,))
            else:
                dispatcher.post(self._tell_latest, (subscription, self._latest, self._again))
                self._join(subscription)
        dispatcher.run_if_closed()

    def __await__(self) -> Generator[Any, None, T]:
        if self._first is NOTHING and not self._is_over:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            waiter = partial(wake, loop, future)
            self.when_settled(waiter)
            try:
                yield from future
            except BaseException:
                self._forget(waiter)
                raise
        if self._first is not NOTHING:
            return cast(T, self._first)
        try:
            return self._settled()
        finally:
            del self  # else the error's traceback would hold the call, and the call the error

    def result(self, timeout_s: float | None = None) -> T:
        """Block until the first reply and return it, or raise the call's error. For threads without a loop.

        Raises:
            TimeoutError: ``timeout_s`` seconds passed first; the call goes on.
            WrongThreadError: on a thread that runs an event loop, or one of the SDK's.
        """
        check_may_block(".result()", "await", self._dispatcher.loop)
        if self._first is NOTHING and not self._is_over:
            done = threading.Lock()  # an event would be two locks and a list
            done.acquire()
            self.when_settled(done.release)
            if not done.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
                self._forget(done.release)
                raise TimeoutError(f"{self.endpoint}: no reply within {timeout_s:g} s")
        try:
            return self._settled()
        finally:
            del self

    def cancel(self) -> None:
        """Take it back: not sent at all if it still waits, its answer dropped if it was sent, a watch deleted."""
        self._cancel(self, True)

    @property
    def error(self) -> Exception | None:
        """What it ended with; None while it goes on or when it ended well."""
        return self._error

    # -- for the service, on its loop

    def reply(self, answer: Any, final: bool, again: Callable[[Any], Any] | None = None, of: Any = None) -> None:
        """The server answered; ``final`` is false while a watch goes on.

        Where ``again(of)`` makes the answer anew, only ``of`` is kept for those who come late: of thousands of watches,
        to let go of all that an answer is made of would take longer than all the rest.
        """
        try:
            value: T = answer if self._decode is None else self._decode(answer)
        except Exception as error:  # the caller's own type may raise anything
            self._refuse(error, final=final)
            return
        waiters: Sequence[Callable[[], None]] = ()
        at_once: Sequence[Subscription] = ()
        with self._dispatcher.lock:
            if self._is_over:
                return
            if self._first is NOTHING:
                self._first = value
                waiters, self._waiters = self._waiters, ()
            self._latest = value if again is None else of
            self._again = again
            self._is_over = final
            is_heard = self._in_step or self._apart
            if is_heard:
                if final and not self._posted:
                    self._dispatcher.post(Outcome._tell_outcome, self)
                elif final:
                    self._post(value)
                    self._post_end()
                else:
                    at_once = self._take_at_once()
                    if not at_once:
                        self._post(value)
        for waiter in waiters:
            waiter()
        if at_once:
            self._give_at_once(at_once, value)
        elif not (is_heard or final) and self._was_left and not self._is_heard():
            self._cancel(self, False)  # a watch whose subscribers had all gone before it was made

    def tell(self, value: T) -> None:
        """Give ``value``, in its place among the replies, to who is subscribed; it is none, and is not kept."""
        with self._dispatcher.lock:
            if not self._is_over and self._is_heard():
                self._post(value)

    def _refuse(self, error: Exception, *, final: bool) -> None:
        """The answer is not what was asked for: that ends the call, and a watch with it."""
        self.fail(error)
        if not final:
            self._cancel(self, False)

    def fail(self, error: Exception) -> None:
        """It ended with ``error``."""
        if not self._is_over:
            self._error = error
            self._finish()

    def complete(self) -> None:
        """The watch ended."""
        if not self._is_over:
            self._finish()

    def _finish(self) -> None:
        with self._dispatcher.lock:
            self._is_over = True
            waiters, self._waiters = self._waiters, ()
            if self._is_heard():
                self._post_end()
            elif self._error is not None and not isinstance(self._error, CallCancelled):
                self._unseen = _Unseen(self._error)
        if not self._dispatcher.is_abandoned:  # else they wait in the process that this one was forked from
            for waiter in waiters:
                waiter()

    def when_settled(self, waiter: Callable[[], None]) -> None:
        """Call ``waiter`` once, at the first reply or the end: now if that was, else on the service's loop."""
        with self._dispatcher.lock:
            if self._dispatcher.is_abandoned:
                self._end_if_left_behind()
            if self._first is NOTHING and not self._is_over:
                self._waiters = (*self._waiters, waiter)
                return
        waiter()

    # -- inside

    def _end_if_left_behind(self) -> None:
        """In a forked child, with the lock held: end what nobody else ends, since it was between two hands at the fork.

        (One thread had taken it from where it waited, and not put it yet where it would be found.) Whoever asked before
        is told in the parent.
        """
        if not self._is_over:
            self._in_step = self._apart = self._waiters = ()
            self._left_behind()

    def _left_behind(self) -> None:
        if self._first is NOTHING:
            self.fail(CallOutcomeUnknown(self.endpoint, FORKED))
        else:
            self.complete()

    def _tell_outcome(self) -> None:
        subscriptions, self._in_step = self._in_step, ()
        self._tell_outcome_to(subscriptions)

    def _tell_outcome_to(self, subscriptions: tuple[Subscription, ...]) -> None:
        if self._latest is not NOTHING:
            give(self._dispatcher, subscriptions, self._made(self._latest, self._again))
        end(subscriptions, self._error)

    def _tell_latest(self, told: tuple[Subscription, Any, Callable[[Any], Any] | None]) -> None:
        subscription, latest, again = told
        subscription.next(self._made(latest, again))

    def _made(self, latest: Any, again: Callable[[Any], Any] | None) -> Any:
        if again is None:
            return latest
        answer = again(latest)
        return answer if self._decode is None else self._decode(answer)

    def _forget(self, waiter: Callable[[], None]) -> None:
        with self._dispatcher.lock:
            self._waiters = tuple(one for one in self._waiters if one != waiter)

    def _settled(self) -> T:
        error = self._error
        if self._first is not NOTHING:
            return cast(T, self._first)
        if error is None:
            raise SequenceContainsNoElementsError
        self._see()
        try:
            raise error
        finally:
            del self, error

    def _detach(self, subscription: Subscription) -> None:
        with self._dispatcher.lock:
            self._leave(subscription)
            if self._is_over or self._is_heard():
                return
            self._was_left = True
        self._cancel(self, False)

    def _see(self) -> None:
        """Somebody is told its error, if it has one."""
        unseen, self._unseen = self._unseen, None
        if unseen is not None:
            unseen.error = None


class Call(Outcome[T]):
    """The one reply of a call, or the many of a watch.

    - ``call.subscribe(on_next, on_error, on_completed)``: every reply; an ordinary call completes after its one.
      Disposing does not take an ordinary call back. Disposing the last subscription of a watch deletes the watch on
      the server; disposing the last one of a call whose files are still going up cancels the upload.
    - ``await call``, ``call.result()``: the *first* reply (for a watch: that it was made), or raises the call's error.
      Neither is a subscription, and cancelling the awaiting task does not cancel the call.
    - ``async for reply in call``: every reply; leaving the loop disposes.
    - ``call.cancel()``: take it back as far as that goes.
    - ``call.progress``, ``call.pause()``, ``call.resume()``: for a call with files, while they go up.
    """

    @property
    def progress(self) -> Stream[UploadProgress]:
        """How far its files have come: hot, the latest replayed, at most 20 a second, a first and a last always.

        Completes when the call ends, well or not. Of a call without files it is empty.
        """
        nothing: Multicast[UploadProgress] = Multicast(self._dispatcher)
        nothing.complete()
        return nothing

    def pause(self) -> None:
        """Send no further chunk of its files until `resume`; without files there is nothing to pause."""

    def resume(self) -> None:
        """Go on after `pause`."""


class UploadCall(Call[T]):
    """A call whose files go up before it.

    Args:
        hold: told whether the application wants it paused; from any thread.
    """

    def __init__(
        self,
        endpoint: str,
        dispatcher: Dispatcher,
        cancel: Callable[[Call[Any], bool], None],
        decode: Callable[[Any], T] | None,
        request: Any,
        hold: Callable[[bool], None],
    ) -> None:
        super().__init__(endpoint, dispatcher, cancel, decode, request)
        self._hold = hold
        self.progress_source: Multicast[UploadProgress] = Multicast(dispatcher, keep_latest=True)

    @property
    def progress(self) -> Stream[UploadProgress]:
        """See `Call.progress`."""
        return self.progress_source

    def pause(self) -> None:
        """See `Call.pause`."""
        self._hold(True)

    def resume(self) -> None:
        """See `Call.resume`."""
        self._hold(False)
