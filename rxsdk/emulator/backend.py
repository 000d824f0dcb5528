"""What every connection shares: settings, clock, documents, modules, watches, and the making of ids and tokens.

No sockets. One `Backend` belongs to one running emulator and lives on its loop; `Caller` is whoever calls: a
connection, or one HTTP request.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from rxsdk.emulator.clock import Clock
from rxsdk.emulator.modules import Module
from rxsdk.emulator.schema import Attr
from rxsdk.emulator.settings import ANON_SID, Settings
from rxsdk.emulator.store import Collection, Store
from rxsdk.emulator.watches import Watches

__all__ = ["ADMIN_ID", "ANON_USER_ID", "DEFAULT_GROUP_ID", "SYSTEM_IDS", "Backend", "Caller", "Session", "text_time"]

ADMIN_ID = "f00000000000000000000010"
ANON_USER_ID = "f00000000000000000000011"
DEFAULT_GROUP_ID = "f00000000000000000000013"
SYSTEM_IDS = frozenset({ADMIN_ID, ANON_USER_ID, ANON_SID, DEFAULT_GROUP_ID})


def text_time(seconds: float) -> str:
    """A moment as the server writes it: ISO 8601 in UTC, with microseconds, without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


@dataclass
class Session:
    """Who a connection is at present: the key its frames must be signed with, and its user."""

    id: str
    token: str
    user: Mapping[str, Any]

    @classmethod
    def anonymous(cls, token: str) -> Session:
        """The session every connection begins with."""
        return cls(ANON_SID, token, {"_id": ANON_USER_ID, "groups": [], "privileges": {}})


class Caller(Protocol):
    """Whoever makes a call."""

    session: Session
    remote: str
    user_agent: str
    realm: str | None


@dataclass
class Backend:
    """The shared state of one running emulator.

    Args:
        defer: run something after what is being done now (the event of a change comes after the answer).
    """

    settings: Settings
    clock: Clock
    store: Store
    modules: Mapping[str, Module]
    defer: Callable[[Callable[[], None]], None]
    watches: Watches = field(default_factory=Watches)

    def __post_init__(self) -> None:
        self._process = secrets.token_hex(5)

    @property
    def now(self) -> str:
        """The present as the server writes it."""
        return text_time(self.clock.wall())

    def docs(self, module: str) -> Collection:
        """The collection of ``module``."""
        return self.store.collection(module)

    def new_id(self) -> str:
        """A new document id: later ones are greater."""
        self.store.made += 1
        if self.settings.seed is None:
            return f"{int(self.clock.wall()):08x}{self._process}{self.store.made & 0xFFFFFF:06x}"
        return f"{hashlib.sha256(f'{self.settings.seed}'.encode()).hexdigest()[:16]}{self.store.made:08x}"

    def new_token(self) -> str:
        """A new session token: 43 characters."""
        if self.settings.seed is None:
            return secrets.token_urlsafe(32)
        self.store.made += 1
        digest = hashlib.sha256(f"{self.settings.seed}/token/{self.store.made}".encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def anonymous(self) -> Session:
        """The session of who is nobody."""
        return Session.anonymous(self.settings.anon_token)

    def announce(self, module: str, oper: str, doc: dict[str, Any]) -> None:
        """Tell the watches of ``module`` about a change, after the answer to the call that made it."""
        if self.watches.watched(module):
            self.defer(lambda: self.watches.tell(module, oper, doc))


def modules_by_name(modules: Iterable[Module], settings: Settings) -> dict[str, Module]:
    """The modules by name; in realm mode every doc belongs to a realm."""
    if settings.realms:
        modules = [dataclasses.replace(m, attrs={**m.attrs, "realm": Attr("STR")}) for m in modules]
    return {module.name: module for module in modules}
