"""The rows: one piece of work each, done by rxsdk and by the floor, on the same server.

A row is a context manager that opens both sides and gives two functions, each of which does ``n`` units of work. The
functions of a pair are the same but for the client they call.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rxsdk import ApiService, SDKConfig
from tests.benchmarks.floor import Floor, open_floor
from tests.benchmarks.measure import Work

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


def _config(url: str, loop: Literal["own", "running"]) -> SDKConfig:
    return SDKConfig(
        api=url, anon_token=ANON_TOKEN, auth_attrs=["email"], app_id=APP_ID, loop=loop, max_queued_calls=20_000
    )


@asynccontextmanager
async def _open(url: str, *, at_once: bool) -> AsyncIterator[tuple[ApiService, Floor]]:
    async with ApiService(_config(url, "running")) as api:
        floor = await open_floor(url, ANON_TOKEN, APP_ID, at_once=at_once)
        try:
            yield api, floor
        finally:
            await floor.close()


@contextmanager
def _on_one_loop(
    url: str, works: Callable[[ApiService, Floor], Awaitable[tuple[AsyncWork, AsyncWork]]], *, at_once: bool = False
) -> Iterator[tuple[Work, Work]]:
    """Both sides on this thread's loop, which runs only while one of them works."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> tuple[AsyncWork, AsyncWork]:
            return await works(*await stack.enter_async_context(_open(url, at_once=at_once)))

        ours, floor = runner.run(begin())
        try:
            yield (lambda n: runner.run(ours(n))), (lambda n: runner.run(floor(n)))
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


# -- one call at a time --------------------------------------------------------------------------------------------


async def _one_at_a_time(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
    async def ours(n: int) -> None:
        for _ in range(n):
            await api.call(ENDPOINT, query=QUERY)

    async def plain(n: int) -> None:
        for _ in range(n):
            await floor.call(ENDPOINT, QUERY)

    return ours, plain


def one_at_a_time_await(url: str) -> Any:
    return _on_one_loop(url, _one_at_a_time, at_once=True)


@contextmanager
def one_at_a_time_result(url: str) -> Iterator[tuple[Work, Work]]:
    """Ours blocks this thread and works on its own; the floor is the same as without threads."""

    def ours(n: int) -> None:
        for _ in range(n):
            api.call(ENDPOINT, query=QUERY).result()

    with one_at_a_time_await(url) as (_, floor), ApiService(_config(url, "own")) as api:
        yield ours, floor


# -- many in flight ------------------------------------------------------------------------------------------------


def _subscribing(api: ApiService, in_flight: int) -> AsyncWork:
    """Every reply lets the next call go, so that ``in_flight`` are on their way until the end."""

    async def ours(n: int) -> None:
        countdown = Countdown()
        done = countdown.start(n)
        to_send = max(0, n - in_flight)

        def on_next(reply: Any) -> None:
            nonlocal to_send
            if to_send:
                to_send -= 1
                api.call(ENDPOINT, query=QUERY).subscribe(on_next, countdown.fail)
            countdown(reply)

        for _ in range(min(n, in_flight)):
            api.call(ENDPOINT, query=QUERY).subscribe(on_next, countdown.fail)
        await done

    return ours


def _calling_back(floor: Floor, in_flight: int) -> AsyncWork:
    async def plain(n: int) -> None:
        countdown = Countdown()
        done = countdown.start(n)
        to_send = max(0, n - in_flight)

        def on_reply(reply: Any) -> None:
            nonlocal to_send
            if to_send:
                to_send -= 1
                floor.send(ENDPOINT, QUERY, on_reply)
            countdown(reply)

        for _ in range(min(n, in_flight)):
            floor.send(ENDPOINT, QUERY, on_reply)
        await done

    return plain


def in_flight_subscribe(url: str) -> Any:
    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        return _subscribing(api, 1_000), _calling_back(floor, 1_000)

    return _on_one_loop(url, works)


def in_flight_await(url: str) -> Any:
    """A thousand tasks, each of which awaits one call after another."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        async def our_worker(turns: Iterator[int]) -> None:
            for _ in turns:
                await api.call(ENDPOINT, query=QUERY)

        async def plain_worker(turns: Iterator[int]) -> None:
            for _ in turns:
                await floor.call(ENDPOINT, QUERY)

        async def ours(n: int) -> None:
            turns = iter(range(n))
            await asyncio.gather(*(our_worker(turns) for _ in range(min(n, 1_000))))

        async def plain(n: int) -> None:
            turns = iter(range(n))
            await asyncio.gather(*(plain_worker(turns) for _ in range(min(n, 1_000))))

        return ours, plain

    return _on_one_loop(url, works)


def in_flight_growth(url: str) -> Any:
    """Ours with 10 000 in flight, against ours with 100."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        return _subscribing(api, 10_000), _subscribing(api, 100)

    return _on_one_loop(url, works)


# -- watches -------------------------------------------------------------------------------------------------------


def watch_one_subscriber(url: str) -> Any:
    """The server sends all events of a repetition in one go."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        our_events, plain_events = Countdown(), Countdown()
        made = our_events.start(1)  # that it was made is a watch's first notification
        watching = api.call("staff/watch", query=QUERY)
        watching.subscribe(our_events, our_events.fail)
        our_watch = (await watching).args.watch
        await made
        plain_watch = await floor.watch("staff/watch", QUERY, plain_events)

        async def ours(n: int) -> None:
            done = our_events.start(n)
            await api.call("staff/push", query=[{"watch": our_watch, "count": n}])
            await done

        async def plain(n: int) -> None:
            done = plain_events.start(n)
            await floor.call("staff/push", [{"watch": plain_watch, "count": n}])
            await done

        return ours, plain

    return _on_one_loop(f"{url}/watch", works)


# -- all -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """``target`` is the ratio to the floor that must not be passed; ``units`` the work of one repetition."""

    name: str
    work: Callable[[str], Any]
    target: float
    units: int
    quick_units: int


ROWS = (
    Row("one call at a time, await, running loop, websockets", one_at_a_time_await, 1.15, 5_000, 200),
    Row("one call at a time, result, own thread, websockets", one_at_a_time_result, 1.6, 5_000, 200),
    Row("1 000 in flight, subscribe, running loop, websockets", in_flight_subscribe, 1.25, 20_000, 2_000),
    Row("1 000 in flight, await, running loop, websockets", in_flight_await, 1.25, 20_000, 2_000),
    Row("10 000 in flight against 100, subscribe, running loop, websockets", in_flight_growth, 1.10, 40_000, 12_000),
    Row("watch event, one subscriber, running loop, websockets", watch_one_subscriber, 1.25, 100_000, 5_000),
)
