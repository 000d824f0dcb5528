"""What a test can tell the emulator to do otherwise, and what it can read of what happened."""

from __future__ import annotations

import asyncio
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from rxsdk.emulator import Emulator, scripting
from rxsdk.emulator.scripting import Record
from tests.emulator.wire import NAME, Wire, chunk


def test_reply_to_answers_instead_of_the_server() -> None:
    async def run(emulator: Emulator) -> None:
        emulator.reply_to("Blog/Read", {"status": 200, "msg": "Ours.", "args": {"extra": [1]}}, times=1)
        emulator.reply_to("staff/read", status=500, msg="No.", args={"code": "X"}, times=1)
        emulator.reply_to("album/read", lambda payload: {"args": {"asked": payload["query"]}}, times=1)
        emulator.reply_to("album/read", lambda payload: None)
        async with await Wire.open(emulator.url) as wire:
            answer = await wire.call("blog/read", call_id="a")
            assert answer == {"status": 200, "msg": "Ours.", "args": {"extra": [1], "call_id": "a"}}
            answer = await wire.call("staff/read", call_id="b")
            assert answer == {"status": 500, "msg": "No.", "args": {"code": "X", "call_id": "b"}}
            assert (await wire.call("staff/read"))["msg"] == "Found 0 docs."
            assert (await wire.call("album/read", query=[{"a": 1}]))["args"]["asked"] == [{"a": 1}]
            assert (await wire.call("album/read"))["msg"] == "Found 0 docs."

    with Emulator() as emulator:
        asyncio.run(run(emulator))
        assert emulator.executed["staff/read"] == 1
        assert emulator.executed["blog/read"] == 0


def test_refuse_next_of_one_endpoint_or_of_any() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            emulator.refuse_next("album/read", 403, "CORE_SESSION_FORBIDDEN", "Not you.")
            emulator.refuse_next(None, 429, "CORE_REQ_SESSION_QUOTA_HIT", times=2)
            assert (await wire.call("heart/beat"))["status"] == 200
            codes = [
                (await wire.call(endpoint))["args"].get("code") for endpoint in ("album/read", *["staff/read"] * 3)
            ]
            assert codes == ["CORE_SESSION_FORBIDDEN", *["CORE_REQ_SESSION_QUOTA_HIT"] * 2, None]
            emulator.refuse_next("staff/read", 500, None)
            emulator.clear_script()
            assert (await wire.call("staff/read"))["status"] == 200

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_refusing_verify() -> None:
    async def run(emulator: Emulator) -> None:
        emulator.refuse_next("conn/verify", 1008, "CORE_REQ_NO_VERIFY")
        emulator.reply_to("staff/read", msg="scripts are for who is verified")
        async with await Wire.open(emulator.url, verify=False) as wire:
            await wire.receive()
            assert (await wire.call("conn/verify"))["status"] == 1008
            assert (await wire.call("staff/read"))["args"]["code"] == "CORE_REQ_NO_VERIFY"

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_silence_with_and_without_execution() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            emulator.silence("album/create", times=1)
            emulator.silence("album/create", times=1, execute=True)
            await wire.send("album/create", {"name": NAME}, call_id="lost")
            assert await wire.hears_nothing()
            assert (await wire.call("album/read"))["args"]["total"] == 0
            await wire.send("album/create", {"name": NAME}, call_id="made")
            assert await wire.hears_nothing()
            assert (await wire.call("album/read"))["args"]["total"] == 1
            emulator.silence("heart/beat")
            await wire.send("heart/beat")
            assert await wire.hears_nothing()

    with Emulator() as emulator:
        asyncio.run(run(emulator))
        assert emulator.executed["album/create"] == 1
        assert emulator.executed.by_call_id["made"] == 1
        assert emulator.executed.by_call_id["lost"] == 0


