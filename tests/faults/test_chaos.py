"""The short form of `tests.faults.chaos`."""

from __future__ import annotations

from tests.faults import chaos
from tests.faults.wire import LimpWire


def test_twelve_seconds_of_chaos() -> None:
    with LimpWire() as wire:
        report = chaos.run(wire, seconds=12.0, rate=300.0, seed=7)
    print(report)
    assert report.failures() == []
