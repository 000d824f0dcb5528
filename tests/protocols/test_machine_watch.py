"""The life of a watch: made, renewed silently, deleted by whoever, refused late; and what is left on the server."""

from __future__ import annotations

from typing import Any

import pytest

from rxsdk.errors import (
    CallCancelled,
    CallError,
    CallOutcomeUnknown,
    CallRejected,
    CallTimeout,
    ConnectFailed,
    ConnectionLost,
)
from rxsdk.protocols.limp.events import CallReplied, ConnectionGivenUp, MessageReceived, WatchEnded, WatchRenewed
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Progress, Request
from tests.protocols.harness import ANON_SID, SESSION, Bench, Sent, authed, ready


def created(bench: Bench, frame: Sent | Request) -> None:
    bench.answer(frame, 200, "Created watch task.", code="CORE_WATCH_OK", watch=frame.call_id)


def changed(bench: Bench, watch: Request, oper: str = "update") -> None:
    bench.answer(watch, 200, "Detected 1 docs.", count=1, oper=oper, docs=[{"_id": "x"}], watch=watch.call_id)


def watching(bench: Bench, **settings: Any) -> Request:
    watch = bench.call("staff/watch", **settings)
    created(bench, bench.one())
    return watch


def test_it_goes_on_with_each_change() -> None:
    bench = ready()
    watch = watching(bench)
    assert watch.progress is Progress.WATCHING
    for oper in ("create", "update", "delete"):
        changed(bench, watch, oper)
    replies = [event for event in bench.seen(CallReplied) if event.request is watch]
    assert [event.res.args.get("oper") for event in replies] == [None, "create", "update", "delete"]
    assert not any(event.final for event in replies)
    bench.wait(29)
    bench.sent()
    assert bench.is_open(watch)  # the time for an answer is over, a watch has none


def test_it_has_no_end_of_its_own() -> None:
    bench = ready(heartbeat_interval_s=1e9)
    watching(bench)
    assert bench.machine.next_deadline() == bench.now + 1e9


@pytest.mark.parametrize("name", ["the id", "__all"])
def test_deleting_it_ends_it_and_the_delete_call_too(name: str) -> None:
    bench = ready()
    watch, other = watching(bench), watching(bench)
    delete = bench.call("watch/delete", [{"watch": watch.call_id if name == "the id" else "__all"}])
    deleted = [watch.call_id] if name == "the id" else [watch.call_id, other.call_id]
    bench.answer(bench.one(), 200, "Watch task deleted.", watch=deleted)
    assert isinstance(bench.ends[watch], WatchEnded)
    assert bench.replies(delete) == ["Watch task deleted."]
    assert not bench.is_open(delete)
    assert bench.is_open(other) is (name == "the id")
    changed(bench, watch)
    assert bench.replies(watch) == ["Created watch task."]


@pytest.mark.parametrize("watch", ["id3", [], ["nosuch", 5, None, ["x"], {}], {}, None, 7])
def test_a_delete_is_answered_whatever_the_server_names(watch: Any) -> None:
    """Also a text, as for a watch: the answer to watch/delete is never one."""
    bench = ready()
    mine = watching(bench)
    delete = bench.call("watch/delete", [{"watch": "x"}])
    bench.answer(bench.one(), 200, "ok", watch=watch)
    assert bench.replies(delete) == ["ok"]
    assert not bench.is_open(delete)
    assert bench.is_open(mine)


def test_naming_a_call_that_is_no_watch_does_not_end_it() -> None:
    bench = ready()
    call, delete = bench.call(), bench.call("watch/delete", [{"watch": "__all"}])
    bench.sent()
    bench.answer(delete, watch=[call.call_id, delete.call_id])
    assert bench.is_open(call)


def test_a_refused_delete_leaves_the_watch() -> None:
    bench = ready()
    watch = watching(bench)
    delete = bench.call("watch/delete", [{"watch": "x"}])
    bench.answer(bench.one(), 400, code="CORE_WATCH_INVALID_WATCH")
    assert isinstance(bench.error(delete), CallRejected)
    assert bench.is_open(watch)


