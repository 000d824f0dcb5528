"""`ByHttp`: the road of files at level 6.1: posted one after the other, then the call by the main connection.

Floor 2. A file refused for quota is posted again after the server's minute; a connection that is lost, or cannot be
had, starts all files over. Source: limp.md, "Files".
"""

from __future__ import annotations

from typing import Any

from rxsdk.core.clock import done_within
from rxsdk.errors import CallRejected, ConnectionLost
from rxsdk.files.http import HttpFiles
from rxsdk.files.job import QUOTA_WINDOW_S, Job, Line, Refusals, StartsOver
from rxsdk.files.sources import Upload
from rxsdk.protocols.limp.uploads import doc_with_files
from rxsdk.reactive.life import Life

__all__ = ["ByHttp"]


class ByHttp:
    """See the module.

    Args:
        main: the connection that the call goes by.
        chunk_size: bytes that are read of a file at a time.
    """

    def __init__(
        self,
        life: Life,
        http: HttpFiles,
        main: Line,
        chunk_size: int,
    ) -> None:
        self._life = life
        self._http = http
        self._main = main
        self._chunk_size = chunk_size

    async def go(self, job: Job) -> Any:
        """See `Road.go`."""
        ids: dict[str, Any] = {}
        for upload in job.uploads:
            _id = await self._post(job, upload)
            if upload.is_listed:
                ids.setdefault(upload.attr, []).append(_id)
            else:
                ids[upload.attr] = _id
        await job.going.wait()
        request = job.request.anew()
        request.doc = doc_with_files(request.doc, ids)
        return await job.submit(request, self._main).future

    async def _post(self, job: Job, upload: Upload) -> Any:
        """The id of the file, posted."""
        refusals = Refusals(job)
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
                res = await self._http.post(job.request.endpoint.partition("/")[0], upload, chunks, sent)
            except ConnectionLost as error:
                raise StartsOver from error
            if res.status == 200:
                return res.docs[0]["_id"]
            refusals.note(CallRejected("file/create", res))
            job.meter.starts_over(posted)
            job.meter.tell("waiting_for_quota")
            await done_within(self._life.clock, QUOTA_WINDOW_S, self._life.lease.loop.create_future())
