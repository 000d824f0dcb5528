"""What the LIMP machine reports: frozen, past tense, in the order things happened.

Floor 0. Read by `rxsdk.limp`, which turns them into notifications. Nothing that an event holds ever holds the event, so
the garbage collector need not know of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rxsdk.errors import RemoteProtocolError, RxSdkError, TransportError
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.res import Res, Session

__all__ = [
    "CallFailed",
    "CallReplied",
    "ConnectionGivenUp",
    "Event",
    "FrameRejected",
    "HeartbeatAnswered",
    "MessageReceived",
    "PhaseChanged",
    "ReauthRefused",
    "RequestAdmitted",
    "RequestRepeated",
    "RequestWritten",
    "ServerRefused",
    "SessionChanged",
    "WatchEnded",
    "WatchRenewed",
]


class CallReplied(msgspec.Struct, frozen=True, gc=False):
    """A 200 for ``request``. ``final`` is false while it is a watch that goes on.

    ``frame`` is that of a change which a watch tells: ``res`` may be made of it again.
    """

    request: Request
    res: Res[Any]
    final: bool
    frame: bytes | None = None


class CallFailed(msgspec.Struct, frozen=True, gc=False):
    """``request`` ended with ``error``; ``res`` is the reply that said so, if one did."""

    request: Request
    error: RxSdkError
    res: Res[Any] | None = None


class WatchEnded(msgspec.Struct, frozen=True, gc=False):
    """The watch ``request`` was deleted, by whoever."""

    request: Request


class WatchRenewed(msgspec.Struct, frozen=True, gc=False):
    """The watch ``request`` was made anew, after its connection was lost because of ``reason``.

    What changed after ``heard_at``, when that connection last brought something, may have been missed. ``res`` is the
    answer that says it goes on.
    """

    request: Request
    res: Res[Any]
    reason: Exception
    heard_at: float


class MessageReceived(msgspec.Struct, frozen=True, gc=False):
    """A message that belongs to no call of the application."""

    res: Res[Any]


class FrameRejected(msgspec.Struct, frozen=True, gc=False):
    """A frame that is no message; it was dropped."""

    error: RemoteProtocolError


class PhaseChanged(msgspec.Struct, frozen=True, gc=False):
    """The connection moved on; ``phase`` is where it is now."""

    phase: Phase


class SessionChanged(msgspec.Struct, frozen=True, gc=False):
    """``session`` is in force from now on; None is signed out."""

    session: Session | None


class ServerRefused(msgspec.Struct, frozen=True, gc=False):
    """The server would not let us in: the answer to ``conn/verify``, or its first message, is ``res``."""

    res: Res[Any]


class ReauthRefused(msgspec.Struct, frozen=True, gc=False):
    """The session of before was refused; the machine waits for fresh credentials, or word that there are none."""

    res: Res[Any]


class RequestAdmitted(msgspec.Struct, frozen=True, gc=False):
    """The turn of ``request``, which has files, has come; it has ended unwritten."""

    request: Request


class RequestRepeated(msgspec.Struct, frozen=True, gc=False):
    """``request`` will be written again: the connection was lost under it, or the server refused it unprocessed."""

    request: Request


class HeartbeatAnswered(msgspec.Struct, frozen=True, gc=False):
    """The server is there."""

    round_trip_s: float


class ConnectionGivenUp(msgspec.Struct, frozen=True, gc=False):
    """The connection is open and of no use (no heartbeat answered, never let in): drop it."""

    error: TransportError


class RequestWritten(msgspec.Struct, frozen=True, gc=False):
    """``request`` is on the wire; reported only when the machine was made with ``trace``."""

    request: Request


Event = (
    CallReplied
    | CallFailed
    | WatchEnded
    | WatchRenewed
    | MessageReceived
    | FrameRejected
    | PhaseChanged
    | SessionChanged
    | ServerRefused
    | HeartbeatAnswered
    | ConnectionGivenUp
    | ReauthRefused
    | RequestAdmitted
    | RequestRepeated
    | RequestWritten
)
