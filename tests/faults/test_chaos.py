"""The short form of `tests.faults.chaos`."""

from __future__ import annotations

from tests.faults import chaos
from tests.faults.wires import Wire


def test_some_seconds_of_chaos(wire: Wire) -> None:
    report = chaos.run(wire, seconds=wire.storm_s, rate=300.0, seed=7)
    print(report)
    assert report.failures() == []
