"""One direction of one connection through a `FaultProxy`: what came in and has not gone out yet.

A leaf; asyncio only. Settings are looked at when something could go out, not when it came in, so a change of them
also reaches what is on its way already. With no fault set, bytes pass from the one socket's callback to the other's
``write`` with nothing in between.

Invariants: bytes keep their order, and none goes out twice. An end (FIN or RST) goes out once, after the bytes
before it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from rxsdk.testing.faults import Direction, Faults

__all__ = ["End", "Lane", "finish", "reset"]

_HIGH_WATER = 4 * 1024 * 1024  # a full network's buffers: more, and the sender is made to wait
_SLICE_S = 0.02  # of a bandwidth, goes out at once

_NO_LINGER = struct.pack("ii", 1, 0)


class End(Enum):
    """How a sender stopped."""

    FIN = "it has said all"
    RST = "it is gone"


def finish(transport: asyncio.Transport) -> None:
    """Send FIN after what was written; the other direction goes on."""
    with suppress(OSError):  # reset by its peer, which asyncio has not noticed yet
        transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST, as a crashed host or a firewall does; what is under way is lost."""
    _no_linger(transport)
    transport.abort()


def _no_linger(transport: asyncio.Transport) -> None:
    """Let the socket end with RST when it is closed."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


class Lane:
    """From ``source`` to ``sink``, either of which may be missing: not there yet, or gone.

    Args:
        on_cut: called when `Faults` want the connection cut after the byte that just went out to this sink.
        on_ended: called when the source's end has gone out to the sink.
    """

    def __init__(
        self,
        direction: Direction,
        faults: Faults,
        loop: asyncio.AbstractEventLoop,
        *,
        on_cut: Callable[[Lane, asyncio.Transport], None],
        on_ended: Callable[[], None],
    ) -> None:
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.has_ended = False
        self.direction: Direction = direction
        self._faults = faults
        self._loop = loop
        self._on_cut = on_cut
        self._on_ended = on_ended
        self._held: deque[tuple[float, float, memoryview | End]] = deque()  # when it came, its jitter (0 to 1), it
        self._held_bytes = 0
        self._free_at = 0.0  # when the bandwidth lets the next bytes out
        self._timer: asyncio.Handle | None = None
        self._is_full = False
        self._source_waits = False
        self._source_ended = False
        self._cut_left = faults.of(direction).cut_after
        self._is_plain = faults.is_plain(direction)

    # -- what the sockets tell

    def take(self, data: bytes) -> None:
        """Bytes came in."""
        if self.has_ended:
            return
        if self._is_plain and not self._held and self.sink is not None:
            self._write(data)
            return
        self._held.append((self._loop.time(), self._faults.chance.random(), memoryview(data)))
        self._held_bytes += len(data)
        if self._timer is None:
            self._pump()

    def end(self, end: End) -> None:
        """The source ended; only the first word of it counts."""
        if not self.has_ended and not self._source_ended:
            self._source_ended = True
            self._held.append((self._loop.time(), self._faults.chance.random(), end))
            if self._timer is None:
                self._pump()

    def sink_opened(self) -> None:
        """There is somewhere to go."""
        self._pump()

    def sink_full(self, is_full: bool) -> None:
        """The sink takes no more for the moment, or takes more again."""
        self._is_full = is_full
        if is_full:
            self._throttle()
        else:
            self._pump()

    def stop(self) -> None:
        """Let nothing more through, and hold nothing; the sockets are left as they are."""
        self.has_ended = True
        self._held.clear()
        self._held_bytes = 0
        self._cancel_timer()
        self._throttle()

    # -- what the proxy tells

    def faults_changed(self) -> None:
        """Look at the settings again."""
        self._is_plain = self._faults.is_plain(self.direction)
        self._free_at = self._loop.time()
        self._pump()

    def cut_changed(self) -> None:
        """Count to the cut from here on."""
        self._cut_left = self._faults.of(self.direction).cut_after

    # -- letting out

    def _pump(self) -> None:
        """Let out what is due, and come back when the next is."""
        self._cancel_timer()
        while self._held and self.sink is not None and not self._is_full and not self._faults.black_hole:
            due = self._due()
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self._pump)
                break
            self._let_out_first(due)
            if self._faults.segment_bytes is not None and self._held:
                self._timer = self._loop.call_soon(self._pump)  # a piece a turn, that they stay pieces
                break
        self._throttle()

    def _due(self) -> float:
        """When the first that is held goes out."""
        came, chance, what = self._held[0]
        faults = self._faults.of(self.direction)
        due = came + faults.latency_s + faults.jitter_s * chance
        if isinstance(what, End):
            return due + (self._faults.slow_close_s if self.direction == "down" else 0.0)
        return max(due, self._free_at)

    def _let_out_first(self, due: float) -> None:
        came, chance, what = self._held.popleft()
        if isinstance(what, End):
            self._let_out_end(what)
            return
        size = min(len(what), self._piece_bytes())
        if size < len(what):
            self._held.appendleft((came, chance, what[size:]))
        self._held_bytes -= size
        rate = self._faults.of(self.direction).bytes_per_s
        if rate is not None:
            self._free_at = due + size / rate
        self._write(what[:size])

    def _piece_bytes(self) -> int:
        """How much may go out at once."""
        rate = self._faults.of(self.direction).bytes_per_s
        limits = [self._faults.segment_bytes, self._cut_left, None if rate is None else max(1, int(rate * _SLICE_S))]
        return min([limit for limit in limits if limit is not None], default=_HIGH_WATER)

    def _write(self, piece: bytes | memoryview) -> None:
        sink = self.sink
        if sink is None or sink.is_closing():
            return
        self._faults.passed[self.direction] += len(piece)  # first: whoever has received it finds it counted
        sink.write(piece)
        if self._cut_left is not None:
            self._cut_left -= len(piece)
            if self._cut_left == 0:
                self._on_cut(self, sink)

    def _let_out_end(self, end: End) -> None:
        self.stop()
        sink = self.sink
        if sink is not None and not sink.is_closing():
            if end is End.RST:
                _no_linger(sink)
                sink.close()
            else:
                finish(sink)
        self._on_ended()

    # -- holding back

    def _throttle(self) -> None:
        """Let the source wait while too much is held, as a full network does."""
        wait = not self.has_ended and (self._is_full or self._held_bytes > _HIGH_WATER)
        if wait is not self._source_waits and self.source is not None and not self.source.is_closing():
            self._source_waits = wait
            if wait:
                self.source.pause_reading()
            else:
                self.source.resume_reading()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
