"""`ChatLife`: one life of a `ChatService`: what the chat's reports mean, from opening to the end.

Floor 3, the service's inside; it never holds the service. What every service has is its `Life`.

An event goes: machine → subscribers ``on_receive`` → conversations → subscribers ``after_delivery`` → here again, once
they have been handed it → (the file of seen ids) → machine, which acknowledges it. One that nobody is there to take is
held until somebody comes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, get_args

from rxsdk.cache.seen import SeenFile
from rxsdk.chat_config import ChatConfig
from rxsdk.core.clock import Clock
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import Connect
from rxsdk.errors import CallNotSent, CallTimeout, ReplyMismatch, RxSdkError
from rxsdk.protocols.chat.conversation import Conversation, Shown
from rxsdk.protocols.chat.events import (
    CallFailed,
    CallReplied,
    ConnectionGivenUp,
    EventReceived,
    FrameRejected,
    HeartbeatAnswered,
    PhaseChanged,
    PresenceChanged,
    RequestRepeated,
    TypingChanged,
)
from rxsdk.protocols.chat.machine import ChatMachine
from rxsdk.protocols.chat.phases import Phase
from rxsdk.protocols.chat.request import Request, page_payload
from rxsdk.protocols.chat.types import Event
from rxsdk.protocols.contract import Machine
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import report_unhandled
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast
from rxsdk.telemetry import telemetry_for

__all__ = ["ACKS", "Ack", "ChatLife", "Live"]

Ack = Literal["after_delivery", "on_receive"]
ACKS: tuple[str, ...] = get_args(Ack)

_log = logging.getLogger("rxsdk")


class _Asked:
    """Who waits for a request: the application's call, and what the answer does to a conversation."""

    def __init__(self, call: Call[Any], settled: Callable[[Any, Exception | None], None] | None) -> None:
        self.call = call
        self.settled = settled


class Live:
    """A conversation that somebody follows, or has followed; and the stream of its states."""

    def __init__(self, chat_id: str, user_id: str, life: Life, joined: Callable[[], None]) -> None:
        self.conversation = Conversation(chat_id, user_id)
        self.stream: Multicast[tuple[Shown, ...]] = life.stream(keep_latest=True, joined=joined)
        self.is_loaded = False
        self.is_loading = False
        self._told: tuple[Shown, ...] | None = None

    def show(self, delivered: Callable[[bool], None] | None = None) -> bool:
        """Tell everybody how it stands, if that is news; returns whether there was anything to tell, and anybody."""
        messages = self.conversation.messages()
        if messages == self._told:
            return False
        self._told = messages
        return self.stream.emit(messages, delivered)


class _Handing:
    """An event on its way to those who are there: to ``left`` streams still, and already to somebody (``taken``)."""

    def __init__(self, event: Event[Any]) -> None:
        self.event = event
        self.left = 0
        self.taken = False


