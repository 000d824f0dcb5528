"""People on the wire: a service each, signed in, and a record of what their objects went through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rxsdk import Stream, SylkAccount, SylkService
from rxsdk.emulator.sylk import SylkEmulator
from tests.conftest import wait_until

__all__ = ["CANDIDATE", "Watcher", "register", "sign_in", "signed_in", "until"]

CANDIDATE = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMLineIndex": 0, "sdpMid": "0"}


class Watcher:
    """All that a stream gave, and how it ended."""

    def __init__(self, stream: Stream[Any]) -> None:
        self.values: list[Any] = []
        self.ends: list[Exception | None] = []
        stream.subscribe(self.values.append, self.ends.append, lambda: self.ends.append(None))

    @property
    def names(self) -> list[str]:
        """Of states."""
        return [state.name for state in self.values]

    def fitting(self, kind: type[Any] | None = None) -> list[Any]:
        """The values (of a type) so far."""
        return [value for value in self.values if kind is None or isinstance(value, kind)]

    def wait(self, name: str) -> Any:
        """Until that is the latest state, which is returned."""
        wait_until(lambda: self.names[-1:] == [name])
        return self.values[-1]

    def first(self, kind: type[Any] | None = None) -> Any:
        """The first value (of a type), as soon as it is there."""
        wait_until(lambda: self.fitting(kind))
        return self.fitting(kind)[0]

    async def reach(self, name: str) -> Any:
        """`wait`, on a loop."""
        await until(lambda: self.names[-1:] == [name])
        return self.values[-1]

    async def get(self, kind: type[Any] | None = None) -> Any:
        """`first`, on a loop."""
        await until(lambda: self.fitting(kind))
        return self.fitting(kind)[0]


async def until(condition: Callable[[], object]) -> None:
    """`wait_until`, on a loop."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it looks at tells nobody
            await asyncio.sleep(0.001)


def sign_in(emulator: SylkEmulator, service: SylkService, user: str) -> SylkAccount:
    """``user`` (ada, bob, eve) on a service, registered."""
    address = f"{user}@example.com"
    account = service.add_account(address, emulator.users[address], display_name=user.title()).result(10)
    register(account)
    return account


def register(account: SylkAccount) -> None:
    """Register, and wait until it is."""
    account.register().result(10)
    wait_until(lambda: account.registration.name == "registered")


@asynccontextmanager
async def signed_in(emulator: SylkEmulator, user: str) -> AsyncIterator[SylkAccount]:
    """The same on the running loop, where whoever subscribes at once misses nothing."""
    async with SylkService(emulator.config()) as service:
        address = f"{user}@example.com"
        account = await service.add_account(address, emulator.users[address], display_name=user.title())
        await account.register()
        await until(lambda: account.registration.name == "registered")
        yield account
