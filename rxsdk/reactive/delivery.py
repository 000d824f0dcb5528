"""Delivery: how a notification gets from the connection to an observer without either harming the other.

Floor 2. Streams and calls post jobs to their service's `Dispatcher`, which runs them one after another: on the caller's
loop in bounded slices, or on one thread of the service. So a callback never runs within the call that caused it, nor
concurrently with itself; one that is slow or raises takes nothing from the reader of the socket, and harms nobody.

On the caller's loop the reader hands up, after each few messages, what came of them within `Dispatcher.deliver_during`:
an answer for which nothing is to wait is delivered there and then, with no job, and what is due after that next, as far
as the slice of that turn goes. So what was made of the messages dies young instead of waiting in thousands.

When a mailbox fills faster than it empties (`Dispatcher.hurry`), the reader may be to blame: it gets more of the
processor, or of the interpreter, than delivery does. So the loop breathes less often; beside a thread, the reader rests
for a moment after each turn. It waits for nobody: if the mailbox goes on filling nevertheless, its owner is slow, and
past `_SLOW_AT` no moment is left to him.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import length_hint
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from rxsdk.core.loop import SdkThread, running_loop
from rxsdk.core.mailbox import DeliveryPolicy

__all__ = ["FORKED", "SLICE_S", "Dispatcher", "Laggard", "let_out", "report_unhandled"]

SLICE_S = 0.005
"""For so long observers are called before the loop may do something else."""

FORKED = "this process was forked from the one that opened the service; open one here"
"""Why nothing comes any more of a service whose dispatcher was abandoned."""

_HURRIED_SLICE_S = 0.05
_SLOW_AT, _EASY_AT = 0.75, 0.25
"""So full the mailbox of a slow subscriber is; and one that was half full and is none too full any more."""

_STOCK_POLICY = DeliveryPolicy()
_log = logging.getLogger("rxsdk")

V = TypeVar("V")


def report_unhandled(error: BaseException, where: str) -> None:
    """Log an error that no observer took, and tell ``rxsdk.on_unhandled`` (looked up by name: it may be replaced)."""
    _log.error("unhandled in %s: %s", where, type(error).__name__, exc_info=error)
    hook = getattr(sys.modules.get("rxsdk"), "on_unhandled", None)
    if hook is not None:
        try:
            hook(error)
        except BaseException as raised:
            _log.exception("rxsdk.on_unhandled itself raised")
            let_out(raised)


def let_out(error: BaseException) -> None:
    """Raise on what ends a program, such as Ctrl-C, where the thread is the caller's; on ours it would end delivery."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)) and not isinstance(threading.current_thread(), SdkThread):
        raise error


class _Late(threading.local):
    """The jobs that this thread posted to dispatchers that have closed."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._runs = False

    def run(self) -> None:
        """Run them, unless this is called by one of them."""
        if not self._runs:
            self._runs = True
            try:
                while self.jobs:
                    _guarded(*self.jobs.popleft())
            finally:
                self._runs = False


_late = _Late()


class Laggard(Protocol):
    """Somebody who is given what he missed in turns of his own."""

    def take_turn(self) -> bool:
        """Give him some of it; returns whether there is more."""


class Pressed(Protocol):
    """Somebody whose mailbox was more than half full."""

    @property
    def pressure(self) -> float:
        """How full it is: 1 is full, 0 empty, or nobody's any more."""
        ...


class Slow(Protocol):
    """A source whose values may take long to deliver."""

    def took_long(self) -> None:
        """One did."""