class ChatLife:
    """Made before the service is opened, so that its streams can be subscribed to; used once."""

    machine_type: type[Machine] = ChatMachine

    def __init__(self) -> None:
        self.life = Life()
        self.messages: Multicast[Event[Any]] = self.life.stream(joined=self._somebody_came)
        self.at_once: Multicast[Event[Any]] = self.life.stream(joined=self._somebody_came)
        self.round_trips: Multicast[float] = self.life.stream()
        self.presence: Multicast[frozenset[str]] = self.life.stream(keep_latest=True, initial=frozenset())
        self.typing: Multicast[frozenset[tuple[str, str]]] = self.life.stream(keep_latest=True, initial=frozenset())
        self._lives: dict[str, Live] = {}
        self._held: deque[Event[Any]] = deque()
        self._to_save: list[int] = []
        self._being_saved: list[int] = []
        self._late: list[int] = []  # handed over while it ends, when nothing can be acknowledged any more
        self._saving: asyncio.Task[None] | None = None
        self._writing = threading.Lock()  # the file, on whatever thread
        self._last_is_written = False

    def open(self, owner: object, config: ChatConfig, connect: Connect, clock: Clock | None) -> None:
        """See `Inside.open`.

        Raises:
            CacheError: the file of seen ids cannot be read.
        """
        self._config = config
        self._telemetry = telemetry_for(config.telemetry, "chat", config.url)
        self._seen_file = None if config.seen_file is None else SeenFile(config.seen_file)
        self._machine = ChatMachine(
            heartbeat_interval_s=config.heartbeat_interval_s,
            heartbeat_timeout_s=config.heartbeat_timeout_s,
            max_queued_calls=config.max_queued_calls,
            window=config.seen_window,
            new_id=partial(secrets.token_urlsafe, 12),
            seen=self._seen_file.load() if self._seen_file else (),
        )
        self.life.open(
            owner,
            self._machine,
            connect,
            inside=self,
            handlers=self._HANDLERS,
            end_rest=self._end_rest,
            loop=config.loop,
            policy=config.reconnect,
            delivery=config.delivery,
            clock=clock,
        )

    # -- requests

    def send(
        self,
        request: Request,
        begun: Callable[[], None] | None = None,
        settled: Callable[[Any, Exception | None], None] | None = None,
    ) -> Call[Any]:
        """A request that is on its way; ``begun`` and ``settled`` are called on the loop, with what became of it."""
        life = self.life
        call: Call[Any] = Call(request.payload_type, life.dispatcher, self._cancel, request=request)
        if not life.still_open():
            call.fail(CallNotSent(request.payload_type, life.why_closed))
        else:
            request.listener = _Asked(call, settled)
            self._telemetry.call_made(call)
            life.on_loop(self._submit, (request, begun))
        return call

    def _submit(self, job: tuple[Request, Callable[[], None] | None]) -> None:
        request, begun = job
        if begun is not None:
            begun()
        self._machine.submit(request, self.life.clock.now())
        self.life.connection.flush()

    def _cancel(self, call: Call[Any], asked: bool) -> None:
        if asked and self.life.is_open:
            self.life.on_loop(self._cancel_here, call.request)

    def _cancel_here(self, request: Request) -> None:
        self._machine.cancel(request)
        self.life.connection.flush()

    def tell(self, event_type: str, payload: dict[str, Any]) -> None:
        """A client event, if there is a connection."""
        if self.life.still_open():
            self.life.on_loop(self._tell_here, (event_type, payload))

    def _tell_here(self, job: tuple[str, dict[str, Any]]) -> None:
        self._machine.tell(*job)
        self.life.connection.flush()

    def _on_replied(self, report: CallReplied) -> None:
        asked: _Asked = report.request.listener
        report.request.listener = None
        if asked.settled is not None:
            asked.settled(report.payload, None)
        asked.call.reply(report.payload, final=True)

    def _on_call_failed(self, report: CallFailed) -> None:
        asked: _Asked = report.request.listener
        report.request.listener = None
        error = report.error
        if isinstance(error, CallNotSent) and self.life.trouble is not None and not self.life.is_ready:
            error.reason += f"; {self.life.trouble}"
            error.__cause__ = error.__cause__ or self.life.trouble
        if asked.settled is not None:
            asked.settled(None, error)
        asked.call.fail(error)

    # -- events

    def _on_event(self, event: Event[Any]) -> None:
        if not self._hand_over(event) and event.id is not None:
            self._hold(event)

    def _hand_over(self, event: Event[Any]) -> bool:
        """To those who want it at once, to the conversation it belongs to, to `events`; whether anybody was there."""
        handing = _Handing(event)
        delivered = None if event.id is None else partial(self._handed, handing)
        live = self._lives.get(getattr(event.payload, "chat_id", ""))
        with self.life.dispatcher.lock:  # nobody comes or leaves meanwhile, and nothing is counted off
            handing.taken = self.at_once.emit(event)
            if live is not None and live.conversation.apply(event):
                shown = live.show(delivered)
                handing.left += shown
                handing.taken |= live.stream.has_observers and not shown
            handing.left += self.messages.emit(event, delivered)
        if handing.taken and not handing.left and event.id is not None:
            self._handed_over(event.id)
        return handing.taken or bool(handing.left)

    def _handed(self, handing: _Handing, to_somebody: bool) -> None:
        """On the thread that delivers: a stream's subscribers were handed it, if they have not left before."""
        with self.life.dispatcher.lock:
            handing.left -= 1
            handing.taken |= to_somebody
            if handing.left:
                return
        if self.life.is_open:
            self.life.on_loop(self._handed_here, handing)
        elif handing.taken and handing.event.id is not None:
            self._late.append(handing.event.id)

    def _handed_here(self, handing: _Handing) -> None:
        if not handing.taken:
            self._hold(handing.event)
        elif handing.event.id is not None:
            self._handed_over(handing.event.id)

    def _handed_over(self, event_id: int) -> None:
        if self._seen_file is None:
            self._machine.acknowledge([event_id])
            self.life.connection.flush()
        else:
            self._to_save.append(event_id)
            if self._saving is None:
                self._saving = self.life.lease.loop.create_task(self._save(self._seen_file), name="rxsdk seen ids")

    async def _save(self, file: SeenFile) -> None:
        """First the file, then the acknowledgement: killed in between, the server's repeat is known as one."""
        try:
            while self._to_save:
                self._being_saved, self._to_save = self._to_save, []
                await asyncio.to_thread(self._save_now, file, [*self._machine.seen, *self._being_saved])
                self._machine.acknowledge(self._being_saved)
                self._being_saved = []
                self.life.connection.flush()
        finally:
            self._saving = None

    def _save_now(self, file: SeenFile, ids: Sequence[int], *, is_last: bool = False) -> None:
        with self._writing:
            if self._last_is_written and not is_last:
                return  # a loop ended without waiting for this, and what it knew is in the file
            self._last_is_written = is_last
            try:
                file.save(ids[-self._config.seen_window :])
            except RxSdkError as error:  # handed over is handed over: it is acknowledged all the same
                report_unhandled(error, "the file of seen events")

    def _hold(self, event: Event[Any]) -> None:
        """Nobody took it. It waits for whoever comes; when too many wait, the oldest comes again after a reconnect."""
        self._held.append(event)
        if len(self._held) > self._config.delivery.mailbox_size and (oldest := self._held.popleft()).id is not None:
            self._machine.let_go(oldest.id)

    def _somebody_came(self) -> None:
        if self.life.is_open:
            self.life.on_loop(self._release, None)

    def _release(self, _: None) -> None:
        held, self._held = self._held, deque()
        for event in held:
            if not self._hand_over(event):
                self._held.append(event)

    # -- conversations

    def live(self, chat_id: str, user_id: str) -> Live:
        """The conversation of this chat; loaded once somebody listens."""
        with self.life.dispatcher.lock:
            live = self._lives.get(chat_id)
            if live is None:
                joined = partial(self._joined, chat_id)
                live = self._lives[chat_id] = Live(chat_id, user_id, self.life, joined)
        return live

    def _joined(self, chat_id: str) -> None:
        live = self._lives.get(chat_id)
        if live is not None and self.life.is_open:
            self.life.on_loop(self._follow, live)

    def _follow(self, live: Live) -> None:
        self._release(None)
        if not live.is_loaded:
            self._load(live)

    def _load(self, live: Live) -> None:
        """Ask for the latest page, unless it is on its way: what it will tell is newer than anything sent before."""
        if live.is_loading:
            return
        live.is_loading = True
        chat_id = live.conversation.chat_id
        request = Request(
            "messages",
            page_payload(chat_id, None, None, None),
            timeout_s=self._config.timeout_s,
            queue_timeout_s=self._config.queue_timeout_s,
        )
        self.send(request, None, partial(self._loaded, live))

    def _loaded(self, live: Live, page: Any, error: Exception | None) -> None:
        live.is_loading = False
        live.is_loaded = error is None
        if error is None:
            live.conversation.loaded(page)
            live.show()
        elif isinstance(error, ReplyMismatch):  # the server's way to say no
            with self.life.dispatcher.lock:
                self._lives.pop(live.conversation.chat_id, None)
            live.stream.fail(error)
        else:
            self._doubt(live, error)

    def settle(self, chat_id: str, error: Exception | None, change: Callable[[Conversation], None]) -> None:
        """Bring what became of a request into the conversation it is about, if anybody ever asked for that."""
        live = self._lives.get(chat_id)
        if live is not None:
            change(live.conversation)
            live.show()
            self._doubt(live, error)

    def _doubt(self, live: Live, error: Exception | None) -> None:
        """A request was not answered: the server knows what has become of it. After a loss it is asked anyway."""
        if isinstance(error, CallTimeout) and live.stream.has_observers:
            self._load(live)

    # -- the connection

    def _on_phase(self, report: PhaseChanged) -> None:
        if report.phase is Phase.READY:
            self.life.set_state(ConnectionState("ready"))
            for live in list(self._lives.values()):
                if live.stream.has_observers:
                    self._load(live)
        elif report.phase is Phase.DISCONNECTED:
            self._telemetry.reconnecting()

    def _on_heartbeat_answered(self, report: HeartbeatAnswered) -> None:
        self._telemetry.round_trip(report.round_trip_s)
        self.round_trips.emit(report.round_trip_s)

    def _on_frame_rejected(self, report: FrameRejected) -> None:
        self._telemetry.dropped()
        _log.warning("dropped: %s", report.error)

    # -- the end

    def _end_rest(self) -> list[asyncio.Task[None]]:
        """The machine has ended every request; what was handed over to the last is still to be remembered."""
        if self._seen_file is None:
            return []
        if self.life.is_cut_off:
            self._post_the_last(self._seen_file)
            return []
        return [self.life.lease.loop.create_task(self._finish_saving(self._seen_file), name="rxsdk seen ids")]

    async def _finish_saving(self, file: SeenFile) -> None:
        """What is being written comes first, or it would replace the last word."""
        if self._saving is not None:
            await asyncio.wait([self._saving])
        self._post_the_last(file)

    def _post_the_last(self, file: SeenFile) -> None:
        """After all that is still to be handed over."""
        with self.life.dispatcher.lock:
            self.life.dispatcher.post(self._save_the_last, file)

    def _save_the_last(self, file: SeenFile) -> None:
        ids = [*self._being_saved, *self._to_save, *self._late]
        if ids:
            self._save_now(file, [*self._machine.seen, *ids], is_last=True)

    _HANDLERS: ClassVar[Mapping[type[Any], Callable[[Any, Any], object]]] = {
        CallReplied: _on_replied,
        CallFailed: _on_call_failed,
        EventReceived: lambda self, report: self._on_event(report.event),
        PresenceChanged: lambda self, report: self.presence.emit(report.online),
        TypingChanged: lambda self, report: self.typing.emit(report.typing),
        PhaseChanged: _on_phase,
        ConnectionGivenUp: lambda self, report: self.life.connection.drop(report.error),
        RequestRepeated: lambda self, report: self._telemetry.retried(),
        HeartbeatAnswered: _on_heartbeat_answered,
        FrameRejected: _on_frame_rejected,
    }
