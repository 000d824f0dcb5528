"""Calls with files on an emulator, and what of them is stored there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rxsdk import (
    ApiService,
    Call,
    CallCancelled,
    CallOutcomeUnknown,
    File,
    ReconnectPolicy,
    RxSdkError,
    UploadProgress,
)
from rxsdk.emulator import Emulator
from rxsdk.emulator.modules import Module, standard_methods
from rxsdk.emulator.schema import Attr
from rxsdk.emulator.server import Server
from rxsdk.testing import FakeClock

FAST = ReconnectPolicy(base_s=0.001, cap_s=0.02)
CHUNK = 1000

_FILE = Attr("FILE", default=None)
ARCHIVE = Module(
    "archive",
    {
        "title": Attr("STR"),
        "many": Attr("LIST", default=[], items=(Attr("FILE"),)),
        **dict.fromkeys(("file", *(f"file{number}" for number in range(20))), _FILE),
    },
    standard_methods(),
)


def archive_emulator(**settings: Any) -> Emulator:
    """One whose module ``archive`` takes any file: ``file``, ``many``, ``file0`` … ``file19``."""
    return Emulator(modules=[ARCHIVE], **settings)


@contextmanager
def signed_in(emulator: Emulator, *, clock: Any = None, connect: Any = None, **settings: Any) -> Iterator[ApiService]:
    """A service on ``emulator``, the administrator signed in; chunks are small.

    With a ``clock`` of its own it has no heartbeats and no deadlines: while the clock runs ahead of the network, a
    minute in one go, they would all be missed.
    """
    stock: dict[str, Any] = {"reconnect": FAST, "file_chunk_size": CHUNK}
    if clock is not None:
        stock |= {"heartbeat_interval_s": 1e6, "timeout_s": None, "queue_timeout_s": 1e6}
    config = emulator.config(**{**stock, **settings})
    with ApiService(config, clock=clock, connect=connect) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        yield api


def upload(api: ApiService, title: str = "a", **files: Any) -> Call[Any]:
    """The call that stores these."""
    return api.call("archive/create", doc={"title": title, **files})


def content(size: int, first: int = 0) -> bytes:
    """That many bytes, all values among them if it is long enough; another ``first`` gives others."""
    return bytes((first + number * 7 + number // 256) % 256 for number in range(size))


def file(size: int, first: int = 0, name: str = "a.bin") -> File:
    return File(content(size, first), name=name)


def stored(emulator: Emulator) -> dict[str, dict[str, Any]]:
    """The files of each document, by its title and the attribute: bytes, or a list of them."""

    def look(server: Server) -> dict[str, dict[str, Any]]:
        docs = server._backend.docs("archive").docs.values()
        return {doc["title"]: {attr: _content(value) for attr, value in doc.items() if _content(value)} for doc in docs}

    return emulator._on_loop(look)


def _content(value: Any) -> Any:
    if isinstance(value, list):
        return [_content(item) for item in value]
    return bytes(value["content"]) if isinstance(value, dict) and "content" in value else None


def outcome(call: Call[Any]) -> RxSdkError | None:
    """The error it ended with; it has to end."""
    try:
        call.result(20)
    except RxSdkError as error:
        return error
    return None


def check_stored(there: dict[str, Any] | None, wanted: dict[str, Any], error: RxSdkError | None) -> None:
    """What is stored is right or absent, and the outcome says which."""
    if error is None:
        assert there == wanted
    elif isinstance(error, CallOutcomeUnknown) or (isinstance(error, CallCancelled) and error.written):
        assert there in (None, wanted)
    else:
        assert there is None, error


class Watcher:
    """Notes the progress of a call to its end."""

    def __init__(self, call: Call[Any]) -> None:
        self.seen: list[UploadProgress] = []
        self._over = threading.Event()
        call.progress.subscribe(self.seen.append, on_completed=self._over.set)

    @property
    def is_over(self) -> bool:
        """Whether the last has been told."""
        return self._over.is_set()

    def all(self) -> list[UploadProgress]:
        """Everything that was told."""
        assert self._over.wait(20), "the progress did not end"
        return self.seen

    @property
    def phases(self) -> list[str]:
        """The phases told so far, each as often as it began."""
        phases: list[str] = [one.phase for one in self.seen]
        return [phase for phase, before in zip(phases, ["", *phases], strict=False) if phase != before]


def next_phase(clock: FakeClock, watcher: Watcher) -> str:
    """The phase that is told next; it has been told something before."""
    clock.advance(0.06)  # what is told comes at most so often
    return watcher.seen[-1].phase
