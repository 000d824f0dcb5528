"""Frames as a client sends them, read by the server's side of websockets, and as it gets them."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from rxsdk.core.framing import frame_size, framed, take_messages

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


def sent(payload: bytes, first: int = 0x81) -> bytes:
    """A frame as the server sends it."""
    return Frame(Opcode(first & 0x0F), payload, fin=first >= 0x80).serialize(mask=False)


def test_whole_messages_are_taken_and_the_rest_is_left() -> None:
    whole = [b"x" * size for size in SIZES[:-2]]
    data = b"rest of another" + b"".join(map(sent, whole))
    for size in range(0, 200, 7):
        rest = sent(b"y" * size)
        for cut in range(len(rest)):
            messages: list[bytes] = []
            assert take_messages(data + rest[:cut], 15, 0x81, 1 << 20, messages) == len(data)
            assert messages == whole


@pytest.mark.parametrize(
    "other",
    [sent(b"x", 0x82), sent(b"x", 0x01), sent(b"", 0x89), sent(b"x" * 65_536), sent(b"x" * 1001), framed(0x81, [b"x"])],
    ids=["binary", "fragment", "ping", "long", "over the limit", "masked"],
)
def test_what_is_no_plain_message_is_left(other: bytes) -> None:
    messages: list[bytes] = []
    assert take_messages(sent(b"1") + other + sent(b"2"), 0, 0x81, 1000, messages) == 3
    assert messages == [b"1"]


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_a_frame_is_known_with_its_head(size: int) -> None:
    frame = sent(b"x" * size)
    head = len(frame) - size
    assert frame_size(b"before" + frame[:head], 6) == len(frame)
    assert [frame_size(frame[:cut], 0) for cut in range(head)] == [None] * head
