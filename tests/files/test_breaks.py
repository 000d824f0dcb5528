"""Whatever happens to an upload, and whenever: the stored file is right or absent, the outcome says which, and the next
call on that attribute is right."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as ops

from rxsdk import ApiService, Call, CallCancelled, CallNotSent, CallOutcomeUnknown, File, RxSdkError, UploadError
from rxsdk.emulator import Emulator
from rxsdk.emulator.clock import ManualClock
from rxsdk.testing import FakeClock, FaultProxy
from tests.conftest import wait_until
from tests.files.wire import CHUNK, Watcher, archive_emulator, content, file, next_phase, signed_in, stored, upload

CHUNKS = 4
SIZE = 3500


def at_chunk(emulator: Emulator, number: int, act: Callable[[], Any]) -> None:
    """Have ``act`` done when this chunk (or, one beyond the last, the call itself) comes in for the first time."""
    left = iter([True])

    def look(payload: dict[str, Any]) -> None:
        if payload["doc"].get("chunk", CHUNKS + 1) == number and next(left, False):
            act()

    emulator.reply_to("file/upload", look)
    emulator.reply_to("archive/create", look)


def check(api: ApiService, emulator: Emulator, call: Call[Any], wanted: bytes) -> None:
    """The outcome says what is there; the next call is right."""
    watcher = Watcher(call)
    try:
        call.result(20)
    except (CallOutcomeUnknown, CallCancelled) as error:
        is_written = isinstance(error, CallOutcomeUnknown) or error.written
        assert stored(emulator).get("it") in ((None, {"file": wanted}) if is_written else (None,))
    except RxSdkError:
        assert "it" not in stored(emulator)
    else:
        assert stored(emulator)["it"] == {"file": wanted}
        assert watcher.all()[-1].sent_bytes == len(wanted)
    sent = [one.sent_bytes for one in watcher.all()]
    assert sent == sorted(sent)
    emulator.clear_script()
    upload(api, "next", file=file(1234, 9)).result(20)
    assert stored(emulator)["next"] == {"file": content(1234, 9)}


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("chunk", range(1, CHUNKS + 2))
def test_cut_at_a_chunk(emulator: Emulator, chunk: int, window: int) -> None:
    with signed_in(emulator, upload_window=window) as api:
        at_chunk(emulator, chunk, emulator.drop_connections)
        check(api, emulator, upload(api, "it", file=file(SIZE)), content(SIZE))


@pytest.mark.parametrize("chunk", [1, 2, CHUNKS, CHUNKS + 1])
def test_several_lanes_cut_at_once(emulator: Emulator, chunk: int) -> None:
    with signed_in(emulator, upload_lanes=3) as api:
        at_chunk(emulator, chunk, emulator.drop_connections)
        calls = {str(number): upload(api, str(number), file=file(SIZE, number)) for number in range(6)}
        for title, call in calls.items():
            wanted = {"file": content(SIZE, int(title))}
            try:
                call.result(20)
            except CallOutcomeUnknown:
                assert stored(emulator).get(title) in (None, wanted)
            else:
                assert stored(emulator)[title] == wanted
        upload(api, "next", file=file(1234, 9)).result(20)
        assert stored(emulator)["next"] == {"file": content(1234, 9)}


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_cut_within_a_frame(emulator: Emulator, part: float) -> None:
    with FaultProxy(emulator.url) as proxy, signed_in(emulator, api=proxy.url, file_chunk_size=20_000) as api:
        upload(api, "warm", file=file(10)).result()  # the lane is open: all that is sent is chunks
        proxy.cut_after(int(60_000 * 4.8 * part), "up", times=1)
        check(api, emulator, upload(api, "it", file=file(60_000)), content(60_000))


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("chunk", range(1, CHUNKS + 2))
def test_refused_for_quota_at_a_chunk(emulator: Emulator, chunk: int, window: int) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock, upload_window=window) as api:
        left = iter([True])

        def refuse(payload: dict[str, Any]) -> dict[str, Any] | None:
            if payload["doc"].get("chunk", CHUNKS + 1) == chunk and next(left, False):
                return {"status": 429, "msg": "Too many.", "args": {"code": "CORE_REQ_SESSION_QUOTA_HIT"}}
            return None

        emulator.reply_to("file/upload", refuse)
        emulator.reply_to("archive/create", refuse)
        call = upload(api, "it", file=file(SIZE))
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and next_phase(clock, watcher) == "waiting_for_quota")
        assert call.error is None
        clock.advance(61)
        call.result(20)
        assert stored(emulator)["it"] == {"file": content(SIZE)}
        assert {one.eta_s for one in watcher.all() if one.phase == "waiting_for_quota"} == {None}
        check(api, emulator, call, content(SIZE))


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("chunk", range(1, CHUNKS + 2))
def test_cancelled_at_a_chunk(emulator: Emulator, chunk: int, window: int) -> None:
    with signed_in(emulator, upload_window=window) as api:
        calls: list[Call[Any]] = []
        at_chunk(emulator, chunk, lambda: [call.cancel() for call in calls])
        calls.append(upload(api, "it", file=file(SIZE)))
        check(api, emulator, calls[0], content(SIZE))


def test_a_quota_that_does_not_open_ends_the_call(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock) as api:
        refusal = {"status": 429, "msg": "Too many.", "args": {"code": "CORE_REQ_SESSION_QUOTA_HIT"}}
        emulator.reply_to("file/upload", refusal)
        before = len(emulator.received)
        call = upload(api, "it", file=file(10))
        watcher = Watcher(call)
        while not watcher.is_over:
            if watcher.seen and next_phase(clock, watcher) == "waiting_for_quota":
                clock.advance(60)
        with pytest.raises(CallNotSent, match="CORE_REQ_SESSION_QUOTA_HIT"):
            call.result()
        assert sum(got.payload["endpoint"] == "file/upload" for got in emulator.received[before:]) == 5


def test_a_lane_that_cannot_be_opened_says_why(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.expire_sessions()
        with pytest.raises(
            CallNotSent, match=r"no connection for its files could be opened: .*CORE_SESSION_SESSION_EXPIRED"
        ):
            upload(api, "it", file=file(10)).result()


def test_an_idle_lane_is_closed(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock) as api:
        upload(api, "it", file=file(10)).result()
        assert emulator.connections == 2
        clock.advance(29)
        upload(api, "it", file=file(10)).result()
        clock.advance(29)
        assert emulator.connections == 2
        clock.advance(2)
        wait_until(lambda: emulator.connections == 1)
        upload(api, "it", file=file(10)).result()


def test_an_upload_while_offline_waits_no_longer_than_it_may(emulator: Emulator) -> None:
    clock = FakeClock()
    with signed_in(emulator, clock=clock) as api:
        api.suspend()
        call = api.call("archive/create", doc={"title": "a", "file": file(10)}, queue_timeout_s=5)
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen)
        for _ in range(6):
            clock.advance(1)
        with pytest.raises(CallNotSent):
            call.result(20)
        assert watcher.all()[-1].phase == "failed"
        assert "a" not in stored(emulator)


def test_a_source_that_gives_nothing_any_more_ends_the_call(emulator: Emulator) -> None:
    reached = threading.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield content(CHUNK)
        reached.set()
        await asyncio.get_running_loop().create_future()

    clock = FakeClock()
    with signed_in(emulator, clock=clock, timeout_s=5) as api:
        call = upload(api, "it", file=File(stuck(), name="a.bin", size=2 * CHUNK))
        assert reached.wait(10)
        clock.advance(6)
        with pytest.raises(UploadError, match="gave no bytes for 5 s"):
            call.result(20)
        check(api, emulator, call, b"")


def test_64_mib_through_stock_quotas_and_back(tmp_path: Path) -> None:
    """On the clocks of both sides it takes minutes, here seconds; and the progress tells the truth of it."""
    server, client = ManualClock(), FakeClock()
    size = 64 * 1024 * 1024
    with archive_emulator(quotas="stock", clock=server, conn_timeout_s=1e6) as emulator:
        settings: dict[str, Any] = {"file_chunk_size": 512_000, "upload_window": 1}
        with signed_in(emulator, clock=client, **settings) as api:
            began_at = client.now()
            sent = random.Random(1).randbytes(size - 256) + bytes(range(256))
            call = upload(api, "it", file=File(sent, name="a.bin"))
            watcher = Watcher(call)
            while not watcher.is_over:
                if watcher.seen and next_phase(client, watcher) == "waiting_for_quota":
                    for clock in (server, client):
                        clock.advance(60)
            _id = call.result(20).docs[0]["_id"]
            took = client.now() - began_at
            last = watcher.all()[-1]
            assert (last.sent_bytes, last.total_bytes, last.phase) == (size, size, "done")
            assert took >= 60
            assert last.rate_bytes_per_s == pytest.approx(size / took, rel=0.1)
            assert stored(emulator)["it"]["file"] == sent
            assert "waiting_for_quota" in watcher.phases

            named = ("archive", _id, "file", "a.bin")
            assert api.download_to(tmp_path, *named).result(30).read_bytes() == sent
            assert b"".join(api.download(*named).pipe(ops.to_list()).result(30)) == sent
