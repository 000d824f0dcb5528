"""The short form of `tests.faults.watches`."""

from __future__ import annotations

import pytest

from tests.faults.watches import run


@pytest.mark.parametrize("seed", [1, 2])
def test_watches_converge_through_cuts(seed: int) -> None:
    report = run(cuts=60, seed=seed)
    assert report.failures() == []
    assert report.made.total() > 40
    assert report.told[0].changes > 10