class Dispatcher:
    """Runs the jobs of one service in order. Jobs may be posted from any thread, before it has a place to run too.

    The laggards have their turns, one after the other, when no job waits; while jobs do, they have a fifth of the time.
    So a slow one keeps the jobs waiting for one callback now and then, and jobs without end starve no laggard.

    `lock` guards the subscriber lists of the service's streams and calls, so that what a late subscriber is given and
    what comes after it fit together; nothing is ever called while it is held. (Except by the garbage collector, which
    may dispose a forgotten iteration in the middle of anything: hence re-entrant.)
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.policy = _STOCK_POLICY
        self.calls: tuple[Sequence[Any], Iterator[Any]] | None = None  # who is called, and those that are still to be
        self.source: Slow | None = None  # whose value was delivered last
        self.now = math.inf  # in `deliver_during`, what time it was when it began or something was last told at once
        self._turn = threading.Lock()  # held by the thread that is running jobs
        self._jobs: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._laggards: list[Laggard] = []
        self._laggards_wait_until = 0.0  # while there are jobs
        self._last: Callable[[], None] | None = None
        self._due = False
        self._slice_s = SLICE_S
        self._slice_ends = 0.0  # that of this turn of the loop
        self.loop: asyncio.AbstractEventLoop | None = None  # the caller's, if jobs run on that
        self._fed_by: asyncio.AbstractEventLoop | None = None  # the loop that jobs are posted on
        self._rest: Callable[[], None] | None = None  # lets who posts them do nothing for a moment
        self._pressed: tuple[Pressed, ...] = ()  # for whom that may be due
        self._turns = 0
        self._turn_goes_on = False
        self._thread: SdkThread | None = None
        self._tokens: SimpleQueue[None] = SimpleQueue()  # one wakes the thread
        self._closed = False
        self.is_abandoned = False

    def run_on_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run jobs on ``loop``, a slice a turn."""
        self.loop = self._fed_by = loop
        if self._jobs:
            self._call_slice(loop)

    def run_on_thread(
        self, name: str, fed_by: asyncio.AbstractEventLoop | None = None, rest: Callable[[], None] | None = None
    ) -> None:
        """Run jobs on a thread of their own; most are posted on the loop ``fed_by``, by a reader that can ``rest``."""
        self._fed_by = fed_by
        self._rest = rest
        self._thread = SdkThread(name, self._run)
        self._thread.start()
        if self._jobs:
            self._tokens.put(None)

    def post(self, job: Callable[[V], object], argument: V) -> None:
        """Have ``job(argument)`` called after all posted before; with `lock` held."""
        if self._closed:
            _late.jobs.append((job, argument))
            return
        self._jobs.append((job, argument))
        if not self._due:
            self._due = True
            if self._thread is not None:
                self._tokens.put(None)
            elif self.loop is not None:
                self._call_slice(self.loop)

    def run_due(self) -> None:
        """On the caller's loop, in nobody's callback: run what is due now, as far as this turn's slice goes.

        A reader that has more to hand up calls this in between, so that what it made dies young. Beside a thread, it is
        told to rest where that is due.
        """
        if self._pressed:
            self._let_reader_rest()
        elif self.loop is not None and self._due and time.perf_counter() < self._slice_ends:
            try:
                self._run_jobs(self._slice_ends)
            except BaseException as out:
                self.raise_later(out)

    def raise_later(self, error: BaseException) -> None:
        """In a turn of its own on the caller's loop: whoever called this has more to do."""
        assert self.loop is not None
        self.loop.call_soon(_raise, error)

    def deliver_during(self, hand_up: Callable[[], None]) -> None:
        """In nobody's callback: call ``hand_up``, the reader's, then `run_due`. See `delivers_at_once`."""
        if self.loop is not None and not self._closed:
            self.now = time.perf_counter()
        try:
            hand_up()
        finally:
            self.now = math.inf
            self.run_due()

    def delivers_at_once(self) -> bool:
        """Whether what is to be told need not be posted: it is being handed up, nothing waits, and there is time."""
        if self._jobs or self._laggards or self.calls is not None:
            return False
        if not self._due:
            if self.loop is None or self.now == math.inf:
                return False
            self._due = True
            self._call_slice(self.loop)
        return self.now < self._slice_ends

    def jobs(self) -> list[tuple[Callable[[Any], object], Any]]:
        """Those that are not done, the one that runs first."""
        return list(self._jobs)

    def add_laggard(self, laggard: Laggard, had: float = 0.0) -> None:
        """Give ``laggard`` turns from now on; called by a job.

        ``had`` is how long it has just kept the others waiting, in seconds.
        """
        self._laggards.append(laggard)
        if had:
            self._laggards_had(had)

    def hurry(self, pressed: Pressed) -> None:
        """A mailbox fills faster than it empties: loop and reader leave more time to deliver; with `lock` held."""
        self._slice_s = _HURRIED_SLICE_S
        if self._rest is not None and pressed not in self._pressed:
            self._pressed = (*self._pressed, pressed)

    def called(self) -> Any:
        """The subscription whose callback runs at this moment, on whatever thread; None when none does."""
        calls = self.calls
        return None if calls is None else calls[0][len(calls[0]) - length_hint(calls[1]) - 1]

    def turn(self) -> int | None:
        """The number of this turn of the loop that posts, among those in which this was asked; elsewhere None."""
        if self._fed_by is None or running_loop() is not self._fed_by:
            return None
        if not self._turn_goes_on:
            self._turn_goes_on = True
            self._fed_by.call_soon(self._turn_ended)
        return self._turns

    def _turn_ended(self) -> None:
        self._turn_goes_on = False
        self._turns += 1

    def run_if_closed(self) -> None:
        """Who posted for a late subscriber calls this after letting go of `lock`: nobody else runs jobs any more.

        Each thread runs its own, lest one be kept by others that make calls without end.
        """
        if self._closed:
            _late.run()

    def close(self, then: Callable[[], None]) -> None:
        """Run what has been posted, give the laggards all, then ``then`` (on the delivering thread), and end."""
        with self.lock:
            self.post(self._end_after_laggards, then)

    def run_now(self) -> None:
        """After `close`: run what has been posted here and now, because its own place will not come to it."""
        self._run_jobs()

    def abandon(self) -> None:
        """In a forked child: forget what was to be told, and who waits; both are matters of the parent."""
        self.is_abandoned = True
        self.lock = threading.RLock()
        self._turn = threading.Lock()
        self._jobs = deque()
        self._laggards.clear()
        self._pressed = ()
        _late.jobs.clear()
        self._closed = True
        self._thread = None

    def join(self) -> None:
        """After `close`: wait until the thread has ended, if there is one and it is not this one."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _end_after_laggards(self, then: Callable[[], None]) -> None:
        self._last = then

    def _end(self, then: Callable[[], None]) -> None:
        with self.lock:
            self._closed = True
        then()
        _late.run()

    def _call_slice(self, loop: asyncio.AbstractEventLoop) -> None:
        if running_loop() is loop:
            self._slice_ends = time.perf_counter() + self._slice_s
            loop.call_soon(self._slice, loop)
        else:
            with suppress(RuntimeError):  # it has closed, and nobody listens there any more
                loop.call_soon_threadsafe(self._slice, loop)

    def _slice(self, loop: asyncio.AbstractEventLoop) -> None:
        """What fits in a slice; the rest in the next turn, so that the loop breathes."""
        try:
            self._run_jobs(time.perf_counter() + self._slice_s)
        finally:
            self._due = False
            if self._has_work:
                self._due = True
                self._call_slice(loop)
                self._slice_ends = 0.0  # this turn's is over
            else:
                self._slice_s = SLICE_S

    def _run(self) -> None:
        while not self._closed:
            self._tokens.get()
            self._due = False
            self._run_jobs()

    def _let_reader_rest(self) -> None:
        assert self._rest is not None
        with self.lock:
            pressures = [(one.pressure, one) for one in self._pressed]
            self._pressed = tuple(one for pressure, one in pressures if pressure > _EASY_AT)
        if any(_EASY_AT < pressure <= _SLOW_AT for pressure, _ in pressures):
            self._rest()

    @property
    def _has_work(self) -> bool:
        return bool(self._jobs or self._laggards or self._last)

    def _run_jobs(self, until: float = math.inf) -> None:
        """Run what there is, unless somebody is at it already: another thread, or this one further up."""
        jobs, laggards = self._jobs, self._laggards
        while self._has_work and self._turn.acquire(blocking=False):
            try:
                now = time.perf_counter()
                while True:
                    if jobs and (not laggards or now < self._laggards_wait_until):
                        job, argument = jobs[0]
                        try:
                            job(argument)
                        except Exception as error:
                            report_unhandled(error, "delivery")
                        finally:
                            jobs.popleft()
                        began_at, now = now, time.perf_counter()
                        if now - began_at > SLICE_S and self.source is not None:
                            self.source.took_long()
                    elif laggards:
                        now = self._give_turn(now)
                    elif self._last is not None:
                        last, self._last = self._last, None
                        _guarded(self._end, last)
                    else:
                        break
                    if now > until and not self._closed:
                        return
            finally:
                self.source = None
                self._turn.release()

    def _give_turn(self, now: float) -> float:
        """The turn of a laggard; returns what time it is then."""
        laggard = self._laggards.pop(0)
        if laggard.take_turn():
            self._laggards.append(laggard)
        ended_at = time.perf_counter()
        self._laggards_had(ended_at - now)
        return ended_at

    def _laggards_had(self, seconds: float) -> None:
        self._laggards_wait_until = time.perf_counter() + 4 * seconds


def _raise(error: BaseException) -> None:
    raise error


def _guarded(job: Callable[[V], object], argument: V) -> None:
    try:
        job(argument)
    except Exception as error:
        report_unhandled(error, "delivery")
