"""`Uploader`: every way an upload can break off, and what it leaves behind."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from rxsdk.errors import (
    CallCancelled,
    CallError,
    CallNotSent,
    CallOutcomeUnknown,
    ConnectionLost,
    UploadError,
)
from rxsdk.files import File
from rxsdk.files.sources import take_files
from rxsdk.files.uploader import as_call_error
from rxsdk.protocols.limp.request import Request
from tests.core.fakes import until
from tests.files.wire import Job, Wire, file, play, refused

# -- the connection is lost


async def with_chunk_written(wire: Wire, answered: int) -> Job:
    """A job of three chunks, ``answered`` of them accepted, the next one written."""
    job = Job(wire, {"a": file()})
    for number in range(answered):
        await wire.has(number + 1)
        wire.answer("Last chunk accepted" if number == 2 else "Chunk accepted")
    await wire.has(answered + 1)
    return job


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_lost_with_a_chunk_written_the_next_connection_is_clean(answered: int) -> None:
    async def scene(wire: Wire) -> None:
        job = await with_chunk_written(wire, answered)
        wire.lose()
        error = await job.error()
        assert isinstance(error, CallNotSent)
        assert "the connection was lost while its files went up" in str(as_call_error(job.call, error))
        assert not refused(wire, "a")
        assert job.call not in wire.submitted

    play(scene)


@pytest.mark.parametrize("answered", [1, 2, 3])
def test_lost_between_an_answer_and_the_next_chunk(answered: int) -> None:
    async def scene(wire: Wire) -> None:
        job = await with_chunk_written(wire, answered - 1)
        wire.answer("Last chunk accepted" if answered == 3 else "Chunk accepted")
        wire.lose()  # before the uploader has looked at the answer
        error = await job.error()
        assert isinstance(error, CallNotSent)
        assert "connection was lost" in str(as_call_error(job.call, error))
        assert len(wire.submitted) == answered
        assert not refused(wire, "a")

    play(scene)


@pytest.mark.parametrize("answered", [1, 2])
def test_a_later_chunk_that_still_waits_is_taken_back(answered: int) -> None:
    """Written to the next connection, it would be the middle of a file without a beginning."""

    async def scene(wire: Wire) -> None:
        job = await with_chunk_written(wire, answered - 1)
        wire.online = False
        wire.answer("Chunk accepted")
        await wire.has(answered + 1)
        wire.lose()
        assert wire.withdrawn[0][0] is wire.submitted[-1]
        assert isinstance(await job.error(), CallNotSent)
        assert not refused(wire, "a")

    play(scene)


def test_the_first_chunk_waits_for_whatever_connection_comes() -> None:
    async def scene(wire: Wire) -> None:
        wire.online = False
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        wire.lose()
        assert wire.withdrawn == []
        wire.online = True
        wire.write(wire.submitted[0])
        await wire.accept_all()
        wire.answer("ok")
        await job.task

    play(scene)


def test_lost_with_the_call_itself_written_its_outcome_is_unknown() -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        await wire.accept_all()
        wire.lose()
        assert isinstance(await job.error(), CallError)
        assert [type(error) for error in job.caller.errors] == [CallOutcomeUnknown]
        assert not refused(wire, "a")

    play(scene)


def test_the_call_itself_waiting_is_taken_back_too() -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        wire.online = False
        wire.answer("Last chunk accepted")
        await wire.has(2)
        wire.lose()
        assert wire.withdrawn[0][0] is job.call
        await job.error()
        assert [type(error) for error in job.caller.errors] == [CallNotSent]

    play(scene)


# -- cancelled


@pytest.mark.parametrize(("answered", "written"), [(0, True), (0, False), (1, True), (3, True), (3, False)])
def test_cancelled_the_request_on_its_way_is_taken_back(answered: int, written: bool) -> None:
    async def scene(wire: Wire) -> None:
        if answered == 0:
            wire.online = written
        job = await with_chunk_written(wire, answered) if answered < 3 else Job(wire, {"a": file()})
        if answered == 3:
            for number in (1, 2, 3):
                await wire.has(number)
                wire.online = written or number < 3
                wire.answer("Last chunk accepted" if number == 3 else "Chunk accepted")
            await wire.has(4)
        job.task.cancel()
        await asyncio.wait([job.task])
        assert job.task.cancelled()
        [(request, error)] = wire.withdrawn
        assert request is wire.submitted[-1]
        assert isinstance(error, CallCancelled)
        assert error.written is written
        assert refused(wire, "a") is (answered > 0 or written)
        if answered == 3:
            assert [type(one) for one in job.caller.errors] == [CallCancelled]

    play(scene)


def test_cancelled_in_the_moment_of_an_answer() -> None:
    async def scene(wire: Wire) -> None:
        job = await with_chunk_written(wire, 0)
        listener = wire.submitted[0].listener
        wire.answer("Chunk accepted")
        job.task.cancel()
        await asyncio.wait([job.task])
        assert job.task.cancelled()
        assert refused(wire, "a")
        listener.fail(ConnectionLost("late words"))  # nobody is there to hear them
        listener.reply(SimpleNamespace(msg="late"), final=True)
        listener.complete()

    play(scene)


def test_cancelled_the_file_is_closed_at_once() -> None:
    closed: list[bool] = []

    async def chunks(size: int) -> AsyncIterator[bytes]:
        try:
            yield bytes(size)
        finally:
            closed.append(True)

    async def scene(wire: Wire) -> None:
        _, [upload] = take_files({"a": file()})
        source: Any = upload.source
        source.chunks = chunks
        task = asyncio.ensure_future(wire.uploader.run(Request("staff/create"), [upload]))
        await until(lambda: wire.submitted)
        task.cancel()
        await asyncio.wait([task])
        assert closed == [True]

    play(scene)


# -- the file changes


def test_a_file_that_changes_on_the_way_is_named() -> None:
    async def scene(wire: Wire) -> None:
        opened = io.BytesIO(bytes(10))
        job = Job(wire, {"a": File(opened, name="a.bin")})
        await until(lambda: wire.submitted)
        opened.truncate(5)
        wire.answer("Chunk accepted")
        error = await job.error()
        assert isinstance(error, UploadError)
        assert str(error) == "doc.a: a.bin: became shorter while it was read"
        assert as_call_error(job.call, error) is error
        assert refused(wire, "a")

    play(scene)
