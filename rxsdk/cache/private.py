"""Files only their owner may read: reading, replacing and setting aside one of them, and the lock around it.

A leaf; imports only `rxsdk.errors` and the standard library. Used by `FileCache`. Its functions raise
`OSError` as the system gives it, to be mapped by `failing_as`; what the system has no good words for is a
`CacheError`.

Beside ``NAME`` stand ``NAME.lock`` (empty; it stays, because taking it away would let two writers in), for a
moment ``NAME.tmp``, and ``NAME.corrupt-1``, ``-2`` … for what was set aside.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from rxsdk.errors import CacheError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "check_place",
    "failing_as",
    "locked",
    "make_private_folder",
    "read_private",
    "reading",
    "replace_private",
    "set_aside",
]

LOCK_WAIT_S = 10.0
"""How long a writer waits for another one: far more than a write takes, far less than for ever."""
LOCK_POLL_S = 0.005

_log = logging.getLogger("rxsdk.cache")
_threads = threading.Lock()  # used on Windows only: held over a fork it would stop the child for ever


@contextmanager
def failing_as(path: Path, done: str) -> Iterator[None]:
    """Turn an `OSError` into a `CacheError` that says ``path`` "cannot be" ``done``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CacheError(str(path), f"cannot be {done}: {reason}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other writers of ``path`` out: threads and processes on POSIX, only threads on Windows."""
    if fcntl is None:
        with _threads:
            yield
        return
    fd = _open_private(_beside(path, "lock"), os.O_RDWR | os.O_CREAT)
    try:
        _wait_for_lock(fd, path)
        try:
            yield
        finally:
            # Not left to close: a child forked meanwhile holds the lock file open too.
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def reading(path: Path) -> AbstractContextManager[object]:
    """Return what to hold while ``path`` is read: on Windows a file that is open cannot be replaced."""
    return locked(path) if fcntl is None else nullcontext()


def _wait_for_lock(fd: int, path: Path) -> None:
    give_up_at = time.monotonic() + LOCK_WAIT_S
    while time.monotonic() < give_up_at:
        with suppress(BlockingIOError):
            # Each caller opened the lock file anew, so flock keeps out threads as well as processes.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOCK_POLL_S)
    raise CacheError(str(path), f"another writer kept it locked for {LOCK_WAIT_S:g} s")


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, each for its owner alone; leave what is there."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(0o700, exist_ok=True)


def check_place(path: Path) -> bool:
    """Return whether a file is at ``path``; raise `CacheError` when it is anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise CacheError(str(path), "is a symbolic link; give the path of the file itself")
    if stat.S_ISDIR(mode):
        raise CacheError(str(path), "is a directory; give the path of a file")
    if not stat.S_ISREG(mode):
        raise CacheError(str(path), "is not a regular file")
    return True


def read_private(path: Path) -> bytes | None:
    """Return the content of ``path``, None when there is no file; narrow its mode to 0600."""
    if not check_place(path):
        return None
    try:
        with open(path, "rb", opener=_open_private) as file:
            if _take_from_others(file.fileno()):
                _log.warning("credential cache %s: others could read it; its mode is 0600 now", path)
            return file.read()
    except FileNotFoundError:  # set aside by another process since we looked
        return None


def replace_private(path: Path, content: Callable[[], bytes]) -> None:
    """Put what ``content`` returns in the place of ``path``, all or nothing. Hold the lock.

    The content itself is never a local variable, because some reports of errors show those.
    """
    temporary = _beside(path, "tmp")
    temporary.unlink(missing_ok=True)  # left by a process that was killed
    try:
        with open(temporary, "xb", opener=_open_private) as file:
            _take_from_others(file.fileno())
            file.write(content())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def set_aside(path: Path) -> Path:
    """Rename ``path`` to the first free ``NAME.corrupt-N`` and return that. Hold the lock."""
    number = 1
    while os.path.lexists(aside := _beside(path, f"corrupt-{number}")):
        number += 1
    os.rename(path, aside)
    return aside


def _beside(path: Path, suffix: str) -> Path:
    return Path(f"{path}.{suffix}")


def _open_private(path: str | Path, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)  # Windows has no O_NOFOLLOW


def _take_from_others(fd: int) -> bool:
    """Make the open file 0600, whatever it was; return whether others could use it."""
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    if fcntl is None or mode == 0o600:
        return False
    os.fchmod(fd, 0o600)
    return bool(mode & 0o077)
