"""`Lane`: a further connection of the session in force, which carries files so that nothing else waits behind them.

Floor 2, above the core. A lane is a `Connection` and a `LimpMachine` of its own: verified, signed in again, kept alive
and closed by the same rules as the main one. It never lives twice: one that loses its connection after it was ready
has ended, and whoever was on it takes another. Who may be on one is told by `rxsdk.files.lanes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rxsdk.core.connection import Connection
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import Connect
from rxsdk.errors import CallRejected, ConnectionLost, RxSdkError, VerifyRefused
from rxsdk.protocols.limp.events import (
    CallFailed,
    CallReplied,
    ConnectionGivenUp,
    FrameRejected,
    HeartbeatAnswered,
    MessageReceived,
    PhaseChanged,
    ReauthRefused,
    RequestRepeated,
    RequestWritten,
    ServerRefused,
    SessionChanged,
)
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.res import Res
from rxsdk.reactive.life import Life

__all__ = ["Claim", "Lane", "LaneSettings"]

_log = logging.getLogger("rxsdk")


@dataclass(frozen=True, eq=False)
class Claim:
    """What a call wants a lane for: the attributes it uploads, and all that its doc names."""

    files: frozenset[str]
    names: frozenset[str]

    def fits(self, other: Claim) -> bool:
        """Whether the two may be on one lane."""
        return self.files.isdisjoint(other.names) and other.files.isdisjoint(self.names)


@dataclass(frozen=True)
class LaneSettings:
    """What every lane is made with; see `SDKConfig`."""

    api: str
    machine: Callable[[], LimpMachine]
    connect: Connect
    policy: ReconnectPolicy
    most: int
    window: int
    show: Callable[[Res[Any]], None]
    show_written: Callable[[Request], None]


class Lane:
    """One such connection. ``lost`` says why it has ended, once it has."""

    def __init__(self, settings: LaneSettings, life: Life, session: Any, on_end: Callable[[Lane], None]) -> None:
        self.slots = asyncio.Semaphore(settings.window)
        self.quota_opens_at = float("-inf")
        self.claims: set[Claim] = set()
        self.is_retired = False
        self.lost: RxSdkError | None = None
        self.trouble: Exception | None = None
        self.ready: asyncio.Future[bool] = life.lease.loop.create_future()  # False: it has ended before
        self.gone: asyncio.Future[None] = life.lease.loop.create_future()
        self._settings = settings
        self._clock = life.clock
        self._on_end = on_end
        self._machine = settings.machine()
        self._machine.session = session
        self._ends: list[asyncio.Task[None]] = []
        self._loop = life.lease.loop
        self._connection = Connection(
            self._machine,
            settings.connect,
            loop=self._loop,
            clock=self._clock,
            policy=settings.policy,
            on_events=self._handle,
            hand_up=life.dispatcher.deliver_during,
            on_state=self._moved,
            on_failed=self.end,
            on_cancelled=self.cut_off,
        )
        self._connection.start()

    # -- for the uploader

    def make_frame(self, request: Request, doc: Iterable[bytes]) -> Iterator[None]:
        """Make its frame, a step a piece; see `LimpMachine.make_frame`."""
        return self._machine.make_frame(request, doc, self._clock.wall())

    def submit(self, request: Request) -> None:
        """Send a chunk, or a call; its listener hears what becomes of it."""
        self._machine.submit(request, self._clock.now())
        self._connection.flush()

    def withdraw(self, request: Request) -> None:
        """Take it back as far as that goes."""
        self._machine.cancel(request)
        self._handle(self._machine.events())

    # -- for the lanes

    def end(self, error: RxSdkError) -> None:
        """Say goodbye if that is possible, and end everything that is on it."""
        if self.lost is None:
            self.lost = error
            task = self._loop.create_task(self._connection.close(), name="rxsdk upload lane")
            task.add_done_callback(lambda _: self._on_end(self))
            self._ends.append(task)
            self._end_requests()

    def cut_off(self) -> None:
        """The same where nothing can be awaited."""
        self._connection.cut_off()
        if self.lost is None:
            self.lost = ConnectionLost("the event loop ended")
            self._end_requests()

    @property
    def ending(self) -> list[asyncio.Task[None]]:
        """What is to be waited for until nothing of it runs any more."""
        return [task for task in self._ends if not task.done()]

    def _end_requests(self) -> None:
        self._machine.close()
        self._handle(self._machine.events())
        if not self.ready.done():
            self.ready.set_result(False)
        if not self.gone.done():
            self.gone.set_result(None)
        self._on_end(self)

    def _moved(self, state: ConnectionState) -> None:
        self.trouble = state.reason or self.trouble

    # -- what happened

    def _handle(self, events: Sequence[Any]) -> None:
        lost: RxSdkError | None = None
        for event in events:
            lost = self._handle_one(event) or lost
        if lost is not None:
            self.end(lost)

    def _handle_one(self, event: Any) -> RxSdkError | None:
        """What it means for who listens; an error when it means the end of the lane."""
        match event:
            case CallReplied():
                self._settings.show(event.res)
                event.request.released().reply(event.res, final=True)  # no lane has watches
            case CallFailed():
                if event.res is not None:
                    self._settings.show(event.res)
                event.request.released().fail(event.error)
            case PhaseChanged(phase=Phase.READY):
                self._connection.settle()
                if not self.ready.done():
                    self.ready.set_result(True)
            case PhaseChanged(phase=Phase.DISCONNECTED) if self.ready.done():
                self._connection.suspend()  # it is not to connect again
                return ConnectionLost("the connection was lost")
            case ReauthRefused():
                return CallRejected("session/reauth", event.res)
            case ServerRefused(res=res):
                return VerifyRefused(self._settings.api, status=res.status, code=res.code, msg=res.msg)
            case ConnectionGivenUp():
                self._connection.drop(event.error)
            case MessageReceived():
                self._settings.show(event.res)
            case FrameRejected():
                _log.warning("dropped: %s", event.error)
            case RequestWritten():
                self._settings.show_written(event.request)
            case PhaseChanged() | SessionChanged() | HeartbeatAnswered() | RequestRepeated():
                pass  # the session is the main connection's matter; the others are none
        return None
