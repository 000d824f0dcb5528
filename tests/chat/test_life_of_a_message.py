"""The seed's sequence, frame by frame: typing, new, delivered, read, delete, between two clients."""

from __future__ import annotations

from typing import Any

from rxsdk.chat import ChatService, Deleted, Delivered, Event, New, Read
from rxsdk.emulator.chat import ChatEmulator
from tests.chat.conftest import Join
from tests.conftest import wait_until


class Wiretap:
    """What came in at the server, by user; each frame is asked for once."""

    def __init__(self, server: ChatEmulator, users: list[str]) -> None:
        self._server = server
        self._users = users
        self._taken = 0

    def next(self) -> tuple[str, dict[str, Any]]:
        wait_until(lambda: len(self._server.received) > self._taken)
        received = self._server.received[self._taken]
        self._taken += 1
        frame = dict(received.payload)
        if "timestamp" in frame:
            assert abs(frame.pop("timestamp") - 1_700_000_000_000) < 10**13
        frame.pop("id", None) if frame["type"] == "request" else None
        return self._users[received.connection - 1], frame


def request(payload_type: str, **payload: Any) -> dict[str, Any]:
    return {"type": "request", "payloadType": payload_type, "payload": payload}


def ack(event: Event[Any]) -> dict[str, Any]:
    return {"type": "ack", "id": str(event.id)}


def listening(service: ChatService) -> list[Event[Any]]:
    heard: list[Event[Any]] = []
    service.events.subscribe(lambda event: event.id is not None and heard.append(event))
    return heard


def test_the_life_of_a_message_frame_by_frame(server: ChatEmulator, join: Join) -> None:
    ada, bob = join("ada"), join("bob")
    at_ada, at_bob = listening(ada), listening(bob)
    tap = Wiretap(server, ["ada", "bob"])

    # typing
    seen_typing = []
    bob.typing_stream.subscribe(seen_typing.append)
    ada.typing("bob")
    assert tap.next() == ("ada", {"type": "event", "eventType": "typing", "payload": {"chatId": "bob"}})
    wait_until(lambda: seen_typing == [frozenset(), {("ada", "ada")}])

    # new
    receipt = ada.send("bob", "Hi from User1!", client_message_id="c1").result(10)
    assert (receipt.message_id, receipt.client_message_id) == (1, "c1")
    assert tap.next() == ("ada", request("new", chatId="bob", message="Hi from User1!", clientMessageId="c1"))
    wait_until(lambda: len(at_bob) == 1)
    new = at_bob[0].payload
    assert isinstance(new, New)
    assert (new.chat_id, new.sender, new.message_id, new.client_message_id) == ("ada", "ada", 1, "c1")
    assert (new.message, new.missed, new.status, new.timestamp) == (
        *("Hi from User1!", 1, "undelivered"),
        receipt.timestamp,
    )
    assert tap.next() == ("bob", ack(at_bob[0]))
    wait_until(lambda: seen_typing[-1] == frozenset())

    # delivered
    delivered = bob.mark_delivered("ada", 1).result(10)
    assert (delivered.message_id, delivered.client_message_id) == (1, "c1")
    assert tap.next() == ("bob", request("dlvrd", chatId="ada", messageId=1))
    wait_until(lambda: len(at_ada) == 1)
    assert isinstance(at_ada[0].payload, Delivered)
    assert (at_ada[0].payload.chat_id, at_ada[0].payload.user_id, at_ada[0].payload.message_id) == ("bob", "bob", 1)
    assert tap.next() == ("ada", ack(at_ada[0]))

    # read
    assert bob.mark_read("ada", 1).result(10).missed == 0
    assert tap.next() == ("bob", request("read", chatId="ada", messageId=1))
    wait_until(lambda: len(at_ada) == 2)
    assert type(at_ada[1].payload) is Read
    assert (at_ada[1].payload.client_message_id, at_ada[1].payload.chat_id) == ("c1", "bob")
    assert tap.next() == ("ada", ack(at_ada[1]))

    # delete
    ada.delete("bob", 1).result(10)
    assert tap.next() == ("ada", request("delete", chatId="bob", originalMessageId=1))
    wait_until(lambda: len(at_bob) == 2)
    assert isinstance(at_bob[1].payload, Deleted)
    assert (at_bob[1].payload.chat_id, at_bob[1].payload.original_message_id) == ("ada", 1)
    assert tap.next() == ("bob", ack(at_bob[1]))
    wait_until(lambda: server.waiting("ada") == server.waiting("bob") == 0)


def test_calls_and_their_payloads_arrive_as_they_are(server: ChatEmulator, join: Join) -> None:
    ada = join("ada")
    calls: list[Event[Any]] = []
    for name in ("newCall", "closeCall", "call"):
        ada.events_of(name).subscribe(calls.append)
    payloads = {
        "newCall": {"callId": "x", "caller": "bob", "callType": "video"},
        "call": {"direction": "incoming", "status": "missed", "callType": "video"},
        "closeCall": {"callId": "x", "caller": "bob", "callType": "video", "callDuration": 12.5},
    }
    for name, payload in payloads.items():
        server.tell("ada", name, payload)
    wait_until(lambda: len(calls) == 3)
    assert {call.event_type: call.payload for call in calls} == payloads
    wait_until(lambda: server.waiting("ada") == 0)
