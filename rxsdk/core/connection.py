"""`Connection`: drives a protocol machine over one transport after another.

Floor 1. It knows no wire: it connects, hands the machine what comes in and the time, writes what the machine lets
out, hands its events up, and starts again with a delay when the transport is lost. Used by the services.

Data in:   transport → `frames_received` → ``machine.receive`` → `_pump` → ``on_events``
Data out:  ``machine.…`` then `flush` → `_pump` → ``machine.frames_to_send`` → transport

Invariants: everything runs on one loop. A transport that is lost is never heard again. Frames are made only when the
transport takes them, so a call that waits behind a full buffer still counts as unwritten.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from rxsdk.core.clock import Clock, Timer
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import Connect, Transport
from rxsdk.errors import ConnectionLost, HeartbeatTimeout, LocalProtocolError, RxSdkError, TransportError
from rxsdk.protocols.contract import Machine

__all__ = ["Connection"]

_LOOK_AT_CLOCKS_S = 5.0
_SLEPT_S = 3.0
_REST_S = 0.002
"""About twice as long as it takes to read and decode 64 KiB of small messages, which is what a turn reads."""

_log = logging.getLogger("rxsdk.connection")


class _Link:
    """One transport's ear: once it is cut off, a late word of a stale socket goes nowhere."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection

    def frames_received(self, frames: Sequence[bytes]) -> None:
        if self.connection is not None:
            self.connection.frames_received(frames)

    def transport_writable(self) -> None:
        if self.connection is not None:
            self.connection.flush()

    def transport_lost(self, error: TransportError) -> None:
        if self.connection is not None:
            self.connection.transport_lost(error)


