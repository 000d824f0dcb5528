"""Downloads: the bytes as they are, however slow the observer; into a file whole or not at all."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from threading import Event

import pytest
from reactivex import operators as ops

from rxsdk import ApiService, CallNotSent, DownloadError, File, InvalidCall, SDKConfig
from rxsdk.emulator import Emulator
from rxsdk.files.http import PIECE_BYTES
from tests.conftest import wait_until
from tests.files.wire import content, signed_in, upload

CHUNK = 100_000


def made(api: ApiService, data: bytes, name: str = "a.bin") -> tuple[str, str, str, str]:
    """A document with this file, and what names it."""
    _id = upload(api, file=File(data, name=name)).result().docs[0]["_id"]
    return "archive", _id, "file", name


# -- from a real server


@pytest.mark.parametrize("size", [1, 256, PIECE_BYTES, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_went_up_comes_down(emulator: Emulator, tmp_path: Path, size: int) -> None:
    sent = content(size)
    assert len(set(sent)) == min(size, 256)
    with signed_in(emulator, file_chunk_size=CHUNK) as api:
        named = made(api, sent)
        pieces: list[bytes] = []
        api.download(*named).subscribe(pieces.append)
        assert b"".join(api.download(*named).pipe(ops.to_list()).result()) == sent
        wait_until(lambda: sum(map(len, pieces)) == size)
        assert b"".join(pieces) == sent
        call = api.download_to(tmp_path, *named)
        assert call.result() == tmp_path / "a.bin"
        assert (tmp_path / "a.bin").read_bytes() == sent
        assert os.listdir(tmp_path) == ["a.bin"]
        last = call.progress.result()
        assert (last.name, last.received_bytes, last.total_bytes, last.phase) == ("a.bin", size, size, "done")


@pytest.mark.parametrize(
    "name", ["a b.bin", "é/ü.bin", "100%.bin", "a?b#c.bin", "..bin", "a+b&c.bin", "a\0b", "n" * 5000]
)
def test_names_are_encoded(emulator: Emulator, tmp_path: Path, name: str) -> None:
    with signed_in(emulator) as api:
        named = made(api, b"1", name)
        if "/" not in name and "\0" not in name and len(name) < 255:
            assert api.download_to(tmp_path, *named).result() == tmp_path / name
        assert " " not in api.file_url(*named)
        assert api.download_to(tmp_path / "as I like", *named).result().read_bytes() == b"1"


def test_a_refusal_is_told_with_its_status(emulator: Emulator, tmp_path: Path) -> None:
    with signed_in(emulator) as api:
        named = made(api, b"1")
        with pytest.raises(DownloadError, match="HTTP 404") as caught:
            api.download_to(tmp_path, *named[:3], "other.bin").result()
        assert caught.value.status == 404
        with pytest.raises(DownloadError, match=r"HTTP 400 'File not found\.'"):
            api.download("archive", "0" * 24, "file", "a.bin").result()
        assert os.listdir(tmp_path) == []


def test_with_await_and_async_for(emulator: Emulator, tmp_path: Path) -> None:
    async def run() -> None:
        async with ApiService(emulator.config()) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            doc = {"title": "a", "file": File(content(200_000), name="a.bin")}
            _id = (await api.call("archive/create", doc=doc)).docs[0]["_id"]
            named = ("archive", _id, "file", "a.bin")
            assert b"".join([piece async for piece in api.download(*named)]) == content(200_000)
            assert (await api.download_to(tmp_path / "b", *named)).read_bytes() == content(200_000)
            async for _ in api.download(*named):
                break

    asyncio.run(run())


# -- bad input


def test_what_cannot_be_is_told_before_anything_is_fetched(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with signed_in(emulator) as api:
        for name in ("../a", "a/b", "/etc/passwd", "a\\b", "a\0b"):
            with pytest.raises(InvalidCall, match="would leave the folder"):
                api.download_to(tmp_path, "archive", "1", "file", name)
        for name in (".", "..", "", 5, "\ud800"):
            with pytest.raises(InvalidCall, match="name: "):
                api.file_url("archive", "1", "file", name)  # type: ignore[arg-type]
        with pytest.raises(InvalidCall, match="is a directory"):
            api.download_to(tmp_path, "archive", "1", "file", "dir")
        with pytest.raises(InvalidCall, match=r"path: cannot be written: .*too long"):
            api.download_to(tmp_path, "archive", "1", "file", "n" * 5000)
        with pytest.raises(InvalidCall, match="path: cannot be written"):
            api.download_to(5, "archive", "1", "file", "a")  # type: ignore[arg-type]
        with pytest.raises(InvalidCall, match="there is no folder"):
            api.download_to(tmp_path / "no" / "a", "archive", "1", "file", "a")


@pytest.mark.parametrize(
    ("api", "base"),
    [
        ("wss://h/ws", "https://h"),
        ("ws://h:8081/ws", "http://h:8081"),
        ("wss://h/ws/realm", "https://h/realm"),
        ("wss://h/behind/ws?x=1", "https://h/behind"),
        ("ws://[::1]:80", "http://[::1]:80"),
    ],
)
def test_where_files_are(api: str, base: str) -> None:
    service = ApiService(SDKConfig(api, "token", ["email"]))
    assert service.file_url("staff", "1", "photo", "ä b.png") == f"{base}/staff/retrieve_file/1/photo/%C3%A4%20b.png"


def test_a_service_that_is_not_open_fetches_nothing(emulator: Emulator, tmp_path: Path) -> None:
    service = ApiService(emulator.config())
    call = service.download_to(tmp_path, "staff", "1", "photo", "a")
    with pytest.raises(CallNotSent):
        call.result()
    with pytest.raises(CallNotSent):
        service.download("staff", "1", "photo", "a").result()
    with service:
        pass
    with pytest.raises(CallNotSent):
        service.download("staff", "1", "photo", "a").result()


def test_closed_before_it_began_it_was_not_sent(emulator: Emulator, tmp_path: Path) -> None:
    with signed_in(emulator) as api:
        life, entered, let_go = api._life, Event(), Event()
        life.on_loop(lambda _: (entered.set(), let_go.wait(10)), None)
        assert entered.wait(10)
        call = api.download_to(tmp_path, "archive", "0" * 24, "file", "a")
        call.cancel()
        closing = api.close()
        let_go.set()
        closing.result(10)
        with pytest.raises(CallNotSent, match="the service is closed"):
            call.result()
        assert call.progress.result().phase == "failed"
        assert os.listdir(tmp_path) == []