def test_a_500_may_follow_the_first_message() -> None:
    bench = ready()
    watch = watching(bench)
    bench.answer(watch, 500, "Unexpected error has occured.", code="CORE_SERVER_ERROR")
    error = bench.error(watch)
    assert isinstance(error, CallRejected)
    assert error.status == 500
    assert bench.sent() == []


def test_it_survives_auth_and_signout() -> None:
    bench = ready()
    watch = watching(bench)
    bench.sign_in()
    changed(bench, watch)
    bench.call("session/signout")
    bench.answer(bench.one(), session={"_id": ANON_SID})
    changed(bench, watch)
    assert len(bench.replies(watch)) == 3


# -- a new connection


def test_it_is_made_anew_with_its_id_silently_and_first() -> None:
    bench = authed()
    first, second = watching(bench, doc={"n": 1}), watching(bench, doc={"n": 2})
    bench.lose()
    later = bench.call("staff/read")
    bench.connect()
    reauth = bench.one()
    bench.answer(reauth, session=SESSION)
    frames = bench.sent()
    assert [frame.call_id for frame in frames] == [first.call_id, second.call_id, later.call_id]
    assert [frame.doc for frame in frames[:2]] == [{"n": 1}, {"n": 2}]
    assert {frame.signed_with for frame in frames} == {"session"}
    created(bench, first)
    assert bench.replies(first) == ["Created watch task."]
    changed(bench, first)
    assert len(bench.replies(first)) == 2


def test_it_survives_any_number_of_reconnects_and_any_time() -> None:
    bench = ready(heartbeat_interval_s=1e9)
    watch = watching(bench)
    for _ in range(3):
        bench.lose()
        bench.wait(1e5)
        bench.connect()
        bench.lose()  # before the renewal was written
        bench.connect()
        assert bench.one().call_id == watch.call_id
        bench.lose()  # before it was answered
        bench.wait(1e5)
        bench.connect()
        created(bench, bench.one())
    changed(bench, watch)
    assert len(bench.replies(watch)) == 2


def test_it_tells_that_it_was_made_anew_in_its_place_and_what_may_be_missing() -> None:
    bench = ready(heartbeat_interval_s=1e9)
    watch = watching(bench)
    bench.wait(7)
    changed(bench, watch)
    heard_at = bench.now
    bench.wait(20)
    reason = ConnectionLost("half open")
    bench.lose(reason)
    bench.wait(100)
    bench.connect()
    created(bench, bench.one())
    changed(bench, watch, "delete")
    told = [event for event in bench.seen(object) if getattr(event, "request", None) is watch]
    assert [type(event) for event in told] == [CallReplied, CallReplied, WatchRenewed, CallReplied]
    (renewed,) = bench.seen(WatchRenewed)
    assert (renewed.reason, renewed.heard_at, renewed.res.code) == (reason, heard_at, "CORE_WATCH_OK")


def test_losses_before_it_is_made_anew_are_one_gap_that_began_with_the_first() -> None:
    bench = ready()
    watch = watching(bench)
    first, heard_at = ConnectionLost("first"), bench.now
    bench.lose(first)
    bench.wait(5)
    bench.connect()
    bench.one()
    bench.lose(ConnectionLost("second"))
    bench.connect()
    created(bench, bench.one())
    (renewed,) = bench.seen(WatchRenewed)
    assert (renewed.request, renewed.reason, renewed.heard_at) == (watch, first, heard_at)
    heard_at = bench.now
    bench.lose(ConnectionLost("third"))
    bench.connect()
    created(bench, bench.one())
    assert str(bench.seen(WatchRenewed)[1].reason) == "connection lost: third"
    assert bench.seen(WatchRenewed)[1].heard_at == heard_at


def test_one_that_was_never_made_has_no_gap() -> None:
    bench = ready()
    watch = bench.call("staff/watch")
    bench.one()
    bench.reconnect()
    created(bench, bench.one())
    assert bench.replies(watch) == ["Created watch task."]
    assert bench.seen(WatchRenewed) == []


