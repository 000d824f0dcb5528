"""The short form of `tests.faults.fuzz`."""

from __future__ import annotations

import logging

import pytest

from tests.faults import fuzz
from tests.faults.wires import Wire


def test_malformed_frames_into_the_machine(wire: Wire) -> None:
    fuzz.fuzz_machine(wire, wire.fuzz_frames, seed=3)


def test_malformed_frames_between_calls(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    ledger = fuzz.fuzz_socket(wire, frames=wire.fuzz_frames, seed=11)
    assert ledger.hung == 0
    assert ledger.wrong == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR and "rxsdk" in record.name]