def test_without_call_id() -> None:
    async def run(emulator: Emulator) -> None:
        emulator.without_call_id("staff/read")
        async with await Wire.open(emulator.url) as wire:
            assert "call_id" not in (await wire.call("staff/read"))["args"]
            assert "call_id" in (await wire.call("staff/read"))["args"]

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_watch_whose_answer_was_silenced_goes_on() -> None:
    async def run(emulator: Emulator) -> None:
        emulator.silence("album/watch", execute=True)
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            await wire.send("album/watch", call_id="unheard")
            assert (await wire.call("album/create", {"name": NAME}))["status"] == 200
            assert (await wire.receive())["args"]["watch"] == "unheard"
        await asyncio.to_thread(emulator.wait_until, lambda e: e.watches == 0)

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_drop_connections_is_abrupt() -> None:
    async def run(emulator: Emulator) -> None:
        wires = [await Wire.open(emulator.url) for _ in range(3)]
        assert emulator.connections == 3
        await asyncio.to_thread(emulator.drop_connections)
        for wire in wires:
            with pytest.raises(ConnectionClosed) as raised:
                await wire.receive()
            assert raised.value.rcvd is None
        await asyncio.to_thread(emulator.wait_until, lambda e: e.connections == 0)
        async with await Wire.open(emulator.url) as wire:
            assert (await wire.call("heart/beat"))["status"] == 200

    with Emulator() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(("code", "reason"), [(1001, ""), (1011, "broken"), (4000, "ours")])
def test_close_with(code: int, reason: str) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await asyncio.to_thread(emulator.close_with, code, reason)
            assert await wire.closed() == (code, reason)

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_push_says_anything_to_one_or_all() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as one, await Wire.open(emulator.url) as two:
            emulator.push("{not json", connection=2)
            emulator.push({"status": 200, "msg": "unasked", "args": {}})
            assert await two.socket.recv() == "{not json"
            assert [(await wire.receive())["msg"] for wire in (one, two)] == ["unasked", "unasked"]

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_received_and_executed_tell_what_happened() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as one, await Wire.open(emulator.url) as two:
            await one.call("staff/read", call_id="r")
            await two.call("staff/create", call_id="refused")
            two.key = "wrong"
            await two.call("heart/beat", call_id="badly signed")
            await one.send_frame("no json")
            await one.receive()
            await one.call("file/upload", chunk("1," * 5000 + "1"))

    with Emulator() as emulator:
        asyncio.run(run(emulator))
        received = [(one.connection, one.payload.get("endpoint"), one.accepted) for one in emulator.received]
        assert received == [
            (1, "conn/verify", True),
            (2, "conn/verify", True),
            (1, "staff/read", True),
            (2, "staff/create", True),
            (2, "heart/beat", False),
            (1, "file/upload", True),
        ]
        assert emulator.received[-1].payload["doc"]["file"]["content"] == "<10001 characters>"
        assert emulator.executed == {"conn/verify": 2, "staff/read": 1, "file/upload": 1}
        assert emulator.executed.by_call_id["r"] == 1
        assert emulator.executed.by_call_id["refused"] == 0
        emulator.clear_records()
        assert (emulator.received, emulator.executed) == ([], {})


def test_records_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripting, "_MOST_RECEIVED", 10)
    monkeypatch.setattr(scripting, "_MOST_CHARACTERS", 1000)
    monkeypatch.setattr(scripting, "_MOST_CALL_IDS", 10)
    record = Record()
    for number in range(100):
        record.note_received(number, {}, accepted=True)
        record.note_executed("staff/read", f"c{number}")
    assert 5 <= len(record.received) <= 10
    assert record.received[-1].connection == 99
    assert 5 <= len(record.executed.by_call_id) <= 10
    assert record.executed == {"staff/read": 100}
    for number in range(5):
        record.note_received(number, {}, accepted=True, size=600)
    assert [one.connection for one in record.received] == [4], "big ones are forgotten sooner, all but the last"
    record.note_executed("staff/read", "c" * 10_000)
    assert record.executed.by_call_id["c" * 10_000] == 0


def test_waiting_for_something_that_does_not_come() -> None:
    with Emulator() as emulator, pytest.raises(TimeoutError, match=r"0\.05 s"):
        emulator.wait_until(lambda e: e.connections, timeout_s=0.05)


def test_many_threads_may_script_and_read_at_once() -> None:
    errors: list[BaseException] = []

    def use(emulator: Emulator) -> None:
        try:
            for _ in range(50):
                emulator.delay("x/y", 0, times=1)
                emulator.push({"status": 200, "msg": "", "args": {}})
                assert emulator.connections == 1
                assert len(emulator.received) >= 1
        except BaseException as error:
            errors.append(error)

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            threads = [threading.Thread(target=use, args=(emulator,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for _ in range(400):
                assert (await wire.receive())["msg"] == ""
            for thread in threads:
                await asyncio.to_thread(thread.join)

    with Emulator() as emulator:
        asyncio.run(run(emulator))
    assert not errors
