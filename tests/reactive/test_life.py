"""`Life`: opening, being ready, and ending in every way, with a machine that knows no wire."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import MemoryServer, Transport, memory_pair
from rxsdk.errors import ConnectFailed, ConnectionLost, LocalProtocolError
from rxsdk.reactive import life as life_module
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast
from tests.conftest import wait_until
from tests.core.fakes import FakeClock, ScriptedMachine, turns, until
from tests.reactive.helpers import Notes


class Opened:
    """A life and the far ends of its connections."""

    def __init__(
        self, loop: Any = "auto", failure: Exception | None = None, clock: Any = None, listens: bool = True
    ) -> None:
        self.life = Life()
        self.machine = ScriptedMachine()
        self.servers: list[MemoryServer] = []
        self.failure = failure
        self.notes = Notes()
        if listens:
            self.life.states.map(lambda state: state.name).subscribe(self.notes)
        self.end_rest: list[bool] = []
        self.life.open(
            self,
            self.machine,
            self._connect,
            inside=self,
            handlers={str: Opened._on_event, int: lambda _, number: 1 // number},
            end_rest=self._end_rest,
            loop=loop,
            policy=ReconnectPolicy(base_s=0.001, cap_s=0.001),
            delivery=DeliveryPolicy(),
            clock=clock,
        )

    async def _connect(self) -> Transport:
        if self.failure is not None:
            raise self.failure
        transport, server = memory_pair()
        self.servers.append(server)
        return transport

    def _end_rest(self) -> list[asyncio.Task[None]]:
        self.end_rest.append(self.life.lease.loop.is_running())
        return []

    def _on_event(self, name: Any) -> None:
        self.life.set_state(ConnectionState(name))

    def happen(self, *events: Any) -> None:
        """Let the machine report ``events``."""

        def report(_: None) -> None:
            self.machine.happened += events
            self.life.connection.flush()

        self.life.on_loop(report, None)

    def up(self) -> None:
        """Wait for the connection, and let the machine say that it is ready."""
        wait_until(lambda: "connected" in self.machine.verbs)
        self.happen("ready")
        self.life.wait_ready(5, "ws://x")


FATAL = ConnectFailed("ws://x", "gone", fatal=True)


def test_opened_ready_and_closed_on_a_thread_of_ours() -> None:
    opened = Opened()
    life = opened.life
    assert life.is_open
    assert life.is_used
    opened.up()
    late = Notes()
    life.readiness.subscribe(late)
    closing = life.close()
    assert life.close() is closing
    assert not life.is_open
    assert closing.result(5).name == "closed"
    assert not opened.servers[0].open
    assert opened.machine.verbs == ["connected", "close"]
    assert opened.end_rest == [True]
    assert opened.notes.values == ["idle", "connecting", "ready", "closing", "closed"]
    assert opened.notes.completed
    assert late.values == [True, False]
    assert life.lease.loop.is_closed()
    assert life.why_closed == "the service is closed"


def test_the_same_on_the_callers_loop() -> None:
    async def scene() -> None:
        opened = Opened()
        life = opened.life
        await until(lambda: "connected" in opened.machine.verbs)
        opened.happen("ready")
        await life.when_ready(5, "ws://x")
        await life.aclose()
        assert opened.notes.values == ["idle", "connecting", "ready", "closing", "closed"]
        assert opened.notes.threads == {threading.current_thread()}

    asyncio.run(scene())


def test_closed_asynchronously_our_threads_end_too() -> None:
    async def scene() -> Life:
        opened = Opened("own")
        await opened.life.aclose()
        return opened.life

    assert asyncio.run(scene()).lease.loop.is_closed()


def test_a_fatal_failure_ends_it_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    opened = Opened(failure=FATAL)
    with pytest.raises(ConnectFailed) as caught:
        opened.life.wait_ready(5, "ws://x")
    assert caught.value is FATAL
    assert opened.notes.over.wait(5)
    assert opened.notes.error is FATAL
    assert opened.notes.values == ["idle", "connecting", "failed"]
    assert opened.machine.log == [("fail", str(FATAL))]
    assert opened.life.why_closed == str(FATAL)
    assert caplog.records == []  # somebody was told
    wait_until(opened.life.lease.loop.is_closed)
    assert opened.life.close().result(5).name == "failed"


def test_a_failure_that_nobody_is_told_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    opened = Opened(failure=FATAL, listens=False)
    wait_until(lambda: opened.life.state.name == "failed")
    assert opened.life.close().result(5).name == "failed"
    assert [record.getMessage() for record in caplog.records] == [str(FATAL)]


def test_closed_while_it_is_failing() -> None:
    async def scene() -> None:
        opened = Opened()
        await until(lambda: "connected" in opened.machine.verbs)
        opened.life.fail(FATAL)
        assert (await opened.life.close()).name == "failed"
        opened.life.fail(FATAL)

    asyncio.run(scene())


def test_closed_by_another_thread_in_the_moment_it_fails() -> None:
    opened = Opened()
    opened.up()
    life, begin, closings = opened.life, opened.life._begin_to_end, list[Any]()

    def begin_and_close(error: Any) -> None:
        begin(error)
        if not closings:
            closer = threading.Thread(target=lambda: closings.append(life.close()))
            closer.start()
            closer.join()

    life._begin_to_end = begin_and_close  # type: ignore[method-assign]
    life.on_loop(life.fail, FATAL)
    assert opened.notes.over.wait(5)
    assert closings[0].result(5).name == "failed"
    assert opened.notes.error is FATAL
    assert opened.notes.values == ["idle", "connecting", "ready", "failed"]
    assert opened.machine.log[-1] == ("fail", str(FATAL))


def test_closed_by_two_threads_in_one_moment_it_is_one_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened()
    opened.up()
    closings: list[Any] = []
    other = threading.Thread(target=lambda: closings.append(opened.life.close()))
    make = life_module.Closing.__init__

    def make_and_let_the_other_come(closing: Any, *arguments: Any) -> None:
        monkeypatch.undo()
        make(closing, *arguments)
        other.start()
        other.join(0.1)  # it may have to wait for this one

    monkeypatch.setattr(life_module.Closing, "__init__", make_and_let_the_other_come)
    closings.append(opened.life.close())
    other.join()
    assert closings[0] is closings[1]
    assert closings[0].result(5).name == "closed"


def test_not_ready_in_time_says_what_went_wrong_last() -> None:
    opened = Opened(failure=ConnectFailed("ws://x", "refused"))
    with pytest.raises(ConnectFailed, match=r"not ready within 0\.05 s: refused") as caught:
        opened.life.wait_ready(0.05, "ws://x")
    assert caught.value.__cause__ is opened.failure
    opened.life.close().result(5)

    async def scene() -> None:
        opened = Opened()
        with pytest.raises(ConnectFailed, match=r"not ready within 0\.01 s: still connecting$"):
            await opened.life.when_ready(0.01, "ws://x")
        await opened.life.aclose()

    asyncio.run(scene())


def test_cancelled_in_the_turn_in_which_it_is_ready_it_is_cancelled() -> None:
    """`asyncio.wait_for` of Python 3.11 would return as if nothing had been."""

    async def scene() -> None:
        opened = Opened()
        await until(lambda: "connected" in opened.machine.verbs)
        waiting = asyncio.create_task(opened.life.when_ready(5, "ws://x"))
        await turns()
        opened.life.readiness.subscribe(lambda ready: waiting.cancel() if ready else None)
        opened.happen("ready")
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await opened.life.aclose()

    asyncio.run(scene())


def test_ready_again_after_a_loss() -> None:
    opened = Opened()
    notes = Notes()
    opened.life.readiness.subscribe(notes)
    opened.up()
    opened.life.on_loop(lambda _: opened.servers[0].drop(ConnectionLost("cut")), None)
    wait_until(lambda: opened.machine.verbs.count("connected") == 2)
    opened.happen("ready")
    wait_until(lambda: len(notes.values) == 4)
    opened.life.close().result(5)
    assert notes.values == [False, True, False, True, False]


def test_what_the_machine_reports_while_it_ends_moves_no_state() -> None:
    """The answer to verify may come in the very turn in which the service is closed."""

    async def scene() -> None:
        opened = Opened()
        await until(lambda: "connected" in opened.machine.verbs)
        opened.happen("ready", "authenticating")
        closing = opened.life.close()
        assert (await asyncio.wait_for(closing, 5)).name == "closed"
        assert opened.notes.values == ["idle", "connecting", "closing", "closed"]

    asyncio.run(scene())


def test_a_handler_that_raises_ends_it_with_a_mistake_of_ours() -> None:
    opened = Opened()
    opened.up()
    opened.happen(0)
    assert opened.notes.over.wait(5)
    assert isinstance(opened.notes.error, LocalProtocolError)
    assert isinstance(opened.notes.error.__cause__, ZeroDivisionError)
    opened.life.close().result(5)


@pytest.mark.parametrize("suspended", [False, True])
def test_a_mistake_of_ours_ends_it_in_every_state(suspended: bool) -> None:
    async def scene() -> None:
        clock = FakeClock()
        opened = Opened(failure=ConnectFailed("ws://x", "refused"), clock=clock)
        await until(lambda: clock.timers)
        if suspended:
            opened.life.connection.suspend()
            await turns()
        opened.machine.bugs["handle_deadline"] = KeyError("k")
        opened.machine.deadline = clock.now()
        opened.life.connection.flush_now()
        clock.advance(0.0)
        await until(opened.notes.over.is_set)
        assert isinstance(opened.notes.error, LocalProtocolError)
        assert opened.notes.values[-1] == "failed"

    asyncio.run(scene())


def test_suspended_in_the_moment_it_was_opened() -> None:
    async def scene() -> None:
        opened = Opened()
        opened.life.connection.suspend()
        await turns()
        assert opened.life.state.name == "suspended"
        opened.life.connection.resume()
        await until(lambda: opened.servers)
        await opened.life.aclose()

    asyncio.run(scene())


# -- on the loop


def test_jobs_of_other_threads_run_on_the_loop_in_order() -> None:
    opened = Opened()
    ran: list[int] = []
    places: set[threading.Thread] = set()

    def job(number: int) -> None:
        ran.append(number)
        places.add(threading.current_thread())

    for number in range(1000):
        opened.life.on_loop(job, number)
    opened.life.close().result(5)
    assert ran == list(range(1000))
    assert [place.name for place in places] == ["rxsdk loop"]


def test_a_job_on_the_loop_comes_after_those_that_were_left_before() -> None:
    ran: list[str] = []

    async def scene() -> None:
        opened = Opened("running")
        thread = threading.Thread(target=opened.life.on_loop, args=(ran.append, "left before"))
        thread.start()
        thread.join()
        opened.life.on_loop(ran.append, "on the loop")
        await opened.life.close()

    asyncio.run(scene())
    assert ran == ["left before", "on the loop"]


def test_who_comes_after_the_end_helps_himself() -> None:
    """He asked while it was open, and was held up; the loop is another's by now, or nobody's."""
    other, opened = Opened(), Opened()
    opened.up()
    opened.life.close().result(5)
    places: list[str] = []
    opened.life.on_loop(lambda _: places.append(threading.current_thread().name), None)
    assert places == [threading.current_thread().name]
    other.life.close().result(5)


def test_what_was_left_in_the_last_moment_is_done_and_what_comes_of_it_is_told() -> None:
    opened = Opened()
    opened.up()
    life, told = opened.life, threading.Event()
    ended = life._ended

    def leave_and_end(state: ConnectionState) -> None:
        stream = Multicast[int](life.dispatcher)
        stream.subscribe(None, None, told.set)
        life._inbox.put((lambda _: stream.complete(), None))
        ended(state)

    life._ended = leave_and_end  # type: ignore[method-assign]
    life.close().result(5)
    assert told.wait(5)
    life._empty_inbox()  # as the loop, had it been asked for that too


def test_what_happens_in_the_last_moment_is_told_by_the_loop() -> None:
    told: list[str] = []

    async def scene() -> None:
        opened = Opened("running")
        await until(lambda: "connected" in opened.machine.verbs)
        life, tell = opened.life, opened.life._tell_the_end
        stream = Multicast[int](life.dispatcher)
        stream.subscribe(None, None, lambda: told.append("completed"))
        life._handlers = {str: lambda _, __: stream.complete()}

        def tell_and_happen(error: Any) -> None:
            tell(error)
            opened.happen("at last")

        life._tell_the_end = tell_and_happen  # type: ignore[method-assign]
        await life.close()
        await turns()

    asyncio.run(scene())
    assert told == ["completed"]


@pytest.mark.filterwarnings("ignore")
def test_a_job_that_raises_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    opened = Opened()
    gate, ran = threading.Event(), threading.Event()

    def fail(_: None) -> None:
        raise KeyError("k")

    opened.life.on_loop(lambda _: gate.wait(5), None)
    opened.life.on_loop(fail, None)
    opened.life.on_loop(lambda _: ran.set(), None)
    gate.set()
    assert ran.wait(5)
    opened.life.close().result(5)
    assert "KeyError" in caplog.text


# -- ending without a loop


def test_closed_without_ever_being_opened() -> None:
    life, notes = Life(), Notes()
    life.states.subscribe(notes)
    assert not life.is_used
    assert life.close().result(5).name == "closed"
    assert life.why_closed == "the service is closed"


def test_cut_off_when_its_loop_ends_before_it() -> None:
    async def scene() -> Opened:
        opened = Opened("running")
        await until(lambda: "connected" in opened.machine.verbs)
        return opened

    opened = asyncio.run(scene())
    assert opened.notes.completed
    assert opened.notes.values == ["idle", "connecting", "closing", "closed"]
    assert opened.life.why_closed == "the tasks of its event loop were cancelled"
    assert opened.life.close().result(5).name == "closed"


def test_cut_off_while_it_closes_or_fails() -> None:
    async def scene(error: Exception | None) -> Opened:
        opened = Opened("running")
        await until(lambda: "connected" in opened.machine.verbs)
        if error is None:
            opened.life.close()
        else:
            opened.life.fail(error)
        return opened

    opened = asyncio.run(scene(None))
    assert (opened.notes.completed, opened.life.state.name) == (True, "closed")
    opened = asyncio.run(scene(FATAL))
    assert (opened.notes.error, opened.life.state.name) == (FATAL, "failed")


def test_closed_by_another_thread_in_the_moment_its_loop_ends() -> None:
    async def scene() -> Opened:
        opened = Opened("running")
        await until(lambda: "connected" in opened.machine.verbs)
        closer = threading.Thread(target=opened.life.close)
        closer.start()
        closer.join()  # the loop has not come to it yet
        task = opened.life.connection._task
        assert task is not None
        task.cancel()
        opened.life._cut_off()
        await asyncio.wait([task])
        return opened

    opened = asyncio.run(scene())
    assert opened.notes.completed
    assert opened.notes.values == ["idle", "connecting", "closing", "closed"]
    assert opened.life.close().result(5).name == "closed"


async def _opened_on(loop: asyncio.AbstractEventLoop) -> Opened:
    opened = Opened("running")
    assert opened.life.lease.loop is loop
    await until(lambda: "connected" in opened.machine.verbs)
    return opened


def on_a_loop_that_is_then_closed(then: Callable[[Life], object] = lambda _: None) -> Opened:
    """Without a word to the tasks on it, in the turn of the loop in which ``then`` was called."""
    loop = asyncio.new_event_loop()

    async def scene() -> Opened:
        opened = await _opened_on(loop)
        then(opened.life)
        return opened

    opened = loop.run_until_complete(scene())
    close_over_its_head(loop)
    return opened


def close_over_its_head(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    loop.close()
    for task in tasks:  # asyncio would complain of them, and with right
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(RuntimeError):
            task.get_coro().close()  # type: ignore[union-attr]


def test_closed_after_its_loop_was_closed_over_its_head() -> None:
    opened = on_a_loop_that_is_then_closed()
    assert opened.life.close().result(5).name == "closed"
    assert opened.notes.completed


def test_asked_after_its_loop_was_closed_it_ends() -> None:
    opened = on_a_loop_that_is_then_closed()
    assert not opened.life.still_open()
    assert opened.notes.completed
    assert opened.life.why_closed == "the event loop that the service ran on is closed"
    assert not opened.life.still_open()


def test_jobs_that_the_loop_does_not_come_to_are_done_by_who_left_them() -> None:
    ran: list[int] = []
    opened = on_a_loop_that_is_then_closed()
    opened.life.on_loop(ran.append, 1)
    assert (ran, opened.notes.completed) == ([1], True)
    opened.life.on_loop(ran.append, 2)
    opened.life.on_loop(lambda _: opened.life.connection.resume(), None)
    opened.life.on_loop(lambda _: opened.life.connection.reconnect_now(), None)
    opened.happen("ready")
    assert ran == [1, 2]
    assert opened.life.state.name == "closed"


def test_jobs_left_while_it_closes_on_a_loop_that_is_closed_are_done() -> None:
    ran: list[int] = []
    opened = on_a_loop_that_is_then_closed(Life.close)
    opened.life.on_loop(ran.append, 1)
    assert (ran, opened.life.state.name) == ([1], "closing")


def test_while_it_closes_its_loop_is_closed_over_its_head() -> None:
    opened = on_a_loop_that_is_then_closed(Life.close)
    assert opened.life.close().result(5).name == "closed"
    assert opened.notes.completed
    assert opened.notes.values == ["idle", "connecting", "closing", "closed"]
    assert opened.life.close().result(5).name == "closed"


def test_while_it_fails_its_loop_is_closed_over_its_head() -> None:
    opened = on_a_loop_that_is_then_closed(lambda life: life.fail(FATAL))
    assert opened.life.close().result(5).name == "failed"
    assert opened.notes.error is FATAL


def test_its_loop_is_closed_before_it_came_to_closing() -> None:
    loop = asyncio.new_event_loop()
    opened = loop.run_until_complete(_opened_on(loop))
    closing = opened.life.close()
    close_over_its_head(loop)
    assert opened.life.state.name == "connecting"
    assert closing.result(5).name == "closed"
    assert opened.notes.completed


def test_who_subscribes_to_the_end_notices_that_its_loop_is_closed() -> None:
    closing, late = on_a_loop_that_is_then_closed(Life.close).life.close(), Notes()
    closing.subscribe(late)
    assert [state.name for state in late.values] == ["closed"]
    assert late.completed


def test_its_loop_is_closed_when_all_has_ended_but_nobody_heard() -> None:
    loop = asyncio.new_event_loop()

    async def scene() -> tuple[Opened, Any]:
        opened = await _opened_on(loop)
        opened.life.close()
        return opened, opened.life._ending

    opened, ending = loop.run_until_complete(scene())
    loop.run_until_complete(ending)
    close_over_its_head(loop)
    assert (opened.life.state.name, opened.notes.completed) == ("closed", False)
    assert opened.life.close().result(5).name == "closed"
    assert opened.notes.completed
    assert opened.notes.values == ["idle", "connecting", "closing", "closed"]


def test_who_waits_for_the_end_already_notices_that_its_loop_is_closed() -> None:
    loop, waits = asyncio.new_event_loop(), threading.Event()
    opened = loop.run_until_complete(_opened_on(loop))
    waited: list[ConnectionState] = []
    closing = opened.life.close()
    look = opened.life.look_at_loop
    opened.life.look_at_loop = lambda: (look(), waits.set())[0]  # type: ignore[method-assign]
    waiter = threading.Thread(target=lambda: waited.append(closing.result(10)))
    waiter.start()
    assert waits.wait(10)
    close_over_its_head(loop)
    waiter.join()
    assert [state.name for state in waited] == ["closed"]


def test_who_waits_for_the_end_may_wait_no_longer_than_that() -> None:
    loop = asyncio.new_event_loop()
    opened = loop.run_until_complete(_opened_on(loop))
    for timeout_s in (0.15, 0.05, 0.0, -1.0):
        with pytest.raises(TimeoutError, match=f"close: not over within {timeout_s:g} s"):
            opened.life.close().result(timeout_s)
    close_over_its_head(loop)
    assert opened.life.close().result(0).name == "closed"


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_mistake_of_ours_does_not_keep_it_from_ending(cut_off: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> Opened:
        opened = Opened("running")
        await until(lambda: "connected" in opened.machine.verbs)
        opened.machine.bugs["close"] = KeyError("k")
        if not cut_off:
            await opened.life.close()
        return opened

    opened = asyncio.run(scene())
    assert (opened.notes.completed, opened.life.state.name) == (True, "closed")
    assert "ending went wrong by a mistake of ours" in caplog.text


def test_at_the_interpreters_exit_those_on_threads_of_ours_are_closed() -> None:
    async def scene() -> None:
        ours, on_this_loop = Opened("own"), Opened("running")
        await until(lambda: "connected" in on_this_loop.machine.verbs)
        await asyncio.to_thread(life_module._close_at_exit)
        assert (ours.life.state.name, on_this_loop.life.is_open) == ("closed", True)
        await ours.life.aclose()
        await on_this_loop.life.aclose()

    asyncio.run(scene())


def test_dropped_after_it_was_closed_there_is_nothing_to_say() -> None:
    opened = Opened()
    opened.life.close()
    life_module._dropped(opened.life, "Service")
    opened.life.close().result(5)
    life_module._dropped(opened.life, "Service")


@pytest.mark.filterwarnings("ignore:an open Service was dropped:ResourceWarning")
def test_dropped_after_its_loop_was_closed_it_lets_go_of_its_calls() -> None:
    opened = on_a_loop_that_is_then_closed()
    assert "close" not in opened.machine.verbs
    heard = list(opened.notes.values)
    life_module._dropped(opened.life, "Service")
    assert opened.machine.verbs[-1] == "close"
    assert opened.notes.values == heard


def test_dropped_without_being_closed() -> None:
    class Service:
        pass

    opened, service, notes = Opened(), Service(), Notes()
    life = Life()
    life.states.subscribe(notes)
    life.open(
        service,
        opened.machine,
        opened._connect,
        inside=None,
        handlers={},
        end_rest=list,
        loop="auto",
        policy=ReconnectPolicy(),
        delivery=DeliveryPolicy(),
        clock=None,
    )
    with pytest.warns(ResourceWarning, match=r"an open Service was dropped.*close\(\)"):
        del service
    assert notes.over.wait(5)
    assert notes.completed
    opened.life.close().result(5)
    life.close().result(5)


def test_abandoned_as_after_a_fork() -> None:
    opened = Opened()
    opened.up()
    heard = list(opened.notes.values)
    lease, dispatcher = opened.life.lease, opened.life.dispatcher
    thread = dispatcher._thread
    opened.life.abandon()
    assert (opened.life.state.name, opened.life.is_open) == ("closed", False)
    assert "forked" in opened.life.why_closed
    assert opened.machine.verbs == ["connected", "close"]
    late = Notes()
    opened.life.readiness.subscribe(late)
    assert (late.completed, opened.notes.values, opened.notes.completed) == (True, heard, False)
    opened.life.abandon()
    dispatcher._tokens.put(None)  # the threads did come along, for this was no fork
    assert thread is not None
    thread.join()
    lease.loop.call_soon_threadsafe(asyncio.ensure_future, opened.life.connection.close())
    opened.life.close().result(5)


def test_abandoned_what_it_spawned_and_what_waits_for_its_loop_is_told() -> None:
    opened = Opened()
    opened.up()
    life, told = opened.life, list[str]()
    entered, let_go = threading.Event(), threading.Event()
    life.on_loop(lambda _: life.spawn(asyncio.sleep(60), "spawned", lambda: told.append("spawned")), None)
    life.on_loop(lambda _: life.spawn(asyncio.sleep(60), "mistaken", lambda: 1 // 0), None)
    life.on_loop(lambda _: (entered.set(), let_go.wait(10)), None)
    assert entered.wait(10)
    life.on_loop(told.append, "waiting")
    dispatcher, tasks = life.dispatcher, list(life._spawned)
    thread = dispatcher._thread
    life.abandon()
    assert told == ["spawned", "waiting"]
    let_go.set()  # the threads did come along, for this was no fork
    for task in tasks:
        life.lease.loop.call_soon_threadsafe(task.cancel)
    dispatcher._tokens.put(None)
    assert thread is not None
    thread.join()
    life.lease.loop.call_soon_threadsafe(asyncio.ensure_future, life.connection.close())
    life.close().result(5)


@pytest.mark.parametrize("how", ["before its loop comes to it", "while it ends"])
def test_abandoned_while_it_closes_the_closing_settles(how: str) -> None:
    opened = Opened()
    opened.up()
    life = opened.life
    dispatcher, thread = life.dispatcher, life.dispatcher._thread
    entered, let_go, close = threading.Event(), threading.Event(), life.connection.close
    if how == "while it ends":
        life.connection.close = partial(asyncio.sleep, 60)  # type: ignore[method-assign]
        closing = life.close()
        wait_until(lambda: life._ending is not None)
    life.on_loop(lambda _: (entered.set(), let_go.wait(10)), None)
    assert entered.wait(10)
    closing = life.close()
    ending = life._ending
    life.abandon()
    late = Notes()
    closing.subscribe(late)
    assert [state.name for state in late.values] == ["closed"]
    let_go.set()  # the threads did come along, for this was no fork
    if ending is not None:
        life.lease.loop.call_soon_threadsafe(ending.cancel)
    dispatcher._tokens.put(None)
    assert thread is not None
    thread.join()
    life.connection.close = close  # type: ignore[method-assign]
    life.lease.loop.call_soon_threadsafe(asyncio.ensure_future, life.connection.close())
    assert closing.result(5).name == "closed"


def test_in_a_forked_child_every_open_service_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Open:
        abandoned = 0

        def abandon(self) -> None:
            self.abandoned += 1

    lives = [Open(), Open()]
    forgotten: list[bool] = []
    monkeypatch.setattr(life_module, "_open_lives", lives)
    monkeypatch.setattr(life_module.LoopLease, "forget_threads", lambda: forgotten.append(True))
    life_module._after_fork()
    assert [life.abandoned for life in lives] == [1, 1]
    assert forgotten == [True]
