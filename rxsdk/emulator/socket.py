"""One WebSocket connection of an emulated server, whatever it speaks.

Sending never waits: messages go to an outbox that one task empties into the socket, in order. A client that does
not read stops being read from (its outbox is over the high mark), and is dropped when events for it pile up beyond
all measure. Invariant: nothing here blocks another connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Self

from aiohttp import ClientConnectionResetError, WSMsgType, web

__all__ = ["Socket"]

log = logging.getLogger("rxsdk.emulator")

_HIGH_MARK = 32 * 1024 * 1024
"""The server itself would read on whatever is unsent; a client that writes long before it reads must not get stuck."""
_MOST_UNSENT = 128 * 1024 * 1024
_FRAME_COST = 256


class Socket:
    """One open connection; wires keep more with it.

    Args:
        number: connections are numbered from 1 as they come.
        request: the handshake.
    """

    def __init__(self, number: int, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.number = number
        self.closed = False
        self._ws = ws
        self._transport = request.transport
        self._outbox: deque[str | tuple[int, str]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._unsent = 0
        self._room = asyncio.Event()
        self._room.set()

    @staticmethod
    async def accept(ws: web.WebSocketResponse, request: web.Request) -> None:
        """Finish the handshake.

        Raises:
            web.HTTPException: the client is gone in the middle of it; who is not there is not answered.
        """
        try:
            await ws.prepare(request)
        except ConnectionError as error:
            log.debug("a client is gone in the middle of its handshake: %s", error)
            raise web.HTTPBadRequest from None

    async def serve(self, take: Callable[[Self, str], None]) -> None:
        """Hand every text message to ``take`` until the connection ends."""
        try:
            async for message in self._ws:
                # "A binary frame is never answered."
                if message.type is WSMsgType.TEXT:
                    take(self, message.data)
                # the other connections' turn, and that of the call this message was: its answer must count
                # against the room there is before more calls are taken in
                await asyncio.sleep(0)
                if not self._room.is_set():
                    await self._room.wait()
        finally:
            self.closed = True
            if self._sender is not None:
                await self._sender  # a close we began is finished first

    def send_text(self, text: str) -> None:
        """Queue a frame as it is."""
        if self.closed:
            return
        if self._unsent >= _MOST_UNSENT:
            log.warning("connection %d does not read: dropped with %d messages unsent", self.number, len(self._outbox))
            self.abort()
            return
        self._queue(text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close properly, after what is queued."""
        if not self.closed:
            self._queue((code, reason))
            self.closed = True

    def abort(self) -> None:
        """Drop the connection on the floor: no close frame."""
        self.closed = True
        self._outbox.clear()
        self._room.set()
        if self._transport is not None:
            self._transport.abort()

    def _queue(self, item: str | tuple[int, str]) -> None:
        self._outbox.append(item)
        self._unsent += len(item) + _FRAME_COST
        if self._unsent >= _HIGH_MARK:
            self._room.clear()
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._empty())

    async def _empty(self) -> None:
        try:
            while self._outbox:
                item = self._outbox.popleft()
                if isinstance(item, str):
                    await self._ws.send_str(item)
                else:
                    await self._ws.close(code=item[0], message=item[1].encode())
                self._unsent -= len(item) + _FRAME_COST
                if self._unsent < _HIGH_MARK:
                    self._room.set()
        except (ClientConnectionResetError, ConnectionError) as error:
            log.debug("connection %d is gone: %s", self.number, error)
            self._outbox.clear()
            self._room.set()
        finally:
            self._sender = None
