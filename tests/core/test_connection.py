"""`Connection`: what goes in and out while it stands, how it comes back, and its timer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rxsdk.core import connection
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.errors import ConnectFailed, ConnectionLost, HeartbeatTimeout
from tests.core.fakes import Rig, turns, until

Play = Callable[[Rig], Awaitable[None]]


def play(scene: Play, policy: ReconnectPolicy | None = None) -> None:
    """Run ``scene`` with a rig, and close it."""

    async def run() -> None:
        rig = Rig(policy)
        await scene(rig)
        await rig.connection.close()
        assert rig.clock.timers == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _half_the_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)


def test_frames_go_in_out_and_up_in_order() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.machine.outgoing = [b"1", b"2"]
        rig.connection.flush()
        rig.connection.flush()
        assert rig.server.received == []  # only at the end of this turn of the loop
        await turns()
        assert rig.server.received == [b"1", b"2"]

        rig.machine.happened = ["A", "B"]
        rig.server.send(b"a")
        rig.server.send(b"b")
        await turns()
        assert rig.machine.log == [("connected", 1000.0), ("receive", b"a"), ("receive", b"b")]
        assert rig.events == ["A", "B"]

    play(scene)


def test_after_a_word_of_the_peer_the_first_flush_writes_at_once_and_later_ones_together() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.server.send(b"a word")
        for written in (b"1", b"2", b"3"):
            rig.machine.outgoing.append(written)
            rig.connection.flush()
        assert rig.server.received == [b"1"]
        await turns()
        assert rig.server.received == [b"1", b"2", b"3"]

    play(scene)


def test_after_many_words_of_the_peer_all_is_written_together() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.frames_received([b"a word", b"another"])
        for written in (b"1", b"2"):
            rig.machine.outgoing.append(written)
            rig.connection.flush()
            assert rig.server.received == []
        await turns()
        assert rig.server.received == [b"1", b"2"]

    play(scene)


def test_a_peer_that_answers_within_our_write_is_heard_and_answered_in_a_turn_of_its_own() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.server.on_frame = lambda frame: rig.server.send(b"to " + frame) if frame == b"1" else None
        rig.machine.outgoing = [b"1"]
        rig.connection.flush_now()
        assert rig.machine.log[-1] == ("receive", b"to 1")
        rig.machine.outgoing = [b"2"]
        assert rig.server.received == [b"1"]
        await turns()
        assert rig.server.received == [b"1", b"2"]

    play(scene)


def test_what_handling_an_event_flushes_goes_out_with_the_rest() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()

        def answer(event: str) -> None:
            rig.machine.outgoing.append(b"answer to " + event.encode())
            rig.connection.flush()

        rig.on_event = answer
        rig.machine.happened = ["A", "B"]
        rig.server.send(b"a word")
        assert rig.server.received == [b"answer to A", b"answer to B"]

    play(scene)


def test_flush_now_writes_before_it_returns() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.machine.outgoing = [b"1"]
        rig.connection.flush_now()
        assert rig.server.received == [b"1"]

    play(scene)


def test_what_handling_an_event_causes_goes_out_in_the_same_turn() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()

        def answer(event: str) -> None:
            if event == "asked":
                rig.machine.outgoing.append(b"answer")
                rig.machine.happened.append("answered")
                rig.connection.flush()

        rig.on_event = answer
        rig.machine.happened = ["asked"]
        rig.connection.flush_now()
        assert rig.events == ["asked", "answered"]
        assert rig.server.received == [b"answer"]

    play(scene)


def test_what_the_server_said_before_the_machine_was_there_comes_after_connected() -> None:
    async def scene(rig: Rig) -> None:
        rig.connection.start()
        await until(lambda: rig.servers)
        rig.server.send(b"early")
        await rig.connected(1)
        assert rig.machine.log == [("connected", 1000.0), ("receive", b"early")]

    play(scene)


def test_a_loss_is_told_with_its_reason_and_another_try_comes_after_a_delay() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.server.drop(ConnectionLost("cut", code=1006))
        await until(lambda: rig.clock.timers)
        assert rig.machine.log[-1] == ("disconnected", "connection lost: cut")
        state = rig.states[-1]
        assert (state.name, str(state.reason), state.attempt) == ("reconnecting", "connection lost: cut", 1)
        assert state.retry_at == pytest.approx(rig.clock.wall() + 0.25)
        assert rig.clock.rings_in == [0.25]

        rig.clock.advance(0.2499)
        await turns()
        assert rig.attempts == 1
        rig.clock.advance(0.0001)
        await rig.connected(2)
        assert rig.state_names == ["connecting", "reconnecting", "connecting"]
        assert rig.states[-1].attempt == 1

    play(scene)


def test_delays_grow_until_the_connection_stood() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.extend(ConnectFailed("ws://x", "refused") for _ in range(8))
        rig.connection.start()
        delays = []
        for _ in range(8):
            await until(lambda: rig.clock.timers)
            delays += rig.clock.rings_in
            rig.clock.advance(delays[-1])
            await turns()
        assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]

        await rig.connected(1)
        rig.server.drop()  # open, but it never stood: the delays go on
        await until(lambda: rig.clock.timers)
        assert rig.states[-1].attempt == 9
        rig.clock.advance(15.0)
        await rig.connected(2)
        rig.connection.settle()
        rig.server.drop()  # ready, but the server said no more
        await until(lambda: rig.clock.timers)
        assert rig.states[-1].attempt == 10
        rig.clock.advance(15.0)
        await rig.connected(3)
        rig.connection.settle()
        rig.server.send(b"a word")
        rig.server.drop()
        await until(lambda: rig.clock.timers)
        assert (rig.states[-1].attempt, rig.clock.rings_in) == (1, [0.25])

    play(scene)


@pytest.mark.parametrize(
    ("policy", "error", "attempts"),
    [
        (ReconnectPolicy(max_attempts=3), ConnectFailed("ws://x", "refused"), 4),
        (ReconnectPolicy(is_fatal=lambda error: "refused" in str(error)), ConnectFailed("ws://x", "refused"), 1),
        (ReconnectPolicy(), ConnectFailed("ws://x", "no such path", status=404, fatal=True), 1),
    ],
)
def test_the_policy_says_when_to_give_up(policy: ReconnectPolicy, error: ConnectFailed, attempts: int) -> None:
    async def scene(rig: Rig) -> None:
        rig.script.extend(error for _ in range(10))
        rig.connection.start()
        while not rig.failures:
            rig.clock.advance(30.0)
            await turns()
        assert (rig.failures, rig.attempts) == ([error], attempts)

    play(scene, policy)


def test_reconnect_now_does_not_wait_for_the_delay() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.append(ConnectFailed("ws://x", "refused"))
        rig.connection.start()
        await until(lambda: rig.clock.timers)
        rig.connection.reconnect_now()
        await rig.connected(1)
        assert rig.attempts == 2

    play(scene)


def test_reconnect_now_while_connected_is_nothing_for_the_next_loss() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.reconnect_now()
        rig.server.drop()
        await until(lambda: rig.state_names[-1] == "reconnecting")
        await turns()
        assert rig.attempts == 1
        rig.clock.advance(rig.clock.rings_in[0])
        await rig.connected(2)

    play(scene)


def test_what_opens_when_it_is_closed_is_not_for_the_machine() -> None:
    async def scene(rig: Rig) -> None:
        gate = asyncio.get_running_loop().create_future()
        rig.script.append(gate)
        rig.connection.start()
        await until(lambda: rig.attempts == 1)
        closing = rig.connection.close()
        gate.set_result(None)
        await until(lambda: rig.transports and not rig.transports[0].writable)
        await closing
        assert (rig.machine.verbs, rig.failures) == ([], [])

    play(scene)


def test_what_happened_is_handed_up_before_anything_is_written_after_it() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()

        def withdraw(_: Any) -> None:
            rig.machine.outgoing.remove(b"not any more")

        rig.on_event = withdraw
        rig.machine.outgoing += [b"not any more", b"still"]
        rig.machine.happened.append("changed")
        rig.connection.flush()
        await turns()
        assert rig.server.received == [b"still"]

    play(scene)


def test_a_wake_from_sleep_tries_at_once() -> None:
    async def scene(rig: Rig) -> None:
        rig.script.extend(ConnectFailed("ws://x", "refused") for _ in range(8))
        rig.connection.start()
        for _ in range(7):
            await until(lambda: rig.clock.timers)
            rig.clock.advance(rig.clock.rings_in[0])
            await turns()
        await until(lambda: rig.clock.timers)
        rig.clock.slept += 3_600.0
        rig.clock.advance(5.0)  # of the delay of 15 s
        await rig.connected(1)
        assert "probe" not in rig.machine.verbs

    play(scene)


def test_a_wake_from_sleep_asks_an_open_connection_for_a_sign_of_life() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.clock.advance(60.0)
        assert "probe" not in rig.machine.verbs
        rig.clock.slept += 60.0
        rig.clock.advance(5.0)
        assert rig.machine.verbs.count("probe") == 1
        rig.clock.advance(60.0)
        assert rig.machine.verbs.count("probe") == 1

    play(scene)


def test_a_policy_is_asked_for_the_delays() -> None:
    async def run() -> None:
        rig = Rig(ReconnectPolicy(base_s=2.0, factor=3.0, cap_s=5.0))
        rig.script.extend(ConnectFailed("ws://x", "refused") for _ in range(2))
        rig.connection.start()
        for delay_s in (1.0, 2.5):
            await until(lambda: rig.clock.timers)
            assert rig.clock.rings_in == [delay_s]
            rig.clock.advance(delay_s)
            await turns()
        await rig.connection.close()

    asyncio.run(run())


def test_a_fatal_failure_ends_it() -> None:
    async def scene(rig: Rig) -> None:
        error = ConnectFailed("ws://x", "HTTP 404", status=404, fatal=True)
        rig.script.append(error)
        rig.connection.start()
        await until(lambda: rig.failures)
        assert rig.failures == [error]
        assert rig.machine.log == []
        assert rig.clock.timers == []

    play(scene)


def test_the_service_can_give_a_connection_up_for_good() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        refused = ConnectFailed("ws://x", "conn/verify was refused", fatal=True)
        rig.connection.drop(refused)
        await until(lambda: rig.failures)
        assert rig.failures == [refused]
        assert not rig.server.open
        assert rig.machine.verbs == ["connected", "disconnected"]

    play(scene)


def test_the_service_can_give_a_connection_up_and_try_another() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.drop(HeartbeatTimeout(10.0))
        await until(lambda: rig.clock.timers)
        assert not rig.servers[0].open
        assert isinstance(rig.states[-1].reason, HeartbeatTimeout)
        rig.clock.advance(1.0)
        await rig.connected(2)

    play(scene)


def test_late_words_of_a_stale_transport_go_nowhere() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        stale = rig.transports[0]._receiver
        rig.connection.drop(HeartbeatTimeout(10.0))
        await until(lambda: rig.clock.timers)
        rig.clock.advance(1.0)
        await rig.connected(2)
        log = list(rig.machine.log)
        rig.machine.outgoing = [b"for later"]

        stale.frames_received([b"stale"])
        stale.transport_writable()
        stale.transport_lost(ConnectionLost("late"))
        await turns()
        assert rig.machine.log == log
        assert rig.server.open
        assert rig.server.received == []

    play(scene)


def test_a_second_loss_of_one_transport_changes_nothing() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.lost(ConnectionLost("first"))
        rig.connection.lost(ConnectionLost("second"))
        await until(lambda: rig.clock.timers)
        rig.connection.lost(ConnectionLost("third"))
        assert rig.machine.log[1:] == [("disconnected", "connection lost: first")]

    play(scene)


def test_nothing_is_made_for_a_transport_that_is_given_up() -> None:
    """A frame that was made counts as written, so its call would come to "outcome unknown" for nothing."""

    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.drop(HeartbeatTimeout(10.0))
        rig.machine.outgoing = [b"unsent"]
        rig.connection.flush_now()
        await until(lambda: rig.clock.timers)
        assert rig.machine.outgoing == [b"unsent"]
        rig.clock.advance(1.0)
        await until(lambda: len(rig.servers) == 2 and rig.server.received == [b"unsent"])
        assert rig.servers[0].received == []

    play(scene)


def test_the_last_word_of_a_transport_is_handled_before_its_loss() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.on_event = lambda event: rig.connection.drop(HeartbeatTimeout(1.0))
        rig.machine.happened = ["refused"]
        rig.connection.flush()
        rig.server.drop()
        await until(lambda: rig.clock.timers)
        assert rig.events == ["refused"]
        assert isinstance(rig.states[-1].reason, HeartbeatTimeout)

    play(scene)


def test_frames_wait_in_the_machine_while_the_transport_is_full() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.transports[0].set_writable(False)
        rig.machine.outgoing = [b"1"]
        rig.machine.happened = ["heard"]
        rig.connection.flush_now()
        assert rig.machine.outgoing == [b"1"]
        assert rig.events == ["heard"]
        rig.transports[0].set_writable(True)
        await turns()
        assert rig.server.received == [b"1"]

    play(scene)


# -- resting


def test_while_it_rests_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(rig: Rig) -> None:
        rig.connection.rest()  # there is nothing to be read
        await rig.up()
        rig.connection.rest()
        rig.connection.rest()
        rig.server.send(b"a")
        await turns()
        assert "receive" not in rig.machine.verbs
        monkeypatch.setattr(connection, "_REST_S", 60.0)
        rig.connection.rest()  # it does already
        await until(lambda: "receive" in rig.machine.verbs)

    monkeypatch.setattr(connection, "_REST_S", 0.05)
    play(scene)


@pytest.mark.parametrize("given_up", [True, False])
def test_a_transport_that_is_lost_or_given_up_does_not_rest(given_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.connection.rest()
        rig.server.send(b"a")
        first = rig.transports[0]
        if given_up:
            rig.connection.drop(ConnectionLost("no more of it"))
            assert not first._is_paused
            assert "receive" not in rig.machine.verbs
        else:
            rig.server.drop()
        await until(lambda: rig.clock.timers)
        rig.connection.reconnect_now()
        await rig.connected(2)
        rig.server.send(b"b")
        assert rig.machine.log[-1] == ("receive", b"b")

    monkeypatch.setattr(connection, "_REST_S", 60.0)
    play(scene)


# -- deadlines


def test_the_timer_rings_at_the_deadline_and_is_set_again() -> None:
    async def scene(rig: Rig) -> None:
        await rig.up()
        rig.machine.deadline = 1010.0
        rig.connection.flush_now()
        assert rig.clock.rings_in == [10.0]
        rig.machine.deadline = 1030.0
        rig.connection.flush_now()
        assert rig.clock.rings_in == [10.0]  # rings early and only looks again
        rig.clock.advance(10.0)
        assert rig.machine.log[-1] == ("handle_deadline", 1010.0)
        assert rig.clock.rings_in == [20.0]
        rig.machine.deadline = 1015.0
        rig.connection.flush_now()
        assert rig.clock.rings_in == [5.0]  # an earlier one takes its place
        rig.clock.advance(5.0)
        assert rig.machine.log[-1] == ("handle_deadline", 1015.0)
        assert rig.clock.timers == []

    play(scene)


def test_deadlines_are_kept_while_there_is_no_connection() -> None:
    async def scene(rig: Rig) -> None:
        rig.machine.deadline = 1003.0
        rig.connection.flush_now()
        rig.clock.advance(3.0)
        assert rig.machine.log == [("handle_deadline", 1003.0)]

    play(scene)
