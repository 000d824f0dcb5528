"""`memory_pair`: behaves as a socket does."""

from __future__ import annotations

import asyncio
from typing import Any

from rxsdk.core.transport import memory_pair
from rxsdk.errors import ConnectionLost
from tests.core.wire import Ear


def test_frames_go_both_ways() -> None:
    client, server = memory_pair()
    ear, seen = Ear(), []
    server.on_frame = seen.append
    server.send(b"early")
    client.start(ear)
    server.send(b"later")
    client.write([b"1", b"2"])
    assert ear.frames == [b"early", b"later"]
    assert server.received == seen == [b"1", b"2"]
    assert client.writable


def test_the_end_comes_once_and_is_the_last() -> None:
    client, server = memory_pair()
    ear = Ear()
    client.start(ear)
    error = ConnectionLost("cable")
    server.drop(error)
    server.drop()
    server.send(b"late")
    client.write([b"late"])
    asyncio.run(client.close())
    assert ear.lost is error
    assert (ear.frames, server.received) == ([], [])
    assert not client.writable


def test_an_end_before_the_start_is_told_at_the_start() -> None:
    client, server = memory_pair()
    server.send(b"bye")
    server.drop()
    ear = Ear()
    client.start(ear)
    assert ear.frames == [b"bye"]
    assert str(ear.lost) == "connection lost: cut"


def test_a_full_buffer_can_be_played() -> None:
    client: Any
    client, _ = memory_pair()
    client.set_writable(True)
    ear = Ear()
    client.start(ear)
    client.set_writable(False)
    assert (client.writable, ear.writable_again) == (False, 0)
    client.set_writable(True)
    assert (client.writable, ear.writable_again) == (True, 1)


def test_what_comes_while_reading_is_paused_waits() -> None:
    client, server = memory_pair()
    client.pause_reading()
    client.resume_reading()
    ear = Ear()
    client.start(ear)
    client.pause_reading()
    server.send(b"1")
    server.send(b"2")
    assert ear.frames == []
    client.resume_reading()
    assert (ear.frames, ear.reads) == ([b"1", b"2"], [2])
    client.pause_reading()
    server.send(b"3")
    server.drop()
    assert ear.frames == [b"1", b"2", b"3"]
    assert ear.lost is not None


def test_a_server_without_a_client_can_do_nothing() -> None:
    _, server = memory_pair()
    server.client = None
    server.send(b"a")
    server.drop()
    assert server.open
