"""Every test here leaves no thread behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reactive.helpers import Table, delivery_thread


@pytest.fixture(autouse=True)
def _threads_end(no_thread_left: None) -> None:
    """See `no_thread_left`."""


@pytest.fixture
def table() -> Iterator[Table]:
    with delivery_thread() as dispatcher:
        yield Table(dispatcher)
