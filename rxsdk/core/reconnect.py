"""When to try again: the delays, and the table of what is fatal.

Floor 1, pure. Used by `rxsdk.core.connection` (delays) and `rxsdk.core.transport` (which failures are for good).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rxsdk.errors import ConfigurationError, ConnectFailed, TransportError

__all__ = ["ReconnectPolicy", "is_fatal", "is_fatal_status"]

_TRANSIENT_4XX = frozenset({408, 425, 429})


def is_fatal(error: TransportError) -> bool:
    """Whether trying again cannot help: a bad URL, a TLS failure, most HTTP 4xx, a verify refused."""
    return isinstance(error, ConnectFailed) and error.fatal


@dataclass(frozen=True)
class ReconnectPolicy:
    """When to connect again after a loss.

    Delays have full jitter: a random part of ``base_s * factor ** (attempt - 1)``, never more than ``cap_s`` seconds.
    That keeps a thousand clients of a restarted server from coming back in step.

    Args:
        base_s: Seconds of the first delay, at most.
        factor: How much longer each next one may be.
        cap_s: Seconds that no delay is longer than.
        max_attempts: Give up after so many tries in a row that failed; None never does.
        is_fatal: Whether to give up at once because of this error; a pure function.
    """

    base_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 30.0
    max_attempts: int | None = None
    is_fatal: Callable[[TransportError], bool] = is_fatal

    def __post_init__(self) -> None:
        for name, low in (("base_s", 0.0), ("factor", 1.0), ("cap_s", 0.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < float("inf"):
                raise ConfigurationError(f"reconnect.{name}", f"must be a number of at least {low:g}")
        limit = self.max_attempts
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ConfigurationError("reconnect.max_attempts", "must be a whole number of at least 1, or None")
        if not callable(self.is_fatal):
            raise ConfigurationError("reconnect.is_fatal", "must be a function of the error")

    def gives_up(self, error: TransportError, attempt: int) -> bool:
        """Whether ``error`` ends it; ``attempt`` counts the repetitions that have failed in a row."""
        return self.is_fatal(error) or (self.max_attempts is not None and attempt >= self.max_attempts)

    def delay_s(self, attempt: int, chance: float) -> float:
        """The wait before try number ``attempt`` (1 is the first repetition); ``chance`` is 0 to 1, drawn anew."""
        return chance * min(self.cap_s, self.base_s * self.factor ** min(attempt - 1, 64))


def is_fatal_status(status: int) -> bool:
    """Whether an HTTP status in answer to the opening handshake will be the same next time."""
    return 400 <= status < 500 and status not in _TRANSIENT_4XX
