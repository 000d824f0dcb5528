"""The window's scheduler without a window: a toolkit that does what the test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from rxsdk import ConfigurationError, DeliveryOverflow
from rxsdk.reactive import schedulers
from rxsdk.reactive.schedulers import WindowScheduler, deliver_on


class Toolkit:
    """An event loop whose turns the test takes, with timers it lets ring."""

    def __init__(self) -> None:
        self.wakes = 0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.scheduler = WindowScheduler(self._wake, self._start_timer)

    def _wake(self) -> None:
        self.wakes += 1

    def _start_timer(self, seconds: float, then: Callable[[], None]) -> Callable[[], object]:
        timer = (seconds, then)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer)

    def turn(self) -> None:
        """One turn for each time it was woken, until nobody asks for more."""
        while self.wakes:
            self.wakes -= 1
            self.scheduler.drain()

    def ring(self) -> None:
        timers, self.timers = self.timers, []
        for _, then in timers:
            then()
        self.turn()


@pytest.fixture
def toolkit() -> Toolkit:
    return Toolkit()


class Clock:
    """Each look at it takes a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedulers.time, "perf_counter", Clock())


def test_work_runs_in_order_when_the_window_comes_to_it(toolkit: Toolkit) -> None:
    ran: list[int] = []
    for number in range(3):
        toolkit.scheduler.schedule(lambda _scheduler, state: ran.append(state), number)
    assert (ran, toolkit.wakes) == ([], 1)
    toolkit.turn()
    assert ran == [0, 1, 2]
    toolkit.scheduler.schedule(lambda *_: ran.append(3))
    assert toolkit.wakes == 1
    toolkit.turn()
    assert ran == [0, 1, 2, 3]


def test_disposed_work_does_not_run(toolkit: Toolkit) -> None:
    ran: list[str] = []
    toolkit.scheduler.schedule(lambda *_: ran.append("now")).dispose()
    toolkit.scheduler.schedule_relative(1, lambda *_: ran.append("later")).dispose()
    toolkit.turn()
    assert (ran, toolkit.timers) == ([], [])


@pytest.mark.usefixtures("ticking")
def test_a_slice_is_bounded(toolkit: Toolkit) -> None:
    ran: list[int] = []
    for number in range(20):
        toolkit.scheduler.schedule(lambda _scheduler, state: ran.append(state), number)
    toolkit.wakes = 0
    toolkit.scheduler.drain()
    assert len(ran) == 5
    assert toolkit.wakes == 1
    toolkit.turn()
    assert ran == list(range(20))


def test_what_raises_is_reported_and_harms_no_other(toolkit: Toolkit, unhandled: list[BaseException]) -> None:
    ran: list[str] = []
    toolkit.scheduler.schedule(lambda *_: 1 / 0)
    toolkit.scheduler.schedule(lambda *_: ran.append("after"))
    toolkit.turn()
    assert ran == ["after"]
    assert [type(error) for error in unhandled] == [ZeroDivisionError]


def test_a_dialog_opened_by_work_goes_on_with_the_rest(toolkit: Toolkit) -> None:
    ran: list[str] = []

    def dialog(*_: Any) -> None:
        toolkit.turn()  # its event loop, inside of ours
        ran.append("dialog closed")

    toolkit.scheduler.schedule(dialog)
    toolkit.scheduler.schedule(lambda *_: ran.append("behind it"))
    toolkit.turn()
    assert ran == ["behind it", "dialog closed"]


def test_timers(toolkit: Toolkit) -> None:
    ran: list[str] = []
    toolkit.scheduler.schedule_relative(timedelta(seconds=2), lambda *_: ran.append("relative"))
    toolkit.scheduler.schedule_absolute(toolkit.scheduler.now + timedelta(seconds=3), lambda *_: ran.append("absolute"))
    toolkit.scheduler.schedule_relative(-1, lambda *_: ran.append("at once"))
    toolkit.turn()
    assert ran == ["at once"]
    assert [round(seconds) for seconds, _ in toolkit.timers] == [2, 3]
    toolkit.ring()
    assert ran == ["at once", "relative", "absolute"]


def test_a_running_timer_is_stopped(toolkit: Toolkit) -> None:
    timer = toolkit.scheduler.schedule_relative(2, lambda *_: None)
    toolkit.turn()
    assert len(toolkit.timers) == 1
    timer.dispose()
    toolkit.turn()
    assert toolkit.timers == []


def test_operators_keep_their_time_by_it(toolkit: Toolkit) -> None:
    seen: list[int] = []
    subscription = reactivex.interval(1.0, scheduler=toolkit.scheduler).subscribe(seen.append)
    toolkit.turn()
    toolkit.ring()
    toolkit.ring()
    assert seen == [0, 1]
    subscription.dispose()
    toolkit.turn()
    assert toolkit.timers == []


