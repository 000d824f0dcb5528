"""`Uploader`: the files in order, one chunk in flight, one call per attribute at a time, and what is refused."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from rxsdk.errors import (
    CallNotSent,
    CallRejected,
    CallTimeout,
    RemoteProtocolError,
)
from rxsdk.files.uploader import as_call_error
from tests.core.fakes import until
from tests.files.wire import Job, Wire, file, play, refused

# -- as it should go


def test_chunks_go_one_at_a_time_in_order_and_then_the_call() -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"b": file(), "name": "x", "a": [file(4), file(5)]}, sid="s", token="t", await_auth=True)
        order = ["b[0]#1/3", "b[0]#2/3", "b[0]#3/3", "a[0]#1/1", "a[1]#1/2", "a[1]#2/2"]
        for count, step in enumerate(order, 1):
            await wire.has(count)
            assert wire.shown[-1] == step
            chunk, total = step.partition("#")[2].split("/")
            wire.answer("Last chunk accepted" if chunk == total else "Chunk accepted")
        await wire.has(7)
        assert wire.shown[-1] == "staff/create"
        assert wire.submitted[-1] is job.call
        assert not job.call.idempotent  # repeated on another connection, it would find no files
        wire.answer("Created 1")
        await job.task
        assert [res.msg for res in job.caller.replies] == ["Created 1"]
        assert job.caller.errors == []
        assert not refused(wire, "a", "b")
        first = wire.submitted[0]
        assert (first.sid, first.token, first.await_auth, first.timeout_s) == ("s", "t", True, 5.0)
        assert json.loads(first.doc)["file"] == {
            "name": "a.bin",
            "size": 10,
            "type": "application/octet-stream",
            "lastModified": 7,
            "content": "0,1,2,3",
        }

    play(scene)


@pytest.mark.parametrize("word", ["Last chunk accepted", "Last Chunk accepted", "LAST CHUNK ACCEPTED"])
def test_the_words_of_acceptance_count_without_case(word: str) -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        wire.answer(word)
        await wire.has(2)
        wire.answer("ok")
        await job.task

    play(scene)


def test_a_watch_or_a_stream_of_replies_goes_through_to_the_caller() -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        await wire.accept_all()
        wire.answer("made", final=False)
        wire.answer("change", final=False)
        wire.submitted[-1].listener.complete()
        await job.task
        assert [res.msg for res in job.caller.replies] == ["made", "change"]
        assert job.caller.completed

    play(scene)


# -- turns


def test_calls_that_share_an_attribute_take_turns_and_others_do_not_wait() -> None:
    async def scene(wire: Wire) -> None:
        first = Job(wire, {"a": file(4), "b": file(4)})
        second = Job(wire, {"b": file(4), "a": file(4)})  # the other way round: neither waits for ever
        other = Job(wire, {"c": file(4)})
        await wire.has(2)
        assert wire.shown == ["a[0]#1/1", "c[0]#1/1"]
        wire.answer("last chunk accepted", wire.submitted[0])
        await wire.has(3)
        wire.answer("last chunk accepted")
        await wire.has(4)
        assert wire.submitted[-1] is first.call
        assert not second.task.done()
        wire.answer("ok")
        await first.task
        await wire.has(5)
        assert wire.shown[-1] == "b[0]#1/1"
        await wire.accept_all()
        wire.answer("ok", second.call)
        await second.task
        wire.answer("last chunk accepted", wire.submitted[1])
        await until(lambda: other.call in wire.submitted)
        wire.answer("ok", other.call)
        await other.task

    play(scene)


def test_who_waits_for_a_turn_too_long_is_told_so() -> None:
    async def scene(wire: Wire) -> None:
        first = Job(wire, {"a": file(4)})
        await wire.has(1)
        second = Job(wire, {"a": file(4), "b": file(4)}, queue_timeout_s=0.02)
        error = await second.error()
        assert isinstance(error, CallNotSent)
        assert str(error) == "staff/create: not sent: other uploads to a, b took more than 0.02 s"
        third = Job(wire, {"b": file(4)})  # what the second held on the way is free again
        await wire.has(2)
        for job in (first, third):
            job.task.cancel()
            assert isinstance(await asyncio.gather(job.task, return_exceptions=True), list)

    play(scene)


def test_cancelled_while_waiting_for_a_turn_nothing_was_sent() -> None:
    async def scene(wire: Wire) -> None:
        first, second = Job(wire, {"a": file(4)}), Job(wire, {"a": file(4)})
        await wire.has(1)
        second.task.cancel()
        await asyncio.wait([second.task])
        await wire.accept_all()
        wire.answer("ok")
        await first.task
        assert len(wire.submitted) == 2
        assert not refused(wire, "a")

    play(scene)


# -- refused


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_refused_chunk_breaks_off_and_leaves_remains(chunk: int) -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file()})
        for _ in range(chunk - 1):
            await wire.has(_ + 1)
            wire.answer("Chunk accepted")
        await wire.has(chunk)
        res: Any = SimpleNamespace(status=429, code="CORE_REQ_SESSION_QUOTA_HIT", msg="Too many")
        wire.fail(CallRejected("file/upload", res))
        error = await job.error()
        assert isinstance(error, CallRejected)
        outcome = as_call_error(job.call, error)
        assert isinstance(outcome, CallNotSent)
        assert outcome.__cause__ is error
        assert "could not be uploaded: file/upload: 429 CORE_REQ_SESSION_QUOTA_HIT" in str(outcome)
        assert refused(wire, "a")
        assert not refused(wire, "b")
        assert job.call not in wire.submitted

    play(scene)


@pytest.mark.parametrize("words", ["Chunk accepted", "Nonsense", ""])
def test_other_words_than_acceptance_break_off(words: str) -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        wire.answer(words)
        error = await job.error()
        assert isinstance(error, RemoteProtocolError)
        assert isinstance(as_call_error(job.call, error), CallNotSent)
        assert refused(wire, "a")

    play(scene)


def test_remains_are_sent_anew_by_who_covers_them_and_refused_to_others() -> None:
    async def scene(wire: Wire) -> None:
        broken = Job(wire, {"a": [file(4), file(4)]})
        await wire.has(1)
        wire.answer("Last chunk accepted")
        await wire.has(2)
        wire.fail(CallTimeout("file/upload", 5.0))
        assert isinstance(await broken.error(), CallTimeout)

        partly = Job(wire, {"a": file(4)})  # would leave a[1] behind, and the server would add it
        error = await partly.error()
        assert isinstance(error, CallNotSent)
        assert as_call_error(partly.call, error) is error
        assert len(wire.submitted) == 2

        whole = Job(wire, {"a": [file(4), file(4)]})
        await wire.has(3)
        await wire.accept_all()
        assert refused(wire, "a")  # under way: another call that names it would take the files
        wire.answer("ok")
        await whole.task
        assert not refused(wire, "a")

    play(scene)


def test_a_call_that_was_refused_leaves_its_files_behind() -> None:
    async def scene(wire: Wire) -> None:
        job = Job(wire, {"a": file(4)})
        await wire.has(1)
        await wire.accept_all()
        res: Any = SimpleNamespace(status=400, code="INVALID_DOC", msg="no")
        wire.fail(error := CallRejected("staff/create", res))
        assert await job.error() is error
        assert job.caller.errors == [error]
        assert refused(wire, "a")
        wire.lose()
        assert not refused(wire, "a")

    play(scene)


def test_a_chunk_that_was_never_written_leaves_nothing() -> None:
    async def scene(wire: Wire) -> None:
        wire.online = False
        job = Job(wire, {"a": file()})
        await wire.has(1)
        wire.fail(CallNotSent("file/upload", "not connected for 120 s"))
        assert isinstance(await job.error(), CallNotSent)
        assert not refused(wire, "a")

    play(scene)
