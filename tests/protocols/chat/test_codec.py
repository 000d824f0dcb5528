"""Every field of the wire comes in as a field, goes out as it came, and nothing unknown is lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxsdk.errors import RemoteProtocolError
from rxsdk.protocols.chat.codec import decode_frame, dump, load, load_event
from rxsdk.protocols.chat.types import (
    Attachment,
    CallPayload,
    CallStoredPayload,
    Chat,
    ChatList,
    ChatListItem,
    Deleted,
    DeletionPayload,
    Delivered,
    Edited,
    EditPayload,
    Event,
    FileMeta,
    ImageMeta,
    Message,
    New,
    Offline,
    Online,
    Read,
    ReadReceipt,
    Receipt,
    ReplyTo,
    Typing,
    VideoMeta,
)
from tests.protocols.harness import steady

FILE = {"type": "file", "id": "f1", "filename": "a.pdf", "url": "/a.pdf", "meta": {"extension": "pdf", "size": 9}}
IMAGE_META = {"mimetype": "image/png", "width": 4, "height": 3, "size": 99}
IMAGE = {"type": "image", "id": "i1", "filename": "a.png", "url": "/a.png", "meta": IMAGE_META}
VIDEO = {"type": "video", "id": "v", "filename": "a.mp4", "url": "/a.mp4", "meta": {**IMAGE_META, "duration": 1.5}}
REPLY = {"messageId": 3, "clientMessageId": "c3", "message": "before", "sender": "bob", "createdAt": 1}
EDIT = {"originalMessageId": 3, "originalClientMessageId": "c3"}
CALL = {"direction": "incoming", "status": "missed", "callType": "video"}
STORED_CALL = {"callId": "x", "caller": "bob", "participants": ["ada"], "callType": "audio", "callDuration": 12}
MESSAGE = {
    "messageId": 4,
    "clientMessageId": "c4",
    "message": "hello",
    "sender": "ada",
    "attachments": [FILE, IMAGE, VIDEO],
    "forwarded": {"sender": "eve"},
    "replyTo": REPLY,
    "status": "unread",
    "type": "new",
    "createdAt": 2,
    "updatedAt": 3,
    "deletedAt": 4,
    "delivering": [{"userId": "bob", "dlvrd": 5, "read": 6}, {"userId": "eve"}],
}
NEW = {
    "chatId": "bob",
    "sender": "bob",
    "senderName": "Bob",
    "messageId": 4,
    "clientMessageId": "c4",
    "message": "hello",
    "attachments": [FILE],
    "timestamp": 2,
    "missed": 1,
    "status": "undelivered",
}
EDITED = {"chatId": "bob", "messageId": 5, "originalMessageId": 4, "message": "ho", "attachments": [IMAGE]}
MARK = {"chatId": "bob", "userId": "bob", "messageId": 4, "clientMessageId": "c4", "timestamp": 7}
CHAT = {
    "chatId": "bob",
    "photoUrl": "/bob.png",
    "name": "Bob",
    "type": "dialog",
    "lastMessageId": 4,
    "missed": 1,
    "firstMissed": 4,
    "meta": {"a": 1},
}
ITEM = {
    "type": "group",
    "id": "team",
    "photoUrl": "/t.png",
    "name": "Team",
    "lastMessageText": "hello",
    "lastMessageTime": 2,
    "lastMessageAuthor": "ada",
    "lastMessageStatus": "read",
    "missed": 0,
    "firstMissed": 1,
    "verified": True,
    "isMine": False,
    "lastMessageId": 4,
    "lastSeen": 9,
}
RECEIPT = {"messageId": 4, "timestamp": 5, "clientMessageId": "c4"}

EVERYTHING: list[tuple[Any, dict[str, Any]]] = [
    (Attachment, FILE),
    (Attachment, IMAGE),
    (Attachment, VIDEO),
    (ReplyTo, REPLY),
    (Message, MESSAGE),
    (Message, {**MESSAGE, "type": "edit", "payload": EDIT}),
    (Message, {**MESSAGE, "type": "delete", "payload": EDIT}),
    (Message, {**MESSAGE, "type": "call", "payload": CALL}),
    (Message, {**MESSAGE, "type": "call", "payload": STORED_CALL}),
    (Message, {**MESSAGE, "type": "poll", "payload": {"question": "?"}}),
    (New, NEW),
    (Edited, EDITED),
    (Deleted, {"chatId": "bob", "messageId": 5, "originalMessageId": 4}),
    (Online, {"userId": "bob"}),
    (Offline, {"userId": "bob"}),
    (Typing, {"userId": "bob", "chatId": "team", "stop": True}),
    (Delivered, MARK),
    (Read, MARK),
    (Chat, CHAT),
    (ChatListItem, ITEM),
    (Receipt, RECEIPT),
    (ReadReceipt, {**RECEIPT, "missed": 2}),
]


@pytest.mark.parametrize(("kind", "raw"), EVERYTHING)
def test_every_field_of_the_wire_round_trips(kind: Any, raw: dict[str, Any]) -> None:
    value = load(kind, raw)
    assert type(value) is kind
    assert value.extra == {}, "a field of the wire has no field"
    assert dump(value) == raw


@pytest.mark.parametrize(("kind", "raw"), EVERYTHING)
def test_what_is_unknown_is_kept(kind: Any, raw: dict[str, Any]) -> None:
    more = {**raw, "novelty": {"a": [1, None]}, "*": 5, "extra": True}
    value = load(kind, more)
    assert value.extra == {"novelty": {"a": [1, None]}, "*": 5, "extra": True}
    assert dump(value) == more


@pytest.mark.parametrize(("kind", "raw"), EVERYTHING)
def test_what_may_be_left_out_may_also_be_null(kind: Any, raw: dict[str, Any]) -> None:
    optional = {field.encode_name for field in msgspec.structs.fields(kind) if not field.required}
    for name in raw:
        for fewer in ({key: item for key, item in raw.items() if key != name}, {**raw, name: None}):
            if name in optional:
                assert dump(load(kind, fewer)) == fewer
            elif name not in fewer:
                with pytest.raises(RemoteProtocolError, match=name):
                    load(kind, fewer)


def test_what_depends_on_the_type_has_its_type() -> None:
    metas = [type(load(Attachment, raw).meta) for raw in (FILE, IMAGE, VIDEO, {**FILE, "type": "odd"})]
    assert metas == [FileMeta, ImageMeta, VideoMeta, dict]
    payloads = [
        ("edit", EDIT),
        ("delete", EDIT),
        ("call", CALL),
        ("call", STORED_CALL),
        ("new", EDIT),
        ("edit", {"x": 1}),
    ]
    types = [type(load(Message, {**MESSAGE, "type": kind, "payload": raw}).payload) for kind, raw in payloads]
    assert types == [EditPayload, DeletionPayload, CallPayload, CallStoredPayload, dict, dict]
    assert load(Message, MESSAGE).delivering[0].read == 6


@pytest.mark.parametrize(
    ("event_type", "payload", "kind"),
    [
        *[("new", NEW, New), ("edit", EDITED, Edited), ("online", {"userId": "b"}, Online), ("read", MARK, Read)],
        *[("dlvrd", MARK, Delivered), ("chats", [ITEM], ChatList), ("newCall", CALL, dict), ("odd", None, type(None))],
        *[("new", {"chatId": "x"}, dict), ("chats", 5, int), ("chats", ["a"], list), ("new", None, type(None))],
    ],
)
def test_an_event_has_its_payload_typed_if_it_fits(event_type: str, payload: Any, kind: type) -> None:
    frame = {"type": "event", "id": 5, "timestamp": 6, "eventType": event_type, "payload": payload, "more": 1}
    event = load_event(frame)
    assert (type(event), event.event_type, event.id, event.timestamp) == (Event, event_type, 5, 6)
    assert type(event.payload) is kind
    assert dump(event.payload) == payload
    assert event.extra == {"more": 1}


@pytest.mark.parametrize(
    "frame",
    [
        *[{"eventType": 5}, {}, {"eventType": "new", "id": True}, {"eventType": "new", "id": "5"}],
        *[{"eventType": "new", "timestamp": "now"}, {"eventType": ["new"]}],
    ],
)
def test_an_event_that_is_none_is_refused(frame: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        load_event({"type": "event", **frame})


def test_what_does_not_fit_says_where() -> None:
    with pytest.raises(RemoteProtocolError, match=r"no Receipt: Expected `int`, got `str` - at `\$.messageId`"):
        load(Receipt, {**RECEIPT, "messageId": "4"})
    with pytest.raises(RemoteProtocolError, match=r"expected a list, got dict"):
        load(list[Message], {})
    with pytest.raises(RemoteProtocolError, match=r"expected an object, got list"):
        load(Chat, [])
    with pytest.raises(RemoteProtocolError, match=r"expected an object, got int"):
        load(Message, {**MESSAGE, "replyTo": 5})


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[]", b"5", b'"x"', b"\xff", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_a_frame_that_is_no_object_is_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=f"a frame of {len(frame)} bytes"):
        decode_frame(frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@steady
@given(st.sampled_from(EVERYTHING), st.dictionaries(st.sampled_from(["type", "message", "payload", "x", "*"]), JSON))
def test_whatever_fits_comes_back(known: tuple[Any, dict[str, Any]], changes: dict[str, Any]) -> None:
    kind, raw = known
    changed = {**raw, **changes}
    try:
        value = load(kind, changed)
    except RemoteProtocolError:
        return
    assert dump(value) == changed
