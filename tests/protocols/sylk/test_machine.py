"""The machine: connecting, answers, deadlines, pings, and the ends there are."""

from __future__ import annotations

import pytest

from rxsdk.errors import (
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    CallTimeout,
    ConnectionLost,
    HeartbeatTimeout,
    SylkError,
)
from rxsdk.protocols.sylk.events import (
    ConnectionGivenUp,
    FrameRejected,
    PhaseChanged,
    PingAnswered,
    Received,
    RequestWritten,
)
from rxsdk.protocols.sylk.messages import Ack, PublicKey, UnknownEvent
from rxsdk.protocols.sylk.phases import Phase
from rxsdk.protocols.sylk.requests import make_request
from rxsdk.protocols.sylk.tables import ACCOUNT, CALL, FEED, ROOM
from tests.protocols.sylk.bench import ADA, BOB, LOST, Bench


@pytest.mark.parametrize("version", [1, 2])
def test_nothing_is_requested_before_the_ready_event(version: int) -> None:
    bench = Bench()
    request = bench.ask("lookup-public-key", uri=BOB)
    bench.connect(version)
    assert bench.machine.subprotocols == ("sylkRTC-2", "sylkRTC-1")
    assert bench.machine.is_text
    [frame] = bench.frames()
    assert frame == {"sylkrtc": "lookup-public-key", "transaction": request.transaction, "uri": BOB}
    bench.answer(request)
    assert bench.ends[request].ack == Ack(request.transaction)
    bench.hear({"sylkrtc": "lookup-public-key-event", "uri": BOB})
    assert bench.of(Received) == [Received(PublicKey(BOB), None)]


def test_a_second_ready_event_changes_nothing() -> None:
    bench = Bench()
    bench.connect()
    bench.hear({"sylkrtc": "ready-event"})
    bench.machine.connected(bench.now, None)
    assert [event.phase for event in bench.of(PhaseChanged)] == [Phase.OPENING, Phase.READY]
    bench.added()
    bench.hear({"sylkrtc": "ready-event"})
    assert bench.kinds() == []


def test_refused() -> None:
    bench = Bench()
    bench.connect()
    request = bench.ask("lookup-public-key", uri=BOB)
    bench.frames()
    bench.answer(request, "no such thing")
    error = bench.error(request)
    assert isinstance(error, SylkError)
    assert (error.endpoint, error.error) == ("lookup-public-key", "no such thing")
    bench.answer(request)  # late, and twice
    bench.answer(request, "no")


def test_answered_too_late_or_never_written() -> None:
    bench = Bench()
    waiting = bench.ask("lookup-public-key", uri=BOB)
    for_ever = bench.submit(make_request("lookup-public-key", {"uri": BOB}))
    bench.machine.connected(bench.now, None)
    assert bench.machine.next_deadline() == 1020.0
    bench.wait(119.0)
    bench.wait(1.0)
    assert isinstance(bench.error(waiting), CallNotSent)
    assert str(bench.error(waiting)) == "lookup-public-key: not sent: no connection within 120 s (opening)"
    bench.hear({"sylkrtc": "ready-event"})
    written = bench.ask("lookup-public-key", uri=BOB)
    bench.frames()
    bench.wait(30.0)
    assert isinstance(bench.error(written), CallTimeout)
    assert for_ever not in bench.ends


def test_a_connection_that_never_becomes_ready_is_dropped() -> None:
    bench = Bench()
    bench.machine.connected(bench.now, None)
    bench.wait(19.0)
    assert bench.of(ConnectionGivenUp) == []
    bench.wait(1.0)
    assert str(bench.of(ConnectionGivenUp)[0].error) == "connection lost: not ready within 20 s (opening)"
    bench.lose()
    assert bench.machine.next_deadline() is None


def test_pings() -> None:
    bench = Bench()
    bench.machine.probe(bench.now)
    bench.connect()
    assert bench.machine.next_deadline() == 1005.0
    bench.wait(5.0)
    [ping] = bench.frames()
    assert ping["sylkrtc"] == "ping"
    bench.now += 0.25
    bench.hear({"sylkrtc": "ack", "transaction": ping["transaction"]})
    assert [event.round_trip_s for event in bench.of(PingAnswered)] == [0.25]
    bench.machine.probe(bench.now)
    assert bench.kinds() == ["ping"]


def test_six_unanswered_pings_are_a_lost_connection() -> None:
    bench = Bench()
    bench.connect()
    for _ in range(6):
        bench.wait(5.0)
        assert bench.kinds() == ["ping"]
        assert bench.of(ConnectionGivenUp) == []
    bench.wait(5.0)
    assert isinstance(bench.of(ConnectionGivenUp)[0].error, HeartbeatTimeout)
    assert bench.kinds() == []
    bench.lose()
    assert len(bench.machine._in_flight) == 0


