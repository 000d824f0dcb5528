"""``rxsdk watch`` and ``rxsdk upload``: changes as they come, and bars, in a terminal and without one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rxsdk import ApiService, Created, Deleted, Snapshot, Updated
from rxsdk.cli.commands.watch import _rows
from rxsdk.emulator import Emulator
from tests.cli.conftest import Cli, command, environment, run_process
from tests.cli.test_terminal import CONTROLS, Terminal, keep_a_session, settings, start
from tests.staff import staff_doc

__all__ = ["settings", "start"]

NASTY = "\x1b]0;gotcha\x07\u202e"


@pytest.fixture
def watching(emulator: Emulator, settings: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``rxsdk watch …`` as a process without a terminal, once its watch is there."""
    begun: list[subprocess.Popen[str]] = []

    def watching(*args: str) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                command("watch", "staff/watch", *args),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env=environment(**settings),
            )
        )
        emulator.wait_until(lambda emulator: emulator.watches)
        return begun[-1]

    yield watching
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str], lines: int) -> tuple[list[str], str]:
    """What it printed, and then what it said when it was stopped by Ctrl-C."""
    assert process.stdout is not None
    out = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=30)
    assert (process.returncode, rest) == (130, "")
    return out, err


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process")
def test_one_object_a_line(
    watching: Callable[..., subprocess.Popen[str]], emulator: Emulator, signed_in: ApiService
) -> None:
    process = watching("--json")
    _id = signed_in.call("staff/create", doc=staff_doc()).result().docs[0]["_id"]
    signed_in.call("staff/delete", query=[{"_id": _id}, {"$soft": True}]).result()
    assert process.stdout is not None
    before = [process.stdout.readline() for _ in range(2)]
    emulator.drop_connections()
    out, err = stopped(process, 1)
    created, deleted, gap = map(json.loads, before + out)
    assert gap["change"] == "gap"
    assert gap["reason"].startswith("connection lost: ")
    assert datetime.fromisoformat(gap["since"])
    assert (created["change"], created["id"], created["doc"]["_id"]) == ("create", _id, _id)
    assert (deleted["change"], deleted["id"]) == ("delete", _id)
    assert err.endswith("rxsdk watch: stopped by Ctrl-C\n")


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process")
def test_a_line_each_without_a_terminal(
    watching: Callable[..., subprocess.Popen[str]], emulator: Emulator, signed_in: ApiService
) -> None:
    process = watching()
    doc: dict[str, Any] = {**staff_doc(), "bio": {"ar_AE": NASTY, "en_AE": NASTY}}
    signed_in.call("staff/create", doc=doc).result()
    assert process.stdout is not None
    line = process.stdout.readline()
    assert re.match(r'create  \{_id: "[0-9a-f]{4}…[0-9a-f]{4}", photo: ', line)
    assert "gotcha" in line
    assert [char for char in line if not char.isprintable() and char != "\n"] == []
    emulator.drop_connections()  # it comes back, and the watch with it
    emulator.wait_until(lambda emulator: emulator.watches)
    signed_in.call("staff/create", doc=doc).result()
    out, err = stopped(process, 2)
    assert re.match(r"gap  what changed since \d\d:\d\d:\d\d may not have been told: connection lost", out[0])
    assert out[1].startswith("create  ")
    assert err.startswith("Watching staff/watch; Ctrl-C ends it.\n")
    assert "connection lost" in err
    assert err.endswith("rxsdk watch: stopped by Ctrl-C\n")


def test_a_table_that_lives(emulator: Emulator, start: Callable[..., Terminal], signed_in: ApiService) -> None:
    terminal = start("watch", "staff/watch", LINES="12")
    emulator.wait_until(lambda emulator: emulator.watches)
    terminal.read(until=b"0 changes")
    for number in range(8):
        signed_in.call("staff/create", doc={**staff_doc(), "name": {"ar_AE": f"{NASTY}{number}"}}).result()
    terminal.read(until=b"8 changes")
    emulator.drop_connections()
    terminal.read(until=b"may not have been told")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert CONTROLS.findall(terminal.seen) == []
    # A terminal throws away what is on its way when Ctrl-C comes, half a character too.
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.seen.decode(errors="replace"))
    assert "staff/watch" in text
    assert "Ctrl-C ends it" in text
    assert "\\x1b]0;gotcha" in text
    assert b"Traceback" not in terminal.seen


@pytest.mark.usefixtures("no_thread_left")
def test_a_watch_that_is_refused(known: Emulator, cli: Cli) -> None:
    known.refuse_next("staff/watch", 403, "CORE_SESSION_FORBIDDEN", "no")
    ran = cli("watch", "staff/watch")
    assert (ran.code, ran.out) == (1, "")
    assert "CORE_SESSION_FORBIDDEN" in ran.err


def test_bars(emulator: Emulator, start: Callable[..., Terminal], settings: dict[str, str], tmp_path: Path) -> None:
    keep_a_session(emulator, settings)
    paths = [tmp_path / "one.png", tmp_path / "[bold]two.png"]
    for path in paths:
        path.write_bytes(b"x" * 1_200_000)
    doc = '{"name": {"ar_AE": "x"}}'
    terminal = start("upload", "album/create", f"photos={paths[0]}", f"photos={paths[1]}", "-d", doc)
    assert terminal.end() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.seen.decode())
    assert re.search(r"one\.png.*1\.2/1\.2 MB", text)
    assert re.search(r"\[bold\]two\.png.*1\.2/1\.2 MB", text)
    assert CONTROLS.findall(terminal.seen) == []
    ran = run_process("upload", "album/create", f"photos={paths[0]}", "-d", doc, "--json", **settings)
    assert (ran.code, ran.err) == (0, ""), "no bars without a terminal"
    assert json.loads(ran.out)["args"]["count"] == 1


def test_the_rows_that_are_shown() -> None:
    doc = {"_id": "1", "user": "u", "token": "t"}
    assert [str(row) for row in _rows(Snapshot({"1": doc}))] == ['{_id: "1", token: •••}']
    assert [(row.change, str(row)) for row in _rows(Deleted("1"))] == [("delete", '{_id: "1"}')]
    assert [row.change for change in (Created("1", doc), Updated("1", doc)) for row in _rows(change)] == [
        "create",
        "update",
    ]


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process")
def test_what_there_is_and_what_was_missed(
    watching: Callable[..., subprocess.Popen[str]], emulator: Emulator, signed_in: ApiService
) -> None:
    _id = signed_in.call("staff/create", doc=staff_doc()).result().docs[0]["_id"]
    process = watching("--snapshot", "staff/read", "--json")
    assert process.stdout is not None
    there = json.loads(process.stdout.readline())
    assert (there["change"], there["id"]) == ("there", _id)
    emulator.drop_connections()
    signed_in.call("staff/delete", query=[{"_id": _id}, {"$soft": False}]).result()
    out, _err = stopped(process, 2)
    assert sorted(json.loads(line)["change"] for line in out) == ["delete", "gap"]


@pytest.mark.usefixtures("no_thread_left")
def test_what_is_no_watch(known: Emulator, cli: Cli) -> None:
    ran = cli("watch", "staff/read")
    assert (ran.code, ran.out) == (2, "")
    assert "staff/read: endpoint: names no watch" in ran.err
