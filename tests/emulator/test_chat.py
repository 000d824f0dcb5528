"""The chat emulator, spoken to in plain frames: what it keeps, repeats, forgets and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rxsdk.emulator import ManualClock
from rxsdk.emulator.chat import ChatEmulator
from rxsdk.errors import ConfigurationError
from tests.conftest import wait_until


class User:
    """A client that believes nothing."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.asked = 0

    def send(self, frame: Any) -> None:
        self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def get(self) -> Any:
        return json.loads(self.socket.recv(timeout=10))

    def event(self, event_type: str) -> Any:
        """The next event of this type, others passed over."""
        while (frame := self.get()).get("eventType") != event_type:
            pass
        return frame

    def ask(self, payload_type: str, **payload: Any) -> Any:
        """The payload of the answer, events passed over; None when there is none."""
        self.asked += 1
        request = {"type": "request", "timestamp": 1, "id": f"r{self.asked}", "payloadType": payload_type}
        self.send(request | ({"payload": payload} if payload else {}))
        while (frame := self.get()).get("id") != f"r{self.asked}":
            pass
        assert frame["type"] == "response"
        return frame.get("payload")

    def ack(self, event: Any) -> None:
        self.send({"type": "ack", "id": str(event["id"])})


@contextmanager
def user(emulator: ChatEmulator, name: str) -> Iterator[User]:
    headers = {"Authorization": f"Bearer {emulator.token(name)}"}
    with connect(emulator.url, additional_headers=headers, proxy=None) as socket:
        yield User(socket)


@pytest.fixture
def emulator() -> Iterator[ChatEmulator]:
    with ChatEmulator() as running:
        yield running


def test_strangers_are_not_let_in(emulator: ChatEmulator) -> None:
    with pytest.raises(InvalidStatus, match="401"), connect(emulator.url, proxy=None):
        pass
    with pytest.raises(ConfigurationError, match="groups: team: zoe is not among the users"):
        ChatEmulator(users=["ada"], groups={"team": ["ada", "zoe"]})


