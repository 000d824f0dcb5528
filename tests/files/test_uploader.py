"""Calls with files: what arrives, who takes turns, what is told on the way, and how an upload is held or taken back."""

from __future__ import annotations

import asyncio
import gc
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rxsdk import CallCancelled, CallNotSent, CallRejected, InvalidCall
from rxsdk.emulator import Emulator
from rxsdk.files import uploader as uploader_module
from rxsdk.files.lane import Lane
from rxsdk.protocols.limp.events import CallFailed
from rxsdk.protocols.limp.request import Request
from tests.conftest import wait_until
from tests.files.wire import CHUNK, Watcher, content, file, signed_in, stored, upload

_OURS = re.compile(r"_asyncio|rxsdk\.(?!emulator)")


def endpoints(emulator: Emulator) -> list[tuple[int, str]]:
    return [(got.connection, got.payload["endpoint"]) for got in emulator.received]


# -- what arrives


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 7 * CHUNK + 5])
def test_every_byte_arrives(emulator: Emulator, size: int) -> None:
    with signed_in(emulator) as api:
        upload(api, file=file(size)).result()
        assert stored(emulator) == {"a": {"file": content(size)}}


def test_several_files_in_several_attributes_keep_their_order(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        files = [file(2500, number) for number in range(3)]
        upload(api, many=files, file=file(1, 9), file0=file(1000, 5)).result()
        assert stored(emulator)["a"] == {
            "many": [content(2500, number) for number in range(3)],
            "file": content(1, 9),
            "file0": content(1000, 5),
        }


@pytest.mark.parametrize("window", [1, 2, 7])
def test_fifty_files_in_several_attributes_with_other_values_between_them(emulator: Emulator, window: int) -> None:
    with signed_in(emulator, upload_window=window) as api:
        sizes = [1, CHUNK - 1, CHUNK, CHUNK + 1, 2500]
        attrs = {f"file{number}": file(sizes[number % 5], number) for number in range(20)}
        many = [file(sizes[number % 5], 100 + number, name=f"{number}.bin") for number in range(30)]
        doc = {"title": "50", "file0": attrs.pop("file0"), "many": many, "file": None, **attrs}
        call = api.call("archive/create", doc=doc)
        watcher = Watcher(call)
        call.result(20)
        assert stored(emulator)["50"] == {
            "many": [content(sizes[number % 5], 100 + number) for number in range(30)],
            **{f"file{number}": content(sizes[number % 5], number) for number in range(20)},
        }
        places = [(one.attr, one.index) for one in watcher.all()]
        in_order = [("file0", 0), *(("many", number) for number in range(30)), *((attr, 0) for attr in attrs)]
        assert [in_order.index(place) for place in places] == sorted(in_order.index(place) for place in places)
        assert (places[0], places[-1]) == (in_order[0], in_order[-1])


def test_files_go_by_a_connection_of_their_own_that_is_kept_for_the_next(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        for _ in range(2):
            upload(api, file=file(1)).result()
        api.call("archive/read").result()
        assert endpoints(emulator) == [
            *[(1, "conn/verify"), (1, "session/auth"), (2, "conn/verify"), (2, "session/reauth")],
            *[(2, "file/upload"), (2, "archive/create")] * 2,
            (1, "archive/read"),
        ]


def test_a_call_without_files_opens_no_lane_and_has_no_progress(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = upload(api)
        call.pause()
        call.resume()
        assert Watcher(call).all() == []
        call.result()
        assert emulator.connections == 1


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_twenty_at_once(emulator: Emulator, lanes: int, shared: bool) -> None:
    with signed_in(emulator, upload_lanes=lanes) as api:
        attrs = ["file" if shared else f"file{number}" for number in range(20)]
        calls = [upload(api, str(number), **{attr: file(2500, number)}) for number, attr in enumerate(attrs)]
        for call in calls:
            assert call.result(20).status == 200
        assert stored(emulator) == {str(number): {attr: content(2500, number)} for number, attr in enumerate(attrs)}
        assert emulator.connections == 1 + (lanes if shared else 1)


def test_a_plain_call_that_names_an_attribute_is_not_touched_by_an_upload_to_it(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.delay("file/upload", 0.01)
        going = upload(api, "up", many=[file(3000)])
        assert upload(api, "plain", many=[]).result().status == 200
        going.result()
        assert stored(emulator) == {"up": {"many": [content(3000)]}, "plain": {}}


def test_one_who_gives_up_waiting_holds_nobody_up(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("file/upload", times=1)
        going = upload(api, "going", file=file(10))
        emulator.wait_until(lambda e: (2, "file/upload") in endpoints(e))
        between = upload(api, "between", file=file(10), file1=file(10))  # waits for the first
        behind = upload(api, "behind", file1=file(10))  # waits for the second alone
        wait_until(lambda: len(api._inside._files().uploader._lanes._turns) == 2)
        between.cancel()
        assert behind.result().status == 200
        going.cancel()
        assert stored(emulator) == {"behind": {"file1": content(10)}}


def test_it_waits_for_a_sign_in_that_is_under_way(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        api.signout().result()
        api.auth("email", emulator.admin_email, emulator.admin_password)
        assert upload(api, file=file(1)).result().status == 200


def test_a_watch_takes_no_files(emulator: Emulator) -> None:
    with signed_in(emulator) as api, pytest.raises(InvalidCall, match="a watch takes no files"):
        api.call("archive/watch", doc={"file": file(1)})


# -- what is told


def test_progress_goes_from_first_to_last(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = upload(api, many=[file(2500), file(1500, name="b.bin")])
        watcher = Watcher(call)
        call.result()
        seen = watcher.all()
        assert (seen[0].attr, seen[0].index, seen[0].name, seen[0].phase) == ("many", 0, "a.bin", "queued")
        last = seen[-1]
        assert (last.index, last.name, last.sent_bytes, last.total_bytes, last.phase) == (
            1,
            "b.bin",
            1500,
            1500,
            "done",
        )
        assert last.eta_s is None
        assert last.rate_bytes_per_s > 0
        late = Watcher(call)
        assert late.all() == [last]


def test_progress_of_a_call_that_fails_ends_with_that(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.refuse_next("archive/create", 400, "NO")
        call = upload(api, file=file(2500))
        watcher = Watcher(call)
        with pytest.raises(CallRejected):
            call.result()
        assert watcher.all()[-1].phase == "failed"
        assert watcher.all()[-1].sent_bytes == 2500


# -- held and taken back


def test_paused_nothing_more_goes_out_until_it_is_resumed(emulator: Emulator) -> None:
    with signed_in(emulator, upload_window=1) as api:
        seen: list[int] = []

        def pause(payload: dict[str, Any]) -> None:
            seen.append(payload["doc"]["chunk"])
            if len(seen) == 2:
                call.pause()

        emulator.reply_to("file/upload", pause)
        call = upload(api, file=file(5000))
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and watcher.seen[-1].phase == "paused")
        api.call("archive/read").result()
        assert len(seen) <= 3
        call.resume()
        call.result()
        assert seen == [1, 2, 3, 4, 5]
        assert "paused" in watcher.phases
        call.pause()  # too late for anything


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_cancelled_at_a_chunk_nothing_is_stored_and_the_next_is_right(emulator: Emulator, chunk: int) -> None:
    with signed_in(emulator) as api:

        def cancel(payload: dict[str, Any]) -> None:
            if payload["doc"]["chunk"] == chunk:
                call.cancel()
                wait_until(lambda: call.error is not None)  # before the chunk is answered

        emulator.reply_to("file/upload", cancel)
        call = upload(api, "gone", file=file(3000))
        with pytest.raises(CallCancelled) as caught:
            call.result()
        assert not caught.value.written
        emulator.clear_script()
        upload(api, "there", file=file(1500, 3)).result()
        assert stored(emulator) == {"there": {"file": content(1500, 3)}}


def test_leaving_the_last_subscription_cancels_while_files_go_up_and_not_after(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("file/upload", times=1)
        call = upload(api, "gone", file=file(3000))
        subscription = call.subscribe()
        emulator.wait_until(lambda e: ("file/upload") in [got[1] for got in endpoints(e)])
        subscription.dispose()
        with pytest.raises(CallCancelled):
            call.result()
        emulator.silence("archive/create", times=1, execute=True)
        call = upload(api, "there", file=file(10))
        subscription = call.subscribe()
        emulator.wait_until(lambda e: e.executed["archive/create"] == 1)
        subscription.dispose()
        assert call.error is None
        call.cancel()
        with pytest.raises(CallCancelled) as caught:
            call.result()
        assert caught.value.written
        assert stored(emulator) == {"there": {"file": content(10)}}


def test_a_refused_chunk_ends_the_call_and_names_the_refusal(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.refuse_next("file/upload", 403, "NO")
        with pytest.raises(CallNotSent, match="its files could not be uploaded: file/upload: 403 NO"):
            upload(api, file=file(3000)).result()
        upload(api, file=file(10)).result()
        assert stored(emulator) == {"a": {"file": content(10)}}


# -- the session


def test_signing_out_ends_what_is_going_up(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("file/upload")
        call = upload(api, file=file(3000))
        emulator.wait_until(lambda e: ("file/upload") in [got[1] for got in endpoints(e)])
        api.signout().result()
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            call.result()
        wait_until(lambda: emulator.connections == 1)


def test_signing_in_meanwhile_starts_over_as_the_user(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        api.signout().result()
        emulator.silence("file/upload")
        call = upload(api, file=file(3000))
        emulator.wait_until(lambda e: ("file/upload") in [got[1] for got in endpoints(e)])
        emulator.clear_script()
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        assert call.result().status == 200
        assert stored(emulator) == {"a": {"file": content(3000)}}


@pytest.fixture
def before_the_call_is_written(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What is put in here happens in the turn of the loop in which a call with files leaves, just before its write."""
    acts: list[Callable[[], object]] = []
    submit = Lane.submit

    def act_and_submit(lane: Lane, request: Request) -> None:
        if request.endpoint == "archive/create" and acts:
            lane._connection._writes_at_once = False
            asyncio.get_running_loop().call_soon(acts.pop())
        submit(lane, request)

    monkeypatch.setattr(Lane, "submit", act_and_submit)
    return acts


def test_a_call_whose_session_changes_just_before_its_write_is_not_written(
    emulator: Emulator, before_the_call_is_written: list[Callable[[], object]]
) -> None:
    with signed_in(emulator) as api:
        uploader = api._inside._files().uploader
        before_the_call_is_written.append(lambda: uploader.session_changed(same_user=False))
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            upload(api, file=file(10)).result()
        upload(api, "b", file=file(10)).result()
        assert stored(emulator) == {"b": {"file": content(10)}}


def test_a_call_whose_session_is_renewed_just_before_its_write_is_written_once(
    emulator: Emulator, before_the_call_is_written: list[Callable[[], object]]
) -> None:
    with signed_in(emulator) as api:
        uploader = api._inside._files().uploader
        before_the_call_is_written.append(lambda: uploader.session_changed(same_user=True))
        upload(api, file=file(10)).result()
        assert [got[1] for got in endpoints(emulator)].count("archive/create") == 1
        assert not before_the_call_is_written


def test_a_session_renewed_and_given_up_in_one_moment_ends_what_is_going_up(
    emulator: Emulator, before_the_call_is_written: list[Callable[[], object]]
) -> None:
    with signed_in(emulator) as api:
        uploader = api._inside._files().uploader
        before_the_call_is_written.append(
            lambda: [uploader.session_changed(same_user=same_user) for same_user in (True, False)]
        )
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            upload(api, file=file(10)).result()
        assert stored(emulator) == {}


def test_a_session_that_ends_while_files_wait_to_start_over_ends_them(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not for whoever, or nobody, is signed in when the connection is back."""

    async def until_it_has_to_wait_for_its_turn(*_: Any) -> None:
        while api.inited:  # noqa: ASYNC110 - in the very turn in which it is not any more
            await asyncio.sleep(0)

    monkeypatch.setattr(uploader_module.Uploader, "_pause", until_it_has_to_wait_for_its_turn)
    with signed_in(emulator) as api:
        emulator.silence("file/upload")
        call = upload(api, file=file(10))
        emulator.wait_until(lambda e: "file/upload" in [got[1] for got in endpoints(e)])
        emulator.clear_script()
        emulator.expire_sessions()
        emulator.drop_connections()
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            call.result()
        assert [got[1] for got in endpoints(emulator)].count("file/upload") == 1


@pytest.fixture
def at_the_refusal_of_the_call(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What is put in here happens in the turn of the loop in which a call is refused, before its task wakes."""
    acts: list[Callable[[], object]] = []
    handle = Lane._handle_one

    def handle_and_act(lane: Lane, event: Any) -> Any:
        lost = handle(lane, event)
        if isinstance(event, CallFailed) and event.request.endpoint == "archive/create":
            acts.pop()()
        return lost

    monkeypatch.setattr(Lane, "_handle_one", handle_and_act)
    return acts


def test_a_session_that_changes_as_the_call_is_refused_for_quota_ends_it(
    emulator: Emulator, at_the_refusal_of_the_call: list[Callable[[], object]]
) -> None:
    with signed_in(emulator, queue_timeout_s=100.0) as api:
        uploader = api._inside._files().uploader
        emulator.refuse_next("archive/create", 429, "CORE_REQ_SESSION_QUOTA_HIT")
        at_the_refusal_of_the_call.append(lambda: uploader.session_changed(same_user=False))
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            upload(api, file=file(10)).result(10)
        assert stored(emulator) == {}


def test_a_session_renewed_as_the_call_is_refused_for_quota_brings_it_to_another_lane(
    emulator: Emulator, at_the_refusal_of_the_call: list[Callable[[], object]]
) -> None:
    with signed_in(emulator, queue_timeout_s=100.0) as api:
        uploader = api._inside._files().uploader
        emulator.refuse_next("archive/create", 429, "CORE_REQ_SESSION_QUOTA_HIT")
        at_the_refusal_of_the_call.append(lambda: uploader.session_changed(same_user=True))
        upload(api, file=file(10)).result(10)
        assert [got for got in endpoints(emulator) if got[1] == "archive/create"] == [
            (2, "archive/create"),
            (3, "archive/create"),
        ]
        assert stored(emulator) == {"a": {"file": content(10)}}


def test_a_call_cancelled_as_it_is_refused_for_quota_says_that_it_did_not_run(
    emulator: Emulator, at_the_refusal_of_the_call: list[Callable[[], object]]
) -> None:
    with signed_in(emulator, queue_timeout_s=100.0) as api:
        uploader = api._inside._files().uploader
        emulator.refuse_next("archive/create", 429, "CORE_REQ_SESSION_QUOTA_HIT")
        at_the_refusal_of_the_call.append(lambda: [uploader.cancel(it, asked=True) for it in uploader._jobs])
        with pytest.raises(CallCancelled) as caught:
            upload(api, file=file(10)).result(10)
        assert not caught.value.written


def test_a_session_that_changes_as_the_call_is_refused_for_good_leaves_it_the_refusal(
    emulator: Emulator, at_the_refusal_of_the_call: list[Callable[[], object]]
) -> None:
    with signed_in(emulator, queue_timeout_s=10.0) as api:  # the quota takes longer to open
        uploader = api._inside._files().uploader
        emulator.refuse_next("archive/create", 429, "CORE_REQ_SESSION_QUOTA_HIT")
        at_the_refusal_of_the_call.append(lambda: uploader.session_changed(same_user=True))
        with pytest.raises(CallRejected, match="CORE_REQ_SESSION_QUOTA_HIT"):
            upload(api, file=file(10)).result(10)
        assert [got[1] for got in endpoints(emulator)].count("archive/create") == 1


def test_a_call_cancelled_just_before_its_write_says_that_it_was_not_written(
    emulator: Emulator, before_the_call_is_written: list[Callable[[], object]]
) -> None:
    with signed_in(emulator) as api:
        uploader = api._inside._files().uploader
        before_the_call_is_written.append(lambda: [uploader.cancel(it, asked=True) for it in uploader._jobs])
        with pytest.raises(CallCancelled) as caught:
            upload(api, file=file(10)).result()
        assert not caught.value.written
        assert "archive/create" not in [got[1] for got in endpoints(emulator)]


def test_a_session_that_changes_as_the_turn_of_files_comes_ends_them(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with signed_in(emulator) as api:
        uploader = api._inside._files().uploader
        admit = uploader_module._Turn.admit

        def admit_and_change(turn: Any) -> None:
            admit(turn)
            uploader.session_changed(same_user=False)

        monkeypatch.setattr(uploader_module._Turn, "admit", admit_and_change)
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            upload(api, file=file(10)).result()
        assert "file/upload" not in [got[1] for got in endpoints(emulator)]


# -- the end


def test_close_ends_an_upload_and_leaves_no_lane(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("file/upload")
        call = upload(api, file=file(3000))
        watcher = Watcher(call)
        emulator.wait_until(lambda e: ("file/upload") in [got[1] for got in endpoints(e)])
    with pytest.raises(CallNotSent, match="the service is closed"):
        call.result()
    assert watcher.all()[-1].phase == "failed"
    wait_until(lambda: emulator.connections == 0)
    with pytest.raises(CallNotSent):
        upload(api, file=file(1)).result()


def test_suspended_and_resumed_it_starts_over(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("file/upload")
        call = upload(api, file=file(3000))
        emulator.wait_until(lambda e: ("file/upload") in [got[1] for got in endpoints(e)])
        api.suspend()
        wait_until(lambda: emulator.connections == 0)
        emulator.clear_script()
        api.resume()
        assert call.result().status == 200
        assert stored(emulator) == {"a": {"file": content(3000)}}


# -- many


def test_many_small_uploads_leave_nothing(emulator: Emulator) -> None:
    with signed_in(emulator) as api:

        def play(times: int) -> tuple[int, Counter[str]]:
            for _ in range(times):
                upload(api, file=b"1").result()
            wait_until(lambda: not api._inside._files().uploader._jobs)
            gc.collect()
            places = [(str(type(one).__module__), type(one).__qualname__) for one in gc.get_objects()]
            ours = [name for module, name in places if _OURS.match(module)]
            return emulator.connections, Counter(ours)

        _, before = play(50)
        connections, after = play(1000)
        assert connections == 2
        assert max((after - before).values(), default=0) < 30, "something stays of each upload"
