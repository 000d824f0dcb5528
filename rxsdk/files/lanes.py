"""`Lanes`: further connections of the session in force, which carry files so that nothing else waits behind them.

Floor 2, above the core. A `Lane` is a `Connection` and a `LimpMachine` of its own: verified, signed in again, kept
alive and closed by the same rules as the main one, opened when first wanted and closed when nobody has used it for a
while. It never lives twice: one that loses its connection after it was ready has ended, and whoever was on it takes
another.

The server keeps chunks per connection and attribute and gives whatever it has of an attribute to the next call that
names it (limp.md, "Files"). Hence the two rules kept here: two calls are on one lane together only when neither names
an attribute that the other uploads; and a lane that a call has left without success takes no further calls and is
closed when the last one on it is done, so that no leftover meets anybody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rxsdk.core.clock import Timer, done_within
from rxsdk.core.connection import Connection
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import Connect
from rxsdk.errors import CallNotSent, CallRejected, ConnectionLost, RxSdkError, VerifyRefused
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

__all__ = ["Claim", "Lane", "Lanes"]

_IDLE_S = 30.0

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

    def __init__(self, settings: LaneSettings, life: Life, session: Any, on_change: Callable[[Lane], None]) -> None:
        self.slots = asyncio.Semaphore(settings.window)
        self.quota_opens_at = float("-inf")
        self.claims: set[Claim] = set()
        self.is_retired = False
        self.lost: RxSdkError | None = None
        self.trouble: Exception | None = None
        self.ready: asyncio.Future[None] = life.lease.loop.create_future()
        self.gone: asyncio.Future[None] = life.lease.loop.create_future()
        self._settings = settings
        self._clock = life.clock
        self._on_change = on_change
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
            task.add_done_callback(lambda _: self._on_change(self))
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
        for future in (self.ready, self.gone):
            if not future.done():
                future.set_result(None)
        self._on_change(self)

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
                event.request.listener.reply(event.res, final=event.final)
            case CallFailed():
                if event.res is not None:
                    self._settings.show(event.res)
                event.request.listener.fail(event.error)
            case PhaseChanged(phase=Phase.READY):
                self._connection.settle()
                if not self.ready.done():
                    self.ready.set_result(None)
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


@dataclass(eq=False)
class _Turn:
    """A call that waits for a lane."""

    claim: Claim
    lane: asyncio.Future[Lane]


class Lanes:
    """All lanes of one service, and who waits for one; everything on the loop."""

    def __init__(self, settings: LaneSettings, life: Life, session: Callable[[], Any]) -> None:
        self._settings = settings
        self._life = life
        self._session = session
        self._lanes: list[Lane] = []
        self._turns: list[_Turn] = []
        self._idle: dict[Lane, Timer] = {}

    async def take(self, claim: Claim, endpoint: str, timeout_s: float | None) -> Lane:
        """A lane that is ready and free for ``claim``, until `leave`.

        Raises:
            CallNotSent: there was none within ``timeout_s``, or none can be opened; it says why.
        """
        give_up_at = None if timeout_s is None else self._life.clock.now() + timeout_s
        turn = _Turn(claim, self._life.lease.loop.create_future())
        self._turns.append(turn)
        self._give()
        try:
            if not await done_within(self._life.clock, timeout_s, turn.lane):
                who = ", ".join(sorted(claim.files))
                raise CallNotSent(endpoint, f"other uploads to {who} took more than {timeout_s:g} s")
            lane = turn.lane.result()
            left_s = None if give_up_at is None else max(0.0, give_up_at - self._life.clock.now())
            if not await done_within(self._life.clock, left_s, lane.ready):
                raise _none_opened(endpoint, f"within {timeout_s:g} s", lane.trouble)
            if lane.lost is not None:
                raise _none_opened(endpoint, "", lane.lost)
        except BaseException:
            self._turns = [one for one in self._turns if one is not turn]
            if turn.lane.done():
                self.leave(turn.lane.result(), claim, clean=True)
            else:
                self._give()  # those behind it may have waited for it alone
            raise
        return lane

    def leave(self, lane: Lane, claim: Claim, *, clean: bool) -> None:
        """Done; not ``clean`` when the server may have kept something of it."""
        lane.claims.discard(claim)
        lane.is_retired = lane.is_retired or not clean
        if not lane.claims and lane.lost is None:
            if lane.is_retired:
                lane.end(ConnectionLost("no longer wanted"))
            else:
                self._idle[lane] = self._life.clock.call_at(self._life.clock.now() + _IDLE_S, lambda: self._tire(lane))
        self._give()

    def retire(self) -> None:
        """The session has changed: whoever comes now gets a lane with the new one."""
        for lane in list(self._lanes):
            lane.is_retired = True
            if not lane.claims:
                lane.end(ConnectionLost("no longer wanted"))

    def end(self, *, awaited: bool) -> list[asyncio.Task[None]]:
        """End all; returns what is to be waited for, if anything can be ``awaited``."""
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        lanes = list(self._lanes)
        for lane in lanes:
            if awaited:
                lane.end(ConnectionLost("closed"))
            else:
                lane.cut_off()
        return [task for lane in lanes for task in lane.ending]

    def _give(self) -> None:
        """Let in who can be, those who have waited longest first."""
        waiting: list[_Turn] = []
        for turn in self._turns:
            lane = self._free_for(turn.claim) if all(turn.claim.fits(one.claim) for one in waiting) else None
            if lane is None:
                waiting.append(turn)
                continue
            lane.claims.add(turn.claim)
            if lane in self._idle:
                self._idle.pop(lane).cancel()
            turn.lane.set_result(lane)
        self._turns = waiting

    def _free_for(self, claim: Claim) -> Lane | None:
        lanes = [lane for lane in self._lanes if lane.lost is None and not lane.is_retired]
        for lane in lanes:
            if all(claim.fits(other) for other in lane.claims):
                return lane
        if len(lanes) >= self._settings.most:
            return None
        lane = Lane(self._settings, self._life, self._session(), self._changed)
        self._lanes.append(lane)
        return lane

    def _tire(self, lane: Lane) -> None:
        del self._idle[lane]
        lane.end(ConnectionLost("no longer wanted"))

    def _changed(self, lane: Lane) -> None:
        if lane.lost is not None:
            if lane in self._idle:
                self._idle.pop(lane).cancel()
            if not lane.ending and lane in self._lanes:
                self._lanes.remove(lane)
        self._give()


def _none_opened(endpoint: str, when: str, why: Exception | None) -> CallNotSent:
    text = f"no connection for its files could be opened {when}".rstrip()
    error = CallNotSent(endpoint, text if why is None else f"{text}: {why}")
    error.__cause__ = why
    return error
