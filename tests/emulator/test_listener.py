"""The end of an emulated server while clients connect."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import Callable

import pytest
from aiohttp import web

from rxsdk.emulator.listener import Listener
from tests.core.wire import LOOPS


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_client_taken_in_as_it_closes_leaves_no_socket(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def connect_and_close(turns: int) -> None:
        listener = Listener("127.0.0.1")
        port = await listener.open(web.Application(), 0)
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            for _ in range(turns):
                await asyncio.sleep(0)
            await listener.close()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=make_loop) as runner:
            for turns in range(6):
                runner.run(connect_and_close(turns))
        gc.collect()
    assert [str(one.message) for one in warned] == []


def test_one_that_never_opened_closes() -> None:
    async def close() -> None:
        await Listener("127.0.0.1").close()

    asyncio.run(close())
