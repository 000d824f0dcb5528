"""Moments of a road that sockets hit only by chance, played with transports that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from rxsdk.testing.faults import Faults
from rxsdk.testing.lane import End, Lane, finish
from rxsdk.testing.road import Road


class Stub:
    """A transport and its socket, as far as a road looks at them."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.closing = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        self.log.append(bytes(data))

    def write_eof(self) -> None:
        self.log.append("eof")

    def close(self) -> None:
        self.closing = True
        self.log.append("close")

    def abort(self) -> None:
        self.closing = True
        self.log.append("abort")

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> Any:
        return self

    def setsockopt(self, *option: Any) -> None:
        self.log.append("no linger")


def as_transport(stub: Stub) -> asyncio.Transport:
    return cast(asyncio.Transport, stub)


class Play:
    """A road that is run by hand."""

    def __init__(self, **settings: Any) -> None:
        self.faults = Faults(**settings)
        self.loop = asyncio.new_event_loop()
        self.cuts: list[str] = []
        self.over: list[Road] = []
        self.server_protocol: Any = None
        self.dialing = cast("asyncio.Task[None]", self.loop.create_future())
        self.road = Road(
            self.faults, self.loop, self._connect, on_cut=cast(Any, self.cuts.append), on_over=self.over.append
        )
        self.client, self.server = Stub(), Stub()
        self.client.protocol = self.road.client_protocol()

    def _connect(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Task[None]:
        self.server.protocol = protocol()
        return self.dialing

    def open(self, stub: Stub) -> None:
        stub.protocol.connection_made(stub)

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def play() -> Any:
    play = Play()
    yield play
    play.loop.close()


def test_a_server_that_answers_after_the_road_was_reset_is_sent_away(play: Play) -> None:
    play.open(play.client)
    play.road.reset()
    assert play.client.log == ["no linger", "abort"]
    play.open(play.server)
    assert play.server.log == ["abort"]
    for stub in (play.client, play.server):
        stub.protocol.connection_lost(None)
    assert play.over == []
    play.turn()
    assert play.over == [play.road]


def test_a_client_that_was_reset_before_its_socket_was_ready_is_reset_then(play: Play) -> None:
    play.road.reset()
    play.open(play.client)
    assert play.client.log == ["no linger", "abort"]
    assert play.server.protocol is None
    play.client.protocol.connection_lost(None)
    assert play.over == [play.road]


def test_a_client_that_leaves_while_the_server_is_dialed_in_vain(play: Play) -> None:
    play.open(play.client)
    play.client.protocol.connection_lost(ConnectionResetError())
    assert play.over == []
    cast("asyncio.Future[None]", play.dialing).set_exception(ConnectionRefusedError())
    play.turn()
    assert play.over == [play.road]


def test_a_cut_of_what_a_client_said_that_has_left(play: Play) -> None:
    play.faults.up.cut_after = 3
    play.road.cut_changed("up")
    play.road.faults_changed()
    play.open(play.client)
    play.client.protocol.data_received(b"12345")
    play.client.protocol.connection_lost(ConnectionResetError())
    play.open(play.server)
    assert (play.server.log, play.cuts) == ([b"123", "eof"], ["up"])
    assert play.faults.passed["up"] == 3


def test_nothing_is_written_to_a_sink_that_is_closing(play: Play) -> None:
    ended: list[None] = []
    lane = Lane("up", play.faults, play.loop, on_cut=cast(Any, ended.append), on_ended=lambda: ended.append(None))
    sink = Stub()
    sink.closing = True
    lane.sink = as_transport(sink)
    lane.take(b"x")
    lane.end(End.FIN)
    assert (sink.log, play.faults.passed["up"], ended) == ([], 0, [None])
    lane.take(b"y")
    lane.end(End.RST)
    assert ended == [None]


def test_a_fin_to_a_peer_that_has_gone_does_no_harm() -> None:
    class Gone(Stub):
        def write_eof(self) -> None:
            raise OSError("not connected")

    finish(as_transport(Gone()))
