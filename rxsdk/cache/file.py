"""`FileCache`: credentials in a JSON file that only its owner may read.

A leaf; the handling of the file is in `rxsdk.cache.private`, its form in `rxsdk.cache.written`. A change
reads and writes under one lock; a read takes no lock on POSIX, since the file is only ever replaced whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rxsdk.cache import private
from rxsdk.cache.contract import CredentialCache, Credentials
from rxsdk.cache.written import read_scopes, write_scopes

__all__ = ["FileCache"]

_log = logging.getLogger("rxsdk.cache")


class FileCache(CredentialCache):
    """Keeps the credentials of any number of scopes in the file at ``path`` (``~`` is the user's home).

    The file has mode 0600 from its first byte on. One found with a wider mode is narrowed, with a warning;
    where that fails (another owner, a file system without modes) it is not used. Missing folders are made
    with mode 0700 at the first `put`. A change replaces the file at once and whole, or not at all. Any
    number of threads and processes may use the file: each change waits for the one before it, at most 10 s.

    A file that is corrupt or not of rxsdk is renamed to ``NAME.corrupt-N``, with a warning, and taken for
    empty. A symbolic link, a directory or a device at ``path`` is refused and left alone. The warnings go
    to the logger ``rxsdk.cache`` and name the file, never what is in it.

    On Windows there are no modes: the file is as private as its folder, so keep it in the user's profile.
    There a change is all or nothing too, but only the threads of one process wait for each other: when two
    processes write at the same moment, the last one wins or one of them gets a `CacheError`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.expanduser(path)).absolute()

    def __repr__(self) -> str:
        return f"FileCache({str(self.path)!r})"

    def get(self, scope: str) -> Credentials | None:
        """Return what is kept under ``scope``, None when there is nothing (or no file).

        Raises:
            CacheError: the file cannot be read, or ``path`` is not a file.
        """
        return self._kept().get(scope)

    def put(self, scope: str, credentials: Credentials) -> None:
        """Keep ``credentials`` under ``scope``, in place of what was there.

        Raises:
            CacheError: the file cannot be read or written; it is as it was.
        """
        with self._changing() as kept:
            kept[scope] = credentials

    def remove(self, scope: str) -> None:
        """Forget what is kept under ``scope``. Nothing there is fine, and then nothing is written.

        Raises:
            CacheError: the file cannot be read or written; it is as it was.
        """
        if scope in self._kept():
            with self._changing() as kept:
                kept.pop(scope, None)

    def _kept(self) -> dict[str, Credentials]:
        with private.failing_as(self.path, "read"):
            with private.reading(self.path):
                kept = read_scopes(private.read_private(self.path) or b"")
            if kept is None:
                with private.locked(self.path):
                    kept = self._kept_under_lock()
            return kept

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Credentials]]:
        with private.failing_as(self.path, "written"):
            private.check_place(self.path)  # before a folder or a lock file is made beside it
            private.make_private_folder(self.path.parent)
            with private.locked(self.path):
                kept = self._kept_under_lock()
                yield kept
                private.replace_private(self.path, lambda: write_scopes(kept))

    def _kept_under_lock(self) -> dict[str, Credentials]:
        with private.failing_as(self.path, "read"):
            kept = read_scopes(private.read_private(self.path) or b"")
        if kept is None:
            with private.failing_as(self.path, "set aside"):
                aside = private.set_aside(self.path)
            _log.warning("credential cache %s: not a sound file of rxsdk; set aside as %s", self.path, aside.name)
        return kept or {}
