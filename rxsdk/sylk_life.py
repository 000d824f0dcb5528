"""`SylkLife`: one life of a `SylkService`: what sylkRTC's answers and events mean, from opening to the end.

Floor 3, the service's inside. What every service has (loop, dispatcher, connection, the order of ending) is its
`Life`; here is what is sylkRTC's. It never holds the `SylkService`; accounts and calls hold it.

Data out: `send` → `SylkMachine.submit` → `Connection`
Data in:  `Connection` → machine events → ``_on_…`` → ``listener.take(…)`` and `Call` → `Dispatcher` → observers
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import uuid4

from reactivex import operators as ops

from rxsdk.core.clock import Clock
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import Connect
from rxsdk.errors import CallNotSent, InvalidCall
from rxsdk.protocols.contract import Machine
from rxsdk.protocols.sylk.book import Book, Thing
from rxsdk.protocols.sylk.events import (
    Arrived,
    ConnectionGivenUp,
    FrameRejected,
    PhaseChanged,
    PingAnswered,
    Received,
    RequestAcknowledged,
    RequestFailed,
    RequestWritten,
    StateChanged,
)
from rxsdk.protocols.sylk.machine import SylkMachine
from rxsdk.protocols.sylk.messages import Ack, Event, UnknownEvent
from rxsdk.protocols.sylk.phases import Phase
from rxsdk.protocols.sylk.requests import Request, make_request
from rxsdk.protocols.sylk.trace import shown_event, shown_request
from rxsdk.reactive.call import Call
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.telemetry import show_wire, telemetry_for

if TYPE_CHECKING:
    from rxsdk.sylk_config import SylkConfig

__all__ = ["Part", "SylkLife", "iso_time", "new_id", "only"]

R = TypeVar("R")

_log = logging.getLogger("rxsdk")
_wire_log = logging.getLogger("rxsdk.wire")


class Part:
    """What an account, a call, a room and a feed of the application have in common: a thing in the machine's book, and
    streams that end with it."""

    def __init__(self, life: SylkLife, thing: Thing) -> None:
        self._life = life
        self._thing = thing
        thing.listener = self
        self._streams: list[Multicast[Any]] = []
        self._states = self._stream(keep_latest=True, initial=thing.state)
        self._events: Multicast[Event] = self._stream()

    @property
    def events(self) -> Stream[Event]:
        """Every event about it, typed: hot, without replay; ends with it."""
        return self._events

    def _only(self, kind: type[R]) -> Stream[R]:
        return only(self._events, kind)

    def _stream(self, **settings: Any) -> Multicast[Any]:
        made: Multicast[Any] = Multicast(self._life.life.dispatcher, **settings)
        self._streams.append(made)
        return made

    def _send(self, kind: str, decode: Callable[[Any], Any] | None = None, **fields: Any) -> Call[Any]:
        return self._life.send(self._life.request(kind, fields, about=self._thing), decode)

    def _received(self, event: Event) -> None:
        """An event about it came in; by now the book knows of it."""
        self._events.emit(event)

    def _changed(self, change: StateChanged) -> None:
        """It moved; the last time this is called, its streams end."""
        self._states.emit(change.state)
        if change.state.is_last:
            self._end()

    def _end(self) -> None:
        """Nothing more comes."""
        for stream in self._streams:
            stream.complete()


class SylkLife:
    """Made before the service is opened, so that its streams can be subscribed to; used once."""

    machine_type: type[Machine] = SylkMachine

    def __init__(self) -> None:
        self.life = Life()
        self.messages: Multicast[Event] = self.life.stream()
        self.round_trips: Multicast[float] = self.life.stream()
        self.times: dict[str, Any] = {}
        self._debug = False

    def open(self, owner: object, config: SylkConfig, connect: Connect, clock: Clock | None) -> None:
        """See `Inside.open`."""
        if config.debug:
            show_wire()
        self._debug = config.debug
        self.times = {"timeout_s": config.timeout_s, "queue_timeout_s": config.queue_timeout_s}
        self._telemetry = telemetry_for(config.telemetry, "sylkrtc", config.url)
        self._machine = SylkMachine(
            connect_timeout_s=config.connect_timeout_s,
            heartbeat_interval_s=config.heartbeat_interval_s,
            heartbeat_timeout_s=config.heartbeat_timeout_s,
            max_queued_calls=config.max_queued_calls,
            new_id=partial(secrets.token_urlsafe, 12),
            trace=config.debug,
        )
        self.life.open(
            owner,
            self._machine,
            connect,
            inside=self,
            handlers=self._HANDLERS,
            end_rest=lambda: (),  # the machine ends everything there is
            loop=config.loop,
            policy=config.reconnect,
            delivery=config.delivery,
            clock=clock,
        )

    # -- requests

    def request(self, kind: str, fields: Mapping[str, Any], *, about: Thing | None = None) -> Request:
        """A checked request; raises `InvalidCall`."""
        return make_request(kind, dict(fields), about=about, **self.times)

    def send(self, request: Request, decode: Callable[[Ack], R] | None = None) -> Call[R]:
        """A call that is on its way."""
        life = self.life
        call: Call[R] = Call(request.kind, life.dispatcher, self._cancel, decode, request)
        if not life.still_open():
            call.fail(CallNotSent(request.kind, life.why_closed))
            for change in Book().failed(request, life.why_closed, entered=False):
                if isinstance(change, StateChanged):
                    self._on_state_changed(change)
            life.dispatcher.run_if_closed()
        else:
            request.listener = call
            self._telemetry.call_made(call)
            life.on_loop(self._submit, request)
        return call

    def begin(self, request: Request) -> Call[Ack]:
        """The same for a request that a call, a room or a feed begins with: should it fail, that one's state tells, so
        it counts as seen."""
        call: Call[Ack] = self.send(request)
        call.subscribe(None, lambda _error: None)
        return call

    def _submit(self, request: Request) -> None:
        self._machine.submit(request, self.life.clock.now())
        self.life.connection.flush()

    def _cancel(self, call: Call[Any], asked: bool) -> None:
        if asked and self.life.is_open:
            self.life.on_loop(self._cancel_here, call.request)

    def _cancel_here(self, request: Request) -> None:
        self._machine.cancel(request)
        self.life.connection.flush()

    # -- what happened, on the loop

    def _on_acknowledged(self, event: RequestAcknowledged) -> None:
        self._show(event.ack)
        listener, event.request.listener = event.request.listener, None
        listener.reply(event.ack, final=True)

    def _on_failed(self, event: RequestFailed) -> None:
        listener, event.request.listener = event.request.listener, None
        error = event.error
        if isinstance(error, CallNotSent) and self.life.trouble is not None and not self.life.is_ready:
            error.__cause__ = error.__cause__ or self.life.trouble
        listener.fail(error)

    def _on_received(self, event: Received) -> None:
        self._show(event.event)
        if isinstance(event.event, UnknownEvent) and event.event.problem is not None:
            _log.warning("%s %s: %s", event.event.kind, event.event.event, event.event.problem)
        if self.messages.has_observers:
            self.messages.emit(event.event)
        if event.about is not None and event.about.listener is not None:
            event.about.listener._received(event.event)

    def _on_state_changed(self, event: StateChanged) -> None:
        if event.about.listener is not None:
            event.about.listener._changed(event)

    def _on_arrived(self, event: Arrived) -> None:
        event.account.listener._arrived(event.call)

    def _on_phase(self, event: PhaseChanged) -> None:
        if event.phase is Phase.DISCONNECTED:
            self._telemetry.reconnecting()
        elif event.phase is Phase.RESTORING:
            self.life.set_state(ConnectionState("authenticating"))
        elif event.phase is Phase.READY:
            self.life.set_state(ConnectionState("ready"))

    def _show(self, message: Ack | Event) -> None:
        if self._debug:
            _wire_log.debug("← %s", shown_event(message))

    def _on_frame_rejected(self, event: FrameRejected) -> None:
        self._telemetry.dropped()
        _log.warning("dropped: %s", event.error)

    def _on_ping_answered(self, event: PingAnswered) -> None:
        self._telemetry.round_trip(event.round_trip_s)
        self.round_trips.emit(event.round_trip_s)

    _HANDLERS: ClassVar[Mapping[type[Any], Callable[[Any, Any], object]]] = {
        RequestAcknowledged: _on_acknowledged,
        RequestFailed: _on_failed,
        Received: _on_received,
        StateChanged: _on_state_changed,
        Arrived: _on_arrived,
        PhaseChanged: _on_phase,
        ConnectionGivenUp: lambda self, event: self.life.connection.drop(event.error),
        FrameRejected: _on_frame_rejected,
        PingAnswered: _on_ping_answered,
        RequestWritten: lambda self, event: _wire_log.debug("→ %s", shown_request(event.request)),
    }


def only(events: Stream[Event], kind: type[R]) -> Stream[R]:
    """The events of one type."""
    chosen: Stream[R] = events.pipe(ops.filter(lambda event: isinstance(event, kind)))
    return chosen


def new_id() -> str:
    """An id for a call, a message, a feed: nobody's else."""
    return str(uuid4())


def iso_time(kind: str, field: str, given: datetime | str | None) -> str:
    """A moment as the wire has it, ISO 8601, a datetime with its zone; now when none is given."""
    if isinstance(given, str):
        try:
            datetime.fromisoformat(given)
        except ValueError:
            raise InvalidCall(kind, field, "must be ISO 8601, such as 2026-01-31T12:00:00Z") from None
        return given
    moment = datetime.now(UTC) if given is None else given
    if not isinstance(moment, datetime):
        raise InvalidCall(kind, field, f"must be a datetime or a string, not {type(given).__name__}")
    if moment.tzinfo is None:
        raise InvalidCall(kind, field, "must have a time zone, such as datetime.now(UTC)")
    return moment.isoformat(timespec="milliseconds")
