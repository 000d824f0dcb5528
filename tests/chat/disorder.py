"""`disordered`: a road on which events come twice, and out of order; everything else is left alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

from rxsdk.chat import ChatConfig
from rxsdk.core.transport import Connect, Receiver, Transport
from rxsdk.protocols.chat.machine import ChatMachine
from rxsdk.service import connector

__all__ = ["disordered"]


class _Disorder:
    """Stands between a transport and who listens to it."""

    def __init__(self, receiver: Receiver, chance: random.Random, calm: threading.Event) -> None:
        self._receiver = receiver
        self._chance = chance
        self._calm = calm
        self._late: list[bytes] = []

    def frames_received(self, frames: Sequence[bytes]) -> None:
        late, self._late = (self._late, []) if self._calm.is_set() else ([], self._late)
        self._receiver.frames_received([*late, *(each for frame in frames for each in self._coming(frame))])

    def _coming(self, frame: bytes) -> list[bytes]:
        """An event may wait for the next one; one still waiting at the end comes again after a reconnect."""
        if b'"eventType"' not in frame or self._calm.is_set():
            return [frame]
        if self._chance.random() < 0.4:
            self._late.append(frame)
            return []
        coming = [frame, *self._late] * self._chance.choice([1, 2])
        self._late.clear()
        return coming

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)


class _Road:
    """The transport itself, but for who listens to it."""

    def __init__(self, transport: Transport, chance: random.Random, calm: threading.Event) -> None:
        self._transport = transport
        self._chance = chance
        self._calm = calm

    def start(self, receiver: Receiver) -> None:
        self._transport.start(_Disorder(receiver, self._chance, self._calm))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def disordered(config: ChatConfig, chance: random.Random, calm: threading.Event) -> Connect:
    """What opens such roads; once it is ``calm`` they are as any others."""
    open_inner = connector(config, ChatMachine)

    async def open_transport() -> Transport:
        return _Road(await open_inner(), chance, calm)  # type: ignore[return-value]

    return open_transport
