"""`SylkEmulator`: one emulated SylkServer on a thread of its own, to be used from tests and from the command line.

The facade; how it runs, and what every emulated server can be told, stands in `rxsdk.emulator.host`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rxsdk.emulator.clock import Clock, SystemClock
from rxsdk.emulator.host import Host
from rxsdk.emulator.scripting import Rule, Scripted
from rxsdk.emulator.sylk.server import PATH, SylkServer

if TYPE_CHECKING:
    from rxsdk.sylk_config import SylkConfig

__all__ = ["USERS", "SylkEmulator"]

USERS = {"ada@example.com": "swordfish", "bob@example.com": "marigold", "eve@example.com": "lantern"}
"""The users there are when none are given, and their passwords."""


class SylkEmulator(Host[SylkServer]):
    """A SylkServer (its WebRTC gateway, the SIP server behind it, no media) for tests.

    Use it as a context manager, sync or async, or with `start` and `stop`. Scripting and records work in between, and
    keep what they were told across a restart; accounts, messages and rooms do not outlive one. The ``endpoint`` of the
    scripting verbs is a kind of request, such as ``"session-create"``.

    Args:
        host, port: where to listen; port 0 takes a free one, and a restart keeps it.
        users: who can register, and their passwords; `USERS` when None.
        public_keys: the PGP keys of users.
        versions: the versions of the protocol it speaks.
        clock: what time it is; a `ManualClock` makes scripted delays a matter of ``advance``.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        users: Mapping[str, str] | None = None,
        public_keys: Mapping[str, str] | None = None,
        versions: Sequence[int] = (2, 1),
        clock: Clock | None = None,
    ) -> None:
        super().__init__(host, port)
        self.users = dict(USERS if users is None else users)
        self._public_keys = dict(public_keys or {})
        self._versions = tuple(versions)
        self._clock = clock or SystemClock()

    def _make_server(self) -> SylkServer:
        return SylkServer(
            self._host, self.users, self._public_keys, self._versions, self._clock, self._script, self._record
        )

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.authority}{PATH}"

    def config(self, **overrides: Any) -> SylkConfig:
        """A ``SylkConfig`` for this server; ``overrides`` are more of its fields, or other values."""
        from rxsdk.sylk_config import SylkConfig  # noqa: PLC0415 - the only thing of rxsdk it uses, and only here

        return SylkConfig(**{"url": self.url, **overrides})

    def refuse_next(self, endpoint: str | None, error: str, *, times: int = 1) -> None:
        """Refuse the next request (or ``times``) of a kind with ``error``; None: of any but pings."""
        self._script.add(Rule(endpoint, "reply", {"error": error}, times))

    def reply_to(self, endpoint: str, reply: Scripted, *, times: int | None = None) -> None:
        """Answer requests of a kind with this instead of doing them.

        Args:
            reply: ``{"error": text}``; ``{}`` acknowledges; or a function of the request that returns one of these, or
                None to have it done as usual.
        """
        self._script.add(Rule(endpoint, "reply", reply, times))
