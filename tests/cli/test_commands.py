"""``auth``, ``whoami``, ``call``, ``signout``: in this process, against the emulator, with good and bad input."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from rxsdk.cli import server
from rxsdk.emulator import Emulator
from tests.cli.conftest import Cli
from tests.staff import staff_doc

pytestmark = pytest.mark.usefixtures("no_thread_left")


def doc_of(**more: Any) -> str:
    return json.dumps({**{key: value for key, value in staff_doc().items() if key != "photo"}, **more})


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "ada.png"
    path.write_bytes(b"\x89PNG" * 1000)
    return path


def test_a_session_from_its_beginning_to_its_end(home: Path, known: Emulator, cli: Cli, secret: str) -> None:
    ran = cli("auth", known.admin_email)
    assert (ran.code, ran.err) == (0, "")
    assert f"email   {known.admin_email}" in ran.out
    kept = server.sessions_file()
    assert kept.is_relative_to(home)
    if os.name == "posix":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    who = json.loads(cli("whoami", "--json").out)
    assert (who["email"], who["id"]) == (known.admin_email, "f00000000000000000000010")
    token = json.loads(kept.read_text("utf-8"))["scopes"].popitem()[1]["token"]
    assert token not in cli("whoami").out + ran.out
    assert secret not in ran.out
    ran = cli("signout")
    assert (ran.code, ran.out, ran.err) == (0, "", "Signed out.\n")
    assert token not in kept.read_text("utf-8")
    ran = cli("whoami")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == "rxsdk whoami: nobody is signed in here; sign in with: rxsdk auth WHO\n"
    assert json.loads(cli("whoami", "--json").out)["error"] == "NoCredentials"


def test_signout_as_json(home: Path, known: Emulator, cli: Cli, secret: str) -> None:
    cli("auth", known.admin_email)
    assert json.loads(cli("signout", "--json").out) == {"api": known.url, "user": None}


def test_a_wrong_password(known: Emulator, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXSDK_PASSWORD", "not_the_password")
    ran = cli("auth", known.admin_email)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == "rxsdk auth: session/auth: 403 CORE_SESSION_INVALID_CREDS 'Wrong auth credentials.'\n"
    assert not server.sessions_file().exists()


def test_where_the_password_may_come_from(
    known: Emulator, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RXSDK_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{known.admin_password}\nmore\n"))
    assert cli("auth", known.admin_email, "--password-file", "-").code == 0
    file = tmp_path / "password"
    file.write_text(f"{known.admin_password}\r\n", "utf-8")
    assert cli("auth", known.admin_email, "--attr", "email", "--password-file", file).code == 0
    ran = cli("auth", known.admin_email)
    assert ran.code == 2
    assert "RXSDK_PASSWORD" in ran.err
    file.write_bytes(b"\n")
    assert "is empty" in cli("auth", known.admin_email, "--password-file", file).err
    file.write_bytes(b"\xff")
    assert "is not text" in cli("auth", known.admin_email, "--password-file", file).err
    assert cli("auth", known.admin_email, "--password-file", tmp_path / "none").code == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda text, **options: known.admin_password)
    assert cli("auth", known.admin_email).code == 0


def test_an_attr_the_server_does_not_know(known: Emulator, cli: Cli, secret: str) -> None:
    ran = cli("auth", "ada", "--attr", "nickname")
    assert ran.code == 2
    assert "nickname" in ran.err


def test_a_session_that_cannot_be_kept(home: Path, known: Emulator, cli: Cli, secret: str) -> None:
    server.sessions_file().mkdir(parents=True)
    ran = cli("auth", known.admin_email)
    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert "signed in, but the session could not be kept: is a directory" in line


def test_a_session_that_cannot_take_the_place_of_another(
    known: Emulator, cli: Cli, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("auth", known.admin_email).code == 0
    before = server.sessions_file().read_bytes()

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("rxsdk.cache.private.os.fsync", no_space)
        ran = cli("auth", known.admin_email)
    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert line.endswith("signed in, but the session could not be kept: cannot be written: No space left on device")
    assert server.sessions_file().read_bytes() == before, "the cache is as it was"


def test_a_session_that_is_no_longer_good(known: Emulator, cli: Cli, secret: str) -> None:
    cli("auth", known.admin_email)
    known.refuse_next("session/reauth", 403, "CORE_SESSION_INVALID_SESSION", "gone")
    ran = cli("call", "staff/read")
    assert ran.code == 4
    assert "the kept session is no longer good: rxsdk auth WHO" in ran.err
    assert cli("call", "staff/read", "--anonymous").code == 0


def test_a_call_for_people_and_for_programs(known: Emulator, cli: Cli, secret: str, photo: Path) -> None:
    cli("auth", known.admin_email)
    ran = cli("call", "staff/create", "--doc", doc_of(), "--file", f"photo={photo}", "--await-auth")
    assert ran.code == 0
    assert ran.err.startswith("200 Created 1 docs. (")
    (created,) = json.loads(ran.out)
    query = json.dumps([{"_id": created["_id"]}])
    ran = cli("call", "staff/read", "--query", query, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == 1
    reply = json.loads(ran.out)
    assert (reply["status"], reply["args"]["docs"][0]["photo"]["size"]) == (200, 4000)
    assert "call_id" not in reply["args"]
    ran = cli("call", "staff/delete", "-q", query)
    assert (ran.code, json.loads(ran.out)) == (0, [created])
    assert json.loads(cli("call", "staff/update", "-q", query).out) == {}


def test_several_files_for_one_attr(known: Emulator, cli: Cli, secret: str, photo: Path) -> None:
    cli("auth", known.admin_email)
    doc = '{"name": {"ar_AE": "x"}}'
    assert cli("call", "album/create", "-d", doc, "-f", f"photos={photo}", "-f", f"photos={photo}").code == 0
    (album,) = json.loads(cli("call", "album/read").out)
    assert [one["name"] for one in album["photos"]] == ["ada.png", "ada.png"]


def test_arguments_from_files_and_from_stdin(
    known: Emulator, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "query.json"
    file.write_text('[{"$limit": 1}]', "utf-8")
    assert cli("call", "staff/read", "-q", f"@{file}").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    assert cli("call", "staff/read", "-q", "-").code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-q", "{bad"], "is not JSON: Expecting property name"),
        (["-q", "{}"], "must be a JSON list"),
        (["-q", "@nowhere.json"], "--query: nowhere.json: No such file"),
        (["-q", "[NaN]"], "NaN is not JSON"),
        (["-d", "[]"], "must be a JSON object"),
        (["-f", "photo"], "is not ATTR=PATH"),
        (["-f", "photo=nowhere.png"], "no such file"),
        (["-f", "photo=."], "is not a file"),
        (["-f", f"photo={__file__}", "-d", '{"photo": 1}'], "is in --doc too"),
        (["--timeout-s", "-1"], "above 0"),
        (["--profile", "shop"], "no profile 'shop'"),
        (["--api", "http://127.0.0.1"], "must start with ws://"),
    ],
)
def test_options_that_make_no_sense(known: Emulator, cli: Cli, options: list[str], says: str) -> None:
    ran = cli("call", "staff/read", *options)
    assert (ran.code, ran.out) == (2, "")
    assert says in " ".join(ran.err.replace("│", "").split())
    assert "Traceback" not in ran.err


def test_a_file_that_is_not_there_is_named_as_it_was_given(known: Emulator, cli: Cli) -> None:
    assert "Invalid value for --file: nowhere.png: no such file" in cli("call", "a/b", "-f", "x=nowhere.png").err
    assert "Invalid value for ATTR=PATH: nowhere.png: no such file" in cli("upload", "a/b", "x=nowhere.png").err
    assert "Invalid value for ATTR=PATH: 'photo' is not ATTR=PATH" in cli("upload", "a/b", "photo").err


def test_a_call_the_server_refuses(known: Emulator, cli: Cli) -> None:
    ran = cli("call", "staff/create", "--doc", "{}")
    assert (ran.code, ran.out) == (1, "")
    assert "CORE_SESSION_FORBIDDEN" in ran.err
    assert "rxsdk auth WHO" in ran.err
    ran = cli("call", "staff/create", "--await-auth")
    assert ran.code == 4
    ran = cli("call", "nonsense")
    assert (ran.code, ran.err) == (2, "rxsdk call: 'nonsense': endpoint: must be \"module/method\"\n")


def test_nothing_of_the_servers_reaches_the_terminal_as_it_is(known: Emulator, cli: Cli) -> None:
    nasty = "\x1b[2J\u202e\x9b\u2028\x7f\U000e0001"
    docs = [{"_id": "1", nasty: nasty, "token": "sesame", "password_hash": "sesame"}]
    known.reply_to("staff/read", status=200, msg=nasty, args={"docs": docs})
    for options in ([], ["--json"]):
        ran = cli("call", "staff/read", *options)
        assert ran.code == 0
        assert [char for char in ran.out + ran.err if not char.isprintable() and char != "\n"] == []
        assert "sesame" not in ran.out
        reply = json.loads(ran.out)
        found = (reply["args"]["docs"] if options else reply)[0]
        assert found[nasty] == nasty, "a program still reads what was sent"
        assert found["token"] == "<redacted>"
    known.refuse_next("staff/create", 500, nasty, nasty)
    ran = cli("call", "staff/create")
    assert ran.code == 1
    assert [char for char in ran.err if not char.isprintable() and char != "\n"] == []


def test_no_server(known: Emulator, cli: Cli) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}/ws"
        ran = cli("call", "staff/read", "--api", url)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"rxsdk call: cannot connect to {url}: Connection refused\n"


def test_a_connection_that_is_lost(known: Emulator, cli: Cli) -> None:
    def asked(emulator: Emulator) -> bool:
        return any(frame.payload["endpoint"] == "staff/create" for frame in emulator.received)

    known.silence("staff/create")
    threading.Thread(target=lambda: (known.wait_until(asked), known.drop_connections()), daemon=True).start()
    ran = cli("call", "staff/create")
    assert ran.code == 3
    assert "outcome unknown" in ran.err


def test_without_any_server_it_says_where_to_put_one(home: Path, cli: Cli) -> None:
    ran = cli("call", "staff/read")
    assert (ran.code, ran.out) == (2, "")
    for way in ("--api", "RXSDK_API", "config.toml"):
        assert way in ran.err


def test_profiles(home: Path, emulator: Emulator, cli: Cli, secret: str) -> None:
    file = server.config_file()
    file.parent.mkdir(parents=True)
    profile = f'api = "{emulator.url}"\nanon_token = "{emulator.anon_token}"\n'
    file.write_text(f"[default]\n{profile}[ada]\nauth_attrs = ['email']\ntimeout_s = 5\n{profile}", "utf-8")
    assert cli("call", "staff/read").code == 0
    assert cli("auth", emulator.admin_email, "--profile", "ada").code == 0
    assert cli("whoami", "--profile", "ada").code == 0
    assert cli("whoami").code == 4, "each profile has a session of its own"
    assert "there are default, ada" in " ".join(cli("whoami", "--profile", "b").err.replace("│", "").split())
    assert server._complete_profile("a") == ["ada"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("api = 'ws://127.0.0.1/ws'", "put it under [default]"),
        ("[default]\nurl = 'x'", "has no setting url; there are api,"),
        ("[default", "config.toml"),
    ],
)
def test_a_config_file_that_cannot_be_right(home: Path, cli: Cli, content: str, says: str) -> None:
    file = server.config_file()
    file.parent.mkdir(parents=True)
    file.write_text(content, "utf-8")
    ran = cli("whoami")
    assert ran.code == 2
    assert says in " ".join(ran.err.replace("│", "").split())
    assert server._complete_profile("a") == []


def test_a_road_without_encryption_is_told(home: Path, cli: Cli) -> None:
    ran = cli("call", "staff/read", "--api", "ws://nowhere.invalid/ws", "--anon-token", "t")
    assert ran.code == 3
    assert "passwords travel readably" in ran.err


def test_every_frame_is_shown_when_asked_for(known: Emulator, cli: Cli, secret: str) -> None:
    ran = cli("auth", known.admin_email, "--debug")
    assert ran.code == 0
    assert "session/auth" in ran.err
    assert secret not in ran.err
