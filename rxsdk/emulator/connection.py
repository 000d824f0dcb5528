"""One WebSocket connection: its socket, its session, and what the server keeps with it.

Sending never waits: messages go to an outbox that one task empties into the socket, in order. A client that does
not read stops being read from (its outbox is over the high mark), and is dropped when events for it pile up beyond
all measure. Invariant: nothing here blocks another connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import ClientConnectionResetError, WSMsgType, web

from rxsdk.emulator import wire
from rxsdk.emulator.backend import Session
from rxsdk.emulator.quotas import Window
from rxsdk.emulator.uploads import Uploads
from rxsdk.emulator.watches import Watch

__all__ = ["MAX_FRAME_BYTES", "Connection"]

log = logging.getLogger("rxsdk.emulator")

MAX_FRAME_BYTES = 4 * 1024 * 1024
""" "A frame over 4 MiB makes the server close with 1009." """

_HIGH_MARK = 32 * 1024 * 1024
"""The server itself would read on whatever is unsent; a client that writes long before it reads must not get stuck."""
_MOST_UNSENT = 128 * 1024 * 1024
_FRAME_COST = 256


class Connection:
    """One open connection and the state the server keeps per connection.

    Args:
        number: connections are numbered from 1 as they come.
        request: the handshake; its headers say who connects.
        quota: what it may send in its first minute.
    """

    def __init__(
        self, number: int, ws: web.WebSocketResponse, request: web.Request, session: Session, quota: Window
    ) -> None:
        self.number = number
        self.remote = request.remote or ""
        # "the server stores [the User-Agent] only when an Origin is sent too"
        both = "User-Agent" in request.headers and "Origin" in request.headers
        self.user_agent = request.headers["User-Agent"] if both else ""
        self.origin = request.headers["Origin"] if both else ""
        realm = request.match_info.get("realm")
        self.realm = None if realm is None else realm.lower()
        self.session = session
        self.verified = False
        self.quota = quota
        self.last_message = quota.since
        self.uploads = Uploads()
        self.watches: dict[Any, Watch] = {}
        self.closed = False
        self._ws = ws
        self._transport = request.transport
        self._outbox: deque[str | tuple[int, str]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._unsent = 0
        self._room = asyncio.Event()
        self._room.set()

    async def serve(self, take: Callable[[Connection, str], None]) -> None:
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

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; nothing happens on a connection that is closed or closing."""
        self.send_text(wire.dumps(message))

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
