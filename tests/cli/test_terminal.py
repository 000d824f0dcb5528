"""The commands as processes: in a pseudo-terminal and without one, with a full disk, and stopped by Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rxsdk import ApiService, File, FileCache
from rxsdk.cli import main
from rxsdk.cli.output import as_text
from rxsdk.emulator import Emulator
from rxsdk.testing import FaultProxy
from tests.cli.conftest import REPOSITORY, Cli, command, environment
from tests.conftest import wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")

CONTROLS = re.compile(rb"\x1b(?!\[[0-9;?]*[mKhlAG])[^\r\n]?|[\x00-\x06\x0b-\x0c\x0e-\x1a\x1c-\x1f\x7f]")
"""Bytes that a terminal obeys, beyond colours, cursors and ends of lines."""


_IN_A_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal to this process
from rxsdk.cli import main
main()
"""


class Terminal:
    """A command in a pseudo-terminal: what it showed, and a keyboard."""

    def __init__(self, *args: object, **more: str) -> None:
        near, far = os.openpty()
        self._near = near
        self.seen = b""
        self.running = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _IN_A_TERMINAL, *map(str, args)],
            stdin=far,
            stdout=far,
            stderr=far,
            start_new_session=True,
            env=environment(TERM="xterm-256color", COLUMNS="100", **more),
        )
        os.close(far)

    def read(self, until: bytes | None = None, timeout_s: float = 30.0) -> bytes:
        """Everything shown so far, at the latest when ``until`` was, or the command has ended."""
        while until is None or until not in self.seen:
            if not select.select([self._near], [], [], timeout_s)[0]:
                raise AssertionError(f"{until!r} was not shown; this was: {self.seen!r}")
            try:
                piece = os.read(self._near, 65536)
            except OSError:  # Linux' way to say that the far end is closed
                piece = b""
            if not piece:
                break
            self.seen += piece
        return self.seen

    def type(self, keys: str) -> None:
        os.write(self._near, keys.encode())

    def end(self) -> int:
        self.read()
        os.close(self._near)
        return self.running.wait(30)


@pytest.fixture
def settings(emulator: Emulator, tmp_path: Path) -> dict[str, str]:
    """The environment that names the emulator, with a home of its own."""
    return {
        "RXSDK_API": emulator.url,
        "RXSDK_ANON_TOKEN": emulator.anon_token,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def start(settings: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    begun: list[Terminal] = []

    def start(*args: object, **more: str) -> Terminal:
        begun.append(Terminal(*args, **{**settings, **more}))
        return begun[-1]

    yield start
    for terminal in begun:
        if terminal.running.poll() is None:
            terminal.running.kill()
            terminal.running.wait()


def keep_a_session(emulator: Emulator, settings: dict[str, str]) -> Path:
    """What ``rxsdk auth`` leaves for the commands to come."""
    kept = Path(settings["XDG_STATE_HOME"]) / "rxsdk" / "sessions.json"
    with ApiService(emulator.config(cache=FileCache(kept), cache_key="default")) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
    return kept


def test_the_password_is_typed_unseen(emulator: Emulator, start: Callable[..., Terminal]) -> None:
    terminal = start("auth", emulator.admin_email)
    terminal.read(until=b": ")
    terminal.type(f"{emulator.admin_password}\n")
    assert terminal.end() == 0
    assert emulator.admin_email.encode() in terminal.seen
    assert emulator.admin_password.encode() not in terminal.seen
    again = start("whoami")
    assert again.end() == 0
    assert emulator.admin_email.encode() in again.seen


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_reply_in_a_terminal(emulator: Emulator, start: Callable[..., Terminal], no_colour: bool) -> None:
    nasty = "\x1b]0;gotcha\x07\x9b31m"
    emulator.reply_to("staff/read", status=200, msg=nasty, args={"docs": [{"_id": "1", "name": nasty}]})
    terminal = start("call", "staff/read", **({"NO_COLOR": "1"} if no_colour else {}))
    assert terminal.end() == 0
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]m", terminal.seen)) is not no_colour
    assert CONTROLS.findall(terminal.seen) == []
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.seen.decode())
    assert '"name": "\\u001b]0;gotcha\\u0007\\u009b31m"' in text


@pytest.mark.parametrize("args", [["--help"], ["doctor"]])
def test_the_screens_fit(start: Callable[..., Terminal], args: list[str]) -> None:
    terminal = start(*args)
    assert terminal.end() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.seen.decode()).splitlines()
    assert max(map(len, lines)) <= 100
    assert CONTROLS.findall(terminal.seen) == []


def test_ctrl_c_while_waiting_for_an_answer(emulator: Emulator, start: Callable[..., Terminal]) -> None:
    emulator.silence("staff/read")
    terminal = start("call", "staff/read")
    emulator.wait_until(lambda emulator: any(one.payload["endpoint"] == "staff/read" for one in emulator.received))
    terminal.type("\x03")
    assert terminal.end() == 130
    assert terminal.seen.decode().split("rxsdk call: ")[1].startswith("stopped by Ctrl-C")
    assert b"Traceback" not in terminal.seen


