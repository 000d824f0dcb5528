"""`Conversation`: the messages of one chat as they stand, out of what was loaded, sent, answered and told.

Floor 0; kept by `rxsdk.chat_life`. Whatever order things arrive in, and however often, the outcome is the same: a
message is known by its id and by its clientMessageId, an edit counts when it is newer than the one before, a deletion
counts for good, and a status never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rxsdk.protocols.chat.types import (
    Attachment,
    Deleted,
    DeletionPayload,
    Delivered,
    Delivering,
    Edited,
    EditPayload,
    Event,
    Message,
    New,
    Read,
    Receipt,
    ReplyTo,
)

__all__ = ["Conversation", "Shown"]

_RANK = {"failed": 0, "pending": 0, "undelivered": 1, "unread": 2, "read": 3, "deleted": 4}
_MAKES_ANOTHER = ("edit", "delete")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it stands. Times are ms since 1970.

    ``status``: of what we send first ``pending``, then ``failed`` (``error`` says why) or the server's:
    ``undelivered``, ``unread``, ``read``; of everything ``deleted``, which has no text any more. In a group a message
    counts as delivered and read with the first member; ``delivering`` tells each.
    """

    client_message_id: str
    sender: str
    is_mine: bool
    status: str
    message_id: int | None = None
    message: str | None = None
    attachments: list[Attachment] | None = None
    reply_to: ReplyTo | None = None
    type: str = "new"
    payload: Any = None
    created_at: int | None = None
    edited: bool = False
    delivering: list[Delivering] | None = None
    error: Exception | None = None


class _Entry:
    """One message; ``edit_id`` is that of the last edit applied, 0 for none."""

    def __init__(self, shown: Shown, order: int) -> None:
        self.shown = shown
        self.order = order
        self.edit_id = 0

    def change(self, **fields: Any) -> None:
        self.shown = msgspec.structs.replace(self.shown, **fields)

    def confirm(self, shown: Shown) -> None:
        """The server's word on it; older than the edits we know, it has nothing to say of the text."""
        self.change(
            message_id=shown.message_id,
            created_at=shown.created_at,
            error=None,
            delivering=_furthest(self.shown.delivering, shown.delivering),
        )
        if not self.edit_id and self.shown.status != "deleted" and shown.edited >= self.shown.edited:
            self.change(
                message=shown.message,
                attachments=shown.attachments,
                reply_to=shown.reply_to or self.shown.reply_to,
                edited=shown.edited,
            )

    def advance(self, status: str) -> None:
        if _RANK.get(status, 1) > _RANK.get(self.shown.status, 1):
            self.change(status=status)

    def edit(self, edit_id: int, message: str | None, attachments: list[Attachment] | None) -> None:
        if edit_id > self.edit_id and self.shown.status != "deleted":
            self.edit_id = edit_id
            self.change(message=message, attachments=attachments or self.shown.attachments, edited=True)

    def delete(self) -> None:
        self.change(status="deleted", message=None, attachments=None, edited=False)


