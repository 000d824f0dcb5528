"""The chat's machine: every rule of the wire about order, in one synchronous object.

Floor 0: no I/O, no clock, no randomness. Driven by `rxsdk.core.connection` through `rxsdk.protocols.contract`, and by
`rxsdk.chat_life`, which submits requests, reads reports and says what was handed over. The tables it moves by are in
`phases`. Source: chat.md.

An event with an id goes one way only:

    received ──▶ handing (EventReceived) ──acknowledge──▶ seen, and ``ack`` on the wire
       │              └──let_go──▶ as if it had never come: it comes again after a reconnect
       ├── being handed over already: dropped, its ``ack`` is still to come
       └── seen before: ``ack`` again, and dropped

Invariants: each request ends exactly once. Each id is reported once until it leaves the window of seen ids. What the
peer sends never raises; it is reported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rxsdk.errors import (
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    CallTimeout,
    HeartbeatTimeout,
    RemoteProtocolError,
    ReplyMismatch,
    RxSdkError,
)
from rxsdk.protocols.chat.codec import decode_frame, encode, load, load_event
from rxsdk.protocols.chat.events import (
    CallFailed,
    CallReplied,
    ConnectionGivenUp,
    EventReceived,
    FrameRejected,
    HeartbeatAnswered,
    PhaseChanged,
    PresenceChanged,
    Report,
    RequestRepeated,
    TypingChanged,
)
from rxsdk.protocols.chat.phases import MOVES, Move, Phase, Progress, Step
from rxsdk.protocols.chat.presence import Presence
from rxsdk.protocols.chat.request import REPEATABLE, REPLIES, Request
from rxsdk.protocols.chat.types import Event
from rxsdk.protocols.deadlines import Deadlines

__all__ = ["ChatMachine"]

_PING = b"ping"


class _Told:
    """A client event to be written, now or never."""

    def __init__(self, event_type: str, payload: dict[str, Any]) -> None:
        self._event_type = event_type
        self._payload = payload

    def frame(self, wall: float) -> bytes:
        """The whole frame, at this moment."""
        now = round(wall * 1000)
        return encode({"type": "event", "timestamp": now, "eventType": self._event_type, "payload": self._payload})


class ChatMachine:
    """One user's chat over one connection after another.

    Args:
        heartbeat_interval_s, heartbeat_timeout_s: between pings, and how long a pong may take.
        max_queued_calls: how many requests may wait to be written.
        window: how many ids of events handed over are remembered.
        new_id: makes the ids of requests, never the same twice.
        seen: ids handed over in earlier runs, the oldest first.
    """

    is_text = True
    subprotocols: Sequence[str] = ()

    def __init__(
        self,
        *,
        heartbeat_interval_s: float,
        heartbeat_timeout_s: float,
        max_queued_calls: int,
        window: int,
        new_id: Callable[[], str],
        seen: Iterable[int] = (),
    ) -> None:
        self.phase = Phase.DISCONNECTED
        self._interval_s = heartbeat_interval_s
        self._timeout_s = heartbeat_timeout_s
        self._max_queued_calls = max_queued_calls
        self._window = window
        self._new_id = new_id

        self._reports: list[Report] = []
        self._queue: OrderedDict[Request | _Told, None] = OrderedDict()
        self._in_flight: dict[str, Request] = {}
        self._handing: set[int] = set()
        self._seen: OrderedDict[int, None] = OrderedDict.fromkeys(seen)
        self._acks: OrderedDict[int, None] = OrderedDict()
        self._presence = Presence()
        self._deadlines: Deadlines[Request] = Deadlines()
        self._ping_is_due = False
        self._pinged_at: float | None = None
        self._heartbeat_at: float | None = None  # when the next ping is due, or the pong late
        self._last_loss: Exception | None = None
        self._forget_oldest()

    # -- what the service asks

    def submit(self, request: Request, now: float) -> None:
        """Take a request over; what becomes of it is reported."""
        if self.phase is Phase.CLOSED:
            self._fail(request, CallNotSent(request.payload_type, "the service is closed"))
        elif len(self._queue) >= self._max_queued_calls:
            reason = f"the queue is full (max_queued_calls={self._max_queued_calls})"
            self._fail(request, CallNotSent(request.payload_type, reason))
        else:
            request.id = self._new_id()
            if request.queue_timeout_s is not None:
                self._deadlines.set(request, now + request.queue_timeout_s)
                if request.timeout_s is not None:
                    request.expires = now + request.queue_timeout_s + request.timeout_s
            self._queue[request] = None

    def cancel(self, request: Request) -> None:
        """Take a request back as far as that goes."""
        if request.progress is not Progress.ENDED:
            self._fail(request, CallCancelled(request.payload_type, written=request.was_written))

    def tell(self, event_type: str, payload: dict[str, Any]) -> None:
        """Send a client event, now or never: while there is no connection it concerns nobody."""
        if self.phase is Phase.READY:
            self._queue[_Told(event_type, payload)] = None

    def acknowledge(self, ids: Iterable[int]) -> None:
        """These events were handed over."""
        for event_id in ids:
            self._handing.discard(event_id)
            self._seen[event_id] = None
            self._acknowledge_again(event_id)
        self._forget_oldest()

    def let_go(self, event_id: int) -> None:
        """This event was handed to nobody: let it come again."""
        self._handing.discard(event_id)

    @property
    def seen(self) -> list[int]:
        """The ids in the window, the oldest first."""
        return list(self._seen)

    def _acknowledge_again(self, event_id: int) -> None:
        if self.phase is Phase.READY:
            self._acks[event_id] = None  # else it comes again, and is acknowledged then

    def _forget_oldest(self) -> None:
        while len(self._seen) > self._window:
            self._seen.popitem(last=False)

    def close(self) -> None:
        """End everything, and tell the contacts that we are gone."""
        goodbye = self.phase is Phase.READY
        self._end_all("the service was closed", None)
        if goodbye:
            self._queue[_Told("offline", {})] = None

    def fail(self, error: RxSdkError) -> None:
        """End everything because of ``error``."""
        self._acks.clear()
        self._end_all(str(error), error)

    # -- the contract: connections come and go

    def connected(self, now: float, subprotocol: str | None) -> None:
        """See `Machine.connected`: ready at once."""
        self._heartbeat_at = now + self._interval_s
        self._move(Move.CONNECTED)

    def disconnected(self, now: float, reason: Exception) -> None:
        """See `Machine.disconnected`: what may be repeated waits for the next connection, at the head."""
        self._last_loss = reason
        self._heartbeat_at = self._pinged_at = None
        self._ping_is_due = False
        self._acks.clear()
        self._forget_told()
        lost, self._in_flight = list(self._in_flight.values()), {}
        for request in reversed(lost):
            if request.payload_type not in REPEATABLE:
                continue
            request.step(Step.LOST)
            self._queue[request] = None
            self._queue.move_to_end(request, last=False)
            if request.expires is None:
                self._deadlines.clear(request)
            else:
                self._deadlines.set(request, request.expires)
        for request in lost:
            if request.progress is Progress.WAITING:
                self._reports.append(RequestRepeated(request))
            else:
                self._fail(request, CallOutcomeUnknown(request.payload_type, str(reason)))
        self._forget_contacts()
        self._move(Move.LOST)

    def _forget_told(self) -> None:
        for item in [item for item in self._queue if isinstance(item, _Told)]:
            del self._queue[item]

    def _forget_contacts(self) -> None:
        before = self._presence.online, self._presence.typing
        self._presence.clear()
        self._tell_contacts(*before)

    # -- the contract: frames out

    def frames_to_send(self, now: float, wall: float) -> list[bytes]:
        """See `Machine.frames_to_send`: what must not wait first."""
        if self.phase is Phase.DISCONNECTED:
            return []
        frames: list[bytes] = []
        if self._ping_is_due:
            self._ping_is_due = False
            self._pinged_at = now
            frames.append(_PING)
        frames += [b'{"type":"ack","id":"%d"}' % event_id for event_id in self._acks]
        self._acks.clear()
        while self._queue:
            item, _ = self._queue.popitem(last=False)
            frames.append(item.frame(wall) if isinstance(item, _Told) else self._write(item, now, wall))
        return frames

    def _write(self, request: Request, now: float, wall: float) -> bytes:
        request.step(Step.WRITTEN)
        request.written_at = now
        request.was_written = True
        self._in_flight[request.id] = request
        if request.timeout_s is None:
            self._deadlines.clear(request)
        else:
            self._deadlines.set(request, now + request.timeout_s)
        return request.frame(wall)

    # -- the contract: frames in

    def receive(self, frame: bytes, now: float) -> None:
        """See `Machine.receive`."""
        try:
            message = decode_frame(frame)
            kind = message.get("type")
            if kind == "response":
                self._received_response(message)
            elif kind == "event":
                self._received_event(load_event(message), now)
            elif message.get("event") == "pong":
                self._received_pong(now)
            else:
                raise RemoteProtocolError(f"a frame of {len(frame)} bytes is no response, event or pong")
        except RemoteProtocolError as error:
            self._reports.append(FrameRejected(error))

    def _received_response(self, message: dict[str, Any]) -> None:
        request_id = message.get("id")
        request = self._in_flight.get(request_id) if type(request_id) is str else None
        if request is None:
            return  # of a request that was cancelled, or gave up waiting
        try:
            payload = load(REPLIES[request.payload_type], message.get("payload"))
        except RemoteProtocolError as error:
            self._fail(request, ReplyMismatch(request.payload_type, str(error)))
        else:
            self._leave(request)
            self._reports.append(CallReplied(request, payload))

    def _received_event(self, event: Event[Any], now: float) -> None:
        if event.id is not None:
            if event.id in self._handing:
                return
            if event.id in self._seen:
                self._acknowledge_again(event.id)
                return
            self._handing.add(event.id)
        before = self._presence.online, self._presence.typing
        self._presence.take(event, now)
        self._reports.append(EventReceived(event))
        self._tell_contacts(*before)

    def _tell_contacts(self, online: frozenset[str], typing: frozenset[tuple[str, str]]) -> None:
        if self._presence.online != online:
            self._reports.append(PresenceChanged(self._presence.online))
        if self._presence.typing != typing:
            self._reports.append(TypingChanged(self._presence.typing))

    def _received_pong(self, now: float) -> None:
        if self._pinged_at is not None:
            self._reports.append(HeartbeatAnswered(now - self._pinged_at))
            self._heartbeat_at = self._pinged_at + self._interval_s
            self._pinged_at = None

    # -- deadlines

    def next_deadline(self) -> float | None:
        """See `Machine.next_deadline`."""
        deadlines = (self._deadlines.first(), self._heartbeat_at, self._presence.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def handle_deadline(self, now: float) -> None:
        """See `Machine.handle_deadline`."""
        for request in self._deadlines.passed(now):
            self._expire(request)
        before = self._presence.online, self._presence.typing
        self._presence.pass_time(now)
        self._tell_contacts(*before)
        if self._heartbeat_at is not None and self._heartbeat_at <= now:
            self._heartbeat_due(now)

    def probe(self, now: float) -> None:
        """See `Machine.probe`: a ping at once, if none is on its way."""
        if self._heartbeat_at is not None and self._pinged_at is None and not self._ping_is_due:
            self._heartbeat_due(now)

    def _heartbeat_due(self, now: float) -> None:
        if self._ping_is_due or self._pinged_at is not None:
            self._heartbeat_at = None
            self._reports.append(ConnectionGivenUp(HeartbeatTimeout(self._timeout_s)))
        else:
            self._ping_is_due = True
            self._heartbeat_at = now + self._timeout_s

    def _expire(self, request: Request) -> None:
        if request.progress is Progress.WRITTEN:
            self._fail(request, CallTimeout(request.payload_type, request.timeout_s or 0.0))
            return
        waited = f"no connection within {request.queue_timeout_s:g} s"
        error = (CallOutcomeUnknown if request.was_written else CallNotSent)(request.payload_type, waited)
        error.__cause__ = self._last_loss
        self._fail(request, error)

    # -- ends

    def events(self) -> Sequence[Report]:
        """See `Machine.events`."""
        reports, self._reports = self._reports, []
        return reports

    def _move(self, move: Move) -> None:
        phase = MOVES[self.phase, move]
        if phase is not self.phase:
            self.phase = phase
            self._reports.append(PhaseChanged(phase))

    def _leave(self, request: Request) -> None:
        self._deadlines.clear(request)
        self._queue.pop(request, None)
        self._in_flight.pop(request.id, None)
        request.step(Step.ENDED)

    def _fail(self, request: Request, error: RxSdkError) -> None:
        self._leave(request)
        self._reports.append(CallFailed(request, error))

    def _end_all(self, reason: str, cause: RxSdkError | None) -> None:
        self._heartbeat_at = self._pinged_at = None
        self._ping_is_due = False
        self._handing.clear()
        waiting = [item for item in self._queue if isinstance(item, Request)]
        self._queue.clear()
        for request in [*self._in_flight.values(), *waiting]:
            error = (CallOutcomeUnknown if request.was_written else CallNotSent)(request.payload_type, reason)
            error.__cause__ = cause
            self._fail(request, error)
        self._forget_contacts()
        self._move(Move.CLOSED)
