"""Everything the server says, typed: answers, the ready event, and the events of accounts, calls and rooms.

Floor 0. `decode_frame` makes a frame into one of these; an event nobody here knows, or one that has not the shape it
should have, becomes an `UnknownEvent` with all its fields. Source: sylk.md ("Events").

A server of the first version says the same in other letters (public sources of SylkServer 3): ``account_event`` for
``account-event``, and the details under ``data``. They are put right before anything else looks at them.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from rxsdk.errors import RemoteProtocolError

__all__ = [
    "EVENTS",
    "AccountDisposition",
    "AccountMessage",
    "AccountSync",
    "Ack",
    "ComposingIndication",
    "ConferenceInvite",
    "Configured",
    "Event",
    "FeedAttached",
    "FeedEstablished",
    "FileSharing",
    "HistoryMessage",
    "Identity",
    "IncomingSession",
    "InitialPublishers",
    "MessageDelivery",
    "MissedSession",
    "MuteAudio",
    "PublicKey",
    "Publisher",
    "PublishersJoined",
    "PublishersLeft",
    "RaisedHands",
    "Ready",
    "Refusal",
    "RegistrationChanged",
    "RoomMessage",
    "RoomStateChanged",
    "SessionDisposition",
    "SessionMessage",
    "SessionStateChanged",
    "SessionUpdated",
    "SharedFile",
    "SyncConversations",
    "UnknownEvent",
    "decode_frame",
]

RegistrationName = Literal["registering", "registered", "failed"]
CallName = Literal["progress", "proceeding", "ringing", "early-media", "accepted", "established", "terminated"]
RoomName = Literal["progress", "accepted", "established", "terminated"]
UpdateName = Literal["received", "accepted", "failed"]


class Ready(Struct, frozen=True):
    """Requests may be made from now on. ``version`` is the protocol's, by the form the event had."""

    version: int


class Ack(Struct, frozen=True):
    """The request ``transaction`` was taken."""

    transaction: str


class Refusal(Struct, frozen=True):
    """The request ``transaction`` was refused."""

    transaction: str
    error: str


class Identity(Struct, frozen=True):
    """Somebody."""

    uri: str
    display_name: str | None = None


class Publisher(Struct, frozen=True):
    """Somebody in a room; ``id`` is that session's."""

    id: str
    uri: str
    display_name: str | None = None


class SharedFile(Struct, frozen=True):
    """A file shared in a room."""

    filename: str
    filesize: int
    uploader: Identity
    session: str


class HistoryMessage(Struct, frozen=True):
    """One message of a conversation that was synced."""

    contact: str
    timestamp: str
    message_id: str
    content_type: str
    content: str
    disposition: list[str] | None = None
    direction: str | None = None
    state: str | None = None


class _OfAccount(Struct, frozen=True, kw_only=True):
    account: str


class _OfSession(Struct, frozen=True, kw_only=True):
    session: str


class PublicKey(Struct, frozen=True):
    """The answer to a lookup; None when ``uri`` has published none."""

    uri: str
    public_key: str | None = None


class RegistrationChanged(_OfAccount, frozen=True, kw_only=True):
    """Where the registration of an account is."""

    state: RegistrationName
    reason: str | None = None


class IncomingSession(_OfAccount, frozen=True, kw_only=True):
    """Somebody calls; ``sdp`` is the offer."""

    session: str
    originator: Identity
    sdp: str
    call_id: str | None = None
    headers: Any = None


class MissedSession(_OfAccount, frozen=True, kw_only=True):
    """Somebody called and gave up."""

    originator: Identity


class ConferenceInvite(_OfAccount, frozen=True, kw_only=True):
    """Somebody asks the account into ``room``."""

    room: str
    originator: Identity
    session_id: str | None = None


class AccountMessage(_OfAccount, frozen=True, kw_only=True):
    """A message for the account. ``disposition_notification`` is what the sender wants to hear of it."""

    sender: Identity
    timestamp: str
    message_id: str
    content_type: str
    content: str
    disposition_notification: list[str] | None = None
    direction: str | None = None


