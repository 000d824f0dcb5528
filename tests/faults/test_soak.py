"""The short form of `tests.faults.soak`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import uncovered
from tests.faults.wires import WIRES


@pytest.mark.alone
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to count memory and files")
@pytest.mark.parametrize("wire", WIRES)
def test_many_calls_and_thirty_reconnects(wire: str) -> None:
    """In a process of its own: this one's memory is the other tests' too."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults.soak", "--wire", wire]
    command += ["--calls", str(WIRES[wire].soak_calls), "--reconnects", "30"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False, env=uncovered())
    assert child.returncode == 0, child.stdout + child.stderr
