"""Files that cannot be sent, as the system has them: told before a byte goes out; or, if it is told too late for that,
by an error that names the file, with nothing stored."""

from __future__ import annotations

import importlib
import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rxsdk import ApiService, File, InvalidCall, UploadError
from rxsdk.emulator import Emulator
from tests.files.wire import CHUNK, Watcher, content, file, signed_in, stored, upload

NOBODY = 65534
SIZE = 4 * CHUNK


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may look into, unlike ``tmp_path``."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything. (Nobody may not even read our modules: what is needed is to be imported by then.)"""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        importlib.invalidate_caches()


def written(folder: Path, name: str = "a.bin") -> Path:
    path = folder / name
    path.write_bytes(content(SIZE))
    return path


# -- told when the call is made


def _unreadable(folder: Path) -> Path:
    path = written(folder)
    path.chmod(0o200)
    return path


def _in_a_closed_folder(folder: Path) -> Path:
    (folder / "closed").mkdir()
    path = written(folder / "closed")
    (folder / "closed").chmod(0o600)
    return path


def _empty(folder: Path) -> Path:
    (folder / "empty").touch()
    return folder / "empty"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    return folder / "socket"


def _linked_to(target: str) -> Callable[[Path], Path]:
    def link(folder: Path) -> Path:
        (folder / "link").symlink_to(target)
        return folder / "link"

    return link


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "unreadable": (_unreadable, "Permission denied"),
    "in a closed folder": (_in_a_closed_folder, "Permission denied"),
    "a directory": (lambda folder: folder, "is a directory"),
    "missing": (lambda folder: folder / "missing", "No such file or directory"),
    "behind a file": (lambda folder: written(folder) / "a", "Not a directory"),
    "empty": (_empty, "is empty"),
    "a pipe": (_pipe, "no regular file"),
    "a socket": (_socket, "No such device or address"),
    "a device": (lambda _: Path("/dev/zero"), "no regular file"),
    "a link to nothing": (_linked_to("nothing"), "No such file or directory"),
    "a link to itself": (_linked_to("link"), "Too many levels of symbolic links"),
    "a link to a directory": (_linked_to("."), "is a directory"),
    "nothing in memory": (lambda _: io.BytesIO(), "is empty"),  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("kind", BAD)
def test_it_is_told_before_a_byte_is_sent(emulator: Emulator, folder: Path, kind: str) -> None:
    make, problem = BAD[kind]
    with signed_in(emulator) as api:
        bad = make(folder)
        before = len(emulator.received)
        for doc in ({"file": bad}, {"file": File(bad)}, {"many": [b"1", bad]}, {"file": b"1", "many": [bad]}):
            with not_root(), pytest.raises(UploadError) as caught:
                api.call("archive/create", doc={"title": "bad", **doc})
            assert problem in caught.value.problem
            assert isinstance(bad, io.BytesIO) or bad.name in str(caught.value)
        assert (len(emulator.received), emulator.connections) == (before, 1)


def test_a_link_to_a_file_is_that_file(emulator: Emulator, folder: Path) -> None:
    written(folder)
    with signed_in(emulator) as api:
        upload(api, file=_linked_to("a.bin")(folder)).result()
        assert stored(emulator) == {"a": {"file": content(SIZE)}}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"b": Path("a")}, r"doc\.file\.b: files go at the top level"),
        ({"b": [File(b"1")]}, r"doc\.file\.b\[0\]: files go at the top level"),
        ({"b": b"1"}, r"doc\.file\.b: bytes have no form in JSON; wrap a file in rxsdk\.File"),
        ([{"b": Path("a")}], r"doc\.file\[0\]\.b: files go at the top level"),
        ([[io.BytesIO(b"1")]], r"doc\.file\[0\]\[0\]: files go at the top level"),
        ([b"1", "text"], r"doc\.file: list: holds files, but \[1\] is no file"),
        ([None, File(b"1")], r"doc\.file: list: holds files, but \[0\] is no file"),
        ((b"1", b"2", [b"3"]), r"doc\.file: list: holds files, but \[2\] is no file"),
    ],
)
def test_files_out_of_place_are_told_with_the_place(emulator: Emulator, value: Any, where: str) -> None:
    with signed_in(emulator) as api:
        before = len(emulator.received)
        with pytest.raises((InvalidCall, UploadError), match=where):
            api.call("archive/create", doc={"title": "bad", "file": value})
        assert (len(emulator.received), emulator.connections) == (before, 1)


# -- told when it is read


def _shrinks(path: Path) -> None:
    os.truncate(path, SIZE - 1)


def _grows(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"1")


def _changes(path: Path) -> None:
    path.write_bytes(bytes(SIZE))
    os.utime(path, ns=(0, 1))


def _is_replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(content(SIZE, 1))
    os.replace(other, path)


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "shrinks": (_shrinks, "became shorter after the call was made"),
    "grows": (_grows, "grew after the call was made"),
    "changes": (_changes, "changed after the call was made"),
    "is replaced": (_is_replaced, "changed after the call was made"),
    "is removed": (Path.unlink, "No such file or directory"),
    "is no longer readable": (lambda path: path.chmod(0o200), "Permission denied"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_file_that_changes_before_its_turn_comes(emulator: Emulator, folder: Path, kind: str) -> None:
    change, problem = CHANGES[kind]
    path = written(folder)
    with signed_in(emulator) as api:
        upload(api, "before", file=path).result()
        with suspended(api):
            call = upload(api, "bad", file=path)
            change(path)
        with not_root():
            check_named(emulator, api, call, path, problem)


@pytest.mark.parametrize("way", ["path", "open file"])
@pytest.mark.parametrize("kind", ["shrinks", "grows", "changes", "is replaced"])
def test_a_file_that_changes_while_it_is_on_its_way(emulator: Emulator, folder: Path, kind: str, way: str) -> None:
    """What was opened stays what it was when another takes its place: then all is well."""
    change, problem = CHANGES[kind]
    path = written(folder)
    with signed_in(emulator, upload_window=1) as api, path.open("rb") as opened:
        emulator.reply_to("file/upload", lambda sent: change(path) if sent["doc"]["chunk"] == 2 else None)
        call = upload(api, "bad", file=path if way == "path" else opened)
        if kind == "is replaced":
            call.result(20)
            assert stored(emulator)["bad"] == {"file": content(SIZE)}
        else:
            check_named(emulator, api, call, path, problem)


def test_a_file_that_ends_in_the_middle_of_a_later_chunk(emulator: Emulator, folder: Path) -> None:
    path = folder / "a.bin"
    path.write_bytes(content(500_000))
    with signed_in(emulator, upload_window=1, file_chunk_size=100_000) as api:
        emulator.reply_to("file/upload", lambda sent: os.truncate(path, 350_000) if sent["doc"]["chunk"] == 1 else None)
        call = upload(api, "bad", file=path)
        check_named(emulator, api, call, path, "became shorter after the call was made")


@contextmanager
def suspended(api: ApiService) -> Iterator[None]:
    api.suspend()
    yield
    api.resume()


def check_named(emulator: Emulator, api: ApiService, call: Any, path: Path, problem: str) -> None:
    watcher = Watcher(call)
    with pytest.raises(UploadError) as caught:
        call.result(20)
    assert (caught.value.attr, caught.value.name) == ("file", path.name)
    assert problem in caught.value.problem
    assert watcher.all()[-1].phase == "failed"
    assert "bad" not in stored(emulator)
    emulator.clear_script()
    upload(api, "next", file=file(1234, 9)).result(20)
    assert stored(emulator)["next"] == {"file": content(1234, 9)}
