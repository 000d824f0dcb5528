"""Reconnecting in its plain form: with jitter, verified, re-authenticated, watches made anew; and closing."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rxsdk import (
    ApiService,
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    File,
    FileCache,
    HeartbeatTimeout,
    MemoryCache,
    ReconnectPolicy,
)
from rxsdk.emulator import Emulator
from rxsdk.protocols.limp.machine import LimpMachine
from tests.conftest import fork, wait_until
from tests.staff import album_doc

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


def test_the_session_and_the_watches_survive(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST)) as api:
        sessions: list[Any] = []
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        api.authed_stream.subscribe(sessions.append)
        changes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        watch = api.call("album/watch")
        watch.subscribe(changes.put)
        first = watch.result()
        assert changes.get(timeout=5) == first
        for rank in range(5):
            emulator.drop_connections()
            wait_until(lambda: not api.inited)
            # A call that waits for the new connection goes out after the watches were made anew.
            created = api.call("album/create", doc=album_doc(rank=rank), await_auth=True)
            assert created.result().status == 200
            change = changes.get(timeout=5)
            assert (change.args.oper, change.docs[0]["rank"]) == ("create", rank)
            assert change.args.watch == first.args.watch
        assert emulator.watches == 1
        assert len({session["_id"] for session in sessions}) == 1


def test_states_and_inited_tell_the_story(emulator: Emulator) -> None:
    api = ApiService(emulator.config(reconnect=FAST))
    names: list[str] = []
    inited: list[bool] = []
    api.state_stream.subscribe(lambda state: names.append(state.name))
    api.inited_stream.subscribe(inited.append)
    api.init()
    wait_until(lambda: api.inited)
    api.auth("email", emulator.admin_email, emulator.admin_password).result()
    emulator.drop_connections()
    wait_until(lambda: names.count("ready") == 2)
    api.suspend()
    wait_until(lambda: names[-1] == "suspended")
    waiting = api.call("staff/read")
    api.resume()
    assert waiting.result().status == 200
    api.close().result()
    once = ["connecting", "verifying", "ready"]
    again = ["connecting", "verifying", "authenticating", "ready"]
    assert names == ["idle", *once, "reconnecting", *again, "suspended", *again, "closing", "closed"]
    assert inited == [False, True, False, True, False, True, False]


def test_a_call_that_may_be_repeated_is_and_another_is_not(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        for endpoint in ("staff/read", "album/create"):
            emulator.silence(endpoint, times=1, execute=True)
        read, create = api.call("staff/read"), api.call("album/create", doc=album_doc())
        emulator.wait_until(lambda e: e.executed["album/create"] == e.executed["staff/read"] == 1)
        emulator.drop_connections()
        assert read.result().status == 200
        with pytest.raises(CallOutcomeUnknown):
            create.result()
        assert (emulator.executed["staff/read"], emulator.executed["album/create"]) == (2, 1)


def test_a_refused_reauth_signs_out(emulator: Emulator) -> None:
    cache = MemoryCache()
    with ApiService(emulator.config(reconnect=FAST, cache=cache)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        sessions: list[Any] = []
        api.authed_stream.subscribe(sessions.append)
        emulator.expire_sessions()
        emulator.drop_connections()
        wait_until(lambda: sessions[1:] == [None])
        assert api.call("staff/read").result().status == 200, "anonymously"
        assert not api.authed
    with ApiService(emulator.config(cache=cache)) as api, pytest.raises(Exception, match="No credentials cached"):
        api.check_auth()


def test_a_cached_session_signs_in_after_a_restart_of_the_app(emulator: Emulator, tmp_path: Path) -> None:
    config = emulator.config(cache=FileCache(tmp_path / "credentials.json"))
    with ApiService(config) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        assert api.session is not None
        sid = api.session["_id"]
    with ApiService(config) as api:
        assert api.check_auth().result().args.session["_id"] == sid
        assert api.authed
        api.signout().result()
    with ApiService(config) as api, pytest.raises(Exception, match="No credentials cached"):
        api.check_auth()


def test_a_server_that_no_longer_answers_is_noticed(emulator: Emulator) -> None:
    config = emulator.config(reconnect=FAST, heartbeat_interval_s=0.05, heartbeat_timeout_s=0.1)
    with ApiService(config) as api:
        emulator.silence("heart/beat", times=1)
        wait_until(lambda: isinstance(api._life.trouble, HeartbeatTimeout))
        assert api.call("staff/read").result().status == 200


def test_unwritten_calls_wait_through_a_reconnect_in_order(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST)) as api:
        api.suspend()
        wait_until(lambda: api.state.name == "suspended")
        calls = [api.call("album/read", query=[{"rank": rank}]) for rank in range(50)]
        with pytest.raises(CallNotSent, match="no connection within"):
            api.call("staff/read", queue_timeout_s=0.05).result()
        api.resume()
        assert {call.result().status for call in calls} == {200}
        ranks = [
            got.payload["query"][0]["rank"] for got in emulator.received if got.payload["endpoint"] == "album/read"
        ]
        assert ranks == list(range(50))


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_an_upload_that_loses_its_connection_starts_over(emulator: Emulator, chunk: int) -> None:
    with ApiService(emulator.config(reconnect=FAST, file_chunk_size=10, upload_window=1)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        emulator.reply_to("file/upload", cut_at(emulator, chunk))
        cut = api.call("album/create", doc=album_doc(cover=File(b"x" * 35, name="x.png")))
        assert cut.result().status == 200
        assert emulator.executed["file/upload"] == chunk + 4
        assert api.call("album/read").result().docs[0]["cover"]["size"] == 35


def cut_at(emulator: Emulator, chunk: int) -> Callable[[dict[str, Any]], None]:
    """Drops all connections when a chunk of this number comes in for the first time."""
    cuts = iter([True])

    def look(payload: dict[str, Any]) -> None:
        if payload["doc"]["chunk"] == chunk and next(cuts, False):
            emulator.drop_connections()

    return look


def test_an_upload_whose_connection_does_not_last_ends(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST, file_chunk_size=10)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        emulator.reply_to("file/upload", lambda payload: emulator.drop_connections())
        with pytest.raises(CallNotSent, match="the connection was lost 5 times while its files went up"):
            api.call("album/create", doc=album_doc(cover=File(b"x" * 35, name="x.png"))).result()
        emulator.clear_script()
        good = api.call("album/create", doc=album_doc(cover=File(b"y" * 25, name="y.png"))).result()
        albums = api.call("album/read").result().docs
        assert [(doc["_id"], doc["cover"]["size"]) for doc in albums] == [(good.docs[0]["_id"], 25)]


def test_what_an_aborted_upload_left_behind_poisons_nothing(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST, file_chunk_size=10)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        two = [File(b"a" * 5, name="a.png"), File(b"b" * 25, name="b.png")]
        emulator.delay("file/upload", 0.01)
        cut = api.call("album/create", doc=album_doc(photos=two))
        emulator.wait_until(lambda e: e.executed["file/upload"] >= 2)
        cut.cancel()
        with pytest.raises(CallCancelled):
            cut.result()
        api.call("album/create", doc=album_doc(photos=[])).result()
        api.call("album/create", doc=album_doc(photos=[File(b"c", name="c.png")])).result()
        assert [[photo["name"] for photo in doc["photos"]] for doc in api.call("album/read").result().docs] == [
            ["c.png"],
            [],
        ]


def test_leaving_a_watch_deletes_it_on_the_server(api: ApiService, emulator: Emulator) -> None:
    watch = api.call("staff/watch")
    subscriptions = [watch.subscribe() for _ in range(2)]
    watch.result()
    assert emulator.watches == 1
    subscriptions[0].dispose()
    assert api.call("staff/read").result().status == 200
    assert emulator.watches == 1, "somebody still listens"
    subscriptions[1].dispose()
    wait_until(lambda: emulator.watches == 0)
    early = api.call("staff/watch")
    early.subscribe().dispose()
    early.result()
    wait_until(lambda: emulator.watches == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_the_childs_service_says_so(api: ApiService) -> None:
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        try:
            api.call("staff/read").result()
        except CallNotSent as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert b"this process was forked" in os.read(reader, 1_000)
    os.close(reader)
    os.close(writer)
    assert api.call("staff/read").result().status == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_while_a_call_is_in_nobodys_hands_the_child_is_told(
    api: ApiService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's thread has taken it from those that wait, and not handed it to the machine yet."""
    taken, let_go = threading.Event(), threading.Event()
    submit = LimpMachine.submit

    def submit_slowly(machine: LimpMachine, request: Any, now: float) -> None:
        taken.set()
        let_go.wait(10)
        submit(machine, request, now)

    monkeypatch.setattr(LimpMachine, "submit", submit_slowly)
    call = api.call("staff/read")
    assert taken.wait(10)
    child = fork()
    if child == 0:
        code = 2
        try:
            call.result(5)
        except CallOutcomeUnknown as error:
            code = "this process was forked" not in str(error)
        finally:
            os._exit(code)
    let_go.set()
    assert os.waitpid(child, 0)[1] == 0
    assert call.result(10).status == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_while_another_thread_closes_it_the_child_can_close_it_too(api: ApiService) -> None:
    entered, let_go = threading.Event(), threading.Event()

    def close_slowly() -> None:
        with api._deciding():
            entered.set()
            let_go.wait(10)

    other = threading.Thread(target=close_slowly)
    other.start()
    entered.wait()
    child = fork()
    if child == 0:
        try:
            os._exit(api.close().result(5).name != "closed")
        finally:
            os._exit(2)
    let_go.set()
    other.join()
    assert os.waitpid(child, 0)[1] == 0


def test_a_service_can_be_opened_again(config: Any, emulator: Emulator, no_thread_left: None) -> None:
    api = ApiService(config)
    for _ in range(3):
        with api:
            assert api.call("staff/read").result().status == 200
        assert not api.inited
    assert emulator.connections == 0


def test_many_services_share_one_loop_thread(config: Any, no_thread_left: None) -> None:
    with ExitStack() as stack:
        services = [stack.enter_context(ApiService(config)) for _ in range(20)]
        assert {call.result().status for call in [api.call("staff/read") for api in services]} == {200}
        assert sum(thread.name == "rxsdk loop" for thread in threading.enumerate()) == 1
