"""``rxsdk emulate``: what it prints is enough to connect, and a signal ends it cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from rxsdk import ApiService
from rxsdk.cli.emulate import NotServing, first_app, serve
from rxsdk.emulator import Emulator
from rxsdk.emulator.host import Host
from tests.cli.conftest import Cli, environment, run_python
from tests.cli.emulating import emulating
from tests.staff import staff_doc

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no signals to a process")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal(number: int) -> None:
    with emulating() as running:
        with ApiService(running.config()) as api:
            api.auth("email", running.fact("admin email"), running.fact("admin password")).result()
            api.call("staff/create", doc=staff_doc()).result()
            code, out, err = running.end(number)  # with a client connected
        assert (code, out.strip(), err) == (0, "The emulator has ended.", "")


def test_what_it_offers_to_paste_runs_as_it_stands(tmp_path: Path) -> None:
    with emulating() as running:
        ran = run_python("-c", running.snippet, cwd=tmp_path)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith("Res(status=200, msg='Found 0 docs.'")
        assert running.end()[0] == 0


def test_its_options(tmp_path: Path) -> None:
    data = tmp_path / "staff.json"
    options = [
        *("--quotas", "stock", "--conn-timeout-s", 33, "--api-level", "5.6", "--data", data),
        *("--admin-email", "boss@example.com", "--admin-password", 'it\'s "secret"', "--anon-token", "anon_anon"),
        *("--client-app", "shop:web:https://shop.example.com,https://b.example", "--client-app", "phone:ios"),
    ]
    with emulating(*options) as running:
        assert running.fact("quotas") == "stock"
        assert running.fact("idle timeout") == "33 s"
        assert running.fact("api level") == "5.6"
        assert running.fact("documents") == f"kept in {data}"
        assert running.fact("anon_token") == "anon_anon"
        assert 'app_id="shop"' in running.snippet
        assert 'origin="https://shop.example.com"' in running.snippet
        compile(running.snippet, "snippet", "exec")
        with ApiService(running.config()) as api:
            api.auth("email", "boss@example.com", 'it\'s "secret"').result()
            api.call("staff/create", doc=staff_doc()).result()
        assert running.end()[0] == 0
    with emulating(*options) as again, ApiService(again.config()) as api:
        assert api.call("staff/read").result().args.total == 1


def test_the_newer_generation_is_offered_with_its_hash_level() -> None:
    with emulating("--api-level", "6.1") as running:
        assert 'auth_hash_level="6.1"' in running.snippet


@pytest.mark.parametrize("wire", ["limp", "chat", "sylk"])
def test_one_object_for_programs(cli: Cli, monkeypatch: pytest.MonkeyPatch, wire: str) -> None:
    start = Host.start

    def start_and_be_told_to_end(self: Host[Any]) -> Host[Any]:
        start(self)
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()
        return self

    monkeypatch.setattr(Host, "start", start_and_be_told_to_end)
    ran = cli("emulate", "--port", 0, "--wire", wire, "--json")
    assert (ran.code, ran.err) == (0, "")
    (line,) = ran.out.splitlines()
    told = json.loads(line)
    assert told["api" if wire == "limp" else "url"].startswith("ws://127.0.0.1:")
    if wire == "limp":
        assert (told["anon_token"], told["admin_password"]) == (Emulator().anon_token, Emulator().admin_password)


def test_what_it_offers_to_paste_into_a_shell() -> None:
    options = (
        "--api-level",
        "6.1",
        "--admin-password",
        "it's A s3cret",
        "--client-app",
        "shop:web:https://shop.example.com",
    )
    with emulating(*options) as running:
        begin = running.lines.index("Paste this into another terminal to talk to it:") + 2
        export, auth, watch = running.lines[begin : begin + 3]
        assert watch == "rxsdk watch staff/watch --snapshot staff/read"
        script = f"{export}\n{sys.executable} -m {auth}\n"
        with tempfile.TemporaryDirectory() as home:
            there = environment(HOME=home, XDG_STATE_HOME=home, RXSDK_PASSWORD="it's A s3cret")
            done = subprocess.run(["sh", "-c", script], env=there, capture_output=True, encoding="utf-8", check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert running.fact("admin email") in done.stdout
        assert running.end()[0] == 0


def test_a_port_that_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("emulate", "--port", port)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"rxsdk emulate: port {port} is in use; --port 0 takes a free one\n"


def test_data_that_is_none(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "staff.json"
    data.write_text("no JSON")
    ran = cli("emulate", "--port", 0, "--data", data)
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1
    assert f"cannot start: data: {data} does not hold an emulator's documents" in ran.err
    assert data.read_text() == "no JSON"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--client-app", "shop:desktop"], "--client-app"),
        (["--conn-timeout-s", "-1"], "--conn-timeout-s"),
        (["--quotas", "many"], "--quotas"),
        (["--api-level", "7"], "--api-level"),
        (["--port", "70000"], "--port"),
        (["--data", "/no/such/directory/staff.json"], "--data"),
    ],
)
def test_options_that_make_no_sense(cli: Cli, options: list[str], named: str) -> None:
    ran = cli("emulate", *options)
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("no_thread_left")
def test_in_this_process_it_gives_the_signals_back(cli: Cli, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    start = Emulator.start

    def start_and_be_told_to_end(self: Emulator) -> Emulator:
        start(self)
        threading.Timer(0, os.kill, (os.getpid(), number)).start()
        return self

    monkeypatch.setattr(Emulator, "start", start_and_be_told_to_end)
    ran = cli("emulate", "--port", 0)
    assert (ran.code, ran.err) == (0, "")
    assert "The emulator has ended." in ran.out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class Broken:
    """An emulator that does not start."""

    port = 80

    def __init__(self, error: Exception) -> None:
        self.error = error

    def start(self) -> None:
        raise self.error


def test_why_it_does_not_start() -> None:
    with pytest.raises(NotServing, match=r"^cannot start: \[Errno 13\] Permission denied$"):
        serve(Broken(PermissionError(13, "Permission denied")), lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError):  # a mistake of ours is not dressed up
        serve(Broken(ZeroDivisionError()), lambda: None)  # type: ignore[arg-type,return-value]


def test_first_app() -> None:
    assert first_app([]) == {}
    assert first_app(["phone:ios", "shop:web:https://a.example"]) == {"app_id": "phone"}
    assert first_app(["shop:web:https://a.example,https://b.example"]) == {
        "app_id": "shop",
        "origin": "https://a.example",
    }
