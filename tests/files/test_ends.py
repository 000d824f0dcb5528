"""The short form of `tests.files.ends`."""

from __future__ import annotations

from typing import Any

import pytest

from rxsdk.core.transport import has_picows
from tests.files.ends import SITUATIONS, play


@pytest.mark.parametrize("library", ["websockets", "picows"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_uploads_end_well_at_any_moment(situation: Any, library: str) -> None:
    if library == "picows" and not has_picows():
        pytest.skip("picows is not installed: the extra `fast`")
    play(situation, library, rounds=8)
