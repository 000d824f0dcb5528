"""`Pulled`: cold, one value on its way at a time, ended by whoever leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from rxsdk import ApiService, ConnectionLost, SDKConfig
from rxsdk.errors import CallNotSent
from rxsdk.reactive.pulled import Pulled
from tests.core.fakes import turns, until

CONFIG = SDKConfig("ws://localhost/ws", "token", ["email"])


class Source:
    """Counts what is asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = 0
        self.error = error

    async def values(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(5):
                self.given += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


def play(scene: Any, source: Source) -> None:
    async def run() -> None:
        api = ApiService(CONFIG, connect=asyncio.Event().wait)  # type: ignore[arg-type]  # never connected
        api.init()
        try:
            await scene(api, Pulled(api._life, "test", source.values))
        finally:
            await api.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_each_subscription_runs_the_source_to_its_end() -> None:
    source = Source()

    async def scene(api: ApiService, pulled: Pulled[int]) -> None:
        seen: list[int] = []
        pulled.subscribe(seen.append)
        assert await pulled == 4
        await until(lambda: len(seen) == 5)
        assert (source.given, source.closed) == (10, 2)

    play(scene, source)


def test_its_error_is_told() -> None:
    async def scene(api: ApiService, pulled: Pulled[int]) -> None:
        with pytest.raises(OSError, match="no more"):
            await pulled

    play(scene, Source(OSError("no more")))


def test_an_iteration_gets_what_it_asks_for_and_no_more() -> None:
    source = Source()

    async def scene(api: ApiService, pulled: Pulled[int]) -> None:
        iteration = aiter(pulled)
        assert [await anext(iteration), await anext(iteration)] == [0, 1]
        await turns()
        assert source.given == 2
        await iteration.aclose()
        await until(lambda: source.closed)
        assert source.given == 2

    play(scene, source)


def test_who_leaves_before_it_begins_runs_nothing() -> None:
    source = Source()

    async def scene(api: ApiService, pulled: Pulled[int]) -> None:
        run = pulled._run(asks=True)
        run.subscribe().dispose()
        run.begin()
        run.want()
        await turns()
        assert source.given == 0

    play(scene, source)


def test_closed_meanwhile_it_is_told_so_and_later_nothing_begins() -> None:
    source = Source()

    async def scene(api: ApiService, pulled: Pulled[int]) -> None:
        errors: list[Exception] = []
        iteration = aiter(pulled)
        assert await anext(iteration) == 0
        other = pulled._run(asks=True)
        other.subscribe(on_error=errors.append)
        await api.close()
        with pytest.raises(ConnectionLost):
            await anext(iteration)
        other._begin_here()
        with pytest.raises(CallNotSent):
            await pulled
        assert source.closed == 1

    play(scene, source)


def test_what_comes_while_nobody_listens_any_more_goes_nowhere() -> None:
    seen: list[int] = []

    async def scene(api: ApiService, _: Pulled[int]) -> None:
        async def values() -> AsyncGenerator[int, None]:
            yield 1
            subscription.dispose()
            yield 2

        subscription = Pulled(api._life, "test", values).subscribe(seen.append)
        await turns()
        assert seen == [1]

    play(scene, Source())


def test_who_leaves_after_the_end_ends_nothing() -> None:
    source = Source()

    async def scene(api: ApiService, pulled: Pulled[int]) -> None:
        run = pulled._run(asks=False)
        subscription = run.subscribe()
        run.begin()
        await until(lambda: source.given)
        api._life.is_open = False  # it has begun to close; that ends the run by itself
        subscription.dispose()
        assert source.closed == 0
        api._life.is_open = True
        await api.close()
        assert source.closed == 1

    play(scene, source)


def test_it_is_told_when_its_loop_ends_before_it() -> None:
    errors: list[Exception] = []
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        api.init()
        run = Pulled(api._life, "test", Source().values)._run(asks=False)
        run.subscribe(on_error=errors.append)
        run.begin()
        await turns()
        api._life._cut_off()

    api = ApiService(CONFIG, connect=asyncio.Event().wait)  # type: ignore[arg-type]  # never connected
    try:
        loop.run_until_complete(begin())
        assert [type(error) for error in errors] == [ConnectionLost]
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    finally:
        loop.close()


def test_where_nothing_was_ever_opened_it_raises() -> None:
    api = ApiService(CONFIG)
    with pytest.raises(CallNotSent):
        Pulled(api._life, "test", Source().values).subscribe()
