"""`nothing_left_over`: holds that what runs inside leaves nothing behind and complains of nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from tests.conftest import wait_until

__all__ = ["ThreadsAndFiles", "nothing_left_over", "open_files", "our_threads"]

FILES = "/proc/self/fd"
_OF_OTHERS = ("asyncio_", "ThreadPoolExecutor")  # pools, whose idle threads stay with their loop


class _Complaints(logging.Handler):
    """Warnings and errors that were logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        is_of_emulator = record.name.startswith("aiohttp")  # about clients that went away
        is_told_loss = (record.name, record.levelno) == ("rxsdk.connection", logging.WARNING)
        if is_of_emulator or is_told_loss:
            return
        self.texts.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}".strip())


@functools.cache
def _prime() -> None:
    """uvloop keeps one pair of pipes for the whole process, from its first loop on: those are nobody's left-over."""
    if find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415

        loop = uvloop.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def open_files() -> int:
    """How many file descriptors are open; 0 where the system does not say."""
    return len(os.listdir(FILES)) if os.path.isdir(FILES) else 0


def our_threads() -> set[threading.Thread]:
    """The threads that run."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith(_OF_OTHERS)}


class ThreadsAndFiles:
    """What there was before, and the wait until there is no more of it."""

    def __init__(self) -> None:
        _prime()
        self.threads = our_threads()
        self.files = open_files()

    def wait_until_back(self) -> None:
        wait_until(lambda: our_threads() <= self.threads)
        wait_until(lambda: gc.collect() >= 0 and open_files() <= self.files)


@contextlib.contextmanager
def nothing_left_over(*, allow: type[Warning] | None = None) -> Iterator[list[str]]:
    """Fails for a warning, a logged complaint, an exception nobody caught, a thread or file that stays.

    Warnings of the kind ``allow`` go into the list that is given instead.
    """
    before, complaints = ThreadsAndFiles(), _Complaints()
    allowed: list[str] = []

    def complain(unraisable: Any) -> None:
        complaints.texts.append(f"unraisable: {unraisable.exc_value!r}")

    def take(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        (allowed if allow and issubclass(category, allow) else complaints.texts).append(
            f"{category.__name__} {message}"
        )

    root, hooks = logging.getLogger(), (sys.unraisablehook, threading.excepthook)
    root.addHandler(complaints)
    sys.unraisablehook, threading.excepthook = complain, complain
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = take
        try:
            yield allowed
            before.wait_until_back()
        finally:
            root.removeHandler(complaints)
            sys.unraisablehook, threading.excepthook = hooks
    assert complaints.texts == [], complaints.texts


def other_tasks() -> set[asyncio.Task[Any]]:
    """The tasks of this loop but this one."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]
