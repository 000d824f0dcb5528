"""The machine, played by hand, and calls with files on their way through an `Uploader`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from rxsdk.errors import (
    CallError,
    CallOutcomeUnknown,
    RxSdkError,
)
from rxsdk.files import File
from rxsdk.files.sources import take_files
from rxsdk.files.uploader import Uploader
from rxsdk.protocols.limp.request import Progress, Request
from tests.core.fakes import turns, until

CHUNK = 4


class Caller:
    """Who made the call: hears of its end."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.errors: list[RxSdkError] = []
        self.completed = False

    def reply(self, answer: Any, *, final: bool) -> None:
        self.replies.append(answer)

    def fail(self, error: RxSdkError) -> None:
        self.errors.append(error)

    def complete(self) -> None:
        self.completed = True


class Wire:
    """Plays the machine: holds what was submitted, and answers as the test wants."""

    def __init__(self) -> None:
        self.submitted: list[Request] = []
        self.withdrawn: list[tuple[Request, CallError]] = []
        self.online = True
        self.uploader = Uploader(self._submit, self._withdraw, CHUNK)

    def _submit(self, request: Request) -> None:
        self.submitted.append(request)
        if self.online:
            self.write(request)

    def _withdraw(self, request: Request, error: CallError) -> None:
        self.withdrawn.append((request, error))
        self.fail(error, request)

    def write(self, request: Request) -> None:
        request.progress, request.written_at = Progress.WRITTEN, 1.0

    def answer(self, msg: str, request: Request | None = None, *, final: bool = True) -> None:
        request = request or self.submitted[-1]
        request.progress = Progress.ENDED
        request.listener.reply(SimpleNamespace(status=200, msg=msg), final=final)

    def fail(self, error: RxSdkError, request: Request | None = None) -> None:
        request = request or self.submitted[-1]
        request.progress = Progress.ENDED
        listener, request.listener = request.listener, None
        if listener is not None:
            listener.fail(error)

    def lose(self) -> None:
        """The connection is gone, as the service tells it: first that, then what it means for each request."""
        self.uploader.connection_lost()
        for request in self.submitted:
            if request.progress is Progress.WRITTEN:
                self.fail(CallOutcomeUnknown(request.endpoint, "connection lost"), request)

    @property
    def shown(self) -> list[str]:
        """What was submitted: ``attr[index]#chunk/total`` for chunks, else the endpoint."""
        return [shown(request) for request in self.submitted]

    async def has(self, count: int) -> None:
        """``count`` requests were submitted, and no more are to come for now."""
        await until(lambda: len(self.submitted) >= count)
        await turns()
        assert len(self.submitted) == count

    async def accept_all(self) -> None:
        """Accept every chunk until the call itself is there."""
        seen = len(self.submitted) - 1
        while self.submitted[seen].endpoint == "file/upload":
            chunk = json.loads(self.submitted[seen].doc)
            self.answer("Last chunk accepted" if chunk["chunk"] == chunk["total"] else "Chunk accepted")
            seen += 1
            await until(lambda: len(self.submitted) > seen)  # noqa: B023


def shown(request: Request) -> str:
    if request.endpoint != "file/upload":
        return request.endpoint
    doc = json.loads(request.doc)
    return f"{doc['attr']}[{doc['index']}]#{doc['chunk']}/{doc['total']}"


class Job:
    """One call with files, being uploaded."""

    def __init__(self, wire: Wire, doc: dict[str, Any], **settings: Any) -> None:
        self.wire = wire
        self.caller = Caller()
        self.call = Request("staff/create", idempotent=True, timeout_s=5.0, **settings)
        self.call.listener = self.caller
        _, uploads = take_files(doc)
        self.task = asyncio.ensure_future(wire.uploader.run(self.call, uploads))

    async def error(self) -> Any:
        await asyncio.wait([self.task], timeout=5)
        return self.task.exception()


def file(size: int = 10, name: str = "a.bin") -> File:
    return File(bytes(range(size)), name=name, last_modified_ms=7)


def play(scene: Callable[[Wire], Awaitable[None]]) -> None:
    async def run() -> None:
        wire = Wire()
        await scene(wire)
        await turns()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def refused(wire: Wire, *attrs: str) -> bool:
    return wire.uploader.refusal("staff/update", attrs) is not None
