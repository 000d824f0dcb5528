"""The short forms of `tests.faults.big_upload` and `tests.faults.big_download`."""

from __future__ import annotations

import pytest

from rxsdk.core.transport import has_picows
from tests.faults import big_download, big_upload


@pytest.mark.alone
@pytest.mark.parametrize("library", ["websockets", "picows"])
def test_a_file_of_many_chunks_goes_up_and_is_not_kept_in_memory(library: big_upload.Library) -> None:
    if library == "picows" and not has_picows():
        pytest.skip("picows is not installed: the extra `fast`")
    report = big_upload.run(48 * 1024 * 1024, library)
    assert report.problems() == []


@pytest.mark.alone
@pytest.mark.parametrize("way", big_download.WAYS)
def test_a_big_file_comes_down_and_is_not_kept_in_memory(way: big_download.Way) -> None:
    report = big_download.run(96 * 1024 * 1024, way)
    assert report.problems() == []