def test_any_thread_may_schedule(toolkit: Toolkit) -> None:
    ran: list[int] = []
    threads = [
        threading.Thread(target=lambda: [toolkit.scheduler.schedule(lambda *_: ran.append(1)) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        toolkit.turn()
    toolkit.turn()
    assert len(ran) == 2_000


def watched(source: Any, seen: list[Any]) -> Any:
    return source.subscribe(seen.append, lambda error: seen.append(type(error)), lambda: seen.append("end"))


def test_a_stream_is_delivered_on_the_window(toolkit: Toolkit) -> None:
    source: Subject[int] = Subject()
    seen: list[Any] = []
    watched(source.pipe(deliver_on(toolkit.scheduler)), seen)
    for number in range(3):
        source.on_next(number)
    source.on_completed()
    assert seen == []
    toolkit.turn()
    assert seen == [0, 1, 2, "end"]


def test_an_error_comes_behind_the_values(toolkit: Toolkit) -> None:
    seen: list[Any] = []
    watched(reactivex.of(1, 2).pipe(ops.concat(reactivex.throw(KeyError())), deliver_on(toolkit.scheduler)), seen)
    toolkit.turn()
    assert seen == [1, 2, KeyError]


@pytest.mark.parametrize(
    ("on_overflow", "expected"),
    [("error", [0, 1, DeliveryOverflow]), ("drop_oldest", [8, 9, "end"]), ("latest", [9, "end"])],
)
def test_what_becomes_of_too_many(toolkit: Toolkit, on_overflow: Any, expected: list[Any]) -> None:
    source: Subject[int] = Subject()
    seen: list[Any] = []
    watched(source.pipe(deliver_on(toolkit.scheduler, on_overflow=on_overflow, size=2)), seen)
    for number in range(10):
        source.on_next(number)
    source.on_completed()
    toolkit.turn()
    assert seen == expected


@pytest.mark.parametrize("size", [0, 1.5, True])
def test_a_size_that_cannot_be(toolkit: Toolkit, size: Any) -> None:
    with pytest.raises(ConfigurationError, match="size"):
        deliver_on(toolkit.scheduler, size=size)


def test_nothing_comes_after_it_was_disposed(toolkit: Toolkit) -> None:
    source: Subject[int] = Subject()
    seen: list[Any] = []
    subscription = watched(source.pipe(deliver_on(toolkit.scheduler)), seen)
    source.on_next(1)
    subscription.dispose()
    source.on_next(2)
    toolkit.turn()
    assert seen == []


def test_an_observer_may_dispose_itself(toolkit: Toolkit) -> None:
    source: Subject[int] = Subject()
    seen: list[int] = []
    source.pipe(deliver_on(toolkit.scheduler), ops.take(1)).subscribe(seen.append)
    source.on_next(1)
    source.on_next(2)
    toolkit.turn()
    assert seen == [1]


def test_an_observer_is_never_called_within_itself(toolkit: Toolkit) -> None:
    """Not even when it opens a dialog, whose event loop would go on with the next value."""
    source: Subject[int] = Subject()
    seen: list[str] = []

    def on_next(value: int) -> None:
        seen.append(f"{value} begins")
        toolkit.turn()
        seen.append(f"{value} ends")

    source.pipe(deliver_on(toolkit.scheduler)).subscribe(on_next)
    source.on_next(1)
    source.on_next(2)
    toolkit.turn()
    assert seen == ["1 begins", "1 ends", "2 begins", "2 ends"]


def test_two_streams_take_turns(toolkit: Toolkit) -> None:
    first: Subject[str] = Subject()
    second: Subject[str] = Subject()
    seen: list[str] = []
    first.pipe(deliver_on(toolkit.scheduler)).subscribe(seen.append)
    second.pipe(deliver_on(toolkit.scheduler)).subscribe(seen.append)
    for _ in range(3):
        first.on_next("first")
    second.on_next("second")
    toolkit.turn()
    assert seen == ["first", "second", "first", "first"]


class Recorder:
    """An observer that checks nothing itself, unlike reactivex' own."""

    def __init__(self, seen: list[Any]) -> None:
        self._seen = seen

    def on_next(self, value: Any) -> None:
        self._seen.append(value)

    def on_error(self, error: Exception) -> None:
        self._seen.append(error)

    def on_completed(self) -> None:
        self._seen.append("end")


def test_values_behind_the_end_are_dropped(toolkit: Toolkit) -> None:
    """A source that breaks the contract does not make us break it."""
    seen: list[Any] = []

    mailbox = schedulers._Mailbox(
        Recorder(seen),
        toolkit.scheduler,
        10,
        strict=True,
    )
    mailbox.on_next(1)
    mailbox.on_completed()
    mailbox.on_next(2)
    mailbox.on_error(KeyError())
    toolkit.turn()
    mailbox.on_completed()
    toolkit.turn()
    assert seen == [1, "end"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"on_overflow": "wait"}, "on_overflow"), ({"size": 0}, "size"), ({"size": "many"}, "size")],
)
def test_mistakes_are_named(toolkit: Toolkit, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{field}:"):
        deliver_on(toolkit.scheduler, **arguments)
