"""The SylkServer emulator: what is scripted, what it refuses, what others hear when somebody goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from rxsdk import SylkAccount, SylkError, SylkService
from rxsdk.emulator.clock import ManualClock
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.protocols.sylk.messages import RoomMessage
from tests.conftest import wait_until
from tests.sylk.people import Watcher, sign_in


def test_scripted_answers() -> None:
    with SylkEmulator() as emulator, SylkService(emulator.config()) as service:
        emulator.reply_to("lookup-public-key", {}, times=1)
        service.lookup_public_key("bob@example.com").result(10)
        assert emulator.executed["lookup-public-key"] == 0
        emulator.reply_to("lookup-public-key", lambda request: {"error": f"no {request['uri']}"}, times=1)
        with pytest.raises(SylkError, match="no bob"):
            service.lookup_public_key("bob@example.com").result(10)
        emulator.reply_to("lookup-public-key", lambda request: None)
        service.lookup_public_key("bob@example.com").result(10)
        assert emulator.executed["lookup-public-key"] == 1


def test_delays_are_a_matter_of_its_clock() -> None:
    clock = ManualClock(wall=1_700_000_000.0)
    with SylkEmulator(clock=clock) as emulator, SylkService(emulator.config()) as service:
        emulator.delay("lookup-public-key", 5.0)
        call = service.lookup_public_key("bob@example.com")
        emulator.wait_until(lambda server: server.received)
        clock.advance(4.9)
        assert emulator.executed["lookup-public-key"] == 0
        clock.advance(0.2)
        call.result(10)
        emulator.delay("lookup-public-key", 5.0)
        service.lookup_public_key("bob@example.com")
        emulator.wait_until(lambda server: len(server.received) == 2)
        emulator.drop_connections()
        emulator.wait_until(lambda server: server.connections == 1)
        clock.advance(5.1)  # nobody is there to be answered
        assert emulator.executed["lookup-public-key"] == 1


@pytest.fixture
def two() -> Iterator[tuple[SylkEmulator, SylkAccount, SylkAccount]]:
    with SylkEmulator() as emulator, SylkService(emulator.config()) as hers, SylkService(emulator.config()) as his:
        yield emulator, sign_in(emulator, hers, "ada"), sign_in(emulator, his, "bob")


def test_whose_connection_ends_has_left_the_room(two: tuple[SylkEmulator, SylkAccount, SylkAccount]) -> None:
    _, ada, bob = two
    first = ada.join("tea@example.com", "offer")
    wait_until(lambda: first.state.name == "established")
    second = bob.join("tea@example.com", "offer")
    wait_until(lambda: len(first.publishers) == 1)
    feed = first.attach(second.id)
    written = Watcher(first.messages)
    second.send_message("hello").result(10)
    assert isinstance(written.first(), RoomMessage)
    assert written.first().timestamp.endswith("+00:00")
    bob._life.life.close().result(10)
    assert feed.state_stream.result(10).reason == "the publisher left"


def test_refusals(two: tuple[SylkEmulator, SylkAccount, SylkAccount]) -> None:
    emulator, ada, _ = two
    room = ada.join("tea@example.com", "offer")
    wait_until(lambda: room.state.name == "established")
    with pytest.raises(SylkError, match="unknown participant session id: who"):
        room.configure(["who"]).result(10)
    emulator.push({"sylkrtc": "account-event", "account": ada.address, "event": "incoming-session", "session": "ghost",
                   "originator": {"uri": "bob@example.com"}, "sdp": "offer"})  # fmt: skip
    calls = Watcher(ada.incoming)
    emulator.push({"sylkrtc": "account-event", "account": ada.address, "event": "incoming-session", "session": "spook",
                   "originator": {"uri": "bob@example.com"}, "sdp": "offer"})  # fmt: skip
    with pytest.raises(SylkError, match="Unknown session"):
        calls.first().trickle([]).result(10)


def test_what_is_not_there_is_refused_by_name() -> None:
    """By hand, as no client of ours would ask."""
    ada, session = {"account": "ada@example.com"}, {"session": "s"}
    place = {"session": "r"}
    media = {"uri": "bob@example.com", "sdp": "offer"}
    asked: list[tuple[str, dict[str, Any], str | None]] = [
        ("account-register", ada, "Unknown account specified: ada@example.com"),
        ("session-create", {**ada, **session, **media}, "Unknown account"),
        ("videoroom-join", {**ada, **place, **media}, "Unknown account"),
        ("session-terminate", session, "Unknown session s"),
        ("videoroom-leave", place, "Unknown room session: r"),
        ("videoroom-feed-detach", {**place, "feed": "f"}, "Unknown room session: f"),
        ("account-add", {**ada, "password": "wrong"}, None),
        ("account-add", {**ada, "password": "wrong"}, "already added"),
        ("session-create", {**ada, **session, **media}, None),  # ends by itself: 401
        ("videoroom-join", {**ada, **place, **media}, None),
        ("videoroom-join", {**ada, **place, **media}, "already in use"),
        ("videoroom-feed-attach", {**place, "publisher": "r", "feed": "f"}, None),
        ("videoroom-feed-attach", {**place, "publisher": "r", "feed": "f"}, "already in use"),
        ("videoroom-feed-answer", {"session": "other", "feed": "f", "sdp": "x"}, "not an attached feed of other"),
        ("videoroom-toggle-hand", place, None),
        ("videoroom-leave", place, None),
    ]
    with SylkEmulator() as emulator, connect(emulator.url, subprotocols=[Subprotocol("sylkRTC-1")]) as raw:
        assert json.loads(raw.recv()) == {"sylkrtc": "event", "event": "ready"}
        for number, (kind, fields, problem) in enumerate(asked):
            raw.send(json.dumps({"sylkrtc": kind, "transaction": f"t{number}", **fields}))
            answer = json.loads(raw.recv())
            while answer.get("transaction") != f"t{number}":
                answer = json.loads(raw.recv())
            assert answer["sylkrtc"] == ("ack" if problem is None else "error")
            assert (problem or "") in answer.get("error", "")


def test_who_comes_late_is_told_what_is_so(two: tuple[SylkEmulator, SylkAccount, SylkAccount]) -> None:
    _, ada, bob = two
    first = ada.join("tea@example.com", "offer")
    wait_until(lambda: first.state.name == "established")
    first.toggle_hand().result(10)
    first.configure([first.id]).result(10)
    second = bob.join("tea@example.com", "offer")
    wait_until(lambda: second.raised_hands == second.active_participants == (first.id,))
    first.leave().result(10)
    wait_until(lambda: second.active_participants == ())
