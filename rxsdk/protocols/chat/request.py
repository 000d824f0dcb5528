"""`Request`: one request as the machine knows it, and the makers of each kind there is.

Floor 0. The makers check the arguments where the mistake was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxsdk.errors import InvalidCall
from rxsdk.protocols.chat.codec import dump, encode
from rxsdk.protocols.chat.phases import STEPS, Progress, Step
from rxsdk.protocols.chat.types import Attachment, Chat, ChatListItem, Message, ReadReceipt, Receipt, ReplyTo

__all__ = [
    "MOST_MESSAGES",
    "REPEATABLE",
    "REPLIES",
    "Request",
    "about_payload",
    "checked_id",
    "checked_text",
    "edit_payload",
    "new_payload",
    "page_payload",
    "reply_of",
]

_NO_ID = 2**63
"""From here on a number is no id that a server could keep."""
MOST_MESSAGES = 500
""" "count? 1-500, default 300" """

REPLIES: dict[str, Any] = {
    "new": Receipt,
    "edit": Receipt,
    "delete": Receipt,
    "dlvrd": Receipt,
    "read": ReadReceipt,
    "messages": list[Message],
    "chat": Chat,
    "chats": list[ChatListItem],
}
"""What the answer's payload is, by ``payloadType``."""

REPEATABLE = frozenset({"new", "dlvrd", "read", "messages", "chat", "chats"})
"""What may be sent again when nobody knows whether it ran: ``new`` because the server knows its clientMessageId."""


class Request:
    """One request; ``payload`` is the JSON that will be sent, None for none. Times are seconds, None is no limit.

    ``listener`` is the service's; the machine never looks at it.
    """

    __slots__ = (
        "deadline", "expires", "id", "listener", "payload", "payload_type", "progress", "queue_timeout_s",
        "timeout_s", "was_written", "written_at",
    )  # fmt: skip

    def __init__(
        self,
        payload_type: str,
        payload: dict[str, Any] | None,
        *,
        timeout_s: float | None = None,
        queue_timeout_s: float | None = None,
    ) -> None:
        self.payload_type = payload_type
        self.payload = None if payload is None else _encoded(payload_type, payload)
        self.timeout_s = timeout_s
        self.queue_timeout_s = queue_timeout_s
        self.listener: Any = None
        self.progress = Progress.WAITING
        self.id = ""
        self.deadline: float | None = None  # of its present stage
        self.expires: float | None = None  # of its whole life, repeats included
        self.written_at = 0.0
        self.was_written = False  # ever: the server may have run it

    def __repr__(self) -> str:
        return f"Request({self.payload_type!r}, {self.progress.name})"

    def step(self, step: Step) -> None:
        """Move by the table."""
        self.progress = STEPS[self.progress, step]

    def frame(self, wall: float) -> bytes:
        """The whole frame, at this moment."""
        payload = b"" if self.payload is None else b',"payload":' + self.payload
        head = (encode(round(wall * 1000)), encode(self.id), encode(self.payload_type))
        return b'{"type":"request","timestamp":%b,"id":%b,"payloadType":%b%b}' % (*head, payload)


def _encoded(payload_type: str, payload: dict[str, Any]) -> bytes:
    for name, value in payload.items():
        try:
            encode(value)
        except (TypeError, ValueError, RecursionError):
            raise InvalidCall(payload_type, name, "has no form in JSON") from None
    return encode(payload)


def checked_text(payload_type: str, name: str, value: Any) -> str:
    """``value``, which must be a text that can be sent and is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidCall(payload_type, name, "must be a non-empty string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidCall(payload_type, name, "has half a character, which cannot be sent") from None
    return value


def checked_id(payload_type: str, name: str, value: Any) -> int:
    """``value``, which must be the id of a message."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NO_ID:
        raise InvalidCall(payload_type, name, "must be the id of a message, a whole number")
    return value


def new_payload(
    chat_id: str,
    message: str,
    client_message_id: str,
    attachments: Sequence[Attachment] = (),
    reply_to: ReplyTo | Message | None = None,
) -> dict[str, Any]:
    """The payload of ``new``.

    Raises:
        InvalidCall: an argument cannot make one; of ``message`` and ``attachments`` one may be empty.
    """
    attached = _attached("new", attachments)
    if not isinstance(message, str) or not (message or attachments):
        raise InvalidCall("new", "message", "must be a non-empty string, or come with attachments")
    payload = {
        "chatId": checked_text("new", "chat_id", chat_id),
        "message": message,
        "clientMessageId": checked_text("new", "client_message_id", client_message_id),
    }
    reply = reply_of(reply_to)
    return payload | attached | ({} if reply is None else {"replyTo": dump(reply)})


def reply_of(reply_to: ReplyTo | Message | None) -> ReplyTo | None:
    """What an answer to this message carries of it."""
    if isinstance(reply_to, Message):
        return ReplyTo(
            message_id=reply_to.message_id,
            client_message_id=reply_to.client_message_id,
            message=reply_to.message,
            sender=reply_to.sender,
            created_at=reply_to.created_at,
        )
    if reply_to is not None and not isinstance(reply_to, ReplyTo):
        raise InvalidCall("new", "reply_to", "must be a Message or a ReplyTo")
    return reply_to


def edit_payload(chat_id: str, message_id: int, message: str, attachments: Sequence[Attachment] = ()) -> dict[str, Any]:
    """The payload of ``edit``."""
    payload = {
        "chatId": checked_text("edit", "chat_id", chat_id),
        "originalMessageId": checked_id("edit", "message_id", message_id),
        "message": checked_text("edit", "message", message),
    }
    return payload | _attached("edit", attachments)


def about_payload(payload_type: str, chat_id: str, message_id: int | None, name: str = "messageId") -> dict[str, Any]:
    """The payload of ``delete``, ``dlvrd`` and ``read``: a chat and a message of it (None: all)."""
    payload: dict[str, Any] = {"chatId": checked_text(payload_type, "chat_id", chat_id)}
    if message_id is not None:
        payload[name] = checked_id(payload_type, "message_id", message_id)
    return payload


def page_payload(chat_id: str, start_id: int | None, end_id: int | None, count: int | None) -> dict[str, Any]:
    """The payload of ``messages``: "startId? or endId? (never both)"."""
    payload: dict[str, Any] = {"chatId": checked_text("messages", "chat_id", chat_id)}
    if start_id is not None and end_id is not None:
        raise InvalidCall("messages", "start_id and end_id", "exclude each other")
    if start_id is not None:
        payload["startId"] = checked_id("messages", "start_id", start_id)
    if end_id is not None:
        payload["endId"] = checked_id("messages", "end_id", end_id)
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_MESSAGES:
            raise InvalidCall("messages", "count", f"must be 1 to {MOST_MESSAGES}")
        payload["count"] = count
    return payload


def _attached(payload_type: str, attachments: Sequence[Attachment]) -> dict[str, Any]:
    if not isinstance(attachments, (list, tuple)) or not all(isinstance(each, Attachment) for each in attachments):
        raise InvalidCall(payload_type, "attachments", "must be a list of Attachment")
    return {"attachments": dump(list(attachments))} if attachments else {}
