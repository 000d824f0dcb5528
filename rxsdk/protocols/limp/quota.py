"""Quotas: when the server's limit lets the next message through, and how many repeats the network gets.

Floor 0. The machine asks `Pace` before it writes and tells it of each 429; it takes a token of `TokenBucket` for each
call it sends again after a lost connection. Source: limp.md, "Quotas".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rxsdk.errors import ConfigurationError

__all__ = ["Pace", "QuotaPolicy", "TokenBucket"]

_WINDOW_S = 60.0
_EVER = float("-inf")


@dataclass(frozen=True)
class QuotaPolicy:
    """What to do about the server's quota of messages a minute.

    A 429 means that the message was not processed. (The stock server allows 40 to anonymous connections and 100 to
    authed ones; each chunk of a file counts.)

    Args:
        retry: Send it again once the server's minute is over, if its queue time allows; else the call ends with
            `CallRejected`.
        messages_per_minute: Keep under the quota to begin with: so many messages are written in any minute, heartbeats
            first; None is no limit.
    """

    retry: bool = True
    messages_per_minute: int | None = None

    def __post_init__(self) -> None:
        limit = self.messages_per_minute
        # Fewer than 4 would leave nothing beside verify, reauth and the heartbeats.
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 4):
            raise ConfigurationError("quota.messages_per_minute", "must be a whole number of at least 4, or None")
        if not isinstance(self.retry, bool):
            raise ConfigurationError("quota.retry", "must be True or False")


class Pace:
    """When the next message may be written on this connection. Heartbeats always may: they are written first."""

    def __init__(self, policy: QuotaPolicy) -> None:
        limit = policy.messages_per_minute
        # When the latest were, as many as are allowed; without a limit none, as an empty one takes 0.7 KiB.
        self._written: deque[float] | None = None if limit is None else deque(maxlen=limit)
        self.opens_at = _EVER
        """When the next message may be written."""

    def connected(self) -> None:
        """The server counts each connection by itself."""
        if self._written is not None:
            self._written.clear()
        self.opens_at = _EVER

    def written(self, now: float) -> None:
        """A message went out."""
        if self._written is not None:
            self._written.append(now)
            if len(self._written) == self._written.maxlen:
                self.opens_at = max(self.opens_at, self._written[0] + _WINDOW_S)

    def refused(self, now: float) -> float:
        """A 429 came: hold the rest back, and return when the server's minute is over for sure."""
        self.opens_at = now + _WINDOW_S
        return self.opens_at


class TokenBucket:
    """A budget: ``capacity`` at once, ``refill_per_s`` over time. Keeps repeats from becoming a flood of their own."""

    def __init__(self, capacity: int, refill_per_s: float) -> None:
        self._capacity = capacity
        self._refill_per_s = refill_per_s
        self._tokens = float(capacity)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """One token; False when there is none."""
        if self._at is not None:
            self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._refill_per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
