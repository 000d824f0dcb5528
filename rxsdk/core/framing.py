"""Frames as a client sends them, each masked with four random bytes, and as it gets them (RFC 6455, 5.2 and 5.3).

Floor 1. Used by both transports, for the messages of one turn are written in one go: websockets makes an object of each
and asks for its random bytes alone, which takes seven times as long; picows writes each by itself. For the same reason
messages that come whole are taken out of what was read here, where the transport has no C for that. Imports
`websockets` for its C, so whoever only imports the SDK does not import this.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from struct import iter_unpack

from websockets.frames import apply_mask  # type: ignore[attr-defined]

__all__ = ["frame_head", "frame_size", "framed", "take_messages"]


@lru_cache(maxsize=256)  # the messages of an application are of few sizes, which are asked for again and again
def frame_head(first: int, size: int) -> bytes:
    """What stands before the mask of a frame whose payload is of ``size`` bytes, and whose first byte is ``first``."""
    if size < 126:
        return bytes((first, 0x80 | size))
    if size < 65_536:
        return bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    return bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")


def framed(first: int, messages: Sequence[bytes]) -> bytes:
    """Each of ``messages`` as a frame; ``first`` is their first byte: what they are, and that they are whole."""
    pieces: list[bytes] = []
    for message, (mask,) in zip(messages, iter_unpack("4s", os.urandom(4 * len(messages))), strict=True):
        pieces += (frame_head(first, len(message)), mask, apply_mask(message, mask))
    return b"".join(pieces)


def take_messages(data: bytes, at: int, first: int, limit: int, messages: list[bytes]) -> int:
    """Append the messages that ``data`` has from ``at`` on; returns where something else begins, or ``data`` ends.

    Something else is a frame that does not begin with ``first``, is masked, is not whole, or has more than ``limit`` or
    65 535 bytes.
    """
    end = len(data)
    while end - at >= 2 and data[at] == first:
        size = data[at + 1]
        start = at + 2
        if size == 126 and end - at >= 4:
            size = data[start] << 8 | data[start + 1]
            start += 2
        elif size >= 126:
            break
        stop = start + size
        if stop > end or size > limit:
            break
        messages.append(data[start:stop])
        at = stop
    return at


def frame_size(data: bytes, at: int) -> int | None:
    """The size of the unmasked frame at ``at``, head and all; None when ``data`` has not all of its head."""
    left = len(data) - at
    if left < 2:
        return None
    size = data[at + 1] & 0x7F
    head = {126: 4, 127: 10}.get(size, 2)
    if left < head:
        return None
    return head + (size if head == 2 else int.from_bytes(data[at + 2 : at + head], "big"))
