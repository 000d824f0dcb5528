"""Each event is handed over once a run and none is missed, whatever becomes of frames, acknowledgements, processes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from rxsdk import CacheError, DeliveryPolicy
from rxsdk.cache.seen import SeenFile
from rxsdk.chat import ChatService, Event, New, Shown
from rxsdk.chat_life import ChatLife
from rxsdk.emulator.chat import ChatEmulator
from tests.chat.conftest import FAST, Join
from tests.chat.disorder import disordered
from tests.conftest import wait_until


def texts(chat: ChatService) -> list[str]:
    """The messages that are handed over from now on."""
    heard: list[str] = []
    chat.events_of(New).subscribe(lambda event: heard.append(event.payload.message or ""))
    return heard


def send(server: ChatEmulator, join: Join, *messages: str) -> ChatService:
    bob = join("bob")
    for message in messages:
        bob.send("ada", message).result(10)
    return bob


# -- when an event counts as handed over


def test_it_is_acknowledged_after_delivery(server: ChatEmulator, join: Join) -> None:
    ada = join("ada", loop="own")
    at_hand: list[int] = []
    ada.events_of(New).subscribe(lambda event: at_hand.append(server.waiting("ada")))
    send(server, join, "one")
    wait_until(lambda: server.waiting("ada") == 0)
    assert at_hand == [1], "while it was handed over, the server still had it"


def test_it_is_acknowledged_on_receive_when_that_is_wanted(server: ChatEmulator, join: Join) -> None:
    ada = join("ada", loop="own")
    at_hand: list[Any] = []

    def look(event: Event[New]) -> None:
        wait_until(lambda: server.waiting("ada") == 0)
        at_hand.append(event.payload.message)

    looking = ada.events_of(New, ack="on_receive").subscribe(look)
    send(server, join, "one")
    wait_until(lambda: at_hand == ["one"])
    looking.dispose()
    send(server, join, "two")
    ada.chats().result(10)
    assert server.waiting("ada") == 1, "nobody listens any more"
    ada.events_of(ack="on_receive").subscribe(lambda event: at_hand.append(event.payload.message))
    wait_until(lambda: server.waiting("ada") == 0 and at_hand == ["one", "two"])


def test_who_wants_it_on_receive_does_not_speak_for_who_wants_it_after_delivery(
    server: ChatEmulator, join: Join
) -> None:
    ada = join("ada", loop="own")
    at_hand: list[int] = []
    told: list[Any] = []
    ada.events_of(ack="on_receive").subscribe(told.append)
    ada.events.subscribe(lambda event: event.id and at_hand.append(server.waiting("ada")))
    send(server, join, "one")
    wait_until(lambda: server.waiting("ada") == 0)
    assert at_hand == [1]
    assert [each.payload.message for each in told if each.id] == ["one"]


def test_it_waits_for_a_conversation_and_for_events_alike(server: ChatEmulator, join: Join) -> None:
    ada = join("ada", loop="own")
    at_hand: list[int] = []
    ada.events.subscribe(lambda event: None)
    ada.conversation("bob").subscribe(lambda messages: messages and at_hand.append(server.waiting("ada")))
    ada.chats().result(10)
    send(server, join, "one")
    wait_until(lambda: server.waiting("ada") == 0 and at_hand)
    assert at_hand == [1]


def test_what_comes_before_anybody_listens_waits_for_the_first(server: ChatEmulator, join: Join) -> None:
    send(server, join, "one", "two")
    ada = join("ada")
    server.push('{"event":"odd"}')
    ada.chat("bob").result(10)
    assert server.waiting("ada") == 2
    heard = texts(ada)
    wait_until(lambda: heard == ["one", "two"] and server.waiting("ada") == 0)
    assert texts(ada) == []


def test_who_leaves_before_it_is_handed_over_has_not_taken_it(server: ChatEmulator, join: Join) -> None:
    ada = join("ada", loop="own")
    heard: list[Any] = []

    def leave(event: Event[Any]) -> None:
        heard.append(event)
        first.dispose()
        bob.send("ada", "two")
        server.wait_until(lambda e: e.executed["new"] == 2)

    first = ada.events_of(New).subscribe(leave)
    bob = join("bob")
    bob.send("ada", "one").result(10)
    wait_until(lambda: len(heard) == 1)
    second = texts(ada)
    wait_until(lambda: second == ["two"] and server.waiting("ada") == 0)


def test_a_conversation_takes_what_belongs_to_it(server: ChatEmulator, join: Join) -> None:
    ada = join("ada")
    ada.conversation("bob").subscribe(lambda messages: None)
    bob = send(server, join, "one")
    wait_until(lambda: server.waiting("ada") == 0)
    bob.send("team", "to all").result(10)
    ada.chat("bob").result(10)
    assert server.waiting("ada") == 1, "nobody took that of the other chat"
    ada.conversation("team").subscribe(lambda messages: None)
    wait_until(lambda: server.waiting("ada") == 0)


def test_a_subscriber_that_raises_has_had_it(server: ChatEmulator, join: Join, unhandled: list[BaseException]) -> None:
    ada = join("ada")
    ada.events_of(New).subscribe(lambda event: event.payload.nonsense)
    send(server, join, "one")
    wait_until(lambda: server.waiting("ada") == 0)
    assert isinstance(unhandled[0], AttributeError)


# -- lost, doubled, reordered


def test_lost_acknowledgements_are_made_up_for(server: ChatEmulator, join: Join) -> None:
    ada = join("ada")
    heard = texts(ada)
    server.silence("ack")
    send(server, join, "one", "two")
    wait_until(lambda: heard == ["one", "two"])
    server.wait_until(lambda e: sum(one.payload.get("type") == "ack" for one in e.received) == 2)
    assert server.waiting("ada") == 2
    server.clear_script()
    server.drop_connections()
    wait_until(lambda: server.waiting("ada") == 0)
    assert heard == ["one", "two"]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_order_and_however_often_the_conversation_is_the_same_on_both_sides(
    server: ChatEmulator, join: Join, seed: int
) -> None:
    chance = random.Random(seed)
    bob = join("bob")
    shown: dict[str, tuple[Shown, ...]] = {}
    handed: list[int | None] = []
    config = server.config("ada", reconnect=FAST)
    calm = threading.Event()
    with ChatService(config, connect=disordered(config, chance, calm)) as ada:
        ada.events.subscribe(lambda event: handed.append(event.id))
        ada.conversation("bob").subscribe(lambda messages: shown.update(ada=messages))
        bob.conversation("ada").subscribe(lambda messages: shown.update(bob=messages))
        bob.events.subscribe(lambda event: None)
        for number in range(1, 13):
            message_id = bob.send("ada", f"bob's {number}").result(10).message_id
            if number % 3 == 0:
                bob.edit("ada", message_id, f"bob's {number}, edited").result(10)
            if number % 4 == 0:
                bob.delete("ada", message_id).result(10)
            ada.send("bob", f"ada's {number}").result(10)
            bob.mark_read("ada").result(10)
        calm.set()  # else the very last event may wait for one after it
        server.drop_connections()
        wait_until(lambda: server.waiting("ada") == server.waiting("bob") == 0)
        ada.mark_read("bob").result(10)
        wait_until(lambda: len(shown) == 2 and plain(shown["ada"]) == plain(shown["bob"]))
    ids = [each for each in handed if each is not None]
    assert len(ids) == len(set(ids)), "handed over once"
    assert len(plain(shown["ada"])) == 24


def plain(messages: tuple[Shown, ...]) -> list[Any]:
    return [(each.message_id, each.sender, each.message, each.status, each.edited) for each in messages]


# -- killed

KILLED = """
import os, sys
from rxsdk.chat import ChatConfig, ChatService, New
url, token, seen = sys.argv[1:]
chat = ChatService(ChatConfig(url, {"Authorization": token}, "ada", seen_file=seen or None))
def take(event):
    print(event.payload.message, flush=True)
    if event.payload.message == "two":
        os._exit(9)
