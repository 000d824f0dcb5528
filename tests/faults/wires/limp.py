"""`LimpWire`: LIMP for the reliability suites.

The server counts on its own account how often each call that must not run twice has run: by the number that the call
carries in its document.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rxsdk import ApiService, Call, File, QuotaPolicy, RxSdkError, SDKConfig
from rxsdk.emulator import Emulator
from rxsdk.emulator.methods import Call as Made
from rxsdk.emulator.modules import Method, Module, default_modules, standard_methods
from rxsdk.emulator.schema import Attr
from tests.benchmarks.sides import ANON_TOKEN, server_process
from tests.conftest import wait_until
from tests.faults.wires.contract import CLOSE_CODES, FAST, Calls, Standing, Wire
from tests.protocols.harness import SESSION, authed
from tests.protocols.test_machine_fuzz import odd_message
from tests.staff import album_doc

if TYPE_CHECKING:
    from rxsdk.testing import FaultProxy
    from tests.faults.close_races import Ring
    from tests.faults.ledger import Ledger

__all__ = ["LimpWire"]

STANDING_WATCHES = 5
READINGS, CHANGES = ("order/read",), ("order/create", "order/update")
SETTINGS: dict[str, Any] = {"reconnect": FAST, "quota": QuotaPolicy(), "file_chunk_size": 100}
# Which silence of the server keeps a connection in a state.
SILENCES = {"verifying": "conn/verify", "authenticating": "session/reauth", "uploading": "file/upload"}
SILENCED = (
    *(*READINGS, *CHANGES, "order/watch", "session/auth", "session/reauth"),
    *("session/signout", "file/upload", "album/create"),
)


class LimpCalls(Calls):
    """The calls of a service on ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def service(self, url: str | None = None, **settings: Any) -> ApiService:
        fields = {"api": url or self.url, "anon_token": ANON_TOKEN, "auth_attrs": ["email"], **SETTINGS, **settings}
        return ApiService(SDKConfig(**fields))

    def read(self, api: ApiService, **settings: Any) -> Call[Any]:
        return api.call("order/read", **settings)

    def change(self, api: ApiService, number: int, **settings: Any) -> Call[Any]:
        return api.call(CHANGES[number % len(CHANGES)], doc={"number": number}, **settings)

    def watch(self, api: ApiService) -> Call[Any]:
        """A call that goes on, and tells each change."""
        return api.call("order/watch")

    def going_on(self, api: ApiService) -> list[Call[Any]]:
        return [self.watch(api)]

    def streams(self, api: ApiService) -> tuple[Any, ...]:
        return (*super().streams(api), api.authed_stream)

    def left_in(self, api: ApiService) -> dict[str, int]:
        machine = api._inside._machine
        tables = ("_in_flight", "_urgent", "_queue", "_await_auth", "_to_renew")  # _deadlines: swept now and then
        kept = {name.strip("_"): len(getattr(machine, name)) for name in tables}
        files = api._inside._made_files
        return kept | {"uploads": 0 if files is None else len(files.uploader._jobs)}


# -- situations that only LIMP has


def while_verifying(ring: Ring) -> None:
    ring.wire.halt("verifying")
    api = ring.service()
    api.init()
    ring.calls(api)
    wait_until(lambda: api.state.name == "verifying")
    ring.pause()
    api.close().result(10)


def while_signing_in_again(ring: Ring) -> None:
    with ring.service() as api:
        ring.wire.sign_in(api).result(10)
        ring.wire.halt("authenticating")
        ring.proxy.reset()
        wait_until(lambda: api.state.name == "authenticating")
        ring.calls(api)
        ring.pause()
    assert not api.inited


def not_let_in(wire: LimpWire, proxy: FaultProxy) -> None:
    wire.halt("verifying")
    proxy.reset()


