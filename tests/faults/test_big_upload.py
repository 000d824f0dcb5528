"""The short form of `tests.faults.big_upload`."""

from __future__ import annotations

import pytest

from tests.faults.big_upload import run


@pytest.mark.alone
def test_a_file_of_many_chunks_goes_up_and_is_not_kept_in_memory() -> None:
    report = run(48 * 1024 * 1024)
    assert report.problems() == []
