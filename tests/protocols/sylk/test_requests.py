"""Every kind of request: what it must hold and may hold, and what is wrong with one that does not."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from rxsdk.emulator.sylk.validation import Invalid, checked
from rxsdk.errors import InvalidCall
from rxsdk.protocols.sylk.messages import Identity, SessionStateChanged
from rxsdk.protocols.sylk.requests import REQUESTS, Candidate, ha1, make_request
from rxsdk.protocols.sylk.trace import shown_event, shown_request
from rxsdk.secret import Secret

A, S = {"account": "ada@example.com"}, {"session": "s1"}
TEXT = {"message_id": "m", "content": "hello", "content_type": "text/plain"}
STAMPED = {**TEXT, "timestamp": "2026-01-01T00:00:00Z"}
MEDIA = {"uri": "bob@example.com", "sdp": "v=0"}
HEADERS = [{"name": "X-A", "value": "b"}]
CANDIDATES = [{"candidate": "c", "sdpMLineIndex": 0, "sdpMid": "0"}]

# Each kind with all its fields: those it must have, then those it may have (sylk.md, "Requests").
ALL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ping": ({}, {}),
    "lookup-public-key": ({"uri": "bob@example.com"}, {}),
    "account-add": (
        {**A, "password": "x" * 32},
        {"display_name": "Ada", "user_agent": "me", "incoming_header_prefixes": ["X-"]},
    ),
    "account-remove": (A, {}),
    "account-register": (A, {}),
    "account-unregister": (A, {}),
    "account-devicetoken": ({**A, "token": "t", "platform": "ios", "device": "d", "silent": False, "app": "a"}, {}),
    "account-message": ({**A, "uri": "bob@example.com", **STAMPED}, {"server_generated": True}),
    "account-disposition-notification": (
        {**A, "uri": "bob@example.com", "message_id": "m", "state": "displayed", "timestamp": "t"},
        {},
    ),
    "account-sync-conversations": (A, {"message_id": "m", "since": "t", "limit": 5}),
    "account-mark-conversation-read": ({**A, "contact": "bob@example.com"}, {}),
    "account-remove-conversation": ({**A, "contact": "bob@example.com"}, {}),
    "account-remove-message": ({**A, "message_id": "m", "contact": "bob@example.com"}, {}),
    "session-create": ({**A, **S, **MEDIA}, {"headers": HEADERS}),
    "session-answer": ({**S, "sdp": "v=0"}, {"headers": HEADERS}),
    "session-update": ({**S, "sdp": "v=0"}, {"headers": HEADERS}),
    "session-trickle": ({**S, "candidates": CANDIDATES}, {}),
    "session-terminate": (S, {}),
    "session-message": ({**S, **STAMPED}, {}),
    "session-dtmf-info": ({**S, "digit": "#"}, {"duration": 200}),
    "videoroom-join": ({**A, **S, **MEDIA}, {"audio": True, "video": False}),
    "videoroom-leave": (S, {}),
    "videoroom-mute-audio-participants": (S, {}),
    "videoroom-configure": ({**S, "active_participants": ["p1", "p2"]}, {}),
    "videoroom-feed-attach": ({**S, "publisher": "p1", "feed": "f1"}, {}),
    "videoroom-feed-answer": ({**S, "feed": "f1", "sdp": "v=0"}, {}),
    "videoroom-feed-detach": ({**S, "feed": "f1"}, {}),
    "videoroom-invite": ({**S, "participants": ["bob@example.com"]}, {}),
    "videoroom-session-trickle": ({**S, "candidates": CANDIDATES}, {}),
    "videoroom-session-update": ({**S, "options": {"audio": True, "video": False, "bitrate": 5}}, {}),
    "videoroom-message": ({**S, **TEXT}, {}),
    "videoroom-composing-indication": ({**S, "state": "active"}, {"refresh": 30}),
    "videoroom-toggle-hand": (S, {"session_id": "s2"}),
}


def test_every_kind_is_here() -> None:
    assert ALL.keys() == REQUESTS.keys()


@pytest.mark.parametrize("kind", ALL)
def test_written_as_the_note_has_it(kind: str) -> None:
    needed, optional = ALL[kind]
    for fields in (needed, {**needed, **optional}):
        assert json.loads(make_request(kind, fields).body) == {"sylkrtc": kind, **fields}
    assert json.loads(make_request(kind, {**needed, **dict.fromkeys(optional)}).body) == {"sylkrtc": kind, **needed}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, (needed, _) in ALL.items() for field in needed])
def test_what_must_be_there_is_missed(kind: str, field: str) -> None:
    with pytest.raises(InvalidCall) as raised:
        make_request(kind, {name: value for name, value in ALL[kind][0].items() if name != field})
    assert (raised.value.endpoint, raised.value.field, raised.value.problem) == (kind, field, "is missing")


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in ALL for part in ALL[kind] for field in part])
def test_what_is_of_the_wrong_type_is_named(kind: str, field: str) -> None:
    for wrong in (5.5, b"bytes", object()):
        with pytest.raises(InvalidCall) as raised:
            make_request(kind, {**ALL[kind][0], field: wrong})
        assert raised.value.field == field


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        ("account-disposition-notification", {"state": "seen"},
         "state: must be one of delivered, failed, displayed, forbidden, error"),
        ("videoroom-composing-indication", {"state": "busy"}, "state: must be one of active, idle"),
        ("session-dtmf-info", {"digit": "55"}, "digit: must be one of 0-9, A-D, * and #"),
        ("session-create", {"uri": "bob"}, "uri: must be an address, user@domain"),
        ("session-create", {"uri": "sip:bob@example.com"}, "uri: must be an address, user@domain"),
        ("videoroom-configure", {"active_participants": ["a", "b", "c"]},
         "active_participants: expected `array` of length <= 2"),
        ("videoroom-configure", {"active_participants": ["a", "a"]}, "active_participants: holds the same one twice"),
        ("videoroom-invite", {"participants": ["a@b", "c"]}, "participants[1]: must be an address, user@domain"),
        ("videoroom-invite", {"participants": ["a@b", "a@b"]}, "participants: holds the same one twice"),
        ("account-add", {"incoming_header_prefixes": ["X", "X"]}, "incoming_header_prefixes: holds the same one twice"),
        ("session-trickle", {"candidates": [{"candidate": "c"}]}, "candidates[0].sdpMLineIndex: is missing"),
        ("session-trickle", {"candidates": [Candidate("c", "0", "0")]},
         "candidates[0].sdpMLineIndex: expected `int`, got `str`"),
        ("session-answer", {"sdp": "\ud800"}, "sdp: holds a lone surrogate, which is no text"),
        ("session-answer", {"spd": "x"}, "arguments: object contains unknown field `spd`"),
        ("videoroom-session-update", {"options": {"colour": 5}}, "options: object contains unknown field `colour`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(kind: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidCall) as raised:
        make_request(kind, {**ALL[kind][0], **fields})
    assert str(raised.value) == f"{kind}: {text}"


@pytest.mark.parametrize(
    "address",
    ["a@b", "+49-30.1@x.de", "a_b!~*'(c)&=+$,;?/d@x", "a%20b@x", "bob@x.example.com:5060", "bob@[::1]:5060",
     "bob@x;transport=tcp"],
)  # fmt: skip
def test_addresses_the_gateway_takes(address: str) -> None:
    assert checked("lookup-public-key", {"transaction": "t", "uri": address})["uri"] == address
    assert json.loads(make_request("lookup-public-key", {"uri": address}).body)["uri"] == address


@pytest.mark.parametrize(
    "address",
    ["", "b@", "@b", "b@@x", "<b@x>", "b b@x", "b@x y", "b@x\n", "b\0b@x", "bøb@x", "b@exämple.com", "b#b@x", "b|b@x",
     "b\\b@x", "b[1]@x", "b{1}@x", "b^@x", "b%zzb@x", "b@x:", "b@x:abc", "b@x,y", "b@x/y", "b@*", "b@x#y"],
)  # fmt: skip
def test_addresses_the_gateway_refuses(address: str) -> None:
    with pytest.raises(Invalid):
        checked("lookup-public-key", {"transaction": "t", "uri": address})
    with pytest.raises(InvalidCall, match="uri: must be an address, user@domain"):
        make_request("lookup-public-key", {"uri": address})


@pytest.mark.parametrize("kind", ALL)
def test_the_gateway_takes_what_is_written(kind: str) -> None:
    """With each choice of optional fields, unchanged: what the emulator checks was compared with the real models."""
    needed, optional = ALL[kind]
    for count in range(len(optional) + 1):
        for chosen in itertools.combinations(optional.items(), count):
            written = json.loads(make_request(kind, {**needed, **dict(chosen)}).body)
            taken = checked(kind, {"transaction": "t", **written})
            assert {**taken, "sylkrtc": kind} == {**dict.fromkeys(optional), **written, "transaction": "t"}


def test_candidates_of_both_kinds() -> None:
    request = make_request("session-trickle", {**S, "candidates": [Candidate("c", 0, "0"), *CANDIDATES]})
    assert json.loads(request.body)["candidates"] == CANDIDATES * 2


def test_the_hash_of_a_password() -> None:
    # The example of RFC 2617, section 3.5.
    assert ha1("Mufasa@example.com", "Circle Of Life", "testrealm@host.com") == "939e7578ed9e3c518a452acee763bce9"
    assert ha1("a@b", "c") == ha1("a@b", "c", "b")
    assert isinstance(ha1("a@b", "c"), Secret)


def test_secrets_are_not_shown() -> None:
    request = make_request("account-add", {**A, "password": "5ecret" * 5, "display_name": "Ada"})
    assert repr(request) == "Request('account-add', WAITING)"
    model = msgspec.json.decode(request.body, type=REQUESTS["account-add"])
    assert repr(model) == "<account-add>"
    assert shown_request(request) == (
        "account-add  {'account': 'ada@example.com', 'password': '<redacted>', 'display_name': 'Ada'}"
    )
    offer = make_request("session-create", {**A, **S, **MEDIA, "headers": HEADERS})
    assert "'sdp': '<3 characters>', 'headers': '<redacted>'" in shown_request(offer)
    many = make_request("videoroom-invite", {**S, "participants": [f"u{number}@b" for number in range(500)]})
    assert shown_request(many).endswith(" characters)")
    assert len(shown_request(many)) < 2_100
    shown = shown_event(SessionStateChanged(session="s", state="accepted", sdp="secret", headers=[1]))
    assert "secret" not in shown
    assert shown_event(Identity("a@b")).startswith("Identity {'uri': 'a@b'")
