"""`Watch`: the changes of a collection as one stream that lives for weeks, and the collection itself.

Floor 3. What `ApiService.watch` returns. The first subscriber opens the watch on the server, all share it, the last to
leave deletes it::

    subscribers   ──S──C──U─────G──U──D──     S Snapshot  G Gap  C Created  U Updated  D Deleted
    watch         o────c──u──x──r──u─────     o opened  x connection lost  r made anew
    reads          └─s           └────d       each begins once the watch is there, so nothing falls between them

How it converges: what the server tells of a document while a read is on its way is the last word on it, whatever the
read says (the read may be older; if it is newer, the server has yet to tell of that change, and will). On all other
documents the read has the last word. Only what differs from what was told before is told.

Invariants: an `_Opening` is touched on the service's loop; what subscribers are given, and what those who come later
begin with, change together, with the dispatcher's lock held.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from reactivex import Observable, abc

from rxsdk.changes import Change, Created, D, Deleted, Gap, Snapshot, Updated
from rxsdk.core.clock import Timer
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.errors import (
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    CallTimeout,
    CollectionTooLarge,
    InvalidCall,
)
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.res import Res
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.reactive.subscription import Subscription, callbacks_of

if TYPE_CHECKING:
    from rxsdk.limp_life import LimpLife
    from rxsdk.reads import Asker

__all__ = ["Watch"]

_log = logging.getLogger("rxsdk")
_AGAIN = ReconnectPolicy()
_PASSES = 3


class Watch(Stream[Change[D]]):
    """A watch as a stream of `Change`: cold until the first subscriber, then shared. See `ApiService.watch`.

    It completes when the watch is deleted or the service closed (closed before the watch was made, it ends with
    `CallNotSent` or `CallOutcomeUnknown`), and ends with the error of the watch or of its first read. Whoever
    subscribes after that, or after all had left, opens it anew.
    """

    def __init__(
        self,
        inside: LimpLife,
        watch: Asker,
        read: Asker | None,
        convert: Callable[[Any], D],
        *,
        limit: int,
        refresh_s: float | None,
    ) -> None:
        super().__init__(inside.life.dispatcher)
        self.inside = inside
        self.watch = watch
        self.read = read
        self.convert = convert
        self.limit = limit
        self.refresh_s = refresh_s
        self.opening: _Opening | None = None

    def __repr__(self) -> str:
        return f"<Watch {self.endpoint}>"

    @property
    def endpoint(self) -> str:
        """What is watched: ``module/method``."""
        return self.watch.endpoint

    def subscribe(
        self,
        on_next: abc.ObserverBase[Change[D]] | abc.OnNext[Change[D]] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> Subscription:
        """See `Stream.subscribe`."""
        callbacks = callbacks_of(on_next, on_error, on_completed)
        return self._enter(lambda opening: Subscription(*callbacks, opening))

    def _enter(self, make: Callable[[_Opening], Subscription]) -> Subscription:
        """Subscribe to the opening that there is, else to one that begins with this."""
        with self._dispatcher.lock:
            opening, is_new = self.opening, self.opening is None
            if opening is None:
                opening = self.opening = _Opening(self)
            opening.coming += 1
        subscription = make(opening)
        opening.admit(subscription)
        if is_new:
            opening.begin()
        return subscription

    def collection(self) -> Stream[list[D]]:
        """The documents that there are, in a new list whenever they have changed; late subscribers get the present.

        What changes at one moment comes in one list, and a slow subscriber is given the newest one next: the list is
        always that of the moment, whatever the service's `DeliveryPolicy` says of those that lag.

        Raises:
            TypeError: the watch was made without ``snapshot``.
        """
        if self.read is None:
            raise TypeError("a watch without snapshot= knows changes only; name the endpoint that reads the collection")

        def subscribe(
            observer: abc.ObserverBase[list[D]], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def make(opening: _Opening) -> Subscription:
                on_change = _Present(opening, observer.on_next)
                return Subscription(on_change, observer.on_error, observer.on_completed, opening, (1, "latest"))

            return self._enter(make)

        return Stream(self._dispatcher, Observable(subscribe))


class _Present:
    """Hears of changes and tells the documents of the moment, unless it has told these: a change may be passed over."""

    def __init__(self, opening: _Opening, tell: Callable[[list[Any]], None]) -> None:
        self._opening = opening
        self._tell = tell
        self._version = 0

    def __call__(self, _change: Change[Any]) -> None:
        docs = self._opening.docs_unless(self._version)
        if docs is not None:
            self._version, present = docs
            self._tell(present)


class _Reading:
    """One read of the whole collection, page by page if the server gives no more at a time: the read's listener."""

    def __init__(self, opening: _Opening) -> None:
        self._opening = opening
        self.docs: dict[str, Any] = {}
        self.taken = 0  # documents that came, also those that came twice or have no _id
        self.total: int | None = None
        self.fits = True
        self.request: Request | None = None

    def take(self, res: Res[Any]) -> None:
        """Take a page; if it does not fit those before, something has moved from one page to another."""
        total = res.args.get("total")
        before = len(self.docs)
        page = dict(_docs_of(res))
        self.docs.update(page)
        self.taken += len(res.docs)
        self.fits = self.fits and self.total in (None, total) and len(self.docs) == before + len(page)
        self.total = total if isinstance(total, int) else None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to be read."""
        return self.total is None or self.taken >= self.total

    def reply(self, res: Res[Any], *, final: bool) -> None:
        self._opening.page_came(self, res)

    def fail(self, error: Exception) -> None:
        self._opening.read_failed(self, error)


class _Opening(Multicast[Any]):
    """One watch on the server, from the first subscriber to the last: the watch's listener."""

    def __init__(self, watch: Watch[Any]) -> None:
        super().__init__(watch.inside.life.dispatcher)
        self.coming = 0  # subscribers that are about to come
        self._watch = watch
        self._life = watch.inside.life
        self._request: Request | None = None
        self._is_made = False
        self._reading: _Reading | None = None
        self._passes = 0
        self._failed_reads = 0
        self._timer: Timer | None = None
        self._raw: dict[str, Any] | None = None  # what the server has, as it sent it; None before the first read
        self._docs: dict[str, Any] = {}  # the same, as subscribers are given it
        self._version = 0  # how often that has changed
        self._heard: dict[str, Any] = {}  # the last word on each document since the read began; None: gone

    # -- subscribers, on any thread

    def admit(self, subscription: Subscription) -> None:
        """See `HotStream.admit`."""
        dispatcher = self._dispatcher
        with dispatcher.lock:
            self.coming -= 1
            if self.is_over:
                dispatcher.post(self._end_one, subscription)
            else:
                if self._raw is not None:
                    dispatcher.post(subscription.next, Snapshot(dict(self._docs)))
                self._join(subscription)
        dispatcher.run_if_closed()

    def begin(self) -> None:
        """Open the watch."""
        if self._life.still_open():
            self._life.on_loop(_Opening._open, self)
        else:
            self.fail(CallNotSent(self._watch.watch.endpoint, self._life.why_closed))
            self._dispatcher.run_if_closed()

    def docs_unless(self, version: int) -> tuple[int, list[Any]] | None:
        """The documents of the moment and their version; None when it is ``version``."""
        with self._dispatcher.lock:
            return None if self._version == version else (self._version, list(self._docs.values()))

    def _detach(self, subscription: Subscription) -> None:
        with self._dispatcher.lock:
            super()._detach(subscription)
            if self._is_heard() or self.coming or self.is_over:
                return
            super().complete()
            self._step_down()
        if self._life.is_open:
            self._life.on_loop(_Opening._close, self)

    def _step_down(self) -> None:
        """Whoever subscribes from now on opens another."""
        with self._dispatcher.lock:
            if self._watch.opening is self:
                self._watch.opening = None

    # -- the watch's listener

    def _open(self) -> None:
        if not self.is_over:
            self._request = self._watch.watch.request()
            self._request.on_gap = self._gap_came
            self._watch.inside.start(self._request, self)

    def _close(self) -> None:
        request, self._request = self._request, None
        self._stop_reading()
        if request is not None:
            self._watch.inside.withdraw(request)

    def reply(self, res: Res[Any], final: bool, *_again: object) -> None:
        """The server says that the watch was made, or that something has changed."""
        if final:
            self._request = None
            problem = "names no watch: the server has answered it for good"
            self.fail(InvalidCall(self._watch.watch.endpoint, "endpoint", problem))
        elif "oper" in res.args:
            self._guarded(self._changes_came, res)
        elif not self._is_made:
            self._is_made = True
            self._read_anew()
        else:
            _log.warning("a message of a watch that tells of no change; it is left out")

    def complete(self) -> None:
        """The watch was deleted, or the service closed."""
        self._request = None
        self._stop_reading()
        self._step_down()
        super().complete()

    def fail(self, error: Exception) -> None:
        """It goes on no more."""
        self._step_down()
        super().fail(error)
        self._close()

    def _guarded(self, take: Callable[[Any], None], what: Any) -> None:
        try:
            take(what)
        except Exception as error:  # too large, or what doc_type's own code raises
            self.fail(error)

    def _gap_came(self, gap: Gap) -> None:
        self.emit(gap)
        self._read_anew()

    def _changes_came(self, res: Res[Any]) -> None:
        oper = res.args["oper"]
        for _id, doc in _docs_of(res):
            raw = None if oper == "delete" or doc.get("__deleted") is True else doc
            if self._reading is not None:
                self._heard[_id] = raw
                self._check_size(len(self._heard))
            if self._raw is not None:
                self._take(_id, raw)
            elif self._watch.read is None:
                self.emit(self._as_told(oper, _id, doc, is_gone=raw is None))

    def _as_told(self, oper: str, _id: str, doc: Any, *, is_gone: bool) -> Any:
        """A change of a document that nothing is known of."""
        if is_gone:
            return Deleted(_id, None if oper == "delete" else self._watch.convert(doc))
        return (Created if oper == "create" else Updated)(_id, self._watch.convert(doc))

    def _take(self, _id: str, raw: Any) -> None:
        """``raw`` is what the server has of this document now, None for nothing; tell it, if that is news."""
        known = cast("dict[str, Any]", self._raw)
        if raw == known.get(_id):
            return
        before = self._docs.get(_id)
        change: Any
        if raw is None:
            change = Deleted(_id, before)
        elif _id not in known:
            change = Created(_id, self._watch.convert(raw))
        else:
            change = Updated(_id, self._watch.convert(raw), before)
        with self._dispatcher.lock:
            if raw is None:
                del known[_id], self._docs[_id]
            else:
                known[_id], self._docs[_id] = raw, change.doc
            self._version += 1
            self.emit(change)
        self._check_size(len(known))

    def _check_size(self, size: int) -> None:
        if size > self._watch.limit:
            raise CollectionTooLarge(self._watch.limit)

    # -- reading

    def _read_anew(self) -> None:
        """Read the collection from its beginning; an answer that is still on its way is too old."""
        self._stop_reading()
        self._passes = 0
        if self._watch.read is not None:
            self._begin_pass()

    def _begin_pass(self) -> None:
        self._passes += 1
        if self._passes == 1:
            self._heard = {}  # what is heard from now on is the last word; what was heard before, the read knows
        self._reading = _Reading(self)
        self._ask(self._reading, [])

    def _ask(self, reading: _Reading, more: list[Any]) -> None:
        read = cast("Asker", self._watch.read)
        reading.request = request = read.request(more)
        request.idempotent = False  # it dies with its connection, as the watch does, and comes anew with it
        request.may_watch = False
        request.queue_timeout_s = None
        self._watch.inside.start(request, reading)

    def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if reading is not None and reading.request is not None:
            self._watch.inside.withdraw(reading.request)

    def page_came(self, reading: _Reading, res: Res[Any]) -> None:
        """A read was answered."""
        if reading is self._reading:
            self._guarded(self._page, res)

    def _page(self, res: Res[Any]) -> None:
        reading = cast(_Reading, self._reading)
        reading.take(res)
        self._check_size(max(reading.taken, reading.total or 0))
        if not reading.fits and self._passes < _PASSES:
            self._begin_pass()
        elif not reading.is_whole and res.docs:
            self._ask(reading, [{"$skip": reading.taken}])
        else:
            self._reading = None
            self._failed_reads = 0
            self._compare(reading.docs)
            if not reading.fits:
                self._read_later(_AGAIN.cap_s)
            elif self._watch.refresh_s is not None:  # a little sooner: thousands of clients are not to ask in step
                self._read_later(self._watch.refresh_s * random.uniform(0.9, 1.0))

    def _compare(self, read: dict[str, Any]) -> None:
        for _id, raw in self._heard.items():
            if raw is None:
                read.pop(_id, None)
            else:
                read[_id] = raw
        self._heard = {}
        self._check_size(len(read))
        if self._raw is not None:
            for _id in [_id for _id in self._raw if _id not in read]:
                self._take(_id, None)
            for _id, raw in read.items():
                self._take(_id, raw)
            return
        docs = {_id: self._watch.convert(raw) for _id, raw in read.items()}
        with self._dispatcher.lock:
            self._raw, self._docs = read, docs
            self._version += 1
            self.emit(Snapshot(dict(docs)))

    def read_failed(self, reading: _Reading, error: Exception) -> None:
        """A read was refused, or not answered."""
        if reading is not self._reading or isinstance(error, CallOutcomeUnknown):
            return  # lost with its connection: the next one begins with a gap, and a new read
        self._reading = None
        if self._raw is None or not _may_pass(error):
            self.fail(error)
            return
        _log.warning("a watched collection could not be read again: %s; trying later", error)
        self._failed_reads += 1
        self._read_later(_AGAIN.delay_s(self._failed_reads, 1.0))

    def _read_later(self, delay_s: float) -> None:
        clock = self._life.clock
        self._timer = clock.call_at(clock.now() + delay_s, self._read_anew)


def _docs_of(res: Res[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for doc in res.docs:
        if isinstance(doc, dict) and isinstance(doc.get("_id"), str):
            yield doc["_id"], doc
        else:
            _log.warning("a watched document without an _id; it is left out")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, CallRejected):
        return error.status == 429 or error.status >= 500
    return isinstance(error, (CallTimeout, CallNotSent))
