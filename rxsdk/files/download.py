"""`Download`: a file of the server on its way to a file here.

Floor 2. It is written beside its target under another name and moved there when it is whole, so that whoever looks at
the target sees the old file, or none, or the new one. A transfer that breaks off goes on where it was if the server
offers ranges and says how to know the file again (``ETag`` or ``Last-Modified``), also in a later call: then what
there is stays, beside the target. Else it starts over, and what there was is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from rxsdk.core.clock import done_within
from rxsdk.errors import CallCancelled, CallNotSent, CallOutcomeUnknown, DownloadError, InvalidCall
from rxsdk.files.disk import opened
from rxsdk.files.http import HttpFiles
from rxsdk.reactive.call import Outcome
from rxsdk.reactive.life import Life
from rxsdk.reactive.progress import DownloadMeter, DownloadProgress
from rxsdk.reactive.streams import Multicast, Stream

__all__ = ["Download", "fetch_to", "target_of"]

_MOST_TRIES = 5
_PATIENCE_S = 1.0

_under_way: dict[str, _Transfer] = {}


class Download(Outcome[Path]):
    """A file on its way; the answer is its path, once it is there whole.

    ``cancel()``, or disposing the last subscription, ends it.
    """

    def __init__(self, life: Life, name: str, fetch: Callable[[DownloadMeter], Coroutine[Any, Any, Path]]) -> None:
        super().__init__("file/download", life.dispatcher, self._cancelled)
        self._life = life
        self._task: asyncio.Task[None] | None = None
        self.progress_source: Multicast[DownloadProgress] = Multicast(life.dispatcher, keep_latest=True)
        if life.still_open():
            self._meter = DownloadMeter(self.progress_source, life.clock, name)
            life.on_loop(self._begin, partial(fetch, self._meter))
        else:
            self.progress_source.complete()
            self.fail(CallNotSent(self.endpoint, life.why_closed))

    @property
    def progress(self) -> Stream[DownloadProgress]:
        """How far it has come: hot, the latest replayed, at most 20 a second, a first and a last always."""
        return self.progress_source

    def _begin(self, work: Callable[[], Coroutine[Any, Any, Path]]) -> None:
        if self._life.is_open:
            self._task = self._life.spawn(self._run(work), "rxsdk download", self._cut_off)
            self._task.add_done_callback(lambda _: self._cut_off())  # it may have been cancelled before its first step
        else:
            self._meter.end("failed")
            self.fail(CallNotSent(self.endpoint, self._life.why_closed))

    async def _run(self, work: Callable[[], Coroutine[Any, Any, Path]]) -> None:
        try:
            path = await work()
        except Exception as error:
            self._meter.end("failed")
            self.fail(error)
        else:
            self._meter.end("done")
            self.reply(path, final=True)

    def _cut_off(self) -> None:
        self._meter.end("failed")
        if self._life.is_open:
            self.fail(CallCancelled(self.endpoint, written=True))
        else:
            self.fail(CallOutcomeUnknown(self.endpoint, self._life.why_closed))

    def _cancelled(self, _: Download, __: bool) -> None:
        if self._life.is_open:
            self._life.on_loop(Download._cancel_here, self)

    def _cancel_here(self) -> None:
        if self._task is not None:
            self._task.cancel()


def target_of(path: str | Path, name: str) -> Path:
    """The file to write: ``path``, or ``name`` in the folder ``path``.

    Raises:
        InvalidCall: there is no such folder, or ``name`` would leave it.
    """
    endpoint = "file/download"
    try:
        return _target_of(endpoint, Path(path), name)
    except InvalidCall:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise InvalidCall(endpoint, "path", f"cannot be written: {error}") from error


def _target_of(endpoint: str, target: Path, name: str) -> Path:
    if target.is_dir():
        if name in ("", ".", "..") or any(sign in name for sign in "/\\\0") or Path(name).name != name:
            raise InvalidCall(endpoint, "name", f"{name!r} would leave the folder; give the whole path of a file")
        target /= name
    if target.exists() and not target.is_file():  # it would be replaced, a device by a file
        raise InvalidCall(endpoint, "path", f"{target} is {'a directory' if target.is_dir() else 'no regular file'}")
    if not target.parent.is_dir():
        raise InvalidCall(endpoint, "path", f"there is no folder {target.parent}")
    return target


async def fetch_to(life: Life, http: HttpFiles, url: str, target: Path, meter: DownloadMeter) -> Path:
    """Fetch ``url`` into ``target``.

    Raises:
        DownloadError: the server refused or cannot be reached, or the file here cannot be written.
    """
    transfer = _Transfer(http, url, target, meter)
    tries = furthest = 0
    try:
        while True:
            try:
                await transfer.go_on()
                return await asyncio.to_thread(transfer.finish)
            except DownloadError as error:
                tries = 1 if transfer.received > furthest else tries + 1
                furthest = max(furthest, transfer.received)
                if error.status is not None or tries >= _MOST_TRIES:
                    raise
                await done_within(life.clock, _PATIENCE_S, asyncio.get_running_loop().create_future())
    except OSError as error:
        raise DownloadError(url, f"cannot write {target}: {error.strerror or error}") from error
    finally:
        transfer.let_go()


class _Transfer:
    """One file on its way, over one answer or several."""

    def __init__(self, http: HttpFiles, url: str, target: Path, meter: DownloadMeter) -> None:
        self._http = http
        self._url = url
        self._target = target
        self._meter = meter
        self._part: Path | None = None
        self._known_by: str | None = None  # the ETag or date by which the server knows the file again
        self._total: int | None = None
        self.received = 0

    async def go_on(self) -> None:
        """Fetch what is still missing, or all of it."""
        if self._known_by is None:
            async with self._http.get(self._url) as response:
                self._begin(response)
                if not self.received:
                    await self._take(response)
        while self._total is None or self.received < self._total:
            if self._known_by is None:
                return
            headers = {"Range": f"bytes={self.received}-", "If-Range": self._known_by}
            async with self._http.get(self._url, headers) as response:
                if response.status_code == 200:  # it is another file by now
                    self._begin(response)
                elif not response.headers.get("Content-Range", "").startswith(f"bytes {self.received}-"):
                    self._known_by = None
                    raise DownloadError(self._url, f"another range came than the one from byte {self.received:,} on")
                await self._take(response)

    def _begin(self, response: Any) -> None:
        self._known_by = None
        self._drop_part()  # of no use: this answer begins anew
        headers = response.headers
        encoded = "Content-Encoding" in headers
        length = headers.get("Content-Length", "")
        self._total = int(length) if length.isdigit() and not encoded else None
        etag, date = headers.get("ETag", ""), headers.get("Last-Modified", "")
        known_by = date if etag.startswith("W/") or not etag else etag
        offers = headers.get("Accept-Ranges", "").lower() == "bytes" and not encoded
        self._known_by = known_by if offers and self._total and known_by else None
        self._choose_part()
        self._meter.begins(self._total, self.received)

    def _choose_part(self) -> None:
        """Where it is written meanwhile: what an earlier try left of the very same file is taken up."""
        told = f"{self._url}\n{self._known_by}\n{self._total}" if self._known_by else os.urandom(16).hex()
        part = self._target.with_name(f".{hashlib.sha256(told.encode()).hexdigest()[:24]}.part")
        # Asked and told in one step: another call, perhaps of another thread's loop, may be at it at this moment.
        if _under_way.setdefault(str(part), self) is not self:
            part = part.with_suffix(f".{os.urandom(4).hex()}.part")
            _under_way[str(part)] = self
        self._part = part
        self.received = 0
        if self._known_by and part.exists() and part.stat().st_size <= (self._total or 0):
            self.received = part.stat().st_size
        else:
            part.write_bytes(b"")

    async def _take(self, response: Any) -> None:
        assert self._part is not None
        async with opened(self._part, "ab", _open_existing) as file:
            async for piece in response.aiter_bytes():
                await file.write(piece)
                self.received += len(piece)
                self._meter.received(len(piece))

    def finish(self) -> Path:
        """Move it to its place."""
        part = self._part
        assert part is not None
        if self._total is not None and part.stat().st_size != self._total:
            size = part.stat().st_size
            self._known_by = None
            raise DownloadError(self._url, f"{size:,} bytes came, {self._total:,} were announced")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, self._target)
        return self._target

    def let_go(self) -> None:
        """It is over; what may be gone on with later stays."""
        self._drop_part()

    def _drop_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            del _under_way[str(part)]
            if self._known_by is None:
                with suppress(OSError):
                    part.unlink()


def _open_existing(path: str, flags: int) -> int:
    """Make no file: one that is opened as its download is cancelled may be removed by then, and would come back."""
    return os.open(path, flags & ~os.O_CREAT)
