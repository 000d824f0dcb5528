"""A download that breaks off: gone on with where the server offers that, else begun anew; never half a file."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rxsdk import ApiService, CallCancelled, CallOutcomeUnknown, DownloadError, DownloadProgress, SDKConfig
from tests.core.fakes import until
from tests.files.wire import content

DATA = content(300_000)
NAMED = ("staff", "1", "photo", "a.bin")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxsdk.files.download._PATIENCE_S", 0.01)


class Files:
    """A server of one file that breaks off as it is told."""

    def __init__(self) -> None:
        self.offers = True
        self.tag = '"1"'
        self.cuts: list[int] = []  # after so many bytes, one for each answer
        self.ranges: list[str | None] = []
        self.content_range = "bytes {start}-{end}/{size}"
        self.has_length = True
        self.too_much = b""  # after what was asked for
        self.gate: asyncio.Event | None = None  # in the middle of each answer

    async def get(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range")
        self.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted and request.headers.get("If-Range") == self.tag else 0
        response = web.StreamResponse(status=206 if start else 200)
        if self.offers:
            response.headers.update({"Accept-Ranges": "bytes", "ETag": self.tag})
        if self.has_length:
            response.content_length = len(DATA) - start + (len(self.too_much) if start else 0)
        if start:
            told = self.content_range.format(start=start, end=len(DATA) - 1, size=len(DATA))
            response.headers["Content-Range"] = told
        await response.prepare(request)
        end = min(len(DATA), start + self.cuts.pop(0)) if self.cuts else len(DATA)
        if self.gate is not None:
            await response.write(DATA[start : start + 10])
            await self.gate.wait()
            start += 10
        await response.write(DATA[start:end])
        if start and wanted and self.too_much:
            await response.write(self.too_much)
        if end < len(DATA) and request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Files, ApiService]]:
    files = Files()
    app = web.Application()
    app.router.add_get("/{path:.*}", files.get)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config = SDKConfig(f"ws://127.0.0.1:{runner.addresses[0][1]}/ws", "token", ["email"])
    api = ApiService(config, connect=asyncio.Event().wait)  # type: ignore[arg-type]  # never connected: HTTP only
    api.init()
    try:
        yield files, api
    finally:
        if files.gate is not None:
            files.gate.set()  # or it would be waited for
        await api.close()
        await runner.cleanup()


def play(scene: Callable[[Files, ApiService], Any]) -> None:
    async def run() -> None:
        async with serving() as (files, api):
            await scene(files, api)

    asyncio.run(run())


def test_it_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.cuts = [100_000]
        call = api.download_to(tmp_path, *NAMED)
        seen: list[DownloadProgress] = []
        call.progress.subscribe(seen.append)
        path = await call
        assert path.read_bytes() == DATA
        assert len(files.ranges) == 2
        assert files.ranges[1] is not None
        sent = [one.received_bytes for one in seen]
        assert sent == sorted(sent)
        await call.progress
        assert (seen[-1].received_bytes, seen[-1].total_bytes, seen[-1].phase) == (len(DATA), len(DATA), "done")
        assert os.listdir(tmp_path) == ["a.bin"]

    play(scene)


def test_where_nothing_is_offered_it_starts_over(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.offers, files.cuts = False, [100_000]
        assert (await api.download_to(tmp_path, *NAMED)).read_bytes() == DATA
        assert files.ranges == [None, None]
        assert os.listdir(tmp_path) == ["a.bin"]

    play(scene)


def test_another_file_meanwhile_is_fetched_from_its_beginning(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.cuts = [100_000]
        call = api.download_to(tmp_path, *NAMED)
        await until(lambda: files.ranges)
        files.tag = '"2"'
        assert (await call).read_bytes() == DATA
        assert os.listdir(tmp_path) == ["a.bin"]

    play(scene)


@pytest.mark.parametrize("offers", [True, False])
def test_what_breaks_off_for_good_leaves_the_old_file_and_may_be_gone_on_with(tmp_path: Path, offers: bool) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")

    async def scene(files: Files, api: ApiService) -> None:
        files.offers, files.cuts = offers, [50_000] * 1 + [0] * 20
        with pytest.raises(DownloadError):
            await api.download_to(tmp_path, *NAMED)
        assert (tmp_path / "a.bin").read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == (2 if offers else 1)
        files.cuts.clear()
        files.ranges.clear()
        assert (await api.download_to(tmp_path, *NAMED)).read_bytes() == DATA
        assert os.listdir(tmp_path) == ["a.bin"]
        assert len(files.ranges) == (2 if offers else 1)

    play(scene)


def test_a_server_that_always_breaks_off_is_given_up(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.offers, files.cuts = False, [100_000, 50_000] * 20  # each second try gets further than the one before
        with pytest.raises(DownloadError):
            await api.download_to(tmp_path, *NAMED)
        assert len(files.ranges) == 5

    play(scene)


@pytest.mark.parametrize("told", ["bytes 0-299999/300000", "nonsense"])
def test_another_range_than_was_asked_for_is_not_taken(tmp_path: Path, told: str) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.cuts, files.content_range = [100_000], told
        assert (await api.download_to(tmp_path, *NAMED)).read_bytes() == DATA
        assert files.ranges[2:] == [None]
        assert os.listdir(tmp_path) == ["a.bin"]

    play(scene)


def test_cancelled_the_old_file_is_there(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.offers = False
        call = api.download_to(tmp_path, *NAMED)
        call.cancel()
        with pytest.raises(CallCancelled):
            await call
        assert os.listdir(tmp_path) == []

    play(scene)


def test_a_slow_observer_is_waited_for() -> None:
    async def scene(files: Files, api: ApiService) -> None:
        taken = 0
        async for piece in api.download(*NAMED):
            taken += len(piece)
            await asyncio.sleep(0)
        assert taken == len(DATA)
        files.cuts = [100_000]
        with pytest.raises(DownloadError):
            await api.download(*NAMED)

    play(scene)


def test_a_file_of_unknown_length(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.offers = files.has_length = False
        call = api.download_to(tmp_path, *NAMED)
        assert (await call).read_bytes() == DATA
        last = await call.progress
        assert (last.received_bytes, last.total_bytes, last.eta_s, last.phase) == (len(DATA), None, None, "done")
        assert b"".join([piece async for piece in api.download(*NAMED)]) == DATA

    play(scene)


def test_more_bytes_than_were_announced_are_not_taken(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.cuts, files.too_much = [100_000], b"more"
        assert (await api.download_to(tmp_path, *NAMED)).read_bytes() == DATA
        assert files.ranges == [None, "bytes=100000-", None]
        assert os.listdir(tmp_path) == ["a.bin"]

    play(scene)


def test_two_at_once_into_one_file_are_in_nobodys_way(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.gate = asyncio.Event()
        calls = [api.download_to(tmp_path, *NAMED) for _ in range(2)]
        await until(lambda: len(os.listdir(tmp_path)) == 2)
        files.gate.set()
        for call in calls:
            assert (await call).read_bytes() == DATA
        assert os.listdir(tmp_path) == ["a.bin"]

    play(scene)


def test_a_disk_that_is_full_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def scene(files: Files, api: ApiService) -> None:
        files.offers = False
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
        try:
            with pytest.raises(DownloadError, match=r"cannot write .*a\.bin: File too large") as caught:
                await api.download_to(tmp_path, *NAMED)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        assert isinstance(caught.value.__cause__, OSError)
        assert len(files.ranges) == 1
        assert os.listdir(tmp_path) == []

    play(scene)


def test_cancelled_on_its_way_it_ends_at_once(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.gate, files.offers = asyncio.Event(), False
        call = api.download_to(tmp_path, *NAMED)
        await until(lambda: os.listdir(tmp_path))
        subscription = call.subscribe(on_error=lambda error: None)
        subscription.dispose()
        with pytest.raises(CallCancelled):
            await call
        assert (await call.progress).phase == "failed"
        assert os.listdir(tmp_path) == []
        files.gate.set()

    play(scene)


def test_cancelled_while_its_file_opens_it_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_open, ended = threading.Event(), threading.Event(), threading.Event()

    def slow_open(*args: Any, **options: Any) -> Any:
        begun.set()
        assert may_open.wait(10)
        try:
            return open(*args, **options)
        finally:
            ended.set()

    async def scene(files: Files, api: ApiService) -> None:
        files.offers = False
        call = api.download_to(tmp_path, *NAMED)
        await until(begun.is_set)
        call.cancel()
        with pytest.raises(CallCancelled):
            await call
        assert os.listdir(tmp_path) == []
        may_open.set()
        await until(ended.is_set)
        assert os.listdir(tmp_path) == []

    monkeypatch.setattr("rxsdk.files.disk.open", slow_open, raising=False)
    play(scene)


def test_closed_on_its_way_it_says_so(tmp_path: Path) -> None:
    async def scene(files: Files, api: ApiService) -> None:
        files.gate, files.offers = asyncio.Event(), False
        call = api.download_to(tmp_path, *NAMED)
        await until(lambda: os.listdir(tmp_path))
        await api.close()
        with pytest.raises(CallOutcomeUnknown, match="the service is closed"):
            await call
        call.cancel()  # too late for anything
        assert os.listdir(tmp_path) == []
        files.gate.set()

    play(scene)
