"""`Listener`: takes the clients of an emulated server in, for its application, and leaves no socket behind."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

__all__ = ["Listener", "stop_listening"]


class Listener:
    """Listens on ``host`` from `open` to `close`; made and used on its loop."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def open(self, application: web.Application, port: int) -> int:
        """Listen; returns the port."""
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2)
        await self._runner.setup()
        assert self._runner.server is not None
        loop = asyncio.get_running_loop()
        # 1 000 clients at once: the default backlog of 100 would refuse some
        self._server = await loop.create_server(self._runner.server, self._host, port, backlog=2048)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end what was taken in. No harm when it is not open."""
        if self._server is not None:
            await stop_listening(self._server)
            # Before Python 3.12 the task of a connection begins a turn after it; told to end before, it waits on.
            await asyncio.sleep(0)
        if self._runner is not None:
            await self._runner.cleanup()


async def stop_listening(server: asyncio.Server) -> None:
    """Close ``server``, once who was accepted just now has become a connection.

    asyncio makes a connection of an accepted socket one turn later, and when its server is closed in between, drops
    the socket unclosed.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # the loop of Windows
        for sock in server.sockets:
            loop.remove_reader(sock)
        await asyncio.sleep(0)
    server.close()
