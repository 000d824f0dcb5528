"""Two clients do what they like, the network loses what it likes: in the end both see what the server has."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rxsdk import RxSdkError
from rxsdk.chat import Attachment, ChatService, FileMeta, Message, Shown
from rxsdk.emulator.chat import ChatEmulator
from tests.chat.conftest import FAST
from tests.chat.disorder import disordered
from tests.conftest import wait_until

STEPS = 60


class Side:
    """One of the two, and what they see of it."""

    def __init__(
        self, server: ChatEmulator, name: str, chat_id: str, chance: random.Random, calm: threading.Event
    ) -> None:
        self._chance = chance
        self.chat_id = chat_id
        config = server.config(name, reconnect=FAST, timeout_s=1.0)
        self.chat = ChatService(config, connect=disordered(config, chance, calm))
        self.shown: tuple[Shown, ...] = ()
        self.handed: list[int] = []
        self.chat.conversation(chat_id).subscribe(self._show)
        self.chat.events.subscribe(lambda event: event.id is not None and self.handed.append(event.id))
        self.page: list[Message] = []
        self.pages: Iterator[list[Message]] = iter(())

    def _show(self, messages: tuple[Shown, ...]) -> None:
        self.shown = messages

    def _with(self, chance: random.Random) -> dict[str, Any]:
        meta = FileMeta(extension="pdf", size=1)
        attached = Attachment(type="file", id=str(chance.random()), filename="a.pdf", url="/a", meta=meta)
        more = {"attachments": [attached] if chance.random() < 0.3 else []}
        return more | ({"reply_to": chance.choice(self.page)} if self.page and chance.random() < 0.5 else {})

    def step(self) -> Any:
        """Something, or nothing where there is nothing to do it with; not waited for."""
        chat, chat_id, chance = self.chat, self.chat_id, self._chance
        ours = [each.message_id for each in self.shown if each.is_mine and each.type == "new" and each.message_id]
        every = [each.message_id for each in self.shown if each.message_id]
        what = chance.choice(["send", "send", "send", "edit", "delete", "read", "dlvrd", "read all", "page"])
        text = str(chance.random())
        if what == "send":
            return chat.send(chat_id, text, **self._with(chance))
        if what == "edit" and ours:
            return chat.edit(chat_id, chance.choice(ours), text)
        if what == "delete" and ours and chance.random() < 0.4:
            return chat.delete(chat_id, chance.choice(ours))
        if what in ("read", "dlvrd") and every:
            mark = chat.mark_read if what == "read" else chat.mark_delivered
            return mark(chat_id, chance.choice(every))
        if what == "page":
            with contextlib.suppress(RxSdkError):
                self.page = next(self.pages, [])
                if not self.page:
                    self.pages = iter(chat.history(chat_id, count=chance.randrange(1, 9)))
            return None
        return chat.mark_read(chat_id) if what == "read all" else None


def seen(messages: tuple[Shown, ...], others: list[str]) -> list[tuple[Any, ...]]:
    kept = [each for each in messages if each.type == "new" and each.status not in ("failed", "pending")]
    return [(*common(each), each.edited, _members(each.delivering, others)) for each in kept]


def stored(messages: list[Message], others: list[str]) -> list[tuple[Any, ...]]:
    return [
        (*common(each), each.updated_at is not None and each.status != "deleted", _members(each.delivering, others))
        for each in messages
        if each.type == "new"
    ]


def common(each: Any) -> tuple[Any, ...]:
    replied = each.reply_to and each.status != "deleted" and each.reply_to.message_id
    return (each.message_id, each.client_message_id, each.sender, each.message, each.status, replied, each.attachments)


def _members(delivering: Any, others: list[str]) -> list[tuple[str, bool]]:
    return sorted((each.user_id, each.read is not None) for each in delivering or [] if each.user_id in others)


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_both_see_what_the_server_has(server: ChatEmulator, seed: int, group: bool) -> None:
    chance, calm = random.Random(seed), threading.Event()
    ada = Side(server, "ada", "team" if group else "bob", chance, calm)
    bob = Side(server, "bob", "team" if group else "ada", chance, calm)
    calls = []
    with ada.chat, bob.chat:
        for _ in range(STEPS):
            calls.append(chance.choice([ada, bob]).step())
            if chance.random() < 0.1:
                server.silence("ack", times=chance.randrange(1, 4))
            if chance.random() < 0.05:
                server.silence(chance.choice(["new", "read"]), times=1, execute=chance.random() < 0.5)
            if chance.random() < 0.05:
                server.drop_connections()
        for call in calls:
            with contextlib.suppress(RxSdkError):
                if call is not None:
                    call.result(10)
        server.clear_script()
        calm.set()
        for side, other in ((ada, "bob"), (bob, "ada")):
            latest = side.chat.messages(side.chat_id, count=500).result(10)
            wait_until(
                lambda side=side, other=other, latest=latest: seen(side.shown, [other]) == stored(latest, [other])
            )
        server.drop_connections()
        wait_until(lambda: server.waiting("ada") == server.waiting("bob") == 0)
        for side, other in ((ada, "bob"), (bob, "ada")):
            latest = side.chat.messages(side.chat_id, count=500).result(10)
            assert seen(side.shown, [other]) == stored(latest, [other])
            assert len(side.handed) == len(set(side.handed)), "handed over once"
