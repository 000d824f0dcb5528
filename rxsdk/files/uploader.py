"""The uploader: a call's files first, then the call itself, all of it by one lane.

Floor 2. Runs on the connection's loop. A call with files first takes its turn on the main connection, as every call
does (so it waits for the connection, for a sign-in that is under way, for the quota); there the machine hands it back,
and `Uploader` finds it a lane, sends the chunks and submits the call to the lane's machine.

The rules (limp.md, "Files"): chunks of a file go in order, a few on their way at a time; the next file begins when
every chunk of the one before is accepted, and the call when all are. A chunk refused for quota was not processed: with
nothing behind it, it is sent again; with something behind it, its file starts over, one chunk at a time. A lost
connection took everything along: all files start over, on another lane. Whatever else goes wrong ends the call, and the
lane with it. How often anything is tried again is bounded.

At level 6.1 files are posted over HTTP instead, one after the other, and the call goes by the main connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rxsdk.core.clock import Clock, done_within
from rxsdk.errors import (
    CallCancelled,
    CallError,
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    ConnectionLost,
    RemoteProtocolError,
    RxSdkError,
    UploadError,
)
from rxsdk.files.http import HttpFiles
from rxsdk.files.lanes import Claim, Lane, Lanes
from rxsdk.files.sources import Buffer, Upload
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.uploads import UPLOAD_ENDPOINT, chunk_count, chunk_doc, chunk_pieces, doc_with_files
from rxsdk.reactive.call import UploadCall
from rxsdk.reactive.life import Life
from rxsdk.reactive.progress import UploadMeter

__all__ = ["Uploader"]

_MOST_STARTS = 5
_MOST_REFUSALS = 5
_WINDOW_S = 60.0
"""The server's minute: so long after a 429 the quota is fresh for sure."""


class _Answer:
    """A listener that can be awaited."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def reply(self, answer: Any, *, final: bool) -> None:
        """The server answered."""
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: RxSdkError) -> None:
        """It ended with ``error``."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # looked at: whether somebody awaits it is not our affair


class _LaneLost(Exception):
    """The lane went away before the call itself was written."""


class _FileSpoiled(Exception):
    """A chunk was refused for quota with others behind it."""


@dataclass
class _Chunk:
    """A chunk on its way."""

    number: int
    content: Buffer
    request: Request
    answer: _Answer


@dataclass
class _Transfer:
    """One file on its way, from chunk 1; ``accepted`` counts bytes, ``total`` chunks."""

    upload: Upload
    total: int
    accepted: int = 0
    on_their_way: deque[_Chunk] = field(default_factory=deque)


class Job:
    """A call with files, from its making to its end; listens to what becomes of it on the main connection."""

    def __init__(
        self, call: UploadCall[Any], request: Request, uploads: Sequence[Upload], names: frozenset[str], clock: Clock
    ) -> None:
        self.call = call
        self.request = request
        self.uploads = uploads
        self.claim = Claim(frozenset(upload.attr for upload in uploads), names)
        self.may_repeat = request.idempotent
        files = [(one.attr, one.index, one.source.info.name, one.source.info.size) for one in uploads]
        self.meter = UploadMeter(call.progress_source, clock, files)
        self.task: asyncio.Task[None]
        self.is_admitted = False
        self.sent: Request | None = None  # the call itself, as it was last submitted to a lane
        self.admission: asyncio.Future[None] | None = None
        self.interruption: RxSdkError | None = None
        self.starts_over = False
        self.going = asyncio.Event()
        self.going.set()

    @property
    def is_written(self) -> bool:
        """Whether the server may have heard of the call itself."""
        return self.sent is not None and self.sent.written_at is not None

    def admit(self) -> None:
        """Its turn on the main connection has come."""
        if self.admission is not None and not self.admission.done():
            self.admission.set_result(None)

    def fail(self, error: RxSdkError) -> None:
        """The machine gave it up before its turn came."""
        if self.admission is not None and not self.admission.done():
            self.admission.set_exception(error)
            self.admission.exception()
        self.end(error)

    def end(self, outcome: Any) -> None:
        """Tell its outcome, an error or the answer; the first one counts."""
        is_error = isinstance(outcome, Exception)
        self.meter.end("failed" if is_error else "done")
        if is_error:
            self.call.fail(outcome)
        else:
            self.call.reply(outcome, final=True)

    def hold(self, is_held: bool) -> None:
        """Pause, or go on."""
        if is_held:
            self.going.clear()
        else:
            self.going.set()
        self.meter.paused(is_held)


