"""Signing in, back in and out: what is held, what is signed with what, and what is sent once more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxsdk.errors import CallCancelled, CallRejected, CallTimeout
from rxsdk.protocols.limp.auth import auth_docs
from rxsdk.protocols.limp.events import (
    ConnectionGivenUp,
    MessageReceived,
    PhaseChanged,
    RequestRepeated,
    SessionChanged,
)
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Progress, Request
from tests.protocols.harness import ANON_SID, ANON_TOKEN, SESSION, SID, TOKEN, Bench, Sent, authed, ready, unbase64

SESSION_CALLS = ["session/auth", "session/reauth", "session/signout", "Session/Auth"]


def refuse_token(bench: Bench, frame: Sent) -> None:
    bench.answer(frame, 403, "Request token is not accepted.", code="CORE_REQ_INVALID_TOKEN")


@pytest.mark.parametrize("endpoint", SESSION_CALLS)
@pytest.mark.parametrize("status", [200, 400])
def test_everything_is_held_until_it_is_answered(endpoint: str, status: int) -> None:
    bench = ready()
    before = bench.call(timeout_s=None)
    bench.call(endpoint, timeout_s=None)
    after = bench.call()
    frames = bench.sent()
    assert [frame.endpoint for frame in frames] == ["staff/create", endpoint]
    bench.wait(31)  # a heartbeat is due: held too
    assert bench.sent() == []
    bench.answer(frames[0])  # earlier calls are not waited for, and go on
    assert not bench.is_open(before)
    assert bench.sent() == []
    bench.answer(frames[1], status, code="X")
    assert [frame.call_id for frame in bench.sent()] == [after.call_id]


def test_what_is_held_is_signed_with_the_new_token() -> None:
    bench = ready()
    bench.call("session/auth")
    bench.call("staff/read")
    auth = bench.one()
    assert auth.signed_with == "anon"
    bench.answer(auth, session=SESSION)
    read = bench.one()
    assert (read.signed_with, read.payload["sid"], read.payload["token"]) == ("session", SID, TOKEN)
    bench.call("session/signout")
    bench.call("staff/read")
    signout = bench.one()
    assert signout.signed_with == "session"
    bench.answer(signout, session={"_id": ANON_SID})
    read = bench.one()
    assert (read.signed_with, read.payload["sid"], read.payload["token"]) == ("anon", ANON_SID, ANON_TOKEN)
    assert [event.session for event in bench.seen(SessionChanged)] == [SESSION, None]


def test_heartbeats_are_held_and_come_after() -> None:
    bench = ready()
    bench.wait(29)
    bench.call("session/auth")
    auth = bench.one()
    bench.wait(1)
    bench.wait(10)
    assert bench.sent() == []
    bench.answer(auth, session=SESSION)
    bench.wait(10)
    beat = bench.one()
    assert (beat.endpoint, beat.signed_with) == ("heart/beat", "session")
    assert bench.seen(ConnectionGivenUp) == []


def test_an_auth_that_is_never_answered_holds_no_longer_than_its_time() -> None:
    bench = ready()
    auth = bench.call("session/auth", timeout_s=5.0)
    waiting = bench.call()
    frame = bench.one()
    bench.wait(5)
    assert isinstance(bench.error(auth), CallTimeout)
    assert bench.endpoints() == ["staff/create"]
    # The answer comes all the same: the server has the session now, so have we.
    bench.answer(frame, session=SESSION)
    assert bench.machine.session == SESSION
    assert bench.is_open(waiting)


# -- CORE_REQ_INVALID_TOKEN of a call that was in flight while the session changed


def in_flight_across_an_auth(**settings: Any) -> tuple[Bench, Request, Sent, Sent]:
    bench = ready()
    bench.keys["mine"] = "mine"
    request = bench.call("staff/create", doc={"a": 1}, **settings)
    bench.call("session/auth")
    frame, auth = bench.sent()
    return bench, request, frame, auth


@pytest.mark.parametrize("refused_first", [True, False])
def test_it_is_sent_once_more_signed_anew(refused_first: bool) -> None:
    bench, request, frame, auth = in_flight_across_an_auth()
    if refused_first:
        refuse_token(bench, frame)
        assert bench.sent() == []  # the auth is still unanswered
        bench.answer(auth, session=SESSION)
    else:
        bench.answer(auth, session=SESSION)
        refuse_token(bench, frame)
    again = bench.one()
    assert (again.endpoint, again.doc, again.signed_with) == ("staff/create", {"a": 1}, "session")
    assert again.call_id != frame.call_id
    assert bench.is_open(request)
    bench.answer(again, 200, "done")
    assert bench.replies(request) == ["done"]


def test_never_twice() -> None:
    bench, request, frame, auth = in_flight_across_an_auth()
    bench.answer(auth, session=SESSION)
    refuse_token(bench, frame)
    bench.call("session/signout")
    again, signout = bench.sent()
    bench.answer(signout, session={"_id": ANON_SID})
    refuse_token(bench, again)
    assert isinstance(bench.error(request), CallRejected)
    assert bench.sent() == []


def test_not_when_the_session_did_not_change() -> None:
    bench = ready()
    request = bench.call()
    refuse_token(bench, bench.one())
    assert isinstance(bench.error(request), CallRejected)


def test_not_when_it_was_signed_with_a_token_of_its_own() -> None:
    bench, request, frame, auth = in_flight_across_an_auth(token="mine")
    bench.answer(auth, session=SESSION)
    refuse_token(bench, frame)
    assert isinstance(bench.error(request), CallRejected)


def test_not_for_the_auth_itself() -> None:
    bench = ready()
    auth = bench.call("session/auth")
    refuse_token(bench, bench.one())
    assert isinstance(bench.error(auth), CallRejected)


def test_other_refusals_are_final() -> None:
    bench, request, frame, auth = in_flight_across_an_auth()
    bench.answer(auth, session=SESSION)
    bench.answer(frame, 403, code="CORE_SESSION_FORBIDDEN")
    assert isinstance(bench.error(request), CallRejected)


def test_one_that_waits_to_be_sent_again_waits_for_a_session_if_it_wants_one() -> None:
    bench = authed()
    request = bench.call("staff/create", await_auth=True)
    bench.call("session/signout")
    frame, signout = bench.sent()
    bench.answer(signout, session={"_id": ANON_SID})
    refuse_token(bench, frame)
    assert bench.sent() == []
    assert request.progress is Progress.WAITING
    bench.sign_in()
    assert bench.one().signed_with == "session"


# -- credentials with non-ASCII characters


def auth_with_two_forms(bench: Bench) -> Request:
    first, second = auth_docs("5.6", "email", "é@b.c", "pw", ANON_TOKEN, None)
    request = Request("session/auth", timeout_s=30.0, queue_timeout_s=120.0, changes_session=True)
    request.doc = json.dumps(first).encode()
    request.retry_doc = json.dumps(second).encode()
    return bench.submit(request)


def test_the_escaped_form_is_tried_once_and_before_all_else() -> None:
    bench = ready()
    auth = auth_with_two_forms(bench)
    bench.call("staff/read")
    first = bench.one()
    assert "é".encode() in unbase64(first.doc["hash"])
    events = bench.answer(first, 403, "Wrong auth credentials.", code="CORE_SESSION_INVALID_CREDS")
    assert [type(event) for event in events] == [MessageReceived, RequestRepeated]
    second = bench.one()
    assert second.endpoint == "session/auth"
    assert b"\\u00e9" in unbase64(second.doc["hash"])
    assert second.call_id != first.call_id
    bench.answer(second, 403, "Wrong auth credentials.", code="CORE_SESSION_INVALID_CREDS")
    assert isinstance(bench.error(auth), CallRejected)
    assert bench.endpoints() == ["staff/read"]


def test_the_escaped_form_goes_before_calls_that_are_sent_again() -> None:
    bench = ready()
    bench.call("staff/create")
    auth_with_two_forms(bench)
    create, auth = bench.sent()
    refuse_token(bench, create)
    bench.answer(auth, 403, code="CORE_SESSION_INVALID_CREDS")
    second = bench.one()
    assert second.endpoint == "session/auth"
    bench.answer(second, session=SESSION)
    assert bench.one().signed_with == "session"


def test_credentials_that_were_refused_signed_nobody_in() -> None:
    bench = ready()
    auth = auth_with_two_forms(bench)
    bench.answer(bench.one(), 403, code="CORE_SESSION_INVALID_CREDS")
    bench.cancel(auth)
    error = bench.error(auth)
    assert isinstance(error, CallCancelled)
    assert not error.written


def test_the_escaped_form_may_succeed() -> None:
    bench = ready()
    auth = auth_with_two_forms(bench)
    bench.answer(bench.one(), 403, code="CORE_SESSION_INVALID_CREDS")
    bench.answer(bench.one(), 200, "in", session=SESSION)
    assert bench.replies(auth) == ["in"]
    assert bench.machine.session == SESSION


@pytest.mark.parametrize("code", ["CORE_SESSION_ALREADY_AUTHED", None, "CORE_REQ_SESSION_QUOTA_HIT"])
def test_other_refusals_try_nothing(code: str | None) -> None:
    bench = ready()
    auth = auth_with_two_forms(bench)
    bench.answer(bench.one(), 400, code=code)
    assert isinstance(bench.error(auth), CallRejected)
    assert bench.sent() == []


def test_the_second_try_is_within_the_life_of_the_call() -> None:
    bench = ready()
    auth = auth_with_two_forms(bench)
    frame = bench.one()
    bench.wait(29)
    bench.answer(frame, 403, code="CORE_SESSION_INVALID_CREDS")
    assert auth.deadline is not None
    bench.one()
    bench.wait(30)
    assert isinstance(bench.error(auth), CallTimeout)


# -- what the server says of the session


def test_a_session_is_reported_when_it_changes() -> None:
    bench = authed()
    bench.say(200, session=SESSION)
    assert len(bench.seen(SessionChanged)) == 1
    bench.say(200, session={**SESSION, "groups": ["g"]})
    assert [event.session and event.session.groups for event in bench.seen(SessionChanged)] == [[], ["g"]]
    bench.say(200, session={"_id": ANON_SID})
    bench.say(200, session={"_id": ANON_SID})
    assert len(bench.seen(SessionChanged)) == 3
    assert bench.machine.session is None


@pytest.mark.parametrize("token", ["absent", None])
def test_the_token_may_be_left_out_when_the_session_is_known(token: str | None) -> None:
    bench = authed()
    partial: dict[str, Any] = {"_id": SID, "groups": ["g"]}
    bench.say(200, session=partial if token else {**partial, "token": None})
    assert bench.machine.session == {"_id": SID, "groups": ["g"], "token": TOKEN}
    bench.call()
    assert bench.one().signed_with == "session"


@pytest.mark.parametrize(
    "session",
    [
        *[None, [], "x", {}, {"_id": 5, "token": "t"}, {"_id": "", "token": "t"}, {"_id": "other"}],
        *[{"_id": "other", "token": None}, {"_id": "other", "token": 5}, {"_id": "other", "token": ""}],
        *[{"_id": "\ud800", "token": "t"}, {"_id": "s", "token": "\udc00"}, {"_id": SID, "token": ["x"]}],
    ],
    ids=str,
)
def test_a_session_that_cannot_be_used_changes_nothing(session: Any) -> None:
    bench = authed()
    bench.call()
    bench.answer(bench.one(), session=session)
    assert bench.machine.session == SESSION
    bench.call()
    assert bench.one().signed_with == "session"


# -- back in after a reconnect


@pytest.mark.parametrize(
    ("level", "proof"),
    [("5.0", "hash"), ("5.6", "hash"), ("6.1", "token")],
)
def test_reauth_after_a_reconnect(level: str, proof: str) -> None:
    bench = authed(auth_hash_level=level)
    bench.lose()
    waiting = bench.call()
    bench.connect()
    assert bench.machine.phase is Phase.AUTHENTICATING
    reauth = bench.one()
    assert (reauth.endpoint, reauth.signed_with, reauth.payload["sid"]) == ("session/reauth", "anon", ANON_SID)
    (item,) = reauth.query
    assert set(item) == {"_id", proof}
    assert item["_id"] == SID
    value = item[proof]
    assert (value if proof == "token" else json.loads(unbase64(value))) == (
        TOKEN if proof == "token" else {"token": TOKEN}
    )
    assert bench.sent() == []
    bench.answer(reauth, session={**SESSION, "login": 2})
    assert bench.machine.phase is Phase.READY
    assert bench.one().signed_with == "session"
    assert bench.is_open(waiting)


@pytest.mark.parametrize(
    "first", [b'{"status":200,"msg":"Connection established."}', b'{"status":200,"args":{"code":"CORE_CONN_OK"}}']
)
def test_reauth_with_an_older_server(first: bytes) -> None:
    bench = authed()
    bench.lose()
    bench.machine.connected(bench.now, None)
    bench.hear(first)
    reauth = bench.one()
    assert reauth.endpoint == "session/reauth"
    bench.answer(reauth)  # a reply without a session leaves the one there was
    assert bench.machine.session == SESSION
    bench.call()
    assert bench.one().signed_with == "session"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "CORE_SESSION_INVALID_SESSION"),
        (403, "CORE_SESSION_INVALID_REAUTH_HASH"),
        (403, "CORE_SESSION_SESSION_EXPIRED"),
    ],
)
def test_a_refused_reauth_is_a_signout(status: int, code: str) -> None:
    bench = authed()
    bench.lose()
    plain, wants_session = bench.call(), bench.call(await_auth=True)
    bench.connect()
    bench.answer(bench.one(), status, code=code)
    assert bench.machine.session is None
    changes = [event for event in bench.events if isinstance(event, (SessionChanged, PhaseChanged))][-2:]
    assert isinstance(changes[0], SessionChanged)
    assert changes[0].session is None
    assert isinstance(changes[1], PhaseChanged)
    frame = bench.one()
    assert frame.call_id == plain.call_id
    assert frame.signed_with == "anon"
    assert wants_session.progress is Progress.WAITING
    bench.reconnect()
    assert bench.sent() == []  # nothing is there to reauth with


def test_a_repeated_call_that_wants_a_session_does_not_go_out_without_one() -> None:
    bench = authed()
    read = bench.call("staff/read", await_auth=True)
    bench.one()
    bench.lose()
    bench.connect()
    bench.answer(bench.one(), 403, code="CORE_SESSION_INVALID_SESSION")
    assert bench.sent() == []
    assert bench.is_open(read)
    bench.sign_in()
    assert bench.one().signed_with == "session"


@pytest.mark.parametrize(("status", "code"), [(429, "CORE_REQ_IP_QUOTA_HIT"), (500, "CORE_SERVER_ERROR")])
def test_a_reauth_that_could_not_be_looked_at_is_tried_on_the_next_connection(status: int, code: str) -> None:
    bench = authed()
    bench.lose()
    bench.connect()
    bench.answer(bench.one(), status, "later", code=code)
    (given_up,) = bench.seen(ConnectionGivenUp)
    assert str(given_up.error) == f"connection lost: session/reauth: {status} {code} 'later'"
    assert bench.machine.session == SESSION
    assert bench.sent() == []
    bench.reconnect()
    assert bench.machine.phase is Phase.READY
    assert bench.machine.session == SESSION


def test_a_verify_across_a_reconnect_is_signed_anonymously() -> None:
    bench = authed()
    bench.lose()
    bench.machine.connected(bench.now, None)
    bench.say(code="CORE_CONN_READY")
    verify = bench.one()
    assert (verify.endpoint, verify.signed_with, verify.payload["sid"]) == ("conn/verify", "anon", ANON_SID)
