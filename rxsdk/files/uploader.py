"""The uploader: a call's files first, one chunk in flight, then the call itself.

Floor 2. Runs on the connection's loop. The server keeps chunks per connection and attribute, in order of arrival, and
checks nothing (limp.md, "Files"). So calls that upload under the same attribute take turns, each until its own main
call is answered; and what an upload that broke off left behind is remembered, because the server would silently give it
to the next call that names the attribute.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Protocol

from rxsdk.errors import (
    CallCancelled,
    CallError,
    CallNotSent,
    CallOutcomeUnknown,
    RemoteProtocolError,
    RxSdkError,
    UploadError,
)
from rxsdk.files.sources import Upload
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.uploads import UPLOAD_ENDPOINT, chunk_count, chunk_doc

__all__ = ["Uploader", "as_call_error"]


class Listener(Protocol):
    """Who is told what became of a request."""

    def reply(self, answer: Any, *, final: bool) -> None:
        """The server answered."""
        ...

    def fail(self, error: RxSdkError) -> None:
        """It ended with ``error``."""
        ...

    def complete(self) -> None:
        """The watch ended."""
        ...


class _Reply:
    """A listener that can be awaited, and that passes on what it hears to another listener, if it has one.

    The answer comes with the number of the connection it came by: by the time somebody has awaited it, that
    connection may be gone.
    """

    def __init__(self, uploader: Uploader, then: Listener | None = None) -> None:
        self._future: asyncio.Future[tuple[Any, int]] = asyncio.get_running_loop().create_future()
        self._uploader = uploader
        self._then = then

    def reply(self, answer: Any, *, final: bool) -> None:
        """See `Listener`."""
        if not self._future.done():
            self._future.set_result((answer, self._uploader.connection))
        if self._then is not None:
            self._then.reply(answer, final=final)

    def fail(self, error: RxSdkError) -> None:
        """See `Listener`."""
        if not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # looked at: whether somebody awaits it is not our affair
        if self._then is not None:
            self._then.fail(error)

    def complete(self) -> None:
        """See `Listener`."""
        if self._then is not None:
            self._then.complete()

    async def wait(self) -> tuple[Any, int]:
        """The first answer and its connection, or raise the error."""
        return await self._future


class Uploader:
    """Sends files and their calls over one connection at a time.

    Args:
        submit: hands a request to the machine.
        withdraw: takes one back, to end with the given error.
        chunk_size: bytes.
    """

    def __init__(
        self,
        submit: Callable[[Request], None],
        withdraw: Callable[[Request, CallError], None],
        chunk_size: int,
    ) -> None:
        self._submit = submit
        self._withdraw = withdraw
        self._chunk_size = chunk_size
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._left_behind: defaultdict[str, set[int]] = defaultdict(set)
        self._on_their_way: dict[Request, int | None] = {}  # and the connection each must take, if one
        self.connection = 0

    def connection_lost(self) -> None:
        """Chunks die with their connection, leftovers too; what was not written must not reach the next one."""
        self.connection += 1
        self._left_behind.clear()
        for request, connection in list(self._on_their_way.items()):
            if request.written_at is not None:
                del self._on_their_way[request]  # it died with the connection
            elif connection is not None:
                self._withdraw(request, _lost(request.endpoint))

    def refusal(self, endpoint: str, attrs: Iterable[str], uploads: Sequence[Upload] = ()) -> CallNotSent | None:
        """Why a call that names ``attrs`` must not go out on this connection; None when it may."""
        for attr in attrs:
            mine = {upload.index for upload in uploads if upload.attr == attr}
            if self._left_behind.get(attr, set()) - mine:
                return CallNotSent(
                    endpoint,
                    f"an upload to {attr!r} is under way or broke off on this connection, and the server would mix "
                    "its chunks in; what broke off is gone after a reconnect",
                )
        return None

    async def run(self, call: Request, uploads: Sequence[Upload]) -> None:
        """Upload, then send ``call``, whose listener hears of its end as of any call's.

        Raises:
            CallError, UploadError, RemoteProtocolError: the upload failed; `as_call_error` says what that means
                for the call. (When the call itself failed, its listener has heard already.)
        """
        attrs = sorted({upload.attr for upload in uploads})
        async with AsyncExitStack() as turns:
            await self._take_turns(call, attrs, turns)
            refusal = self.refusal(call.endpoint, attrs, uploads)
            if refusal is not None:
                raise refusal
            connection: int | None = None  # until the first chunk is answered, any will do
            try:
                for upload in uploads:
                    connection = await self._send_file(call, upload, connection)
                call.idempotent = False  # repeated on another connection, it would find no files
                await self._send(call, connection)
            except CallError as error:
                if isinstance(error, CallOutcomeUnknown) or connection not in (None, self.connection):
                    raise _lost(call.endpoint) from error
                raise
            for upload in uploads:
                self._left_behind[upload.attr].discard(upload.index)

    async def _take_turns(self, call: Request, attrs: Sequence[str], turns: AsyncExitStack) -> None:
        """One call after the other for each attribute; in a fixed order, so that two never wait for each other."""
        try:
            async with asyncio.timeout(call.queue_timeout_s):
                for attr in attrs:
                    await turns.enter_async_context(self._turns[attr])
        except TimeoutError:
            reason = f"other uploads to {', '.join(attrs)} took more than {call.queue_timeout_s:g} s"
            raise CallNotSent(call.endpoint, reason) from None

    async def _send_file(self, call: Request, upload: Upload, connection: int | None) -> int | None:
        info = upload.source.info
        total = chunk_count(info.size, self._chunk_size)
        number = 0
        try:
            async with aclosing(upload.source.chunks(self._chunk_size)) as chunks:
                async for chunk in chunks:
                    number += 1
                    request = Request(
                        UPLOAD_ENDPOINT,
                        doc=chunk_doc(upload.attr, upload.index, number, total, info, chunk),
                        await_auth=call.await_auth,
                        sid=call.sid,
                        token=call.token,
                        timeout_s=call.timeout_s,
                        queue_timeout_s=call.queue_timeout_s,
                    )
                    res, connection = await self._send(request, connection, upload)
                    _check_accepted(res, is_last=number == total)
        except (OSError, EOFError) as error:
            raise UploadError(upload.attr, info.name, str(error)) from error
        return connection

    async def _send(self, request: Request, connection: int | None, part_of: Upload | None = None) -> tuple[Any, int]:
        if connection not in (None, self.connection):
            raise _lost(request.endpoint)
        request.listener = reply = _Reply(self, request.listener)
        self._on_their_way[request] = connection
        self._submit(request)
        try:
            return await reply.wait()
        except asyncio.CancelledError:
            self._withdraw(request, CallCancelled(request.endpoint, written=request.written_at is not None))
            raise
        finally:
            is_still_there = request in self._on_their_way and request.written_at is not None
            self._on_their_way.pop(request, None)
            if is_still_there and part_of is not None:
                self._left_behind[part_of.attr].add(part_of.index)


def _lost(endpoint: str) -> CallNotSent:
    return CallNotSent(endpoint, "the connection was lost while its files went up")


def _check_accepted(res: Any, *, is_last: bool) -> None:
    # The seed writes "Last Chunk accepted", the server "Last chunk accepted".
    expected = "last chunk accepted" if is_last else "chunk accepted"
    if res.msg.lower() != expected:
        raise RemoteProtocolError(f"file/upload was answered {res.msg!r}, not {expected!r}")


def as_call_error(call: Request, error: Exception) -> RxSdkError:
    """What a failed upload means for its call, which was never written."""
    if isinstance(error, UploadError) or (isinstance(error, CallNotSent) and error.endpoint == call.endpoint):
        return error
    failed = CallNotSent(call.endpoint, f"its files could not be uploaded: {error}")
    failed.__cause__ = error
    return failed
