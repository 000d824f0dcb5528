"""What a connected service weighs beside a bare `websockets` client: in Python's objects, the same on every machine."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import AsyncExitStack

from tests.benchmarks.processes import connect_clients
from tests.benchmarks.sides import server_process

MANY = 50


async def bytes_each(side: str, url: str) -> float:
    async with AsyncExitStack() as stack:
        await connect_clients(stack, side, url, MANY)  # the first of a class take more than the others
        tracemalloc.start()
        try:
            before = _held()
            await connect_clients(stack, side, url, MANY)
            return (_held() - before) / MANY
        finally:
            tracemalloc.stop()


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_a_service_weighs_little_more_than_a_bare_client() -> None:
    with server_process() as url:
        ours, bare = (asyncio.run(bytes_each(side, url)) for side in ("ours", "floor"))
    assert ours <= 1.3 * bare, f"{ours:.0f} bytes against {bare:.0f}"
