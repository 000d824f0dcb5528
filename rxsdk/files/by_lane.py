"""`ByLane`: the road of files over the socket: their chunks, then the call itself, all of it by one lane.

Floor 2. The rules (limp.md, "Files"): chunks of a file go in order, a few on their way at a time; the next file begins
when every chunk of the one before is accepted, and the call when all are. A chunk refused for quota was not processed:
with nothing behind it, it is sent again; with something behind it, its file starts over, one chunk at a time. A lost
lane took everything along: all files start over, on another. Whatever else goes wrong ends the call, and the lane
with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rxsdk.core.clock import done_within
from rxsdk.core.long_work import in_turns
from rxsdk.errors import CallError, CallOutcomeUnknown, CallRejected, RemoteProtocolError
from rxsdk.files.job import QUOTA_WINDOW_S, Answer, Job, Refusals, StartsOver
from rxsdk.files.lane import Lane
from rxsdk.files.lanes import Lanes
from rxsdk.files.sources import Buffer, Upload
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.uploads import UPLOAD_ENDPOINT, chunk_count, chunk_doc, chunk_pieces
from rxsdk.reactive.life import Life

__all__ = ["ByLane"]

_SMALL_BLOCK, _LARGE_BLOCK = 1024, 24 * 1024
"""Bytes of a file that are worked on at once, in some 15 and 300 microseconds. Much larger ones leave the cache."""

_QUICK_S = 0.02
"""Answers that take longer are not delayed by a large block so that anybody would notice."""


class _FileSpoiled(Exception):
    """A chunk was refused for quota with others behind it."""


@dataclass
class _Chunk:
    """A chunk on its way."""

    number: int
    content: Buffer
    request: Request
    answer: Answer


@dataclass
class _Transfer:
    """One file on its way by ``lane``, from chunk 1; ``accepted`` counts bytes, ``total`` chunks."""

    job: Job
    lane: Lane
    upload: Upload
    total: int
    accepted: int = 0
    on_their_way: deque[_Chunk] = field(default_factory=deque)


class ByLane:
    """See the module.

    Args:
        chunk_size: bytes. window: chunks of one file on their way.
    """

    def __init__(self, life: Life, lanes: Lanes, *, chunk_size: int, window: int) -> None:
        self._life = life
        self._lanes = lanes
        self._chunk_size = chunk_size
        self._window = window
        self._making = asyncio.Lock()  # one after the other, or each would take its part of every turn

    async def go(self, job: Job) -> Any:
        """See `Road.go`."""
        lane = await self._lanes.take(job.claim, job.request.endpoint, job.request.queue_timeout_s)
        clean = False
        try:
            for upload in job.uploads:
                await self._send_file(job, lane, upload)
            answer = await self._send_call(job, lane)
            clean = True
            return answer
        finally:
            self._lanes.leave(lane, job.claim, clean=clean)

    async def _send_call(self, job: Job, lane: Lane) -> Any:
        refusals = Refusals(job)
        while True:
            await self._may_go(job, lane)
            request = job.request.anew()
            request.may_watch = False  # it would end with the lane
            answer = job.submit(request, lane, refusals)
            try:
                return await self._outcome(lane, request, answer)
            except CallRejected as error:
                job.sent = None
                self._note_refusal(lane, refusals, error)
            except CallOutcomeUnknown as error:
                if not job.request.idempotent:
                    raise
                job.sent, job.was_lost = None, True
                raise StartsOver from error

    # -- one file

    async def _send_file(self, job: Job, lane: Lane, upload: Upload) -> None:
        window = self._window
        while True:
            transfer = _Transfer(job, lane, upload, chunk_count(upload.source.info.size, self._chunk_size))
            try:
                await self._send_chunks(transfer, window)
                return
            except _FileSpoiled:
                window = 1
                job.meter.starts_over(transfer.accepted)
            finally:
                for chunk in transfer.on_their_way:
                    lane.withdraw(chunk.request)

    async def _send_chunks(self, transfer: _Transfer, window: int) -> None:
        number = 0
        chunks = transfer.upload.chunks(self._chunk_size, self._life.clock, transfer.job.request.timeout_s)
        async with aclosing(chunks) as contents:
            async for content in contents:
                number += 1
                while len(transfer.on_their_way) >= window:
                    await self._settle(transfer)
                transfer.on_their_way.append(await self._send_chunk(transfer, number, content))
            while transfer.on_their_way:
                await self._settle(transfer)

    async def _settle(self, transfer: _Transfer) -> None:
        """Return when the oldest chunk on its way is accepted."""
        lane, refusals = transfer.lane, Refusals(transfer.job)
        while True:
            chunk, *behind = transfer.on_their_way
            try:
                res = await self._outcome(lane, chunk.request, chunk.answer)
            except CallRejected as error:
                self._note_refusal(lane, refusals, error)
                if behind:  # their answers are not waited for: behind a missing chunk 1 the server gives none
                    raise _FileSpoiled from error
                transfer.on_their_way[0] = await self._send_chunk(transfer, chunk.number, chunk.content)
            else:
                break
        _check_accepted(res, is_last=chunk.number == transfer.total)
        transfer.on_their_way.popleft()
        transfer.accepted += len(chunk.content)
        transfer.job.meter.accepted(len(chunk.content))

    async def _send_chunk(self, transfer: _Transfer, number: int, content: Buffer) -> _Chunk:
        lane, upload, call = transfer.lane, transfer.upload, transfer.job.request
        await self._may_go(transfer.job, lane)
        await lane.slots.acquire()
        place = (upload.attr, upload.index, number, transfer.total, upload.source.info)
        request = Request(
            UPLOAD_ENDPOINT,
            doc=chunk_doc(*place, f"<{len(content)} bytes>"),
            await_auth=call.await_auth,
            sid=call.sid,
            token=call.token,
            timeout_s=call.timeout_s,
            queue_timeout_s=call.queue_timeout_s,
        )
        answer = request.listener = Answer()
        answer.future.add_done_callback(lambda _: lane.slots.release())
        try:
            async with self._making:
                await in_turns(lane.make_frame(request, chunk_pieces(*place, content, self._block_bytes)))
        except BaseException:
            answer.future.cancel()
            raise
        lane.submit(request)
        return _Chunk(number, content, request, answer)

    def _block_bytes(self) -> int:
        """Small while somebody may wait for an answer that comes in no time."""
        is_quiet = self._life.clock.now() - self._life.connection.wrote_at > _QUICK_S
        return _LARGE_BLOCK if is_quiet else _SMALL_BLOCK

    # -- one message

    async def _may_go(self, job: Job, lane: Lane) -> None:
        """Return when the call is not paused and the quota lets a message through."""
        await job.going.wait()
        while (wait_s := lane.quota_opens_at - self._life.clock.now()) > 0:
            job.meter.tell("waiting_for_quota")
            if await done_within(self._life.clock, wait_s, lane.gone):
                raise StartsOver from lane.lost
            await job.going.wait()
        job.meter.sending()

    async def _outcome(self, lane: Lane, request: Request, answer: Answer) -> Any:
        try:
            return await answer.future
        except asyncio.CancelledError:
            lane.withdraw(request)
            raise
        except CallError as error:
            is_call = request.endpoint != UPLOAD_ENDPOINT
            if lane.lost is None or (is_call and request.written_at is not None):
                raise
            raise StartsOver from error

    def _note_refusal(self, lane: Lane, refusals: Refusals, error: CallRejected) -> None:
        refusals.note(error)
        lane.quota_opens_at = self._life.clock.now() + QUOTA_WINDOW_S


def _check_accepted(res: Any, *, is_last: bool) -> None:
    # The seed writes "Last Chunk accepted", the server "Last chunk accepted".
    expected = "last chunk accepted" if is_last else "chunk accepted"
    if res.msg.lower() != expected:
        raise RemoteProtocolError(f"file/upload was answered {res.msg!r}, not {expected!r}")
