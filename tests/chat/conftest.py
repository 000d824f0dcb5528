"""A server with Ada, Bob and Eve, and services for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rxsdk import ReconnectPolicy
from rxsdk.chat import ChatService
from rxsdk.emulator.chat import ChatEmulator

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)
Join = Callable[..., ChatService]


@pytest.fixture
def server() -> Iterator[ChatEmulator]:
    with ChatEmulator() as running:
        yield running


@pytest.fixture
def join(server: ChatEmulator) -> Iterator[Join]:
    """``join("ada", **settings)``: her service, open."""
    with ExitStack() as stack:

        def join(user: str, **settings: Any) -> ChatService:
            config = server.config(user, **{"reconnect": FAST, **settings})
            return stack.enter_context(ChatService(config))

        yield join