class Uploader:
    """Sends files and their calls.

    Args:
        queue: submits a request to the main connection, where it takes its turn and its listener is admitted.
        withdraw: takes it back from there.
        chunk_size: bytes. window: chunks of one file on their way.
        waits_for_quota: whether a message refused for quota is to be sent again.
        http: where files are posted, in place of being sent by a lane.
    """

    def __init__(
        self,
        life: Life,
        lanes: Lanes,
        queue: Callable[[Request], None],
        withdraw: Callable[[Request], None],
        *,
        chunk_size: int,
        window: int,
        waits_for_quota: bool,
        http: HttpFiles | None,
    ) -> None:
        self._life = life
        self._lanes = lanes
        self._queue = queue
        self._withdraw = withdraw
        self._chunk_size = chunk_size
        self._window = window
        self._waits_for_quota = waits_for_quota
        self._http = http
        self._jobs: dict[Request, Job] = {}

    # -- what the service asks and tells

    def begin(self, job: Job) -> None:
        """Upload and call; the outcome is told to ``job.call``."""
        self._jobs[job.request] = job
        job.task = self._life.lease.loop.create_task(self._run(job), name="rxsdk upload")
        job.task.add_done_callback(lambda task: self._ended(job, task))

    def cancel(self, request: Request, *, asked: bool) -> bool:
        """Take a call back, if it is one of ours; once it is written itself only if that was ``asked`` for."""
        job = self._jobs.get(request)
        if job is None:
            return False
        if asked or not job.is_written:
            job.starts_over = False
            job.task.cancel()
        return True

    def hold(self, request: Request, is_held: bool) -> None:
        """Pause a call's files, or let them go on."""
        job = self._jobs.get(request)
        if job is not None:
            job.hold(is_held)

    def session_changed(self, *, same_user: bool) -> None:
        """Files that are going up start over with the new session, or end when it is another user's, or nobody's."""
        self._lanes.retire()
        for job in self._jobs.values():
            if job.is_admitted and not job.is_written and not job.task.cancelling():
                if not same_user:
                    reason = "the session changed while its files went up"
                    job.interruption = CallNotSent(job.request.endpoint, reason)
                job.starts_over = True
                job.task.cancel()

    def suspend(self) -> None:
        """No connection is wanted: files start over when there is one again."""
        self._lanes.end(awaited=True)

    def end(self, why: str, *, awaited: bool) -> list[asyncio.Task[None]]:
        """End all; returns the tasks to wait for."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.end((CallOutcomeUnknown if job.is_written else CallNotSent)(job.request.endpoint, why))
            job.starts_over = False
            job.task.cancel()
        return [*(job.task for job in jobs), *self._lanes.end(awaited=awaited)]

    # -- one call

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        del self._jobs[job.request]
        if task.cancelled():  # perhaps before it took its first step
            job.end(CallCancelled(job.request.endpoint, written=job.is_written))
        elif isinstance(error := task.exception(), Exception):
            job.end(_as_call_error(job.request, error))

    async def _run(self, job: Job) -> None:
        for start in range(_MOST_STARTS):
            if start:
                job.meter.starts_over()
            try:
                await self._admission(job)
                job.end(await (self._go_by_lane(job) if self._http is None else self._go_by_http(job, self._http)))
                return
            except _LaneLost:
                continue
            except asyncio.CancelledError:
                if not job.starts_over:
                    raise
                job.task.uncancel()
                job.starts_over = False
                if job.interruption is not None:
                    raise job.interruption from None
        reason = f"the connection was lost {_MOST_STARTS} times while its files went up"
        raise CallNotSent(job.request.endpoint, reason)

    async def _admission(self, job: Job) -> None:
        """Wait for its turn on the main connection."""
        job.is_admitted = False
        job.admission = self._life.lease.loop.create_future()
        ticket = job.request.anew()
        ticket.has_files = True
        ticket.listener = job
        self._queue(ticket)
        try:
            await job.admission
        except asyncio.CancelledError:
            ticket.listener = _Answer()
            self._withdraw(ticket)
            raise
        finally:
            job.admission = None
        job.is_admitted = True

    async def _go_by_lane(self, job: Job) -> Any:
        request = job.request
        lane = await self._lanes.take(job.claim, request.endpoint, request.queue_timeout_s)
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
        refusals = 0
        while True:
            await self._may_go(job, lane)
            job.sent = request = job.request.anew()
            request.may_watch = False  # it would end with the lane
            answer = request.listener = _Answer()
            lane.submit(request)
            try:
                return await self._outcome(lane, request, answer)
            except CallRejected as error:
                job.sent, refusals = None, refusals + 1
                self._wait_or_raise(job, lane, error, refusals)
            except CallOutcomeUnknown:
                if not job.may_repeat:
                    raise
                job.sent = None
                raise _LaneLost from None

    async def _go_by_http(self, job: Job, http: HttpFiles) -> Any:
        ids: dict[str, Any] = {}
        for upload in job.uploads:
            _id = await self._post(job, http, upload)
            if upload.is_listed:
                ids.setdefault(upload.attr, []).append(_id)
            else:
                ids[upload.attr] = _id
        await job.going.wait()
        job.sent = request = job.request.anew()
        request.doc = doc_with_files(request.doc, ids)
        answer = request.listener = _Answer()
        self._queue(request)
        try:
            return await answer.future
        except asyncio.CancelledError:
            self._withdraw(request)
            raise

    async def _post(self, job: Job, http: HttpFiles, upload: Upload) -> Any:
        """The id of the file, posted."""
        refusals = 0
        while True:
            posted = 0

            async def sent(size: int) -> None:
                nonlocal posted
                posted += size
                job.meter.accepted(size)
                await job.going.wait()

            await job.going.wait()
            job.meter.sending()
            try:
                chunks = upload.chunks(self._chunk_size, self._life.clock, job.request.timeout_s)
                res = await http.post(job.request.endpoint.partition("/")[0], upload, chunks, sent)
            except ConnectionLost as error:
                raise _LaneLost from error
            if res.status == 200:
                return res.docs[0]["_id"]
            refusals += 1
            self._quota_wait_or_raise(job, CallRejected("file/create", res), refusals)
            job.meter.starts_over(posted)
            job.meter.tell("waiting_for_quota")
            await done_within(self._life.clock, _WINDOW_S, self._life.lease.loop.create_future())

    # -- one file

    async def _send_file(self, job: Job, lane: Lane, upload: Upload) -> None:
        window = self._window
        while True:
            transfer = _Transfer(upload, chunk_count(upload.source.info.size, self._chunk_size))
            try:
                await self._send_chunks(job, lane, transfer, window)
                return
            except _FileSpoiled:
                window = 1
                job.meter.starts_over(transfer.accepted)
            finally:
                for chunk in transfer.on_their_way:
                    lane.withdraw(chunk.request)

    async def _send_chunks(self, job: Job, lane: Lane, transfer: _Transfer, window: int) -> None:
        number = 0
        chunks = transfer.upload.chunks(self._chunk_size, self._life.clock, job.request.timeout_s)
        async with aclosing(chunks) as contents:
            async for content in contents:
                number += 1
                while len(transfer.on_their_way) >= window:
                    await self._settle(job, lane, transfer)
                transfer.on_their_way.append(await self._send_chunk(job, lane, transfer, number, content))
            while transfer.on_their_way:
                await self._settle(job, lane, transfer)

    async def _settle(self, job: Job, lane: Lane, transfer: _Transfer) -> None:
        """Return when the oldest chunk on its way is accepted."""
        refusals = 0
        while True:
            chunk = transfer.on_their_way[0]
            try:
                res = await self._outcome(lane, chunk.request, chunk.answer)
            except CallRejected as error:
                refusals += 1
                self._wait_or_raise(job, lane, error, refusals)
                behind = list(transfer.on_their_way)[1:]
                if behind:
                    await asyncio.wait([one.answer.future for one in behind])
                    raise _FileSpoiled from error
                transfer.on_their_way[0] = await self._send_chunk(job, lane, transfer, chunk.number, chunk.content)
            else:
                break
        _check_accepted(res, is_last=chunk.number == transfer.total)
        transfer.on_their_way.popleft()
        transfer.accepted += len(chunk.content)
        job.meter.accepted(len(chunk.content))

    async def _send_chunk(self, job: Job, lane: Lane, transfer: _Transfer, number: int, content: Buffer) -> _Chunk:
        await self._may_go(job, lane)
        await lane.slots.acquire()
        upload, call = transfer.upload, job.request
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
        answer = request.listener = _Answer()
        answer.future.add_done_callback(lambda _: lane.slots.release())
        try:
            for _ in lane.make_frame(request, chunk_pieces(*place, content)):
                await asyncio.sleep(0)  # ordinary calls go in between
        except BaseException:
            answer.future.cancel()
            raise
        lane.submit(request)
        return _Chunk(number, content, request, answer)

    # -- one message

    async def _may_go(self, job: Job, lane: Lane) -> None:
        """Return when the call is not paused and the quota lets a message through."""
        await job.going.wait()
        while (wait_s := lane.quota_opens_at - self._life.clock.now()) > 0:
            job.meter.tell("waiting_for_quota")
            if await done_within(self._life.clock, wait_s, lane.gone):
                raise _LaneLost
            await job.going.wait()
        job.meter.sending()

    async def _outcome(self, lane: Lane, request: Request, answer: _Answer) -> Any:
        try:
            return await answer.future
        except asyncio.CancelledError:
            lane.withdraw(request)
            raise
        except CallError as error:
            is_call = request.endpoint != UPLOAD_ENDPOINT
            if lane.lost is None or (is_call and request.written_at is not None):
                raise
            raise _LaneLost from error

    def _wait_or_raise(self, job: Job, lane: Lane, error: CallRejected, refusals: int) -> None:
        self._quota_wait_or_raise(job, error, refusals)
        lane.quota_opens_at = self._life.clock.now() + _WINDOW_S

    def _quota_wait_or_raise(self, job: Job, error: CallRejected, refusals: int) -> None:
        """What was refused for quota was not processed and may wait for the next minute, if it may wait so long."""
        patience_s = job.request.queue_timeout_s
        waits = self._waits_for_quota and refusals < _MOST_REFUSALS and (patience_s is None or patience_s >= _WINDOW_S)
        if error.status != 429 or not waits:
            raise error


def _check_accepted(res: Any, *, is_last: bool) -> None:
    # The seed writes "Last Chunk accepted", the server "Last chunk accepted".
    expected = "last chunk accepted" if is_last else "chunk accepted"
    if res.msg.lower() != expected:
        raise RemoteProtocolError(f"file/upload was answered {res.msg!r}, not {expected!r}")


def _as_call_error(call: Request, error: Exception) -> RxSdkError:
    """What a failed upload means for its call."""
    if isinstance(error, UploadError) or (isinstance(error, CallError) and error.endpoint == call.endpoint):
        return error
    failed = CallNotSent(call.endpoint, f"its files could not be uploaded: {error}")
    failed.__cause__ = error
    return failed
