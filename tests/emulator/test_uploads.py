"""Files: chunk rules beyond the recorded ones, and what HTTP gives back."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from rxsdk.emulator import Emulator
from rxsdk.emulator.uploads import Uploads, bytes_of
from tests.emulator.wire import NAME, STAFF, Wire, chunk


async def fetch(url: str, method: str = "GET", **options: Any) -> tuple[int, bytes, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.request(method, url, **options) as answer:
        return answer.status, await answer.read(), dict(answer.headers)


def photo_url(emulator: Emulator, doc_id: str, name: str = "photo.png") -> str:
    return f"{emulator.http_url}/staff/retrieve_file/{doc_id}/photo/{name}"


def test_40_chunks_and_the_call_sent_without_waiting_for_any_answer() -> None:
    content = bytes(place % 251 for place in range(4000))

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            sent = []
            for number in range(40):
                part = content[number * 100 : (number + 1) * 100]
                doc = chunk(part, chunk=number + 1, total=40, name="p", size=4000, lastModified=1)
                sent.append(await wire.send("file/upload", doc))
            sent.append(await wire.send("staff/create", STAFF))
            answers = [await wire.receive() for _ in sent]
            assert [answer["args"]["call_id"] for answer in answers] == sent
            assert [answer["msg"] for answer in answers[38:40]] == ["Chunk accepted", "Last chunk accepted"]
            doc_id = answers[-1]["args"]["docs"][0]["_id"]
            status, body, headers = await fetch(photo_url(emulator, doc_id, "p"))
            assert (status, body, headers["lastModified"]) == (200, content, "1")

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_chunk_1_restarts_a_file_and_leftovers_go_to_the_next_call() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            await wire.call("file/upload", chunk(b"abandoned", total=3))
            await wire.call("file/upload", chunk(b"ne", total=2))
            await wire.call("file/upload", chunk(b"w", chunk=2, total=2))
            created = await wire.call("staff/create", STAFF)
            doc_id = created["args"]["docs"][0]["_id"]
            assert (await fetch(photo_url(emulator, doc_id)))[1] == b"new"
            await wire.call("file/upload", chunk(b"half", total=2))
            created = await wire.call("staff/create", STAFF)
            doc_id = created["args"]["docs"][0]["_id"]
            assert (await fetch(photo_url(emulator, doc_id)))[1] == b"half"

    with Emulator() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize("placeholder", [None, 0, "", {}, [], {"0": {}}, True])
def test_any_placeholder_is_replaced_by_the_file(placeholder: Any) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            doc_id = await wire.new_staff(photo=placeholder)
            assert (await fetch(photo_url(emulator, doc_id)))[1] == b"abc"

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_without_the_attr_in_the_doc_the_upload_waits_for_another_call() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            await wire.call("file/upload", chunk(b"kept"))
            without = {key: value for key, value in STAFF.items() if key != "photo"}
            refused = await wire.call("staff/create", without)
            assert refused["args"]["code"] == "LIMP_SAMPLE_APP_STAFF_MISSING_ATTR"
            created = await wire.call("staff/create", STAFF)
            doc_id = created["args"]["docs"][0]["_id"]
            assert (await fetch(photo_url(emulator, doc_id)))[1] == b"kept"

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_uploads_belong_to_their_connection_and_even_a_refused_call_takes_them() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as one, await Wire.open(emulator.url) as other:
            await one.call("file/upload", chunk(b"mine"))
            await other.auth()
            refused = await other.call("staff/create", STAFF)
            assert "required type 'FILE'" in refused["msg"]
            forbidden = await one.call("staff/create", STAFF)
            assert forbidden["args"]["code"] == "CORE_SESSION_FORBIDDEN"
            await one.auth()
            refused = await one.call("staff/create", STAFF)
            assert "of type '<class 'int'>'" in refused["msg"]

    with Emulator() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(
    "doc",
    [
        {},
        {"attr": "photo", "index": 0, "chunk": 1},
        {"attr": "photo", "index": 0, "chunk": 2, "total": 2, "file": {"content": "1"}},
        {"attr": "photo", "index": [], "chunk": 1, "total": 1, "file": {"content": "1"}},
        {"attr": [], "index": 0, "chunk": 1, "total": 1, "file": {"content": "1"}},
        [1],
        "text",
    ],
)
def test_a_malformed_chunk_is_a_500_without_call_id(doc: Any) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            answer = await wire.call("file/upload", doc)
            assert answer == {
                "status": 500,
                "msg": "Unexpected error has occured.",
                "args": {"code": "CORE_SERVER_ERROR"},
            }
            assert await wire.hears_nothing()

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_list_of_files_refuses_one_that_does_not_fit_and_takes_its_default() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            await wire.call("file/upload", chunk(b"x", attr="photos", type="text/plain"))
            created = await wire.call("album/create", {"name": NAME, "photos": 0})
            found = await wire.call("album/read", query=[{"_id": created["args"]["docs"][0]["_id"]}])
            assert found["args"]["docs"][0]["photos"] == []

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_http_answers_beside_files() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            doc_id = await (await wire.auth()).new_staff()
        base = f"{emulator.http_url}/staff/retrieve_file/{doc_id}"
        assert (await fetch(f"{base}/nosuch/photo.png"))[0] == 404
        status, body, _ = await fetch(f"{base}/name/photo.png")
        assert status == 500
        assert b"CORE_SERVER_ERROR" in body
        assert (await fetch(f"{base}/photo/20x20/photo.png"))[:2] == (200, b"abc")
        status, body, headers = await fetch(f"{emulator.http_url}/")
        assert (status, headers["Server"]) == (200, "limpd")
        assert body == b'{"status": 200, "msg": "Welcome to LIMP!"}'
        status, body, _ = await fetch(f"{base}/photo/photo.png", "POST")
        assert (status, body) == (405, b'{"status": 405, "msg": "404 NOT ALLOWED"}')
        status, body, _ = await fetch(f"{emulator.http_url}/user/retrieve_file/{doc_id}/a/b")
        assert status == 403
        assert b"CORE_SESSION_FORBIDDEN" in body
        assert (await fetch(f"{emulator.http_url}/ws/somewhere"))[0] == 404

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_content_is_decoded_as_the_server_reads_numbers() -> None:
    content = bytes(range(256)) * 40
    assert bytes_of(",".join(map(str, content))) == content
    assert bytes_of(" 7,+8,09") == bytes([7, 8, 9])
    for wrong in ("", "256", "-1", "1,,2", "a", "1.5", "1,2]"):
        with pytest.raises(ValueError):  # noqa: PT011 - the kinds differ, the server's answer does not
            bytes_of(wrong)
    with pytest.raises(TypeError):
        bytes_of([1, 2])  # type: ignore[arg-type]


def _chunk(number: int, content: str) -> dict[str, Any]:
    file = {"name": "a", "lastModified": 1, "type": "image/png", "size": 6, "content": content}
    return {"attr": "photo", "index": 0, "chunk": number, "total": 3, "file": file}


def test_the_call_has_little_left_to_do_for_a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads()
    assert [uploads.accept(_chunk(number, f"{number},0")) for number in (1, 2, 3)] == [False, False, True]
    left: list[str] = []
    monkeypatch.setattr("rxsdk.emulator.uploads.bytes_of", lambda text: left.append(text) or bytes_of(text))
    assert uploads.take({"photo": 0})["photo"][0]["content"] == bytes([1, 0, 2, 0, 3, 0])
    assert left == ["1,0"]


@pytest.mark.parametrize("wrong", ["", "256", "-1", "1,x", "1.5"])
def test_a_later_chunk_that_is_no_bytes_fails_the_call(wrong: str) -> None:
    uploads = Uploads()
    for number, content in enumerate(("1", wrong, "3"), 1):
        assert uploads.accept(_chunk(number, content)) is (number == 3)
    with pytest.raises(ValueError, match=r"."):
        uploads.take({"photo": 0})
