"""`opened`: the file is closed again, whenever it is left."""

from __future__ import annotations

import asyncio
import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from rxsdk.files.disk import opened
from tests.core.fakes import turns


@pytest.mark.parametrize("outcome", ["it opens", "it does not", "the loop ends"])
def test_left_while_it_opens_it_is_closed_when_it_has(tmp_path: Path, outcome: str) -> None:
    path = tmp_path / "a"
    if outcome != "it does not":
        path.write_bytes(b"1")
    begun, go_on = Event(), Event()

    def slowly(name: str, flags: int) -> int:
        begun.set()
        assert go_on.wait(10)
        return os.open(name, flags)

    async def enter() -> None:
        async with opened(path, "rb", slowly):
            raise AssertionError("it was left before")

    async def scene() -> None:
        entering = asyncio.create_task(enter())
        await asyncio.to_thread(begun.wait, 10)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        if outcome == "the loop ends":
            asyncio.get_running_loop().call_soon(go_on.set)
        else:
            go_on.set()
            await asyncio.to_thread(lambda: None)
            await turns()

    asyncio.run(scene())
    gc.collect()  # what is still open would complain


def test_cancelled_once_more_while_it_closes_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    go_on = Event()

    async def scene() -> None:
        loop, inside = asyncio.get_running_loop(), asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))

        async def enter() -> None:
            async with opened(path, "rb"):
                inside.set()
                await loop.create_future()

        entering = asyncio.create_task(enter())
        await inside.wait()
        others = loop.run_in_executor(None, go_on.wait, 10)  # so that the file has to wait
        for _ in range(2):
            entering.cancel()
            await turns()
        with pytest.raises(asyncio.CancelledError):
            await entering
        go_on.set()
        assert await others

    asyncio.run(scene())
    gc.collect()  # what is still open would complain


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    async def enter() -> None:
        async with opened(tmp_path / "missing", "rb"):
            pass

    with pytest.raises(FileNotFoundError):
        asyncio.run(enter())
