"""`Fanout`: how one hot source gives each value to all its subscribers, and what becomes of those that lag.

Floor 2. For each value the dispatcher has one job, which gives it to all who are *in step* before the next value's turn
comes, as a Subject does, and in order with everything else that the service tells. A subscription is *apart*, with a
place of its own among the values, when it

- came while values waited that are not for it: it is in step as soon as the others reach its place;
- takes so long in ``on_next`` that the others would wait for it: then it is behind, and the dispatcher gives it what it
  missed in turns of its own, when nobody else waits. Caught up, it is in step again. What the others were given and
  somebody behind was not is kept in a log, which there is for no other purpose.

So a slow subscriber costs the others one callback at a time (two, until it is found out), and its lag is its own. What
waits for it is bounded by its mailbox; when that is full, its policy decides. While a callback keeps everybody waiting,
those in step are not to blame and are let be, for `_HELD_UP` values: the one whose callback it is, is not. The same
goes for what comes all in one turn of the connection's loop, which nobody can have taken.

Two subscriptions are two mailboxes: while one lags, one of them may hear a value before the other hears an older one.
Branches of a pipeline that must keep in step share one subscription (``stream.share()``).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.delivery import SLICE_S, Dispatcher
from rxsdk.reactive.subscription import Place, Subscription, end, give

__all__ = ["Fanout"]

Delivered = Callable[[bool], None]

_SLOW_S = 0.001
_TURN_S = 0.001
_HELD_UP = 262_144
_NEVER = 1 << 62


class Fanout:
    """The subscribers of one source, and what those behind have yet to be given.

    Values are numbered. Number ``n`` waits in the dispatcher's jobs until ``n < _delivered``; then, as long as somebody
    is behind, it is ``_log[n - _delivered]``. The dispatcher's lock guards all fields.
    """

    # These are the class's until they are used, but for those that every value asks for: in Python 3.11 what is the
    # class's takes ten times as long to find.
    _in_step: tuple[Subscription, ...] = ()
    _apart: tuple[Subscription, ...] = ()
    _log: deque[Any] | None = None
    _posted = 0  # values that there ever were
    _delivered = 0  # of these, how many those in step have been given
    _look_at = 0  # when there are more than this, a mailbox may be full
    _began_with = 0  # how many there were when those in step began with the last value
    _excused = 0  # up to this one, they waited because somebody's callback went on
    _came_at_once = 0  # up to this one, so many came in one turn of the loop that nobody can have taken them
    _turn: int | None = None  # that of the loop at the last look
    _is_slow = False  # the last value took long: see who takes so long with the next
    _has_ended = False
    _receipts: deque[tuple[int, bool, Delivered]] | None = None  # who is to be told when all had a value
    _dispatcher: Dispatcher
    _error: Exception | None

    # -- for the source, with the lock held

    def _is_heard(self) -> bool:
        return bool(self._in_step or self._apart)

    def _join(self, subscription: Subscription) -> None:
        """Give it every value that is posted from now on."""
        if self._look_at:
            self._look_at = 0
        if self._delivered == self._posted:
            self._in_step = (*self._in_step, subscription) if self._in_step else (subscription,)
        else:
            self._set_apart(subscription, self._posted)

    def _post(self, value: Any, delivered: Delivered | None = None) -> None:
        """Give ``value`` to all who have joined, and tell ``delivered`` when that is done."""
        if delivered is None:
            self._dispatcher.post(_deliver, (self, value))
        else:
            self._dispatcher.post(_deliver_and_tell, (self, value, delivered))
        self._posted = posted = self._posted + 1
        if posted > self._look_at:
            self._look_for_full_mailboxes()

    def _take_at_once(self) -> Sequence[Subscription]:
        """Who is given the next value at once (`_give_at_once`); nobody where it is to be posted."""
        if self._apart or self._is_slow or not self._dispatcher.delivers_at_once():
            return ()
        self._posted = self._delivered = self._began_with = self._posted + 1
        return self._in_step

    def _post_end(self) -> None:
        """After all that was posted, tell everybody the end: ``_error``, or that it is complete."""
        if self._is_heard():
            self._dispatcher.post(Fanout._tell_end, self)

    # -- for subscriptions

    def _detach(self, subscription: Subscription) -> None:
        with self._dispatcher.lock:
            self._leave(subscription)

    def _lag_of(self, subscription: Subscription) -> int:
        with self._dispatcher.lock:
            place = subscription.place
            if place is not None and place.rest is not None:
                return len(place.rest)
            return self._posted - (place.at if place is not None and place.is_apart else self._delivered)

    def _take_turn(self, subscription: Subscription, place: Place) -> bool:
        """Give it what it is behind by, for a millisecond; returns whether it is still behind."""
        until = time.perf_counter() + _TURN_S
        while time.perf_counter() < until:
            with self._dispatcher.lock:
                if subscription.is_stopped:
                    return False
                if place.rest is None and place.at >= self._delivered:
                    self._catch_up(subscription, place)
                    break
                if place.rest is None:
                    log: Any = self._log
                    value = log[place.at - self._delivered]
                    place.at += 1
                    self._forget_what_all_had()
                elif place.rest:
                    value = place.rest.popleft()
                else:
                    break
            give(self._dispatcher, (subscription,), value)
        else:
            return True
        if place.rest is not None:
            subscription.fail(DeliveryOverflow(place.size))
            self._detach(subscription)
        elif self._has_ended:
            end((subscription,), self._error)
        return False

    # -- on the dispatcher

    def took_long(self) -> None:
        """What was delivered last kept everybody waiting."""
        self._is_slow = True

    def _give_at_once(self, subscriptions: Sequence[Subscription], value: Any) -> None:
        """Give ``value`` to those who were taken for it."""
        dispatcher = self._dispatcher
        try:
            give(dispatcher, subscriptions, value)
        except BaseException as out:
            dispatcher.raise_later(out)
        began_at, dispatcher.now = dispatcher.now, time.perf_counter()
        if dispatcher.now - began_at > SLICE_S:
            self._is_slow = True

    def _deliver_timed(self, subscriptions: Sequence[Subscription], value: Any) -> None:
        """Whoever takes more than a millisecond goes on by itself."""
        dispatcher = self._dispatcher
        slow: dict[Subscription, float] = {}

        def timed() -> Iterator[Subscription]:
            for subscription in subscriptions:
                dispatcher.calls = (subscription,), iter(())
                began_at = time.perf_counter()
                yield subscription
                took = time.perf_counter() - began_at
                if took > _SLOW_S:
                    slow[subscription] = took

        self._is_slow = False
        give(dispatcher, subscriptions, value, timed())
        with dispatcher.lock:
            for subscription, took in slow.items():
                if subscription in self._in_step:  # else it was disposed
                    self._set_apart(subscription, self._delivered).is_behind = True
                    dispatcher.add_laggard(subscription, took)

    def _tell_end(self) -> None:
        with self._dispatcher.lock:
            self._gather()
            self._has_ended = True
            subscriptions, self._in_step = self._in_step, ()
        end(subscriptions, self._error)

    # -- inside, with the lock held

    def _gather(self) -> None:
        """Those in step come to the next value; who waits for them there joins."""
        here = [one for one in self._apart if not _place(one).is_behind and _place(one).at <= self._delivered]
        if here:
            self._put_in_step(here)

    def _keep(self, value: Any) -> None:
        """For those who are behind."""
        if self._log is None:
            self._log = deque()
        self._log.append(value)
        self._forget_what_all_had()

    def _catch_up(self, subscription: Subscription, place: Place) -> None:
        place.is_behind = False
        if self._has_ended:
            self._leave(subscription)
        elif place.at == self._delivered:  # else it dropped so much that the others have yet to reach it
            self._put_in_step((subscription,))

    def _put_in_step(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            _place(subscription).is_apart = False
        self._apart = tuple(one for one in self._apart if _place(one).is_apart)
        self._in_step = (*self._in_step, *subscriptions)
        self._forget_what_all_had()

    def _set_apart(self, subscription: Subscription, at: int) -> Place:
        place = subscription.place
        if place is None:
            place = subscription.place = Place()
        place.at = at
        if not place.is_apart:
            place.is_apart = True
            self._in_step = tuple(one for one in self._in_step if one is not subscription)
            self._apart = (*self._apart, subscription)
        return place

    def _leave(self, subscription: Subscription) -> None:
        place = subscription.place
        if place is None or not place.is_apart:
            self._in_step = tuple(one for one in self._in_step if one is not subscription)
        else:
            self._apart = tuple(one for one in self._apart if one is not subscription)
            place.is_apart = False
            self._forget_what_all_had()

    def _forget_what_all_had(self) -> None:
        oldest = self._oldest()
        log = self._log
        if log is not None:
            for _ in range(len(log) - (self._delivered - oldest)):
                log.popleft()
            if not log:
                self._log = None  # an empty deque takes 0.7 KiB
        while self._receipts and self._receipts[0][0] < oldest:
            _, was_handed, delivered = self._receipts.popleft()
            self._dispatcher.post(delivered, was_handed or self._is_heard())

    def _oldest(self) -> int:
        """The number of the first value that somebody has not had."""
        return min([self._delivered, *[_place(one).at for one in self._apart]])

    def _look_for_full_mailboxes(self) -> None:
        """Something may be the matter with somebody's mailbox. (Not often: see ``_look_at``.)"""
        dispatcher = self._dispatcher
        called, turn = dispatcher.called(), dispatcher.turn()
        if turn is not None and turn == self._turn and (called is None or dispatcher.loop is None):
            self._came_at_once = self._posted  # else it is a callback that brings so much
        self._turn = turn
        if called is not None:
            self._excused = self._posted
            if 2 * (self._posted - self._began_with) < self._posted - self._delivered:
                called = None  # most of what waits came before its callback began
        look_at = _NEVER
        for subscription in self._in_step:
            excused = max(self._came_at_once, 0 if subscription is called else self._excused)
            look_at = min(look_at, self._check_mailbox(subscription, self._delivered, excused))
        for subscription in self._apart:
            look_at = min(look_at, self._check_mailbox(subscription, _place(subscription).at, self._came_at_once))
        self._look_at = look_at
        self._forget_what_all_had()

    def _check_mailbox(self, subscription: Subscription, at: int, excused: int) -> int:
        """If more waits for it than its mailbox holds, do as its policy says; returns when to look again."""
        size, on_overflow = subscription.mailbox or self._dispatcher.policy.mailbox
        if on_overflow == "error":
            full_at = min(max(at, excused) + size, at + size + _HELD_UP)
            if self._posted > full_at:
                self._let_go(subscription, at, size)
                return full_at
            half_full_at = max(at, self._came_at_once) + size // 2
            if self._posted <= half_full_at:
                return max(half_full_at, self._posted + size // 8)
            self._dispatcher.hurry(subscription)
            return min(full_at, self._posted + size // 8)
        if self._posted > at + size:
            place = self._set_apart(subscription, self._posted - size)
            place.dropped += place.at - at
            at = place.at
        return at + size

    def _let_go(self, subscription: Subscription, at: int, size: int) -> None:
        """It is still given what its mailbox held, and then told."""
        place = self._set_apart(subscription, at)
        place.size = size
        log = self._log or ()
        first = len(log) - (self._delivered - at)
        place.rest = deque(islice(chain(log, self._waiting()), first, first + size))
        self._leave(subscription)
        if not place.is_behind:
            place.is_behind = True
            # By a job, because a job with the value that was kept for it may still be under way.
            self._dispatcher.post(self._dispatcher.add_laggard, subscription)

    def _waiting(self) -> Sequence[Any]:
        """The values that are not delivered yet; the job of the latest that is may still be under way."""
        mine = (_deliver, _deliver_and_tell)
        told = [argument for job, argument in self._dispatcher.jobs() if job in mine and argument[0] is self]
        return [value for _, value, *_ in told[len(told) - (self._posted - self._delivered) :]]


def _deliver(told: tuple[Fanout, Any]) -> bool:
    """The value, to all who are in step; returns whether there was anybody."""
    source, value = told
    dispatcher = source._dispatcher
    with dispatcher.lock:
        if source._apart:
            source._gather()
        source._delivered += 1
        if source._apart:
            source._keep(value)
        source._began_with = source._posted
        subscriptions = source._in_step
    if source._is_slow:
        source._deliver_timed(subscriptions, value)
    else:
        dispatcher.source = source
        give(dispatcher, subscriptions, value)
    return bool(subscriptions)


def _deliver_and_tell(told: tuple[Fanout, Any, Delivered]) -> None:
    source, value, delivered = told
    number = source._delivered
    was_handed = _deliver((source, value))
    with source._dispatcher.lock:
        if source._oldest() <= number:  # somebody lags, and is given it later
            if source._receipts is None:
                source._receipts = deque()
            source._receipts.append((number, was_handed, delivered))
            return
    delivered(was_handed)


def _place(subscription: Subscription) -> Place:
    place = subscription.place
    assert place is not None
    return place
