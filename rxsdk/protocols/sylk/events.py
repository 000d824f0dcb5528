"""What the sylkRTC machine reports: frozen, past tense, in the order things happened.

Floor 0. Read by `rxsdk.sylk_life`, which turns them into notifications. What happened to accounts, calls and rooms is
reported by `book`: `Received`, `StateChanged`, `Arrived`.
"""

from __future__ import annotations

import msgspec

from rxsdk.errors import RemoteProtocolError, RxSdkError, TransportError
from rxsdk.protocols.sylk.book import Arrived, Received, StateChanged
from rxsdk.protocols.sylk.messages import Ack
from rxsdk.protocols.sylk.phases import Phase
from rxsdk.protocols.sylk.requests import Request

__all__ = [
    "Arrived",
    "ConnectionGivenUp",
    "Event",
    "FrameRejected",
    "PhaseChanged",
    "PingAnswered",
    "Received",
    "RequestAcknowledged",
    "RequestFailed",
    "RequestWritten",
    "StateChanged",
]


class RequestAcknowledged(msgspec.Struct, frozen=True):
    """The server took ``request``."""

    request: Request
    ack: Ack


class RequestFailed(msgspec.Struct, frozen=True):
    """``request`` ended with ``error``."""

    request: Request
    error: RxSdkError


class PhaseChanged(msgspec.Struct, frozen=True):
    """The connection moved on; ``phase`` is where it is now."""

    phase: Phase


class FrameRejected(msgspec.Struct, frozen=True):
    """A frame that is no message; it was dropped."""

    error: RemoteProtocolError


class PingAnswered(msgspec.Struct, frozen=True):
    """The server is there."""

    round_trip_s: float


class ConnectionGivenUp(msgspec.Struct, frozen=True):
    """The connection is open and of no use (no ping answered, never ready): drop it."""

    error: TransportError


class RequestWritten(msgspec.Struct, frozen=True):
    """``request`` is on the wire; reported only when the machine was made with ``trace``."""

    request: Request


Event = (
    RequestAcknowledged
    | RequestFailed
    | Received
    | StateChanged
    | Arrived
    | PhaseChanged
    | FrameRejected
    | PingAnswered
    | ConnectionGivenUp
    | RequestWritten
)