class AccountDisposition(_OfAccount, frozen=True, kw_only=True):
    """What became of a message that the account sent."""

    message_id: str
    message_timestamp: str
    state: str
    code: int
    reason: str


class SyncConversations(_OfAccount, frozen=True, kw_only=True):
    """The account's messages, in answer to a sync."""

    messages: list[HistoryMessage]


class AccountSync(_OfAccount, frozen=True, kw_only=True):
    """Another device of the account did something: ``action`` (add, remove, read) on a ``type``."""

    type: str
    action: str
    content: dict[str, Any]


class SessionStateChanged(_OfSession, frozen=True, kw_only=True):
    """Where a call is. The answer of the other side comes with ``accepted`` (or before, with ``early-media``)."""

    state: CallName
    code: int | None = None
    sdp: str | None = None
    call_id: str | None = None
    headers: Any = None
    reason: str | None = None


class SessionUpdated(_OfSession, frozen=True, kw_only=True):
    """The other side offers new media (``received``), or answered to ours."""

    state: UpdateName
    sdp: str | None = None
    reason: str | None = None


class SessionMessage(_OfSession, frozen=True, kw_only=True):
    """A message inside a call."""

    sender: Identity
    timestamp: str
    message_id: str
    content_type: str
    content: str
    disposition_notification: list[str] | None = None
    direction: str | None = None


class SessionDisposition(_OfSession, frozen=True, kw_only=True):
    """What became of a message sent inside a call."""

    message_id: str
    message_timestamp: str
    state: str
    code: int
    reason: str


class RoomStateChanged(_OfSession, frozen=True, kw_only=True):
    """Where our place in a room is."""

    state: RoomName
    sdp: str | None = None
    audio: bool | None = None
    video: bool | None = None
    reason: str | None = None


class Configured(_OfSession, frozen=True, kw_only=True):
    """Who is shown large from now on."""

    originator: str
    active_participants: list[str]


class FeedAttached(_OfSession, frozen=True, kw_only=True):
    """A feed is offered: answer ``sdp``."""

    feed: str
    sdp: str


class FeedEstablished(_OfSession, frozen=True, kw_only=True):
    """A feed's media flow."""

    feed: str


class InitialPublishers(_OfSession, frozen=True, kw_only=True):
    """Who was in the room when we came."""

    publishers: list[Publisher]


class PublishersJoined(_OfSession, frozen=True, kw_only=True):
    """Who has come."""

    publishers: list[Publisher]


class PublishersLeft(_OfSession, frozen=True, kw_only=True):
    """The ids of who has gone."""

    publishers: list[str]


class FileSharing(_OfSession, frozen=True, kw_only=True):
    """Files shared in the room."""

    files: list[SharedFile]


class RoomMessage(_OfSession, frozen=True, kw_only=True):
    """Somebody wrote (``normal``), or the room tells something (``status``)."""

    type: Literal["normal", "status"]
    content: str
    content_type: str
    sender: Identity
    timestamp: str


class ComposingIndication(_OfSession, frozen=True, kw_only=True):
    """Somebody is writing, or has stopped."""

    state: str
    refresh: int | None
    content_type: str
    sender: Identity


class MessageDelivery(_OfSession, frozen=True, kw_only=True):
    """What became of a message sent to the room."""

    message_id: str
    delivered: bool
    code: int
    reason: str


class MuteAudio(_OfSession, frozen=True, kw_only=True):
    """Somebody (the session ``originator``) asks everybody to be quiet."""

    originator: str


class RaisedHands(_OfSession, frozen=True, kw_only=True):
    """The sessions with a hand up, the longest first."""

    raised_hands: list[str]


class UnknownEvent(Struct, frozen=True):
    """An event of a kind, or of a shape, that nobody here knows: all of it in ``fields``.

    ``problem`` says what is wrong with the shape of one whose kind is known.
    """

    kind: str
    event: str | None
    fields: dict[str, Any]
    problem: str | None = None


