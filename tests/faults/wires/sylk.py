"""`SylkWire`: sylkRTC for the reliability suites.

Every pending request fails with its connection and none is ever written twice, so here even what might be repeated is
not; the server's record of lookups, each for a name of its own, is the witness. What outlives a storm is an account.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rxsdk import Call, SylkAccount, SylkConfig, SylkService
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.emulator.sylk.validation import KINDS
from rxsdk.protocols.sylk.events import RequestAcknowledged
from tests.conftest import wait_until
from tests.faults.wires.contract import CLOSE_CODES, FAST, Calls, Standing, Wire
from tests.protocols.sylk.bench import Bench
from tests.protocols.sylk.test_messages import ALL, frame

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger

__all__ = ["SylkWire"]

ODD: list[Any] = [None, True, -1, 1.5, "", "progress", [], [1], {}, {"uri": 5}, "\u2028", 10**30]
SERVING = """
import sys
from rxsdk.emulator.sylk import SylkEmulator
with SylkEmulator() as emulator:
    print(emulator.url, flush=True)
    sys.stdin.read()
"""


class SylkCalls(Calls):
    """Lookups of public keys, which need no account."""

    def __init__(self, url: str) -> None:
        self.url = url

    def service(self, url: str | None = None, **settings: Any) -> SylkService:
        return SylkService(SylkConfig(url or self.url, **{"reconnect": FAST, **settings}))

    def read(self, api: SylkService) -> Call[Any]:
        return api.lookup_public_key("bob@example.com")

    def change(self, api: SylkService, number: int) -> Call[Any]:
        return api.lookup_public_key(f"number{number}@example.com")

    def streams(self, api: SylkService) -> tuple[Any, ...]:
        return (*super().streams(api), api.events)

    def left_in(self, api: SylkService) -> dict[str, int]:
        machine = api._inside._machine
        tables = ("_in_flight", "_urgent", "_queue", "_restoring", "_pings")
        kept = {name.strip("_"): len(getattr(machine, name)) for name in tables}
        return kept | {"sessions": len(machine.book.sessions)}


class SylkWire(SylkCalls, Wire):
    """A SylkServer."""

    name = "sylk"
    least_reads: ClassVar = 0.4  # none is repeated, and a dead road takes all there are on it
    url = Wire.url

    def __init__(self) -> None:
        Wire.__init__(self)
        self.emulator = SylkEmulator()
        self._lookups: dict[str, str] = {}

    @classmethod
    @contextlib.contextmanager
    def elsewhere(cls) -> Iterator[SylkCalls]:
        with subprocess.Popen(
            [sys.executable, "-c", SERVING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            yield SylkCalls(child.stdout.readline().strip())
            child.stdin.close()

    # -- calls

    def kinds(self) -> Mapping[str, Callable[[SylkService], Call[Any]]]:
        return {
            "read": self.read,
            "change": lambda api: self.change(api, 1),
            "add": lambda api: api.add_account("ada@example.com", "swordfish"),
        }

    def opening(self, url: str) -> str:
        return f"""
            from rxsdk import SylkConfig, SylkService
            api = SylkService(SylkConfig({url!r}))
            api.init()
            lasting = api.events
            def begun():
                read().result()
            def read():
                return api.lookup_public_key("bob@example.com")
        """

    # -- what the server does wrong, and what it counted

    def server_faults(self, chance: random.Random) -> dict[str, Callable[[], None]]:
        def fall_silent() -> None:
            self.emulator.silence("lookup-public-key", times=chance.randrange(1, 20), execute=chance.random() < 0.5)

        return {
            "close code": lambda: self.emulator.close_with(chance.choice(CLOSE_CODES)),
            "drop": self.emulator.drop_connections,
            "silence": fall_silent,
        }

    def fall_silent_for_good(self) -> None:
        for kind in KINDS.keys() - {"ping"}:
            self.emulator.silence(kind)

    def doubles(self) -> int:
        """Lookups of one name that came more than once, as different requests or as the same."""
        received = [one.payload for one in self.emulator.received]
        named = [one for one in received if str(one.get("uri")).startswith("number")]
        self._lookups |= {one["transaction"]: one["uri"] for one in named}
        twice = len(self._lookups) - len(set(self._lookups.values()))
        return twice + sum(times > 1 for times in self.emulator.executed.by_call_id.values())

    def standing(self, api: SylkService, ledger: Ledger) -> Standing:
        return StandingAccount(self, api)

    # -- a server gone mad

    def odd_message(self, chance: random.Random) -> bytes:
        """An event with wrong things in it, or hurt on its way."""
        (kind, event), fields = chance.choice(list(ALL.items()))
        odd = {name: chance.choice(ODD) if chance.random() < 0.3 else value for name, value in fields.items()}
        raw = bytearray(frame(kind, event, odd))
        if chance.random() < 0.2:
            raw = bytearray(json.dumps({"sylkrtc": chance.choice(["ack", "error", 5]), "transaction": "no"}).encode())
        if chance.random() < 0.2:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        return bytes(raw)

    def machine_bench(self) -> SylkFuzzBench:
        return SylkFuzzBench()


class StandingAccount(Standing):
    """Ada's account: registered again after the storm, reached by who writes to her; and her calls have all ended."""

    def __init__(self, wire: SylkWire, api: SylkService) -> None:
        self.wire, self.api = wire, api
        self.account: SylkAccount | None = None
        self.calls = 0
        self.ended: list[str] = []
        self.heard: list[str] = []
        self.is_registered = False
        self._adding = api.add_account("ada@example.com", wire.emulator.users["ada@example.com"])
        self._adding.subscribe(self._added, lambda _error: self._again())

    def _again(self) -> None:
        self._adding = self.api.add_account("ada@example.com", self.wire.emulator.users["ada@example.com"])
        self._adding.subscribe(self._added, lambda _error: None)

    def _added(self, account: SylkAccount) -> None:
        self.account = account
        account.messages.subscribe(lambda message: self.heard.append(message.content))
        account.register().subscribe(None, lambda _error: None)

    def turn_over(self, chance: random.Random) -> None:
        """Ada calls herself, whatever the network does."""
        if self.account is not None:
            self.calls += 1
            call = self.account.call("ada@example.com", "offer")
            call.state_stream.subscribe(on_completed=lambda: self.ended.append(call.id))

    def settle(self) -> None:
        with contextlib.suppress(AssertionError, AttributeError):
            wait_until(lambda: self.api.inited and self.account.registration.name == "registered")  # type: ignore[union-attr]
            self.is_registered = True
            with SylkService(self.wire.emulator.config()) as other:
                bob = other.add_account("bob@example.com", self.wire.emulator.users["bob@example.com"]).result(10)
                bob.register().result(10)
                wait_until(lambda: bob.registration.name == "registered")
                bob.send_message("ada@example.com", "still there?").result(10)
                wait_until(lambda: self.heard)
        sessions = self.api._inside._machine.book.sessions
        for session in list(sessions.values()):
            session.listener.terminate().subscribe(None, lambda _error: None)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.ended) == self.calls and not sessions)

    def failures(self) -> dict[str, bool]:
        return {
            "the account is not registered": self.is_registered,
            "the account is not reached": self.heard == ["still there?"],
            f"{self.calls} calls, {len(self.ended)} ended": len(self.ended) == self.calls,
        }

    def __str__(self) -> str:
        return f"an account, and {self.calls} calls that ended"


class SylkFuzzBench:
    """A machine with twenty lookups on their way."""

    def __init__(self) -> None:
        self.bench = Bench(heartbeat_interval_s=1e9)
        self.bench.connect()
        self.bench.added(registered=True)
        self.requests = [self.bench.ask("lookup-public-key", uri="bob@example.com") for _ in range(20)]
        self.bench.frames()

    def hear(self, frame: bytes) -> None:
        self.bench.hear(frame)
        for event in self.bench.events:
            repr(event)
        self.bench.events.clear()

    def rest(self) -> None:
        self.bench.frames()
        self.bench.now += 0.01

    def assert_calls_answered(self) -> None:
        for request in self.requests:
            self.bench.answer(request)
            assert isinstance(self.bench.ends[request], RequestAcknowledged)
