"""The table of phases: each move it has, and each it has not."""

from __future__ import annotations

import itertools

import pytest

from rxsdk.errors import LocalProtocolError
from rxsdk.protocols.limp.events import ConnectionGivenUp, PhaseChanged, ServerRefused
from rxsdk.protocols.limp.phases import MOVES, Move, Phase, next_phase
from tests.protocols.harness import SESSION, Bench, authed

LEGAL = {
    ("disconnected", "CONNECTED"): "opening",
    ("opening", "ASKED_TO_VERIFY"): "verifying",
    ("opening", "LET_IN"): "ready",
    ("opening", "LET_IN_WITH_SESSION"): "authenticating",
    ("verifying", "LET_IN"): "ready",
    ("verifying", "LET_IN_WITH_SESSION"): "authenticating",
    ("authenticating", "REAUTHED"): "ready",
    **{(name, "LOST"): "disconnected" for name in ("disconnected", "opening", "verifying", "authenticating", "ready")},
    ("closed", "LOST"): "closed",
    **{
        (name, "CLOSED"): "closed"
        for name in ("disconnected", "opening", "verifying", "authenticating", "ready", "closed")
    },
}


@pytest.mark.parametrize(("phase", "move"), list(itertools.product(Phase, Move)), ids=lambda value: value.name)
def test_the_whole_table(phase: Phase, move: Move) -> None:
    to = LEGAL.get((phase.value, move.name))
    if to is None:
        with pytest.raises(LocalProtocolError, match=f"^{move.name} while {phase.value}$"):
            next_phase(phase, move)
    else:
        assert next_phase(phase, move) is Phase(to)


def test_every_phase_can_be_reached_and_left() -> None:
    assert {to for (from_, _), to in MOVES.items() if to is not from_} == set(Phase)
    assert {from_ for (from_, _), to in MOVES.items() if to is not from_} == set(Phase) - {Phase.CLOSED}


def test_the_phases_of_a_life() -> None:
    bench = authed()
    bench.reconnect()
    bench.machine.close()
    assert [event.phase.value for event in bench.seen(PhaseChanged)] == [
        *["opening", "verifying", "ready", "disconnected"],
        *["opening", "verifying", "authenticating", "ready", "closed"],
    ]


def test_connecting_twice_is_our_own_mistake() -> None:
    bench = Bench()
    bench.machine.connected(0.0, None)
    with pytest.raises(LocalProtocolError, match="CONNECTED while opening"):
        bench.machine.connected(0.0, None)


def test_losing_what_is_lost_changes_nothing() -> None:
    bench = Bench()
    assert bench.lose() == []
    bench.machine.close()
    bench.take_events()
    assert bench.lose() == []


# -- the three generations of the first message, and being refused


def opened() -> Bench:
    bench = Bench()
    bench.machine.connected(bench.now, None)
    bench.call("staff/read")
    assert bench.sent() == []  # the server speaks first
    return bench


@pytest.mark.parametrize(
    "first",
    [
        b'{"status": 200, "msg": "Connection established."}',
        b'{"status": 200, "msg": "Connection established.", "args": {"code": "CORE_CONN_OK"}}',
        b'{"status": 200, "msg": "Connection established.", "args": null}',
    ],
)
def test_older_servers_are_ready_at_once(first: bytes) -> None:
    bench = opened()
    bench.hear(first)
    assert bench.machine.phase is Phase.READY
    assert bench.endpoints() == ["staff/read"]


def test_todays_servers_want_a_verify() -> None:
    bench = opened()
    bench.say(200, "Connection ready", code="CORE_CONN_READY")
    assert bench.machine.phase is Phase.VERIFYING
    verify = bench.one()
    assert (verify.endpoint, verify.doc, verify.signed_with) == ("conn/verify", {"app": "APP"}, "anon")
    assert bench.sent() == []  # anything before the answer would close the connection
    bench.answer(verify, 200, "Connection establised", code="CORE_CONN_OK")
    assert bench.machine.phase is Phase.READY
    assert bench.endpoints() == ["staff/read"]


