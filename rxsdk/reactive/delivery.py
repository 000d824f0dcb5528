"""Delivery: how a notification gets from the connection to an observer without either harming the other.

Floor 2. Streams and calls post jobs to their service's `Dispatcher`, which runs them one after another: on the caller's
loop in bounded slices, or on one thread of the service. So the reader of the socket never runs an observer, an
observer is never called concurrently with itself, and one that raises is reported and harms nobody.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from reactivex import abc

from rxsdk.core.loop import SdkThread, running_loop

__all__ = ["MAILBOX_SIZE", "Dispatcher", "Subscription", "callbacks_of", "report_unhandled"]

MAILBOX_SIZE = 16_384
"""Notifications that may wait for one subscriber."""

_SLICE_S = 0.005
_log = logging.getLogger("rxsdk")

OnNext = Callable[[Any], Any] | None
OnError = Callable[[Exception], Any] | None
OnCompleted = Callable[[], Any] | None
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
            _let_out(raised)


def _let_out(error: BaseException) -> None:
    """Raise on what ends a program, such as Ctrl-C, where the thread is the caller's; on ours it would end delivery."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)) and not isinstance(threading.current_thread(), SdkThread):
        raise error


class _Late(threading.local):
    """The jobs that this thread posted to dispatchers that have closed."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[Any], None], Any]] = deque()
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


class Dispatcher:
    """Runs the jobs of one service in order. Jobs may be posted from any thread, before it has a place to run too.

    `lock` guards the subscriber lists of the service's streams and calls, so that what a late subscriber is given and
    what comes after it fit together; nothing is ever called while it is held. (Except by the garbage collector, which
    may dispose a forgotten iteration in the middle of anything: hence re-entrant.)
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._turn = threading.Lock()  # held by the thread that is running jobs
        self._jobs: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._due = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: SdkThread | None = None
        self._tokens: SimpleQueue[None] = SimpleQueue()  # one wakes the thread
        self._closed = False
        self.is_abandoned = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The caller's loop that jobs run on, if they do."""
        return self._loop

    def run_on_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run jobs on ``loop``, a slice a turn."""
        self._loop = loop
        if self._jobs:
            self._call_slice(loop)

    def run_on_thread(self, name: str) -> None:
        """Run jobs on a thread of their own."""
        self._thread = SdkThread(name, self._run)
        self._thread.start()
        if self._jobs:
            self._tokens.put(None)

    def post(self, job: Callable[[V], None], argument: V) -> None:
        """Have ``job(argument)`` called after all posted before; with `lock` held."""
        if self._closed:
            _late.jobs.append((job, argument))
            return
        self._jobs.append((job, argument))
        if not self._due:
            self._due = True
            if self._thread is not None:
                self._tokens.put(None)
            elif self._loop is not None:
                self._call_slice(self._loop)

    def run_if_closed(self) -> None:
        """Who posted for a late subscriber calls this after letting go of `lock`: nobody else runs jobs any more.

        Each thread runs its own, lest one be kept by others that make calls without end.
        """
        if self._closed:
            _late.run()

    def close(self, then: Callable[[], None]) -> None:
        """Run what has been posted, then ``then`` (on the delivering thread), and end."""
        with self.lock:
            self.post(self._end, then)

    def run_now(self) -> None:
        """After `close`: run what has been posted here and now, because its own place will not come to it."""
        self._run_jobs()

    def abandon(self) -> None:
        """In a forked child: forget what was to be told, and who waits; both are matters of the parent."""
        self.is_abandoned = True
        self.lock = threading.RLock()
        self._turn = threading.Lock()
        self._jobs.clear()
        _late.jobs.clear()
        self._closed = True
        self._thread = None

    def join(self) -> None:
        """After `close`: wait until the thread has ended, if there is one and it is not this one."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _end(self, then: Callable[[], None]) -> None:
        with self.lock:
            self._closed = True
        then()
        _late.run()

    def _call_slice(self, loop: asyncio.AbstractEventLoop) -> None:
        if running_loop() is loop:
            loop.call_soon(self._slice, loop)
        else:
            with suppress(RuntimeError):  # it has closed, and nobody listens there any more
                loop.call_soon_threadsafe(self._slice, loop)

    def _slice(self, loop: asyncio.AbstractEventLoop) -> None:
        """As many jobs as fit in 5 ms; the rest in the next turn, so that the loop breathes."""
        try:
            self._run_jobs(time.perf_counter() + _SLICE_S)
        finally:
            self._due = False
            if self._jobs:
                self._due = True
                self._call_slice(loop)

    def _run(self) -> None:
        while not self._closed:
            self._tokens.get()
            self._due = False
            self._run_jobs()

    def _run_jobs(self, until: float = math.inf) -> None:
        """Run jobs, unless somebody is at it already: another thread, or this one further up, which go on with ours."""
        jobs = self._jobs
        while jobs and self._turn.acquire(blocking=False):
            try:
                while jobs:
                    job, argument = jobs.popleft()
                    _guarded(job, argument)
                    if time.perf_counter() > until and not self._closed:
                        return
            finally:
                self._turn.release()


