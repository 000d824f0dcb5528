"""Delivery on a window's thread: a scheduler that any thread may use, and an operator that brings a stream there.

Floor 2. Knows no toolkit: `rxsdk.desktop.qt` and `rxsdk.desktop.tk` say how their event loop is woken and how it keeps
time. reactivex' own GUI schedulers must be called on the GUI's thread; this one takes work from anywhere.

A window stays alive under a flood because work runs in slices: at most 5 ms, then the event loop paints, answers the
mouse and comes back for more. What waits is bounded, because each `deliver_on` has one piece of work waiting at a time,
and a mailbox of a given size behind it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from reactivex import Observable, abc, typing
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from rxsdk.core.mailbox import MAILBOX_SIZE, OnOverflow, check_mailbox
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.delivery import report_unhandled

__all__ = ["WindowScheduler", "deliver_on"]

T = TypeVar("T")
Job = Callable[[], object]

_SLICE_S = 0.005


class WindowScheduler(PeriodicScheduler):
    """A reactivex scheduler whose work runs on the thread of a GUI, in bounded slices; any thread may schedule.

    Args:
        wake: has `drain` called soon on the window's thread; called from any thread.
        start_timer: calls a function after some seconds, and returns what stops it; called on the window's thread.
    """

    def __init__(
        self, wake: Callable[[], None], start_timer: Callable[[float, Callable[[], None]], Callable[[], object]]
    ) -> None:
        self._wake = wake
        self._start_timer = start_timer
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._is_woken = False

    def schedule(self, action: abc.ScheduledAction[Any], state: Any = None) -> abc.DisposableBase:
        """Have ``action`` called on the window's thread, after what was scheduled before."""
        work = SingleAssignmentDisposable()
        self._post(partial(self._run, work, action, state))
        return work

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: abc.ScheduledAction[Any], state: Any = None
    ) -> abc.DisposableBase:
        """The same after ``duetime``, a timedelta or seconds."""
        seconds = self.to_seconds(duetime)
        if seconds <= 0:
            return self.schedule(action, state)
        work, timer = SingleAssignmentDisposable(), SingleAssignmentDisposable()
        due = time.monotonic() + seconds

        def start() -> None:
            if not work.is_disposed:
                left = max(0.0, due - time.monotonic())
                stop = self._start_timer(left, lambda: self._post(partial(self._run, work, action, state)))
                timer.disposable = Disposable(lambda: self._post(stop))

        self._post(start)
        return CompositeDisposable(work, timer)

    def schedule_absolute(
        self, duetime: typing.AbsoluteTime, action: abc.ScheduledAction[Any], state: Any = None
    ) -> abc.DisposableBase:
        """The same at ``duetime``, by the wall clock."""
        return self.schedule_relative(self.to_datetime(duetime) - self.now, action, state)

    def drain(self) -> None:
        """Run what waits, 5 ms at most: called by the toolkit on the window's thread, for each `wake`."""
        with self._lock:
            self._is_woken = False
        until = time.perf_counter() + _SLICE_S
        while self._jobs:
            job = self._jobs.popleft()
            if self._jobs:
                self._ask()  # before the job: it may open a dialog, whose event loop then goes on with the rest
            try:
                job()
            except Exception as error:
                report_unhandled(error, "a window's thread")
            if time.perf_counter() >= until:
                return

    def _post(self, job: Job) -> None:
        self._jobs.append(job)
        self._ask()

    def _ask(self) -> None:
        with self._lock:
            was_woken, self._is_woken = self._is_woken, True
        if not was_woken:
            self._wake()

    def _run(self, work: SingleAssignmentDisposable, action: abc.ScheduledAction[Any], state: Any) -> None:
        if not work.is_disposed:
            work.disposable = self.invoke_action(action, state)


def deliver_on(
    scheduler: abc.SchedulerBase,
    *,
    on_overflow: OnOverflow = "error",
    size: int = MAILBOX_SIZE,
) -> Callable[[Observable[T]], Observable[T]]:
    """An operator: the same stream, its observer called where ``scheduler`` runs, the source never held up.

    ::

        source    --1-2-3-4-5-----------|     (any thread)
        "error"   ----1----2----3--4--5-|     (the window's, as it gets round to it)
        "latest"  ----1----3----5-------|     (only the newest of what piled up)

    Once it is disposed on the window's thread, nothing more is delivered.

    Args:
        scheduler: `QtScheduler()`, `TkScheduler(root)` or any other.
        on_overflow: when ``size`` values wait: end with `DeliveryOverflow`, or forget the oldest. ``"latest"`` keeps
            one value only: for what shows the present state, such as progress or a collection.
        size: how many values may wait.

    Raises:
        ConfigurationError: ``on_overflow`` is none of these, or ``size`` less than 1.
    """
    check_mailbox(size, on_overflow, "size", "on_overflow")
    size = 1 if on_overflow == "latest" else size

    def operator(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            mailbox = _Mailbox(observer, scheduler, size, on_overflow == "error")
            subscription = source.subscribe(mailbox.on_next, mailbox.on_error, mailbox.on_completed)
            return CompositeDisposable(subscription, Disposable(mailbox.close))

        return Observable(subscribe)

    return operator


class _Mailbox:
    """What one observer has yet to be given; one job of the scheduler at a time, never called within itself."""

    def __init__(self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase, size: int, strict: bool) -> None:
        self._observer = observer
        self._scheduler = scheduler
        self._size = size
        self._is_strict = strict
        self._lock = threading.Lock()
        self._values: deque[Any] = deque()
        self._end: Job | None = None
        self._is_due = False
        self._is_closed = False

    def on_next(self, value: Any) -> None:
        with self._lock:
            if self._end is not None or self._is_closed:
                return
            if len(self._values) < self._size:
                self._values.append(value)
            elif self._is_strict:
                self._end = partial(self._observer.on_error, DeliveryOverflow(self._size))
            else:
                self._values.popleft()
                self._values.append(value)
        self._go_on()

    def on_error(self, error: Exception) -> None:
        self._finish(partial(self._observer.on_error, error))

    def on_completed(self) -> None:
        self._finish(self._observer.on_completed)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._values.clear()

    def _finish(self, end: Job) -> None:
        with self._lock:
            if self._end is None:
                self._end = end
        self._go_on()

    def _go_on(self) -> None:
        with self._lock:
            if self._is_due or self._is_closed:
                return
            self._is_due = True
        self._scheduler.schedule(self._give)

    def _give(self, _scheduler: abc.SchedulerBase, _state: Any = None) -> None:
        with self._lock:
            if self._is_closed:
                return
            if self._values:
                job: Job = partial(self._observer.on_next, self._values.popleft())
            else:
                self._is_closed = True
                job = cast(Job, self._end)
        try:
            job()
        finally:
            with self._lock:
                self._is_due = False
                is_left = bool(self._values) or self._end is not None
            if is_left:
                self._go_on()