def test_without_an_app_id_null_is_sent() -> None:
    bench = Bench(app_id=None)
    bench.machine.connected(bench.now, None)
    bench.say(code="CORE_CONN_READY")
    assert bench.one().doc == {"app": None}


REFUSED = [(403, "CORE_REQ_INVALID_TOKEN"), (1008, "CORE_REQ_NO_VERIFY"), (400, "X"), (500, "CORE_SERVER_ERROR")]


@pytest.mark.parametrize(("status", "code"), REFUSED)
@pytest.mark.parametrize("with_call_id", [True, False])
def test_a_refused_verify_is_for_good(status: int, code: str, with_call_id: bool) -> None:
    bench = opened()
    bench.say(code="CORE_CONN_READY")
    verify = bench.one()
    # "call_id stands outside the JWT too, or a token error comes back with call_id: null"
    bench.say(status, "Request token is not accepted.", call_id=verify.call_id if with_call_id else None, code=code)
    (refused,) = bench.seen(ServerRefused)
    assert (refused.res.status, refused.res.code) == (status, code)
    assert bench.machine.phase is Phase.VERIFYING
    assert bench.sent() == []
    assert bench.seen(ConnectionGivenUp) == []


@pytest.mark.parametrize("with_call_id", [True, False])
@pytest.mark.parametrize(("status", "code"), [(429, "CORE_REQ_IP_QUOTA_HIT"), (1008, "CORE_CONN_CLOSED")])
def test_a_quota_and_a_server_going_down_pass(status: int, code: str, with_call_id: bool) -> None:
    bench = opened()
    bench.say(code="CORE_CONN_READY")
    verify = bench.one()
    bench.say(status, "later", call_id=verify.call_id if with_call_id else None, code=code)
    (given_up,) = bench.seen(ConnectionGivenUp)
    assert str(given_up.error) == f"connection lost: conn/verify: {status} {code} 'later'"
    assert bench.seen(ServerRefused) == []


def test_a_verify_is_not_sent_again_whatever_came_meanwhile() -> None:
    bench = opened()
    bench.say(code="CORE_CONN_READY")
    verify = bench.one()
    bench.say(200, session=SESSION)
    bench.answer(verify, 403, code="CORE_REQ_INVALID_TOKEN")
    assert len(bench.seen(ServerRefused)) == 1
    assert bench.sent() == []


def test_the_first_message_may_refuse() -> None:
    bench = opened()
    bench.say(1008, "bye", code="CORE_CONN_CLOSED")
    assert len(bench.seen(ConnectionGivenUp)) == 1
    bench = opened()
    bench.say(403, "no")
    assert [event.res.msg for event in bench.seen(ServerRefused)] == ["no"]


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.VERIFYING, Phase.AUTHENTICATING])
def test_not_let_in_in_time(phase: Phase) -> None:
    bench = authed()
    bench.lose()
    bench.machine.connected(bench.now, None)
    if phase is not Phase.OPENING:
        bench.say(code="CORE_CONN_READY")
        verify = bench.one()
        if phase is Phase.AUTHENTICATING:
            bench.answer(verify, code="CORE_CONN_OK")
            assert bench.one().endpoint == "session/reauth"
    assert bench.machine.phase is phase
    assert bench.machine.next_deadline() == bench.now + 20
    bench.wait(19.9)
    assert bench.seen(ConnectionGivenUp) == []
    bench.wait(0.1)
    (given_up,) = bench.seen(ConnectionGivenUp)
    assert str(given_up.error) == f"connection lost: not let in within 20 s ({phase.value})"
    bench.wait(100)
    assert len(bench.seen(ConnectionGivenUp)) == 1


def test_the_time_to_be_let_in_ends_when_ready() -> None:
    bench = Bench(heartbeat_interval_s=1000.0)
    bench.connect()
    assert bench.machine.next_deadline() == bench.now + 1000
    bench.wait(100)
    assert bench.seen(ConnectionGivenUp) == []
