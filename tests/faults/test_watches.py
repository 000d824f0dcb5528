"""The short form of `tests.faults.watches`."""

from __future__ import annotations

import pytest

from tests.faults.watches import Told, ToldPlainly, Wire, run


@pytest.mark.parametrize("seed", [1, 2])
def test_watches_converge_through_cuts(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    report = run(renewals=40, seed=seed)
    assert report.failures() == []
    assert min(told.gaps for told in report.told) >= 40
    assert min(told.changes for told in report.told) > 20
    assert not [one.getMessage() for one in caplog.records if one.name.startswith("aiohttp")], "the server's own errors"


def test_a_gap_out_of_its_place_is_found() -> None:
    wire, told, plain = Wire(), Told(), ToldPlainly()
    events = [("a", number, False) for number in range(4)]
    wire.sent["w"] = {1: events[:2], 2: [], 3: events[2:]}
    wire.received["w"] = [events[:2], events[2:3]]
    told.between, plain.between = [events[:1], events[2:]], [events[:2], events[2:3]]
    assert wire.out_of_place("w", told) == wire.out_of_place("w", plain) == []
    told.between, plain.between = [events[:1], events[1:]], [events[:1], events[1:]]
    assert len(wire.out_of_place("w", told)) == 1
    assert len(wire.out_of_place("w", plain)) == 1
