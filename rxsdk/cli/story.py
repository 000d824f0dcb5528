"""What the steps of ``rxsdk demo`` share: `Story`, and the few ways to wait and to look.

Part of the command line; knows the SDK and the screen, not the steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reactivex import operators as ops

from rxsdk import ApiService, Call, Doc, Res, SDKConfig, Stream
from rxsdk.cli.show import Screen
from rxsdk.cli.tap import Received, Sent, WireTap
from rxsdk.secret import Secret

__all__ = ["Step", "StepFailed", "StepSkipped", "Story", "check", "first", "within"]

PATIENCE_S = 10.0
"""How long a step waits for something that nobody answers for: a watch's message, the connection's return."""

T = TypeVar("T")


class StepFailed(Exception):
    """Something was not as it should be; the text says what."""


class StepSkipped(Exception):
    """A step that this server does not allow, and that the story goes on without."""


@dataclass(frozen=True)
class Step:
    """One step of the story: ``run`` returns what it proved, or raises."""

    title: str
    code: str
    run: Callable[[Story], Awaitable[str]]


class Story:
    """What the steps share: the server, the service, and what they have found out so far.

    Args:
        config: the server.
        email, password: who signs in.
        photo: the image to upload.
        cut: cuts the connection from the server's side; None when nobody can, as with a real server.
    """

    def __init__(
        self,
        config: SDKConfig,
        *,
        email: str,
        password: str,
        photo: Path,
        screen: Screen,
        cut: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.email = email
        self.password = password
        self.photo = photo
        self.cut = cut
        self.screen = screen
        for secret in (Secret(config.anon_token).reveal(), password):
            screen.hide(secret)
        tap = WireTap(self._show, screen.hide)
        self.api = ApiService(config, connect=tap.connect(config))
        self.is_told = True
        self.doc_id = ""
        self.watch_is_over = False
        self._changes: asyncio.Queue[Res[Doc] | Exception] = asyncio.Queue()

    @property
    def is_emulated(self) -> bool:
        """Whether the server is ours, so that everything must work."""
        return self.cut is not None

    @property
    def by_id(self) -> list[Doc]:
        """The query for the document of the story."""
        return [{"_id": self.doc_id}]

    def _show(self, frame: Sent | Received) -> None:
        if not self.is_told:
            return
        if isinstance(frame, Sent):
            self.screen.sent(frame)
        else:
            self.screen.received(frame)

    # -- the watch

    def listen(self, watch: Call[Res[Doc]]) -> None:
        """Put every message of ``watch`` where `change` finds it."""

        def over() -> None:
            self.watch_is_over = True

        watch.subscribe(self._changes.put_nowait, self._changes.put_nowait, over)

    async def change(self, what: str, fits: Callable[[str, Doc], bool]) -> None:
        """Wait until the watch tells of a change of the story's document that ``fits(oper, doc)``."""

        async def find() -> None:
            while True:
                res = await self._changes.get()
                if isinstance(res, Exception):
                    raise res
                docs = (doc for doc in res.docs if doc.get("_id") == self.doc_id)
                if any(fits(res.args.get("oper", ""), doc) for doc in docs):
                    return

        await within(find(), f"the watch did not tell of the {what}")

    async def read(self) -> Doc | None:
        """The story's document as the server has it now."""
        docs = (await self.api.call("staff/read", query=self.by_id)).docs
        check(len(docs) <= 1, f"one id, {len(docs)} documents")
        return docs[0] if docs else None

    async def tidy(self) -> None:
        """After a failure: take the document back from a server that is not ours."""
        if self.doc_id and not self.is_emulated and self.api.inited and self.api.authed:
            self.screen.note("Removing the document again.")
            await self.api.call("staff/delete", query=self.by_id, timeout_s=PATIENCE_S)


def check(fact: bool, otherwise: str) -> None:
    """Raise `StepFailed` unless ``fact``."""
    if not fact:
        raise StepFailed(otherwise)


async def within(wait: Awaitable[T], otherwise: str) -> T:
    """What ``wait`` gives, or `StepFailed` when that takes too long."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await wait
    except TimeoutError:
        raise StepFailed(f"{otherwise} within {PATIENCE_S:g} s") from None


def first(stream: Stream[T], fits: Callable[[T], bool]) -> asyncio.Task[T]:
    """The first value of ``stream`` that fits, from now on."""
    wanted: Stream[T] = stream.pipe(ops.first(fits))

    async def wait() -> T:
        return await wanted

    return asyncio.get_running_loop().create_task(wait())
