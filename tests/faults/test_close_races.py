"""The short form of `tests.faults.close_races`."""

from __future__ import annotations

import pytest

from tests.faults import close_races
from tests.faults.wires import WIRES, Wire

A_PROCESS_EACH = "at_the_interpreters_exit"


@pytest.mark.parametrize(
    ("wire", "situation"),
    [(name, situation) for name, wire in WIRES.items() for situation in close_races.situations(wire)],
    indirect=["wire"],
)
def test_closed(wire: Wire, situation: str) -> None:
    times = max(1, wire.races // 5) if situation == A_PROCESS_EACH else wire.races
    close_races.run(wire, situation, times=times, seed=1)
