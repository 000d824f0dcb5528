"""A refused reauth, when the application has fresh credentials to offer."""

from __future__ import annotations

import json

from rxsdk.protocols.limp.events import ConnectionGivenUp, ReauthRefused, SessionChanged
from rxsdk.protocols.limp.phases import Phase
from tests.protocols.harness import SESSION, Bench, authed

DOC = json.dumps({"email": "a@b.c", "hash": "fresh"}).encode()


def refused() -> Bench:
    bench = authed(asks_for_credentials=True)
    bench.lose()
    bench.connect()
    bench.answer(bench.one(), 403, "Session is invalid.", code="CORE_SESSION_INVALID_SESSION")
    assert len(bench.seen(ReauthRefused)) == 1
    return bench


def test_nothing_goes_out_until_the_application_has_answered() -> None:
    bench = refused()
    bench.call("staff/read")
    assert bench.sent() == []
    assert bench.machine.phase is Phase.AUTHENTICATING
    bench.machine.sign_in_again(DOC, None)
    auth = bench.one()
    assert (auth.endpoint, auth.doc["hash"], auth.signed_with) == ("session/auth", "fresh", "anon")
    bench.answer(auth, session=SESSION)
    assert bench.machine.phase is Phase.READY
    assert bench.one().signed_with == "session"


def test_without_fresh_credentials_one_is_signed_out() -> None:
    bench = refused()
    bench.call("staff/read")
    bench.machine.give_session_up(bench.now)
    assert bench.seen(SessionChanged)[-1].session is None
    assert bench.one().signed_with == "anon"


def test_fresh_credentials_that_are_refused_sign_out_and_are_not_asked_for_again() -> None:
    bench = refused()
    bench.machine.sign_in_again(DOC, DOC.replace(b"fresh", b"escaped"))
    for form in ("fresh", "escaped"):
        auth = bench.one()
        assert auth.doc["hash"] == form
        bench.answer(auth, 403, "Wrong auth credentials.", code="CORE_SESSION_INVALID_CREDS")
    assert bench.machine.phase is Phase.READY
    assert bench.machine.session is None
    assert len(bench.seen(ReauthRefused)) == 1


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    bench = refused()
    bench.wait(20)
    assert len(bench.seen(ConnectionGivenUp)) == 1
    bench.lose()
    bench.machine.sign_in_again(DOC, None)
    bench.machine.give_session_up(bench.now)
    assert bench.sent() == []
    assert bench.machine.session is not None


def test_verify_answered_without_a_call_id() -> None:
    bench = Bench()
    bench.machine.connected(bench.now, None)
    bench.say(200, "Connection ready", code="CORE_CONN_READY")
    bench.one()
    bench.say(200, "Connection establised", code="CORE_CONN_OK", call_id=None)
    assert bench.machine.phase is Phase.READY
