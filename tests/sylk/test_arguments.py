"""Wrong arguments, in every method there is: an error at once that names the one, whatever stands in its place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxsdk import SylkService
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.errors import InvalidCall
from tests.sylk.conftest import FAST
from tests.sylk.people import sign_in
from tests.sylk.test_every_kind import ADA, BOB, MESSAGE, Stage, set_up

RIGHT: dict[str, Any] = {
    "address": BOB, "password": "marigold", "uri": BOB, "sdp": "v=0", "content": "hello", "contact": BOB,
    "message": MESSAGE, "state": "displayed", "message_id": "m", "token": "t", "platform": "ios", "device": "d",
    "app": "a", "candidates": [], "digit": "1", "publisher": "p", "active_participants": [], "participants": [BOB],
    "is_active": True,
}  # fmt: skip
NEVER: list[Any] = [5.5, b"bytes", "\ud800", object(), [object()], {"a": {1, 2}}, float("nan"), print]
"""What no argument may be."""

METHODS: dict[str, Callable[[Stage], Callable[..., Any]]] = {
    f"{on}.{name}": lambda stage, on=on, name=name: getattr(getattr(stage, on), name)  # type: ignore[misc]
    for on, names in {
        "service": "add_account lookup_public_key",
        "account": "call join send_message send_disposition sync_conversations mark_conversation_read "
        "remove_conversation remove_message set_device_token",
        "call": "trickle update send_dtmf send_message",
        "coming": "answer",
        "room": "attach trickle update configure invite send_message set_composing toggle_hand",
        "feed": "answer",
    }.items()
    for name in names.split()
}


WITHOUT_ARGUMENTS = {
    "service": "close init reconnect_now resume suspend",
    "account": "register unregister remove",
    "call": "terminate",
    "room": "leave mute_audio_participants",
    "feed": "detach",
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with SylkEmulator() as sylk, SylkService(sylk.config(reconnect=FAST)) as service:
        yield set_up(service, sign_in(sylk, service, "ada"))


def required(method: Callable[..., Any]) -> dict[str, Any]:
    """Right values for what must be given."""
    parameters = inspect.signature(method).parameters.values()
    return {one.name: RIGHT[one.name] for one in parameters if one.default is one.empty}


def test_every_method_is_here(stage: Stage) -> None:
    """What a user sees is what is there for users."""
    shown = {f"{on}.{name}" for on, names in WITHOUT_ARGUMENTS.items() for name in names.split()} | METHODS.keys()
    for on in WITHOUT_ARGUMENTS:
        thing = getattr(stage, on)
        for name, value in inspect.getmembers(type(thing), inspect.isfunction):
            assert name.startswith("_") or {f"{on}.{name}", f"coming.{name}"} & shown, (on, value)


@pytest.mark.parametrize("method", METHODS)
def test_what_no_argument_may_be_is_named(stage: Stage, method: str) -> None:
    make = METHODS[method](stage)
    for argument in inspect.signature(make).parameters:
        for wrong in NEVER:
            with pytest.raises(InvalidCall) as raised:
                make(**{**required(make), argument: wrong})
            named = {"address": "account", "audio": "options", "video": "options", "bitrate": "options"}
            assert raised.value.field.startswith((argument, named.get(argument, argument))), (argument, wrong)


@pytest.mark.parametrize(
    ("method", "arguments", "text"),
    [
        ("account.call", {"headers": [("X-A", "b")]}, "session-create: headers: must map names to values, not be list"),
        ("call.update", {"headers": "X-A: b"}, "session-update: headers: must map names to values, not be str"),
        ("coming.answer", {"headers": {"X-A": 5}}, "session-answer: headers[0].value: expected `str`, got `int`"),
        ("account.send_message", {"timestamp": 5},
         "account-message: timestamp: must be a datetime or a string, not int"),
        ("call.send_message", {"timestamp": "yesterday"},
         "session-message: timestamp: must be ISO 8601, such as 2026-01-31T12:00:00Z"),
        ("account.sync_conversations", {"since": ""},
         "account-sync-conversations: since: must be ISO 8601, such as 2026-01-31T12:00:00Z"),
        ("account.sync_conversations", {"limit": 10**400},
         "account-sync-conversations: limit: expected `int` <= 2147483647"),
        ("account.send_disposition", {"message": "m"},
         "account-disposition-notification: message: must be one of `messages`, not str"),
        ("call.trickle", {"candidates": {"candidate": "c", "sdpMLineIndex": 0, "sdpMid": "0"}},
         "session-trickle: candidates: must be a list of candidates, not dict"),
        ("room.trickle", {"candidates": "candidate:1"},
         "videoroom-session-trickle: candidates: must be a list of candidates, not str"),
        ("room.trickle", {"candidates": None},
         "videoroom-session-trickle: candidates: must be a list of candidates, not NoneType"),
        ("room.attach", {"publisher": None}, "videoroom-feed-attach: publisher: is missing"),
        ("room.set_composing", {"is_active": "idle"},
         "videoroom-composing-indication: is_active: must be True or False, not str"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(stage: Stage, method: str, arguments: dict[str, Any], text: str) -> None:
    make = METHODS[method](stage)
    with pytest.raises(InvalidCall) as raised:
        make(**{**required(make), **arguments})
    assert str(raised.value) == text


def test_nothing_of_it_was_sent(stage: Stage) -> None:
    assert stage.call.state.name == "established"
    assert stage.coming.state.name == "incoming"
    assert stage.account.address == ADA
