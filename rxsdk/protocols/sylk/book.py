"""`Book`: the accounts, calls, rooms and feeds there are, each moved by its table, whatever comes in whatever order.

Floor 0. Kept by the machine: it tells the book of events, answers and losses, and gets back what changed. Nothing here
knows of frames, transactions or time.

Invariants: an object moves by its table only. What has ended is forgotten here, and what still comes for it is handed
on without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from rxsdk.protocols.sylk import messages
from rxsdk.protocols.sylk.requests import Request
from rxsdk.protocols.sylk.tables import (
    ACCOUNT,
    ALLOWED,
    CALL,
    CREATES,
    ENDS,
    FEED,
    ON_ACK,
    ON_FAILED,
    ON_SUBMIT,
    ROOM,
    Moves,
)
from rxsdk.secret import Secret

__all__ = [
    "Account",
    "Arrived",
    "Book",
    "CallSession",
    "Feed",
    "Received",
    "Room",
    "StateChanged",
    "SylkState",
    "Thing",
]

_REMEMBERED = 1_000
"""Ids of calls that have ended: an incoming one told of twice must not ring again."""


class SylkState(msgspec.Struct, frozen=True):
    """Where an account, a call, a room or a feed is.

    ``name`` is one of its table's (`rxsdk.protocols.sylk.tables`); ``reason`` is why, where there is a why; ``code``
    and ``sdp`` came with it.
    """

    name: str
    reason: str | None = None
    code: int | None = None
    sdp: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether nothing can come after it."""
        return self.name in ENDS


