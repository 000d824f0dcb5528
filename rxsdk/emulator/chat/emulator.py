"""`ChatEmulator`: one emulated chat server on a thread of its own.

The facade; how it runs, and what every emulated server can be told, stands in `rxsdk.emulator.host`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rxsdk.emulator.chat.server import ChatServer
from rxsdk.emulator.clock import Clock, SystemClock
from rxsdk.emulator.host import Host
from rxsdk.emulator.scripting import Rule, Scripted
from rxsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from rxsdk.chat_config import ChatConfig

__all__ = ["ChatEmulator"]


class ChatEmulator(Host[ChatServer]):
    """A chat server for tests.

    Use it as a context manager, sync or async, or with `start` and `stop`. For `delay`, `silence` and `reply_to`, what
    they are about is the type of a request (``"new"``, ``"messages"`` …), ``"ack"`` or ``"ping"``: ``silence("ack")``
    loses acknowledgements, ``silence("ping")`` lets pings go unanswered.

    Args:
        host, port: where to listen; port 0 takes a free one, and a restart keeps it.
        users: who there is; everybody is everybody's contact.
        groups: their members, by the group's id.
        data: a file to keep everything in across restarts (SQLite); memory only when None.
        clock: what time it is; a `ManualClock` makes the 20 s of silence a matter of ``advance``.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        users: Iterable[str] = ("ada", "bob", "eve"),
        groups: Mapping[str, Iterable[str]] | None = None,
        data: str | Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(host, port)
        self._tokens = {f"token-of-{user}": user for user in users}
        groups = {"team": tuple(self._tokens.values())} if groups is None else groups
        self._groups = {group: tuple(members) for group, members in groups.items()}
        for group, members in self._groups.items():
            if strangers := set(members) - set(self._tokens.values()):
                raise ConfigurationError("groups", f"{group}: {', '.join(sorted(strangers))} is not among the users")
        self._data = None if data is None else Path(data)
        self._clock = clock or SystemClock()

    def _make_server(self) -> ChatServer:
        return ChatServer(self._host, self._tokens, self._groups, self._data, self._clock, self._script, self._record)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.authority}/ws"

    @property
    def users(self) -> list[str]:
        """Who there is."""
        return list(self._tokens.values())

    def token(self, user: str) -> str:
        """What ``user`` connects with, as ``Authorization: Bearer …``."""
        return next(token for token, name in self._tokens.items() if name == user)

    def config(self, user: str, **overrides: Any) -> ChatConfig:
        """A ``ChatConfig`` for this user; ``overrides`` are more of its fields, or other values."""
        from rxsdk.chat_config import ChatConfig  # noqa: PLC0415 - the only thing of rxsdk it uses, and only here

        headers = {"Authorization": f"Bearer {self.token(user)}"}
        return ChatConfig(**{"url": self.url, "headers": headers, "user_id": user, **overrides})

    def reply_to(self, payload_type: str, payload: Scripted, *, times: int | None = None) -> None:
        """Answer requests of ``payload_type`` with this payload, or with what it makes of the request's frame."""
        self._script.add(Rule(payload_type.lower(), "reply", payload, times))

    def tell(self, user: str, event_type: str, payload: Any, *, keep: bool = True) -> None:
        """Send an event to ``user``, as any the server has; without ``keep`` it has no id and comes once."""
        self._on_loop(lambda server: server.tell(user, event_type, payload, keep=keep))

    def waiting(self, user: str) -> int:
        """How many events ``user`` has not acknowledged."""
        return self._on_loop(lambda server: len(server.waiting(user)))