chat.events_of(New).subscribe(take)
chat.init()
sys.stdin.read()
"""


@pytest.mark.parametrize("kept", [False, True])
def test_killed_between_delivery_and_acknowledgement(
    server: ChatEmulator, join: Join, tmp_path: Path, kept: bool
) -> None:
    """What was not acknowledged comes again in the next run: at least once without the file, and with it too, since
    the process died before it could be written."""
    send(server, join, "one", "two", "three")
    seen = tmp_path / "seen"
    arguments = [server.url, f"Bearer {server.token('ada')}", str(seen) if kept else ""]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.read() == "one\ntwo\n"
    assert child.returncode == 9
    assert server.waiting("ada") >= 2
    heard = texts(join("ada", seen_file=seen if kept else None))
    wait_until(lambda: server.waiting("ada") == 0)
    assert heard[-2:] == ["two", "three"]
    assert len(heard) == len(set(heard))


KILLED_BEFORE_ACK = """
import os, signal, sys
from rxsdk.chat import ChatConfig, ChatService, New
from rxsdk.protocols.chat.machine import ChatMachine
url, token, seen = sys.argv[1:]
ChatMachine.acknowledge = lambda machine, ids: os.kill(os.getpid(), signal.SIGKILL)
chat = ChatService(ChatConfig(url, {"Authorization": token}, "ada", seen_file=seen))
chat.events_of(New).subscribe(lambda event: print(event.payload.message, flush=True))
chat.init()
sys.stdin.read()
"""


def test_killed_between_the_file_and_the_acknowledgement(server: ChatEmulator, join: Join, tmp_path: Path) -> None:
    """The server gives it again; the file knows it, so it is acknowledged and handed to nobody."""
    send(server, join, "one")
    seen = tmp_path / "seen"
    arguments = [server.url, f"Bearer {server.token('ada')}", str(seen)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_BEFORE_ACK, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.read() == "one\n"
    assert child.returncode == -signal.SIGKILL
    assert server.waiting("ada") == 1
    heard = texts(join("ada", seen_file=seen))
    wait_until(lambda: server.waiting("ada") == 0)
    send(server, join, "two")
    wait_until(lambda: heard == ["two"])


def test_a_full_disk_harms_no_delivery(
    server: ChatEmulator, join: Join, tmp_path: Path, unhandled: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, what was there stays, and once there is room again everything is remembered."""
    seen = tmp_path / "seen"
    ada = join("ada", seen_file=seen)
    heard = texts(ada)
    bob = send(server, join, "one")
    wait_until(lambda: server.waiting("ada") == 0)
    before = seen.read_text()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        bob.send("ada", "two").result(10)
        wait_until(lambda: heard == ["one", "two"] and server.waiting("ada") == 0 and unhandled)
        assert seen.read_text() == before
        assert [path.name for path in tmp_path.iterdir() if path.name != "seen"] in ([], ["seen.lock"])
    assert "No space left on device" in str(unhandled[0])
    bob.send("ada", "three").result(10)
    wait_until(lambda: server.waiting("ada") == 0)
    assert len(json.loads(seen.read_text())) == 3


