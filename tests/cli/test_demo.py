"""``rxsdk demo``: the story is told whole, or the step that failed is named; no secret is ever shown."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rxsdk.cli import download, story
from rxsdk.cli.show import Screen
from rxsdk.cli.steps import STEPS
from rxsdk.emulator import Emulator
from rxsdk.protocols.limp.auth import auth_hash
from tests.cli.conftest import Cli, command, environment, run_process
from tests.conftest import wait_until

pytestmark = pytest.mark.usefixtures("no_thread_left")

TITLES = [step.title for step in STEPS]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Every secret the story came to know, and the hash it signed in with."""
    known: set[str] = set()
    hide = Screen.hide

    def remember(self: Screen, secret: str) -> None:
        known.add(secret)
        hide(self, secret)

    monkeypatch.setattr(Screen, "hide", remember)
    yield known
    assert len(known) >= 3, "the anonymous token, the password and the session's token"


@pytest.fixture
def real(emulator: Emulator) -> list[str]:
    """The options for a server that the demo does not know to be emulated."""
    return [
        *("--api", emulator.url),
        *("--anon-token", emulator.anon_token),
        *("--email", emulator.admin_email),
        *("--password", emulator.admin_password),
    ]


def steps_done(out: str) -> list[str]:
    """The titles of the steps that have a check mark."""
    found = []
    for line in out.splitlines():
        if begun := re.match(r" ?\d+  (.+)", line):
            title = begun[1]
        elif line.startswith("    ✓  "):
            found.append(title)
    return found


def staff_of(emulator: Emulator, config: Any) -> list[Any]:
    from rxsdk import ApiService  # noqa: PLC0415

    with ApiService(config) as api:
        return api.call("staff/read").result().docs


def test_every_step_does_what_it_should(cli: Cli, secrets: set[str]) -> None:
    ran = cli("demo")
    assert (ran.code, ran.err) == (0, "")
    assert steps_done(ran.out) == TITLES
    assert f"All {len(TITLES)} steps did what they should" in ran.out
    emulated = Emulator()
    secrets.add(auth_hash("5.6", "email", emulated.admin_email, emulated.admin_password, emulated.anon_token))
    assert [secret for secret in secrets if secret in ran.out] == []


def test_it_shows_what_went_over_the_wire(cli: Cli) -> None:
    out = cli("demo").out
    for endpoint in ("conn/verify", "session/auth", "staff/watch", "file/upload", "staff/create", "staff/read"):
        assert f"→  {endpoint}" in out
    for endpoint in ("staff/update", "session/reauth", "staff/delete", "session/signout", "conn/close"):
        assert f"→  {endpoint}" in out
    assert out.count("→  staff/watch") == 2, "made, and made anew"
    assert "hash: •••" in out
    assert "chunk 3 of 3" in out
    assert re.search(r"←  200 Updated 1 docs\..* \d+(\.\d)? ms$", out, re.MULTILINE)
    assert re.search(r"←  200 Detected 1 docs\.  update .*Mathematician.*pushed$", out, re.MULTILINE)


