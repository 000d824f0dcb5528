"""Every story is told twice: with the extra ``fast`` (picows, uvloop) where it is installed, and without."""

from __future__ import annotations

import pytest

from rxsdk.core.transport import has_picows


@pytest.fixture(params=["fast", "plain"], autouse=True)
def _transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "fast" and not has_picows():
        pytest.skip("picows is not installed: the extra `fast`")
    if request.param == "plain":
        monkeypatch.setattr("rxsdk.core.transport.has_picows", lambda: False)
        monkeypatch.setattr("rxsdk.core.loop.find_spec", lambda name: None)
