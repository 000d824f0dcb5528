"""`ChatService`: the chat protocol for applications. Requests are calls, events are streams, a conversation is one too.

Floor 3: wires the chat's machine to the core and the reactive side. The facade: arguments are checked here and made
into requests; what becomes of them is the matter of `ChatLife`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, overload

from reactivex import operators as ops

from rxsdk.chat_config import ChatConfig
from rxsdk.chat_life import ACKS, Ack, ChatLife
from rxsdk.core.clock import Clock
from rxsdk.core.transport import Connect
from rxsdk.errors import InvalidCall
from rxsdk.protocols.chat.conversation import Shown
from rxsdk.protocols.chat.request import (
    Request,
    about_payload,
    checked_id,
    checked_text,
    edit_payload,
    new_payload,
    page_payload,
    reply_of,
)
from rxsdk.protocols.chat.types import (
    EVENT_PAYLOADS,
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
from rxsdk.reactive.call import Call
from rxsdk.reactive.streams import Stream
from rxsdk.service import Service

__all__ = [
    "Ack",
    "Attachment",
    "CallPayload",
    "CallStoredPayload",
    "Chat",
    "ChatConfig",
    "ChatList",
    "ChatListItem",
    "ChatService",
    "Deleted",
    "DeletionPayload",
    "Delivered",
    "EditPayload",
    "Edited",
    "Event",
    "FileMeta",
    "History",
    "ImageMeta",
    "Message",
    "New",
    "Offline",
    "Online",
    "Read",
    "ReadReceipt",
    "Receipt",
    "ReplyTo",
    "Shown",
    "Typing",
    "VideoMeta",
]

P = TypeVar("P")


class ChatService(Service[ChatConfig, Event[Any]]):
    """One user's connection to one chat server.

    As a context manager it connects, waits until it is let in, and leaves nothing running::

        with ChatService(config) as chat:  # or: async with
            chat.conversation("bob").subscribe(show)
            chat.send("bob", "Hello!").result()

    Any thread may use it. Observers are called on the event loop that ran when it was opened, else on one thread of
    the service's own. ``chat_id`` is a group's id, or in a dialog the other user's.

    Args:
        config: may also be given to `init`, which returns `events`.
        connect: opens transports in place of WebSockets (for tests; see `rxsdk.core.transport.memory_pair`).
        clock: the time in place of the loop's (for tests).
    """

    _inside: ChatLife

    def __init__(
        self, config: ChatConfig | None = None, *, connect: Connect | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(ChatLife, ChatConfig, config, connect, clock)

    def __repr__(self) -> str:
        url = self._config.url.partition("?")[0] if self._config else None
        return f"<ChatService {url} {self.state.name}>"

    # -- events

    @property
    def events(self) -> Stream[Event[Any]]:
        """Every event of the server: hot, without replay, each handed over once; acknowledged ``after_delivery``.

        See `events_of`; that this is a matter of the subscriber is said there.
        """
        return self._inside.messages

    @overload
    def events_of(self, kind: type[P], *, ack: Ack = ...) -> Stream[Event[P]]: ...

    @overload
    def events_of(self, kind: str | None = None, *, ack: Ack = ...) -> Stream[Event[Any]]: ...

    def events_of(self, kind: type[Any] | str | None = None, *, ack: Ack = "after_delivery") -> Stream[Event[Any]]:
        """The events of one kind, or all: hot, without replay, each handed over once.

        An event that comes while nobody listens to any, nor to the conversation it belongs to, waits for the first who
        does: not acknowledged, so neither a loss nor a restart makes it go missing. Whoever listens to one kind
        listens for all: events of kinds that nobody wants are acknowledged as well. So subscribe before `init` to what
        must not be missed, or do it first.

        Args:
            kind: the type of the payload (`New`, `Read` …), the name on the wire (``"newCall"``), or None for all.
            ack: when the server is told that an event arrived. ``"after_delivery"``: once it was handed to everybody
                who asked for that, whatever they make of it; should we be killed before, it comes again.
                ``"on_receive"``: for this subscriber nothing waits; alone, it is told at once.

        Raises:
            InvalidCall: there are no events of this kind, or no such ``ack``.
        """
        if ack not in ACKS:
            raise InvalidCall("events_of", "ack", f"must be one of {', '.join(ACKS)}")
        events: Stream[Event[Any]] = self._inside.messages if ack == "after_delivery" else self._inside.at_once
        if isinstance(kind, str) and kind:
            events = events.pipe(ops.filter(lambda event: event.event_type == kind))
        elif kind in EVENT_PAYLOADS.values():
            events = events.pipe(ops.filter(lambda event: type(event.payload) is kind))
        elif kind is not None:
            raise InvalidCall("events_of", "kind", "must be the type of a payload (New, Read …), or a name on the wire")
        return events

    @property
    def presence_stream(self) -> Stream[frozenset[str]]:
        """Who of the contacts is online, the latest first; nobody while not connected."""
        return self._inside.presence

    @property
    def typing_stream(self) -> Stream[frozenset[tuple[str, str]]]:
        """Who types, as ``(chat_id, user_id)``, the latest first; who says nothing more has stopped after 6 s."""
        return self._inside.typing

    # -- conversations

    def conversation(self, chat_id: str) -> Stream[tuple[Shown, ...]]:
        """The messages of a chat as they stand, in order, and again whenever that changes; the latest first.

        Loaded when somebody subscribes; `history` of the same chat adds what is older. What `send` sends is in it at
        once, pending. It completes at `close`; where the server has no such chat, it ends with the error.

        Its subscribers are handed the events of this chat, which then are acknowledged; those of other chats wait for
        their conversation, or for a subscriber of `events`.
        """
        checked_text("conversation", "chat_id", chat_id)
        return self._inside.live(chat_id, self._needed_config().user_id).stream

    def history(self, chat_id: str, count: int = 100) -> History:
        """The stored messages, page by page from the latest backwards; each page is loaded when it is asked for.

        Args:
            count: messages a page, 1 to 500.
        """
        page_payload(chat_id, None, None, count)
        return History(self, chat_id, count)

    # -- requests

    def send(
        self,
        chat_id: str,
        message: str,
        *,
        attachments: Sequence[Attachment] = (),
        reply_to: ReplyTo | Message | None = None,
        client_message_id: str | None = None,
    ) -> Call[Receipt]:
        """Send a message. (``new``)

        When the connection is lost under it, it is sent again with the same ``client_message_id``, by which the server
        knows it. So may you after a `CallTimeout` or `CallOutcomeUnknown`: give the id of the first try.

        Raises:
            InvalidCall: an argument cannot make a message.
        """
        client_id = secrets.token_urlsafe(12) if client_message_id is None else client_message_id
        inside = self._inside  # the service itself must not be held
        reply = reply_of(reply_to)
        payload = new_payload(chat_id, message, client_id, attachments, reply)

        def begun() -> None:
            wall = inside.life.clock.wall()
            inside.settle(chat_id, None, lambda it: it.sending(client_id, message, list(attachments), reply, wall))

        def settled(receipt: Any, error: Exception | None) -> None:
            inside.settle(
                chat_id,
                error,
                lambda it: it.sent(client_id, receipt) if error is None else it.failed(client_id, error),
            )

        return inside.send(self._request("new", payload), begun, settled)

    def edit(
        self, chat_id: str, message_id: int, message: str, *, attachments: Sequence[Attachment] = ()
    ) -> Call[Receipt]:
        """Change the text of a message of ours.

        Raises:
            InvalidCall: an argument cannot make an edit.
        """
        payload = edit_payload(chat_id, message_id, message, attachments)
        changed = partial(_edited, message_id, message, list(attachments) or None)
        return self._change("edit", chat_id, payload, changed)

    def delete(self, chat_id: str, message_id: int) -> Call[Receipt]:
        """Delete a message of ours."""
        checked_id("delete", "message_id", message_id)
        payload = about_payload("delete", chat_id, message_id, "originalMessageId")
        return self._change("delete", chat_id, payload, lambda conversation, _: conversation.deleted(message_id))

    def mark_delivered(self, chat_id: str, message_id: int | None = None) -> Call[Receipt]:
        """Tell that the messages of this chat up to this one (None: all) have arrived. (``dlvrd``)"""
        payload = about_payload("dlvrd", chat_id, message_id)
        return self._change("dlvrd", chat_id, payload, partial(_marked, "unread", message_id))

    def mark_read(self, chat_id: str, message_id: int | None = None) -> Call[ReadReceipt]:
        """Tell that the messages of this chat up to this one (None: all) have been read. (``read``)"""
        payload = about_payload("read", chat_id, message_id)
        return self._change("read", chat_id, payload, partial(_marked, "read", message_id))

    def messages(
        self, chat_id: str, *, start_id: int | None = None, end_id: int | None = None, count: int | None = None
    ) -> Call[list[Message]]:
        """Stored messages: from ``start_id`` upward, or those before ``end_id``, or the latest.

        Args:
            count: how many at most, 1 to 500; the server's own number (300) when None.

        Raises:
            InvalidCall: both ids were given, or ``count`` is out of range.
        """
        return self._inside.send(self._request("messages", page_payload(chat_id, start_id, end_id, count)))

    def chat(self, chat_id: str) -> Call[Chat]:
        """One chat."""
        return self._inside.send(self._request("chat", about_payload("chat", chat_id, None)))

    def chats(self) -> Call[list[ChatListItem]]:
        """The list of chats."""
        return self._inside.send(self._request("chats", None))

    def typing(self, chat_id: str, *, stop: bool = False) -> None:
        """Tell that we type, or stopped. Sent when there is a connection, else not at all; repeat it while it lasts."""
        payload: dict[str, Any] = {"chatId": checked_text("typing", "chat_id", chat_id)}
        self._inside.tell("typing", {**payload, "stop": True} if stop else payload)

    def offline(self) -> None:
        """Tell the contacts that we went away, while the connection stays; `close` does it by itself."""
        self._inside.tell("offline", {})

    # -- inside

    def _request(self, payload_type: str, payload: dict[str, Any] | None) -> Request:
        config = self._needed_config()
        return Request(payload_type, payload, timeout_s=config.timeout_s, queue_timeout_s=config.queue_timeout_s)

    def _change(self, payload_type: str, chat_id: str, payload: dict[str, Any], changed: Any) -> Call[Any]:
        """A request whose answer ``changed(conversation, receipt)`` brings into the conversation."""
        inside = self._inside

        def settled(receipt: Any, error: Exception | None) -> None:
            inside.settle(chat_id, error, lambda it: changed(it, receipt) if error is None else None)

        return inside.send(self._request(payload_type, payload), None, settled)

    def _page(self, chat_id: str, end_id: int | None, count: int) -> Call[list[Message]]:
        inside = self._inside

        def settled(page: Any, error: Exception | None) -> None:
            if error is None:
                inside.settle(chat_id, None, lambda it: it.loaded(page))

        return inside.send(self._request("messages", page_payload(chat_id, None, end_id, count)), None, settled)


def _edited(message_id: int, message: str, attachments: list[Attachment] | None, chat: Any, receipt: Receipt) -> None:
    chat.edited(message_id, receipt, message, attachments)


def _marked(status: str, message_id: int | None, chat: Any, receipt: Receipt) -> None:
    chat.marked(status, receipt.message_id if message_id is None else message_id)


class History:
    """The pages of one chat, from the latest backwards; each a list of messages, the oldest first.

    ``for page in history`` blocks for each, ``async for page in history`` awaits it; nothing is loaded ahead. A failed
    page raises its call's error, and may be asked for again.
    """

    def __init__(self, service: ChatService, chat_id: str, count: int) -> None:
        self._service = service
        self._chat_id = chat_id
        self._count = count
        self._end_id: int | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[list[Message]]:
        while not self._is_over:
            page = self._take(self._ask().result())
            if page:
                yield page

    async def __aiter__(self) -> AsyncIterator[list[Message]]:
        while not self._is_over:
            page = self._take(await self._ask())
            if page:
                yield page

    def _ask(self) -> Call[list[Message]]:
        return self._service._page(self._chat_id, self._end_id, self._count)

    def _take(self, page: list[Message]) -> list[Message]:
        older = [each for each in page if self._end_id is None or each.message_id < self._end_id]
        self._is_over = len(page) < self._count or not older
        if older:
            self._end_id = min(each.message_id for each in older)
        return sorted(older, key=lambda each: each.message_id)
