"""The sylkRTC machine: every rule of the wire about order, in one synchronous object.

Floor 0: no I/O, no clock, no randomness (``now``, ``wall`` and ``new_id`` are given). Driven by
`rxsdk.core.connection` through the contract in `rxsdk.protocols.contract`, and by `rxsdk.sylk_life`, which submits
requests and reads events. Source: sylk.md.

The connection moves by the table of `phases`; accounts, calls and rooms move by those of `tables`, in the `book`. A
request moves so:

    WAITING ──written──▶ WRITTEN ──ack──▶ ENDED (RequestAcknowledged)
       │                    └──error, deadline, lost──▶ ENDED (RequestFailed: SylkError, CallTimeout,
       │                                                       CallOutcomeUnknown)
       └──deadline, cancelled, closed, its call is over──▶ ENDED (RequestFailed: CallNotSent, CallCancelled)

What waits, waits in ``_queue`` until READY. The machine's own requests (``_urgent``: accounts to restore, pings, calls
that nobody wants any more) go first. Nothing is ever written twice: on a lost connection "the server forgets
everything", so the accounts are added and registered anew, and every call is over.

Invariants: each request ends exactly once. What the peer sends never raises; it is reported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from rxsdk.errors import (
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    CallTimeout,
    ConnectionLost,
    HeartbeatTimeout,
    RemoteProtocolError,
    RxSdkError,
    SylkError,
)
from rxsdk.protocols.deadlines import Deadlines
from rxsdk.protocols.sylk.book import Account, Book, Change, Feed, Session, StateChanged
from rxsdk.protocols.sylk.events import (
    ConnectionGivenUp,
    Event,
    FrameRejected,
    PhaseChanged,
    PingAnswered,
    RequestAcknowledged,
    RequestFailed,
    RequestWritten,
)
from rxsdk.protocols.sylk.messages import Ack, Ready, Refusal, decode_frame
from rxsdk.protocols.sylk.phases import MOVES, Move, Phase
from rxsdk.protocols.sylk.requests import Progress, Request, make_request

__all__ = ["SylkMachine", "account_add"]

_TELLS_END_S = 5.0
"""How long the server may take to say ``terminated`` after it acknowledged the request to."""
_UNDO = {"session-create": "session-terminate", "videoroom-join": "videoroom-leave"}
_LEAVE = frozenset(_UNDO.values())
_to_json = msgspec.json.encode


def account_add(account: Account, **times: float | None) -> Request:
    """The request that adds ``account``, the first time and after each reconnect."""
    fields = {"account": account.key, "password": account.password.reveal(), **account.fields}
    return make_request("account-add", fields, about=account, **times)


class SylkMachine:
    """One application's accounts and calls, over one connection after another.

    Args:
        connect_timeout_s: from an open connection to READY.
        heartbeat_interval_s: between pings ("every 5 s").
        heartbeat_timeout_s: so long without an answer to any ping is a lost connection ("6 unanswered": 30 s).
        max_queued_calls: how many requests may wait.
        new_id: makes transactions, never the same twice.
        trace: report each written request too.
    """

    is_text = True
    subprotocols: Sequence[str] = ("sylkRTC-2", "sylkRTC-1")

    def __init__(
        self,
        *,
        connect_timeout_s: float,
        heartbeat_interval_s: float,
        heartbeat_timeout_s: float,
        max_queued_calls: int,
        new_id: Callable[[], str],
        trace: bool = False,
    ) -> None:
        self.phase = Phase.DISCONNECTED
        self.book = Book()
        self._connect_timeout_s = connect_timeout_s
        self._heartbeat_interval_s = heartbeat_interval_s
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._max_queued_calls = max_queued_calls
        self._new_id = new_id
        self._trace = trace

        self._events: list[Event] = []
        self._urgent: OrderedDict[Request, None] = OrderedDict()
        self._queue: OrderedDict[Request, None] = OrderedDict()
        self._in_flight: dict[str, Request] = {}
        self._restoring: set[Request] = set()
        self._pings: set[Request] = set()  # unanswered
        self._lost_at: float | None = None  # when the first of them has waited long enough
        self._deadlines: Deadlines[Request | Session] = Deadlines()
        self._ready_by: float | None = None
        self._ping_at: float | None = None
        self._last_loss: Exception | None = None

    # -- what the service asks ---------------------------------------------------------------------------------

    def submit(self, request: Request, now: float) -> None:
        """Take a request over; what becomes of it arrives as an event."""
        why = self._why_not(request)
        if why is not None:
            self._fail(request, CallNotSent(request.kind, why), entered=False)
            return
        if request.queue_timeout_s is not None:
            self._deadlines.set(request, now + request.queue_timeout_s)
        self._queue[request] = None
        self._changed(self.book.submitted(request))

    def _why_not(self, request: Request) -> str | None:
        if self.phase is Phase.CLOSED:
            return "the service is closed"
        if len(self._queue) >= self._max_queued_calls:
            return f"the queue is full (max_queued_calls={self._max_queued_calls})"
        return self.book.enter(request)

    def cancel(self, request: Request) -> None:
        """Take a request back as far as that goes, to end with `CallCancelled`."""
        if request.progress is not Progress.ENDED:
            written = request.written_at is not None
            self._forget(request)
            self._fail(request, CallCancelled(request.kind, written=written))

    def close(self) -> None:
        """See `Machine.close`. There is nothing to say: the server forgets everything with the connection."""
        self._end_all("the service was closed", None)

    def fail(self, error: RxSdkError) -> None:
        """See `Machine.fail`."""
        self._end_all(str(error), error)

    def _end_all(self, reason: str, cause: RxSdkError | None) -> None:
        if not self._move(Move.CLOSED):
            return
        requests = [*self._in_flight.values(), *self._urgent, *self._queue]
        self._forget_connection()
        self._queue.clear()
        self._changed(self.book.close(reason))
        for request in requests:
            self._deadlines.clear(request)
            unknown = request.written_at is not None
            error = (CallOutcomeUnknown if unknown else CallNotSent)(request.kind, reason)
            error.__cause__ = cause
            self._fail(request, error)

    # -- the contract: connections come and go -----------------------------------------------------------------

    def connected(self, now: float, subprotocol: str | None) -> None:
        """See `Machine.connected`. "Nothing may be requested before" the ready event, which tells the version too."""
        self._ready_by = now + self._connect_timeout_s
        self._move(Move.CONNECTED)

    def disconnected(self, now: float, reason: Exception) -> None:
        """See `Machine.disconnected`: "every pending request fails, … sessions are over"."""
        self._last_loss = reason
        lost = list(self._in_flight.values())
        self._forget_connection()
        self._move(Move.LOST)
        self._changed(self.book.lost(str(reason)))
        for request in lost:
            self._deadlines.clear(request)
            self._fail(request, CallOutcomeUnknown(request.kind, str(reason)))

    def _forget_connection(self) -> None:
        for request in self._urgent:
            self._deadlines.clear(request)
            request.progress = Progress.ENDED
        self._urgent.clear()
        self._in_flight.clear()
        self._restoring.clear()
        self._pings.clear()
        self._ready_by = self._ping_at = self._lost_at = None

    # -- the contract: frames out ------------------------------------------------------------------------------

    def frames_to_send(self, now: float, wall: float) -> list[bytes]:
        """See `Machine.frames_to_send`."""
        frames: list[bytes] = []
        if self.phase in (Phase.RESTORING, Phase.READY):
            while self._urgent:
                frames.append(self._write(self._urgent.popitem(last=False)[0], now))
        while self._queue and self.phase is Phase.READY:
            frames.append(self._write(self._queue.popitem(last=False)[0], now))
        return frames

    def _write(self, request: Request, now: float) -> bytes:
        request.transaction = self._new_id()
        request.progress = Progress.WRITTEN
        request.written_at = now
        self._in_flight[request.transaction] = request
        if request.timeout_s is None:
            self._deadlines.clear(request)
        else:
            self._deadlines.set(request, now + request.timeout_s)
        if isinstance(request.about, Session):
            request.about.is_known = True
        if self._trace:
            self._events.append(RequestWritten(request))
        return b'{"transaction":%b,%b' % (_to_json(request.transaction), request.body[1:])

    def _own(self, request: Request) -> None:
        self._urgent[request] = None

    # -- the contract: frames in -------------------------------------------------------------------------------

    def receive(self, frame: bytes, now: float) -> None:
        """See `Machine.receive`."""
        try:
            message = decode_frame(self.book.redacted(frame))
        except RemoteProtocolError as error:
            self._events.append(FrameRejected(error))
            return
        if isinstance(message, Ready):
            self._let_in(now)
        elif isinstance(message, (Ack, Refusal)):
            request = self._in_flight.get(message.transaction)
            if request is not None:
                self._answered(request, message, now)
        else:
            self._changed(self.book.take(message))

    def _let_in(self, now: float) -> None:
        accounts = self.book.to_restore()
        if not accounts:
            self._become_ready(Move.LET_IN, now)
        elif self._move(Move.LET_IN_WITH_ACCOUNTS):
            for account in accounts:
                self._restore(account_add(account))
                if account.wants_registration:
                    self._restore(make_request("account-register", {"account": account.key}, about=account))

    def _restore(self, request: Request) -> None:
        self._restoring.add(request)
        self._own(request)

    def _become_ready(self, move: Move, now: float) -> None:
        if self._move(move):
            self._ready_by = None
            self._ping_at = now + self._heartbeat_interval_s

    def _answered(self, request: Request, answer: Ack | Refusal, now: float) -> None:
        self._forget(request)
        if request in self._pings:
            for ping in self._pings:  # it is alive: those before will not be answered any more
                self._in_flight.pop(ping.transaction, None)
            self._pings.clear()
            self._lost_at = None
            self._events.append(PingAnswered(now - (request.written_at or now)))
        if isinstance(answer, Refusal):
            self._fail(request, SylkError(request.kind, answer.error))
        else:
            self._acknowledged(request, answer, now)
        if request in self._restoring:
            self._restoring.remove(request)
            if not self._restoring:
                self._become_ready(Move.RESTORED, now)

    def _acknowledged(self, request: Request, ack: Ack, now: float) -> None:
        request.progress = Progress.ENDED
        if request.listener is not None:
            self._events.append(RequestAcknowledged(request, ack))
        session = request.about
        if request.kind in _LEAVE and session is not None and not session.has_ended:
            self._deadlines.set(session, now + _TELLS_END_S)
        self._changed(self.book.acknowledged(request))

    # -- deadlines and pings -----------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """See `Machine.next_deadline`."""
        moments = (self._deadlines.first(), self._ready_by, self._ping_at, self._lost_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def handle_deadline(self, now: float) -> None:
        """See `Machine.handle_deadline`: queue times, answer times, pings, the time to become ready."""
        for due in self._deadlines.passed(now):
            if isinstance(due, Request):
                self._expire(due)
            else:
                self._changed(self.book.end(due, "ended here; the server did not confirm it"))
        if self._ready_by is not None and self._ready_by <= now:
            self._ready_by = None
            reason = f"not ready within {self._connect_timeout_s:g} s ({self.phase.value})"
            self._events.append(ConnectionGivenUp(ConnectionLost(reason)))
        if self._lost_at is not None and self._lost_at <= now:
            self._lost_at = self._ping_at = None
            self._events.append(ConnectionGivenUp(HeartbeatTimeout(self._heartbeat_timeout_s)))
        if self._ping_at is not None and self._ping_at <= now:
            self._ping(now)

    def _expire(self, request: Request) -> None:
        waited = request.progress is Progress.WAITING
        self._forget(request)
        if not waited:
            self._fail(request, CallTimeout(request.kind, request.timeout_s or 0.0, None))
            return
        error = CallNotSent(request.kind, f"no connection within {request.queue_timeout_s:g} s ({self.phase.value})")
        error.__cause__ = self._last_loss
        self._fail(request, error)

    def probe(self, now: float) -> None:
        """See `Machine.probe`: a ping at once."""
        if self._ping_at is not None:
            self._ping(now)

    def _ping(self, now: float) -> None:
        if not self._pings:
            self._lost_at = now + self._heartbeat_timeout_s
        ping = make_request("ping", {})
        self._pings.add(ping)
        self._own(ping)
        self._ping_at = now + self._heartbeat_interval_s

    # -- what becomes of things --------------------------------------------------------------------------------

    def events(self) -> Sequence[Event]:
        """See `Machine.events`."""
        events, self._events = self._events, []
        return events

    def _move(self, move: Move) -> bool:
        phase = MOVES.get((self.phase, move), self.phase)
        if phase is self.phase:
            return False
        self.phase = phase
        self._events.append(PhaseChanged(phase))
        return True

    def _forget(self, request: Request) -> None:
        """Take a request out of wherever it is."""
        self._deadlines.clear(request)
        self._in_flight.pop(request.transaction, None)
        self._queue.pop(request, None)

    def _fail(self, request: Request, error: RxSdkError, *, entered: bool = True) -> None:
        request.progress = Progress.ENDED
        if request.listener is not None:
            self._events.append(RequestFailed(request, error))
        undo = _UNDO.get(request.kind)
        if undo and request.written_at is not None and not isinstance(error, SylkError) and self.phase is Phase.READY:
            self._own(make_request(undo, {"session": request.about.key}))  # nobody waits for it, but it may be there
        reason = error.error if isinstance(error, SylkError) else str(error)
        self._changed(self.book.failed(request, reason, entered=entered))

    def _changed(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._events.append(change)
            if isinstance(change, StateChanged) and change.state.is_last:
                self._end_requests_about(change.about)

    def _end_requests_about(self, thing: object) -> None:
        """What waits to be written for something that is over will never be."""
        if isinstance(thing, Session):
            self._deadlines.clear(thing)
        for request in [request for request in self._queue if _is_about(request, thing)]:
            self._forget(request)
            self._fail(request, CallNotSent(request.kind, f"it is {request.about.state.name}"))


def _is_about(request: Request, thing: object) -> bool:
    return request.about is thing or (isinstance(request.about, Feed) and request.about.room is thing)