def test_ctrl_c_at_the_password(emulator: Emulator, start: Callable[..., Terminal]) -> None:
    terminal = start("auth", emulator.admin_email)
    terminal.read(until=b": ")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert b"Traceback" not in terminal.seen


def test_ctrl_c_in_an_upload_leaves_the_session_as_it_was(
    emulator: Emulator, start: Callable[..., Terminal], settings: dict[str, str], tmp_path: Path
) -> None:
    kept = keep_a_session(emulator, settings)
    before = json.loads(kept.read_text("utf-8"))
    photo = tmp_path / "large.png"
    photo.write_bytes(b"x" * 5_000_000)
    emulator.delay("file/upload", 0.2)
    terminal = start("upload", "staff/create", f"photo={photo}", "--doc", "{}")
    emulator.wait_until(lambda emulator: any(one.payload["endpoint"] == "file/upload" for one in emulator.received))
    terminal.read(until=b"large.png")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert b"Traceback" not in terminal.seen
    assert b"stopped by Ctrl-C" in terminal.seen
    assert json.loads(kept.read_text("utf-8")).keys() == before.keys()
    with ApiService(emulator.config(cache=FileCache(kept), cache_key="default")) as api:
        assert api.check_auth().result().status == 200
    assert emulator.executed["staff/create"] == 0


def test_a_download_and_ctrl_c_in_one(
    emulator: Emulator, start: Callable[..., Terminal], settings: dict[str, str], tmp_path: Path
) -> None:
    kept = keep_a_session(emulator, settings)
    bytes_ = bytes(range(256)) * 8_000
    with ApiService(emulator.config(cache=FileCache(kept), cache_key="default")) as api:
        api.check_auth().result()
        doc = {"name": {"ar_AE": "x"}, "cover": File(bytes_, name="cover.png")}
        _id = api.call("album/create", doc=doc).result().docs[0]["_id"]
    terminal = start("download", "album", _id, "cover", "-o", tmp_path)
    assert terminal.end() == 0
    assert (tmp_path / "cover.png").read_bytes() == bytes_
    assert re.search(r"cover\.png.*2\.0/2\.0 MB", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.seen.decode()))
    assert CONTROLS.findall(terminal.seen) == []
    there = tmp_path / "there"
    there.mkdir()
    with FaultProxy(emulator.url) as proxy:
        proxy.bandwidth(200_000, direction="down")
        stopped = start("download", "album", _id, "cover", "-o", there, RXSDK_API=proxy.url)
        stopped.read(until=b"cover.png")
        stopped.type("\x03")
        assert stopped.end() == 130
    assert b"stopped by Ctrl-C" in stopped.seen
    assert b"Traceback" not in stopped.seen
    assert [path for path in there.iterdir() if path.suffix == ".png"] == [], "it appears when it is whole"


def test_signing_out_and_a_module_made(
    emulator: Emulator, start: Callable[..., Terminal], settings: dict[str, str]
) -> None:
    kept = keep_a_session(emulator, settings)
    terminal = start("signout")
    assert terminal.end() == 0
    assert b"Signed out." in terminal.seen
    assert json.loads(kept.read_text("utf-8"))["scopes"] == {}
    made = start("typegen", REPOSITORY / "examples" / "schema.toml")
    assert made.end() == 0
    assert made.seen.replace(b"\r\n", b"\n") == (REPOSITORY / "tests" / "typing" / "typed_structs.py").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("args", [["call", "staff/read", "--json"], ["call", "staff/read"], ["doctor"], ["version"]])
def test_a_full_disk(
    known: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rxsdk", *args])
    with open("/dev/full", "w", encoding="utf-8") as full, monkeypatch.context() as disk:
        disk.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_process_and_a_full_disk(settings: dict[str, str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            command("call", "staff/read"),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(**settings),
            timeout=50,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_reader_that_goes_away(emulator: Emulator, settings: dict[str, str]) -> None:
    emulator.reply_to("staff/read", status=200, msg="", args={"docs": [{"_id": "x" * 200_000}]})
    running = subprocess.Popen(
        command("call", "staff/read"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**settings)
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    assert running.wait(30) == 1
    assert err == b""


def test_sigint_without_a_terminal(emulator: Emulator, settings: dict[str, str]) -> None:
    emulator.silence("staff/read")
    running = subprocess.Popen(
        command("call", "staff/read"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**settings)
    )
    wait_until(lambda: any(one.payload["endpoint"] == "staff/read" for one in emulator.received), timeout_s=30)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, b"", b"rxsdk call: stopped by Ctrl-C\n")


def test_completion(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "_RXSDK_COMPLETE=complete_bash" in cli("--show-completion", "bash").out
    for name, value in {"_RXSDK_COMPLETE": "complete_bash", "COMP_WORDS": "rxsdk who", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    assert cli().out.split() == ["whoami"]


def test_json_that_a_terminal_may_be_shown() -> None:
    assert as_text({"a": "é\x7f\u200f😀\udc80"}) == '{"a": "é\\u007f\\u200f😀\\udc80"}'
