"""The running SylkServer: the listening socket, the handshake, and its connections.

Lives on one event loop, from `SylkServer.open` to `SylkServer.close`. What requests do is `gateway`'s matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from rxsdk.emulator.clock import Alarms, Clock
from rxsdk.emulator.listener import Listener
from rxsdk.emulator.scripting import Record, Script
from rxsdk.emulator.sylk.gateway import Gateway
from rxsdk.emulator.sylk.world import Client, World

__all__ = ["PATH", "SylkServer"]

PATH = "/webrtcgateway/ws"
_READY = {
    "sylkRTC-2": {"sylkrtc": "ready-event"},
    "sylkRTC-1": {"sylkrtc": "event", "event": "ready"},
}


class SylkServer:
    """One emulated server; made and used on its loop."""

    def __init__(
        self,
        host: str,
        users: Mapping[str, str],
        public_keys: Mapping[str, str],
        versions: Sequence[int],
        clock: Clock,
        script: Script,
        record: Record,
    ) -> None:
        self._listener = Listener(host)
        self._subprotocols = [f"sylkRTC-{version}" for version in versions]
        self._world = World(users, public_keys, clock)
        self._alarms = Alarms(clock, asyncio.get_running_loop())
        self._gateway = Gateway(self._world, self._alarms, script, record)
        self._numbered = 0

    @property
    def connections(self) -> set[Client]:
        """Those that are open."""
        return self._world.clients

    async def open(self, port: int) -> int:
        """Listen; returns the port."""
        application = web.Application()
        application.router.add_get(PATH, self._connect)
        return await self._listener.open(application, port)

    async def close(self) -> None:
        """Cut all connections off and stop listening."""
        self._alarms.close()
        for client in list(self.connections):
            client.abort()
        await self._listener.close()

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=self._subprotocols, max_msg_size=0, compress=False)
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if not {one.strip() for one in offered.split(",")} & set(self._subprotocols):
            raise web.HTTPNotAcceptable(text="No compatible protocol specified")
        await Client.accept(ws, request)
        self._numbered += 1
        client = Client(self._numbered, ws, request)
        self.connections.add(client)
        try:
            client.send(_READY[str(ws.ws_protocol)])
            await client.serve(self._gateway.take)
        finally:
            self._gateway.gone(client)
        return ws
