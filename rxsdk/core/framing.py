"""Frames as a client sends them: each masked with four random bytes (RFC 6455, 5.2 and 5.3).

Floor 1. Used by both transports, for the messages of one turn are written in one go: websockets makes an object of each
and asks for its random bytes alone, which takes seven times as long; picows writes each by itself. Imports `websockets`
for its C, so whoever only imports the SDK does not import this.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from struct import iter_unpack

from websockets.frames import apply_mask  # type: ignore[attr-defined]

__all__ = ["frame_head", "framed"]


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
