"""Every test here leaves no thread behind; those that want one have an emulator of ``archive``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rxsdk.emulator import Emulator
from tests.files.wire import archive_emulator


@pytest.fixture(autouse=True)
def _threads_end(no_thread_left: None) -> None:
    """See `no_thread_left`."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """See `archive_emulator`; a module may have one of another level in its place."""
    with archive_emulator() as running:
        yield running
