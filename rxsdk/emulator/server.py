"""The running server: the listening socket, its connections, and the once-a-minute look around.

Lives on one event loop, from `Server.open` to `Server.close`. Puts the parts together; decides nothing about the
protocol itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from aiohttp import web

from rxsdk.emulator.backend import Backend, modules_by_name, text_time
from rxsdk.emulator.clock import Alarms, Clock
from rxsdk.emulator.connection import MAX_FRAME_BYTES, Connection
from rxsdk.emulator.dispatch import Dispatcher
from rxsdk.emulator.http import HttpSide
from rxsdk.emulator.listener import Listener
from rxsdk.emulator.modules import Module
from rxsdk.emulator.quotas import ANON_PER_MINUTE, Window
from rxsdk.emulator.scripting import Record, Script
from rxsdk.emulator.sessions import core_modules, prepare
from rxsdk.emulator.settings import Settings
from rxsdk.emulator.store import Store

__all__ = ["Server"]

log = logging.getLogger("rxsdk.emulator")

_LOOK_AROUND_S = 60.0
_SAVE_AFTER_S = 0.5


class Server:
    """One emulated server; made and used on its loop."""

    def __init__(
        self, settings: Settings, modules: Iterable[Module], clock: Clock, script: Script, record: Record
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._alarms = Alarms(clock, self._loop)
        self._store = Store(settings.data)
        by_name = modules_by_name((*core_modules(settings), *modules), settings)
        self._backend = Backend(settings, clock, self._store, by_name, self._defer)
        self._dispatcher = Dispatcher(self._backend, self._alarms, script, record)
        self._listener = Listener(settings.host)
        self._saving: asyncio.TimerHandle | None = None
        self._numbered = 0
        self.connections: set[Connection] = set()
        prepare(self._backend)
        self._store.on_change = self._save_soon

    def _defer(self, work: Callable[[], None]) -> None:
        self._loop.call_soon(work)

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._backend.watches)

    async def open(self, port: int) -> int:
        """Listen; returns the port."""
        http = HttpSide(self._backend, self._dispatcher.ips, self._connect)
        port = await self._listener.open(http.application(), port)
        self._alarms.after(_LOOK_AROUND_S, self._look_around)
        return port

    async def close(self) -> None:
        """Cut all connections, save, and stop listening."""
        self._alarms.close()
        self.each(lambda connection: connection.abort())
        await self._listener.close()
        if self._saving is not None:
            self._saving.cancel()
        self._store.save()

    def each(self, work: Callable[[Connection], None]) -> None:
        """Do something with every connection."""
        for connection in list(self.connections):
            work(connection)

    def expire_sessions(self) -> None:
        """Put every session's expiry into the past."""
        sessions = self._backend.docs("session")
        for session_id in list(sessions.docs):
            sessions.update(session_id, {"expiry": text_time(self._clock.wall() - 1)})

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES, compress=False)
        await Connection.accept(ws, request)
        self._numbered += 1
        quota = Window(ANON_PER_MINUTE, self._clock.monotonic())
        connection = Connection(self._numbered, ws, request, self._backend.anonymous(), quota)
        self.connections.add(connection)
        try:
            self._dispatcher.greet(connection)
            await connection.serve(self._dispatcher.take)
        finally:
            self.connections.discard(connection)
            self._backend.watches.close_all_of(connection)
        return ws

    def _look_around(self, due: float) -> None:
        """Close idle connections: "after 120 s without a *message*; WebSocket pings do not count"."""
        self._alarms.at(due + _LOOK_AROUND_S, self._look_around)
        for connection in list(self.connections):
            if due - connection.last_message > self._settings.conn_timeout_s:
                connection.close()
        self._dispatcher.ips.forget_idle(due)

    def _save_soon(self) -> None:
        if self._store.path is not None and self._saving is None:
            self._saving = self._loop.call_later(_SAVE_AFTER_S, self._save)

    def _save(self) -> None:
        self._saving = None
        self._store.save()
