"""`Uploader`: all calls with files of one service: their turns, their starts and starts over, their ends.

Floor 2. Runs on the connection's loop. A call with files first takes its turn on the main connection, as every call
does (so it waits for the connection, for a sign-in that is under way, for the quota); there the machine hands it back,
and a `Road` carries the files and then the call. What was lost on the road starts over after a pause as a reconnect
makes it, and not often. The table is in `rxsdk.files.job`.
"""

from __future__ import annotations

import asyncio
import random

from rxsdk.core.clock import done_within
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.errors import CallCancelled, CallError, CallNotSent, CallOutcomeUnknown, RxSdkError, UploadError
from rxsdk.files.job import Answer, Job, Line, Road, StartsOver
from rxsdk.files.lanes import Lanes
from rxsdk.protocols.limp.request import Request
from rxsdk.reactive.life import Life

__all__ = ["Uploader"]

_MOST_STARTS = 5


class _Turn(Answer):
    """A listener for the moment when the turn of ``job`` has come."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def admit(self) -> None:
        """It has."""
        self._job.is_admitted = True
        self.reply(None, final=True)


class Uploader:
    """See the module.

    Args:
        lanes: ended and renewed with the session. road: carries files; by one of the lanes, or not.
        main: the connection where each call takes its turn first, and its listener is admitted.
        policy: how long to wait before files start over.
    """

    def __init__(
        self,
        life: Life,
        lanes: Lanes,
        road: Road,
        main: Line,
        policy: ReconnectPolicy,
    ) -> None:
        self._life = life
        self._lanes = lanes
        self._road = road
        self._main = main
        self._policy = policy
        self._jobs: dict[Request, Job] = {}

    # -- what the service asks and tells

    def begin(self, job: Job) -> None:
        """Upload and call; the outcome is told to ``job.call``."""
        self._jobs[job.request] = job
        job.task = self._life.spawn(self._run(job), "rxsdk upload", lambda: job.end(self._cut_short(job)))
        job.task.add_done_callback(lambda task: self._ended(job, task))

    def cancel(self, request: Request, *, asked: bool) -> bool:
        """Take a call back, if it is one of ours; once it is written itself only if that was ``asked`` for."""
        job = self._jobs.get(request)
        if job is None:
            return False
        if asked or not job.is_written:
            job.is_taken_back, job.starts_over = True, False
            job.interrupt()
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
            if job.is_admitted and not same_user:
                reason = "the session changed while its files went up"
                job.interruption = CallNotSent(job.request.endpoint, reason)
            job.start_over()

    def suspend(self) -> None:
        """No connection is wanted: files start over when there is one again."""
        for job in self._jobs.values():
            job.start_over()
        self._lanes.end(awaited=True)

    def end(self, *, awaited: bool) -> list[asyncio.Task[None]]:
        """The service ends, and the tasks of its calls with it; returns what else is to be waited for."""
        for job in self._jobs.values():
            job.starts_over = False
        return self._lanes.end(awaited=awaited)

    # -- one call

    async def _run(self, job: Job) -> None:
        lost: BaseException | None = None
        for start in range(_MOST_STARTS):
            try:
                if start:
                    await self._pause(job, start)
                await self._admission(job)
                job.end(await self._road.go(job))
                return
            except StartsOver as error:
                lost = error.__cause__
            except asyncio.CancelledError:
                if not job.starts_over:
                    raise
                job.task.uncancel()
                job.starts_over = False
            if job.interruption is not None:
                raise job.interruption
        reason = f"the connection was lost {_MOST_STARTS} times while its files went up"
        raise CallNotSent(job.request.endpoint, reason if lost is None else f"{reason}: {lost}") from lost

    async def _pause(self, job: Job, start: int) -> None:
        """As before a reconnect: a server that has just come back is not to be fallen upon."""
        job.meter.starts_over()
        delay_s = self._policy.delay_s(start, random.random())
        await done_within(self._life.clock, delay_s, self._life.lease.loop.create_future())

    async def _admission(self, job: Job) -> None:
        """Wait for its turn on the main connection."""
        ticket = job.request.anew()
        ticket.has_files = True
        turn = ticket.listener = _Turn(job)
        self._main.submit(ticket)
        try:
            await turn.future
        except asyncio.CancelledError:
            self._main.withdraw(ticket)
            raise

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        del self._jobs[job.request]
        if task.cancelled():  # perhaps before it took its first step
            job.take_back()
            job.end(self._cut_short(job))
        elif isinstance(error := task.exception(), Exception):
            job.end(_as_call_error(job.request, error))

    def _cut_short(self, job: Job) -> CallError:
        """What becomes of a call whose task does not go on."""
        endpoint = job.request.endpoint
        if job.is_taken_back:
            return CallCancelled(endpoint, written=job.may_have_run)
        why = "its task was cancelled" if self._life.is_open else self._life.why_closed
        return (CallOutcomeUnknown if job.may_have_run else CallNotSent)(endpoint, why)


def _as_call_error(call: Request, error: Exception) -> RxSdkError:
    """What a failed upload means for its call."""
    if isinstance(error, UploadError) or (isinstance(error, CallError) and error.endpoint == call.endpoint):
        return error
    failed = CallNotSent(call.endpoint, f"its files could not be uploaded: {error}")
    failed.__cause__ = error
    return failed
