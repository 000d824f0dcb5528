"""A chat machine on a bench: a clock that is a number, and a record of what became of each request."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

from rxsdk.errors import ConnectionLost
from rxsdk.protocols.chat.events import CallFailed, CallReplied
from rxsdk.protocols.chat.machine import ChatMachine
from rxsdk.protocols.chat.request import Request

WALL = 1_700_000_000.25

ODD: list[Any] = [
    *[None, True, False, 0, -1, 200, 2**70, 1.5, "", "x", "\ud800", [], {}, [[]], [None, 5], {"a": []}, "bob", "ada"],
    *[[[[[{"a": [{}]}]]]], "new", "read", "typing", "dlvrd", {"messageId": 5}, [{"type": "file"}]],
]
TYPES = ["new", "edit", "delete", "chats", "online", "offline", "typing", "dlvrd", "read", "call", "newCall", "odd"]
FIELDS = ["chatId", "userId", "messageId", "clientMessageId", "originalMessageId", "message", "status", "missed", "x"]


def odd_message(chance: random.Random, ids: list[str]) -> bytes:
    """A frame with wrong things in right places, or a right one with its bytes hurt."""
    right = {"chatId": "bob", "messageId": chance.randrange(50), "originalMessageId": chance.randrange(50)}
    right |= {"clientMessageId": "c", "status": "undelivered", "missed": 1, "userId": "bob", "timestamp": 5}
    payload: Any = right if chance.random() < 0.4 else {}
    for name in chance.sample(FIELDS, chance.randrange(len(FIELDS))):
        payload[name] = chance.choice(ODD)
    payload = chance.choice(ODD) if chance.random() < 0.1 else payload
    frame: dict[str, Any] = {"type": "event", "eventType": chance.choice(TYPES), "payload": payload, "timestamp": 1}
    if chance.random() < 0.5:
        frame["id"] = chance.randrange(10**6, 2 * 10**6)
    if chance.random() < 0.2:
        frame = {"type": "response", "id": chance.choice(ids), "payload": payload}
    if chance.random() < 0.1:
        frame[chance.choice(["type", "id", "eventType", "event", "timestamp"])] = chance.choice(ODD)
    raw = bytearray(json.dumps(frame).encode())
    kind = chance.random()
    if kind < 0.2:
        for _ in range(chance.randrange(1, 6)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    elif kind < 0.3:
        del raw[chance.randrange(len(raw)) :]
    elif kind < 0.32:
        raw[1:1] = b'"deep":' + b"[" * 600 + b"]" * 600 + b","
    elif kind < 0.34:
        raw = bytearray(chance.randbytes(chance.randrange(60)))
    return bytes(raw)


class ChatBench:
    """Each request ends once, or the bench fails."""

    def __init__(self, **settings: Any) -> None:
        ids = itertools.count(1)
        fields = {"heartbeat_interval_s": 15.0, "heartbeat_timeout_s": 5.0, "max_queued_calls": 100, "window": 50}
        self.machine = ChatMachine(**{**fields, "new_id": lambda: f"id{next(ids)}", **settings})
        self.now = 1000.0
        self.reports: list[Any] = []
        self.ends: dict[Request, Any] = {}

    def connect(self) -> None:
        self.machine.connected(self.now, None)
        self.take()

    def lose(self) -> None:
        self.machine.disconnected(self.now, ConnectionLost("cut"))
        self.take()

    def ask(self, payload_type: str, payload: dict[str, Any] | None, **settings: Any) -> Request:
        request = Request(payload_type, payload, **{"timeout_s": 30.0, "queue_timeout_s": 120.0, **settings})
        request.listener = self
        self.machine.submit(request, self.now)
        self.take()
        return request

    def hear(self, frame: bytes | dict[str, Any]) -> list[Any]:
        self.machine.receive(frame if isinstance(frame, bytes) else json.dumps(frame).encode(), self.now)
        return self.take()

    def event(self, event_type: str, payload: Any, event_id: int | None = None) -> list[Any]:
        frame = {"type": "event", "timestamp": 5, "eventType": event_type, "payload": payload}
        return self.hear(frame if event_id is None else {**frame, "id": event_id})

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass, from deadline to deadline."""
        target, taken = self.now + seconds, []
        while (deadline := self.machine.next_deadline()) is not None and deadline <= target:
            self.now = max(self.now, deadline)
            self.machine.handle_deadline(self.now)
            taken += self.take()
        self.now = target
        return taken

    def sent(self) -> list[Any]:
        """What the machine writes now; frames of JSON decoded, others as text."""
        frames = self.machine.frames_to_send(self.now, WALL + self.now - 1000)
        return [json.loads(frame) if frame.startswith(b"{") else frame.decode() for frame in frames]

    def take(self) -> list[Any]:
        reports = list(self.machine.events())
        for report in reports:
            if isinstance(report, (CallReplied, CallFailed)):
                assert report.request not in self.ends, "ended twice"
                self.ends[report.request] = report
        self.reports += reports
        return reports

    def answer(self, request: Request, payload: Any = None) -> None:
        self.hear({"type": "response", "timestamp": 6, "id": request.id, "payload": payload})

    def answer_of(self, request: Request) -> Any:
        report = self.ends[request]
        assert isinstance(report, CallReplied), report
        return report.payload

    def error_of(self, request: Request) -> Exception:
        report = self.ends[request]
        assert isinstance(report, CallFailed), report
        return report.error
