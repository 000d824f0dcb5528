"""Every test here leaves no thread behind."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _threads_end(no_thread_left: None) -> None:
    """See `no_thread_left`."""
