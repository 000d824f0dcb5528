"""What one subscriber does inside ``on_next`` is no matter of the hundred others, wherever observers are called."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from rxsdk import ApiService
from rxsdk.emulator import Emulator
from rxsdk.reactive.call import Call
from rxsdk.reactive.streams import Multicast
from rxsdk.reactive.subscription import Subscription
from tests.conftest import wait_until
from tests.reactive.helpers import Notes

VALUES = list(range(50))


class Scene:
    """A service, a stream of it, a hundred who only listen, and one who does more."""

    def __init__(self, api: ApiService) -> None:
        self.api = api
        self.stream: Multicast[int] = api._life.stream()
        self.closing: Call[Any] | None = None
        self.newcomers: list[Notes] = []
        self.others = [Notes() for _ in range(100)]
        self.left = Notes()
        for one in self.others[:50]:
            self.stream.subscribe(one)
        self.subscription: Subscription
        self.leaving = self.stream.subscribe(self.left)

    def misbehave(self, how: Callable[[Scene, int], None]) -> None:
        self.subscription = self.stream.subscribe(lambda value: how(self, value))
        for one in self.others[50:]:
            self.stream.subscribe(one)

    def emit(self, _: None = None) -> None:
        for value in VALUES:
            self.stream.emit(value)

    @property
    def is_heard(self) -> bool:
        return all(len(one.values) == len(VALUES) for one in self.others)

    def check(self, unhandled: list[BaseException]) -> None:
        for one in self.others:
            assert one.values == VALUES
            assert one.error is None
        for newcomer in self.newcomers:
            assert newcomer.values == VALUES[VALUES.index(newcomer.values[0]) :] if newcomer.values else True
        assert all(isinstance(error, Mischief) for error in unhandled)


class Mischief(Exception):
    """What is raised here."""


def sleep(scene: Scene, value: int) -> None:
    time.sleep(0.01)


def raise_it(scene: Scene, value: int) -> None:
    raise Mischief


def leave(scene: Scene, value: int) -> None:
    scene.subscription.dispose()


def have_another_leave(scene: Scene, value: int) -> None:
    scene.leaving.dispose()


def subscribe_anew(scene: Scene, value: int) -> None:
    scene.newcomers.append(Notes())
    scene.stream.subscribe(scene.newcomers[-1])


def close(scene: Scene, value: int) -> None:
    scene.closing = scene.api.close()


DEEDS = (sleep, raise_it, leave, have_another_leave, subscribe_anew, close)


@pytest.mark.parametrize("deed", DEEDS)
def test_on_a_thread_of_the_service(
    deed: Callable[[Scene, int], None], emulator: Emulator, unhandled: list[BaseException]
) -> None:
    with ApiService(emulator.config(loop="own")) as api:
        scene = Scene(api)
        scene.misbehave(deed)
        api._life.on_loop(scene.emit, None)
        wait_until(lambda: scene.is_heard)
        api.close().result(10)
    scene.check(unhandled)
    assert all(one.completed for one in scene.others)


@pytest.mark.parametrize("deed", DEEDS)
def test_on_the_callers_loop(
    deed: Callable[[Scene, int], None], emulator: Emulator, unhandled: list[BaseException]
) -> None:
    async def play() -> Scene:
        async with ApiService(emulator.config(loop="running")) as api:
            scene = Scene(api)
            scene.misbehave(deed)
            scene.emit()
            async with asyncio.timeout(10):
                await api.close()
        return scene

    scene = asyncio.run(play())
    scene.check(unhandled)
    assert all(one.completed for one in scene.others)
