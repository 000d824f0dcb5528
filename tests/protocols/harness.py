"""A LIMP machine on a bench: a server's end that reads frames with its own code, a clock that is a number, and a record
of what became of each call.

`Bench` holds what every test relies on: each frame is well signed, each request ends exactly once, and the service is
only ever told of requests that have a listener.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings

from rxsdk.errors import RxSdkError
from rxsdk.protocols.limp.events import CallFailed, CallReplied, Event, WatchEnded
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.request import Request, make_request
from rxsdk.secret import Secret

ANON_SID = "f00000000000000000000012"
ANON_TOKEN = "__ANON_TOKEN_f00000000000000000000012"
SID = "6b010dded29b763591c9e7b5"
TOKEN = "sWBlE4j5GQ1QetztdWXxUZ0RCGOJ6qWTA_D1XaIvXvg"
SESSION = {
    "_id": SID,
    "token": TOKEN,
    "user": {"_id": "f00000000000000000000010"},
    "groups": [],
    "expiry": "2026-12-21",
}
WALL = 1_700_000_000.25

E = TypeVar("E")

steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For every property: a busy machine is no reason to fail."""


@dataclass
class Sent:
    """One frame as the server sees it."""

    call_id: str
    payload: dict[str, Any]
    signed_with: str

    @property
    def endpoint(self) -> str:
        return self.payload["endpoint"]

    @property
    def query(self) -> Any:
        return self.payload["query"]

    @property
    def doc(self) -> Any:
        return self.payload["doc"]


