"""Who and what there is behind the gateway: users and their messages, calls between connections, rooms.

Plain records, kept by `gateway`; nothing here sends anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from rxsdk.emulator.clock import Clock
from rxsdk.emulator.socket import Socket
from rxsdk.emulator.wire import dumps

__all__ = ["AccountInfo", "Attendee", "Client", "FeedInfo", "Leg", "RoomInfo", "Stored", "World"]


@dataclass
class AccountInfo:
    """An account that a connection has added."""

    address: str
    password: str = field(repr=False)
    display_name: str | None
    state: str | None = None
    is_registered: bool = False
    is_authenticated: bool = False

    @property
    def identity(self) -> dict[str, Any]:
        """As others see it."""
        return {"uri": self.address, **({"display_name": self.display_name} if self.display_name else {})}


@dataclass(eq=False)
class Leg:
    """One side of a call, as one connection has it; ``others`` are its other sides (several while it rings)."""

    key: str
    client: Client
    account: AccountInfo
    is_incoming: bool
    state: str = "connecting"
    others: list[Leg] = field(default_factory=list)


@dataclass(eq=False)
class Attendee:
    """Somebody's place in a room."""

    key: str
    client: Client
    account: AccountInfo
    room: RoomInfo
    feeds: dict[str, FeedInfo] = field(default_factory=dict)


@dataclass
class FeedInfo:
    """A feed of ``publisher``."""

    key: str
    publisher: str
    attached_to: Attendee


@dataclass
class RoomInfo:
    """A video room, there as long as somebody is in it."""

    uri: str
    audio: bool
    video: bool
    attendees: dict[str, Attendee] = field(default_factory=dict)
    active_participants: list[str] = field(default_factory=list)
    raised_hands: list[str] = field(default_factory=list)


@dataclass
class Stored:
    """A message as one account sees it."""

    contact: str
    timestamp: str
    message_id: str
    content_type: str
    content: str
    direction: str
    state: str

    def shown(self) -> dict[str, Any]:
        """As it is synced."""
        return {**vars(self), "disposition": ["positive-delivery", "display"]}


class Client(Socket):
    """One connection and what it has made."""

    def __init__(self, number: int, ws: web.WebSocketResponse, request: web.Request) -> None:
        super().__init__(number, ws, request)
        self.accounts: dict[str, AccountInfo] = {}
        self.legs: dict[str, Leg] = {}
        self.places: dict[str, Attendee] = {}
        self.feeds: dict[str, FeedInfo] = {}

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue a message."""
        self.send_text(dumps(dict(message)))

    def tell_account(self, account: str, event: str, **fields: Any) -> None:
        """An event of one of its accounts."""
        self.send({"sylkrtc": "account-event", "account": account, "event": event, **fields})

    def tell_session(self, session: str, event: str, **fields: Any) -> None:
        """An event of one of its calls."""
        self.send({"sylkrtc": "session-event", "session": session, "event": event, **fields})

    def tell_room(self, session: str, event: str, **fields: Any) -> None:
        """An event of one of its places in rooms."""
        self.send({"sylkrtc": "videoroom-event", "session": session, "event": event, **fields})


class World:
    """Everything, for all connections."""

    def __init__(self, users: Mapping[str, str], public_keys: Mapping[str, str], clock: Clock) -> None:
        self._ha1 = {address: _ha1(address, password) for address, password in users.items()}
        self.public_keys = dict(public_keys)
        self._clock = clock
        self.clients: set[Client] = set()
        self.rooms: dict[str, RoomInfo] = {}
        self.messages: dict[str, list[Stored]] = {}

    def now(self) -> str:
        """The time as the gateway writes it."""
        return datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="seconds")

    def knows(self, address: str) -> bool:
        """Whether there is such a user."""
        return address in self._ha1

    def accepts(self, account: AccountInfo) -> bool:
        """Whether its password is right."""
        return self._ha1.get(account.address) == account.password

    def registered(self, address: str) -> Iterator[tuple[Client, AccountInfo]]:
        """Where ``address`` can be reached, the oldest connection first."""
        for client in sorted(self.clients, key=lambda one: one.number):
            account = client.accounts.get(address)
            if account is not None and account.is_registered:
                yield client, account

    def with_account(self, address: str, but: Client) -> Iterator[Client]:
        """The other connections that have added ``address``."""
        return (client for client in self.clients if client is not but and address in client.accounts)


def _ha1(address: str, password: str) -> str:
    user, _, domain = address.partition("@")
    return hashlib.md5(f"{user}:{domain}:{password}".encode(), usedforsecurity=False).hexdigest()
