"""The pytest plugin: LIMP fixtures for the tests of an app. Opt in with ``pytest_plugins = ["rxsdk.testing.plugin"]``.

A leaf, and the only part of `rxsdk.testing` that needs pytest. It speaks LIMP; everything else here speaks any wire.
The fixtures know of each other: in a test that asks for them too, ``rxsdk_api`` goes through ``rxsdk_fault_proxy`` and
lives by ``rxsdk_clock``. Override ``rxsdk_config`` in a conftest for other settings, ``rxsdk_emulator`` for another
server (other modules, quotas, data).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rxsdk.config import SDKConfig
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.limp import ApiService
from rxsdk.testing.fake_clock import FakeClock
from rxsdk.testing.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from rxsdk.emulator import Emulator

__all__ = ["rxsdk_api", "rxsdk_clock", "rxsdk_config", "rxsdk_emulator", "rxsdk_fault_proxy"]


@pytest.fixture
def rxsdk_emulator() -> Iterator[Emulator]:
    """A LIMP server of this test's own. Needs the extra ``emulator``; without it the test fails and says so."""
    try:
        from rxsdk.emulator import Emulator  # noqa: PLC0415 - only here may it be missing
    except ImportError as error:
        pytest.fail(f"rxsdk_emulator: {error}", pytrace=False)
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def rxsdk_fault_proxy(rxsdk_emulator: Emulator) -> Iterator[FaultProxy]:
    """A bad network, so far healthy, in front of ``rxsdk_emulator``."""
    with FaultProxy(rxsdk_emulator.url, seed=0) as proxy:
        yield proxy


@pytest.fixture
def rxsdk_clock() -> FakeClock:
    """A clock that passes only when told to."""
    return FakeClock()


@pytest.fixture
def rxsdk_config(rxsdk_emulator: Emulator) -> SDKConfig:
    """What ``rxsdk_api`` is opened with: the emulator's config, with quick reconnects, on a thread of its own."""
    return rxsdk_emulator.config(reconnect=ReconnectPolicy(base_s=0.01, cap_s=0.1), loop="own")


@pytest.fixture
def rxsdk_api(rxsdk_config: SDKConfig, request: pytest.FixtureRequest) -> Iterator[ApiService]:
    """An `ApiService`, connected and verified (nobody is signed in), closed after the test."""
    config, clock = rxsdk_config, None
    if "rxsdk_fault_proxy" in request.fixturenames:
        config = replace(config, api=request.getfixturevalue("rxsdk_fault_proxy").url)
    if "rxsdk_clock" in request.fixturenames:
        clock = request.getfixturevalue("rxsdk_clock")
    with ApiService(config, clock=clock) as api:
        yield api
