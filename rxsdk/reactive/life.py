"""`Life`: one life of a service, from opening to closing, whatever wire it speaks.

Floor 2. It holds what every service has: the loop it runs on, the dispatcher that calls its observers, the connection
and its state, and the order in which all that ends. The service brings the machine and says what its events mean.

Invariants: the machine and the connection are touched on their loop only; what comes from another thread goes through
`on_loop`. A life ends once, by `close` or by `fail`, and then everybody has been told before anything is let go. Where
nothing can be awaited any more (the loop was closed, or its tasks were cancelled) it ends at once.

A service that nobody closes is closed here: when it is garbage, when the interpreter exits, in a forked child. For
the first, nothing that the loop holds may hold the service: it must keep what this module calls outside of itself.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import math
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from reactivex import operators as ops

from rxsdk.core.clock import Clock, LoopClock
from rxsdk.core.connection import Connection
from rxsdk.core.loop import LoopChoice, LoopLease, choose_loop, running_loop
from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState, check_transition
from rxsdk.core.transport import Connect
from rxsdk.errors import ConnectFailed, RxSdkError
from rxsdk.protocols.contract import Machine
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import FORKED, Dispatcher
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.reactive.subscription import Subscription

__all__ = ["Life"]

T = TypeVar("T")
_log = logging.getLogger("rxsdk")
_ENDS = frozenset({"closing", "closed", "failed"})
_EXIT_S = 2.0
_LOOK_AT_LOOP_S = 0.1
_TASKS_CANCELLED = "the tasks of its event loop were cancelled"
_LOOP_CLOSED = "the event loop that the service ran on is closed"


class Closing(Call[ConnectionState]):
    """What ``close()`` returns: settles with the last state when all has ended; ``result`` joins the threads too.

    Nobody tells of a loop that the application closes meanwhile. So whoever waits looks, and ends what that loop did
    not come to.
    """

    def __init__(self, life: Life) -> None:
        super().__init__("close", life.dispatcher, lambda _call, _asked: None)
        self._life = life

    def result(self, timeout_s: float | None = None) -> ConnectionState:
        """See `Call.result`."""
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = until - time.monotonic()
            try:
                state = super().result(min(left_s, _LOOK_AT_LOOP_S))
            except TimeoutError:
                if left_s <= _LOOK_AT_LOOP_S:
                    raise TimeoutError(f"close: not over within {timeout_s:g} s") from None
            else:
                self._life.join_threads()
                return state

    def admit(self, subscription: Subscription) -> None:
        """See `Outcome.admit`."""
        self._life.look_at_loop()
        super().admit(subscription)

    def when_settled(self, waiter: Callable[[], None]) -> None:
        """See `Outcome.when_settled`."""
        self._life.look_at_loop()
        super().when_settled(waiter)

    def _left_behind(self) -> None:
        self.reply(self._life.state, final=True)


class Life:
    """Made before the service is opened, so that its streams can be subscribed to; used once."""

    lease: LoopLease
    clock: Clock
    connection: Connection

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self.state = ConnectionState("idle")
        self.is_open = False
        self.is_used = False
        self.why_closed = "init() has not been called"
        self.trouble: Exception | None = None
        self._streams: list[Multicast[Any]] = []
        self.states: Multicast[ConnectionState] = self.stream(keep_latest=True, initial=self.state)
        self.readiness: Multicast[bool] = self.stream(keep_latest=True, initial=False)
        self._closing: Closing | None = None
        self._deciding = threading.RLock()  # who closes it: any thread may, also in a signal's handler
        self._has_ended = False
        self._failure: RxSdkError | None = None  # that it ends with
        self._inbox: SimpleQueue[tuple[Callable[[Any], None], Any]] = SimpleQueue()
        self._inbox_is_due = False
        self._is_cut_off = False
        self._alone = threading.RLock()  # once it is cut off, any thread may come
        self._ending: asyncio.Task[None] | None = None
        self._spawned: dict[asyncio.Task[None], Callable[[], None]] = {}

    def stream(self, **settings: Any) -> Multicast[Any]:
        """A stream that ends when this life does; ``settings`` are those of `Multicast`."""
        made: Multicast[Any] = Multicast(self.dispatcher, **settings)
        with self.dispatcher.lock:
            self._streams.append(made)
        return made

    # -- opening

    def open(
        self,
        owner: object,
        machine: Machine,
        connect: Connect,
        *,
        inside: object,
        handlers: Mapping[type[Any], Callable[[Any, Any], object]],
        end_rest: Callable[[], Sequence[asyncio.Task[Any]]],
        loop: LoopChoice,
        policy: ReconnectPolicy,
        delivery: DeliveryPolicy,
        clock: Clock | None,
    ) -> None:
        """Begin to connect.

        Args:
            owner: the service; when nobody refers to it any more, this ends. Nothing given here may hold it.
            handlers: what to do with each type of event of the machine; called with ``inside`` and the event, on the
                loop.
            end_rest: ends what the machine does not know of, and returns the tasks to wait for; called on the loop,
                perhaps twice.
        """
        self._machine = machine
        self._inside = inside
        self._handlers = handlers
        self._end_rest = end_rest
        self.dispatcher.policy = delivery
        self.lease = choose_loop(loop)
        self.clock = clock or LoopClock(self.lease.loop)
        self.connection = Connection(
            machine,
            connect,
            loop=self.lease.loop,
            clock=self.clock,
            policy=policy,
            on_events=self._handle,
            hand_up=self.dispatcher.deliver_during,
            on_state=self.set_state,
            on_failed=self.fail,
            on_cancelled=self._cut_off,
        )
        if self.lease.is_own:
            self.dispatcher.run_on_thread("rxsdk delivery", self.lease.loop, self.connection.rest)
        else:
            self.dispatcher.run_on_loop(self.lease.loop)
        self.is_open = self.is_used = True
        self._unclosed = weakref.finalize(owner, _dropped, self, type(owner).__name__)
        self._unclosed.atexit = False  # for that there is `_close_at_exit`, which closes all at the same time
        _open_lives.add(self)
        self.on_loop(lambda _: self.connection.start(), None)

    def wait_ready(self, timeout_s: float, api: str) -> None:
        """Block until ready; see `when_ready` for what is raised."""
        try:
            self._ready().result(timeout_s)
        except TimeoutError:
            raise self._not_ready(timeout_s, api) from self.trouble

    async def when_ready(self, timeout_s: float, api: str) -> None:
        """Wait until ready.

        Raises:
            ConnectFailed: not ready in time (the cause says what went wrong last), or never.
        """
        try:
            async with asyncio.timeout(timeout_s):  # `wait_for` of Python 3.11 may swallow a cancellation
                await self._ready()
        except TimeoutError:
            raise self._not_ready(timeout_s, api) from self.trouble

    def _ready(self) -> Stream[bool]:
        ready: Stream[bool] = self.readiness.pipe(ops.first(bool))
        return ready

    def _not_ready(self, timeout_s: float, api: str) -> ConnectFailed:
        why = f": {getattr(self.trouble, 'reason', self.trouble) if self.trouble else f'still {self.state.name}'}"
        return ConnectFailed(api, f"not ready within {timeout_s:g} s{why}")

    # -- living

    def still_open(self) -> bool:
        """`is_open`, looked at closely: the caller may have closed the loop over its head."""
        if self.is_open and self.lease.loop.is_closed():
            self._cut_off(_LOOP_CLOSED)
        return self.is_open

    def on_loop(self, job: Callable[[T], None], argument: T) -> None:
        """Run ``job(argument)`` on the connection's loop: now if this is its thread, else soon and in order.

        Now is after what other threads have left before: a call of theirs is made before it is cancelled here.
        """
        if running_loop() is self.lease.loop:
            if self._inbox_is_due:
                self._empty_inbox()
            job(argument)
            return
        self._inbox.put((job, argument))
        if self._is_cut_off:
            self._run_here()
        elif not self._inbox_is_due:
            self._inbox_is_due = True
            try:
                self.lease.loop.call_soon_threadsafe(self._empty_inbox)
            except RuntimeError:  # the caller's loop was closed a moment ago
                self._cut_off(_LOOP_CLOSED)
                self._run_here()

    def spawn(self, work: Coroutine[Any, Any, None], name: str, cut_off: Callable[[], None]) -> asyncio.Task[None]:
        """A task that is cancelled, and waited for, when this life ends; on the loop.

        ``cut_off`` is called instead where nothing can be waited for: the task will perhaps never run again.
        """
        task = self.lease.loop.create_task(work, name=name)
        self._spawned[task] = cut_off
        task.add_done_callback(self._spawned.pop)
        return task

    @property
    def is_cut_off(self) -> bool:
        """Whether it ends where nothing can be awaited, or has ended."""
        return self._is_cut_off

    def _empty_inbox(self) -> None:
        if self._is_cut_off:
            self._run_here()
        else:
            self._run_inbox()

    def _run_inbox(self) -> None:
        self._inbox_is_due = False
        try:
            while not self._inbox.empty():
                job, argument = self._inbox.get_nowait()
                job(argument)
        finally:
            if not self._inbox.empty():  # a job raised; the others are not to wait for the next
                self._inbox_is_due = True
                self.lease.loop.call_soon(self._empty_inbox)

    def _handle(self, events: Sequence[Any]) -> None:
        """Hand each event to its handler. One that raises is a mistake of ours, and keeps no other waiting."""
        inside, handlers, mistake = self._inside, self._handlers, None
        for event in events:
            try:
                handlers[type(event)](inside, event)
            except Exception as error:
                mistake = mistake or error
        if not self.is_open:
            self.dispatcher.run_if_closed()
        if mistake is not None:
            raise mistake

    @property
    def is_ready(self) -> bool:
        """Whether calls go out at once."""
        return self.state.name == "ready"

    def set_state(self, state: ConnectionState) -> None:
        """Move to ``state`` and tell everybody."""
        if not self.is_open and state.name not in _ENDS:
            return  # where the connection gets while it ends matters to nobody
        check_transition(self.state.name, state.name)
        was_ready, is_ready = self.is_ready, state.name == "ready"
        self.state = state
        if state.reason is not None:
            self.trouble = state.reason
        self.states.emit(state)
        if is_ready:
            self.connection.settle()
        if is_ready != was_ready:
            self.readiness.emit(is_ready)

    # -- ending

    def close(self) -> Closing:
        """End in good order; it has begun when this returns. Again, it returns the same."""
        why = "the service is closed"
        with self._deciding:
            if self._closing is not None:
                return self._closing
            self._closing = closing = Closing(self)
            begins = self.is_open and not self.lease.loop.is_closed()
            if begins:
                self.is_open = False
                self.why_closed = why
        if begins:
            self.on_loop(self._begin_to_end, None)
        elif self.is_open or not self.is_used:
            self._cut_off(why)
        elif self._has_ended:
            closing.reply(self.state, final=True)
        return closing

    def fail(self, error: RxSdkError) -> None:
        """End everything with ``error``; on the loop."""
        if self.is_open:
            if not any(stream.has_observers for stream in self._streams):
                _log.error("%s", error)
            self.why_closed = str(error)
            self._begin_to_end(error)
            self.is_open = False

    def _begin_to_end(self, error: RxSdkError | None) -> None:
        if self._ending is not None or self.state.name in _ENDS:
            return  # it failed, or was cut off, meanwhile
        self._failure = error
        if error is None:
            self.set_state(ConnectionState("closing"))
        self._ending = self.lease.loop.create_task(self._wind_up(error), name="rxsdk end")
        self._ending.add_done_callback(partial(self._wound_up, error))

    async def _wind_up(self, error: RxSdkError | None) -> None:
        if error is None:
            self.connection.flush_now()
        self._end_calls(error)
        await self.connection.close()
        left = [*self._end_rest(), *self._spawned]
        for task in self._spawned:
            task.cancel()
        if left:
            await asyncio.wait(left)

    def _wound_up(self, error: RxSdkError | None, ending: asyncio.Task[None]) -> None:
        if ending.cancelled():  # perhaps before it took its first step
            self._end_at_once(error)
        else:
            if ending.exception() is not None:
                _log.error("ending went wrong by a mistake of ours", exc_info=ending.exception())
            self._tell_the_end(error)

    def _cut_off(self, why: str = _TASKS_CANCELLED) -> None:
        """End where nothing can be awaited: there is no loop, or it is closed, or about to be."""
        with self._alone:
            if self._ending is None and self.state.name not in _ENDS:
                self.is_open = False
                self.why_closed = why
                self.set_state(ConnectionState("closing"))
                self._end_at_once(None)

    def look_at_loop(self) -> None:
        """If the loop was closed over its head, end what that did not come to."""
        if self._has_ended or not self.is_used or self.lease.is_own or not self.lease.loop.is_closed():
            return
        self._cut_off(_LOOP_CLOSED)
        with self._alone:
            if self.state.name in ("closed", "failed"):
                self.dispatcher.run_now()  # all that was left is to tell it
            else:
                self._end_at_once(self._failure)

    def _end_at_once(self, error: RxSdkError | None) -> None:
        self._is_cut_off = True
        try:
            if self.is_used:
                self.connection.cut_off()
                self._end_calls(error)
                self._end_rest()
                for cut_off in list(self._spawned.values()):
                    cut_off()
                self._run_here()
        except Exception:
            _log.exception("ending went wrong by a mistake of ours")
        self._tell_the_end(error)
        self.dispatcher.run_now()

    def _run_here(self) -> None:
        """The loop will not come to it: what was left for it is done by whoever left it."""
        with self._alone:
            self._run_inbox()
            self._handle(self._machine.events())
        self.dispatcher.run_if_closed()

    def _end_calls(self, error: RxSdkError | None) -> None:
        if error is None:
            self._machine.close()
        else:
            self._machine.fail(error)
        self._handle(self._machine.events())

    def _tell_the_end(self, error: RxSdkError | None) -> None:
        """The last thing that everybody hears."""
        state = ConnectionState("closed") if error is None else ConnectionState("failed", error)
        self.set_state(state)
        for stream in self._streams:
            if error is None:
                stream.complete()
            else:
                stream.fail(error)
        self.dispatcher.close(partial(self._ended, state))

    def _ended(self, state: ConnectionState) -> None:
        """Everybody has been told: let the loop go, then those who wait for the end."""
        if self.is_used:
            self._unclosed.detach()
            self._is_cut_off = True  # a thread that asked while it was open and comes only now helps itself
            self.connection.cut_off()
            if not self._inbox.empty():
                self._run_here()
            self.lease.release()
        self._ending = None
        self._has_ended = True
        if self._closing is not None:
            self._closing.reply(state, final=True)

    def join_threads(self) -> None:
        """After the end: wait until its threads have ended too."""
        if self.is_used:
            self.dispatcher.join()
            self.lease.release()
            self.lease.join()

    async def aclose(self) -> None:
        """Close, and wait until nothing of it runs any more."""
        await self.close()
        if self.is_used and self.lease.is_own:
            await asyncio.to_thread(self.join_threads)

    def let_go_of_calls(self) -> None:
        """The loop is closed, and nobody has the service: its calls end, though no observer is called any more.

        The collector would leave them for ever: it does not look into requests.
        """
        with suppress(Exception):  # the loop may have stopped in the middle of something
            self._end_calls(None)

    def abandon(self) -> None:
        """In a forked child: what was going on goes on in the parent, where everybody is told; here it has ended."""
        self.dispatcher.abandon()
        self._alone = self._deciding = threading.RLock()
        if not self._has_ended:
            self.state = ConnectionState("closed")
            self.is_open = False
            self.why_closed = FORKED
            self._ending = None
            self._has_ended = self._is_cut_off = True
            self.connection.cut_off()
            ends: list[Callable[[], object]] = [partial(self._end_calls, None), *self._spawned.values(), self._run_here]
            for end in ends:
                with suppress(Exception):  # the thread that did not come along may have been in the middle of something
                    end()
            for stream in self._streams:
                stream.complete()
            self.dispatcher.abandon()


_open_lives: weakref.WeakSet[Life] = weakref.WeakSet()


def _dropped(life: Life, service: str) -> None:
    """Nobody refers to the service any more."""
    if life.is_open:
        try:
            # The collector runs in the middle of anything: hence in a turn of its own.
            life.lease.loop.call_soon_threadsafe(life.close)
        except RuntimeError:  # its loop is closed
            life.let_go_of_calls()
        text = f"an open {service} was dropped: use it in a `with`, or end it with close()"
        warnings.warn(text, ResourceWarning, stacklevel=3)


def _close_at_exit() -> None:
    """Say goodbye to the servers; a service on the caller's loop ends with that loop."""
    over_by = time.monotonic() + _EXIT_S
    for closing in [life.close() for life in list(_open_lives) if life.is_open and life.lease.is_own]:
        with suppress(TimeoutError):
            Call.result(closing, max(0.0, over_by - time.monotonic()))


def _after_fork() -> None:
    for life in list(_open_lives):
        life.abandon()
    LoopLease.forget_threads()


atexit.register(_close_at_exit)
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_after_fork)  # Windows has no fork
