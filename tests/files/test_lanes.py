"""Lanes: what befalls the connections beside the main one, and how a call with files fares by that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from rxsdk import (
    ApiService,
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    ConnectionLost,
    RemoteProtocolError,
    VerifyRefused,
)
from rxsdk.emulator import Emulator
from rxsdk.files.job import Answer
from rxsdk.files.uploader import Uploader, _Turn
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.service import connector
from rxsdk.testing import FakeClock
from tests.conftest import wait_until
from tests.files.wire import FAST, Watcher, content, file, next_phase, signed_in, stored, upload


def came_in(emulator: Emulator, endpoint: str) -> list[int]:
    """The connections on which it did, in order."""
    return [got.connection for got in emulator.received if got.payload["endpoint"] == endpoint]


def until_over(clock: FakeClock, watcher: Watcher) -> None:
    """Let time pass, little by little, until the call has ended."""

    def is_over() -> bool:
        clock.advance(0.05)
        return watcher.is_over

    wait_until(is_over, timeout_s=20)


# -- opening


def test_a_lane_that_is_not_let_in_says_why_and_the_next_is_opened(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.refuse_next("conn/verify", 403, "CORE_NO", "Not you.")
        with pytest.raises(CallNotSent, match=r"no connection for its files could be opened: .*Not you\.") as caught:
            upload(api, file=file(10)).result()
        assert isinstance(caught.value.__cause__, VerifyRefused)
        upload(api, file=file(10)).result()
        assert stored(emulator) == {"a": {"file": content(10)}}


def test_a_lane_that_does_not_come_up_is_waited_for_no_longer_than_the_call_may_wait(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock) as api:
        emulator.silence("conn/verify")
        call = api.call("archive/create", doc={"title": "a", "file": file(10)}, queue_timeout_s=5.0)
        wait_until(lambda: len(came_in(emulator, "conn/verify")) == 2)
        clock.advance(5.1)
        with pytest.raises(CallNotSent, match="no connection for its files could be opened within 5 s"):
            call.result(20)
        emulator.clear_script()
        assert upload(api, file=file(10)).error is None


def test_who_waits_for_others_waits_no_longer_than_the_call_may(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock) as api:
        emulator.silence("file/upload", times=1)
        first = upload(api, "first", file=file(10))
        wait_until(lambda: came_in(emulator, "file/upload"))
        call = api.call("archive/create", doc={"title": "a", "file": file(10)}, queue_timeout_s=5.0)
        lanes = api._inside._made_files.uploader._lanes  # type: ignore[union-attr]
        wait_until(lambda: lanes._turns)
        clock.advance(5.1)
        with pytest.raises(CallNotSent, match="other uploads to file took more than 5 s"):
            call.result(20)
        first.cancel()
        upload(api, "next", file=file(10)).result(20)
        assert stored(emulator) == {"next": {"file": content(10)}}


# -- while it is there


def test_a_lane_that_no_longer_answers_is_given_up_and_the_files_start_over(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock, heartbeat_interval_s=30.0) as api:
        for endpoint in ("file/upload", "heart/beat"):
            emulator.silence(endpoint)
        call = upload(api, file=file(3000))
        watcher = Watcher(call)
        wait_until(lambda: came_in(emulator, "file/upload"))
        clock.advance(30)
        wait_until(lambda: len(came_in(emulator, "heart/beat")) == 2)
        emulator.clear_script()
        clock.advance(10)
        until_over(clock, watcher)
        assert call.result().status == 200
        assert "restarting" in watcher.phases
        assert stored(emulator) == {"a": {"file": content(3000)}}


def test_a_lane_lost_while_it_waits_for_its_minute_is_not_waited_for(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock) as api:
        emulator.refuse_next("file/upload", 429, "CORE_REQ_SESSION_QUOTA_HIT")
        call = upload(api, file=file(3000))
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and next_phase(clock, watcher) == "waiting_for_quota")
        emulator.drop_connections()
        until_over(clock, watcher)
        assert call.result().status == 200
        assert clock.now() < 60
        assert stored(emulator) == {"a": {"file": content(3000)}}


def test_a_call_that_may_be_repeated_is_when_its_answer_is_lost(emulator: Emulator) -> None:
    lost: list[Any] = []

    def lose(payload: dict[str, Any]) -> None:
        if not lost:
            lost.append(payload)
            emulator.drop_connections()

    with signed_in(emulator) as api:
        emulator.reply_to("archive/create", lose)
        doc = {"title": "a", "file": file(3000)}
        assert api.call("archive/create", doc=doc, idempotent=True).result(20).status == 200
        assert lost
        assert stored(emulator) == {"a": {"file": content(3000)}}


def lost_once(api: ApiService, emulator: Emulator) -> Any:
    """A call that may be repeated: it ran, its answer was lost with the connection, and its files go up again."""
    emulator.silence("archive/create", times=1, execute=True)
    call = api.call("archive/create", doc={"title": "a", "file": file(10)}, idempotent=True)
    emulator.wait_until(lambda e: e.executed["archive/create"] == 1)
    emulator.silence("file/upload")
    emulator.drop_connections()
    wait_until(lambda: len(came_in(emulator, "file/upload")) == 2)
    return call


def test_a_call_that_was_lost_once_and_then_not_sent_may_have_run(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = lost_once(api, emulator)
    with pytest.raises(CallOutcomeUnknown, match="the service is closed"):
        call.result()


def test_a_call_that_was_lost_once_and_is_refused_its_files_may_have_run(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with signed_in(emulator) as api:
        monkeypatch.setattr(Uploader, "_pause", at_once)
        call = lost_once(api, emulator)
        emulator.clear_script()
        emulator.refuse_next("file/upload", 403, "NO")
        emulator.drop_connections()
        with pytest.raises(CallOutcomeUnknown, match="its files could not be uploaded: file/upload: 403 NO"):
            call.result()


def test_a_call_that_was_lost_once_and_then_cancelled_may_have_run(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = lost_once(api, emulator)
        call.cancel()
        with pytest.raises(CallCancelled) as caught:
            call.result()
        assert caught.value.written


async def at_once(*_: Any) -> None:
    """Instead of a pause."""


def test_a_call_lost_in_the_moment_in_which_its_session_ends_is_not_repeated(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with signed_in(emulator) as api:
        uploader = api._inside._files().uploader
        fail = Answer.fail

        def fail_and_change(answer: Answer, error: Any) -> None:
            fail(answer, error)
            uploader.session_changed(same_user=False)

        emulator.silence("archive/create", execute=True)
        call = api.call("archive/create", doc={"title": "a", "file": file(10)}, idempotent=True)
        emulator.wait_until(lambda e: e.executed["archive/create"] == 1)
        monkeypatch.setattr(Answer, "fail", fail_and_change)
        emulator.drop_connections()
        with pytest.raises(CallOutcomeUnknown, match="the session changed while its files went up"):
            call.result()
        assert len(came_in(emulator, "file/upload")) == 1


def test_another_word_than_accepted_ends_the_call(emulator: Emulator) -> None:
    """After it nobody knows what the server has."""
    with signed_in(emulator) as api:
        emulator.reply_to("file/upload", status=200, msg="Chunk accepted", times=1)  # of one: "Last chunk accepted"
        with pytest.raises(CallNotSent, match="file/upload was answered 'Chunk accepted', not 'last chunk") as caught:
            upload(api, file=file(10)).result()
        assert isinstance(caught.value.__cause__, RemoteProtocolError)
        upload(api, file=file(10)).result()
        assert stored(emulator) == {"a": {"file": content(10)}}


def test_what_a_lane_hears_is_shown_and_what_it_cannot_read_is_dropped(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rxsdk.wire")
    with signed_in(emulator, debug=True) as api:
        seen: list[str] = []
        api.init().subscribe(lambda res: seen.append(res.msg))
        upload(api, file=file(10)).result()
        [lane] = came_in(emulator, "file/upload")
        emulator.push({"status": 200, "msg": "News.", "args": {}}, connection=lane)
        emulator.push("{nonsense", connection=lane)
        wait_until(lambda: "News." in seen and "dropped: " in caplog.text)
        upload(api, file=file(10)).result()
        assert came_in(emulator, "file/upload") == [lane, lane]
        assert "Last chunk accepted" in seen
        assert "→ file/upload" in caplog.text
        assert emulator.admin_password not in caplog.text


def test_a_lane_lost_in_the_moment_in_which_it_is_given_is_no_end(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with signed_in(emulator) as api:
        upload(api, "first", file=file(10)).result()
        lanes = api._inside._files().uploader._lanes
        give = lanes._give

        def give_and_lose() -> None:
            is_wanted = bool(lanes._turns)
            give()
            if is_wanted:
                monkeypatch.undo()
                lanes._lanes[0].end(ConnectionLost("cut"))

        monkeypatch.setattr(lanes, "_give", give_and_lose)
        assert upload(api, file=file(10)).result().status == 200
        assert stored(emulator)["a"] == {"file": content(10)}


# -- suspended


class Knocks:
    """Counts how often a WebSocket is opened."""

    def __init__(self, emulator: Emulator) -> None:
        self._connect = connector(emulator.config(), LimpMachine)
        self.count = 0
        self.as_it_opens: list[Callable[[], object]] = []
        """What is put in here happens when the next one is open, just before its connection hears of that."""

    async def __call__(self) -> Any:
        self.count += 1
        transport, loop = await self._connect(), asyncio.get_running_loop()
        while self.as_it_opens:
            loop.call_soon(loop.call_soon, self.as_it_opens.pop())  # the connection hears two turns later
        return transport


def test_suspended_while_its_lane_opens_a_call_starts_over(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("conn/verify")
        call = upload(api, file=file(10))
        wait_until(lambda: len(came_in(emulator, "conn/verify")) == 2)
        api.suspend()
        wait_until(lambda: emulator.connections == 0)
        emulator.clear_script()
        api.resume()
        assert call.result().status == 200
        assert stored(emulator) == {"a": {"file": content(10)}}


def test_suspended_just_as_its_lane_opens_a_call_starts_over(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    knocks = Knocks(emulator)
    with signed_in(emulator, connect=knocks) as api:
        knocks.as_it_opens.append(api.suspend)
        call = upload(api, file=file(10))
        wait_until(lambda: api.state.name == "suspended" and emulator.connections == 0)
        api.resume()
        assert call.result().status == 200
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_suspended_no_lane_is_opened_for_who_waits_for_one(emulator: Emulator) -> None:
    knocks = Knocks(emulator)
    with signed_in(emulator, connect=knocks, upload_lanes=1) as api:
        emulator.silence("file/upload")
        calls = [upload(api, title, file=file(10)) for title in ("going up", "waiting")]
        wait_until(lambda: came_in(emulator, "file/upload") and api._inside._files().uploader._lanes._turns)
        api.suspend()
        wait_until(lambda: emulator.connections == 0)
        emulator.clear_script()
        assert (knocks.count, [call.error for call in calls]) == (2, [None, None])
        api.resume()
        for call in calls:
            assert call.result().status == 200
        assert stored(emulator) == {"going up": {"file": content(10)}, "waiting": {"file": content(10)}}


def test_suspended_as_the_turn_of_files_comes_no_lane_is_opened(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    knocks = Knocks(emulator)
    with signed_in(emulator, connect=knocks) as api:
        admit = _Turn.admit

        def admit_and_suspend(turn: _Turn) -> None:
            monkeypatch.undo()
            asyncio.get_running_loop().call_soon(api.suspend)  # before the call's task hears of its turn
            admit(turn)

        monkeypatch.setattr(_Turn, "admit", admit_and_suspend)
        api._life.connection._writes_at_once = False
        call = upload(api, file=file(10))
        wait_until(lambda: api.state.name == "suspended" and emulator.connections == 0)
        assert knocks.count == 1
        api.resume()
        assert call.result().status == 200


# -- the end


def test_closed_while_one_waits_for_a_lane_none_is_opened(emulator: Emulator) -> None:
    async def main() -> None:
        async with ApiService(emulator.config(reconnect=FAST, upload_lanes=1)) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            emulator.silence("file/upload")
            calls = [upload(api, title, file=file(10)) for title in ("going up", "waiting")]
            lanes = api._inside._files().uploader._lanes
            await asyncio.to_thread(wait_until, lambda: came_in(emulator, "file/upload") and lanes._turns)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for call in calls:
            with pytest.raises(CallNotSent, match="the service is closed"):
                await call

    asyncio.run(main())


# -- the end of the loop


@pytest.mark.parametrize("endpoint", ["file/upload", "archive/create"])
def test_by_the_end_of_asyncio_run_lanes_and_uploads_end_too(emulator: Emulator, endpoint: str) -> None:
    async def main() -> Any:
        api = ApiService(emulator.config(reconnect=FAST))
        api.init()
        await api.auth("email", emulator.admin_email, emulator.admin_password)
        emulator.silence(endpoint)
        call = upload(api, file=file(10))
        await asyncio.to_thread(wait_until, lambda: came_in(emulator, endpoint))
        return api, call

    api, call = asyncio.run(main())
    expected = CallNotSent if endpoint == "file/upload" else CallOutcomeUnknown
    with pytest.raises(expected, match="cancelled"):
        call.result()
    wait_until(lambda: emulator.connections == 0)
    assert api.state.name == "closed"


def test_by_the_end_of_asyncio_run_a_lane_that_nobody_uses_ends_too(emulator: Emulator) -> None:
    async def main() -> ApiService:
        api = ApiService(emulator.config(reconnect=FAST))
        api.init()
        await api.auth("email", emulator.admin_email, emulator.admin_password)
        await upload(api, file=file(10))
        return api

    api = asyncio.run(main())
    assert api.state.name == "closed"
    wait_until(lambda: emulator.connections == 0)