def test_two_services_of_one_user_are_both_handed_everything(server: ChatEmulator, join: Join) -> None:
    here, there = join("ada"), join("ada")
    heard = texts(here), texts(there)
    bob = send(server, join, "one", "two")
    wait_until(lambda: heard == (["one", "two"], ["one", "two"]) and server.waiting("ada") == 0)
    shown: dict[str, Any] = {}
    here.conversation("bob").subscribe(lambda messages: shown.update(here=plain(messages)))
    there.conversation("bob").subscribe(lambda messages: shown.update(there=plain(messages)))
    here.send("bob", "mine").result(10)
    bob.mark_read("ada").result(10)
    server.drop_connections()
    wait_until(lambda: len(shown["there"]) == 3 and shown["here"] == shown["there"])


def test_with_the_file_nothing_is_handed_over_again_by_the_next_run(
    server: ChatEmulator, join: Join, tmp_path: Path
) -> None:
    seen = tmp_path / "folder" / "seen"
    config = server.config("ada", reconnect=FAST, seen_file=seen)
    server.silence("ack")
    send(server, join, "one", "two")
    with ChatService(config) as first:
        heard = texts(first)
        wait_until(lambda: heard == ["one", "two"])
    assert stat.S_IMODE(os.stat(seen).st_mode) == 0o600
    assert len(json.loads(seen.read_text())) == 2
    server.clear_script()
    with ChatService(config) as second:
        again = texts(second)
        wait_until(lambda: server.waiting("ada") == 0)
        send(server, join, "three")
        wait_until(lambda: again == ["three"])


