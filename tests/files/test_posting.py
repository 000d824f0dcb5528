"""Level 6.1: the same calls, their files posted over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rxsdk import CallCancelled, CallNotSent, CallRejected, File
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.files.wire import Watcher, archive_emulator, content, file, signed_in, stored, upload


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with archive_emulator(api_level="6.1") as running:
        yield running


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 200_000])
def test_every_byte_arrives(emulator: Emulator, size: int) -> None:
    with signed_in(emulator) as api:
        call = upload(api, file=File(content(size), name='ä "b".bin', last_modified_ms=7))
        watcher = Watcher(call)
        created = call.result()
        assert stored(emulator) == {"a": {"file": content(size)}}
        last = watcher.all()[-1]
        assert (last.sent_bytes, last.total_bytes, last.phase) == (size, size, "done")
        read = api.call("archive/read", query=[{"_id": created.docs[0]["_id"]}]).result().docs[0]["file"]
        assert (read["name"], read["lastModified"], read["size"]) == ('ä "b".bin', 7, size)
        assert emulator.connections == 1


def test_lists_stay_lists_and_the_rest_of_the_doc_as_it_was(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        upload(api, "one", many=[file(10)]).result()
        upload(api, "two", many=[file(10), file(3000, 3)], file=file(1)).result()
        assert stored(emulator) == {
            "one": {"many": [content(10)]},
            "two": {"many": [content(10), content(3000, 3)], "file": content(1)},
        }


def test_a_file_the_server_refuses_ends_the_call(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        with pytest.raises(CallNotSent, match="CORE_FILE_INVALID_ATTR") as caught:
            api.call("archive/create", doc={"title": "a", "nothing": file(10)}).result()
        assert isinstance(caught.value.__cause__, CallRejected)
        assert stored(emulator) == {}


def test_cancelled_nothing_is_created(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = upload(api, file=file(50_000))
        call.pause()
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and watcher.seen[-1].phase == "paused")
        call.cancel()
        with pytest.raises(CallCancelled):
            call.result()
        assert watcher.all()[-1].phase == "failed"
        assert stored(emulator) == {}
