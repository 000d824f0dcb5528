"""`SeenFile`: the ids of events that were handed over, kept in a file of the user's alone.

A leaf; imports only `rxsdk.errors` and its neighbour `private`. All or nothing: a reader finds the ids of one `save`,
whatever happened while the next was written. One process at a time writes; another waits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from rxsdk.cache.private import (
    failing_as,
    locked,
    make_private_folder,
    read_private,
    reading,
    replace_private,
    set_aside,
)

__all__ = ["SeenFile"]

_log = logging.getLogger("rxsdk.cache")


class SeenFile:
    """The ids in ``path``, mode 0600; the folder is made when it is missing."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def load(self) -> list[int]:
        """What was saved last, the oldest first; nothing when there is no file.

        A file that is none of ours is set aside, with a warning: then events may be handed over again.

        Raises:
            CacheError: it cannot be read.
        """
        with failing_as(self._path, "read"):
            if not self._path.parent.is_dir():
                return []
            with reading(self._path):
                content = read_private(self._path)
            if content is None:
                return []
            try:
                ids = json.loads(content)
            except (ValueError, RecursionError):
                ids = None
            if isinstance(ids, list) and all(type(each) is int for each in ids):
                return ids
            with locked(self._path):
                aside = set_aside(self._path)
        _log.warning("%s holds no ids of events; it is %s now", self._path, aside)
        return []

    def save(self, ids: Iterable[int]) -> None:
        """Put ``ids`` in place of what was there.

        Raises:
            CacheError: it cannot be written.
        """
        content = json.dumps(list(ids)).encode()
        with failing_as(self._path, "written"):
            make_private_folder(self._path.parent)
            with locked(self._path):
                replace_private(self._path, lambda: content)