def test_a_refused_renewal_ends_it() -> None:
    bench = ready()
    watch = watching(bench)
    bench.reconnect()
    bench.answer(bench.one(), 403, code="CORE_SESSION_FORBIDDEN")
    assert isinstance(bench.error(watch), CallRejected)


def test_a_renewal_that_is_not_answered_ends_it() -> None:
    bench = ready()
    watch = watching(bench)
    bench.reconnect()
    bench.one()
    bench.wait(30)
    assert isinstance(bench.error(watch), CallTimeout)


def test_a_renewal_whose_token_changed_under_it_is_sent_again_however_old_the_watch_is() -> None:
    bench = ready(heartbeat_interval_s=1e9)
    watch = watching(bench)
    bench.wait(100_000)
    bench.reconnect()
    bench.call("session/auth")
    renewal, auth = bench.sent()
    bench.answer(auth, session=SESSION)
    bench.answer(renewal, 403, code="CORE_REQ_INVALID_TOKEN")
    bench.wait(0)
    again = bench.one()
    assert (again.call_id, again.signed_with) == (watch.call_id, "session")
    created(bench, again)
    assert bench.is_open(watch)


def test_a_watch_that_wants_a_session_waits_for_one() -> None:
    bench = authed()
    watch = watching(bench, await_auth=True)
    bench.lose()
    bench.connect()
    bench.answer(bench.one(), 403, code="CORE_SESSION_INVALID_SESSION")
    assert bench.sent() == []
    bench.reconnect()
    assert bench.sent() == []
    bench.sign_in()
    assert bench.one().call_id == watch.call_id
    created(bench, watch)
    changed(bench, watch)
    assert bench.replies(watch) == ["Created watch task.", "Detected 1 docs."]


def test_a_lost_one_that_was_not_answered_yet_is_tried_again() -> None:
    bench = ready()
    watch = bench.call("staff/Watch")
    first = bench.one()
    bench.reconnect()
    second = bench.one()
    assert second.call_id != first.call_id
    created(bench, second)
    assert bench.replies(watch) == ["Created watch task."]


# -- cancelled


def deleted_on_the_server(bench: Bench) -> list[str]:
    return [frame.query[0]["watch"] for frame in bench.sent() if frame.endpoint == "watch/delete"]


def test_cancelling_deletes_it_on_the_server() -> None:
    bench = ready()
    watch = watching(bench)
    bench.cancel(watch)
    assert isinstance(bench.ends[watch], WatchEnded)
    delete = bench.one()
    assert (delete.endpoint, delete.query) == ("watch/delete", [{"watch": watch.call_id}])
    changed(bench, watch)
    (event,) = bench.answer(delete, watch=[watch.call_id])
    assert isinstance(event, MessageReceived)
    bench.machine.close()
    bench.assert_all_ended()


@pytest.mark.parametrize("reply", [{"watch": "text"}, {"watch": []}, {}])
def test_the_answer_to_a_delete_of_ours_concerns_nobody(reply: dict[str, Any]) -> None:
    bench = ready()
    bench.cancel(watching(bench))
    (event,) = bench.answer(bench.one(), **reply)
    assert isinstance(event, MessageReceived)


def test_a_delete_of_ours_is_sent_anew_when_the_token_changed_under_it() -> None:
    bench = ready()
    watch = watching(bench)
    bench.cancel(watch)
    bench.call("session/auth")
    delete, auth = bench.sent()
    bench.answer(auth, session=SESSION)
    bench.answer(delete, 403, code="CORE_REQ_INVALID_TOKEN")
    again = bench.one()
    assert (again.query, again.signed_with) == ([{"watch": watch.call_id}], "session")
    bench.answer(again, 403, code="CORE_REQ_INVALID_TOKEN")
    assert bench.sent() == []


def test_a_delete_of_ours_that_is_never_answered_is_forgotten() -> None:
    bench = ready(heartbeat_interval_s=1e9)
    bench.cancel(watching(bench))
    bench.one()
    assert bench.wait(30) == []
    assert bench.machine.next_deadline() == bench.now - 30 + 1e9