def test_with_the_file_nothing_is_forgotten_when_the_loop_ends_while_it_is_written(
    server: ChatEmulator, join: Join, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    config = server.config("ada", reconnect=FAST, seen_file=seen)
    entered, let_go = threading.Event(), threading.Event()
    save = ChatLife._save_now

    def save_slowly(life: ChatLife, *arguments: Any, **settings: Any) -> None:
        if not settings:
            entered.set()
            let_go.wait(10)
        save(life, *arguments, **settings)
        let_go.set()  # the last, of a loop that ends

    monkeypatch.setattr(ChatLife, "_save_now", save_slowly)
    send(server, join, "one")

    async def main() -> ChatService:
        ada = ChatService(config)
        ada.init()
        heard = texts(ada)
        await asyncio.to_thread(entered.wait, 10)
        await asyncio.to_thread(lambda: send(server, join, "two"))
        await asyncio.to_thread(wait_until, lambda: heard == ["one", "two"] and ada._inside._to_save)
        return ada

    assert asyncio.run(main()).state.name == "closed"
    assert len(json.loads(seen.read_text())) == 2


def test_without_the_file_the_next_run_is_handed_it_again(server: ChatEmulator, join: Join) -> None:
    config = server.config("ada", reconnect=FAST)
    server.silence("ack")
    send(server, join, "one")
    for _ in range(2):
        with ChatService(config) as run:
            heard = texts(run)
            wait_until(lambda heard=heard: heard == ["one"])


def test_a_file_that_cannot_be_written_harms_no_delivery(
    server: ChatEmulator, join: Join, tmp_path: Path, unhandled: list[BaseException]
) -> None:
    (tmp_path / "seen").mkdir()
    with pytest.raises(CacheError, match="is a directory"):
        join("ada", seen_file=tmp_path / "seen")
    ada = join("ada", seen_file=tmp_path / "later")
    (tmp_path / "later").mkdir()
    heard = texts(ada)
    send(server, join, "one")
    wait_until(lambda: heard == ["one"] and server.waiting("ada") == 0)
    wait_until(lambda: unhandled)
    assert isinstance(unhandled[0], CacheError)


@pytest.mark.parametrize("content", ["{", '{"a":1}', "[true]", '["1"]', ""])
def test_a_spoiled_file_is_set_aside(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "seen"
    path.write_text(content)
    file = SeenFile(path)
    assert file.load() == []
    assert (tmp_path / "seen.corrupt-1").read_text() == content
    file.save([1, 2**70])
    assert file.load() == [1, 2**70]
    assert SeenFile(tmp_path / "none" / "seen").load() == []
    assert "holds no ids of events" in caplog.text


def test_who_leaves_with_the_first_leaves_the_second_to_the_next(server: ChatEmulator, join: Join) -> None:
    """Both came at once, so the second was on its way to somebody who is not there any more."""
    send(server, join, "one", "two")
    ada = ChatService(server.config("ada", reconnect=FAST, loop="own"))
    heard: list[str | None] = []

    def take_one(event: Event[Any]) -> None:
        if isinstance(event.payload, New):  # else it tells that Bob is there
            heard.append(event.payload.message)
            subscription.dispose()

    subscription = ada.events.subscribe(take_one)
    with ada:
        ada.conversation("eve").subscribe(lambda messages: None).dispose()
        wait_until(lambda: server.waiting("ada") == 1)
        ada.chats().result(10)
        assert server.waiting("ada") == 1
        second = texts(ada)
        wait_until(lambda: server.waiting("ada") == 0)
    assert (heard, second) == (["one"], ["two"])


def test_of_too_many_that_nobody_takes_the_oldest_come_again(server: ChatEmulator, join: Join) -> None:
    send(server, join, "one", "two", "three")
    ada = join("ada", delivery=DeliveryPolicy(mailbox_size=2))
    ada.chats().result(10)
    heard = texts(ada)
    wait_until(lambda: heard == ["two", "three"] and server.waiting("ada") == 1)
    server.drop_connections()
    wait_until(lambda: heard == ["two", "three", "one"] and server.waiting("ada") == 0)