class Conversation:
    """The messages of ``chat_id``, as ``user_id`` sees them."""

    def __init__(self, chat_id: str, user_id: str) -> None:
        self.chat_id = chat_id
        self._user_id = user_id
        self._by_id: dict[int, _Entry] = {}
        self._by_client_id: dict[str, _Entry] = {}
        self._edits: dict[int, Edited] = {}  # of messages not known yet
        self._deleted: set[int] = set()
        self._marks: dict[str, dict[str, int]] = {"mine": {}, "theirs": {}}  # by status: all up to this id
        self._reached: dict[tuple[str, str], Delivered] = {}  # by member and status: our messages up to there
        self._made = 0

    def messages(self) -> tuple[Shown, ...]:
        """All of them in order, what is not confirmed yet last."""
        entries = {id(entry): entry for entry in [*self._by_id.values(), *self._by_client_id.values()]}
        return tuple(entry.shown for entry in sorted(entries.values(), key=_place))

    @property
    def oldest_id(self) -> int | None:
        """The lowest id there is."""
        return min(self._by_id, default=None)

    # -- what we do

    def sending(
        self,
        client_message_id: str,
        message: str,
        attachments: list[Attachment] | None,
        reply_to: ReplyTo | None,
        wall: float,
    ) -> None:
        """A message of ours is on its way; again, if it failed before."""
        entry = self._by_client_id.get(client_message_id)
        if entry is not None:
            if entry.shown.message_id is None:
                entry.change(
                    status="pending", error=None, message=message, attachments=attachments or None, reply_to=reply_to
                )
            return
        shown = Shown(
            client_message_id=client_message_id,
            sender=self._user_id,
            is_mine=True,
            status="pending",
            message=message,
            attachments=attachments or None,
            reply_to=reply_to,
            created_at=round(wall * 1000),
        )
        self._by_client_id[client_message_id] = self._entry(shown)

    def sent(self, client_message_id: str, receipt: Receipt) -> None:
        """The server has it."""
        entry = self._by_client_id.get(client_message_id)
        if entry is None or entry.shown.message_id is not None:
            return
        if receipt.message_id in self._by_id:  # it came as an event, without the id it was sent with
            del self._by_client_id[client_message_id]
            return
        entry.change(message_id=receipt.message_id, created_at=receipt.timestamp, status="undelivered", error=None)
        self._place_by_id(receipt.message_id, entry)

    def failed(self, client_message_id: str, error: Exception) -> None:
        """It was not sent, or nobody knows."""
        entry = self._by_client_id.get(client_message_id)
        if entry is not None and entry.shown.message_id is None:
            entry.change(status="failed", error=error)

    def edited(self, message_id: int, receipt: Receipt, message: str, attachments: list[Attachment] | None) -> None:
        """An edit of ours was answered."""
        self._edit(_edit_of(self.chat_id, receipt.message_id, message_id, message, attachments))

    def deleted(self, message_id: int) -> None:
        """A deletion of ours was answered."""
        self._delete(message_id)

    def marked(self, status: str, message_id: int) -> None:
        """We told that their messages up to this one are ``unread``, which is delivered, or ``read``."""
        self._mark("theirs", status, message_id)

    # -- what the server tells

    def loaded(self, messages: Iterable[Message]) -> None:
        """A page of stored messages."""
        for message in messages:
            if message.type in _MAKES_ANOTHER and isinstance(message.payload, EditPayload):
                original = message.payload.original_message_id
                if isinstance(message.payload, DeletionPayload):
                    self._delete(original)
                else:
                    text, attachments = message.message, message.attachments
                    self._edit(_edit_of(self.chat_id, message.message_id, original, text, attachments))
            else:
                self._store(_shown(message, self._user_id))

    def apply(self, event: Event[Any]) -> bool:
        """Take an event in, if it is one of this chat; returns whether it is."""
        payload = event.payload
        if getattr(payload, "chat_id", None) != self.chat_id:
            return False
        match payload:
            case New():
                self._store(self._shown_new(payload, event.timestamp))
            case Edited():
                self._edit(payload)
            case Deleted():
                self._delete(payload.original_message_id)
            case Read():
                self._mark_mine("read", payload)
            case Delivered():
                self._mark_mine("unread", payload)
            case _:
                return False
        return True

    def _shown_new(self, new: New, timestamp: int | None) -> Shown:
        sender = new.sender or self.chat_id
        return Shown(
            client_message_id=new.client_message_id,
            sender=sender,
            is_mine=sender == self._user_id,
            status=new.status,
            message_id=new.message_id,
            message=new.message,
            attachments=new.attachments,
            reply_to=new.reply_to,
            created_at=new.timestamp or timestamp,
        )

    # -- inside

    def _entry(self, shown: Shown) -> _Entry:
        self._made += 1
        return _Entry(shown, self._made)

    def _store(self, shown: Shown) -> None:
        """A message of the server; the one we sent is the same, by its clientMessageId."""
        message_id = shown.message_id or 0
        entry = self._by_id.get(message_id)
        if entry is None and shown.is_mine:
            entry = self._by_client_id.get(shown.client_message_id)
        if entry is None:
            entry = self._entry(shown)
            if shown.is_mine:
                self._by_client_id[shown.client_message_id] = entry
        else:
            entry.confirm(shown)
            if shown.status == "deleted":
                entry.delete()
            entry.advance(shown.status)
        self._place_by_id(message_id, entry)

    def _place_by_id(self, message_id: int, entry: _Entry) -> None:
        """It has its id now: what was told of it before counts."""
        self._by_id[message_id] = entry
        for status, up_to in self._marks["mine" if entry.shown.is_mine else "theirs"].items():
            if message_id <= up_to:
                entry.advance(status)
        for (user_id, status), mark in self._reached.items():
            _reach(entry, user_id, status, mark)
        edit = self._edits.pop(message_id, None)
        if edit is not None:
            self._edit(edit)
        if message_id in self._deleted:
            entry.delete()

    def _edit(self, edit: Edited) -> None:
        entry = self._by_id.get(edit.original_message_id)
        if entry is not None:
            entry.edit(edit.message_id, edit.message, edit.attachments)
            return
        before = self._edits.get(edit.original_message_id)
        if before is None or before.message_id < edit.message_id:
            self._edits[edit.original_message_id] = edit

    def _delete(self, message_id: int) -> None:
        self._deleted.add(message_id)
        entry = self._by_id.get(message_id)
        if entry is not None:
            entry.delete()

    def _mark_mine(self, status: str, mark: Delivered) -> None:
        self._mark("mine", status, mark.message_id)
        user_id = mark.user_id
        if user_id is None or user_id == self.chat_id:
            return  # a dialog has no members to tell apart
        before = self._reached.get((user_id, status))
        if before is None or before.message_id < mark.message_id:
            self._reached[user_id, status] = mark
            for entry in self._by_id.values():
                _reach(entry, user_id, status, mark)

    def _mark(self, whose: str, status: str, up_to: int) -> None:
        marks = self._marks[whose]
        if up_to <= marks.get(status, 0):
            return
        marks[status] = up_to
        for message_id, entry in self._by_id.items():
            if message_id <= up_to and entry.shown.is_mine == (whose == "mine"):
                entry.advance(status)


