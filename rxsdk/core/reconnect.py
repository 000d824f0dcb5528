"""When to try again: the delays, and the table of what is fatal.

Floor 1, pure. Used by `rxsdk.core.connection` (delays) and `rxsdk.core.transport` (which failures are for good).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ReconnectPolicy", "is_fatal_status"]

_TRANSIENT_4XX = frozenset({408, 425, 429})


@dataclass(frozen=True)
class ReconnectPolicy:
    """Delays with full jitter: a random part of ``base_s * factor ** attempt``, never more than ``cap_s`` seconds.

    Full jitter keeps a thousand clients of a restarted server from coming back in step.
    """

    base_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 30.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """The wait before try number ``attempt`` (1 is the first repetition); ``chance`` is 0 to 1, drawn anew."""
        return chance * min(self.cap_s, self.base_s * self.factor ** min(attempt - 1, 64))


def is_fatal_status(status: int) -> bool:
    """Whether an HTTP status in answer to the opening handshake will be the same next time."""
    return 400 <= status < 500 and status not in _TRANSIENT_4XX
