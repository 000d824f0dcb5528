"""Every request, made by the service: acknowledged, refused, never answered; and every event, received by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rxsdk import (
    Call,
    CallOutcomeUnknown,
    CallTimeout,
    SylkAccount,
    SylkError,
    SylkFeed,
    SylkRoom,
    SylkService,
    SylkSession,
)
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.emulator.sylk.validation import KINDS, checked
from rxsdk.protocols.sylk.messages import EVENTS, AccountMessage, Identity, UnknownEvent
from tests.conftest import wait_until
from tests.protocols.sylk.test_messages import ALL, frame
from tests.sylk.conftest import FAST
from tests.sylk.people import CANDIDATE, Watcher, sign_in

ADA, BOB = "ada@example.com", "bob@example.com"
MESSAGE = AccountMessage(
    account=ADA, sender=Identity(BOB), timestamp="t", message_id="m", content_type="text/plain", content="c"
)


@dataclass
class Stage:
    """What the requests are about: an account in the middle of a call and in a room."""

    service: SylkService
    account: SylkAccount
    call: SylkSession
    coming: SylkSession
    room: SylkRoom
    feed: SylkFeed


def set_up(service: SylkService, account: SylkAccount) -> Stage:
    """Ada calls herself, and watches herself in a room."""
    arriving = Watcher(account.incoming)
    call = account.call(ADA, "offer")
    arriving.first().answer("answer").result(10)
    wait_until(lambda: call.state.name == "established")
    account.call(ADA, "offer")
    wait_until(lambda: len(arriving.values) == 2)
    room = account.join("tea@example.com", "offer")
    wait_until(lambda: room.state.name == "established")
    feed = room.attach(room.id)
    wait_until(lambda: feed.state.name == "attached")
    return Stage(service, account, call, arriving.values[1], room, feed)


Make = Callable[[Stage], Call[Any]]
MAKES: dict[str, Make] = {
    "lookup-public-key": lambda on: on.service.lookup_public_key(BOB),
    "account-add": lambda on: on.service.add_account(BOB, "marigold"),
    "account-remove": lambda on: on.account.remove(),
    "account-register": lambda on: on.account.register(),
    "account-unregister": lambda on: on.account.unregister(),
    "account-devicetoken": lambda on: on.account.set_device_token("t", platform="ios", device="d", app="a"),
    "account-message": lambda on: on.account.send_message(BOB, "hello"),
    "account-disposition-notification": lambda on: on.account.send_disposition(MESSAGE, "displayed"),
    "account-sync-conversations": lambda on: on.account.sync_conversations(),
    "account-mark-conversation-read": lambda on: on.account.mark_conversation_read(BOB),
    "account-remove-conversation": lambda on: on.account.remove_conversation(BOB),
    "account-remove-message": lambda on: on.account.remove_message("m", BOB),
    "session-create": lambda on: on.account.call(BOB, "offer").created or pytest.fail("it has none"),
    "session-answer": lambda on: on.coming.answer("answer"),
    "session-update": lambda on: on.call.update("offer"),
    "session-trickle": lambda on: on.call.trickle([CANDIDATE]),
    "session-terminate": lambda on: on.call.terminate(),
    "session-message": lambda on: on.call.send_message("hello"),
    "session-dtmf-info": lambda on: on.call.send_dtmf("5"),
    "videoroom-join": lambda on: on.account.join("coffee@example.com", "offer").joined,
    "videoroom-leave": lambda on: on.room.leave(),
    "videoroom-mute-audio-participants": lambda on: on.room.mute_audio_participants(),
    "videoroom-configure": lambda on: on.room.configure([on.room.id]),
    "videoroom-feed-attach": lambda on: on.room.attach(on.room.id).requested,
    "videoroom-feed-answer": lambda on: on.feed.answer("answer"),
    "videoroom-feed-detach": lambda on: on.feed.detach(),
    "videoroom-invite": lambda on: on.room.invite([BOB]),
    "videoroom-session-trickle": lambda on: on.room.trickle([]),
    "videoroom-session-update": lambda on: on.room.update(audio=False),
    "videoroom-message": lambda on: on.room.send_message("hello"),
    "videoroom-composing-indication": lambda on: on.room.set_composing(True),
    "videoroom-toggle-hand": lambda on: on.room.toggle_hand(),
}


def test_every_kind_is_made_but_pings() -> None:
    assert MAKES.keys() == KINDS.keys() - {"ping"}


@pytest.mark.parametrize("kind", MAKES)
def test_acknowledged_refused_and_never_answered(sylk: SylkEmulator, kind: str) -> None:
    with SylkService(sylk.config(timeout_s=0.25, reconnect=FAST)) as service:
        account = sign_in(sylk, service, "ada")
        stage = set_up(service, account)
        sylk.clear_records()
        MAKES[kind](stage).result(10)
        assert sylk.executed[kind] >= 1
        assert [one.accepted for one in sylk.received] == [True] * len(sylk.received)
    for how, outcome in (("refuse", SylkError), ("silence", CallTimeout)):
        with SylkService(sylk.config(timeout_s=0.25, reconnect=FAST)) as service:
            stage = set_up(service, sign_in(sylk, service, "ada"))
            sylk.refuse_next(kind, "no") if how == "refuse" else sylk.silence(kind, times=1)
            with pytest.raises(outcome, match="no"):
                MAKES[kind](stage).result(10)


def test_the_connection_is_lost_while_each_of_them_waits(sylk: SylkEmulator) -> None:
    with SylkService(sylk.config(reconnect=FAST)) as service:
        stage = set_up(service, sign_in(sylk, service, "ada"))
        before = len(sylk.received)
        for kind in MAKES:
            sylk.silence(kind, times=1)
        calls = {kind: make(stage) for kind, make in MAKES.items()}
        sylk.wait_until(lambda emulator: len(emulator.received) == before + len(calls))
        sylk.drop_connections()
        for call in calls.values():
            with pytest.raises(CallOutcomeUnknown):
                call.result(10)
        assert [thing.state.name for thing in (stage.call, stage.coming, stage.room)] == ["terminated"] * 3
        assert stage.feed.state.name == "detached"
        assert stage.account.registration.name == "removed"  # as was asked
        assert sign_in(sylk, service, "ada").registration.name == "registered"


def test_every_event_is_received(sylk: SylkEmulator, ada: SylkAccount, service: SylkService) -> None:
    events = Watcher(service.init())
    for (kind, event), fields in ALL.items():
        sylk.push(frame(kind, event, fields).decode())
    sylk.push({"sylkrtc": "weather-event", "event": "rain", "much": True})
    sylk.push({"sylkrtc": "session-event", "session": "s", "event": "state", "state": "dancing"})
    sylk.push("no JSON")
    wait_until(lambda: len(events.values) == len(ALL) + 2)
    assert [type(event) for event in events.values[:-2]] == list(EVENTS.values())
    assert [type(event) for event in events.values[-2:]] == [UnknownEvent] * 2
    assert events.values[-2].fields == {"sylkrtc": "weather-event", "event": "rain", "much": True}
    assert ada.registration.name == "registered" or ada.registration.reason == "401"


def test_what_the_emulator_refuses_as_the_gateway_does(sylk: SylkEmulator, service: SylkService) -> None:
    """Frames that the service would never send: they are pushed through its machine's own road."""
    connection = service._life.connection
    wrong: list[dict[str, Any]] = [
        {"sylkrtc": "account-add", "transaction": "x1", "account": "ada", "password": "x"},
        {"sylkrtc": "account-add", "transaction": "x2", "account": ADA, "password": ""},
        {"sylkrtc": "account-add", "transaction": "x3", "account": ADA},
        {"sylkrtc": "session-trickle", "transaction": "x4", "session": "s", "candidates": [{}]},
        {"sylkrtc": "session-trickle", "transaction": "x5", "session": "s", "candidates": "none"},
        {"sylkrtc": "videoroom-configure", "transaction": "x6", "session": "s", "active_participants": ["a", "b", "c"]},
        {"sylkrtc": "videoroom-composing-indication", "transaction": "x7", "session": "s", "state": "busy"},
        {"sylkrtc": "videoroom-session-update", "transaction": "x8", "session": "s", "options": []},
        {"sylkrtc": "session-dtmf-info", "transaction": "x9", "session": "s", "digit": "1", "duration": "long"},
        {"sylkrtc": "videoroom-join", "transaction": "x10", "session": "s", "account": ADA, "uri": BOB, "sdp": 5},
        {"sylkrtc": "account-devicetoken", "transaction": "x11", "account": ADA, "silent": 0, "token": "t",
         "platform": "p", "device": "d", "app": "a"},
        {"sylkrtc": "account-add", "account": ADA, "password": "no transaction"},
        {"sylkrtc": "make-tea", "transaction": "x12"},
        {"transaction": "x13"},
    ]  # fmt: skip
    transport = connection._transport
    assert transport is not None
    frames = [json.dumps(message).encode() for message in wrong] + [b"[]", b"{"]
    service._life.on_loop(transport.write, frames)
    sylk.wait_until(lambda emulator: len(emulator.received) == len(frames))
    assert not any(one.accepted for one in sylk.received)
    service.lookup_public_key(BOB).result(10)


def test_lists_lose_what_they_hold_twice(sylk: SylkEmulator) -> None:
    base = {"transaction": "t", "session": "s"}
    assert checked("videoroom-configure", {**base, "active_participants": ["a", "a", "b"]})["active_participants"] == [
        "a",
        "b",
    ]
    invited = checked("videoroom-invite", {**base, "participants": ["sip:a@b", "a@b", "sips:c@d"]})["participants"]
    assert invited == ["a@b", "c@d"]
