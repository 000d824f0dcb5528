"""The short form of `tests.faults.subscribers`."""

from __future__ import annotations

import pytest

from tests.faults.subscribers import run


@pytest.mark.parametrize("seed", [1, 2])
def test_whoever_comes_and_goes_and_whatever_they_do(seed: int) -> None:
    report = run(1.0, seed)
    assert report.failures() == []
    assert report.emitted > 100
    assert report.came > 10
    assert report.heard > 100
