"""`FileCache`: the file and its folder, what is found there, and what goes wrong with it."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rxsdk.cache import Credentials, FileCache
from rxsdk.errors import CacheError

NoSecret = Callable[[BaseException], None]
SOUND_ENTRY = {"sid": "s-S3CRET", "token": "t-S3CRET"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app" / "sessions.json"


@pytest.fixture
def kept(path: Path, credentials: Credentials) -> FileCache:
    """A cache with credentials under the scope "a"."""
    cache = FileCache(path)
    cache.put("a", credentials)
    return cache


@pytest.fixture
def no_umask() -> Any:
    """Whatever is private under this umask was made so on purpose."""
    old = os.umask(0)
    yield
    os.umask(old)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names_in(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir()}


def failing_with(code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


# The file


def test_another_cache_reads_it(kept: FileCache, path: Path, credentials: Credentials) -> None:
    assert FileCache(str(path)).get("a") == credentials
    assert json.loads(path.read_bytes())["rxsdk_credentials"] == 1
    assert names_in(path.parent) == {"sessions.json", "sessions.json.lock"}


def test_reading_makes_nothing(path: Path) -> None:
    assert FileCache(path).get("a") is None
    FileCache(path).remove("a")
    assert not path.parent.exists()


def test_removing_what_is_not_there_writes_nothing(kept: FileCache, path: Path) -> None:
    before = path.stat()
    kept.remove("b")
    assert path.stat().st_ino == before.st_ino


def test_the_home_folder_may_be_written_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credentials: Credentials
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    FileCache("~/sessions.json").put("a", credentials)
    assert (tmp_path / "sessions.json").is_file()


def test_a_relative_path_is_taken_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    cache = FileCache("sessions.json")
    monkeypatch.chdir("/")
    assert repr(cache) == f"FileCache({str(tmp_path / 'sessions.json')!r})"


@pytest.mark.usefixtures("no_umask")
def test_private_from_the_first_byte_on(path: Path, monkeypatch: pytest.MonkeyPatch, credentials: Credentials) -> None:
    modes: list[int] = []
    real_open, real_sync = os.open, os.fsync

    def spying_open(name: Any, flags: int, mode: int = 0o777) -> int:
        fd = real_open(name, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    def spying_sync(fd: int) -> None:
        modes.extend(mode_of(place) for place in path.parent.iterdir())
        real_sync(fd)

    path.parent.mkdir()
    path.touch(0o666)
    monkeypatch.setattr(os, "open", spying_open)
    monkeypatch.setattr(os, "fsync", spying_sync)
    FileCache(path).put("a", credentials)
    assert mode_of(path) == 0o600
    # The lock file; the file as it was found; the temporary file; then all three when it is fsynced.
    assert modes == [0o600, 0o666, 0o600, 0o600, 0o600, 0o600]


@pytest.mark.usefixtures("no_umask")
def test_missing_folders_are_private(tmp_path: Path, credentials: Credentials) -> None:
    os.chmod(tmp_path, 0o755)
    FileCache(tmp_path / "a" / "b" / "sessions.json").put("a", credentials)
    assert [mode_of(tmp_path / "a"), mode_of(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert mode_of(tmp_path) == 0o755


def test_a_file_others_can_read_is_narrowed(
    kept: FileCache, path: Path, credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(0o644)
    assert kept.get("a") == credentials
    assert mode_of(path) == 0o600
    assert kept.get("a") == credentials
    assert [(record.name, record.levelno) for record in caplog.records] == [("rxsdk.cache", logging.WARNING)]
    assert str(path) in caplog.text


def test_a_strange_umask_leaves_a_file_that_can_be_used(kept: FileCache, path: Path) -> None:
    old = os.umask(0o277)
    try:
        kept.put("b", Credentials("s", "t"))
    finally:
        os.umask(old)
    assert mode_of(path) == 0o600


def test_a_file_that_cannot_be_narrowed_is_not_used(
    kept: FileCache, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.chmod(0o640)
    monkeypatch.setattr(os, "fchmod", failing_with(errno.EPERM))
    with pytest.raises(CacheError, match="cannot be read: Operation not permitted"):
        kept.get("a")


# What is found


@pytest.mark.parametrize(
    "content",
    [
        b"not json S3CRET",
        b'{"rxsdk_credentials": 1, "scopes": {"a": {"sid": "S3CRET", "tok',
        b"\xff\xfeS3CRET\x00",
        b'"\xe9 S3CRET"',
        b"[" * 100_000,
        b"[]",
        b'{"token": "S3CRET"}',
        b'{"rxsdk_credentials": 2, "scopes": {}}',
        b'{"rxsdk_credentials": 1}',
        b'{"rxsdk_credentials": 1, "scopes": ["S3CRET"]}',
        json.dumps({"rxsdk_credentials": 1, "scopes": {"a": SOUND_ENTRY, "b": "S3CRET"}}).encode(),
        json.dumps({"rxsdk_credentials": 1, "scopes": {"a": SOUND_ENTRY, "b": {"sid": "s"}}}).encode(),
        json.dumps({"rxsdk_credentials": 1, "scopes": {"a": {"sid": 1, "token": "S3CRET"}}}).encode(),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_file_not_ours_is_set_aside(
    tmp_path: Path, content: bytes, credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sessions.json"
    path.write_bytes(content)
    path.chmod(0o600)
    cache = FileCache(path)
    assert cache.get("a") is None
    assert (tmp_path / "sessions.json.corrupt-1").read_bytes() == content
    assert not path.exists()
    [record] = caplog.records
    assert (record.name, record.levelno) == ("rxsdk.cache", logging.WARNING)
    told = f"credential cache {path}: not a sound file of rxsdk; set aside as sessions.json.corrupt-1"
    assert record.getMessage() == told
    cache.put("a", credentials)
    assert cache.get("a") == credentials


def test_each_file_set_aside_stays(kept: FileCache, path: Path, credentials: Credentials) -> None:
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content)
        kept.put("b", credentials)
    asides = [path.with_name(f"sessions.json.corrupt-{number}").read_bytes() for number in (1, 2, 3)]
    assert asides == [b"one", b"two", b"three"]
    assert kept.get("a") is None
    assert kept.get("b") == credentials


def test_a_file_set_aside_is_private(kept: FileCache, path: Path) -> None:
    path.write_bytes(b"S3CRET")
    path.chmod(0o644)
    assert kept.get("a") is None
    assert mode_of(path.with_name("sessions.json.corrupt-1")) == 0o600


def test_a_file_that_cannot_be_set_aside(
    kept: FileCache, path: Path, monkeypatch: pytest.MonkeyPatch, shows_no_secret: NoSecret
) -> None:
    path.write_bytes(b'"S3CRET')
    monkeypatch.setattr(os, "rename", failing_with(errno.EACCES))
    with pytest.raises(CacheError, match="cannot be set aside: Permission denied") as caught:
        kept.get("a")
    assert path.read_bytes() == b'"S3CRET'
    shows_no_secret(caught.value)


def test_an_empty_file_is_an_empty_cache(tmp_path: Path, credentials: Credentials) -> None:
    path = tmp_path / "sessions.json"
    path.touch(0o600)
    cache = FileCache(path)
    assert cache.get("a") is None
    cache.put("a", credentials)
    assert cache.get("a") == credentials
    assert names_in(tmp_path) == {"sessions.json", "sessions.json.lock"}


def test_a_file_mended_by_another_is_not_set_aside(
    kept: FileCache, path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = path.read_bytes()
    path.write_bytes(b"corrupt")
    real_open = os.open

    def mending_open(name: Any, flags: int, mode: int = 0o777) -> int:
        if str(name).endswith(".lock"):
            path.write_bytes(sound)
        return real_open(name, flags, mode)

    monkeypatch.setattr(os, "open", mending_open)
    assert kept.get("a") == credentials
    assert names_in(path.parent) == {"sessions.json", "sessions.json.lock"}


def test_a_file_that_goes_while_it_is_read(kept: FileCache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def late_open(name: Any, flags: int, mode: int = 0o777) -> int:
        path.unlink()
        return real_open(name, flags, mode)

    monkeypatch.setattr(os, "open", late_open)
    assert kept.get("a") is None


def test_a_temporary_file_left_by_a_killed_process_is_no_hindrance(kept: FileCache, path: Path) -> None:
    left = path.with_name("sessions.json.tmp")
    left.write_text("S3CRET")
    kept.put("b", Credentials("s", "t"))
    assert not left.exists()
    assert kept.get("b") == Credentials("s", "t")


# What goes wrong


def check_refused(cache: FileCache, problem: str, shows_no_secret: NoSecret) -> None:
    """All three verbs raise an error that names the path and the problem."""
    verbs: list[Callable[[], object]] = [
        lambda: cache.get("a"),
        lambda: cache.put("a", Credentials("s-S3CRET", "t-S3CRET")),
        lambda: cache.remove("a"),
    ]
    for verb in verbs:
        with pytest.raises(CacheError) as caught:
            verb()
        assert caught.value.place == str(cache.path)
        assert problem in caught.value.problem
        assert str(caught.value) == f"credential cache {cache.path}: {caught.value.problem}"
        shows_no_secret(caught.value)


def test_a_directory_is_refused(tmp_path: Path, shows_no_secret: NoSecret) -> None:
    path = tmp_path / "sessions"
    (path / "inside").mkdir(parents=True)
    check_refused(FileCache(path), "is a directory", shows_no_secret)
    assert names_in(tmp_path) == {"sessions"}
    assert names_in(path) == {"inside"}


def test_the_root_is_refused(shows_no_secret: NoSecret) -> None:
    check_refused(FileCache("/"), "is a directory", shows_no_secret)


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_symlink_is_refused(tmp_path: Path, target: str, shows_no_secret: NoSecret) -> None:
    (tmp_path / "there").write_text("someone else's")
    path = tmp_path / "sessions.json"
    path.symlink_to(tmp_path / target)
    check_refused(FileCache(path), "is a symbolic link", shows_no_secret)
    assert path.is_symlink()
    assert names_in(tmp_path) == {"there", "sessions.json"}
    assert (tmp_path / "there").read_text() == "someone else's"


def test_a_symlink_put_there_at_the_last_moment_is_not_followed(
    kept: FileCache, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_bytes(path.read_bytes())
    real_open = os.open

    def late_open(name: Any, flags: int, mode: int = 0o777) -> int:
        path.unlink()
        path.symlink_to(tmp_path / "there")
        return real_open(name, flags, mode)

    monkeypatch.setattr(os, "open", late_open)
    with pytest.raises(CacheError, match="cannot be read"):
        kept.get("a")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shows_no_secret: NoSecret) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is at most some 100 bytes long
    with socket.socket(socket.AF_UNIX) as there:
        there.bind("sessions.json")
        check_refused(FileCache("sessions.json"), "is not a regular file", shows_no_secret)


def test_a_file_where_the_folder_should_be(tmp_path: Path, shows_no_secret: NoSecret) -> None:
    (tmp_path / "app").write_text("a file")
    check_refused(FileCache(tmp_path / "app" / "sessions.json"), "Not a directory", shows_no_secret)


def test_a_folder_that_cannot_be_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", failing_with(errno.EROFS))
    with pytest.raises(CacheError, match="cannot be written: Read-only file system"):
        FileCache(path).put("a", Credentials("s", "t"))


def test_an_unreadable_file(
    kept: FileCache, path: Path, monkeypatch: pytest.MonkeyPatch, shows_no_secret: NoSecret
) -> None:
    before = path.read_bytes()
    monkeypatch.setattr(os, "open", failing_with(errno.EACCES))
    check_refused(kept, "Permission denied", shows_no_secret)
    assert path.read_bytes() == before


def test_an_error_without_a_text_is_named(kept: FileCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise TimeoutError

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(CacheError, match="cannot be read: TimeoutError"):
        kept.get("a")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(
    *,
    kept: FileCache,
    path: Path,
    step: str,
    credentials: Credentials,
    monkeypatch: pytest.MonkeyPatch,
    shows_no_secret: NoSecret,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing_with(errno.ENOSPC))
        with pytest.raises(CacheError, match="cannot be written: No space left on device") as caught:
            kept.put("a", Credentials("new-S3CRET", "new-S3CRET"))
        shows_no_secret(caught.value)
        with pytest.raises(CacheError, match="No space left"):
            kept.remove("a")
    assert names_in(path.parent) == {"sessions.json", "sessions.json.lock"}
    assert kept.get("a") == credentials


def test_a_write_cut_short_by_the_system_leaves_what_was_there(kept: FileCache, path: Path) -> None:
    before = path.read_bytes()
    code = (
        "import resource, sys\n"
        "from rxsdk.cache import Credentials, FileCache\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))\n"
        "try:\n"
        "    FileCache(sys.argv[1]).put('a', Credentials('S3CRET' * 50, 'S3CRET' * 50))\n"
        "finally:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert run.stderr.strip().endswith(f"credential cache {path}: cannot be written: File too large")
    assert "S3CRETS3CRET" not in run.stderr
    assert path.read_bytes() == before
    assert names_in(path.parent) == {"sessions.json", "sessions.json.lock"}


def test_an_interrupt_leaves_what_was_there(
    kept: FileCache, path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        kept.put("b", Credentials("s", "t"))
    assert names_in(path.parent) == {"sessions.json", "sessions.json.lock"}
    assert kept.get("a") == credentials


def test_a_temporary_file_that_cannot_be_taken_away_hides_no_error(
    kept: FileCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish_then_fail(_: int) -> None:
        monkeypatch.setattr(Path, "unlink", failing_with(errno.EACCES))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", vanish_then_fail)
    with pytest.raises(CacheError, match="No space left on device"):
        kept.put("b", Credentials("s", "t"))