def _guarded(job: Callable[[V], None], argument: V) -> None:
    try:
        job(argument)
    except Exception as error:
        report_unhandled(error, "delivery")


class Subscription(abc.DisposableBase):
    """One observer of one stream or call: its callbacks, the context they were given in, and whether it still listens.

    Only the dispatcher calls ``next``, ``fail`` and ``complete``, so never two at once and never after the end.

    Where a loop runs on the subscriber's thread and is not the one that delivers (``home``), it is nudged after each
    callback: reactivex' own awaits set a future from the delivering thread and do not wake the loop that waits for it.
    """

    __slots__ = ("_completed", "_context", "_detach", "_error", "_next", "_nudged", "is_stopped", "joined")

    def __init__(
        self,
        on_next: OnNext,
        on_error: OnError,
        on_completed: OnCompleted,
        detach: Callable[[Subscription], None],
        home: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        running = running_loop()
        self._nudged = None if running is home else running
        self._next = on_next
        self._error = on_error
        self._completed = on_completed
        self._context = copy_context()
        self._detach: Callable[[Subscription], None] | None = detach
        self.is_stopped = False
        self.joined = 0  # how many notifications its stream had posted when it came

    def next(self, value: Any) -> None:
        """Hand a value over."""
        on_next = self._next
        if on_next is not None:
            try:
                self._context.run(on_next, value)
            except BaseException as error:
                _caught(error, "on_next")
            if self._nudged is not None:
                _nudge(self._nudged)

    def fail(self, error: Exception) -> None:
        """Hand the error over, the last thing it hears; without ``on_error`` it is reported as unhandled."""
        if self.is_stopped:
            return
        on_error = self._error
        self._stop()
        if on_error is None:
            report_unhandled(error, "a subscription without on_error")
            return
        try:
            self._context.run(on_error, error)
        except BaseException as raised:
            _caught(raised, "on_error")
        if self._nudged is not None:
            _nudge(self._nudged)

    def complete(self) -> None:
        """Say that nothing more comes."""
        if self.is_stopped:
            return
        on_completed = self._completed
        self._stop()
        if on_completed is not None:
            try:
                self._context.run(on_completed)
            except BaseException as error:
                _caught(error, "on_completed")
            if self._nudged is not None:
                _nudge(self._nudged)

    def dispose(self) -> None:
        """Listen no more. Any thread may, also from within a callback."""
        detach = self._detach
        self._stop()
        if detach is not None:
            detach(self)

    def _stop(self) -> None:
        self.is_stopped = True
        self._next = self._error = self._completed = self._detach = None


def _nudge(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # it has closed, and nobody waits there any more
        loop.call_soon_threadsafe(_do_nothing)


def _do_nothing() -> None:
    """What a nudged loop wakes up for."""


def _caught(error: BaseException, callback: str) -> None:
    _let_out(error)
    report_unhandled(error, f"{callback} of a subscriber")


def callbacks_of(on_next: Any, on_error: OnError, on_completed: OnCompleted) -> tuple[OnNext, OnError, OnCompleted]:
    """What ``subscribe`` was given, as three callbacks: an observer counts as its three methods."""
    if on_next is not None and callable(getattr(on_next, "on_next", None)):
        return on_next.on_next, on_next.on_error, on_next.on_completed
    return on_next, on_error, on_completed
