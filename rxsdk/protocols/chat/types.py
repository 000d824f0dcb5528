"""What travels in the chat's frames, typed: messages, chats, the payloads of events and answers.

Floor 0. Every struct keeps what it does not know in ``extra``, by its name on the wire, and gives it back when it is
sent on. The fields are the wire's in ``snake_case``; what the wire may leave out is None. Texts that name a kind or a
status are plain strings, because servers add to them.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

__all__ = [
    "EVENT_PAYLOADS",
    "Attachment",
    "CallPayload",
    "CallStoredPayload",
    "Chat",
    "ChatList",
    "ChatListItem",
    "Deleted",
    "DeletionPayload",
    "Delivered",
    "Delivering",
    "EditPayload",
    "Edited",
    "Event",
    "FileMeta",
    "ImageMeta",
    "Message",
    "New",
    "Offline",
    "Online",
    "Read",
    "ReadReceipt",
    "Receipt",
    "ReplyTo",
    "Typing",
    "VideoMeta",
    "Wired",
]

P = TypeVar("P")


class Wired(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A thing of the wire; ``extra`` is what came with it and has no field, an explicit ``null`` included."""

    extra: dict[str, Any] = msgspec.field(default_factory=dict, name="*")


# -- messages


class FileMeta(Wired, frozen=True, kw_only=True):
    """Of an attachment of the type ``file``; ``size`` in bytes."""

    extension: str
    size: int


class ImageMeta(Wired, frozen=True, kw_only=True):
    """Of an ``image``: pixels and bytes."""

    mimetype: str
    width: int
    height: int
    size: int


class VideoMeta(ImageMeta, frozen=True, kw_only=True):
    """Of a ``video``; ``duration`` in seconds."""

    duration: float


class Attachment(Wired, frozen=True, kw_only=True):
    """A file, image or video; ``meta`` is the `FileMeta`, `ImageMeta` or `VideoMeta` of its ``type``."""

    type: str
    id: str
    filename: str
    url: str
    meta: Any


class ReplyTo(Wired, frozen=True, kw_only=True):
    """The message that a message answers."""

    message_id: int
    client_message_id: str
    sender: str
    created_at: int
    message: str | None = None


class EditPayload(Wired, frozen=True, kw_only=True):
    """Which message a message of the type ``edit`` changed."""

    original_message_id: int
    original_client_message_id: str | None = None


class DeletionPayload(EditPayload, frozen=True, kw_only=True):
    """Which message a message of the type ``delete`` took away."""


class CallPayload(Wired, frozen=True, kw_only=True):
    """A call as one side sees it: ``direction`` incoming or outgoing, ``status`` missed or received."""

    direction: str
    call_type: str
    status: str | None = None


class CallStoredPayload(Wired, frozen=True, kw_only=True):
    """A call as the server keeps it; ``call_duration`` in seconds."""

    call_id: str
    caller: str
    call_type: str
    call_duration: float
    participants: list[str] | None = None


class Delivering(Wired, frozen=True, kw_only=True):
    """How far a message got with one member of a group: when it was delivered and read, ms since 1970."""

    user_id: str
    dlvrd: int | None = None
    read: int | None = None


class Message(Wired, frozen=True, kw_only=True):
    """A stored message. ``status``: read, unread, undelivered, deleted; ``type``: new, edit, delete, call.

    ``payload`` is the `EditPayload`, `DeletionPayload`, `CallPayload` or `CallStoredPayload` of its type; where it fits
    none, it is the JSON as it came.
    """

    message_id: int
    client_message_id: str
    sender: str
    status: str
    type: str
    created_at: int
    message: str | None = None
    attachments: list[Attachment] | None = None
    forwarded: Any = None
    reply_to: ReplyTo | None = None
    payload: Any = None
    updated_at: int | None = None
    deleted_at: int | None = None
    delivering: list[Delivering] | None = None


# -- chats


class Chat(Wired, frozen=True, kw_only=True):
    """A chat. ``type``: dialog, group, channel, favorites, ai; ``missed``: how many messages are unread."""

    chat_id: str
    name: str
    type: str
    missed: int
    photo_url: str | None = None
    meta: Any = None
    last_message_id: int | None = None
    first_missed: int | None = None


class ChatListItem(Wired, frozen=True, kw_only=True):
    """A chat in the list of chats."""

    type: str
    id: str
    name: str
    photo_url: str | None = None
    last_message_text: str | None = None
    last_message_time: int | None = None
    last_message_author: str | None = None
    last_message_status: str | None = None
    missed: int | None = None
    first_missed: int | None = None
    verified: bool | None = None
    is_mine: bool | None = None
    last_message_id: int | None = None
    last_seen: int | None = None


class ChatList(list[ChatListItem]):
    """The list of chats, as the event ``chats`` brings it."""


# -- answers


class Receipt(Wired, frozen=True, kw_only=True):
    """The answer to a request about a message."""

    message_id: int
    timestamp: int
    client_message_id: str | None = None


class ReadReceipt(Receipt, frozen=True, kw_only=True):
    """The answer to ``read``; ``missed``: how many are still unread."""

    missed: int


# -- events


class New(Wired, frozen=True, kw_only=True):
    """There is a new message. In a dialog ``chat_id`` is the other user's id."""

    chat_id: str
    message_id: int
    client_message_id: str
    status: str
    missed: int
    sender: str | None = None
    sender_name: str | None = None
    message: str | None = None
    attachments: list[Attachment] | None = None
    reply_to: ReplyTo | None = None
    timestamp: int | None = None


class Edited(Wired, frozen=True, kw_only=True):
    """The message ``original_message_id`` was edited; the edit itself is ``message_id``."""

    chat_id: str
    message_id: int
    original_message_id: int
    message: str | None = None
    attachments: list[Attachment] | None = None


class Deleted(Wired, frozen=True, kw_only=True):
    """The message ``original_message_id`` was deleted."""

    chat_id: str
    message_id: int
    original_message_id: int


class Online(Wired, frozen=True, kw_only=True):
    """A contact is there."""

    user_id: str


class Offline(Wired, frozen=True, kw_only=True):
    """A contact went away."""

    user_id: str


class Typing(Wired, frozen=True, kw_only=True):
    """A contact types, or stopped (``stop``); ``chat_id`` where it is not the dialog with them."""

    user_id: str
    chat_id: str | None = None
    stop: bool | None = None


class Delivered(Wired, frozen=True, kw_only=True):
    """Our messages up to ``message_id`` reached ``user_id`` (in a dialog: the other)."""

    chat_id: str
    message_id: int
    client_message_id: str
    timestamp: int
    user_id: str | None = None


class Read(Delivered, frozen=True, kw_only=True):
    """The same, and they were read."""


EVENT_PAYLOADS: dict[str, type[Any]] = {
    "new": New,
    "edit": Edited,
    "delete": Deleted,
    "chats": ChatList,
    "online": Online,
    "offline": Offline,
    "typing": Typing,
    "dlvrd": Delivered,
    "read": Read,
}
"""What the payload of an event is, by its type; that of any other type (``call``, ``newCall`` …) stays as it came."""


class Event(Wired, Generic[P], frozen=True, kw_only=True):
    """An event of the server.

    ``payload`` is one of `EVENT_PAYLOADS`; of other types, and where it does not fit, it is the JSON as it came.
    ``id`` is None where the server wants no acknowledgement; ``timestamp`` is ms since 1970.
    """

    event_type: str
    payload: P
    id: int | None = None
    timestamp: int | None = None
