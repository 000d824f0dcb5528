"""The short form of `tests.faults.close_races`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import close_races
from tests.faults.wire import LimpWire

FEWER = {"at_the_interpreters_exit": 4}  # a process each


@pytest.fixture(scope="module")
def wire() -> Iterator[LimpWire]:
    with LimpWire() as running:
        yield running


@pytest.mark.parametrize("situation", close_races.SITUATIONS)
def test_closed(wire: LimpWire, situation: str) -> None:
    close_races.run(wire, situation, times=FEWER.get(situation, 20), seed=1)