def test_it_is_plain_text_without_a_terminal(tmp_path: Path) -> None:
    ran = run_process("demo", cwd=tmp_path, COLUMNS="80")
    assert (ran.code, ran.err) == (0, "")
    assert steps_done(ran.out) == TITLES
    assert "\x1b" not in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_wide_where_there_is_room(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ran = cli("demo")
    assert steps_done(ran.out) == TITLES
    assert max(map(len, ran.out.splitlines())) <= 100


def test_an_object_a_step(cli: Cli, emulator: Emulator, real: list[str]) -> None:
    ran = cli("demo", "--json")
    assert (ran.code, ran.err) == (0, "")
    steps = [json.loads(line) for line in ran.out.splitlines()]
    assert [(step["step"], step["title"], step["outcome"]) for step in steps] == [
        (number, title, "ok") for number, title in enumerate(TITLES, 1)
    ]
    assert all(step["said"] and step["seconds"] > 0 for step in steps)
    emulator.refuse_next("staff/read", 500, "BROKEN", "no")
    ran = cli("demo", *real, "--json")
    assert ran.code == 1
    outcomes = [json.loads(line)["outcome"] for line in ran.out.splitlines()]
    assert outcomes == [*["ok"] * 4, "failed", *["skipped"] * 6]
    assert "BROKEN" in json.loads(ran.out.splitlines()[4])["said"]


def test_it_needs_neither_utf8_nor_a_direct_road(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    ran = run_process(
        "demo", cwd=tmp_path, PYTHONUTF8="0", PYTHONIOENCODING="ascii", http_proxy=nowhere, all_proxy=nowhere
    )
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.isascii()
    assert ran.out.count("    ok  ") == len(TITLES)


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
@pytest.mark.parametrize("no_colour", [False, True])
def test_in_a_terminal_it_has_colours_unless_asked_not_to(no_colour: bool) -> None:
    more = {"NO_COLOR": "1"} if no_colour else {}
    near, far = os.openpty()
    running = subprocess.Popen(
        command("demo"), stdin=far, stdout=far, stderr=far, env=environment(TERM="xterm-256color", COLUMNS="90", **more)
    )
    os.close(far)
    seen = b""
    while select.select([near], [], [], 30)[0]:
        try:
            piece = os.read(near, 65536)
        except OSError:  # Linux' way to say that the far end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(near)
    assert running.wait(30) == 0
    colours = set(re.findall(rb"\x1b\[([0-9;]*)m", seen))
    assert any(re.search(rb"(^|;)(3[0-7]|9[0-7])($|;)", colour) for colour in colours) is not no_colour
    assert set(re.findall(rb"\x1b[^\[]|\x1b\[[0-9;]*[^0-9;m]", seen)) == set(), "colours and weights only"


def test_a_real_server_is_left_as_it_was(cli: Cli, emulator: Emulator, real: list[str]) -> None:
    ran = cli("demo", *real)
    assert (ran.code, ran.err) == (0, "")
    assert steps_done(ran.out) == TITLES
    assert staff_of(emulator, emulator.config()) == []


def test_a_file_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    photo = tmp_path / "Ada \x1b[31m & Björn?.png"
    photo.write_bytes(bytes(range(256)) * 12_000)
    ran = cli("demo", "--file", photo)
    assert (ran.code, ran.err) == (0, "")
    assert "3,072,000 bytes, the same as in Ada" in ran.out
    assert "3 more chunks" in ran.out
    assert "chunk 2 of 6" in ran.out
    assert "chunk 3 of 6" not in ran.out
    assert "chunk 6 of 6" in ran.out
    assert "\x1b" not in ran.out


def test_a_failing_step_is_named_and_the_rest_skipped(cli: Cli, emulator: Emulator, real: list[str]) -> None:
    emulator.refuse_next("staff/read", 500, "CORE_SERVER_ERROR", "boom \x1b[2J\u202e")
    ran = cli("demo", *real)
    assert ran.code == 1
    assert ran.err.splitlines() == [
        "rxsdk demo: step 5 of 11 failed (Read it back): "
        r"staff/read: 500 CORE_SERVER_ERROR 'boom \x1b[2J\u202e'"
    ]
    assert steps_done(ran.out) == TITLES[:4]
    assert "    ✗  staff/read: 500 CORE_SERVER_ERROR" in ran.out
    assert [f"{title}: skipped" in ran.out for title in TITLES] == [False] * 5 + [True] * 6
    assert "Removing the document again." in ran.out
    assert staff_of(emulator, emulator.config()) == []
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_a_document_that_cannot_be_removed_again_is_told(cli: Cli, emulator: Emulator, real: list[str]) -> None:
    emulator.refuse_next("staff/read", 500, "CORE_SERVER_ERROR")
    emulator.refuse_next("staff/delete", 403, "CORE_SESSION_FORBIDDEN")
    ran = cli("demo", *real)
    assert ran.code == 1
    assert "That failed too: staff/delete: 403 CORE_SESSION_FORBIDDEN" in ran.out


def test_what_came_back_is_really_looked_at(cli: Cli, emulator: Emulator, real: list[str]) -> None:
    emulator.reply_to("staff/read", status=200, msg="Found 1 docs.", args={"docs": [{"name": "somebody"}]})
    ran = cli("demo", *real)
    assert ran.code == 1
    assert "step 5 of 11 failed (Read it back): name came back as 'somebody'" in ran.err


def test_the_bytes_are_really_compared(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", lambda url: ("image/png", b"something else"))
    ran = cli("demo")
    assert ran.code == 1
    assert "(Download the file): 14 bytes came back for the 3,587 bytes that were sent" in ran.err


def test_a_watch_that_says_nothing_is_noticed(
    cli: Cli, emulator: Emulator, real: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "PATIENCE_S", 0.3)
    emulator.reply_to("staff/watch", status=200, msg="Watching.", args={"code": "CORE_WATCH_OK", "watch": "w"})
    ran = cli("demo", *real)
    assert ran.code == 1
    assert "(Create a document with a file): the watch did not tell of the new document within 0.3 s" in ran.err


def test_a_server_that_gives_no_files_is_no_failure(cli: Cli, real: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> bytes:
        raise urllib.error.URLError("not here")

    monkeypatch.setattr(download, "fetch", refuse)
    ran = cli("demo", *real)
    assert (ran.code, ran.err) == (0, "")
    assert "    –  This server does not give the file to us" in ran.out
    assert cli("demo").code == 1, "the emulator must"


def test_a_file_that_is_not_there(emulator: Emulator) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        download.fetch(f"{emulator.http_url}/staff/retrieve_file/000000000000000000000000/photo/photo.png")


def test_no_server(cli: Cli) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refused, and nobody else takes the port
        port = unused.getsockname()[1]
        ran = cli("demo", "--api", f"ws://127.0.0.1:{port}/ws", "--anon-token", "t", "--email", "e", "--password", "p")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert f"(Connect and be let in): cannot connect to ws://127.0.0.1:{port}/ws: Connection refused" in ran.err


def test_wrong_anonymous_token(cli: Cli, real: list[str]) -> None:
    ran = cli("demo", *real, "--anon-token", "not_the_anonymous_token")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "conn/verify was refused" in ran.err
    assert "not_the_anonymous_token" not in ran.out + ran.err


def test_wrong_password(cli: Cli, real: list[str]) -> None:
    ran = cli("demo", *real, "--password", "not_the_password")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "(Sign in): session/auth: 403 CORE_SESSION_INVALID_CREDS" in ran.err
    assert "not_the_password" not in ran.out + ran.err


def test_a_road_without_encryption_is_told(cli: Cli) -> None:
    ran = cli("demo", "--api", "ws://nowhere.invalid/ws", "--anon-token", "t", "--email", "e", "--password", "p")
    assert ran.code == 1
    assert "the password travels readably" in ran.out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--email", "ada@example.com"], "--email"),
        (["--api", "ws://127.0.0.1/ws", "--email", "ada@example.com"], "--anon-token"),
        (["--api", "ws://127.0.0.1/ws", "--email", "ada@example.com", "--anon-token", "t"], "--password"),
        (["--api", "http://127.0.0.1/ws", "--email", "e", "--anon-token", "t", "--password", "p"], "--api"),
        (["--file", __file__], "--file"),
        (["--file", "no such file.png"], "no such file.png"),
    ],
)
def test_options_that_make_no_sense(cli: Cli, options: list[str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ran = cli("demo", *options)
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err


def test_the_password_is_asked_for_in_a_terminal(
    cli: Cli, real: list[str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda text, **options: emulator.admin_password)
    assert cli("demo", *real[:-2]).code == 0


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process")
def test_ctrl_c_ends_it_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws"
        running = subprocess.Popen(
            command("demo", "--api", url, "--anon-token", "t", "--email", "e", "--password", "p"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(),
        )
        connection, _ = silent.accept()  # it waits for the handshake now
        with connection:
            running.send_signal(signal.SIGINT)
            _out, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (130, "rxsdk demo: stopped by Ctrl-C\n")


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    running = subprocess.Popen(
        command("demo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment()
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    assert running.wait(30) == 1
    assert err == ""


def test_which_addresses_are_this_machine() -> None:
    assert download.is_this_machine("ws://[::1]:8081/ws")
    assert download.is_this_machine("ws://localhost/ws")
    assert not download.is_this_machine("wss://limp.example.com/ws")


def test_nothing_of_the_story_is_left_running(cli: Cli) -> None:
    before = set(threading.enumerate())
    cli("demo")
    wait_until(lambda: set(threading.enumerate()) <= before)