class Connection:
    """Keeps ``machine`` connected through ``connect`` until closed.

    Args:
        on_events: called with what the machine reported, in order; who asks more of the machine there calls `flush`.
        hand_up: called with what reports all that came of some messages, which it calls there and then.
        on_state: called with each change that the core itself makes: connecting, reconnecting, suspended.
        on_failed: called once when it ends for good by itself: a fatal `ConnectFailed`, or a mistake of ours.
        on_cancelled: called once when its task is cancelled: the loop is going to be closed, nothing can be awaited.
    """

    # These are the class's until they are used: with more of its own than 29, each would weigh 1 KiB more.
    _suspended = False
    _suspension: ConnectionLost | None = None
    _resting: asyncio.TimerHandle | None = None

    def __init__(
        self,
        machine: Machine,
        connect: Connect,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        policy: ReconnectPolicy,
        on_events: Callable[[Sequence[Any]], None],
        hand_up: Callable[[Callable[[], None]], None],
        on_state: Callable[[ConnectionState], None],
        on_failed: Callable[[RxSdkError], None],
        on_cancelled: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._connect = connect
        self._loop = loop
        self._clock = clock
        self._policy = policy
        self._on_events = on_events
        self._hand_up = hand_up
        self._on_state = on_state
        self._on_failed = on_failed
        self._on_cancelled = on_cancelled

        self._transport: Transport | None = None
        self._link: _Link | None = None
        self._lost: asyncio.Future[TransportError] | None = None
        self._attempt = 0
        self._is_settling = False
        self._opening: asyncio.Future[Transport] | None = None
        self._closing = False
        self._awake = loop.create_future()  # done: do not wait for anything
        self._pump_is_due = False
        self._is_pumping = False
        self.wrote_at = -math.inf  # when something last went out
        self._pumps_again = False
        self._writes_at_once = False
        self._timer: Timer | None = None
        self._timer_at = math.inf  # when it rings
        self._clock_timer: Timer | None = None
        self._clocks_apart = 0.0
        self._task: asyncio.Task[None] | None = None

    # -- what the service asks; all on the loop

    def start(self) -> None:
        """Begin to connect, if it was not cut off before."""
        if self._closing:
            return
        self._task = self._loop.create_task(self._run(), name="rxsdk connection")
        self._task.add_done_callback(self._ran)
        self._clocks_apart = self._clock.wall() - self._clock.now()
        self._watch_clocks()

    def flush(self) -> None:
        """Let the machine's frames and events out: at the end of this turn of the loop, many at once.

        What handling an event brings goes out with the rest. The first that follows a single word of the peer goes out
        here and now: one call after another must not wait for turns. (After many words, many calls come together.)
        """
        if self._is_pumping:
            self._pumps_again = True
        elif self._writes_at_once:
            self._writes_at_once = False
            self._pump()
        else:
            self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self._pump)

    def flush_now(self) -> None:
        """The same at once."""
        self._pump()

    def settle(self) -> None:
        """The connection is ready. Once the peer says another word it stands, and the next loss begins anew."""
        self._is_settling = True

    def drop(self, error: TransportError) -> None:
        """Give the present transport up and connect again."""
        self.lost(error)

    def suspend(self) -> None:
        """Disconnect and stay so (the machine sleeps, the app is in the background) until `resume`."""
        if not self._suspended and not self._closing:
            self._suspended = True
            self._suspension = ConnectionLost("suspended")
            self._interrupt(self._suspension)

    def reconnect_now(self) -> None:
        """Do not wait for the delay to pass. While connected it means nothing, also for the next loss."""
        if not self._closing and self._transport is None:
            self._wake()

    def resume(self) -> None:
        """Connect at once, without waiting for a delay to pass."""
        if self._suspended and not self._closing:
            self._suspended = False
            self._attempt = 0
            self._wake()

    def rest(self) -> None:
        """Read nothing for a moment, and leave the interpreter to whoever delivers what was read."""
        if self._transport is not None and self._resting is None:
            self._transport.pause_reading()
            self._resting = self._loop.call_later(_REST_S, self._read_on)

    def _read_on(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            if self._transport is not None:
                self._transport.resume_reading()

    def close(self) -> Coroutine[Any, Any, None]:
        """Connect no more from this moment on; when awaited, write what the machine has to say, say goodbye and end."""
        self._closing = True  # the machine may be closed by now: a transport that opens meanwhile is not for it
        return self._close()

    async def _close(self) -> None:
        self._pump()
        self._stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    def cut_off(self) -> None:
        """The loop runs nothing any more: be quiet, from whatever thread somebody asks for something."""
        self._closing = self._pump_is_due = True
        self._writes_at_once = False

    # -- what the transport tells

    def frames_received(self, frames: Sequence[bytes]) -> None:
        """Messages of the peer, some of those that came in one piece."""
        if self._is_settling:
            self._is_settling = False
            self._attempt = 0
        now, receive = self._clock.now(), self._machine.receive
        try:
            for frame in frames:
                receive(frame, now)
        except Exception as error:
            self._broken(error)
            return
        self._writes_at_once = len(frames) == 1
        if self._is_pumping:  # the peer answered within our write: the loop is to breathe in between
            self._pump_soon()
        else:
            self._hand_up(self._pump)

    def transport_lost(self, error: TransportError) -> None:
        """The transport ended. What it said last comes first: it may be the better reason."""
        self._transport = None
        if self._pump_is_due:
            self._pump()
        self.lost(error)

    def lost(self, error: TransportError) -> None:
        """Be done with the present transport, because of ``error``."""
        if self._lost is not None and not self._lost.done():
            self._cut_link()
            self._lost.set_result(error)

    def _cut_link(self) -> None:
        """Neither hear nor write another word; whatever is not written yet waits for the next transport."""
        if self._link is not None:
            self._link.connection = None
            self._link = None
        self._read_on()  # or the goodbye would not be heard
        self._transport = None

    # -- how it ends

    def _stop(self) -> None:
        self._closing = True
        self._interrupt(ConnectionLost("closed"))
        for timer in (self._timer, self._clock_timer):
            if timer is not None:
                timer.cancel()

    def _interrupt(self, reason: ConnectionLost) -> None:
        """Whatever it is doing, connecting, waiting or being connected: let it look what is wanted now."""
        if self._opening is not None:
            self._opening.cancel()
        self._wake()
        self.lost(reason)

    def _broken(self, error: Exception) -> None:
        """A mistake of ours, in the machine or the service: say so and end, or calls would hang."""
        _log.error("the connection ended by a mistake of ours", exc_info=error)
        if not isinstance(error, RxSdkError):
            bug = LocalProtocolError(f"{type(error).__name__} while connected")
            bug.__cause__ = error
            error = bug
        self._fail(error)

    def _fail(self, error: RxSdkError) -> None:
        if not self._closing:
            self._stop()
            self._on_failed(error)

    # -- the life of it

    async def _run(self) -> None:
        try:
            while not self._closing:
                if self._suspended:
                    await self._rest()
                else:
                    await self._connect_and_live()
        except TransportError as error:
            self._fail(error)
        except Exception as error:
            self._broken(error)

    def _ran(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._closing:
            self._stop()
            self._on_cancelled()

    async def _connect_and_live(self) -> None:
        self._on_state(ConnectionState("connecting", attempt=self._attempt))
        try:
            transport = await self._open()
        except TransportError as error:
            reason = error
        else:
            if transport is None:
                return
            politely = True
            try:
                if self._suspended or self._closing:
                    return
                reason = await self._live(transport)
                politely = not isinstance(reason, HeartbeatTimeout)  # nobody is there to say goodbye to
            finally:
                await transport.close(politely=politely)
        if self._closing:
            return
        if self._suspended or reason is self._suspension:  # then it may be over by now
            await self._rest()
            return
        if self._policy.gives_up(reason, self._attempt):
            raise reason
        await self._wait_before_retry(reason)

    async def _open(self) -> Transport | None:
        """A new transport, or None when it is no longer wanted."""
        while not self._suspended and not self._closing:
            self._be_patient()
            self._opening = asyncio.ensure_future(self._connect())
            try:
                await asyncio.wait([self._opening])
            except asyncio.CancelledError:
                await self._let_be(self._opening)
                raise
            finally:
                opening, self._opening = self._opening, None
            if not opening.cancelled():  # else suspended, perhaps resumed already
                return opening.result()
        return None

    @staticmethod
    async def _let_be(opening: asyncio.Future[Transport]) -> None:
        """It may have opened in the very moment in which nobody wanted it any more."""
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled() and opening.exception() is None:
            await opening.result().close(politely=False)

    async def _live(self, transport: Transport) -> TransportError:
        """From an open transport to its loss, which is returned."""
        self._lost = self._loop.create_future()
        self._transport = transport
        self._link = _Link(self)
        try:
            self._machine.connected(self._clock.now(), transport.subprotocol)
            transport.start(self._link)
            self.flush()
            reason = await self._lost
        finally:
            self._lost = None
            self._cut_link()
        if not self._closing:
            self._machine.disconnected(self._clock.now(), reason)
            self._pump()
        return reason

    async def _wait_before_retry(self, reason: TransportError) -> None:
        self._attempt += 1
        delay_s = self._policy.delay_s(self._attempt, random.random())
        level = logging.WARNING if self._attempt == 1 else logging.INFO
        _log.log(level, "%s; trying again in %.1f s (attempt %d)", reason, delay_s, self._attempt)
        self._on_state(ConnectionState("reconnecting", reason, self._attempt, self._clock.wall() + delay_s))
        timer = self._clock.call_at(self._clock.now() + delay_s, self._wake)
        try:
            await self._awake  # perhaps it was set since this round began
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if not self._awake.done():
            self._awake.set_result(None)

    def _be_patient(self) -> None:
        if self._awake.done():
            self._awake = self._loop.create_future()

    async def _rest(self) -> None:
        self._on_state(ConnectionState("suspended"))
        while self._suspended and not self._closing:
            await self._awake
            self._be_patient()

    def _watch_clocks(self) -> None:
        """Notice that the computer slept: its monotonic clock stood still meanwhile, the wall clock did not.

        Then the network is just back, so a try is made at once; an open connection is asked whether it still is one.
        """
        apart = self._clock.wall() - self._clock.now()
        if apart - self._clocks_apart > _SLEPT_S:
            _log.info("woken up after %.0f s", apart - self._clocks_apart)
            self._wake()
            if self._transport is not None:
                self._machine.probe(self._clock.now())
                self.flush()
        self._clocks_apart = apart
        # At the same moments for all connections: the loop of a thousand is woken up once, not a thousand times.
        look_at = (self._clock.now() // _LOOK_AT_CLOCKS_S + 1) * _LOOK_AT_CLOCKS_S
        self._clock_timer = self._clock.call_at(look_at, self._watch_clocks)

    def _pump(self) -> None:
        """Hand up what happened, write what may be written after it, set the timer.

        In this order: what a call may not be written after (another session, a connection given up) is heard before.
        """
        machine, clock = self._machine, self._clock
        self._pump_is_due = False
        self._is_pumping = True
        try:
            events = machine.events()
            while True:
                if events:
                    self._on_events(events)
                self._pumps_again = False
                transport = self._transport
                if transport is not None and transport.writable:
                    now = clock.now()
                    frames = machine.frames_to_send(now, clock.wall())
                    if frames:
                        self.wrote_at = now
                        transport.write(frames)
                events = machine.events()
                if not events and not self._pumps_again:
                    break
            deadline = machine.next_deadline()
            if deadline is not None and deadline < self._timer_at:  # a timer that rings early only looks again
                self._set_timer(deadline)
        except Exception as error:
            self._broken(error)
        finally:
            self._is_pumping = False

    def _set_timer(self, deadline: float) -> None:
        if self._closing:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._clock.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        try:
            self._machine.handle_deadline(self._clock.now())
        except Exception as error:
            self._broken(error)
        else:
            self._pump()
