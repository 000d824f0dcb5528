"""Long work in short turns of the loop, so that ordinary calls need not wait for a message of megabytes.

Floor 1. Long messages are made in steps (`in_turns`) and written in pieces (`LongMessage`), in each turn no more than
takes some ten microseconds; but where everything else takes long too, more, so that uploads are not starved. It imports
`websockets` for its C, so whoever only imports the SDK does not import this.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

from websockets.frames import apply_mask  # type: ignore[attr-defined]

from rxsdk.core.framing import frame_head
from rxsdk.core.loop import wake
from rxsdk.protocols.contract import Frame

__all__ = ["LongMessage", "in_turns"]

_WRITE_BYTES = 64 * 1024
"""What is written at once: a system call takes longer than to mask and copy so much."""

_SHARE = 0.25
_MOST_S = 0.00025


class _Share:
    """The part of a turn that long work may take: that much of the time since its last turn, within bounds.

    That time may have passed because the system ran something else, and nobody is to wait for that twice.
    """

    def __init__(self) -> None:
        self._left_at = self._until = perf_counter()

    def begin(self) -> None:
        """A turn has come."""
        now = perf_counter()
        self._until = now + min(_MOST_S, (now - self._left_at) * _SHARE)

    def is_over(self) -> bool:
        """Whether it is time to leave, looked at after each step; there is always one."""
        self._left_at = perf_counter()
        return self._left_at >= self._until


async def in_turns(steps: Iterator[object]) -> None:
    """Take all ``steps``, one a turn, or a few."""
    share = _Share()
    for _ in steps:
        if share.is_over():
            await _others_first()
            share.begin()


async def _others_first() -> None:
    """Return when whatever is due was done, and what came of it at once."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    # A timer is looked at after the sockets, and what waits for this future comes after what waits for their messages.
    timer = loop.call_later(0, wake, loop, turn)  # who waits may be cancelled in the same turn
    try:
        await turn
    finally:
        timer.cancel()


class LongMessage:
    """One message on its way out as one frame, a piece a turn; nothing else may be written until ``on_out`` is called.

    It ends without a word when ``socket`` closes meanwhile. A piece that was written is forgotten.

    Args:
        first: the first byte of the frame: what it is, and that it is the last of its message.
        pieces: the payload; they become this object's.
    """

    def __init__(
        self, first: int, pieces: list[bytes], socket: asyncio.WriteTransport, on_out: Callable[[], None]
    ) -> None:
        self._mask = os.urandom(4)
        self._head = frame_head(first, sum(map(len, pieces))) + self._mask
        self._pieces = pieces
        self._pieces.reverse()
        self._socket = socket
        self._on_out = on_out
        self._loop = asyncio.get_running_loop()
        self.go_on()

    @classmethod
    def last_of(
        cls, frames: Sequence[Frame], first: int, socket: asyncio.WriteTransport, on_out: Callable[[], None]
    ) -> tuple[Sequence[Frame], LongMessage]:
        """That of the pieces which ``frames`` end with, and the others: they are to be written at once."""
        *whole, pieces = frames
        assert isinstance(pieces, list)
        return whole, cls(first, pieces, socket, on_out)

    def go_on(self) -> None:
        """Write on, when everything else that is due had its turn."""
        self._share = _Share()
        self._is_held = False
        self._turn = self._loop.call_later(0, self._write)

    def hold(self) -> None:
        """Write no more until `go_on`: the socket is full."""
        self._is_held = True
        self._turn.cancel()

    def _write(self) -> None:
        if self._socket.is_closing():
            self._pieces.clear()
            return
        self._share.begin()
        while self._pieces:
            self._socket.write(self._next())  # which may call `hold`
            if self._is_held:
                break
            if self._share.is_over():
                self._turn = self._loop.call_later(0, self._write)
                break
        if not self._pieces:
            self._turn.cancel()
            self._on_out()

    def _next(self) -> bytes:
        """The next bytes on the wire."""
        size, together = 0, []
        while self._pieces and size < _WRITE_BYTES:
            together.append(self._pieces.pop())
            size += len(together[-1])
        head, mask = self._head, self._mask
        self._head, self._mask = b"", mask[size & 3 :] + mask[: size & 3]
        return head + apply_mask(b"".join(together), mask)