def test_contacts_hear_of_each_other(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada:
        with user(emulator, "bob") as bob, user(emulator, "bob"):
            assert bob.get()["payload"] == {"userId": "ada"}
            online = ada.event("online")
            assert (online["payload"], "id" in online) == ({"userId": "bob"}, False)
        assert ada.event("offline")["payload"] == {"userId": "bob"}
        with user(emulator, "bob") as bob:
            bob.send({"type": "event", "eventType": "offline", "payload": {}})
            assert ada.event("offline")["payload"] == {"userId": "bob"}


def test_an_event_comes_until_it_is_acknowledged(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada:
        ada.ask("new", chatId="bob", message="hi", clientMessageId="c")
    for _ in range(2):
        with user(emulator, "bob") as bob:
            event = bob.event("new")
    with user(emulator, "bob") as bob:
        assert bob.event("new") == event
        for senseless in ({"type": "ack"}, {"type": "ack", "id": "x"}, {"type": "ack", "id": "99"}):
            bob.send(senseless)
        bob.ack(event)
        wait_until(lambda: emulator.waiting("bob") == 0)


def test_a_message_sent_twice_is_stored_once(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada:
        first = ada.ask("new", chatId="bob", message="hi", clientMessageId="c")
        assert ada.ask("new", chatId="bob", message="hi", clientMessageId="c") == first
        assert len(ada.ask("messages", chatId="bob")) == 1
    assert emulator.waiting("bob") == 1


def test_pages(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada:
        for number in range(1, 7):
            ada.ask("new", chatId="bob", message=str(number), clientMessageId=f"c{number}")

        def page(**bounds: int) -> list[int]:
            return [message["messageId"] for message in ada.ask("messages", chatId="bob", **bounds)]

        assert page() == [1, 2, 3, 4, 5, 6]
        assert page(count=2) == [5, 6]
        assert page(startId=3, count=2) == [3, 4]
        assert page(endId=3, count=1) == [2]


@pytest.mark.parametrize(
    ("payload_type", "payload"),
    [
        ("new", {"chatId": "zoe", "message": "x", "clientMessageId": "c"}),
        ("new", {"chatId": "bob"}),
        ("new", {"chatId": "others", "message": "x", "clientMessageId": "c"}),
        ("edit", {"chatId": "bob", "originalMessageId": 99, "message": "x"}),
        ("delete", {"chatId": "bob", "originalMessageId": "x"}),
        ("messages", {"chatId": "bob", "count": 501}),
        ("messages", {"chatId": "bob", "startId": 1, "endId": 2}),
        ("odd", {}),
    ],
)
def test_what_makes_no_sense_is_answered_without_a_payload(payload_type: str, payload: dict[str, Any]) -> None:
    with ChatEmulator(groups={"others": ["bob", "eve"]}) as emulator, user(emulator, "ada") as ada:
        assert ada.ask(payload_type, **payload) is None
        assert emulator.executed[payload_type] == 0


def test_frames_that_make_no_sense_are_pings_or_nothing(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada:
        for ping in ("ping", "{", "[]", '{"a":1}', '{"type":5}'):
            ada.send(ping)
            assert ada.get() == {"event": "pong"}
        nothing = [{"type": "odd"}, {"type": "event", "eventType": "odd"}]
        nothing += [{"type": "event", "eventType": "typing", "payload": {"chatId": "zoe"}}]
        for frame in nothing:
            ada.send(frame)
        assert ada.ask("chats") == [{"type": "group", "id": "team", "name": "Team", "missed": 0}]


def test_typing_reaches_the_others(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada, user(emulator, "bob") as bob:
        ada.send({"type": "event", "eventType": "typing", "payload": {"chatId": "bob"}})
        assert bob.event("typing")["payload"] == {"userId": "ada", "chatId": "ada"}
        ada.send({"type": "event", "eventType": "typing", "payload": {"chatId": "team", "stop": True}})
        assert bob.event("typing")["payload"] == {"userId": "ada", "chatId": "team", "stop": True}


def test_it_can_be_told_what_to_do_otherwise(emulator: ChatEmulator) -> None:
    with user(emulator, "ada") as ada:
        emulator.reply_to("chat", {"odd": 1}, times=1)
        assert ada.ask("chat", chatId="bob") == {"odd": 1}
        emulator.reply_to("chat", lambda frame: {"id": frame["id"]}, times=1)
        assert ada.ask("chat", chatId="bob") == {"id": "r2"}
        emulator.delay("chat", 0.05, times=1)
        assert ada.ask("chat", chatId="bob")["type"] == "dialog"
        emulator.silence("ping", times=1)
        ada.send("ping")
        emulator.delay("chats", 0.05, times=1)
        ada.send({"type": "request", "id": "late", "payloadType": "chats"})
        ada.send("ping")
        assert ada.get() == {"event": "pong"}
        emulator.tell("ada", "newCall", {"caller": "bob"})
        assert ada.event("newCall")["payload"] == {"caller": "bob"}
    with user(emulator, "ada") as ada:  # a connection that is gone is answered nothing
        emulator.delay("chats", 0.05, times=1)
        ada.send({"type": "request", "id": "gone", "payloadType": "chats"})
        emulator.wait_until(lambda e: e.received[-1].payload.get("id") == "gone")
    with user(emulator, "ada") as ada:
        assert ada.ask("chats")


def test_who_is_silent_for_twenty_seconds_is_gone() -> None:
    clock = ManualClock()
    with ChatEmulator(clock=clock) as emulator, user(emulator, "ada") as ada, user(emulator, "bob") as bob:
        ada.event("online")
        for _ in range(19):
            clock.advance(1)
        bob.send("ping")
        while bob.get() != {"event": "pong"}:
            pass
        clock.advance(2)
        with pytest.raises(ConnectionClosed, match="silent"):
            ada.event("nothing more")
        assert bob.event("offline")["payload"] == {"userId": "ada"}


def test_everything_outlives_a_restart_with_a_file(tmp_path: Path) -> None:
    with ChatEmulator(data=tmp_path / "chat.sqlite") as emulator:
        with user(emulator, "ada") as ada:
            ada.ask("new", chatId="bob", message="hi", clientMessageId="c")
        emulator.restart()
        assert emulator.waiting("bob") == 1
        with user(emulator, "bob") as bob:
            assert bob.event("new")["payload"]["message"] == "hi"
            assert bob.ask("messages", chatId="ada")[0]["message"] == "hi"
            assert [item["id"] for item in bob.ask("chats")] == ["ada", "team"]
