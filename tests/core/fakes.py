"""A clock moved by hand, a machine that does as it is told, and a connection between them that notes everything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rxsdk.core.connection import Connection
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState, check_transition
from rxsdk.core.transport import MemoryServer, Transport, memory_pair
from rxsdk.errors import RxSdkError


async def until(condition: Callable[[], object], *, timeout_s: float = 5.0) -> None:
    """Let the loop turn until ``condition()`` is true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():
        assert loop.time() < deadline, f"still not true after {timeout_s:g} s"
        await asyncio.sleep(0)


async def turns(count: int = 20) -> None:
    """Let the loop do whatever it has to do now."""
    for _ in range(count):
        await asyncio.sleep(0)


class FakeTimer:
    """A timer of a `FakeClock`."""

    def __init__(self, clock: FakeClock, when: float, callback: Callable[[], Any]) -> None:
        self.when = when
        self.callback = callback
        self._clock = clock

    def cancel(self) -> None:
        if self in self._clock._timers:
            self._clock._timers.remove(self)


class FakeClock:
    """Time stands still until `advance`."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept = 0.0  # seconds that only the wall clock saw
        self._timers: list[FakeTimer] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time + self.slept

    def call_at(self, when: float, callback: Callable[..., Any]) -> FakeTimer:
        timer = FakeTimer(self, when, callback)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass; timers ring in order, each at its moment."""
        end = self.time + seconds
        while due := sorted((one for one in self._timers if one.when <= end), key=lambda one: one.when):
            self.time = max(self.time, due[0].when)
            self._timers.remove(due[0])
            due[0].callback()
        self.time = end

    @property
    def rings_in(self) -> list[float]:
        """How many seconds from now each timer rings."""
        return sorted(round(timer.when - self.time, 6) for timer in self.timers)

    @property
    def timers(self) -> list[Any]:
        """The timers that are set, but for the connection's regular look at the clocks."""
        return [timer for timer in self._timers if timer.callback.__name__ != "_watch_clocks"]


class ScriptedMachine:
    """A wire without rules: what it sends and reports is put in by hand, what it is told stands in ``log``.

    An exception in ``bugs`` under a verb's name is raised by that verb.
    """

    is_text = True
    subprotocols: Sequence[str] = ()

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.outgoing: list[bytes] = []
        self.happened: list[Any] = []
        self.deadline: float | None = None
        self.bugs: dict[str, Exception] = {}

    def _note(self, verb: str, *details: Any) -> None:
        self.log.append((verb, *details))
        if verb in self.bugs:
            raise self.bugs[verb]

    def connected(self, now: float, subprotocol: str | None) -> None:
        self._note("connected", now)

    def disconnected(self, now: float, reason: Exception) -> None:
        self._note("disconnected", str(reason))

    def receive(self, frame: bytes, now: float) -> None:
        self._note("receive", frame)

    def frames_to_send(self, now: float, wall: float) -> list[bytes]:
        if "frames_to_send" in self.bugs:
            raise self.bugs["frames_to_send"]
        frames, self.outgoing = self.outgoing, []
        return frames

    def events(self) -> Sequence[Any]:
        happened, self.happened = self.happened, []
        return happened

    def next_deadline(self) -> float | None:
        return self.deadline

    def handle_deadline(self, now: float) -> None:
        self._note("handle_deadline", now)
        if self.deadline is not None and self.deadline <= now:
            self.deadline = None

    def probe(self, now: float) -> None:
        self._note("probe", now)

    def close(self) -> None:
        self._note("close")

    def fail(self, error: RxSdkError) -> None:
        self._note("fail", str(error))

    @property
    def verbs(self) -> list[str]:
        """What it was told to do, without the details."""
        return [entry[0] for entry in self.log]


class Rig:
    """A `Connection` on a fake clock, between a scripted machine and as many memory servers as it opens.

    ``script`` holds what the next attempts come to: an exception is raised, a future is waited for.
    """

    def __init__(self, policy: ReconnectPolicy | None = None) -> None:
        self.clock = FakeClock()
        self.machine = ScriptedMachine()
        self.script: deque[Exception | asyncio.Future[Any]] = deque()
        self.transports: list[Any] = []
        self.servers: list[MemoryServer] = []
        self.attempts = 0
        self.states: list[ConnectionState] = []
        self.events: list[Any] = []
        self.failures: list[RxSdkError] = []
        self.cancelled: list[bool] = []
        self.on_event: Callable[[Any], None] = lambda event: None
        self.on_state: Callable[[ConnectionState], None] = lambda state: None
        self.connection = Connection(
            self.machine,
            self._connect,
            loop=asyncio.get_running_loop(),
            clock=self.clock,
            policy=policy or ReconnectPolicy(),
            on_events=self._take_events,
            hand_up=lambda report: report(),
            on_state=self._take_state,
            on_failed=self.failures.append,
            on_cancelled=lambda: self.cancelled.append(True),
        )

    async def _connect(self) -> Transport:
        self.attempts += 1
        if self.script:
            step = self.script.popleft()
            if isinstance(step, Exception):
                raise step
            await step
        transport, server = memory_pair()
        self.transports.append(transport)
        self.servers.append(server)
        return transport

    def _take_events(self, events: Sequence[Any]) -> None:
        for event in events:
            self.events.append(event)
            self.on_event(event)

    def _take_state(self, state: ConnectionState) -> None:
        check_transition(self.states[-1].name if self.states else "idle", state.name)
        self.states.append(state)
        self.on_state(state)

    @property
    def server(self) -> MemoryServer:
        """The far end of the present transport."""
        return self.servers[-1]

    @property
    def state_names(self) -> list[str]:
        return [state.name for state in self.states]

    async def up(self) -> Rig:
        """Started, and connected for the first time."""
        self.connection.start()
        await self.connected(1)
        return self

    async def connected(self, times: int) -> None:
        """As many connections as ``times`` have come up."""
        await until(lambda: self.machine.verbs.count("connected") == times)
        await turns(3)