def test_one_answered_ping_is_enough() -> None:
    bench = Bench()
    bench.connect()
    for _ in range(5):
        bench.wait(5.0)
        bench.frames()
    bench.hear({"sylkrtc": "error", "transaction": bench.sent[2]["transaction"], "error": "whatever"})
    assert len(bench.machine._in_flight) == 0
    for _ in range(6):
        bench.wait(5.0)
        bench.frames()
    assert bench.of(ConnectionGivenUp) == []
    assert len(bench.of(PingAnswered)) == 1


def test_lost() -> None:
    bench = Bench()
    bench.connect()
    written = bench.ask("lookup-public-key", uri=BOB)
    bench.frames()
    waiting = bench.ask("lookup-public-key", uri=BOB)
    bench.wait(5.0)  # a ping waits too
    bench.lose()
    assert str(bench.error(written)) == "lookup-public-key: sent, outcome unknown: connection lost: reset"
    assert waiting not in bench.ends
    bench.connect()
    assert bench.kinds() == ["lookup-public-key"]


def test_cancelled() -> None:
    bench = Bench()
    bench.connect()
    written, waiting = bench.ask("lookup-public-key", uri=BOB), None
    bench.frames()
    waiting = bench.ask("lookup-public-key", uri=BOB)
    for request, was_written in ((written, True), (waiting, False)):
        bench.machine.cancel(request)
        bench.machine.cancel(request)
        bench.look()
        error = bench.error(request)
        assert isinstance(error, CallCancelled)
        assert error.written is was_written
    bench.answer(written)
    assert bench.kinds() == []


def test_the_queue_is_bounded() -> None:
    bench = Bench(max_queued_calls=1)
    bench.ask("lookup-public-key", uri=BOB)
    assert "the queue is full (max_queued_calls=1)" in str(bench.error(bench.ask("lookup-public-key", uri=BOB)))


@pytest.mark.parametrize("error", [None, ConnectionLost("for good")])
def test_the_end(error: ConnectionLost | None) -> None:
    bench = Bench()
    bench.connect()
    account = bench.added()
    call, _ = bench.call()
    bench.frames()
    written = bench.ask("lookup-public-key", uri=BOB)
    bench.frames()
    waiting = bench.ask("lookup-public-key", uri=BOB)
    for _ in range(2):
        bench.machine.close() if error is None else bench.machine.fail(error)
        bench.look()
    assert isinstance(bench.error(written), CallOutcomeUnknown)
    assert isinstance(bench.error(waiting), CallNotSent)
    assert bench.error(waiting).__cause__ is error
    assert (bench.lives[account][-1], bench.lives[call][-1]) == ("removed", "terminated")
    assert isinstance(bench.error(bench.ask("lookup-public-key", uri=BOB)), CallNotSent)
    assert bench.machine.next_deadline() is None
    bench.machine.disconnected(bench.now, LOST)
    assert bench.frames() == []
    assert bench.machine.phase is Phase.CLOSED


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"sylkrtc": 5}',
        b'{"sylkrtc": "ack"}',
        b'{"sylkrtc": "error", "transaction": "t1"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_dropped(frame: bytes) -> None:
    bench = Bench()
    bench.connect()
    bench.hear(frame)
    assert len(bench.of(FrameRejected)) == 1


def test_unknown_events_are_delivered_as_they_are() -> None:
    bench = Bench()
    bench.connect()
    fields = [
        {"sylkrtc": "weather-event", "event": "rain"},
        {"sylkrtc": "weather-event"},
        {"sylkrtc": "weather-event", "event": 5},
        {"sylkrtc": "session-event", "session": "s", "event": "state", "state": "dancing"},
    ]
    bench.hear(*fields)
    events = [event.event for event in bench.of(Received)]
    assert [event.fields for event in events] == fields
    assert all(isinstance(event, UnknownEvent) for event in events)
    assert [event.problem for event in events[:3]] == [None, None, "its `event` is no text"]
    assert "$.state" in events[3].problem


def test_the_letters_of_the_first_version() -> None:
    bench = Bench()
    bench.connect(1)
    account = bench.added()
    bench.done(bench.ask("account-register", account, account=ADA))
    bench.hear(
        {"sylkrtc": "account_event", "account": ADA, "event": "registration_state", "data": {"state": "registered"}}
    )
    assert account.state.name == "registered"


def test_written_requests_are_told_when_asked_for() -> None:
    bench = Bench(trace=True)
    bench.connect()
    request = bench.ask("lookup-public-key", uri=BOB)
    bench.frames()
    assert [event.request for event in bench.of(RequestWritten)] == [request]


def test_the_tables_of_the_machine_are_whole() -> None:
    for table in (ACCOUNT, CALL, FEED, ROOM):
        ends = {name for name, moves in table.items() if not moves}
        assert len(ends) == 1
        assert {after for moves in table.values() for after in moves.values()} <= table.keys()
