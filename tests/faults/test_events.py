"""The short form of `tests.faults.events`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import uncovered


@pytest.mark.alone
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to count memory")
@pytest.mark.parametrize("more", [[], ["--collection", "--subscribers", "1"]], ids=str)
def test_memory_is_flat_while_events_come(more: list[str]) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.faults.events", "--events", "200000", *more]
    child = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False, env=uncovered())
    assert child.returncode == 0, child.stdout + child.stderr
