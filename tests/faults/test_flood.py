"""A short form of `tests.faults.flood`."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.benchmarks.sides import server_process
from tests.faults.flood import run


@pytest.mark.parametrize("loop", ["own", "running"])
def test_two_mailboxes_full_at_once_are_heard_whole(loop: Literal["own", "running"]) -> None:
    with server_process() as url:
        flooded, _ = run(url, loop, "websockets", 33_000, 2.0)
    assert flooded.error is None
    assert flooded.heard == 33_001
