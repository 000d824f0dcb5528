"""`Connection`: suspending, resuming and closing in every state, and what a mistake of ours does to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rxsdk.errors import ConnectFailed, LocalProtocolError
from tests.core.fakes import Rig, turns, until

REFUSED = ConnectFailed("ws://x", "refused")
FATAL = ConnectFailed("ws://x", "gone", fatal=True)


def play(scene: Callable[[Rig], Awaitable[None]]) -> None:
    async def run() -> None:
        rig = Rig()
        await scene(rig)
        await rig.connection.close()
        assert rig.clock.timers == []
        assert not any(server.open for server in rig.servers)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def never() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


# -- suspend and resume


def test_suspended_before_the_start_it_waits() -> None:
    async def scene(rig: Rig) -> None:
        rig.connection.suspend()
        rig.connection.start()
        await turns()
        assert rig.state_names == ["suspended"]
        assert rig.attempts == 0
        rig.connection.resume()
        await rig.connected(1)

    play(scene)


def test_resumed_before_the_start_it_connects() -> None:
    async def scene(rig: Rig) -> None:
        rig.connection.suspend()
        rig.connection.resume()
        await rig.up()
        assert rig.state_names == ["connecting"]

    play(scene)


def test_suspended_while_connecting_the_attempt_is_given_up_at_once() -> None:
    async def scene(rig: Rig) -> None:
        hanging = never()
        rig.script.append(hanging)
        rig.connection.start()
        await until(lambda: rig.attempts)
        rig.connection.suspend()
        await turns()
        assert hanging.cancelled()
        assert rig.state_names == ["connecting", "suspended"]
        rig.connection.resume()
        await rig.connected(1)
        assert rig.states[-1].attempt == 0

    play(scene)


def test_suspended_and_resumed_while_connecting_it_begins_anew() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.append(never())
        rig.connection.start()
        await until(lambda: rig.attempts)
        rig.connection.suspend()
        rig.connection.resume()
        await rig.connected(1)
        assert rig.attempts == 2
        assert rig.state_names == ["connecting"]

    play(scene)


@pytest.mark.parametrize("verb", ["suspend", "close"])
def test_a_transport_that_came_too_late_is_closed(verb: str) -> None:
    async def scene(rig: Rig) -> None:
        opened = never()
        rig.script.append(opened)
        rig.connection.start()
        await until(lambda: rig.attempts)
        opened.set_result(None)
        await asyncio.sleep(0)  # the attempt is done, the connection has not seen it yet
        assert rig.servers
        closing = getattr(rig.connection, verb)()
        if closing is not None:
            await closing
        await turns()
        assert not rig.server.open
        assert rig.machine.log == []

    play(scene)


def test_suspended_while_connected_it_disconnects_and_stays_so() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.suspend()
        rig.connection.suspend()
        await turns()
        assert not rig.server.open
        assert rig.machine.log[1:] == [("disconnected", "connection lost: suspended")]
        assert rig.state_names == ["connecting", "suspended"]
        assert rig.clock.timers == []
        rig.connection.resume()
        await rig.connected(2)

    play(scene)


def test_suspended_and_resumed_while_connected_it_connects_without_a_delay() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.suspend()
        rig.connection.resume()
        await rig.connected(2)
        assert rig.clock.now() == 1000.0
        assert rig.state_names == ["connecting", "suspended", "connecting"]  # nothing went wrong: no "reconnecting"

    play(scene)


def test_suspended_while_waiting_the_delay_ends() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.append(REFUSED)
        rig.connection.start()
        await until(lambda: rig.clock.timers)
        rig.connection.suspend()
        await turns()
        assert rig.clock.timers == []
        assert rig.state_names == ["connecting", "reconnecting", "suspended"]
        rig.clock.advance(60.0)
        await turns()
        assert rig.attempts == 1
        rig.connection.resume()
        await rig.connected(1)
        assert rig.states[-1].attempt == 0

    play(scene)


def test_resumed_from_within_the_word_that_it_is_suspended() -> None:
    async def scene(rig: Rig) -> None:
        rig.on_state = lambda state: rig.connection.resume() if state.name == "suspended" else None
        rig.connection.suspend()
        await rig.up()

    play(scene)


def test_resumed_and_suspended_again_at_once_it_stays_suspended() -> None:
    async def scene(rig: Rig) -> None:
        rig.connection.suspend()
        rig.connection.start()
        await turns()
        rig.connection.resume()
        rig.connection.suspend()
        await turns()
        assert rig.state_names == ["suspended"]
        rig.connection.resume()
        await rig.connected(1)

    play(scene)


def test_resume_alone_changes_nothing() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.append(REFUSED)
        rig.connection.start()
        await until(lambda: rig.clock.timers)
        rig.connection.resume()
        await turns()
        assert rig.attempts == 1

    play(scene)


# -- close


def test_close_writes_what_is_left_and_tells_the_machine_nothing() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.machine.outgoing = [b"goodbye"]
        rig.machine.happened = ["last"]
        await rig.connection.close()
        assert rig.server.received == [b"goodbye"]
        assert rig.events == ["last"]
        assert rig.machine.verbs == ["connected"]
        assert rig.failures == []

    play(scene)


def test_close_in_every_state_ends_it_without_another_word() -> None:
    async def before_the_start(rig: Rig) -> None:
        rig.machine.deadline = 1005.0
        rig.connection.flush_now()

    async def just_started(rig: Rig) -> None:
        rig.connection.start()

    async def connecting(rig: Rig) -> None:
        rig.script.append(never())
        rig.connection.start()
        await until(lambda: rig.attempts)

    async def connected(rig: Rig) -> None:
        await rig.up()

    async def waiting(rig: Rig) -> None:
        rig.script.append(REFUSED)
        rig.connection.start()
        await until(lambda: rig.clock.timers)

    async def suspended(rig: Rig) -> None:
        rig.connection.suspend()
        rig.connection.start()
        await until(lambda: rig.states)

    async def failed(rig: Rig) -> None:
        rig.script.append(FATAL)
        rig.connection.start()
        await until(lambda: rig.failures)

    for scene in (before_the_start, just_started, connecting, connected, waiting, suspended, failed):
        play(scene)


def test_closing_twice_at_once_does_no_harm() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        await asyncio.gather(rig.connection.close(), rig.connection.close())
        await rig.connection.close()
        rig.connection.suspend()
        rig.connection.resume()
        rig.connection.flush()
        rig.machine.deadline = 1001.0
        await turns()
        assert rig.state_names == ["connecting"]

    play(scene)


def test_a_fatal_failure_while_closing_is_no_failure() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.drop(FATAL)
        await rig.connection.close()
        assert rig.failures == []

    play(scene)


def test_a_cancelled_task_leaves_no_open_transport() -> None:
    """As when `asyncio.run` ends and nobody closed the service."""

    async def run() -> Rig:
        return await Rig().up()

    rig = asyncio.run(run())
    assert not rig.server.open
    assert rig.failures == []


# -- mistakes of ours


def break_in_connected(rig: Rig) -> None:
    rig.machine.bugs["connected"] = KeyError("k")


def break_in_receive(rig: Rig) -> None:
    rig.machine.bugs["receive"] = KeyError("k")
    rig.server.send(b"a")
    rig.server.send(b"b")


def break_in_frames_to_send(rig: Rig) -> None:
    rig.machine.bugs["frames_to_send"] = KeyError("k")
    rig.connection.flush()


def break_in_handle_deadline(rig: Rig) -> None:
    rig.machine.bugs["handle_deadline"] = KeyError("k")
    rig.machine.deadline = 1001.0
    rig.connection.flush_now()
    rig.clock.advance(1.0)


def break_in_disconnected(rig: Rig) -> None:
    rig.machine.bugs["disconnected"] = KeyError("k")
    rig.server.drop()


def break_in_on_events(rig: Rig) -> None:
    def fail(event: Any) -> None:
        raise KeyError("k")

    rig.on_event = fail
    rig.machine.happened = ["event"]
    rig.server.send(b"a")


BREAKS = [
    break_in_receive,
    break_in_frames_to_send,
    break_in_handle_deadline,
    break_in_disconnected,
    break_in_on_events,
]


@pytest.mark.parametrize("breaking", BREAKS)
def test_a_bug_ends_the_connection_once_and_says_so(
    breaking: Callable[[Rig], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        breaking(rig)
        await until(lambda: rig.failures and not rig.server.open)
        await turns()
        [error] = rig.failures
        assert isinstance(error, LocalProtocolError)
        assert isinstance(error.__cause__, KeyError)
        rig.machine.bugs.clear()
        rig.on_event = lambda event: None
        rig.machine.happened = ["what the failed machine still reports"]

    caplog.set_level(logging.ERROR)
    play(scene)
    assert "mistake of ours" in caplog.text
    assert "KeyError" in caplog.text


def test_a_bug_on_the_way_up_is_told_too() -> None:
    async def scene(rig: Rig) -> None:
        break_in_connected(rig)
        rig.connection.start()
        await until(lambda: rig.failures)

    play(scene)


def test_an_error_of_our_tree_is_told_as_it_is() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.machine.bugs["receive"] = error = LocalProtocolError("impossible")
        rig.server.send(b"a")
        await until(lambda: rig.failures)
        assert rig.failures == [error]

    play(scene)


def test_a_connect_that_raises_what_it_should_not_is_a_bug() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.append(RuntimeError("no transport error"))
        rig.connection.start()
        await until(lambda: rig.failures)
        assert isinstance(rig.failures[0], LocalProtocolError)

    play(scene)


def test_a_bug_while_closing_does_not_keep_it_open() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.machine.bugs["frames_to_send"] = KeyError("k")
        await asyncio.wait_for(rig.connection.close(), 5)
        rig.machine.bugs.clear()

    play(scene)


def test_a_mistake_while_it_closes_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()

        async def close(*, politely: bool = True) -> None:
            rig.server.drop()
            raise ZeroDivisionError

        rig.transports[-1].close = close
        await rig.connection.close()
        assert rig.failures == []

    play(scene)
    assert "by a mistake of ours" in caplog.text


# -- its task cancelled


def test_cancelled_it_says_so_once_and_lets_its_transport_go() -> None:
    async def scene() -> None:
        rig = await Rig().up()
        task = rig.connection._task
        assert task is not None
        task.cancel()
        await until(lambda: rig.cancelled)
        assert not rig.server.open
        await rig.connection.close()
        assert (rig.cancelled, rig.failures) == ([True], [])

    asyncio.run(scene())


@pytest.mark.parametrize("failure", [None, ConnectFailed("ws://x", "refused")])
def test_cancelled_in_the_moment_a_transport_opens(failure: Exception | None) -> None:
    async def scene() -> None:
        rig = Rig()
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        rig.script.append(gate)
        rig.connection.start()
        await until(lambda: rig.attempts)
        if failure is None:
            gate.set_result(None)
        else:
            gate.set_exception(failure)
        task, opening = rig.connection._task, rig.connection._opening
        assert task is not None
        assert opening is not None
        await until(opening.done)
        assert not task.done()
        task.cancel()
        await until(lambda: rig.cancelled)
        assert all(not server.open for server in rig.servers)

    asyncio.run(scene())


def test_cut_off_it_makes_no_more_turns_and_writes_nothing() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.server.send(b"a word")  # after which the next flush would write at once
        rig.connection.cut_off()
        rig.machine.outgoing = [b"1"]
        rig.connection.flush()
        await turns()
        assert rig.server.received == []
        rig.server.drop()

    play(scene)


def test_cut_off_before_it_began_it_never_begins() -> None:
    async def scene(rig: Rig) -> None:
        rig.connection.cut_off()
        rig.connection.start()
        await turns()
        assert rig.attempts == 0

    play(scene)
