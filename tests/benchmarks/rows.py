"""The rows: one piece of work each, done once by rxsdk and once by the floor, on the same server.

A row is a context manager that opens both sides and gives two functions, each of which does ``n`` units of work and
returns what one of them cost. The functions of a pair are the same but for the client they call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rxsdk import ApiService
from tests.benchmarks.floor import Floor
from tests.benchmarks.measure import Cost, cpu_us
from tests.benchmarks.processes import idle, importing, memory
from tests.benchmarks.sides import ENDPOINT, QUERY, AsyncWork, Countdown, Library, config, on_one_loop

CHUNK = 512_000

# -- one call at a time --------------------------------------------------------------------------------------------


async def _one_at_a_time(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
    async def ours(n: int) -> None:
        for _ in range(n):
            await api.call(ENDPOINT, query=QUERY)

    async def plain(n: int) -> None:
        for _ in range(n):
            await floor.call(ENDPOINT, QUERY)

    return ours, plain


def one_at_a_time_await(url: str, library: Library = "websockets") -> Any:
    return on_one_loop(url, _one_at_a_time, library, at_once=True)


@contextmanager
def one_at_a_time_result(url: str) -> Iterator[tuple[Cost, Cost]]:
    """Ours blocks this thread and works on its own; the floor is the same as without threads."""

    def ours(n: int) -> None:
        for _ in range(n):
            api.call(ENDPOINT, query=QUERY).result()

    with one_at_a_time_await(url) as (_, floor), ApiService(config(url, "own")) as api:
        side = cpu_us(ours)
        side(500)
        yield side, floor


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


def in_flight_subscribe(url: str, library: Library = "websockets") -> Any:
    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        return _subscribing(api, 1_000), _calling_back(floor, 1_000)

    return on_one_loop(url, works, library)


def in_flight_await(url: str, library: Library = "websockets") -> Any:
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

    return on_one_loop(url, works, library)


def in_flight_growth(url: str, few: int, many: int) -> Any:
    """Ours with ``many`` in flight, against ours with ``few``."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        return _subscribing(api, many), _subscribing(api, few)

    return on_one_loop(url, works)


@contextmanager
def calls_growth(url: str) -> Iterator[tuple[Cost, Cost]]:
    """Ours after very many calls through one service, against a thousand of them, again and again from the start."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        ours = _subscribing(api, 100)
        return ours, ours

    with on_one_loop(url, works) as (side, _):
        yield side, lambda n: side(1_000)


@contextmanager
def instances_growth(url: str, many: int) -> Iterator[tuple[Cost, Cost]]:
    """One call at a time, by each of ``many`` services in turn, against the same by one."""

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> list[ApiService]:
            return [await stack.enter_async_context(ApiService(config(url, "running"))) for _ in range(many)]

        async def call(n: int, services: list[ApiService]) -> None:
            for number in range(n):
                await services[number % len(services)].call(ENDPOINT, query=QUERY)

        services = runner.run(begin())
        try:
            sides = (
                cpu_us(lambda n: runner.run(call(n, services))),
                cpu_us(lambda n: runner.run(call(n, services[:1]))),
            )
            for side in sides:
                side(2 * many)
            yield sides
        finally:
            runner.run(stack.aclose())


# -- watches -------------------------------------------------------------------------------------------------------


async def _watch(api: ApiService, countdown: Countdown) -> str:
    """A watch whose events go to ``countdown``; returns its id."""
    made = countdown.start(1)  # that it was made is a watch's first notification
    watching = api.call("staff/watch", query=QUERY)
    watching.subscribe(countdown, countdown.fail)
    await made
    watch: str = (await watching).args.watch
    return watch


def _pushing(call: Callable[[str, Any], Any], watches: list[str], countdown: Countdown) -> AsyncWork:
    """Let the server send ``n`` events of the watches in turn, ten thousand in one go: a mailbox holds no more."""

    async def work(n: int) -> None:
        for begin in range(0, n, 10_000):
            events = min(10_000, n - begin)
            done = countdown.start(events)
            await call("staff/push", [{"watches": watches[:events], "count": events}])
            await done

    return work


def _calling(api: ApiService) -> Callable[[str, Any], Any]:
    return lambda endpoint, query: api.call(endpoint, query=query)


def watch_events(url: str, watches: int, library: Library = "websockets") -> Any:
    """Events of so many watches with one subscriber each."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        ours, plain = Countdown(), Countdown()
        our_watches = [await _watch(api, ours) for _ in range(watches)]
        plain_watches = [await floor.watch("staff/watch", QUERY, plain) for _ in range(watches)]
        return _pushing(_calling(api), our_watches, ours), _pushing(floor.call, plain_watches, plain)

    return on_one_loop(f"{url}/watch", works, library)


