"""`LimpWire`: the one place where the reliability suites know LIMP: its server, its service, its calls.

Another wire takes part by an object with the same methods. The server counts on its own account how often each
call that must not run twice has run: by the number that the call carries in its document.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rxsdk import ApiService, Call, File, QuotaPolicy, ReconnectPolicy, SDKConfig
from rxsdk.emulator import Emulator
from rxsdk.emulator.methods import Call as Made
from rxsdk.emulator.modules import Method, Module, default_modules, standard_methods
from rxsdk.emulator.schema import Attr
from tests.staff import album_doc

__all__ = ["CLOSE_CODES", "LimpCalls", "LimpWire"]

CLOSE_CODES = (1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000)
FAST = ReconnectPolicy(base_s=0.02, cap_s=0.2)


class LimpCalls:
    """The calls of a service, whatever server it is connected to."""

    changes = ("order/create", "order/update")

    def read(self, api: ApiService, **settings: Any) -> Call[Any]:
        """A call that may be repeated."""
        return api.call("order/read", **settings)

    def change(self, api: ApiService, number: int, **settings: Any) -> Call[Any]:
        """A call that must not run twice; the server counts it under ``number``."""
        return api.call(self.changes[number % len(self.changes)], doc={"number": number}, **settings)

    def watch(self, api: ApiService, **settings: Any) -> Call[Any]:
        """A call that goes on, and tells each change."""
        return api.call("order/watch", **settings)

    def left_in(self, api: ApiService) -> dict[str, int]:
        """How much the service keeps of calls, by where."""
        machine = api._limp._machine
        tables = ("_in_flight", "_urgent", "_queue", "_await_auth", "_to_renew", "_deadlines")
        return {name: len(getattr(machine, name)) for name in tables} | {"uploads": len(api._limp._upload_tasks)}


class LimpWire(LimpCalls):
    """A LIMP server that keeps orders, and services that place them. A context manager."""

    name = "limp"
    readings = ("order/read",)

    def __init__(self, **emulator: Any) -> None:
        self.ran: Counter[int] = Counter()
        self._watches: set[str] = set()
        self._doubled: set[str] = set()
        self.emulator = Emulator(modules=(*default_modules(), self._orders()), **emulator)

    def __enter__(self) -> Self:
        self.emulator.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.emulator.stop()

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

    def config(self, url: str | None = None, **settings: Any) -> SDKConfig:
        """For a service on the server, or on ``url`` in front of it."""
        fields = {"reconnect": FAST, "quota": QuotaPolicy(), **settings}
        return self.emulator.config(api=url or self.emulator.url, **fields)

    def service(self, url: str | None = None, **settings: Any) -> ApiService:
        """A service, not opened yet."""
        return ApiService(self.config(url, **settings))

    def upload(self, api: ApiService, number: int, **settings: Any) -> Call[Any]:
        """A change with a file of many pieces; needs `sign_in` and a small ``file_chunk_size``."""
        doc = album_doc(cover=File(b"x" * 4000, name="x.png"), rank=number)
        return api.call("album/create", doc=doc, **settings)

    def sign_in(self, api: ApiService) -> Call[Any]:
        """As the administrator."""
        return api.auth("email", self.emulator.admin_email, self.emulator.admin_password)

    def halt(self, state: str) -> None:
        """Let the server fall silent, so that connections get no further than ``state``."""
        self.emulator.silence(SILENCES[state])

    def fall_silent_for_good(self) -> None:
        """Let the server answer nothing but heartbeats any more."""
        for endpoint in SILENCED:
            self.emulator.silence(endpoint)

    # -- what the server counted, and what it does wrong

    def doubles(self) -> int:
        """How many calls ran twice, by their number and by their call ids so far."""
        # A watch is made anew under its id. The emulator forgets what is old at some time: what was seen stays seen.
        received = [one.payload for one in self.emulator.received]
        self._watches |= {call["call_id"] for call in received if call["endpoint"] == "order/watch"}
        self._doubled |= {call_id for call_id, times in self.emulator.executed.by_call_id.items() if times > 1}
        return len(self._doubled - self._watches) + sum(times > 1 for times in self.ran.values())

    def server_faults(self, chance: random.Random) -> dict[str, Callable[[], None]]:
        """What a server does to its clients by itself."""

        def fall_silent() -> None:
            for endpoint in (*self.readings, *self.changes):
                self.emulator.silence(endpoint, times=chance.randrange(1, 20), execute=chance.random() < 0.5)

        return {
            "close code": lambda: self.emulator.close_with(chance.choice(CLOSE_CODES)),
            "drop": self.emulator.drop_connections,
            "silence": fall_silent,
        }


# Which silence of the server keeps a connection in a state.
SILENCES = {"verifying": "conn/verify", "authenticating": "session/reauth", "uploading": "file/upload"}

SILENCED = (
    *("order/read", "order/create", "order/update", "order/watch", "session/auth", "session/reauth"),
    *("session/signout", "file/upload", "album/create"),
)


def _answer(made: Made, docs: list[Any]) -> dict[str, Any]:
    return {"status": 200, "msg": "Done.", "args": {"count": len(docs), "docs": docs}}
