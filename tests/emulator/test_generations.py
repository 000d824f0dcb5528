"""The generations: first message, hashes, reauth, and at level 6.1 files over HTTP."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import pytest

from rxsdk.emulator import Emulator
from tests.emulator.wire import ADMIN, ANON_TOKEN, NAME, PASSWORD, STAFF, Wire, auth_hash, chunk


@pytest.mark.parametrize(
    ("level", "first"),
    [
        ("5.0", {"status": 200, "msg": "Connection established."}),
        ("5.6", {"status": 200, "msg": "Connection established.", "args": {"code": "CORE_CONN_OK"}}),
        ("6.0", {"status": 200, "msg": "Connection ready", "args": {"code": "CORE_CONN_READY"}}),
        ("6.1", {"status": 200, "msg": "Connection ready", "args": {"code": "CORE_CONN_READY"}}),
    ],
)
def test_first_message(level: Any, first: dict[str, Any]) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url, verify=False) as wire:
            assert await wire.receive() == first
            ready = level in ("5.0", "5.6")
            answer = await wire.call("heart/beat")
            assert answer["args"]["code"] == ("CORE_HEARTBEAT_OK" if ready else "CORE_REQ_NO_VERIFY")

    with Emulator(api_level=level) as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(
    ("level", "hashes"),
    [
        ("5.0", [auth_hash(ADMIN, PASSWORD)]),
        ("5.6", [auth_hash(ADMIN, PASSWORD, ANON_TOKEN)]),
        ("6.0", [auth_hash(ADMIN, PASSWORD, ANON_TOKEN)]),
        ("6.1", ["email" + ADMIN + PASSWORD + ANON_TOKEN]),
    ],
)
def test_each_level_takes_its_own_hash_only(level: Any, hashes: list[str]) -> None:
    every = {
        auth_hash(ADMIN, PASSWORD),
        auth_hash(ADMIN, PASSWORD, ANON_TOKEN),
        "email" + ADMIN + PASSWORD + ANON_TOKEN,
    }

    async def run(emulator: Emulator) -> None:
        for hashed in every:
            async with await Wire.open(emulator.url, verify=False) as wire:
                await wire.receive()
                if level in ("6.0", "6.1"):
                    await wire.call("conn/verify")
                answer = await wire.call("session/auth", {"email": ADMIN, "hash": hashed})
                assert answer["status"] == (200 if hashed in hashes else 403)

    with Emulator(api_level=level) as emulator:
        asyncio.run(run(emulator))


async def nawah(emulator: Emulator) -> Wire:
    wire = await Wire.open(emulator.url)
    hashed = "email" + ADMIN + PASSWORD + ANON_TOKEN
    answer = await wire.call("session/auth", {"email": ADMIN, "hash": hashed})
    wire.session = answer["args"]["session"]
    wire.key = wire.session["token"]
    return wire


def test_reauth_at_6_1_shows_the_token_itself() -> None:
    async def run(emulator: Emulator) -> None:
        wire = await nawah(emulator)
        await wire.socket.close()
        session = wire.session
        async with await Wire.open(emulator.url) as again:
            refused = await again.call("session/reauth", query=[{"_id": session["_id"], "token": "x"}])
            assert refused["args"]["code"] == "CORE_SESSION_INVALID_REAUTH_HASH"
            refused = await again.call("session/reauth", query=[{"_id": session["_id"], "hash": "x"}])
            assert "'token': Missing" in refused["msg"]
            answer = await again.call("session/reauth", query=[{"_id": session["_id"], "token": session["token"]}])
            assert answer["args"]["session"]["token"] == session["token"]
            again.key = session["token"]
            assert (await again.call("heart/beat"))["status"] == 200

    with Emulator(api_level="6.1") as emulator:
        asyncio.run(run(emulator))


def form(content: bytes, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    values = {"__module": "staff", "__attr": "photo", "lastModified": "5", "type": "image/png", "name": "a b.png"}
    for name, value in {**values, **fields}.items():
        data.add_field(name, value)
    data.add_field("file", io.BytesIO(content), filename="x", content_type="application/octet-stream")
    return data


async def post(emulator: Emulator, session: dict[str, Any] | None, data: Any) -> tuple[int, dict[str, Any]]:
    headers = {}
    if session is not None:
        headers = {"X-Auth-Bearer": session["_id"], "X-Auth-Token": session["token"], "X-Auth-App": "__public"}
    url = f"{emulator.http_url}/file/create"
    async with aiohttp.ClientSession() as http, http.post(url, data=data, headers=headers) as answer:
        return answer.status, await answer.json()


def test_files_are_posted_at_6_1() -> None:
    content = bytes(range(256)) * 9000

    async def run(emulator: Emulator) -> None:
        wire = await nawah(emulator)
        status, answer = await post(emulator, wire.session, form(content))
        assert (status, answer["msg"]) == (200, "Created 1 docs.")
        doc = {**STAFF, "photo": {"__file": answer["args"]["docs"][0]["_id"]}}
        created = await wire.call("staff/create", doc)
        doc_id = created["args"]["docs"][0]["_id"]
        url = f"{emulator.http_url}/staff/retrieve_file/{doc_id}/photo/a%20b.png"
        async with aiohttp.ClientSession() as http, http.get(url) as got:
            assert await got.read() == content
            assert got.headers["Server"] == "Nawah"
        again = await wire.call("staff/create", doc)
        assert again["args"]["code"] == "LIMP_SAMPLE_APP_STAFF_MISSING_ATTR"
        status, answer = await post(emulator, wire.session, form(b"x", __module="album", __attr="photos"))
        photos = [{"__file": answer["args"]["docs"][0]["_id"]}]
        created = await wire.call("album/create", {"name": NAME, "photos": photos})
        found = await wire.call("album/read", query=[{"_id": created["args"]["docs"][0]["_id"]}])
        assert [photo["name"] for photo in found["args"]["docs"][0]["photos"]] == ["a b.png"]
        assert (await wire.call("file/upload", chunk(b"x")))["args"]["code"] == "CORE_REQ_INVALID_METHOD"
        await wire.socket.close()

    with Emulator(api_level="6.1") as emulator:
        asyncio.run(run(emulator))


def test_posts_that_are_refused() -> None:
    async def run(emulator: Emulator) -> None:
        wire = await nawah(emulator)
        session = wire.session
        for fields, code in (
            ({"__module": "nosuch"}, "CORE_FILE_INVALID_MODULE"),
            ({"__attr": "nosuch"}, "CORE_FILE_INVALID_ATTR"),
            ({"type": "text/plain"}, "CORE_FILE_INVALID_FILE"),
        ):
            status, answer = await post(emulator, session, form(b"x", **fields))
            assert (status, answer["args"]["code"]) == (400, code)
        assert (await post(emulator, session, {"name": "x"}))[0] == 500
        assert (await post(emulator, None, form(b"x")))[1]["args"]["code"] == "CORE_SESSION_FORBIDDEN"
        wrong = {**session, "token": "wrong"}
        assert (await post(emulator, wrong, form(b"x")))[1]["args"]["code"] == "CORE_SESSION_INVALID_XAUTH"
        await asyncio.to_thread(emulator.expire_sessions)
        assert (await post(emulator, session, form(b"x")))[1]["args"]["code"] == "CORE_SESSION_SESSION_EXPIRED"
        async with aiohttp.ClientSession() as http, http.options(f"{emulator.http_url}/file/create") as answer:
            assert (answer.status, "X-Auth-Bearer" in answer.headers["Access-Control-Allow-Headers"]) == (200, True)
        await wire.socket.close()

    with Emulator(api_level="6.1") as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(("level", "hash_level"), [("5.0", "5.0"), ("5.6", "5.6"), ("6.0", "5.6"), ("6.1", "6.1")])
def test_config_fits_the_level(level: Any, hash_level: str) -> None:
    with Emulator(api_level=level, anon_token="another") as emulator:
        config = emulator.config(timeout_s=3)
        assert (config.api, config.anon_token, config.timeout_s) == (emulator.url, "another", 3)
        assert (config.auth_hash_level, tuple(config.auth_attrs)) == (hash_level, ("email",))
