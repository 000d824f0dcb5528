"""One connection through a `FaultProxy`: a client's socket, a server's socket, and the two lanes between them.

A leaf; asyncio only. Bytes are bytes here: no frame, no handshake, no wire is known.

    client ──▶ up lane ──▶ server
    client ◀── down lane ◀── server

Invariants: everything runs on the proxy's loop. A road is over when both sockets are gone, and says so once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import cast

from rxsdk.testing.faults import Direction, Faults
from rxsdk.testing.lane import End, Lane, finish, reset

__all__ = ["Road"]


class _Ear(asyncio.Protocol):
    """One of the two sockets: what it says goes into ``inward``, what ``outward`` lets out goes to it."""

    def __init__(self, inward: Lane, outward: Lane, on_open: Callable[[], None], on_close: Callable[[], None]) -> None:
        self._inward = inward
        self._outward = outward
        self._on_open = on_open
        self._on_close = on_close
        self.data_received = inward.take  # type: ignore[method-assign] # the hot path, without a frame of its own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inward.source = self._outward.sink = cast(asyncio.Transport, transport)
        self._on_open()
        self._outward.sink_opened()

    def eof_received(self) -> bool:
        may_be_spoken_to = not self._inward.has_ended  # else nobody listened to it any more: asyncio closes it
        self._inward.end(End.FIN)
        return may_be_spoken_to

    def connection_lost(self, exc: Exception | None) -> None:
        self._inward.end(End.RST)
        self._inward.source = self._outward.sink = None
        self._outward.stop()
        self._on_close()

    def pause_writing(self) -> None:
        self._outward.sink_full(True)

    def resume_writing(self) -> None:
        self._outward.sink_full(False)


class Road:
    """Made when a client connects; goes on to the server as soon as there is no black hole.

    Args:
        connect: opens the server's side with the protocol it is given.
        on_cut: called when `Faults` had it cut, with the direction.
        on_over: called once, when nothing of it is left.
    """

    def __init__(
        self,
        faults: Faults,
        loop: asyncio.AbstractEventLoop,
        connect: Callable[[Callable[[], asyncio.Protocol]], asyncio.Task[None]],
        *,
        on_cut: Callable[[Direction], None],
        on_over: Callable[[Road], None],
    ) -> None:
        self._faults = faults
        self._connect = connect
        self._on_cut = on_cut
        self._on_over = on_over
        make_lane = functools.partial(Lane, faults=faults, loop=loop, on_cut=self._cut, on_ended=self._lane_ended)
        self.up: Lane = make_lane("up")
        self.down: Lane = make_lane("down")
        self._sockets = 0
        self._dialing: asyncio.Task[None] | None = None
        self._was_dialed = False
        self._is_broken = False  # by a fault: it will not come back

    def client_protocol(self) -> asyncio.Protocol:
        """For the client's socket."""
        return _Ear(self.up, self.down, self._client_opened, self._closed)

    def _server_protocol(self) -> asyncio.Protocol:
        return _Ear(self.down, self.up, self._server_opened, self._closed)

    # -- what the sockets tell

    def _client_opened(self) -> None:
        self._sockets += 1
        if self._faults.refuse or self._is_broken:
            self.reset()
        else:
            self._dial()

    def _server_opened(self) -> None:
        self._sockets += 1
        if self._is_broken:  # while it was dialed
            self.shut()

    def _closed(self) -> None:
        self._sockets -= 1
        self._lane_ended()
        if self._sockets == 0 and self._dialing is None:
            self._on_over(self)

    def _lane_ended(self) -> None:
        """When nothing more can go either way, neither socket is needed. After a fault they end by themselves."""
        if self.up.has_ended and self.down.has_ended and not self._is_broken:
            for transport in self._transports():
                transport.close()

    # -- to the server

    def _dial(self) -> None:
        if not self._was_dialed and not self._is_broken and not self._faults.black_hole:
            self._was_dialed = True
            self._dialing = self._connect(self._server_protocol)
            self._dialing.add_done_callback(self._dialed)

    def _dialed(self, task: asyncio.Task[None]) -> None:
        self._dialing = None
        if not task.cancelled() and task.exception() is not None:
            self.reset()
        if self._sockets == 0:
            self._on_over(self)

    # -- what the proxy tells

    def faults_changed(self) -> None:
        """Look at the settings again."""
        self._dial()
        self.up.faults_changed()
        self.down.faults_changed()

    def cut_changed(self, direction: Direction) -> None:
        """Count to the cut from here on."""
        (self.up if direction == "up" else self.down).cut_changed()

    def reset(self) -> None:
        """RST to both ends."""
        self._break()
        for transport in self._transports():
            reset(transport)

    def half_open(self) -> None:
        """The server sees the end of the connection, the client hears nothing any more."""
        self._break()
        if self.down.source is not None:
            self.down.source.abort()

    def shut(self) -> None:
        """End both sockets now, because the proxy ends."""
        self._break()
        for transport in self._transports():
            transport.abort()

    def _cut(self, lane: Lane, sink: asyncio.Transport) -> None:
        """The receiver's stream ends right here, the sender is reset."""
        self._break()
        finish(sink)
        if lane.source is not None:
            reset(lane.source)
        self._on_cut(lane.direction)

    def _break(self) -> None:
        """Nothing goes through any more, whatever heals."""
        self._is_broken = True
        self.up.stop()
        self.down.stop()
        if self._dialing is not None:
            self._dialing.cancel()

    def _transports(self) -> list[asyncio.Transport]:
        return [transport for transport in (self.up.source, self.down.source) if transport is not None]
