"""The wire under test: every suite of this folder runs over each there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.wires import WIRES, Wire


@pytest.fixture(scope="module", params=WIRES)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Its server runs, one for a module."""
    with WIRES[request.param]() as running:
        yield running
