"""The socket's part of `tests.faults.fuzz`; the machine's short form is in `tests.protocols.test_machine_fuzz`."""

from __future__ import annotations

import logging

import pytest

from tests.faults import fuzz
from tests.faults.wire import LimpWire


def test_malformed_frames_between_calls(caplog: pytest.LogCaptureFixture) -> None:
    with LimpWire() as wire:
        ledger = fuzz.fuzz_socket(wire, frames=2_000, seed=11)
    assert ledger.hung == 0
    assert ledger.wrong == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR and "rxsdk" in record.name]
