"""Requests and their answers, conversations, history, presence; what happens while the connection is away."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Any

import pytest

from rxsdk import CallCancelled, CallNotSent, CallTimeout, ConfigurationError, InvalidCall, ReplyMismatch, RxSdkError
from rxsdk.chat import Attachment, ChatConfig, ChatService, FileMeta, New, Shown
from rxsdk.emulator.chat import ChatEmulator
from tests.chat.conftest import FAST, Join
from tests.conftest import wait_until

FILE = Attachment(type="file", id="f", filename="a.pdf", url="/a", meta=FileMeta(extension="pdf", size=1))


def following(chat: ChatService, chat_id: str) -> list[tuple[Shown, ...]]:
    """Every state of a conversation from now on."""
    states: list[tuple[Shown, ...]] = []
    chat.conversation(chat_id).subscribe(states.append)
    return states


def said(messages: tuple[Shown, ...]) -> list[tuple[str | None, str]]:
    return [(each.message, each.status) for each in messages]


# -- requests


def test_every_request_has_its_typed_answer(join: Join) -> None:
    ada, bob = join("ada"), join("bob")
    first = ada.send("bob", "one").result(10)
    reply = ada.messages("bob").result(10)[0]
    second = ada.send("bob", "", attachments=[FILE], reply_to=reply).result(10)
    assert ada.edit("bob", first.message_id, "one, edited", attachments=[FILE]).result(10).message_id == 3
    assert bob.mark_delivered("ada").result(10).message_id == 3
    assert bob.mark_read("ada", 1).result(10).missed == 1
    stored = bob.messages("ada", start_id=1, count=2).result(10)
    assert [(each.message_id, each.message, each.status) for each in stored] == [
        (1, "one, edited", "read"),
        (2, "", "unread"),
    ]
    assert stored[1].attachments == [FILE]
    assert stored[1].reply_to is not None
    assert stored[1].reply_to.message == "one"
    assert [each.message_id for each in bob.messages("ada", end_id=2).result(10)] == [1]
    assert bob.chat("ada").result(10).first_missed == 2
    assert ada.delete("bob", second.message_id).result(10).message_id == 4
    dialog, group = bob.chats().result(10)
    assert (dialog.id, dialog.type, dialog.missed, dialog.is_mine) == ("ada", "dialog", 0, False)
    assert (group.id, group.type, group.last_message_id) == ("team", "group", None)


def test_in_a_group_every_member_counts(join: Join) -> None:
    ada, bob, eve = join("ada"), join("bob"), join("eve")
    states = following(ada, "team")
    ada.send("team", "all of you").result(10)
    bob.mark_delivered("team").result(10)
    eve.mark_read("team").result(10)
    wait_until(lambda: states and said(states[-1]) == [("all of you", "read")])
    members = {each.user_id: each.read is not None for each in ada.messages("team").result(10)[0].delivering or []}
    assert members == {"bob": False, "eve": True}
    assert eve.chat("team").result(10).type == "group"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda chat: chat.send("bob", ""), "message"),
        (lambda chat: chat.edit("bob", "1", "x"), "message_id"),
        (lambda chat: chat.delete("bob", None), "message_id"),
        (lambda chat: chat.mark_read(""), "chat_id"),
        (lambda chat: chat.messages("bob", start_id=1, end_id=2), "start_id and end_id"),
        (lambda chat: chat.history("bob", count=0), "count"),
        (lambda chat: chat.conversation(""), "chat_id"),
        (lambda chat: chat.typing(5), "chat_id"),
        (lambda chat: chat.typing("\ud800"), "chat_id"),
        (lambda chat: chat.conversation("\ud800"), "chat_id"),
        (lambda chat: chat.chat("\ud800"), "chat_id"),
        (lambda chat: chat.send("bob", "\ud800"), "message"),
        (lambda chat: chat.send("bob", "x", attachments=None), "attachments"),
        (lambda chat: chat.send("bob", "x", attachments=FILE), "attachments"),
        (lambda chat: chat.send("bob", "x", reply_to="5"), "reply_to"),
        (lambda chat: chat.edit("bob", 2**63, "x"), "message_id"),
        (lambda chat: chat.events_of(5), "kind"),
        (lambda chat: chat.events_of(""), "kind"),
        (lambda chat: chat.events_of(Shown), "kind"),
        (lambda chat: chat.events_of(New, ack="never"), "ack"),
    ],
)
def test_a_mistake_is_told_where_it_was_made(join: Join, make: Any, field: str) -> None:
    with pytest.raises(InvalidCall) as caught:
        make(ada := join("ada"))
    assert caught.value.field == field
    assert ada.chats().result(10), "and nothing else suffers"


def test_what_the_server_refuses_is_the_calls_error(join: Join, server: ChatEmulator) -> None:
    ada, bob = join("ada"), join("bob")
    theirs = bob.send("ada", "mine").result(10).message_id
    for refused in (ada.edit("bob", theirs, "x"), ada.chat("nobody"), ada.messages("nobody")):
        with pytest.raises(ReplyMismatch):
            refused.result(10)
    server.reply_to("chats", [{"id": 5}], times=1)
    with pytest.raises(ReplyMismatch, match=r"chats: the answer does not fit.*at `\$\.id`|Expected `str`"):
        ada.chats().result(10)


def test_what_is_not_followed_has_its_pages_and_errors_all_the_same(join: Join, server: ChatEmulator) -> None:
    ada = join("ada", timeout_s=0.2)
    ada.send("eve", "x").result(10)
    server.silence("messages", times=1)
    pages = iter(ada.history("eve"))
    with pytest.raises(CallTimeout):
        next(pages)
    assert [each.message for each in next(iter(ada.history("eve")))] == ["x"]


def test_a_request_can_be_taken_back(join: Join, server: ChatEmulator) -> None:
    ada = join("ada")
    server.silence("chats", times=1)
    call = ada.chats()
    server.wait_until(lambda e: e.received)
    call.cancel()
    with pytest.raises(CallCancelled):
        call.result(10)
    call.subscribe(None, lambda error: None).dispose()


def test_without_a_connection_nothing_is_sent() -> None:
    chat = ChatService(ChatConfig("ws://127.0.0.1:9/ws", None, "ada"))
    with pytest.raises(CallNotSent, match=r"init\(\) has not been called"):
        chat.chats().result(10)
    chat.typing("bob")
    chat.conversation("bob").subscribe(lambda messages: None)
    chat.events.subscribe(lambda event: None)
    assert repr(chat) == "<ChatService ws://127.0.0.1:9/ws idle>"
    with pytest.raises(ConfigurationError, match="config: is missing"):
        ChatService().init()
    assert repr(ChatService()) == "<ChatService None idle>"


def test_a_call_that_finds_no_server_says_why() -> None:
    config = ChatConfig("ws://127.0.0.1:9/ws", None, "ada", queue_timeout_s=0.3, reconnect=FAST)
    chat = ChatService(config)
    chat.init()
    with pytest.raises(CallNotSent, match="cannot connect"):
        chat.chats().result(10)
    chat.close().result(10)


def test_a_dropped_frame_is_logged(join: Join, server: ChatEmulator, caplog: pytest.LogCaptureFixture) -> None:
    ada = join("ada")
    server.push("{odd")
    ada.chats().result(10)
    assert "dropped: a frame of 4 bytes is not a JSON object" in caplog.text


# -- sending through a loss


def test_what_was_lost_on_its_way_is_sent_again_under_the_same_id(join: Join, server: ChatEmulator) -> None:
    """The server stored it, the answer was lost: it knows the message by its id, and answers the same."""
    ada, bob = join("ada"), join("bob")
    heard: list[Any] = []
    bob.events_of(New).subscribe(heard.append)
    server.silence("new", times=1, execute=True)
    call = ada.send("bob", "once")
    server.wait_until(lambda e: e.executed["new"] == 1)
    server.drop_connections()
    assert call.result(10).message_id == 1
    assert server.executed["new"] == 2
    assert [each.message for each in ada.messages("bob").result(10)] == ["once"]
    wait_until(lambda: len(heard) == 1)


def test_what_failed_may_be_sent_again_by_hand(join: Join, server: ChatEmulator) -> None:
    ada = join("ada", timeout_s=0.2)
    states = following(ada, "bob")
    server.silence("new", times=1)
    with pytest.raises(CallTimeout):
        ada.send("bob", "once", client_message_id="c1").result(10)
    wait_until(lambda: states and said(states[-1]) == [("once", "failed")])
    assert isinstance(states[-1][0].error, CallTimeout)
    assert ada.send("bob", "once", client_message_id="c1").result(10).message_id == 1
    wait_until(lambda: said(states[-1]) == [("once", "undelivered")])
    assert [each[0][1] for state in states if (each := said(state))] == ["pending", "failed", "pending", "undelivered"]


def test_what_was_not_answered_is_looked_up(join: Join, server: ChatEmulator) -> None:
    """The server has stored it, or done it, and only its answer is missing."""
    ada, bob = join("ada", timeout_s=0.2), join("bob")
    states = following(ada, "bob")
    server.silence("new", times=1, execute=True)
    with pytest.raises(CallTimeout):
        ada.send("bob", "once", client_message_id="c1").result(10)
    wait_until(lambda: states and said(states[-1]) == [("once", "undelivered")])
    assert ada.send("bob", "once", client_message_id="c1").result(10).message_id == 1, "no harm is done"
    bob.send("ada", "theirs").result(10)
    for kind, call in (("read", ada.mark_read), ("delete", lambda chat_id: ada.delete(chat_id, 1))):
        server.silence(kind, times=1, execute=True)
        with pytest.raises(CallTimeout):
            call("bob").result(10)
    wait_until(lambda: said(states[-1]) == [(None, "deleted"), ("theirs", "read")])


def test_sending_while_away_waits_and_shows_pending(join: Join, server: ChatEmulator) -> None:
    ada = join("ada")
    states = following(ada, "bob")
    ada.suspend()
    call = ada.send("bob", "later")
    wait_until(lambda: states and said(states[-1]) == [("later", "pending")])
    ada.resume()
    call.result(10)
    wait_until(lambda: said(states[-1]) == [("later", "undelivered")])


# -- conversations and history


def test_a_conversation_is_the_same_on_both_sides(join: Join) -> None:
    ada, bob = join("ada"), join("bob")
    at_ada, at_bob = following(ada, "bob"), following(bob, "ada")
    first = ada.send("bob", "one").result(10).message_id
    bob.send("ada", "two").result(10)
    ada.edit("bob", first, "one, edited").result(10)
    bob.mark_read("ada").result(10)
    ada.mark_read("bob").result(10)
    last = ada.send("bob", "three").result(10).message_id
    ada.delete("bob", last).result(10)
    expected = [("one, edited", "read"), ("two", "read"), (None, "deleted")]
    wait_until(lambda: at_ada and at_bob and said(at_ada[-1]) == said(at_bob[-1]) == expected)
    late = following(ada, "bob")
    wait_until(lambda: late and said(late[-1]) == expected)
    assert at_ada[-1][0].is_mine
    assert not at_bob[-1][0].is_mine


def test_a_conversation_that_could_not_be_loaded_is_asked_for_again(join: Join, server: ChatEmulator) -> None:
    ada = join("ada", timeout_s=0.2)
    ada.send("bob", "before").result(10)
    server.silence("messages", times=1)
    states = following(ada, "bob")
    ada.conversation("eve")  # that nobody listens to is not loaded
    server.wait_until(lambda e: any(one.payload.get("payloadType") == "messages" for one in e.received))
    server.silence("chats", times=1)
    with pytest.raises(CallTimeout):
        ada.chats().result(10)
    wait_until(lambda: states and said(states[-1]) == [("before", "undelivered")])


def test_a_conversation_that_nobody_awaits_any_more_is_not_asked_for_again(join: Join, server: ChatEmulator) -> None:
    ada = join("ada", timeout_s=0.2)
    server.silence("messages", times=1)
    ada.conversation("bob").subscribe(lambda messages: None).dispose()
    server.silence("chats", times=1)
    with pytest.raises(CallTimeout):
        ada.chats().result(10)
    assert sum(one.payload.get("payloadType") == "messages" for one in server.received) == 1
    assert following(ada, "bob") == []
    server.wait_until(lambda e: sum(one.payload.get("payloadType") == "messages" for one in e.received) == 2)


def test_a_conversation_that_the_server_does_not_have_says_so(join: Join) -> None:
    ada = join("ada")
    for _ in range(2):
        with pytest.raises(ReplyMismatch):
            ada.conversation("nobody").result(10)


def test_history_is_loaded_page_by_page(join: Join, server: ChatEmulator) -> None:
    ada = join("ada")
    for number in range(7):
        ada.send("bob", str(number)).result(10)
    states = following(ada, "bob")
    pages = iter(ada.history("bob", count=3))
    server.clear_records()
    assert [each.message for each in next(pages)] == ["4", "5", "6"]
    assert sum(one.payload.get("payloadType") == "messages" for one in server.received) <= 2, "nothing is loaded ahead"
    assert [[each.message for each in page] for page in pages] == [["1", "2", "3"], ["0"]]
    assert list(join("eve").history("bob")) == []
    wait_until(lambda: states and len(states[-1]) == 7)

    async def main() -> list[list[str | None]]:
        async with ChatService(server.config("bob")) as bob:
            return [[each.message for each in page] async for page in bob.history("ada", count=7)]

    assert asyncio.run(main()) == [["0", "1", "2", "3", "4", "5", "6"]]


# -- presence and typing


def test_who_is_there_and_who_types(join: Join, server: ChatEmulator) -> None:
    ada = join("ada")
    online: list[frozenset[str]] = []
    typing: list[Any] = []
    ada.presence_stream.subscribe(online.append)
    ada.typing_stream.subscribe(typing.append)
    with ChatService(server.config("bob")) as bob:
        wait_until(lambda: online[-1] == {"bob"})
        bob.typing("ada")
        wait_until(lambda: typing[-1] == {("bob", "bob")})
        bob.typing("ada", stop=True)
        wait_until(lambda: typing[-1] == frozenset())
        bob.typing("team")
        wait_until(lambda: typing[-1] == {("team", "bob")})
        bob.offline()
        wait_until(lambda: online[-1] == frozenset() == typing[-1])
    online.clear()
    other = join("eve")
    wait_until(lambda: online and online[-1] == {"eve"})
    assert other.inited


def test_pings_are_answered_and_measured(join: Join, server: ChatEmulator) -> None:
    trips: list[float] = []
    ada = join("ada", heartbeat_interval_s=0.02, heartbeat_timeout_s=5.0)
    ada.round_trip_stream.subscribe(trips.append)
    wait_until(lambda: len(trips) >= 2)


def test_without_a_pong_it_connects_again(join: Join, server: ChatEmulator) -> None:
    states: list[str] = []
    ada = join("ada", heartbeat_interval_s=0.05, heartbeat_timeout_s=0.1)
    ada.state_stream.subscribe(lambda state: states.append(state.name))
    server.silence("ping", times=1)
    wait_until(lambda: states[-2:] == ["connecting", "ready"] and "reconnecting" in states)


# -- the end


def test_streams_end_with_the_service_and_it_opens_again(server: ChatEmulator) -> None:
    chat = ChatService(server.config("ada"))
    ends: list[str] = []
    for _ in range(2):
        chat.init()
        streams = (chat.events, chat.events_of(New), chat.presence_stream, chat.typing_stream, chat.conversation("bob"))
        for stream in streams:
            stream.subscribe(lambda value: None, lambda error: ends.append("error"), lambda: ends.append("done"))
        chat.chats().result(10)
        chat.close().result(10)
    assert ends == ["done"] * 10
    assert [one.payload["eventType"] for one in server.received if one.payload["type"] == "event"] == ["offline"] * 2


def test_closed_in_every_state(server: ChatEmulator) -> None:
    """Nothing is left over, every call has an end, and it opens again."""

    def asked(chat: ChatService) -> list[Any]:
        chat.typing("bob")
        chat.offline()
        return [chat.send("bob", "x"), chat.chats(), chat.edit("bob", 1, "x")]

    chat = ChatService(server.config("ada", reconnect=FAST))
    chat.close().result(10)
    for closing_at in ("connecting", "ready", "suspended", "reconnecting", "closed"):
        chat.init()
        chat.events.subscribe(lambda event: None)
        chat.conversation("bob").subscribe(lambda messages: None)
        if closing_at != "connecting":
            wait_until(lambda: chat.inited)
        if closing_at == "suspended":
            chat.suspend()
        if closing_at == "reconnecting":
            server.drop_connections()
        if closing_at == "closed":
            chat.close()
        calls = asked(chat)
        chat.close().result(10)
        for each in calls:
            with contextlib.suppress(RxSdkError):
                each.result(10)
        assert chat.state.name == "closed"
        calls = asked(chat)
        with pytest.raises(CallNotSent):
            calls[0].result(10)


def test_a_forgotten_service_is_closed(server: ChatEmulator) -> None:
    chat = ChatService(server.config("ada"))
    chat.init()
    chat.conversation("bob").subscribe(lambda messages: None)
    chat.send("bob", "hi").result(10)
    holder = [chat]
    del chat
    with pytest.warns(ResourceWarning, match="an open ChatService was dropped"):
        holder.clear()
    gc.collect()
    server.wait_until(lambda e: e.connections == 0)


def test_telemetry_names_the_chat(server: ChatEmulator, join: Join) -> None:
    ada = join("ada", telemetry=True)
    server.drop_connections()
    ada.chats().result(10)
    assert ada.inited


# -- the config


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"url": "http://x"}, "url"),
        ({"url": 5}, "url"),
        ({"headers": {"a b": "c"}}, "headers"),
        ({"headers": {"a": "b\nc"}}, "headers"),
        ({"user_id": ""}, "user_id"),
        ({"seen_file": 5}, "seen_file"),
        ({"seen_window": 0}, "seen_window"),
        ({"heartbeat_interval_s": 21}, "heartbeat_interval_s"),
        ({"reconnect": 5}, "reconnect"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any], field: str) -> None:
    fields: dict[str, Any] = {"url": "ws://127.0.0.1/ws", "headers": {"Authorization": "x"}, "user_id": "ada"}
    with pytest.raises(ConfigurationError) as caught:
        ChatConfig(**{**fields, **settings})
    assert caught.value.field == field


def test_the_config_keeps_its_secrets_and_explains_itself(tmp_path: Path) -> None:
    config = ChatConfig("wss://h/ws?key=geheim", {"Authorization": "Bearer geheim"}, "ada", seen_file=tmp_path / "x")
    assert "geheim" not in f"{config!r} {config} {ChatService(config)!r}"
    assert (config.heartbeat_interval_s, config.heartbeat_timeout_s) == (15.0, 5.0)
    for name in ("user_id", "seen_file", "timeout_s", "reconnect"):
        assert f"{name}:" in (ChatConfig.__doc__ or "")
