"""Quotas: how many messages a minute a connection and an IP may send.

"Per minute and connection: 40 messages anonymous, 100 authed (an auth inside the first minute does not raise it
until the window resets); per IP 500. Everything counts." Counted as the server counts: it refuses when one would
be left, so that the 40th message of a connection is the first refused.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANON_PER_MINUTE", "AUTHED_PER_MINUTE", "IP_PER_MINUTE", "IpQuotas", "Window"]

ANON_PER_MINUTE = 40
AUTHED_PER_MINUTE = 100
IP_PER_MINUTE = 500

_WINDOW_S = 60.0
_HTTP_WINDOW_S = 260.0


@dataclass
class Window:
    """What is left of one minute's messages."""

    left: int
    since: float

    def spend(self) -> bool:
        """Count one message; False when it is refused."""
        if self.left - 1 <= 0:
            return False
        self.left -= 1
        return True


class IpQuotas:
    """The windows of all addresses."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def spend(self, address: str, now: float, *, over_http: bool = False) -> bool:
        """Count one message or request from ``address``; False when it is refused."""
        window = self._windows.get(address)
        if window is None:
            self._windows[address] = Window(IP_PER_MINUTE, now)
            return True
        if now - window.since >= (_HTTP_WINDOW_S if over_http else _WINDOW_S):
            window.left, window.since = IP_PER_MINUTE, now
            return True
        return window.spend()

    def forget_idle(self, now: float) -> None:
        """The server's clean-up, once a minute."""
        for address, window in list(self._windows.items()):
            if now - window.since >= _WINDOW_S:
                del self._windows[address]
