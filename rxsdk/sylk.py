"""`SylkService`: SylkServer's WebRTC gateway for applications: accounts, messages, calls and video rooms, signalled.

Floor 3: wires the sylkRTC machine to the core and the reactive side. The facade; accounts and calls are objects of
their own (`rxsdk.sylk_account`, `rxsdk.sylk_session`), what becomes of requests is the matter of `SylkLife`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxsdk.core.clock import Clock
from rxsdk.core.transport import Connect
from rxsdk.errors import InvalidCall
from rxsdk.protocols.sylk.book import Account, SylkState
from rxsdk.protocols.sylk.machine import account_add
from rxsdk.protocols.sylk.messages import (
    AccountDisposition,
    AccountMessage,
    AccountSync,
    Ack,
    ComposingIndication,
    ConferenceInvite,
    Configured,
    Event,
    FeedAttached,
    FeedEstablished,
    FileSharing,
    HistoryMessage,
    Identity,
    IncomingSession,
    InitialPublishers,
    MessageDelivery,
    MissedSession,
    MuteAudio,
    PublicKey,
    Publisher,
    PublishersJoined,
    PublishersLeft,
    RaisedHands,
    RegistrationChanged,
    RoomMessage,
    RoomStateChanged,
    SessionDisposition,
    SessionMessage,
    SessionStateChanged,
    SessionUpdated,
    SharedFile,
    SyncConversations,
    UnknownEvent,
)
from rxsdk.protocols.sylk.requests import Candidate, ha1
from rxsdk.reactive.call import Call
from rxsdk.reactive.streams import Stream
from rxsdk.secret import Secret
from rxsdk.service import Service
from rxsdk.sylk_account import SylkAccount
from rxsdk.sylk_config import SylkConfig
from rxsdk.sylk_life import SylkLife, only
from rxsdk.sylk_session import SylkFeed, SylkRoom, SylkSession

__all__ = [
    "AccountDisposition",
    "AccountMessage",
    "AccountSync",
    "Ack",
    "Candidate",
    "ComposingIndication",
    "ConferenceInvite",
    "Configured",
    "FeedAttached",
    "FeedEstablished",
    "FileSharing",
    "HistoryMessage",
    "Identity",
    "IncomingSession",
    "InitialPublishers",
    "MessageDelivery",
    "MissedSession",
    "MuteAudio",
    "PublicKey",
    "Publisher",
    "PublishersJoined",
    "PublishersLeft",
    "RaisedHands",
    "RegistrationChanged",
    "RoomMessage",
    "RoomStateChanged",
    "SessionDisposition",
    "SessionMessage",
    "SessionStateChanged",
    "SessionUpdated",
    "SharedFile",
    "SylkAccount",
    "SylkConfig",
    "SylkFeed",
    "SylkRoom",
    "SylkService",
    "SylkSession",
    "SylkState",
    "SyncConversations",
    "UnknownEvent",
]


class SylkService(Service[SylkConfig, Event]):
    """One connection to one SylkServer, for any number of accounts.

    As a context manager it connects, waits for the server's ready event, and leaves nothing running::

        with SylkService(SylkConfig("wss://sylk.example.com/webrtcgateway/ws")) as sylk:  # or: async with
            ada = sylk.add_account("ada@example.com", password).result()
            ada.register().result()
            call = ada.call("bob@example.com", offer)
            call.state_stream.subscribe(print)

    Calls and rooms are made by the account (`SylkAccount.call`, `SylkAccount.join`), messages too; what comes in is in
    `SylkAccount.incoming` and `SylkAccount.messages`.

    Without ``with``, ``init`` connects in the background and ``close`` ends it; ``init`` returns every event of the
    server, typed, those nobody here knows as `UnknownEvent`. A lost connection is made again; then the accounts are
    added and registered again by themselves, while calls and rooms are over.

    Any thread may use it. Observers are called on the event loop that ran when it was opened, else on one thread of
    the service's own.

    Args:
        config: may also be given to `init`.
        connect: opens transports in place of WebSockets (for tests; see `rxsdk.core.transport.memory_pair`).
        clock: the time in place of the loop's (for tests).
    """

    _inside: SylkLife

    def __init__(
        self, config: SylkConfig | None = None, *, connect: Connect | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(SylkLife, SylkConfig, config, connect, clock)

    def __repr__(self) -> str:
        url = self._config.url.partition("?")[0] if self._config else None
        return f"<SylkService {url} {self.state.name}>"

    @property
    def events(self) -> Stream[Event]:
        """Every event of the server, typed: hot, without replay. What ``init`` returns."""
        return self._inside.messages

    @property
    def public_keys(self) -> Stream[PublicKey]:
        """What was asked for with `lookup_public_key`; a part of `events`."""
        return only(self.events, PublicKey)

    def add_account(
        self,
        address: str,
        password: str | Secret,
        *,
        realm: str | None = None,
        display_name: str | None = None,
        user_agent: str | None = None,
        incoming_header_prefixes: Sequence[str] | None = None,
    ) -> Call[SylkAccount]:
        """Make an account known to the server, for this connection and those after it. The reply is the account.

        The password is not looked at before `SylkAccount.register`. It is not kept: what is, and goes over the wire, is
        its HA1, the hex MD5 of ``user:realm:password``, as good as the password for SIP: use ``wss://``.

        Args:
            address: ``user@domain``, in ASCII.
            password: the plain one of the SIP account.
            realm: what the password is for; the domain when not given.
            display_name: what others see beside the address.
            user_agent: what the SIP messages call this program.
            incoming_header_prefixes: which SIP headers of incoming calls to pass on.

        Raises:
            InvalidCall: an argument cannot make a call.
        """
        fields: dict[str, Any] = {
            "display_name": display_name,
            "user_agent": user_agent,
            "incoming_header_prefixes": incoming_header_prefixes,
        }
        kind = "account-add"
        secret = ha1(_text(kind, "account", address), _plain(kind, password), _text(kind, "realm", realm, None))
        thing = Account(address, secret, fields)
        request = account_add(thing, **self._inside.times)
        account = SylkAccount(self._inside, thing)
        return self._inside.send(request, lambda _ack: account)

    def lookup_public_key(self, uri: str) -> Call[Ack]:
        """Ask for the PGP key of ``uri``; it comes in `public_keys`."""
        return self._inside.send(self._inside.request("lookup-public-key", {"uri": uri}))


def _plain(kind: str, password: str | Secret) -> str:
    plain = password.reveal() if isinstance(password, Secret) else password
    if not _text(kind, "password", plain):
        raise InvalidCall(kind, "password", "is empty")
    return plain


def _text(kind: str, name: str, value: Any, *others: Any) -> Any:
    """``value``, which must be text that can be encoded, or one of ``others``."""
    if value in others and not isinstance(value, str):
        return value
    if not isinstance(value, str):
        raise InvalidCall(kind, name, f"must be a string, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidCall(kind, name, "holds a lone surrogate, which is no text") from None
    return value
