"""`Phase`: where a LIMP connection is, and the one table of how it moves on.

Floor 0. Read by the machine, which moves, and by `rxsdk.limp`, which shows it.
"""

from __future__ import annotations

from enum import Enum

from rxsdk.errors import LocalProtocolError

__all__ = ["CLOSED", "READY", "Move", "Phase", "next_phase"]


class Phase(Enum):
    """Where the connection is."""

    DISCONNECTED = "disconnected"
    OPENING = "opening"  # connected; the server speaks first
    VERIFYING = "verifying"
    AUTHENTICATING = "authenticating"  # bringing the session of before back
    READY = "ready"
    CLOSED = "closed"


READY, CLOSED = Phase.READY, Phase.CLOSED  # asked for at every call; see `rxsdk.protocols.limp.request.WAITING`


class Move(Enum):
    CONNECTED = "a connection is open"
    ASKED_TO_VERIFY = "CORE_CONN_READY"
    LET_IN = "CORE_CONN_OK, or the oldest server's bare 200"
    LET_IN_WITH_SESSION = "the same, with a session in memory"
    REAUTHED = "the reauth was answered, either way"
    LOST = "the connection is gone"
    CLOSED = "closed by the application, or failed for good"


MOVES: dict[tuple[Phase, Move], Phase] = {
    (Phase.DISCONNECTED, Move.CONNECTED): Phase.OPENING,
    (Phase.OPENING, Move.ASKED_TO_VERIFY): Phase.VERIFYING,
    (Phase.OPENING, Move.LET_IN): Phase.READY,
    (Phase.OPENING, Move.LET_IN_WITH_SESSION): Phase.AUTHENTICATING,
    (Phase.VERIFYING, Move.LET_IN): Phase.READY,
    (Phase.VERIFYING, Move.LET_IN_WITH_SESSION): Phase.AUTHENTICATING,
    (Phase.AUTHENTICATING, Move.REAUTHED): Phase.READY,
    **{(phase, Move.LOST): Phase.DISCONNECTED for phase in Phase if phase is not Phase.CLOSED},
    (Phase.CLOSED, Move.LOST): Phase.CLOSED,
    **{(phase, Move.CLOSED): Phase.CLOSED for phase in Phase},
}


def next_phase(phase: Phase, move: Move) -> Phase:
    """Where ``move`` leads from ``phase``; a move the table does not have is a mistake of ours."""
    try:
        return MOVES[phase, move]
    except KeyError:
        raise LocalProtocolError(f"{move.name} while {phase.value}") from None