def watches_growth(url: str, many: int) -> Any:
    """Ours with ``many`` watches, against ours with one."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        one, all_of_them = Countdown(), Countdown()
        first = await _watch(api, one)
        others = [await _watch(api, all_of_them) for _ in range(many)]
        return _pushing(_calling(api), others, all_of_them), _pushing(_calling(api), [first], one)

    return on_one_loop(f"{url}/watch", works)


class Guarded:
    """What a floor with many callbacks does with an event: calls each, so that one that raises harms no other."""

    def __init__(self, callbacks: list[Callable[[Any], None]]) -> None:
        self.callbacks = callbacks

    def __call__(self, event: Any) -> None:
        for callback in self.callbacks:
            try:
                callback(event)
            except Exception:
                logging.exception("a callback raised")


def watch_subscribers(url: str, subscribers: int) -> Any:
    """Events of one watch, each to ``subscribers``, who do next to nothing; the last of them counts."""

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        ours, plain = Countdown(), Countdown()
        watching = api.call("staff/watch", query=QUERY)
        for _ in range(subscribers - 1):
            watching.subscribe(_look, ours.fail)
        made = ours.start(1)
        watching.subscribe(ours, ours.fail)
        await made
        callbacks = [*[_look] * (subscribers - 1), plain]
        plain_watch = await floor.watch("staff/watch", QUERY, Guarded(callbacks))
        our_watch = (await watching).args.watch
        return _pushing(_calling(api), [our_watch], ours), _pushing(floor.call, [plain_watch], plain)

    return on_one_loop(f"{url}/watch", works)


def _look(event: Any) -> None:
    """A subscriber."""


# -- uploads -------------------------------------------------------------------------------------------------------


@contextmanager
def upload(url: str, mib: int, library: Library = "websockets") -> Iterator[tuple[Cost, Cost]]:
    """A file in chunks of 512 000 bytes, and its call; the unit is the whole."""
    with tempfile.NamedTemporaryFile() as big:
        big.write(os.urandom(mib * 1024 * 1024))
        big.flush()

        async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
            async def ours(n: int) -> None:
                for _ in range(n):
                    await api.call("staff/create", doc={"file": Path(big.name)})

            async def plain(n: int) -> None:
                for _ in range(n):
                    await floor.upload("staff/create", big.name, CHUNK)

            return ours, plain

        with on_one_loop(f"{url}/upload/{-(-mib * 1024 * 1024 // CHUNK)}", works, library, warm_up=1) as sides:
            yield sides


# -- all -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """``target`` is the ratio that must not be passed; ``units`` the work of one repetition."""

    name: str
    work: Callable[[str], Any]
    target: float
    units: int
    quick_units: int
    unit: str = "CPU µs"
    repetitions: int = 1_000
    quick_work: Callable[[str], Any] | None = None

    @property
    def needs_picows(self) -> bool:
        """Whether both sides use picows, which is an extra."""
        return self.name.endswith("picows")

    def open(self, url: str, quick: bool) -> Any:
        """Both sides, as they are needed."""
        return (self.quick_work or self.work)(url) if quick else self.work(url)


_ON_LOOP = "running loop, websockets"

ROWS = (
    Row(f"one call at a time, await, {_ON_LOOP}", one_at_a_time_await, 1.15, 5_000, 200),
    Row("one call at a time, result, own thread, websockets", one_at_a_time_result, 1.6, 5_000, 200),
    Row(f"1 000 in flight, subscribe, {_ON_LOOP}", in_flight_subscribe, 1.25, 20_000, 2_000),
    Row(f"1 000 in flight, await, {_ON_LOOP}", in_flight_await, 1.25, 20_000, 2_000),
    Row(
        f"10 000 in flight against 100, subscribe, {_ON_LOOP}",
        partial(in_flight_growth, few=100, many=10_000),
        1.10,
        40_000,
        12_000,
    ),
    Row(f"watch event, one subscriber, {_ON_LOOP}", partial(watch_events, watches=1), 1.25, 100_000, 5_000),
    Row(f"watch event, 100 watches, {_ON_LOOP}", partial(watch_events, watches=100), 1.30, 100_000, 5_000),
    Row(f"watch event, 100 subscribers, {_ON_LOOP}", partial(watch_subscribers, subscribers=100), 1.5, 10_000, 500),
    Row(f"upload of 16 MiB, {_ON_LOOP}", partial(upload, mib=16), 1 / 0.9, 5, 1),
    Row(
        "one call at a time, await, running loop, picows",
        partial(one_at_a_time_await, library="picows"),
        1.15,
        5_000,
        200,
    ),
    Row(
        "1 000 in flight, subscribe, running loop, picows",
        partial(in_flight_subscribe, library="picows"),
        1.4,
        20_000,
        2_000,
    ),
    Row("1 000 in flight, await, running loop, picows", partial(in_flight_await, library="picows"), 1.4, 20_000, 2_000),
    Row(
        "watch event, one subscriber, running loop, picows",
        partial(watch_events, watches=1, library="picows"),
        1.45,
        100_000,
        5_000,
    ),
    Row("upload of 16 MiB, running loop, picows", partial(upload, mib=16, library="picows"), 1 / 0.9, 5, 1),
    Row("import rxsdk against what it is made of", importing, 1.2, 1, 1),
    Row(
        "1 000 connected instances, memory, running loop, websockets", memory, 1.3, 1_000, 20, "RSS KiB", repetitions=2
    ),
    Row(
        "1 000 connected instances, idle, running loop, websockets",
        partial(idle, seconds=20.0),
        1.3,
        1_000,
        20,
        "CPU µs/s",
        repetitions=1,
        quick_work=partial(idle, seconds=0.5),
    ),
    Row(
        f"growth, the last of 1 000 000 calls against 1 000, {_ON_LOOP}",
        calls_growth,
        1.15,
        1_000_000,
        5_000,
        repetitions=1,
    ),
    Row(
        f"growth, watch event, 10 000 watches against 1, {_ON_LOOP}",
        partial(watches_growth, many=10_000),
        1.15,
        100_000,
        500,
        quick_work=partial(watches_growth, many=100),
    ),
    Row(
        f"growth, one call at a time, 1 000 instances against 1, {_ON_LOOP}",
        partial(instances_growth, many=1_000),
        1.15,
        5_000,
        100,
        quick_work=partial(instances_growth, many=20),
    ),
)
