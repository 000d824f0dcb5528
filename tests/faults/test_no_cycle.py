"""Calls of every kind, dropped: requests are out of the garbage collector's sight, so no circle may go through them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from rxsdk import ApiService, Call, RxSdkError, SDKConfig
from rxsdk.emulator import Emulator

Kind = Callable[[ApiService], Awaitable[list[Any]]]
MANY = 100


async def outcomes(calls: list[Call[Any]]) -> None:
    for call in calls:
        with suppress(RxSdkError):
            await call


async def answered(api: ApiService) -> list[Any]:
    calls = [api.call("staff/read") for _ in range(MANY)]
    await outcomes(calls)
    return calls


async def answered_and_heard(api: ApiService) -> list[Any]:
    calls = [api.call("staff/read") for _ in range(MANY)]
    heard = [call.subscribe(lambda _: None) for call in calls]
    await outcomes(calls)
    return [*calls, heard]


async def refused(api: ApiService) -> list[Any]:
    calls = [api.call("nothing/here") for _ in range(MANY)]
    await outcomes(calls)
    return calls


async def too_late(api: ApiService) -> list[Any]:
    calls = [api.call("staff/read", timeout_s=1e-6) for _ in range(MANY)]
    await outcomes(calls)
    return calls


async def cancelled_before_and_after_they_were_written(api: ApiService) -> list[Any]:
    early, late = [[api.call("staff/read") for _ in range(MANY)] for _ in range(2)]
    for call in early:
        call.cancel()
    await asyncio.sleep(0)
    for call in late:
        call.cancel()
    return early + late


async def answered_to_nobody(api: ApiService) -> list[Any]:
    calls = [api.call("staff/read") for _ in range(MANY)]
    kept = [weakref.ref(call) for call in calls]
    calls.clear()
    await api.call("heart/beat")
    return kept


async def watches_with_gaps(api: ApiService) -> list[Any]:
    watches: list[Any] = [api.call("staff/watch", gaps=True) for _ in range(20)]
    heard = [watch.subscribe(lambda _: None, lambda _: None) for watch in watches]
    await outcomes(watches)
    api.suspend()
    api.resume()
    await api.call("heart/beat")
    for subscription in heard[:10]:
        subscription.dispose()
    return watches


async def with_files(api: ApiService) -> list[Any]:
    calls = [api.call("file/create", doc={"file": b"x" * 1000}) for _ in range(10)]
    for call in calls[5:]:
        call.subscribe(lambda _: None, lambda _: None).dispose()
    await outcomes(calls[:5])
    return calls


async def never_answered(api: ApiService) -> list[Any]:
    return [api.call("staff/read") for _ in range(MANY)]


async def under_way(api: ApiService) -> list[Any]:
    calls = [api.call("staff/read") for _ in range(MANY)]
    await asyncio.sleep(0)
    return calls


KINDS: list[Kind] = [
    answered,
    answered_and_heard,
    refused,
    too_late,
    cancelled_before_and_after_they_were_written,
    answered_to_nobody,
    watches_with_gaps,
    with_files,
    never_answered,
    under_way,
]


def references(calls: list[Any]) -> list[weakref.ref[Any]]:
    return [
        call if isinstance(call, weakref.ref) else weakref.ref(call) for call in calls if not isinstance(call, list)
    ]


def check_gone(left: list[weakref.ref[Any]]) -> None:
    gc.collect()
    assert left
    assert [reference() for reference in left if reference() is not None] == []


@pytest.mark.filterwarnings("ignore:an open ApiService was dropped")
@pytest.mark.parametrize("end", ["closed", "dropped"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_dropped_call_is_left(kind: Kind, end: str, emulator: Emulator, config: SDKConfig) -> None:
    async def scene() -> list[weakref.ref[Any]]:
        api = ApiService(config)
        api.init()
        await api.auth("email", emulator.admin_email, emulator.admin_password)
        left = references(await kind(api))
        if end == "closed":
            await api.close()
        return left

    left = asyncio.run(scene())
    check_gone(left)


def test_nor_of_calls_of_a_service_that_never_got_anywhere(config: SDKConfig) -> None:
    async def scene() -> list[weakref.ref[Any]]:
        api = ApiService(replace(config, api="ws://127.0.0.1:1/ws"))
        api.init()
        calls = [api.call("staff/read", queue_timeout_s=0.01) for _ in range(MANY)]
        await outcomes(calls)
        calls += [api.call("staff/read") for _ in range(MANY)]
        left = references(calls)
        await api.close()
        return left

    check_gone(asyncio.run(scene()))
