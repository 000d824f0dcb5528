"""Every test here leaves no thread behind."""

from __future__ import annotations

import pytest

from rxsdk.core.transport import has_picows
from tests.core.wire import Library


@pytest.fixture(autouse=True)
def _threads_end(no_thread_left: None) -> None:
    """See `no_thread_left`."""


@pytest.fixture(params=["websockets", "picows"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each library that opens WebSockets, one after the other; its name."""
    if request.param == "picows" and not has_picows():
        pytest.skip("picows is not installed: the extra `fast`")
    monkeypatch.setattr(Library, "name", request.param)
    name: str = request.param
    return name
