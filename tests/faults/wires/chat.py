"""`ChatWire`: the chat for the reliability suites.

The call that must not run twice is an edit: the server counts each by the number in its text. Sending is counted
too: it may be written twice, but must be stored once.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rxsdk import Call
from rxsdk.chat import ChatConfig, ChatService, New
from rxsdk.emulator.chat import ChatEmulator
from tests.conftest import wait_until
from tests.faults.wires.contract import CLOSE_CODES, FAST, Calls, Standing, Wire
from tests.protocols.chat.bench import ChatBench, odd_message

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger

__all__ = ["ChatWire"]

KINDS = ("new", "edit", "delete", "dlvrd", "read", "messages", "chat", "chats")
SERVING = """
import sys
from rxsdk.emulator.chat import ChatEmulator
with ChatEmulator() as emulator:
    print(emulator.url, emulator.token("ada"), flush=True)
    sys.stdin.read()
"""


class ChatCalls(Calls):
    """The calls of Ada, who writes to Bob and edits her first message."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token

    def service(self, url: str | None = None, **settings: Any) -> ChatService:
        headers = {"Authorization": f"Bearer {self._token}"}
        return ChatService(ChatConfig(url or self.url, headers, "ada", **{"reconnect": FAST, **settings}))

    def read(self, api: ChatService) -> Call[Any]:
        return api.chat("bob")

    def change(self, api: ChatService, number: int) -> Call[Any]:
        return api.edit("bob", 1, f"number {number}")

    def streams(self, api: ChatService) -> tuple[Any, ...]:
        return (*super().streams(api), api.events, api.presence_stream, api.typing_stream)

    def left_in(self, api: ChatService) -> dict[str, int]:
        inside = api._inside
        tables = ("_in_flight", "_queue", "_acks", "_handing")
        kept = {name.strip("_"): len(getattr(inside._machine, name)) for name in tables}
        return kept | {"held": len(inside._held), "to save": len(inside._to_save)}