class LimpWire(LimpCalls, Wire):
    """A LIMP server that keeps orders, and services that place them."""

    name = "limp"
    races = 20
    storm_s = 20.0
    fuzz_frames = 2_000
    soak_calls = 20_000
    situations: ClassVar = {each.__name__: each for each in (while_verifying, while_signing_in_again)}
    final_faults: ClassVar = {"not let in": not_let_in}
    url = Wire.url

    def __init__(self) -> None:
        Wire.__init__(self)
        self._watches: set[str] = set()
        self._doubled: set[str] = set()
        self.emulator = Emulator(modules=(*default_modules(), self._orders()))

    @classmethod
    @contextlib.contextmanager
    def elsewhere(cls) -> Iterator[LimpCalls]:
        """The server of the benchmarks."""
        with server_process() as url:
            yield LimpCalls(f"{url}/watch")

    def _orders(self) -> Module:
        methods = {
            **standard_methods(open_to_all=("watch",)),
            "read": Method(run=lambda made: _answer(made, [])),
            "create": Method(run=self._change),
            "update": Method(run=self._change),
        }
        return Module("order", {"number": Attr("INT")}, methods)

    def _change(self, made: Made) -> dict[str, Any]:
        number = made.doc["number"]
        self.ran[number] += 1
        doc = {"_id": f"{number:024x}", "number": number}
        made.backend.announce("order", "create", doc)
        return _answer(made, [doc])

    # -- services and their calls

    def service(self, url: str | None = None, **settings: Any) -> ApiService:
        return ApiService(self.emulator.config(api=url or self.url, **{**SETTINGS, **settings}))

    def kinds(self) -> Mapping[str, Callable[[ApiService], Call[Any]]]:
        return {
            "read": self.read,
            "change": lambda api: self.change(api, 1),
            "watch": self.watch,
            "auth": self.sign_in,
            "upload": lambda api: self.heavy(api, 1),
            "await_auth": lambda api: self.read(api, await_auth=True),
            "signout": lambda api: api.signout(),
            "reauth": lambda api: api.reauth("6b010dded29b763591c9e7b5", "no such token"),
        }

    def sign_in(self, api: ApiService) -> Call[Any]:
        """As the administrator."""
        return api.auth("email", self.emulator.admin_email, self.emulator.admin_password)

    def before_heavy(self, api: ApiService) -> list[Call[Any]]:
        return [self.sign_in(api)]

    def heavy(self, api: ApiService, number: int) -> Call[Any]:
        """A document with a file of many pieces."""
        return api.call("album/create", doc=album_doc(cover=File(b"x" * 4000, name="x.png"), rank=number))

    def opening(self, url: str) -> str:
        return f"""
            from rxsdk import ApiService, SDKConfig
            api = ApiService(SDKConfig({url!r}, {self.emulator.anon_token!r}, ["email"]))
            api.init()
            lasting = api.call("order/watch")
            begun = lasting.result
            def read():
                return api.call("order/read")
        """

    # -- what the server does wrong, and what it counted

    def server_faults(self, chance: random.Random) -> dict[str, Callable[[], None]]:
        def fall_silent() -> None:
            for endpoint in (*READINGS, *CHANGES):
                self.emulator.silence(endpoint, times=chance.randrange(1, 20), execute=chance.random() < 0.5)

        return {
            "close code": lambda: self.emulator.close_with(chance.choice(CLOSE_CODES)),
            "drop": self.emulator.drop_connections,
            "silence": fall_silent,
        }

    def fall_silent_for_good(self) -> None:
        for endpoint in SILENCED:
            self.emulator.silence(endpoint)

    def halt(self, state: str) -> None:
        """Let the server fall silent, so that connections get no further than ``state``."""
        self.emulator.silence(SILENCES[state])

    def doubles(self) -> int:
        """By their number and by their call ids so far."""
        # A watch is made anew under its id. The emulator forgets what is old at some time: what was seen stays seen.
        received = [one.payload for one in self.emulator.received]
        self._watches |= {call["call_id"] for call in received if call["endpoint"] == "order/watch"}
        self._doubled |= {call_id for call_id, times in self.emulator.executed.by_call_id.items() if times > 1}
        return len(self._doubled - self._watches) + sum(times > 1 for times in self.ran.values())

    def standing(self, api: ApiService, ledger: Ledger) -> Standing:
        return StandingWatches(self, api, ledger)

    # -- a server gone mad

    def odd_message(self, chance: random.Random) -> bytes:
        return odd_message(chance, ["other", "id999999"])

    def machine_bench(self) -> LimpBench:
        return LimpBench()

    def recover(self, api: ApiService) -> None:
        with contextlib.suppress(RxSdkError):  # a frame may have signed somebody in whom the server does not know
            api.signout().result(10)


class StandingWatches(Standing):
    """Of each watch exactly one is left on the server."""

    def __init__(self, wire: LimpWire, api: ApiService, ledger: Ledger) -> None:
        self.wire, self.api, self.ledger = wire, api, ledger
        self.watches: list[tuple[Call[Any], Callable[[], None]]] = []
        self.open = self.served = 0
        for _ in range(STANDING_WATCHES):
            self._open_one()

    def _open_one(self) -> None:
        watch = self.wire.watch(self.api)
        self.watches.append((watch, self.ledger.enter("watch", watch)))

    def turn_over(self, chance: random.Random) -> None:
        """Some end by their last subscriber, some are opened."""
        if len(self.watches) > STANDING_WATCHES:
            _, leave = self.watches.pop(chance.randrange(len(self.watches)))
            leave()
        else:
            self._open_one()

    def settle(self) -> None:
        self.open = sum(watch.error is None for watch, _ in self.watches)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.wire.emulator.watches == self.open)
        self.served = self.wire.emulator.watches

    def failures(self) -> dict[str, bool]:
        return {f"{self.served} watches on the server for {self.open} Observables": self.served == self.open}

    def __str__(self) -> str:
        return f"watches on the server {self.served}, Observables {self.open}"


class LimpBench:
    """A machine signed in, with twenty calls on their way."""

    def __init__(self) -> None:
        self.bench = authed(heartbeat_interval_s=1e9)
        self.calls = [self.bench.call("staff/create", timeout_s=1e9) for _ in range(20)]
        self.sent = {frame.call_id: frame for frame in self.bench.sent()}
        self.bench.keys |= {"odd": "t"}

    def hear(self, frame: bytes) -> None:
        for event in self.bench.hear(frame):
            repr(event)
        self.bench.events.clear()
        if self.bench.machine.session is None:
            self.bench.hear(json.dumps({"status": 200, "args": {"session": SESSION}}).encode())

    def rest(self) -> None:
        self.bench.sent()  # the watch/delete for watches that nobody knows
        self.bench.wait(31)  # they are not answered

    def assert_calls_answered(self) -> None:
        for call in self.calls:
            self.bench.answer(self.sent[call.call_id], 200, "mine")
            assert self.bench.replies(call) == ["mine"], call


def _answer(made: Made, docs: list[Any]) -> dict[str, Any]:
    return {"status": 200, "msg": "Done.", "args": {"count": len(docs), "docs": docs}}
