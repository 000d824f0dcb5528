"""What the chat's machine reports: frozen, past tense, in the order things happened.

Floor 0. Read by `rxsdk.chat_life`, which turns them into notifications.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rxsdk.errors import RemoteProtocolError, RxSdkError, TransportError
from rxsdk.protocols.chat.phases import Phase
from rxsdk.protocols.chat.request import Request
from rxsdk.protocols.chat.types import Event

__all__ = [
    "CallFailed",
    "CallReplied",
    "ConnectionGivenUp",
    "EventReceived",
    "FrameRejected",
    "HeartbeatAnswered",
    "PhaseChanged",
    "PresenceChanged",
    "Report",
    "RequestRepeated",
    "TypingChanged",
]


class CallReplied(msgspec.Struct, frozen=True):
    """``request`` was answered with ``payload``, made into the type it asks for."""

    request: Request
    payload: Any


class CallFailed(msgspec.Struct, frozen=True):
    """``request`` ended with ``error``."""

    request: Request
    error: RxSdkError


class RequestRepeated(msgspec.Struct, frozen=True):
    """``request`` will be written again: the connection was lost under it."""

    request: Request


class EventReceived(msgspec.Struct, frozen=True):
    """An event not handed over before. If it has an id, the machine waits for `acknowledge` or `let_go`."""

    event: Event[Any]


class PresenceChanged(msgspec.Struct, frozen=True):
    """Who of the contacts is online."""

    online: frozenset[str]


class TypingChanged(msgspec.Struct, frozen=True):
    """Who types, as ``(chat_id, user_id)``."""

    typing: frozenset[tuple[str, str]]


class PhaseChanged(msgspec.Struct, frozen=True):
    """The connection moved on; ``phase`` is where it is now."""

    phase: Phase


class HeartbeatAnswered(msgspec.Struct, frozen=True):
    """The server is there."""

    round_trip_s: float


class ConnectionGivenUp(msgspec.Struct, frozen=True):
    """The connection is open and of no use: drop it."""

    error: TransportError


class FrameRejected(msgspec.Struct, frozen=True):
    """A frame that makes no sense; it was dropped."""

    error: RemoteProtocolError


Report = (
    CallReplied
    | CallFailed
    | RequestRepeated
    | EventReceived
    | PresenceChanged
    | TypingChanged
    | PhaseChanged
    | HeartbeatAnswered
    | ConnectionGivenUp
    | FrameRejected
)