def test_a_delete_of_ours_dies_with_its_connection() -> None:
    bench = ready()
    bench.cancel(watching(bench))
    bench.reconnect()
    assert bench.sent() == []


def test_one_cancelled_before_its_first_message_is_deleted_when_that_comes() -> None:
    bench = ready()
    watch = bench.call("staff/watch")
    frame = bench.one()
    bench.cancel(watch)
    error = bench.error(watch)
    assert isinstance(error, CallCancelled)
    assert error.written
    assert bench.sent() == []
    created(bench, frame)
    assert deleted_on_the_server(bench) == [frame.call_id]


def test_one_that_timed_out_is_deleted_when_its_first_message_comes() -> None:
    bench = ready()
    watch = bench.call("staff/watch", timeout_s=5.0)
    frame = bench.one()
    bench.wait(5)
    assert isinstance(bench.error(watch), CallTimeout)
    created(bench, frame)
    assert deleted_on_the_server(bench) == [frame.call_id]


def test_one_cancelled_during_its_renewal_is_deleted_when_that_is_answered() -> None:
    bench = ready()
    watch = watching(bench)
    bench.reconnect()
    frame = bench.one()
    bench.cancel(watch)
    assert isinstance(bench.ends[watch], WatchEnded)
    created(bench, frame)
    assert deleted_on_the_server(bench) == [frame.call_id]


@pytest.mark.parametrize("connected", [True, False])
def test_one_cancelled_before_its_renewal_is_simply_gone(connected: bool) -> None:
    bench = ready()
    watch = watching(bench)
    bench.lose()
    if not connected:
        bench.cancel(watch)
    bench.connect()
    bench.cancel(watch)
    assert isinstance(bench.ends[watch], WatchEnded)
    assert bench.sent() == []


@pytest.mark.parametrize("watch", ["", 5, None, ["x"], "\ud800"])
def test_a_watch_of_nobody_without_a_usable_id_is_left_alone(watch: Any) -> None:
    bench = ready()
    bench.say(200, code="CORE_WATCH_OK", watch=watch, call_id="")
    assert bench.sent() == []


# -- ends


def test_closing_completes_it_and_failing_fails_it() -> None:
    for connected in (True, False):
        bench = ready()
        watch = watching(bench)
        if not connected:
            bench.lose()
        bench.machine.close()
        bench.take_events()
        assert isinstance(bench.ends[watch], WatchEnded)
        bench = ready()
        watch = watching(bench)
        if not connected:
            bench.lose()
        cause = ConnectFailed("ws://x", "gone for good", fatal=True)
        bench.machine.fail(cause)
        error = bench.error(watch)
        assert isinstance(error, CallOutcomeUnknown)
        assert error.__cause__ is cause


def test_the_error_to_end_with_may_be_given() -> None:
    bench = ready()
    request = bench.call()
    mine = CallError("staff/create")
    bench.machine.cancel(request, mine)
    assert bench.error(request) is mine


# -- nothing but a call of the application can become a watch


@pytest.mark.parametrize("endpoint", ["session/auth", "session/signout", "watch/delete", "Watch/Delete"])
def test_calls_that_are_no_watch_whatever_the_reply_says(endpoint: str) -> None:
    bench = ready()
    call, after = bench.call(endpoint), bench.call()
    bench.answer(bench.sent()[0], 200, "done", watch="text")
    assert bench.replies(call) == ["done"]
    assert not bench.is_open(call)
    bench.sent()
    assert after.progress is Progress.WRITTEN


def test_the_machines_own_requests_are_no_watches() -> None:
    bench = Bench()
    bench.machine.connected(bench.now, None)
    bench.say(code="CORE_CONN_READY")
    bench.answer(bench.one(), code="CORE_CONN_OK", watch="text")
    assert bench.machine.phase is Phase.READY
    bench.wait(30)
    bench.answer(bench.one(), watch="text")
    bench.wait(10)
    assert bench.seen(ConnectionGivenUp) == []
    bench.sign_in()
    bench.lose()
    bench.connect()
    bench.answer(bench.one(), watch="text")
    assert bench.machine.phase is Phase.READY