class Thing:
    """What has a life by a table. ``listener`` is the service's; nothing here looks at it."""

    moves: ClassVar[Moves]

    def __init__(self, key: str, state: SylkState) -> None:
        self.key = key
        self.state = state
        self.listener: Any = None
        self.deadline: float | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} {self.state.name}>"

    @property
    def has_ended(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state.is_last

    def move(
        self, move: str, reason: str | None = None, code: int | None = None, sdp: str | None = None
    ) -> list[StateChanged]:
        """Go where the table says; nowhere, when it has no such move from here."""
        name = self.moves[self.state.name].get(move)
        if name is None:
            return []
        self.state = SylkState(name, reason, code, sdp)
        return [StateChanged(self, self.state)]


class Account(Thing):
    """An account the application has added. ``fields`` is what it was added with, but for the password."""

    moves = ACCOUNT

    def __init__(self, address: str, password: Secret, fields: dict[str, Any]) -> None:
        super().__init__(address, SylkState("adding"))
        self.password = password
        self.fields = fields
        self.wants_registration = False


class Session(Thing):
    """What calls and rooms have in common: a place on the server that ends with the connection.

    ``is_known`` once the server may know of it: from then on it does not outlive the connection.
    """

    def __init__(self, key: str, account: str, remote: messages.Identity, state: SylkState) -> None:
        super().__init__(key, state)
        self.account = account
        self.remote = remote
        self.is_known = False

    def parts(self) -> Sequence[Feed]:
        """What ends with it."""
        return ()


class CallSession(Session):
    """A call; ``is_incoming`` when the other side made it."""

    moves = CALL

    @property
    def is_incoming(self) -> bool:
        """Who began."""
        return self._incoming

    def __init__(self, key: str, account: str, remote: messages.Identity, *, offer: str | None = None) -> None:
        name = "requested" if offer is None else "incoming"
        super().__init__(key, account, remote, SylkState(name, sdp=offer))
        self._incoming = self.is_known = offer is not None


class Room(Session):
    """Our place in a room, and what we know of the others in it."""

    moves = ROOM

    def __init__(self, key: str, account: str, uri: str) -> None:
        super().__init__(key, account, messages.Identity(uri), SylkState("requested"))
        self.publishers: dict[str, messages.Publisher] = {}
        self.feeds: dict[str, Feed] = {}
        self.active_participants: tuple[str, ...] = ()
        self.raised_hands: tuple[str, ...] = ()
        self.files: tuple[messages.SharedFile, ...] = ()

    def parts(self) -> Sequence[Feed]:
        """Its feeds."""
        return tuple(self.feeds.values())


class Feed(Thing):
    """What a publisher of a room sends to us."""

    moves = FEED

    def __init__(self, key: str, room: Room, publisher: str) -> None:
        super().__init__(key, SylkState("attaching"))
        self.room = room
        self.publisher = publisher


Subject = Account | Session | Feed


class Received(msgspec.Struct, frozen=True):
    """An event of the server, and what it is about; None when that is not (any more) in the book."""

    event: messages.Event
    about: Thing | None


class StateChanged(msgspec.Struct, frozen=True):
    """``about`` is in ``state`` from now on."""

    about: Thing
    state: SylkState


class Arrived(msgspec.Struct, frozen=True):
    """Somebody calls ``account``."""

    call: CallSession
    account: Account


Change = Received | StateChanged | Arrived


class Book:
    """See the module."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[str, Session] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def redacted(self, frame: bytes) -> bytes:
        """``frame`` without passwords: a server may quote what it refuses."""
        for account in self.accounts.values():
            frame = frame.replace(account.password.reveal().encode(), b"<redacted>")
        return frame

    # -- requests

    def enter(self, request: Request) -> str | None:
        """Take note of a request that is made; or why it cannot be."""
        about = request.about
        if about is None:
            return None
        why = self._why_not(request, about)
        if why is None:
            self._note(request, about)
        return why

    def _why_not(self, request: Request, about: Subject) -> str | None:
        for thing in (about, about.room) if isinstance(about, Feed) else (about,):
            if thing.has_ended:
                return f"it is {thing.state.name}" + (f": {thing.state.reason}" if thing.state.reason else "")
        if isinstance(about, Account) and self.accounts.get(about.key, about) is not about:
            return f"{about.key} is added already"
        allowed = ALLOWED.get(request.kind)
        if allowed is not None and about.state.name not in allowed:
            return f"it is {about.state.name}"
        return None

    def _note(self, request: Request, about: Subject) -> None:
        if isinstance(about, Account):
            self.accounts[about.key] = about
            if request.kind in ("account-register", "account-unregister"):
                about.wants_registration = request.kind == "account-register"
        elif isinstance(about, Feed):
            about.room.feeds[about.key] = about
        else:
            self.sessions[about.key] = about

    def submitted(self, request: Request) -> list[Change]:
        """It is on its way."""
        return self._moved(request.about, ON_SUBMIT.get(request.kind))

    def acknowledged(self, request: Request) -> list[Change]:
        """The server took it."""
        return self._moved(request.about, ON_ACK.get(request.kind))

    def failed(self, request: Request, reason: str, *, entered: bool = True) -> list[Change]:
        """It was refused, or nobody knows, or it was taken back; or, not ``entered``, it could not even be made."""
        if not entered and request.kind not in CREATES:
            return []
        return self._moved(request.about, ON_FAILED.get(request.kind), reason)

    # -- events

    def take(self, event: messages.Event) -> list[Change]:
        """What an event of the server changes."""
        about = self._about(event)
        changes: list[Change] = [Received(event, about)]
        match event:
            case messages.RegistrationChanged() if isinstance(about, Account) and about.wants_registration:
                changes += self._moved(about, event.state, event.reason)
            case messages.IncomingSession() if isinstance(about, Account):
                changes += self._arrived(about, event)
            case messages.SessionStateChanged() if isinstance(about, CallSession):
                changes += self._moved(about, event.state, event.reason, event.code, event.sdp)
            case messages.RoomStateChanged() if isinstance(about, Room):
                changes += self._moved(about, event.state, event.reason, None, event.sdp)
            case _ if isinstance(about, Room):
                changes += self._in_room(about, event)
        return changes

    def _about(self, event: messages.Event) -> Subject | None:
        account, session = getattr(event, "account", None), getattr(event, "session", None)
        if account is not None:
            return self.accounts.get(account)
        return None if session is None else self.sessions.get(session)

    def _arrived(self, account: Account, event: messages.IncomingSession) -> list[Change]:
        if event.session in self.sessions or event.session in self._ended:
            return []
        call = CallSession(event.session, event.account, event.originator, offer=event.sdp)
        self.sessions[call.key] = call
        return [Arrived(call, account)]

    def _in_room(self, room: Room, event: messages.Event) -> list[Change]:
        match event:
            case messages.InitialPublishers():
                room.publishers = {one.id: one for one in event.publishers}
            case messages.PublishersJoined():
                room.publishers = {**room.publishers, **{one.id: one for one in event.publishers}}
            case messages.PublishersLeft():
                return list(self._left(room, set(event.publishers)))
            case messages.Configured():
                room.active_participants = tuple(event.active_participants)
            case messages.RaisedHands():
                room.raised_hands = tuple(event.raised_hands)
            case messages.FileSharing():
                room.files += tuple(event.files)
            case messages.FeedAttached() if event.feed in room.feeds:
                return self._moved(room.feeds[event.feed], "attached", None, None, event.sdp)
            case messages.FeedEstablished() if event.feed in room.feeds:
                return self._moved(room.feeds[event.feed], "established")
        return []

    def _left(self, room: Room, gone: set[str]) -> Iterator[Change]:
        room.publishers = {key: one for key, one in room.publishers.items() if key not in gone}
        for feed in room.parts():
            if feed.publisher in gone:
                yield from self._moved(feed, "detached", "the publisher left")

    # -- moves

    def end(self, thing: Session, reason: str) -> list[Change]:
        """It is over, whatever the server says."""
        return self._moved(thing, "terminated", reason)

    def lost(self, reason: str) -> list[Change]:
        """The connection is gone: "sessions are over", accounts are to be added (and registered) again."""
        changes: list[Change] = []
        for session in list(self.sessions.values()):
            if session.is_known:
                changes += self.end(session, reason)
        for account in self.accounts.values():
            changes += account.move("lost", reason)
        return changes

    def close(self, reason: str) -> list[Change]:
        """Everything is over."""
        changes: list[Change] = []
        for session in list(self.sessions.values()):
            changes += self.end(session, reason)
        for account in list(self.accounts.values()):
            changes += self._moved(account, "removed", reason)
        return changes

    def to_restore(self) -> list[Account]:
        """The accounts that a new connection must be told of."""
        return [account for account in self.accounts.values() if account.state.name != "adding"]

    def _moved(
        self,
        thing: Subject | None,
        move: str | None,
        reason: str | None = None,
        code: int | None = None,
        sdp: str | None = None,
    ) -> list[Change]:
        changes: list[Change] = []
        if thing is not None and move is not None:
            changes += thing.move(move, reason, code, sdp)
            if changes and thing.has_ended:
                changes += self._forget(thing)
        return changes

    def _forget(self, thing: Subject) -> list[Change]:
        changes: list[Change] = []
        if isinstance(thing, Account):
            if self.accounts.get(thing.key) is thing:  # else one that was added a second time, in vain
                del self.accounts[thing.key]
        elif isinstance(thing, Feed):
            thing.room.feeds.pop(thing.key, None)
        else:
            self.sessions.pop(thing.key, None)
            self._ended[thing.key] = None
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
            for part in thing.parts():
                changes += self._moved(part, "detached", thing.state.reason)
        return changes
