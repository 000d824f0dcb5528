"""One connection of the LIMP server: its session, and what the server keeps with it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from rxsdk.emulator import wire
from rxsdk.emulator.backend import Session
from rxsdk.emulator.quotas import Window
from rxsdk.emulator.socket import Socket
from rxsdk.emulator.uploads import Uploads
from rxsdk.emulator.watches import Watch

__all__ = ["MAX_FRAME_BYTES", "Connection"]

MAX_FRAME_BYTES = 4 * 1024 * 1024
""" "A frame over 4 MiB makes the server close with 1009." """


class Connection(Socket):
    """One open connection and the state the server keeps per connection.

    Args:
        number: connections are numbered from 1 as they come.
        request: the handshake; its headers say who connects.
        quota: what it may send in its first minute.
    """

    def __init__(
        self, number: int, ws: web.WebSocketResponse, request: web.Request, session: Session, quota: Window
    ) -> None:
        super().__init__(number, ws, request)
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

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; nothing happens on a connection that is closed or closing."""
        self.send_text(wire.dumps(message))
