"""Typed use of the chat, held by ``mypy --strict`` (it is never run)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

if TYPE_CHECKING:
    from rxsdk import Call, ChatConfig, ChatService, Stream
    from rxsdk.chat import Chat, ChatListItem, Event, Message, New, ReadReceipt, Receipt, Shown

    def use(config: ChatConfig) -> None:
        with ChatService(config) as chat:
            assert_type(chat, ChatService)
            assert_type(chat.init(), Stream[Event[Any]])
            assert_type(chat.events, Stream[Event[Any]])
            assert_type(chat.events_of(New), Stream[Event[New]])
            assert_type(chat.events_of("newCall"), Stream[Event[Any]])
            assert_type(chat.conversation("bob"), Stream[tuple[Shown, ...]])
            assert_type(chat.presence_stream, Stream[frozenset[str]])
            assert_type(chat.typing_stream, Stream[frozenset[tuple[str, str]]])
            assert_type(chat.send("bob", "hi"), Call[Receipt])
            assert_type(chat.send("bob", "hi").result().client_message_id, str | None)
            assert_type(chat.mark_read("bob"), Call[ReadReceipt])
            assert_type(chat.messages("bob").result(), list[Message])
            assert_type(chat.chat("bob").result(), Chat)
            assert_type(chat.chats().result(), list[ChatListItem])
            assert_type(list(chat.history("bob")), list[list[Message]])

    async def use_async(config: ChatConfig) -> None:
        async with ChatService(config) as chat:
            assert_type(await chat.send("bob", "hi"), Receipt)
            async for event in chat.events_of(New):
                assert_type(event.payload, New)
            async for page in chat.history("bob"):
                assert_type(page, list[Message])