def unbase64(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def read_frame(frame: bytes, keys: dict[str, str]) -> Sent:
    """Take a frame apart as the server would; fails when no key of ``keys`` (name to token) has signed it."""
    envelope = json.loads(frame)
    assert set(envelope) == {"token", "call_id"}
    header, payload, signature = envelope["token"].split(".")
    assert json.loads(unbase64(header)) == {"alg": "HS256", "typ": "JWT"}
    signed = f"{header}.{payload}".encode()
    signers = [
        name
        for name, key in keys.items()
        if hmac.new(key.encode(), signed, hashlib.sha256).digest() == unbase64(signature)
    ]
    assert signers, "signed with no known key"
    call = json.loads(unbase64(payload))
    assert list(call) == ["sid", "token", "query", "doc", "awaitAuth", "endpoint", "call_id", "iat", "exp"]
    assert call["call_id"] == envelope["call_id"]
    assert call["call_id"] not in ("", "__TEST__", None)
    assert isinstance(call["query"], list)
    assert isinstance(call["doc"], dict)
    assert call["exp"] - call["iat"] == 86_400
    return Sent(call["call_id"], call, signers[0])


class Bench:
    """A machine, the time, and what came out of it."""

    def __init__(self, **settings: Any) -> None:
        ids = itertools.count(1)
        self.keys = {"anon": settings.get("anon_token", ANON_TOKEN), "session": TOKEN}
        self.machine = LimpMachine(
            **{
                "anon_token": Secret(settings.pop("anon_token", ANON_TOKEN)),
                "app_id": "APP",
                "auth_hash_level": "5.6",
                "connect_timeout_s": 20.0,
                "heartbeat_interval_s": 30.0,
                "heartbeat_timeout_s": 10.0,
                "max_queued_calls": 1000,
                "new_id": lambda: f"id{next(ids)}",
                **settings,
            }
        )
        self.now = 1000.0
        self.events: list[Event] = []
        self.requests: list[Request] = []
        self.ends: dict[Request, Event] = {}

    # -- the service's side

    def call(self, endpoint: str = "staff/create", query: Any = None, doc: Any = None, **settings: Any) -> Request:
        made: dict[str, Any] = {
            "await_auth": False,
            "sid": None,
            "token": None,
            "timeout_s": 30.0,
            "queue_timeout_s": 120.0,
            "idempotent": None,
            **settings,
        }
        return self.submit(make_request(endpoint, query, doc, **made))

    def submit(self, request: Request) -> Request:
        request.listener = object()
        self.requests.append(request)
        self.machine.submit(request, self.now)
        return request

    def cancel(self, request: Request) -> None:
        self.machine.cancel(request)
        self.take_events()

    def take_events(self) -> list[Event]:
        """What happened since, also kept in ``events``; holds that each request ends once, and with a listener."""
        new = list(self.machine.events())
        for event in new:
            if isinstance(event, (CallReplied, CallFailed, WatchEnded)):
                assert event.request.listener is not None, event
                assert event.request not in self.ends, f"{event} after {self.ends[event.request]}"
                if not isinstance(event, CallReplied) or event.final:
                    self.ends[event.request] = event
        for event in new:
            if isinstance(event, (CallReplied, CallFailed, WatchEnded)) and event.request in self.ends:
                event.request.listener = None  # as the service does
        self.events += new
        return new

    def seen(self, kind: type[E]) -> list[E]:
        """All events of this kind so far."""
        self.take_events()
        return [event for event in self.events if isinstance(event, kind)]

    def error(self, request: Request) -> RxSdkError:
        """What the request failed with."""
        self.take_events()
        end = self.ends[request]
        assert isinstance(end, CallFailed), end
        return end.error

    def replies(self, request: Request) -> list[str]:
        """The ``msg`` of each reply that reached the request."""
        return [event.res.msg for event in self.seen(CallReplied) if event.request is request]

    def is_open(self, request: Request) -> bool:
        self.take_events()
        return request not in self.ends

    def assert_all_ended(self) -> None:
        assert [request for request in self.requests if self.is_open(request)] == []
        assert self.machine.next_deadline() is None

    def assert_ended_but_heartbeats(self) -> None:
        """Everything ended; on an idle connection only heartbeats are still to come."""
        assert [request for request in self.requests if self.is_open(request)] == []
        assert len(self.machine._deadlines) == 0

    # -- the server's side

    def sent(self) -> list[Sent]:
        """The frames that come out now."""
        frames = self.machine.frames_to_send(self.now, WALL + self.now)
        self.take_events()
        return [read_frame(frame, self.keys) for frame in frames]

    def endpoints(self) -> list[str]:
        return [frame.endpoint for frame in self.sent()]

    def one(self) -> Sent:
        """The one frame that comes out now."""
        (frame,) = self.sent()
        return frame

    def say(self, status: int = 200, msg: str = "", **args: Any) -> list[Event]:
        """A message of the server."""
        return self.hear(json.dumps({"status": status, "msg": msg, "args": args}).encode())

    def hear(self, frame: bytes) -> list[Event]:
        self.machine.receive(frame, self.now)
        return self.take_events()

    def answer(self, to: Sent | Request, status: int = 200, msg: str = "", **args: Any) -> list[Event]:
        return self.say(status, msg, call_id=to.call_id, **args)

    # -- time and connections

    def wait(self, seconds: float) -> list[Event]:
        self.now += seconds
        self.machine.handle_deadline(self.now)
        return self.take_events()

    def connect(self) -> None:
        """Connect to a server of today, up to READY or, with a session, to the reauth that is on its way."""
        self.machine.connected(self.now, None)
        self.say(200, "Connection ready", code="CORE_CONN_READY")
        self.answer(self.one(), 200, "Connection establised", code="CORE_CONN_OK")

    def lose(self, reason: Exception | None = None) -> list[Event]:
        self.machine.disconnected(self.now, reason or RxSdkError("gone"))
        return self.take_events()

    def sign_in(self) -> None:
        self.call("session/auth", doc={"email": "a@b.c", "hash": "h"})
        self.answer(self.one(), 200, "You were successfully authed.", session=SESSION)

    def reconnect(self) -> None:
        """Lose the connection and come back to READY, with the session if there is one."""
        self.lose()
        self.connect()
        if self.machine.session is not None:
            reauth = self.one()
            assert reauth.endpoint == "session/reauth"
            self.answer(reauth, 200, "You were succefully reauthed.", session=SESSION)


def ready(**settings: Any) -> Bench:
    """A bench that is READY, anonymous."""
    bench = Bench(**settings)
    bench.connect()
    return bench


def authed(**settings: Any) -> Bench:
    """A bench that is READY, signed in."""
    bench = ready(**settings)
    bench.sign_in()
    return bench
