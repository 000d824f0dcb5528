"""Heartbeats: when they are due, what answers them, and when their silence is a lost connection."""

from __future__ import annotations

import pytest

from rxsdk.errors import HeartbeatTimeout
from rxsdk.protocols.limp.events import ConnectionGivenUp, HeartbeatAnswered
from tests.protocols.harness import SESSION, Bench, authed, ready


def test_due_each_interval_after_the_answer() -> None:
    bench = ready()
    for _ in range(3):
        assert bench.machine.next_deadline() == bench.now + 30
        bench.wait(29.9)
        assert bench.sent() == []
        bench.wait(0.1)
        beat = bench.one()
        assert (beat.endpoint, beat.query, beat.doc) == ("heart/beat", [], {})
        assert bench.machine.next_deadline() == bench.now + 10
        bench.now += 0.25
        bench.answer(beat, 200, "Heartbeat received.", code="CORE_HEARTBEAT_OK")
    assert [event.round_trip_s for event in bench.seen(HeartbeatAnswered)] == [0.25] * 3
    assert bench.seen(ConnectionGivenUp) == []


@pytest.mark.parametrize(("status", "code"), [(403, "CORE_REQ_INVALID_TOKEN"), (429, "CORE_REQ_SESSION_QUOTA_HIT")])
def test_a_refusal_is_an_answer(status: int, code: str) -> None:
    bench = authed()
    bench.wait(30)
    bench.answer(bench.one(), status, code=code)
    bench.wait(10)
    assert len(bench.seen(HeartbeatAnswered)) == 1
    assert bench.seen(ConnectionGivenUp) == []


def test_one_refused_because_the_session_changed_is_not_sent_again() -> None:
    bench = ready()
    bench.wait(30)
    bench.call("session/auth")
    beat, auth = bench.sent()
    bench.answer(auth, session=SESSION)
    bench.answer(beat, 403, code="CORE_REQ_INVALID_TOKEN")
    assert bench.sent() == []
    assert len(bench.seen(HeartbeatAnswered)) == 1


def test_no_answer_in_time() -> None:
    bench = ready()
    bench.wait(30)
    bench.one()
    bench.call("staff/read")
    read = bench.one()
    bench.wait(9.9)
    bench.answer(read)  # another answer is no heartbeat
    assert bench.seen(ConnectionGivenUp) == []
    bench.wait(0.1)
    (given_up,) = bench.seen(ConnectionGivenUp)
    assert isinstance(given_up.error, HeartbeatTimeout)
    assert given_up.error.timeout_s == 10
    bench.wait(100)
    assert len(bench.seen(ConnectionGivenUp)) == 1
    assert bench.machine.next_deadline() is None


def test_a_black_hole_is_noticed_within_interval_and_timeout() -> None:
    bench = ready()
    start = bench.now
    while not bench.seen(ConnectionGivenUp):
        deadline = bench.machine.next_deadline()
        assert deadline is not None
        bench.wait(deadline - bench.now)
        bench.sent()
    assert bench.now - start == 40


def test_a_new_connection_begins_anew() -> None:
    bench = ready()
    bench.wait(30)
    stale = bench.one()
    bench.reconnect()
    assert bench.machine.next_deadline() == bench.now + 30
    bench.answer(stale)
    assert bench.seen(HeartbeatAnswered) == []
    bench.wait(30)
    bench.answer(bench.one())
    assert len(bench.seen(HeartbeatAnswered)) == 1


def test_none_before_ready_and_none_after_the_end() -> None:
    bench = Bench()
    bench.machine.connected(bench.now, None)
    bench.wait(35)
    assert bench.sent() == []
    bench = ready()
    bench.machine.close()
    bench.wait(35)
    assert bench.endpoints() == ["conn/close"]


def test_heartbeats_go_before_waiting_calls() -> None:
    bench = ready()
    bench.call("staff/read")
    bench.wait(30)
    assert bench.endpoints() == ["heart/beat", "staff/read"]
