"""`Wire`: what the reliability suites ask of a protocol: its server, its service, its calls, and what it alone can do.

A wire takes part by one subclass, named in the table of `tests.faults.wires`. What the suites do with every service
(``init``, ``close``, ``state``, ``suspend`` …) they do themselves; what only one wire has stands in its subclass.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from rxsdk import Call, ReconnectPolicy

if TYPE_CHECKING:
    from rxsdk.testing import FaultProxy
    from tests.faults.close_races import Ring
    from tests.faults.ledger import Ledger

__all__ = ["CLOSE_CODES", "FAST", "Calls", "MachineBench", "Standing", "Wire"]

CLOSE_CODES = (1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000)
FAST = ReconnectPolicy(base_s=0.02, cap_s=0.2)


class Standing:
    """What is to outlive a storm: watches, subscriptions, registrations. This one is nothing at all."""

    def turn_over(self, chance: random.Random) -> None:
        """Some of it ends and some begins, whatever the network does."""

    def settle(self) -> None:
        """The storm is over and every call has ended: wait until all is as it should be, for a while."""

    def failures(self) -> Mapping[str, bool]:
        """Each thing that must hold, told as what would be wrong, and whether it holds."""
        return {}

    def __str__(self) -> str:
        return "nothing"


class MachineBench(Protocol):
    """A machine without a socket, with calls on their way that no frame of `hear` concerns."""

    def hear(self, frame: bytes) -> None:
        """Take a frame and look at (the ``repr`` of) all that came of it."""

    def rest(self) -> None:
        """Let out what the machine wants to send, and time pass."""

    def assert_calls_answered(self) -> None:
        """Answer the calls; each gets its own answer."""


class Calls(ABC):
    """Services and their calls, whatever server they are connected to."""

    url: str
    """Where that server is."""

    @abstractmethod
    def service(self, url: str | None = None, **settings: Any) -> Any:
        """A service on the server, or on ``url`` in front of it; not opened yet.

        Every wire's config knows the settings that suites give: ``timeout_s``, ``queue_timeout_s``,
        ``connect_timeout_s``, ``heartbeat_interval_s``, ``heartbeat_timeout_s``, ``reconnect``, ``loop``.
        """

    @abstractmethod
    def read(self, api: Any) -> Call[Any]:
        """A call that may be repeated."""

    @abstractmethod
    def change(self, api: Any, number: int) -> Call[Any]:
        """A call that must not run twice; the server counts it under ``number``."""

    def going_on(self, api: Any) -> list[Call[Any]]:
        """A call of each kind that does not end by itself; the ledger's kind "watch"."""
        return []

    def streams(self, api: Any) -> Sequence[Any]:
        """The streams that end with the service."""
        return (api.state_stream, api.inited_stream, api.round_trip_stream)

    @abstractmethod
    def left_in(self, api: Any) -> dict[str, int]:
        """How much the service keeps of calls, by where; ``in_flight``: written and not answered."""


class Wire(Calls):
    """A server and services on it. A context manager that runs the server."""

    name: ClassVar[str]
    races: ClassVar[int] = 5
    """How often the short form closes in each situation."""
    storm_s: ClassVar[float] = 5.0
    """How long the short form of chaos takes."""
    least_reads: ClassVar[float] = 0.9
    """The share of the calls that may be repeated which must succeed in a storm."""
    fuzz_frames: ClassVar[int] = 500
    """How many frames the short form of fuzz pushes."""
    soak_calls: ClassVar[int] = 5_000
    """How many calls the short form of soak makes."""
    situations: ClassVar[Mapping[str, Callable[[Ring], None]]] = {}
    """Situations to be closed in that only this wire has."""
    final_faults: ClassVar[Mapping[str, Callable[[Any, FaultProxy], None]]] = {}
    """Faults that only this wire has and that do not heal: called with the wire and the proxy before it."""

    def __init__(self) -> None:
        self.ran: Counter[int] = Counter()

    emulator: Any
    """Has ``start``, ``stop``, ``url``, ``connections``, ``drop_connections()``, ``close_with(code)``, ``push(text)``,
    ``clear_script()`` and ``clear_records()``."""

    def __enter__(self) -> Self:
        self.emulator.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.emulator.stop()

    @property
    def url(self) -> str:  # type: ignore[override]
        return self.emulator.url

    @classmethod
    @abstractmethod
    def elsewhere(cls) -> AbstractContextManager[Calls]:
        """A server in another process, so that this one's memory is the client's."""

    # -- calls

    @abstractmethod
    def kinds(self) -> Mapping[str, Callable[[Any], Call[Any]]]:
        """A call of every kind there is, by its name; each makes one of a service."""

    def before_heavy(self, api: Any) -> list[Call[Any]]:
        """What must have been answered before `heavy`."""
        return []

    def heavy(self, api: Any, number: int) -> Call[Any]:
        """The call that keeps a service busiest."""
        return self.change(api, number)

    @abstractmethod
    def opening(self, url: str) -> str:
        """Python source, for another process: opens ``api``, defines ``read()``, ``lasting`` (an Observable that ends
        well with the service), and ``begun()``, which returns once ``lasting`` stands."""

    # -- what the server does wrong, and what it counted

    @abstractmethod
    def server_faults(self, chance: random.Random) -> dict[str, Callable[[], None]]:
        """What a server does to its clients by itself; at least "close code", "drop" and "silence"."""

    @abstractmethod
    def fall_silent_for_good(self) -> None:
        """Let the server answer nothing but heartbeats any more."""

    @abstractmethod
    def doubles(self) -> int:
        """How many calls ran twice."""

    def standing(self, api: Any, ledger: Ledger) -> Standing:
        """What a storm is to leave as it is; set up now."""
        return Standing()

    # -- a server gone mad

    @abstractmethod
    def odd_message(self, chance: random.Random) -> bytes:
        """A frame with wrong things in right places; it names no call of ours."""

    @abstractmethod
    def machine_bench(self) -> MachineBench:
        """The wire's machine, connected."""

    def recover(self, api: Any) -> None:
        """Undo what an odd message may have made a service believe."""
