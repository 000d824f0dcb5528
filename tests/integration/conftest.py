"""Every story is told twice: with the extra ``fast`` (picows, uvloop) where it is installed, and without."""

from __future__ import annotations

import pytest

import rxsdk.core.with_websockets  # else the first connection imports it, and its deadline counts that
from rxsdk.core.transport import has_picows

if has_picows():
    import rxsdk.core.with_picows  # noqa: F401 - likewise


@pytest.fixture(params=["fast", "plain"], autouse=True)
def _transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "fast" and not has_picows():
        pytest.skip("picows is not installed: the extra `fast`")
    if request.param == "plain":
        monkeypatch.setattr("rxsdk.core.transport.has_picows", lambda: False)
        monkeypatch.setattr("rxsdk.core.loop.find_spec", lambda name: None)