EVENTS: dict[tuple[str, str | None], type[Any]] = {
    ("lookup-public-key-event", None): PublicKey,
    ("account-event", "registration-state"): RegistrationChanged,
    ("account-event", "incoming-session"): IncomingSession,
    ("account-event", "missed-session"): MissedSession,
    ("account-event", "conference-invite"): ConferenceInvite,
    ("account-event", "message"): AccountMessage,
    ("account-event", "disposition-notification"): AccountDisposition,
    ("account-event", "sync-conversations"): SyncConversations,
    ("account-event", "sync"): AccountSync,
    ("session-event", "state"): SessionStateChanged,
    ("session-event", "update"): SessionUpdated,
    ("session-event", "message"): SessionMessage,
    ("session-event", "disposition-notification"): SessionDisposition,
    ("videoroom-event", "session-state"): RoomStateChanged,
    ("videoroom-event", "configure"): Configured,
    ("videoroom-event", "feed-attached"): FeedAttached,
    ("videoroom-event", "feed-established"): FeedEstablished,
    ("videoroom-event", "initial-publishers"): InitialPublishers,
    ("videoroom-event", "publishers-joined"): PublishersJoined,
    ("videoroom-event", "publishers-left"): PublishersLeft,
    ("videoroom-event", "file-sharing"): FileSharing,
    ("videoroom-event", "message"): RoomMessage,
    ("videoroom-event", "composing-indication"): ComposingIndication,
    ("videoroom-event", "message-delivery"): MessageDelivery,
    ("videoroom-event", "mute-audio"): MuteAudio,
    ("videoroom-event", "raised-hands"): RaisedHands,
}
"""Each event by the names it has on the wire."""

Event = (
    PublicKey
    | RegistrationChanged
    | IncomingSession
    | MissedSession
    | ConferenceInvite
    | AccountMessage
    | AccountDisposition
    | SyncConversations
    | AccountSync
    | SessionStateChanged
    | SessionUpdated
    | SessionMessage
    | SessionDisposition
    | RoomStateChanged
    | Configured
    | FeedAttached
    | FeedEstablished
    | InitialPublishers
    | PublishersJoined
    | PublishersLeft
    | FileSharing
    | RoomMessage
    | ComposingIndication
    | MessageDelivery
    | MuteAudio
    | RaisedHands
    | UnknownEvent
)

_decode = msgspec.json.Decoder().decode


def decode_frame(frame: bytes) -> Ready | Ack | Refusal | Event:
    """One frame of the server.

    Raises:
        RemoteProtocolError: it is not JSON, no object, or says not what it is.
    """
    try:
        message = _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes is not JSON") from None
    kind = message.get("sylkrtc") if type(message) is dict else None
    if type(kind) is not str:
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes is no sylkRTC message")
    if kind in ("ack", "error"):
        return _answer(kind, message)
    if kind == "ready-event":
        return Ready(2)
    if kind == "event" and message.get("event") == "ready":
        return Ready(1)
    return _event(kind, message)


def _answer(kind: str, message: dict[str, Any]) -> Ack | Refusal:
    transaction, error = message.get("transaction"), message.get("error")
    if type(transaction) is not str or (kind == "error" and type(error) is not str):
        raise RemoteProtocolError(f"an {kind} has no valid transaction and error")
    return Ack(transaction) if kind == "ack" else Refusal(transaction, str(error))


def _event(kind: str, message: dict[str, Any]) -> Event:
    kind, name, fields = kind.replace("_", "-"), message.get("event"), message
    if type(name) is str:
        name = name.replace("_", "-")
        if type(message.get("data")) is dict:
            fields = {**message, **message["data"]}
    elif name is not None:
        return UnknownEvent(kind, None, message, "its `event` is no text")
    model = EVENTS.get((kind, name))
    if model is None:
        return UnknownEvent(kind, name, message)
    try:
        event: Event = msgspec.convert(fields, model)
    except msgspec.ValidationError as error:
        return UnknownEvent(kind, name, message, str(error))
    return event
