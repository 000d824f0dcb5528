"""`Job`: a call with files from its making to its end; and what every road that files can take has in common.

Floor 2. A job moves by this table, driven by `rxsdk.files.uploader`:

    WAITING ──its turn on the main connection──▶ GOING UP ──the call itself is written──▶ WRITTEN ──answered──▶ ENDED
       ▲                                            │                                        │
       ├──the connection was lost, or the session is another of the same user, ◀─────────────┘ (the call if idempotent)
       │  and that not too often: all its files start over
       └──deadline, cancelled, refused, another user, closed ──▶ ENDED, and the outcome says whether it was written

What brings it back to WAITING decides at once, not when its task wakes up: until then it may be written. From its
first turn on it belongs to the session of that moment, also while it waits for another.

A road carries it through GOING UP and WRITTEN: `rxsdk.files.by_lane`, or `rxsdk.files.by_http` at level 6.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from rxsdk.core.clock import Clock
from rxsdk.errors import CallNotSent, CallOutcomeUnknown, CallRejected, RxSdkError
from rxsdk.files.lane import Claim
from rxsdk.files.sources import Upload
from rxsdk.protocols.limp.request import Request
from rxsdk.reactive.call import UploadCall
from rxsdk.reactive.progress import UploadMeter

__all__ = ["QUOTA_WINDOW_S", "Answer", "Job", "Line", "Refusals", "Road", "StartsOver"]

_MOST_REFUSALS = 5
QUOTA_WINDOW_S = 60.0
"""The server's minute: so long after a 429 the quota is fresh for sure."""


class StartsOver(Exception):
    """What carried the files went away before the call itself was written; the cause says how."""


class Road(Protocol):
    """A way for files to get to the server, and for the call that names them."""

    async def go(self, job: Job) -> Any:
        """The answer to the call of ``job``, after its files.

        Raises:
            StartsOver: everything has to go again. (And any other error: that ends the job.)
        """
        ...


class Line(Protocol):
    """A connection that calls go by: a lane, or the main one."""

    def submit(self, request: Request) -> None:
        """Send it in its turn; its listener hears what becomes of it."""
        ...

    def withdraw(self, request: Request) -> None:
        """Take it back as far as that goes: what is not written yet will not be."""
        ...


class Answer:
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


class Job:
    """See the module.

    Args:
        request: the call itself, as a model: each time it is sent it is sent anew.
        names: all attributes that its doc names.
        waits_for_quota: whether a message of it that was refused for quota is to be sent again.
    """

    def __init__(
        self,
        call: UploadCall[Any],
        request: Request,
        uploads: Sequence[Upload],
        names: frozenset[str],
        clock: Clock,
        *,
        waits_for_quota: bool,
    ) -> None:
        self.call = call
        self.request = request
        self.uploads = uploads
        self.claim = Claim(frozenset(upload.attr for upload in uploads), names)
        self.waits_for_quota = waits_for_quota
        files = [(one.attr, one.index, one.source.info.name, one.source.info.size) for one in uploads]
        self.meter = UploadMeter(call.progress_source, clock, files)
        self.task: asyncio.Task[None]
        self.is_admitted = False  # its turn has come once
        self.sent: Request | None = None  # the call itself, as it was last submitted, to ``_line``
        self._line: Line
        self.was_lost = False  # after it was written; it may have run
        self.interruption: RxSdkError | None = None
        self.is_taken_back = False
        self.starts_over = False
        self.going = asyncio.Event()
        self.going.set()

    @property
    def is_written(self) -> bool:
        """Whether the call itself is on its way to the server, or answered."""
        return self.sent is not None and self.sent.written_at is not None

    @property
    def may_have_run(self) -> bool:
        """Whether the server may have heard of the call itself, now or before it started over."""
        return self.is_written or self.was_lost

    def submit(self, request: Request, line: Line, refusals: Refusals | None = None) -> Answer:
        """Send the call itself, as ``request``; with ``refusals``, one that lets it wait leaves it unwritten."""
        self.sent, self._line = request, line
        answer = request.listener = Answer() if refusals is None else _CallAnswer(self, refusals)
        line.submit(request)
        return answer

    def take_back(self) -> None:
        """From this moment on the call itself is not written, if it is not yet."""
        if self.sent is not None:
            self._line.withdraw(self.sent)

    def interrupt(self) -> None:
        """End its task, which will hear of it a turn of the loop later."""
        self.take_back()
        self.task.cancel()

    def start_over(self) -> None:
        """If its files are going up, or about to."""
        if self.is_admitted and not self.is_written and not self.task.cancelling():
            self.starts_over = True
            self.interrupt()

    def end(self, outcome: Any) -> None:
        """Tell its outcome, an error or the answer; the first one counts."""
        is_error = isinstance(outcome, Exception)
        if self.was_lost and isinstance(outcome, CallNotSent):  # not again
            cause, outcome = outcome.__cause__, CallOutcomeUnknown(outcome.endpoint, outcome.reason)
            outcome.__cause__ = cause
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


class _CallAnswer(Answer):
    """To the call itself. Refused and to be sent again, it is unwritten at once, not when its task wakes up."""

    def __init__(self, job: Job, refusals: Refusals) -> None:
        super().__init__()
        self._job = job
        self._refusals = refusals

    def fail(self, error: RxSdkError) -> None:
        """See `Answer.fail`."""
        if self._refusals.lets_wait(error):
            self._job.sent = None
        super().fail(error)


class Refusals:
    """How often one message of ``job`` was refused."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = 0

    def lets_wait(self, error: RxSdkError) -> bool:
        """Whether the message that ended with ``error`` is to wait for the next minute.

        What was refused for quota was not processed, and may wait if the call may wait so long.
        """
        patience_s = self._job.request.queue_timeout_s
        may_wait = self._job.waits_for_quota and (patience_s is None or patience_s >= QUOTA_WINDOW_S)
        is_for_quota = isinstance(error, CallRejected) and error.status == 429
        return is_for_quota and may_wait and self._count < _MOST_REFUSALS - 1

    def note(self, error: CallRejected) -> None:
        """Return when the message is to wait for the next minute; else raise ``error``."""
        if not self.lets_wait(error):
            raise error
        self._count += 1
