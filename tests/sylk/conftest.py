from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rxsdk import ReconnectPolicy, SylkAccount, SylkService
from rxsdk.emulator.sylk import SylkEmulator
from tests.sylk.people import sign_in

Enter = Callable[..., SylkAccount]
FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


@pytest.fixture
def sylk() -> Iterator[SylkEmulator]:
    """The server."""
    with SylkEmulator(public_keys={"bob@example.com": "-----BEGIN PGP"}) as running:
        yield running


@pytest.fixture
def service(sylk: SylkEmulator) -> Iterator[SylkService]:
    """A service that is connected."""
    with SylkService(sylk.config(reconnect=FAST)) as opened:
        yield opened


@pytest.fixture
def enter(sylk: SylkEmulator) -> Iterator[Enter]:
    """``enter("ada")``: signed in on a service of her own, which is closed at the end."""
    with ExitStack() as stack:

        def one(user: str, **settings: Any) -> SylkAccount:
            config = sylk.config(**{"reconnect": FAST, **settings})
            return sign_in(sylk, stack.enter_context(SylkService(config)), user)

        yield one


@pytest.fixture
def ada(enter: Enter) -> SylkAccount:
    return enter("ada")


@pytest.fixture
def bob(enter: Enter) -> SylkAccount:
    return enter("bob")
