"""`FileCache` used by several threads and processes at a time, and how it does without POSIX locks."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rxsdk.cache import Credentials, FileCache, private
from rxsdk.errors import CacheError

WRITERS = 8
ROUNDS = 12


def change_often(path: Path, writer: int) -> None:
    """Put, read back and remove again in scopes of one's own; leave the last one."""
    cache = FileCache(path)
    for number in range(ROUNDS):
        mine = Credentials(f"sid-{writer}", f"token-{number}")
        cache.put(f"{writer}", mine)
        cache.put(f"{writer}-passing", mine)
        assert cache.get(f"{writer}") == mine
        cache.remove(f"{writer}-passing")
        assert cache.get(f"{writer}-passing") is None


def check_all_there(path: Path, credentials: Credentials) -> None:
    cache = FileCache(path)
    assert cache.get("before") == credentials
    for writer in range(WRITERS):
        assert cache.get(f"{writer}") == Credentials(f"sid-{writer}", f"token-{ROUNDS - 1}")
    assert not list(path.parent.glob("*.corrupt-*")) + list(path.parent.glob("*.tmp"))


@pytest.fixture
def path(tmp_path: Path, credentials: Credentials) -> Path:
    path = tmp_path / "sessions.json"
    FileCache(path).put("before", credentials)
    return path


def test_threads_lose_nothing_of_each_other(path: Path, credentials: Credentials) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda writer: change_often(path, writer), range(WRITERS)))
    check_all_there(path, credentials)


def test_processes_lose_nothing_of_each_other(path: Path, credentials: Credentials) -> None:
    code = "import sys; from pathlib import Path; from test_cache_file_sharing import change_often; "
    code += "change_often(Path(sys.argv[1]), int(sys.argv[2]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(writer)], env=environment)
        for writer in range(WRITERS)
    ]
    assert [process.wait() for process in running] == [0] * WRITERS
    check_all_there(path, credentials)


def test_a_writer_waits_for_the_one_before_it(path: Path) -> None:
    held = os.open(f"{path}.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    writer = threading.Thread(target=FileCache(path).put, args=("late", Credentials("s", "t")))
    writer.start()
    writer.join(0.05)
    assert writer.is_alive()
    assert FileCache(path).get("late") is None  # a reader waits for nobody
    os.close(held)
    writer.join()
    assert FileCache(path).get("late") == Credentials("s", "t")


def test_a_writer_does_not_wait_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "LOCK_WAIT_S", 0.02)
    held = os.open(f"{path}.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(CacheError, match=r"another writer kept it locked for 0\.02 s") as caught:
        FileCache(path).put("late", Credentials("s", "t"))
    assert caught.value.place == str(path)
    os.close(held)
    FileCache(path).put("late", Credentials("s", "t"))


def test_a_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(CacheError, match="cannot be written: No locks available"):
        FileCache(path).put("late", Credentials("s", "t"))


def test_the_lock_is_given_back_after_a_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(CacheError):
            FileCache(path).put("a", Credentials("s", "t"))
    monkeypatch.setattr(private, "LOCK_WAIT_S", 0.02)
    FileCache(path).put("a", Credentials("s", "t"))
    assert FileCache(path).get("a") == Credentials("s", "t")


def test_a_child_forked_during_a_write_keeps_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inherited: list[int] = []
    real_open = os.open

    def open_and_fork(name: Any, flags: int, mode: int = 0o777) -> int:
        fd = real_open(name, flags, mode)
        if str(name).endswith(".lock"):
            inherited.append(os.dup(fd))  # shares the lock, as a forked child's descriptor does
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_and_fork)
        FileCache(path).put("a", Credentials("s", "t"))
    monkeypatch.setattr(private, "LOCK_WAIT_S", 0.02)
    FileCache(path).put("b", Credentials("s", "t"))
    assert FileCache(path).get("b") == Credentials("s", "t")
    os.close(*inherited)


# Without fcntl, as on Windows


def test_without_fcntl_a_reader_waits_for_the_writer(
    path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "fcntl", None)
    with ThreadPoolExecutor(1) as pool:
        with private.locked(path):
            reader = pool.submit(FileCache(path).get, "before")
            with pytest.raises(TimeoutError):
                reader.result(0.05)
        assert reader.result() == credentials


def test_without_fcntl_threads_still_wait_for_each_other(
    path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(f"{path}.lock").unlink()
    monkeypatch.setattr(private, "fcntl", None)
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda writer: change_often(path, writer), range(WRITERS)))
    check_all_there(path, credentials)
    assert not Path(f"{path}.lock").exists()


def test_without_fcntl_a_corrupt_file_is_set_aside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "fcntl", None)
    path.write_bytes(b"corrupt")
    assert FileCache(path).get("before") is None
    assert Path(f"{path}.corrupt-1").read_bytes() == b"corrupt"


def test_the_module_is_imported_without_fcntl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    spec = importlib.util.spec_from_file_location("private_on_windows", private.__file__)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.fcntl is None
