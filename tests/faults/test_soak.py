"""The short form of `tests.faults.soak`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to count memory and files")
def test_twenty_thousand_calls_and_thirty_reconnects() -> None:
    """In a process of its own: this one's memory is the other tests' too."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults.soak", "--calls", "20000", "--reconnects", "30"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert child.returncode == 0, child.stdout + child.stderr
