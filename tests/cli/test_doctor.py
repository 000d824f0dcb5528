"""``rxsdk doctor``: each thing that can be wrong is named, with what to do about it."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rxsdk.cli import server
from rxsdk.cli.commands import doctor
from rxsdk.emulator import Emulator
from tests.cli.conftest import REPOSITORY, Cli, Ran

pytestmark = pytest.mark.usefixtures("no_thread_left")


def findings(ran: Ran) -> dict[str, dict[str, Any]]:
    """The last finding of each check."""
    return {finding["check"]: finding for finding in map(json.loads, ran.out.splitlines())}


def test_when_nothing_is_wrong(known: Emulator, cli: Cli, secret: str) -> None:
    cli("auth", known.admin_email)
    ran = cli("doctor", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = findings(ran)
    assert list(found) == [
        *("extras", "config", "sessions", "settings", "name", "connection", "heartbeat", "session", "clock"),
    ]
    assert {finding["verdict"] for name, finding in found.items() if name != "extras"} == {"ok"}
    ran = cli("doctor")
    assert "Nothing is wrong." in ran.out
    assert "✓  heartbeat  answered in" in ran.out


def test_an_extra_that_is_not_there(known: Emulator, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "emulator", ("no-such-library",))
    ran = cli("doctor")
    assert ran.code == 0
    assert "emulator is not installed (no-such-library missing)" in ran.out
    assert "pip install 'rxsdk[emulator]'" in ran.out


def test_the_extras_are_those_of_the_project() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for extra, names in doctor.EXTRAS.items():
        needed = [need for need in extras[extra] if ";" not in need and not need.startswith("rxsdk")]
        assert [re.split(r"[<>=!\[]", need)[0] for need in needed] == list(names)
    assert doctor.EXTRAS.keys() == extras.keys() - {"all", "test", "test-gui"}


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_files_that_others_may_read(known: Emulator, cli: Cli, secret: str) -> None:
    cli("auth", known.admin_email)
    server.sessions_file().chmod(0o644)
    ran = cli("doctor", "--json")
    assert ran.code == 1
    assert findings(ran)["sessions"]["advice"] == f"chmod 600 {server.sessions_file()}"
    assert cli("doctor").code == 0, "reading it has narrowed it"
    assert stat.S_IMODE(server.sessions_file().stat().st_mode) == 0o600


def test_a_file_that_cannot_be_read(home: Path, known: Emulator, cli: Cli) -> None:
    server.sessions_file().mkdir(parents=True)
    assert findings(cli("doctor", "--json"))["sessions"]["verdict"] == "wrong"


def test_settings_that_are_missing(home: Path, cli: Cli) -> None:
    ran = cli("doctor", "--json")
    assert ran.code == 1
    assert "RXSDK_API" in findings(ran)["settings"]["found"]


def test_a_name_that_nobody_has(home: Path, cli: Cli) -> None:
    ran = cli("doctor", "--json", "--api", "wss://nowhere.invalid/ws", "--anon-token", "t")
    assert ran.code == 3
    assert "nowhere.invalid has no address" in findings(ran)["name"]["found"]


def test_unencrypted(home: Path, cli: Cli) -> None:
    ran = cli("doctor", "--json", "--api", "ws://nowhere.invalid/ws", "--anon-token", "t")
    assert findings(ran)["settings"]["advice"] == "use wss://"


def test_nobody_listens(known: Emulator, cli: Cli) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ran = cli("doctor", "--json", "--api", f"ws://127.0.0.1:{unused.getsockname()[1]}/ws")
    assert ran.code == 3
    assert findings(ran)["connection"]["advice"] == "no server listens there: is it running, is the port right?"


def test_something_else_listens(known: Emulator, cli: Cli) -> None:
    ran = cli("doctor", "--json", "--api", known.url.replace("/ws", "/nowhere"))
    assert ran.code == 3
    assert "LIMP" in findings(ran)["connection"]["advice"]


def test_a_wrong_anonymous_token(known: Emulator, cli: Cli) -> None:
    ran = cli("doctor", "--json", "--anon-token", "not_the_token")
    assert ran.code == 1
    found = findings(ran)
    assert "anonymous token" in found["verify"]["advice"]
    assert "not_the_token" not in ran.out
    assert found["clock"]["verdict"] == "ok", "the road itself is fine"


def test_no_heartbeat(known: Emulator, cli: Cli) -> None:
    known.refuse_next("heart/beat", 500, "CORE_SERVER_ERROR", "out of breath")
    ran = cli("doctor", "--json")
    assert ran.code == 1
    assert "out of breath" in findings(ran)["heartbeat"]["found"]


def test_a_session_that_is_refused(known: Emulator, cli: Cli, secret: str) -> None:
    cli("auth", known.admin_email)
    known.refuse_next("session/reauth", 403, "CORE_SESSION_INVALID_SESSION", "gone")
    ran = cli("doctor", "--json")
    assert ran.code == 1
    assert findings(ran)["session"]["advice"] == "sign in anew with: rxsdk auth WHO"


@pytest.mark.parametrize(("off", "verdict"), [(90, "note"), (-90, "note"), (100_000, "wrong"), (None, "skipped")])
def test_the_clock(known: Emulator, cli: Cli, monkeypatch: pytest.MonkeyPatch, off: float | None, verdict: str) -> None:
    monkeypatch.setattr(doctor, "_date_of", lambda url: None if off is None else time.time() + off)
    assert findings(cli("doctor", "--json"))["clock"]["verdict"] == verdict
    assert ("clock" in cli("doctor").out) is True


def test_a_server_without_a_time() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert doctor._date_of(f"http://127.0.0.1:{unused.getsockname()[1]}") is None
