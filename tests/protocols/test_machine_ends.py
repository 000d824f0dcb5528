"""Losing the connection, cancelling, closing and failing, in each state: every request ends exactly once, and truly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rxsdk.errors import (
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    CallTimeout,
    ConnectFailed,
    ConnectionLost,
    RxSdkError,
)
from rxsdk.protocols.limp.events import CallReplied, MessageReceived, PhaseChanged
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Progress, Request
from tests.protocols.harness import SESSION, Bench, authed, ready

# -- lost


def test_what_was_written_and_not_answered_has_an_unknown_outcome() -> None:
    bench = ready()
    request = bench.call("staff/create")
    frame = bench.one()
    bench.lose(ConnectionLost("reset by peer"))
    error = bench.error(request)
    assert isinstance(error, CallOutcomeUnknown)
    assert str(error) == "staff/create: sent, outcome unknown: connection lost: reset by peer"
    bench.connect()
    assert bench.sent() == []
    assert [type(event) for event in bench.answer(frame)] == [MessageReceived]


def test_what_was_not_written_waits_and_goes_out_in_order() -> None:
    bench = ready()
    for number in range(3):
        bench.call("staff/create", doc={"n": number})
    bench.lose()
    bench.call("staff/create", doc={"n": 3})
    bench.connect()
    assert [frame.doc["n"] for frame in bench.sent()] == [0, 1, 2, 3]


def test_what_may_be_repeated_is_repeated_before_the_rest_with_a_new_id() -> None:
    bench = ready()
    reads = [bench.call("staff/read", doc={"n": number}) for number in range(2)]
    bench.call("staff/create", idempotent=True, doc={"n": 2})
    before = bench.sent()
    bench.lose()
    bench.call("staff/create", doc={"n": 3})
    bench.connect()
    after = bench.sent()
    assert [frame.doc["n"] for frame in after] == [0, 1, 2, 3]
    assert not {frame.call_id for frame in before} & {frame.call_id for frame in after}
    bench.answer(after[0], 200, "there")
    assert bench.replies(reads[0]) == ["there"]


def test_a_repeat_that_was_not_written_yet_survives_another_loss() -> None:
    bench = ready()
    read = bench.call("staff/read")
    bench.one()
    bench.lose()
    bench.machine.connected(bench.now, None)
    bench.lose()
    bench.connect()
    bench.answer(bench.one(), 200, "there")
    assert bench.replies(read) == ["there"]


def test_a_repeat_stays_within_the_life_of_its_call() -> None:
    """ "The whole life of a call, repeats included, is under their sum." """
    bench = ready(heartbeat_interval_s=1e9)
    start = bench.now
    read = bench.call("staff/read", queue_timeout_s=100.0, timeout_s=30.0)
    bench.one()
    bench.lose()
    bench.wait(120)
    bench.connect()
    bench.one()
    while bench.is_open(read):
        deadline = bench.machine.next_deadline()
        assert deadline is not None
        bench.wait(deadline - bench.now)
    assert bench.now - start == 130
    assert isinstance(bench.error(read), CallTimeout)


def test_a_repeat_that_is_never_written_again_may_have_run() -> None:
    bench = ready()
    read = bench.call("staff/read", queue_timeout_s=100.0, timeout_s=30.0)
    bench.one()
    reason = ConnectionLost("gone")
    bench.lose(reason)
    bench.wait(130)
    error = bench.error(read)
    assert isinstance(error, CallOutcomeUnknown)
    assert error.__cause__ is reason
    bench.assert_all_ended()


def test_one_that_the_server_refused_to_look_at_was_not_sent() -> None:
    bench = ready()
    request = bench.call("staff/create", queue_timeout_s=100.0, timeout_s=30.0)
    auth = bench.call("session/auth", timeout_s=None, queue_timeout_s=None)
    frame, _ = bench.sent()
    bench.answer(frame, 403, code="CORE_REQ_INVALID_TOKEN")
    assert request.deadline == bench.now + 130
    bench.wait(130)
    assert isinstance(bench.error(request), CallNotSent)
    assert bench.is_open(auth)


def test_one_that_the_server_refused_to_look_at_waits_for_the_next_connection() -> None:
    bench = ready()
    request = bench.call("staff/create")
    bench.call("session/auth")
    frame, _ = bench.sent()
    bench.answer(frame, 403, code="CORE_REQ_INVALID_TOKEN")
    bench.reconnect()
    bench.answer(bench.one(), 200, "done")
    assert bench.replies(request) == ["done"]


def test_a_repeat_without_a_queue_time_waits_for_ever() -> None:
    bench = ready()
    read = bench.call("staff/read", queue_timeout_s=None)
    bench.one()
    bench.lose()
    bench.wait(1e6)
    assert bench.is_open(read)


def test_a_lost_auth_has_an_unknown_outcome_and_holds_nothing() -> None:
    bench = ready()
    auth = bench.call("session/auth")
    bench.one()
    bench.call("staff/create")
    bench.reconnect()
    assert isinstance(bench.error(auth), CallOutcomeUnknown)
    assert bench.endpoints() == ["staff/create"]


# -- cancelled, in each state


def waiting(bench: Bench) -> Request:
    bench.lose()
    return bench.call()


def waiting_for_auth(bench: Bench) -> Request:
    request = bench.call(await_auth=True)
    bench.sent()
    return request


def written(bench: Bench) -> Request:
    request = bench.call()
    bench.one()
    return request


def to_be_repeated(bench: Bench) -> Request:
    request = bench.call("staff/read")
    bench.one()
    bench.lose()
    return request


def pending_auth(bench: Bench) -> Request:
    request = bench.call("session/auth")
    bench.one()
    return request


def watching(bench: Bench) -> Request:
    request = bench.call("staff/watch")
    bench.answer(bench.one(), watch=request.call_id)
    return request


def to_be_renewed(bench: Bench) -> Request:
    request = watching(bench)
    bench.lose()
    return request


def being_renewed(bench: Bench) -> Request:
    request = watching(bench)
    bench.reconnect()
    bench.one()
    return request


def never_submitted(bench: Bench) -> Request:
    request = Request("staff/create")
    request.listener = object()
    return request


PLAIN = [waiting, waiting_for_auth, written, to_be_repeated, pending_auth]
WATCHES = [watching, to_be_renewed, being_renewed]


@pytest.mark.parametrize("state", [*PLAIN, never_submitted])
def test_cancel(state: Callable[[Bench], Request]) -> None:
    bench = ready(heartbeat_interval_s=1e9)
    request = state(bench)
    bench.cancel(request)
    error = bench.error(request)
    assert isinstance(error, CallCancelled)
    # "whether the server may have run it all the same"
    assert error.written is (state in (written, to_be_repeated, pending_auth))
    assert request.progress is Progress.ENDED
    bench.cancel(request)
    if bench.machine.phase is Phase.DISCONNECTED:
        bench.connect()
    assert bench.sent() == []
    bench.call()
    # An auth that is on its way holds the rest back until its answer, whether or not somebody still waits for it.
    assert len(bench.sent()) == (0 if state is pending_auth else 1)
    if request.call_id:
        bench.answer(request, session=SESSION)
        assert len(bench.sent()) == (1 if state is pending_auth else 0)
    bench.wait(1_000)
    bench.assert_ended_but_heartbeats()


@pytest.mark.parametrize("state", [*PLAIN, *WATCHES])
@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CLOSED])
@pytest.mark.parametrize("how", ["close", "fail"])
def test_close_and_fail(state: Callable[[Bench], Request], phase: Phase, how: str) -> None:
    bench = authed() if phase is Phase.AUTHENTICATING and state is not waiting_for_auth else ready()
    if state is waiting_for_auth and phase is Phase.AUTHENTICATING:
        bench.sign_in()
        bench.lose()
        request = bench.call(await_auth=True)
    else:
        request = state(bench)
    go_to(bench, phase)
    assert bench.machine.phase is phase
    if how == "close":
        bench.machine.close()
    else:
        cause = ConnectFailed("ws://x", "for good", fatal=True)
        bench.machine.fail(cause)
    bench.assert_all_ended()
    assert bench.machine.phase is Phase.CLOSED
    if how == "fail" and (phase is Phase.READY or state not in (written, pending_auth)):
        assert bench.error(request).__cause__ is cause
    events = len(bench.events)
    assert bench.endpoints() == (["conn/close"] if how == "close" and phase is Phase.READY else [])
    bench.machine.close()
    bench.machine.fail(RxSdkError("again"))
    bench.lose()
    bench.wait(1_000)
    assert bench.sent() == []
    assert len(bench.events) == events
    late = bench.call()
    assert str(bench.error(late)) == "staff/create: not sent: the service is closed"


def go_to(bench: Bench, phase: Phase) -> None:
    """Move a bench that is READY or DISCONNECTED on to ``phase``."""
    if phase is bench.machine.phase:
        return
    if bench.machine.phase is Phase.READY:
        bench.lose()
    if phase is Phase.DISCONNECTED:
        return
    bench.machine.connected(bench.now, None)
    if phase is Phase.OPENING:
        return
    bench.say(code="CORE_CONN_READY")
    verify = bench.one()
    if phase is not Phase.VERIFYING:
        bench.answer(verify, code="CORE_CONN_OK")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        *[(waiting, CallNotSent), (waiting_for_auth, CallNotSent), (written, CallOutcomeUnknown)],
        *[(to_be_repeated, CallOutcomeUnknown), (pending_auth, CallOutcomeUnknown)],
    ],
)
def test_what_closing_says_of_a_call(state: Callable[[Bench], Request], expected: type[RxSdkError]) -> None:
    bench = ready()
    request = state(bench)
    bench.machine.close()
    error = bench.error(request)
    assert type(error) is expected
    assert error.__cause__ is None
    assert "the service was closed" in str(error)


def test_closing_with_everything_at_once() -> None:
    bench = authed()
    for state in (watching, written, to_be_repeated):
        state(bench)
        if bench.machine.phase is Phase.DISCONNECTED:
            go_to(bench, Phase.AUTHENTICATING)
    for _ in range(3):
        bench.call()
        bench.call(await_auth=True)
    bench.machine.close()
    bench.assert_all_ended()
    assert [event.phase for event in bench.seen(PhaseChanged)][-1] is Phase.CLOSED


def test_the_goodbye_is_signed_and_comes_alone() -> None:
    bench = authed()
    bench.cancel(watching(bench))  # a watch/delete waits
    bench.call()
    bench.machine.close()
    goodbye = bench.one()
    assert (goodbye.endpoint, goodbye.signed_with) == ("conn/close", "session")
    bench.say(200, code="CORE_WATCH_OK", watch="late", call_id="late")
    assert bench.sent() == []


def test_a_reply_in_the_same_turn_as_the_close_is_no_second_end() -> None:
    bench = ready()
    request = bench.call()
    frame = bench.one()
    bench.machine.close()
    bench.machine.receive(b'{"status":200,"args":{"call_id":"%b"}}' % frame.call_id.encode(), bench.now)
    assert bench.seen(CallReplied) == []
    assert isinstance(bench.error(request), CallOutcomeUnknown)


def test_what_was_lost_has_no_deadline_any_more() -> None:
    bench = ready()
    bench.cancel(watching(bench))
    bench.call()
    bench.sent()  # a call and a watch/delete of ours
    bench.lose()
    bench.assert_all_ended()
