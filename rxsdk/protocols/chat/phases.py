"""`Phase` and `Progress`: where a chat connection and a request are, and the tables of how they move on.

Floor 0. The wire has no handshake of its own: an open connection is ready.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["MOVES", "STEPS", "Move", "Phase", "Progress", "Step"]


class Phase(Enum):
    """Where the connection is."""

    DISCONNECTED = "disconnected"
    READY = "ready"
    CLOSED = "closed"


class Move(Enum):
    CONNECTED = "a connection is open"
    LOST = "the connection is gone"
    CLOSED = "closed by the application, or failed for good"


MOVES: dict[tuple[Phase, Move], Phase] = {
    (Phase.DISCONNECTED, Move.CONNECTED): Phase.READY,
    **{(phase, Move.LOST): Phase.DISCONNECTED for phase in (Phase.DISCONNECTED, Phase.READY)},
    (Phase.CLOSED, Move.LOST): Phase.CLOSED,
    **{(phase, Move.CLOSED): Phase.CLOSED for phase in Phase},
}


class Progress(Enum):
    """How far a request has come."""

    WAITING = "not on the wire"
    WRITTEN = "written, not answered yet"
    ENDED = "answered, failed, or cancelled"


class Step(Enum):
    WRITTEN = "the frame was written"
    LOST = "the connection went away under it, and it may be written again"
    ENDED = "it met its end"


STEPS: dict[tuple[Progress, Step], Progress] = {
    (Progress.WAITING, Step.WRITTEN): Progress.WRITTEN,
    (Progress.WRITTEN, Step.LOST): Progress.WAITING,
    (Progress.WAITING, Step.ENDED): Progress.ENDED,
    (Progress.WRITTEN, Step.ENDED): Progress.ENDED,
}
