"""Ordinary calls do not wait for files: how long the turns of the loop are, and how much is done in each."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxsdk import ApiService
from rxsdk.core import long_work
from rxsdk.core.transport import has_picows
from rxsdk.files import by_lane
from rxsdk.protocols.limp.signing import SigningKey
from rxsdk.protocols.limp.uploads import FileInfo, chunk_pieces
from rxsdk.testing import FakeClock
from tests.benchmarks.rows import CHUNK
from tests.benchmarks.sides import Library, server_process
from tests.files.latency import CHUNKS, upload, upload_config
from tests.files.wire import archive_emulator, file, signed_in
from tests.files.wire import upload as small_upload


def cost_of_a_chunk() -> float:
    """The CPU seconds in which one is made in one go; it is written in a tenth of that."""
    content, info, key = os.urandom(CHUNK), FileInfo("a.bin", CHUNK, "a/b", 1), SigningKey("token")
    costs = []
    for _ in range(5):
        began_at = time.thread_time()
        b"".join(key.long_jwt(chunk_pieces("file", 0, 1, 1, info, content, lambda: 24 * 1024)))
        costs.append(time.thread_time() - began_at)
    return min(costs)


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The CPU seconds that each of the loop's callbacks took."""
    took: list[float] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began_at = time.thread_time()
        run(handle)
        took.append(time.thread_time() - began_at)

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    return took


@pytest.mark.alone
@pytest.mark.parametrize("library", ["websockets", "picows"])
@pytest.mark.parametrize("uploads", [1, 20])
def test_a_chunk_takes_many_short_turns(
    library: Library, uploads: int, callbacks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_work, "_MOST_S", 0.0)  # whatever the system ran in between
    if library == "picows" and not has_picows():
        pytest.skip("picows is not installed: the extra `fast`")
    chunks = CHUNKS if uploads == 1 else 1
    long_ones: list[float] = []

    async def both(url: str) -> None:
        async with ApiService(upload_config(url, library)) as api:
            for _ in range(5):
                done = upload(api, [chunks * CHUNK] * uploads)
                await api.call("staff/read")
                callbacks.clear()
                while not done.done():
                    await api.call("staff/read")
                # as many as there are chunks take at least so long: one more may have been the collector's
                long_ones.append(sorted(callbacks)[-chunks * uploads])

    with server_process() as url:
        asyncio.run(both(f"{url}/upload/{chunks}"))
    assert sorted(long_ones)[2] < cost_of_a_chunk() / 20


def test_steps_are_small_while_calls_may_be_answered_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain: Callable[..., Iterator[bytes]] = chunk_pieces

    def noted(*arguments: Any) -> Iterator[bytes]:
        *others, block_bytes = arguments

        def note() -> int:
            asked.append(block_bytes())
            return asked[-1]

        return plain(*others, note)

    monkeypatch.setattr(by_lane, "chunk_pieces", noted)
    clock = FakeClock()
    with archive_emulator() as emulator, signed_in(emulator, clock=clock, file_chunk_size=100_000) as api:
        small_upload(api, "just called", file=file(100_000)).result(20)
        assert len(asked) == -(-100_000 // 1024)
        asked.clear()
        clock.advance(0.1)
        small_upload(api, "quiet", file=file(100_000)).result(20)
        assert len(asked) == -(-100_000 // (24 * 1024))