def _place(entry: _Entry) -> tuple[bool, int, int]:
    message_id = entry.shown.message_id
    return (message_id is None, message_id or 0, entry.order)


def _reach(entry: _Entry, user_id: str, status: str, mark: Delivered) -> None:
    if entry.shown.is_mine and (entry.shown.message_id or 0) <= mark.message_id:
        it = Delivering(user_id=user_id, dlvrd=mark.timestamp, read=mark.timestamp if status == "read" else None)
        entry.change(delivering=_furthest(entry.shown.delivering, [it]))


def _furthest(one: list[Delivering] | None, other: list[Delivering] | None) -> list[Delivering] | None:
    """What either knows of each member; what is known already stays."""
    known = {each.user_id: each for each in one or []}
    for each in other or []:
        before = known.get(each.user_id, each)
        dlvrd = each.dlvrd if before.dlvrd is None else before.dlvrd
        read = each.read if before.read is None else before.read
        known[each.user_id] = msgspec.structs.replace(before, dlvrd=dlvrd, read=read)
    return list(known.values()) if known else one or other


def _edit_of(
    chat_id: str, message_id: int, original: int, message: str | None, attachments: list[Attachment] | None
) -> Edited:
    return Edited(
        chat_id=chat_id, message_id=message_id, original_message_id=original, message=message, attachments=attachments
    )


def _shown(message: Message, user_id: str) -> Shown:
    is_deleted = message.status == "deleted"
    return Shown(
        client_message_id=message.client_message_id,
        sender=message.sender,
        is_mine=message.sender == user_id,
        status=message.status,
        message_id=message.message_id,
        message=None if is_deleted else message.message,
        attachments=None if is_deleted else message.attachments,
        reply_to=message.reply_to,
        type=message.type,
        payload=message.payload,
        created_at=message.created_at,
        edited=message.updated_at is not None and not is_deleted,
        delivering=message.delivering,
    )