class ChatWire(ChatCalls, Wire):
    """A chat server with Ada's first message to Bob in it."""

    name = "chat"
    url = Wire.url

    def __init__(self) -> None:
        Wire.__init__(self)
        self.emulator = ChatEmulator()
        self._token = self.emulator.token("ada")
        self._numbers = itertools.count()

    def __enter__(self) -> ChatWire:
        super().__enter__()
        with self.service() as api:
            api.send("bob", "the first").result(10)
        return self

    @classmethod
    @contextlib.contextmanager
    def elsewhere(cls) -> Iterator[ChatCalls]:
        with subprocess.Popen(
            [sys.executable, "-c", SERVING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            calls = ChatCalls(*child.stdout.readline().split())
            with calls.service() as api:
                api.send("bob", "the first").result(10)
            yield calls
            child.stdin.close()

    # -- calls

    def kinds(self) -> Mapping[str, Callable[[ChatService], Call[Any]]]:
        return {
            "read": self.read,
            "change": lambda api: self.change(api, 1),
            "send": lambda api: api.send("bob", "hello"),
            "delete": lambda api: api.delete("bob", 99_999),
            "mark": lambda api: api.mark_read("bob"),
            "page": lambda api: api.messages("bob", count=10),
            "list": lambda api: api.chats(),
        }

    def heavy(self, api: ChatService, number: int) -> Call[Any]:
        return api.send("team", f"{number} " + "x" * 10_000)

    def opening(self, url: str) -> str:
        return f"""
            from rxsdk.chat import ChatConfig, ChatService
            api = ChatService(ChatConfig({url!r}, {{"Authorization": "Bearer {self._token}"}}, "ada"))
            api.init()
            lasting = api.events
            def begun():
                read().result()
            def read():
                return api.chat("bob")
        """

    # -- what the server does wrong, and what it counted

    def server_faults(self, chance: random.Random) -> dict[str, Callable[[], None]]:
        def fall_silent() -> None:
            for kind in ("chat", "edit", "new"):
                executes = chance.random() < 0.5 or kind == "new"  # only what the server took of Bob can be handed over
                self.emulator.silence(kind, times=chance.randrange(1, 20), execute=executes)

        return {
            "close code": lambda: self.emulator.close_with(chance.choice(CLOSE_CODES)),
            "drop": self.emulator.drop_connections,
            "silence": fall_silent,
            "lose acks": lambda: self.emulator.silence("ack", times=chance.randrange(1, 30)),
        }

    def fall_silent_for_good(self) -> None:
        for kind in KINDS:
            self.emulator.silence(kind)

    def doubles(self) -> int:
        """Edits that ran twice by their id, and messages stored twice by theirs."""
        repeatable = {one.payload.get("id") for one in self.emulator.received if not _changes(one.payload)}
        ran = self.emulator.executed.by_call_id
        return sum(times > 1 for call_id, times in ran.items() if call_id not in repeatable)

    def standing(self, api: ChatService, ledger: Ledger) -> Standing:
        return BobWrites(self, api)

    # -- a server gone mad

    def odd_message(self, chance: random.Random) -> bytes:
        return odd_message(chance, ["other", "id999999"])

    def machine_bench(self) -> ChatFuzzBench:
        return ChatFuzzBench()


def _changes(frame: dict[str, Any]) -> bool:
    return frame.get("payloadType") == "edit"


class BobWrites(Standing):
    """Bob, on a good network, writes to Ada all the time: she is handed each message once, and none is missed."""

    def __init__(self, wire: ChatWire, api: ChatService) -> None:
        self.wire = wire
        self.bob = ChatService(wire.emulator.config("bob", timeout_s=2.0))
        self.bob.init()
        self.sent: list[Call[Any]] = []
        self.handed: Counter[str] = Counter()
        self.shown: tuple[Any, ...] = ()
        self.stored: list[str] = []
        self.waiting = 0
        api.events_of(New).subscribe(lambda event: self.handed.update([event.payload.message or ""]))
        api.conversation("bob").subscribe(self._show)
        self.turn_over(random.Random())

    def _show(self, messages: tuple[Any, ...]) -> None:
        self.shown = messages

    def turn_over(self, chance: random.Random) -> None:
        self.sent += [self.bob.send("ada", f"bob's {len(self.sent) + number}") for number in range(5)]

    def settle(self) -> None:
        for call in self.sent:
            with contextlib.suppress(Exception):  # each is looked at: a failure that nobody has seen is logged
                call.result(10)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.handed) == len(self.sent))
            self.wire.emulator.drop_connections()  # an acknowledgement that was lost is made up for after the next loss
            wait_until(lambda: self.wire.emulator.waiting("ada") == 0)
            theirs = [each.message or "" for page in self.bob.history("ada") for each in page if each.sender == "bob"]
            self.stored = sorted(theirs)
            wait_until(lambda: self._in_conversation() == self.stored)
        self.waiting = self.wire.emulator.waiting("ada")
        self.bob.close().result(10)

    def _in_conversation(self) -> list[str]:
        return sorted(each.message for each in self.shown if each.sender == "bob" and each.message)

    def failures(self) -> dict[str, bool]:
        twice = [message for message, times in self.handed.items() if times > 1]
        return {
            f"{len(self.sent)} messages sent by Bob, {len(self.handed)} handed over": len(self.sent)
            == len(self.handed),
            f"handed over twice: {twice}": not twice,
            f"the conversation has {len(self._in_conversation())} messages of Bob, the server {len(self.stored)}; "
            f"{self.waiting} events wait": self._in_conversation() == self.stored != [],
        }

    def __str__(self) -> str:
        return f"{len(self.sent)} messages of Bob, each handed over once"


class ChatFuzzBench:
    """A machine with twenty edits on their way."""

    def __init__(self) -> None:
        self.bench = ChatBench()
        self.bench.connect()
        self.requests = [self.bench.ask("chat", {"chatId": "bob"}) for _ in range(20)]
        self.bench.sent()

    def hear(self, frame: bytes) -> None:
        for report in self.bench.hear(frame):
            repr(report)
        self.bench.reports.clear()

    def rest(self) -> None:
        self.bench.sent()
        self.bench.machine._handing.clear()  # nobody hands anything over here

    def assert_calls_answered(self) -> None:
        chat = {"chatId": "bob", "name": "Bob", "type": "dialog", "missed": 0}
        for request in self.requests:
            self.bench.hear(json.dumps({"type": "response", "id": request.id, "payload": chat}).encode())
            assert self.bench.answer_of(request).name == "Bob"
