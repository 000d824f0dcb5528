"""A sylkRTC machine on a bench: a server's end that reads frames with its own code, a clock that is a number, and a
record of what became of each request.

`Bench` holds what every test relies on: each request ends at most once, transactions are never used again, and what a
table does not have does not happen.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from rxsdk.errors import ConnectionLost, RxSdkError
from rxsdk.protocols.sylk.book import Account, CallSession, Feed, Room, StateChanged, Thing
from rxsdk.protocols.sylk.events import Event, RequestAcknowledged, RequestFailed
from rxsdk.protocols.sylk.machine import SylkMachine, account_add
from rxsdk.protocols.sylk.messages import Identity
from rxsdk.protocols.sylk.requests import Request, ha1, make_request

__all__ = ["ADA", "BOB", "LOST", "Bench"]

ADA, BOB = "ada@example.com", "bob@example.com"
LOST = ConnectionLost("reset")


class Bench:
    """A machine, the time, and what came out of it."""

    def __init__(self, **settings: Any) -> None:
        numbers = itertools.count(1)
        self.machine = SylkMachine(
            **{
                "connect_timeout_s": 20.0,
                "heartbeat_interval_s": 5.0,
                "heartbeat_timeout_s": 30.0,
                "max_queued_calls": 100,
                "new_id": lambda: f"t{next(numbers)}",
                **settings,
            }
        )
        self.now = 1000.0
        self.events: list[Event] = []
        self.sent: list[dict[str, Any]] = []
        self.ends: dict[Request, RequestAcknowledged | RequestFailed] = {}
        self.lives: dict[Thing, list[str]] = {}

    # -- the road

    def connect(self, version: int = 2) -> None:
        """A connection, let in."""
        self.machine.connected(self.now, f"sylkRTC-{version}")
        assert self.frames() == []
        self.hear({"sylkrtc": "ready-event"} if version == 2 else {"sylkrtc": "event", "event": "ready"})

    def lose(self) -> None:
        self.machine.disconnected(self.now, LOST)
        self.look()

    def frames(self) -> list[dict[str, Any]]:
        """What goes out now."""
        sent = [json.loads(frame) for frame in self.machine.frames_to_send(self.now, 0.0)]
        known = {frame["transaction"] for frame in self.sent}
        assert not known & {frame["transaction"] for frame in sent}
        self.sent += sent
        self.look()
        return sent

    def kinds(self) -> list[str]:
        """The kinds of what goes out now."""
        return [frame["sylkrtc"] for frame in self.frames()]

    def hear(self, *messages: dict[str, Any] | bytes) -> None:
        for message in messages:
            frame = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.machine.receive(frame, self.now)
        self.look()

    def account_event(self, event: str, **fields: Any) -> None:
        self.hear({"sylkrtc": "account-event", "account": ADA, "event": event, **fields})

    def session_event(self, thing: Thing, event: str, **fields: Any) -> None:
        kind = "session-event" if isinstance(thing, CallSession) else "videoroom-event"
        self.hear({"sylkrtc": kind, "session": thing.key, "event": event, **fields})

    def state(self, thing: Thing, *states: str, **fields: Any) -> None:
        """State events, one after the other."""
        for state in states:
            event = "state" if isinstance(thing, CallSession) else "session-state"
            self.session_event(thing, event, state=state, **fields)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.machine.handle_deadline(self.now)
        self.look()

    def look(self) -> None:
        """Take the machine's events and hold them to what must be."""
        for event in self.machine.events():
            self.events.append(event)
            if isinstance(event, (RequestAcknowledged, RequestFailed)):
                assert event.request.listener is not None
                assert event.request not in self.ends, "it ended twice"
                self.ends[event.request] = event
            elif isinstance(event, StateChanged):
                life = self.lives.setdefault(event.about, [])
                before = life[-1] if life else None
                if before is not None:
                    assert event.state.name in event.about.moves[before].values()
                life.append(event.state.name)

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of a type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    # -- requests

    def submit(self, request: Request) -> Request:
        request.listener = "a listener"
        self.machine.submit(request, self.now)
        self.look()
        return request

    def ask(self, kind: str, about: Thing | None = None, **fields: Any) -> Request:
        """A request, submitted."""
        times = {"timeout_s": 30.0, "queue_timeout_s": 120.0}
        if about is not None and not isinstance(about, (Account, Feed)):
            fields.setdefault("session", about.key)
        return self.submit(make_request(kind, fields, about=about, **times))

    def answer(self, request: Request, error: str | None = None) -> None:
        answer = {"sylkrtc": "ack"} if error is None else {"sylkrtc": "error", "error": error}
        self.hear({**answer, "transaction": request.transaction})

    def done(self, request: Request) -> Request:
        """Written and acknowledged."""
        self.frames()
        self.answer(request)
        assert isinstance(self.ends[request], RequestAcknowledged)
        return request

    def error(self, request: Request) -> RxSdkError:
        """What a request failed with."""
        end = self.ends[request]
        assert isinstance(end, RequestFailed)
        return end.error

    # -- things

    def add(self, address: str = ADA, **fields: Any) -> Account:
        """An account, on its way."""
        account = Account(address, ha1(address, "secret"), fields)
        self.submit(account_add(account, timeout_s=30.0, queue_timeout_s=120.0))
        return account

    def added(self, *, registered: bool = False) -> Account:
        """An account that the server knows."""
        account = self.add()
        self.frames()
        self.hear({"sylkrtc": "ack", "transaction": self.sent[-1]["transaction"]})
        if registered:
            self.done(self.ask("account-register", account, account=ADA))
            self.account_event("registration-state", state="registering")
            self.account_event("registration-state", state="registered")
        return account

    def call(self, key: str = "s1") -> tuple[CallSession, Request]:
        """A call, on its way."""
        call = CallSession(key, ADA, Identity(BOB))
        return call, self.ask("session-create", call, account=ADA, uri=BOB, sdp="offer")

    def incoming(self, key: str = "s2") -> CallSession:
        """A call that came in."""
        originator = {"uri": BOB}
        self.account_event("incoming-session", session=key, originator=originator, sdp="offer", call_id="c")
        call = self.machine.book.sessions[key]
        assert isinstance(call, CallSession)
        return call

    def room(self, key: str = "r1") -> tuple[Room, Request]:
        """A room, on its way."""
        room = Room(key, ADA, "tea@example.com")
        return room, self.ask("videoroom-join", room, account=ADA, uri="tea@example.com", sdp="offer")

    def in_room(self) -> Room:
        """A place in a room with somebody."""
        room, request = self.room()
        self.frames()
        self.state(room, "progress")
        self.answer(request)
        self.state(room, "accepted", sdp="answer")
        self.session_event(room, "initial-publishers", publishers=[{"id": "p1", "uri": BOB}])
        return room

    def feed(self, room: Room, key: str = "f1") -> tuple[Feed, Request]:
        """A feed, on its way."""
        feed = Feed(key, room, "p1")
        return feed, self.ask("videoroom-feed-attach", feed, session=room.key, publisher="p1", feed=key)
