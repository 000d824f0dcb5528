"""``rxsdk download``: the file is there whole, or it is said why not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rxsdk import ApiService, File
from rxsdk.emulator import Emulator
from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("no_thread_left")

BYTES = bytes(range(256)) * 400


@pytest.fixture
def album(known: Emulator) -> str:
    with ApiService(known.config()) as api:
        api.auth("email", known.admin_email, known.admin_password).result()
        photos = [File(BYTES, name="one.png"), File(BYTES[:100], name="two.png")]
        doc = {"name": {"ar_AE": "x"}, "photos": photos, "cover": File(BYTES, name="cover.png")}
        _id: str = api.call("album/create", doc=doc).result().docs[0]["_id"]
        return _id


def test_a_file_of_a_document(cli: Cli, album: str, tmp_path: Path) -> None:
    ran = cli("download", "album", album, "cover", "-o", tmp_path)
    assert (ran.code, ran.out, ran.err) == (0, f"{tmp_path / 'cover.png'}\n", "102,400 bytes written\n")
    assert (tmp_path / "cover.png").read_bytes() == BYTES
    ran = cli("download", "album", album, "photos", "two.png", "-o", tmp_path / "second.png", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {"path": str(tmp_path / "second.png"), "size": 100}
    assert cli("download", "album", album, "photos", "-o", tmp_path).code == 0
    assert (tmp_path / "one.png").read_bytes() == BYTES


def test_as_who_is_signed_in(known: Emulator, cli: Cli, secret: str, album: str, tmp_path: Path) -> None:
    cli("auth", known.admin_email)
    assert cli("download", "album", album, "cover", "-o", tmp_path).code == 0


def test_what_is_not_there(cli: Cli, album: str, tmp_path: Path) -> None:
    ran = cli("download", "album", album, "tags", "-o", tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert f"album {album} has no file under tags" in ran.err
    assert "is not there" in cli("download", "album", "0" * 24, "cover", "-o", tmp_path).err
    assert cli("download", "album", album, "cover", "other.png", "-o", tmp_path).code == 1
    assert cli("download", "album", album, "cover", "-o", tmp_path / "no" / "folder.png").code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_nothing_but_a_file_is_replaced(cli: Cli, album: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ran = cli("download", "album", album, "cover", "-o", pipe)
    assert (ran.code, ran.out) == (2, "")
    assert f"{pipe} is no regular file" in ran.err
    assert pipe.is_fifo()
