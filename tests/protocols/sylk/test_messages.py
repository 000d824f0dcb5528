"""Every event of the note, from the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxsdk.protocols.sylk.messages import EVENTS, Identity, UnknownEvent, decode_frame

WHO = {"uri": "bob@example.com", "display_name": "Bob"}
TEXT = {"sender": WHO, "timestamp": "t", "message_id": "m", "content_type": "text/plain", "content": "hello"}
FATE = {"message_id": "m", "message_timestamp": "t", "state": "accepted", "code": 200, "reason": "OK"}
PUBLISHERS = {"publishers": [{"id": "p", "uri": "bob@example.com"}]}

# Each event with all its fields (sylk.md, "Events").
ALL: dict[tuple[str, str | None], dict[str, Any]] = {
    ("lookup-public-key-event", None): {"uri": "bob@example.com", "public_key": "k"},
    ("account-event", "registration-state"): {"state": "failed", "reason": "401"},
    ("account-event", "incoming-session"): {
        "session": "s", "originator": WHO, "sdp": "v", "call_id": "c", "headers": []
    },
    ("account-event", "missed-session"): {"originator": WHO},
    ("account-event", "conference-invite"): {"room": "r@b", "session_id": "s", "originator": WHO},
    ("account-event", "message"): {**TEXT, "disposition_notification": ["display"], "direction": "incoming"},
    ("account-event", "disposition-notification"): FATE,
    ("account-event", "sync-conversations"): {"messages": [
        {"contact": "bob@example.com", "timestamp": "t", "disposition": ["display"], "message_id": "m",
         "content_type": "text/plain", "content": "c", "direction": "outgoing", "state": "accepted"},
    ]},
    ("account-event", "sync"): {"type": "message", "action": "add", "content": {"content": "c"}},
    ("session-event", "state"): {
        "state": "accepted", "sdp": "v", "call_id": "c", "headers": [], "code": 5, "reason": "r"
    },
    ("session-event", "update"): {"state": "received", "sdp": "v", "reason": "r"},
    ("session-event", "message"): {**TEXT, "disposition_notification": None, "direction": None},
    ("session-event", "disposition-notification"): FATE,
    ("videoroom-event", "session-state"): {
        "state": "accepted", "sdp": "v", "audio": True, "video": True, "reason": "r"
    },
    ("videoroom-event", "configure"): {"originator": "o", "active_participants": ["p"]},
    ("videoroom-event", "feed-attached"): {"feed": "f", "sdp": "v"},
    ("videoroom-event", "feed-established"): {"feed": "f"},
    ("videoroom-event", "initial-publishers"): PUBLISHERS,
    ("videoroom-event", "publishers-joined"): PUBLISHERS,
    ("videoroom-event", "publishers-left"): {"publishers": ["p"]},
    ("videoroom-event", "file-sharing"): {"files": [
        {"filename": "f", "filesize": 5, "uploader": WHO, "session": "s"},
    ]},
    ("videoroom-event", "message"): {
        "type": "normal", "content": "c", "content_type": "text/plain", "sender": WHO, "timestamp": "t"
    },
    ("videoroom-event", "composing-indication"): {"state": "active", "refresh": 5, "content_type": "t", "sender": WHO},
    ("videoroom-event", "message-delivery"): {"message_id": "m", "delivered": True, "code": 200, "reason": "OK"},
    ("videoroom-event", "mute-audio"): {"originator": "o"},
    ("videoroom-event", "raised-hands"): {"raised_hands": ["p"]},
}  # fmt: skip
OWNERS = {"account-event": {"account": "ada@example.com"}, "lookup-public-key-event": {}}


def frame(kind: str, event: str | None, fields: dict[str, Any]) -> bytes:
    named = {} if event is None else {"event": event}
    return json.dumps({"sylkrtc": kind, **named, **OWNERS.get(kind, {"session": "own"}), **fields}).encode()


def test_every_event_is_here() -> None:
    assert ALL.keys() == EVENTS.keys()


@pytest.mark.parametrize(("kind", "event"), ALL)
def test_read_with_all_its_fields(kind: str, event: str | None) -> None:
    fields = ALL[kind, event]
    read: Any = decode_frame(frame(kind, event, {**fields, "new_field": 5}))
    assert type(read) is EVENTS[kind, event]
    for name, value in fields.items():
        given = getattr(read, name)
        assert given == value or isinstance(given, (Identity, list))


@pytest.mark.parametrize(
    ("kind", "event", "field"), [(kind, event, field) for (kind, event), fields in ALL.items() for field in fields]
)
def test_of_another_shape_it_is_delivered_as_it_is(kind: str, event: str | None, field: str) -> None:
    if field == "headers":
        return  # which may be anything
    wrong = {"no": "such"} if field != "content" or event != "sync" else "text"
    read = decode_frame(frame(kind, event, {**ALL[kind, event], field: wrong}))
    assert isinstance(read, UnknownEvent)
    assert (read.kind, read.event) == (kind, event)
    assert field in str(read.problem)
    assert read.fields[field] == wrong
