"""The emulator as an object: its life, its thread, its data across restarts, its borders."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

import rxsdk.emulator
from rxsdk.emulator import Emulator, wire
from rxsdk.errors import ConfigurationError
from tests.emulator.wire import ADMIN, ANON_TOKEN, NAME, PASSWORD, Wire, auth_hash, reauth_hash

FOLDER = Path(rxsdk.emulator.__file__).parent


def test_nothing_is_left_when_it_stops() -> None:
    before = set(threading.enumerate())
    with Emulator() as emulator:
        assert {thread.name for thread in set(threading.enumerate()) - before} == {"rxsdk-emulator"}
        port = emulator.port
    assert set(threading.enumerate()) <= before  # those of the test before may end meanwhile
    emulator.stop()
    with pytest.raises(RuntimeError, match="not running"):
        assert emulator.connections
    with Emulator(port=port) as other:
        assert other.port == port


def test_its_repr_says_where_it_listens() -> None:
    emulator = Emulator(admin_password="never shown", anon_token="never shown either")
    assert repr(emulator) == "<Emulator not started>"
    with emulator:
        assert repr(emulator) == f"<Emulator {emulator.url}>"


def test_starting_twice_is_refused() -> None:
    with Emulator() as emulator, pytest.raises(RuntimeError, match="running already"):
        emulator.start()


def test_stop_with_open_connections_cuts_them_off() -> None:
    async def run() -> None:
        async with Emulator() as emulator:
            wires = [await Wire.open(emulator.url) for _ in range(20)]
            for one in wires:
                await one.send("album/watch")
        for one in wires:
            assert (await one.closed())[0] == 1006

    asyncio.run(run())


def test_async_with_does_not_hold_up_the_callers_loop() -> None:
    async def run() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        async with Emulator() as emulator:
            assert emulator.url == f"ws://127.0.0.1:{emulator.port}/ws"
            assert emulator.http_url == f"http://127.0.0.1:{emulator.port}"
        ticking.cancel()
        return ticks

    assert asyncio.run(run()) > 10


def test_defaults_and_config() -> None:
    with Emulator() as emulator:
        assert (emulator.anon_token, emulator.admin_email, emulator.admin_password) == (ANON_TOKEN, ADMIN, PASSWORD)
        config = emulator.config(app_id="me")
        assert (config.api, config.app_id, config.auth_hash_level) == (emulator.url, "me", "5.6")


@pytest.mark.parametrize(
    "options",
    [{"quotas": "on"}, {"api_level": "7"}, {"watch_mode": "x"}, {"conn_timeout_s": 0}, {"client_apps": ["x"]}],
)
def test_options_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Emulator(**options)


def test_run_serves_in_the_foreground_until_interrupted() -> None:
    script = (
        "from rxsdk.emulator import Emulator\n"
        "Emulator().run(lambda emulator: print(emulator.url, flush=True))\n"
        "print('ended', flush=True)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()

    async def use() -> None:
        async with await Wire.open(url) as one:
            assert (await one.call("heart/beat"))["status"] == 200

    asyncio.run(use())
    server.send_signal(2)
    out, err = server.communicate(timeout=20)
    assert (server.returncode, out, err) == (0, "ended\n", "")


# ---- data


def test_data_survives_a_restart(tmp_path: Path) -> None:
    async def fill(emulator: Emulator) -> tuple[str, dict[str, Any]]:
        async with await Wire.open(emulator.url) as one:
            await one.auth()
            email_hash = auth_hash("u@x.test", "pw", ANON_TOKEN)
            await one.call("user/create", {"email": "u@x.test", "email_hash": email_hash, "name": NAME})
            return await one.new_staff(b"kept \x00\xff"), one.session

    async def check(emulator: Emulator, doc_id: str, session: dict[str, Any]) -> None:
        async with await Wire.open(emulator.url) as one:
            proof = {"_id": session["_id"], "hash": reauth_hash(session["token"])}
            assert (await one.call("session/reauth", query=[proof]))["status"] == 200
            one.key = session["token"]
            doc = (await one.call("staff/read"))["args"]["docs"][0]
            assert (doc["_id"], doc["photo"]["content"]) == (doc_id, True)
            assert await one.new_staff() > doc_id
        async with await Wire.open(emulator.url) as one:
            await one.auth("u@x.test", "pw")

    data = tmp_path / "data.json"
    emulator = Emulator(data=data, seed=7)
    with emulator:
        doc_id, session = asyncio.run(fill(emulator))
        port = emulator.port
    with emulator:
        assert emulator.port == port
        asyncio.run(check(emulator, doc_id, session))
    assert b"kept" not in data.read_bytes()


def test_data_is_written_while_it_runs(tmp_path: Path) -> None:
    data = tmp_path / "data.json"

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as one:
            await one.auth()
            await one.call("album/create", {"name": {"ar_AE": "needle"}})

    with Emulator(data=data) as emulator:
        asyncio.run(run(emulator))
        emulator.wait_until(lambda _: data.exists() and "needle" in data.read_text())


def test_a_new_password_of_the_admin_counts_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    with Emulator(data=data):
        pass

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as one:
            await one.auth(ADMIN, "another")

    with Emulator(data=data, admin_password="another") as emulator:
        asyncio.run(run(emulator))


def test_without_data_a_restart_forgets(tmp_path: Path) -> None:
    async def create(emulator: Emulator) -> int:
        async with await Wire.open(emulator.url) as one:
            await one.auth()
            await one.call("album/create", {"name": NAME})
            return (await one.call("album/read"))["args"]["total"]

    emulator = Emulator()
    with emulator:
        assert asyncio.run(create(emulator)) == 1
        emulator.restart()
        assert asyncio.run(create(emulator)) == 1


def test_a_seed_makes_ids_and_tokens_the_same() -> None:
    async def run(emulator: Emulator) -> tuple[str, str, str]:
        async with await Wire.open(emulator.url) as one:
            await one.auth()
            return one.key, one.session["_id"], await one.new_staff()

    seen = []
    for seed in (1, 1, 2, None, None):
        with Emulator(seed=seed) as emulator:
            seen.append(asyncio.run(run(emulator)))
    assert seen[0] == seen[1]
    assert len({token for token, *_ in seen}) == 4
    assert len({ids[2] for ids in seen}) == 4
    assert all(len(token) == 43 and len(sid) == len(doc) == 24 for token, sid, doc in seen)


# ---- borders


def test_it_imports_nothing_of_rxsdk_but_errors_and_the_config() -> None:
    allowed = {"rxsdk.errors", "rxsdk.config"}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith("rxsdk") or name.startswith("rxsdk.emulator") or name in allowed, path
                assert name.split(".")[0] != "jwt"


@pytest.mark.parametrize("missing", ["aiohttp", "mongomock"])
def test_without_its_extra_the_import_says_what_to_install(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None\nimport rxsdk.emulator"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert last.endswith("pip install 'rxsdk[emulator]'")


# ---- its own signing, against another implementation


def test_tokens_are_those_of_pyjwt() -> None:
    payload = {"call_id": "é", "exp": int(time.time()) + 60}
    key = "a key of more than thirty-two bytes, for PyJWT"
    assert wire.verify(pyjwt.encode(payload, key, "HS256"), key, time.time()) == payload
    assert pyjwt.decode(wire.sign(payload, key), key, ["HS256"]) == payload
    for token in (pyjwt.encode(payload, key + "x", "HS256"), pyjwt.encode(payload, key * 2, "HS384")):
        with pytest.raises(wire.TokenRefused):
            wire.verify(token, key, time.time())
    assert wire.peek(pyjwt.encode(payload, key, "HS256")) == payload


def test_the_admins_hash_has_escapes() -> None:
    values = ["email", "ä@x.test", "pä/ss", ANON_TOKEN]
    expected = pyjwt.encode({"hash": values}, "k" * 32, "HS256").split(".")[1]
    assert wire.auth_hash("5.6", values) == expected
    assert wire.auth_hash("5.0", values) == pyjwt.encode({"hash": values[:3]}, "k" * 32, "HS256").split(".")[1]
    assert wire.reauth_hash("tok") == reauth_hash("tok")


@pytest.mark.parametrize("content", ["garbage", "[]", '{"made": 1}', '{"made": 1, "collections": {"staff": [5]}}'])
def test_a_file_of_something_else_is_told_at_the_start(content: str, tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    data.write_text(content)
    with pytest.raises(ConfigurationError, match=r"data: .*does not hold an emulator's documents"):
        Emulator(data=data).start()
    assert data.read_text() == content


def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data: .*does not exist"):
        Emulator(data=tmp_path / "no" / "data.json").start()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_an_idle_time_that_cannot_work(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="conn_timeout_s"):
        Emulator(conn_timeout_s=seconds)


FORGOTTEN = """
import sys
from rxsdk import ApiService
from rxsdk.emulator import Emulator
emulator = Emulator(data=sys.argv[1]).start()
with ApiService(emulator.config()) as api:
    api.auth("email", emulator.admin_email, emulator.admin_password).result()
    print(api.call("album/create", doc={"name": {"ar_AE": "Holiday"}, "cover": None}).result().docs[0]["_id"])
"""


def test_one_that_nobody_stops_ends_with_its_process_and_saves(tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGOTTEN, str(data)],
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() in data.read_text("utf-8")
