"""Frames as a client sends them, read by the server's side of websockets."""

from __future__ import annotations

import pytest
from websockets.frames import Frame
from websockets.protocol import State
from websockets.server import ServerProtocol

from rxsdk.core.framing import framed

SIZES = [0, 1, 125, 126, 127, 444, 65_535, 65_536, 70_000]


def read(data: bytes) -> list[bytes]:
    server = ServerProtocol(state=State.OPEN, max_size=None)
    server.receive_data(data)
    events = server.events_received()
    assert server.parser_exc is None
    assert all(isinstance(event, Frame) and event.fin and event.opcode == 1 for event in events)
    return [bytes(event.data) for event in events if isinstance(event, Frame)]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_arrives_as_it_was(size: int) -> None:
    message = bytes(number % 251 for number in range(size))
    assert read(framed(0x81, [message])) == [message]


def test_the_messages_of_a_turn_arrive_in_order() -> None:
    messages = [b"%d" % size * size for size in SIZES[:-2]]
    assert read(framed(0x81, messages)) == messages
    assert framed(0x81, []) == b""


def test_each_message_has_a_mask_of_its_own() -> None:
    masks = {framed(0x81, [b"x" * 10] * 2)[at : at + 4] for _ in range(50) for at in (2, 18)}
    assert len(masks) == 100
