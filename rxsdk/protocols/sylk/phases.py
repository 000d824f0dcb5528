"""`Phase`: where a sylkRTC connection is, and the one table of how it moves on.

Floor 0. Read by the machine, which moves, and by `rxsdk.sylk_life`, which shows it.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["MOVES", "Move", "Phase"]


class Phase(Enum):
    """Where the connection is."""

    DISCONNECTED = "disconnected"
    OPENING = "opening"  # connected; the server speaks first
    RESTORING = "restoring"  # adding and registering the accounts of before
    READY = "ready"
    CLOSED = "closed"


class Move(Enum):
    CONNECTED = "a connection is open"
    LET_IN = "the ready event"
    LET_IN_WITH_ACCOUNTS = "the same, with accounts in memory"
    RESTORED = "each of those was answered, either way"
    LOST = "the connection is gone"
    CLOSED = "closed by the application, or failed for good"


MOVES: dict[tuple[Phase, Move], Phase] = {
    (Phase.DISCONNECTED, Move.CONNECTED): Phase.OPENING,
    (Phase.OPENING, Move.LET_IN): Phase.READY,
    (Phase.OPENING, Move.LET_IN_WITH_ACCOUNTS): Phase.RESTORING,
    (Phase.RESTORING, Move.RESTORED): Phase.READY,
    **{(phase, Move.LOST): Phase.DISCONNECTED for phase in Phase if phase is not Phase.CLOSED},
    **{(phase, Move.CLOSED): Phase.CLOSED for phase in Phase},
}
"""Any other move changes nothing: a second ready event, a loss after the end."""
