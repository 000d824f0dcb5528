"""Both sides of a row: the server they talk to, an open service, an open floor, and the loop they run on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

from rxsdk import ApiService, SDKConfig
from tests.benchmarks.floor import Floor, open_floor
from tests.benchmarks.measure import Cost, cpu_us

ANON_TOKEN = "__ANON_TOKEN_f00000000000000000000012"
APP_ID = "benchmark"
ENDPOINT = "staff/read"
QUERY = [{"_id": "6b010de0d29b763591c9e7e4"}]

AsyncWork = Callable[[int], Coroutine[Any, Any, None]]


@contextmanager
def server_process() -> Iterator[str]:
    """Start the server on the last core, keep this process on the first; gives the server's URL."""
    command = [sys.executable, str(Path(__file__).with_name("server.py"))]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > 1:
        command += ["--core", str(cores[-1])]
        os.sched_setaffinity(0, {cores[0]})
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{int(process.stdout.readline())}/ws"
    finally:
        process.communicate()  # the end of its input is its end
        if len(cores) > 1:
            os.sched_setaffinity(0, cores)


# -- both sides ----------------------------------------------------------------------------------------------------


Library = Literal["websockets", "picows"]


def config(url: str, loop: Literal["own", "running"], library: Library = "websockets") -> SDKConfig:
    return SDKConfig(
        api=url,
        anon_token=ANON_TOKEN,
        auth_attrs=["email"],
        app_id=APP_ID,
        loop=loop,
        transport=library,
        max_queued_calls=20_000,
    )


@asynccontextmanager
async def _open(url: str, library: Library, *, at_once: bool) -> AsyncIterator[tuple[ApiService, Floor]]:
    async with ApiService(config(url, "running", library)) as api:
        floor = await open_floor(url, ANON_TOKEN, APP_ID, library, at_once=at_once)
        try:
            yield api, floor
        finally:
            await floor.close()


@contextmanager
def on_one_loop(
    url: str,
    works: Callable[[ApiService, Floor], Awaitable[tuple[AsyncWork, AsyncWork]]],
    library: Library = "websockets",
    *,
    at_once: bool = False,
    warm_up: int = 500,
) -> Iterator[tuple[Cost, Cost]]:
    """Both sides on this thread's loop, which runs only while one of them works; each has done a little already."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> tuple[AsyncWork, AsyncWork]:
            return await works(*await stack.enter_async_context(_open(url, library, at_once=at_once)))

        ours, floor = runner.run(begin())
        try:
            sides = cpu_us(lambda n: runner.run(ours(n))), cpu_us(lambda n: runner.run(floor(n)))
            for side in sides:
                side(warm_up)
            yield sides
        finally:
            runner.run(stack.aclose())


class Countdown:
    """An observer of replies: ``done`` is set when ``left`` of them have come."""

    def __init__(self) -> None:
        self.left = 0
        self.done = asyncio.get_running_loop().create_future()

    def start(self, left: int) -> asyncio.Future[None]:
        self.left = left
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def __call__(self, reply: Any) -> None:
        self.left -= 1
        if not self.left:
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
