"""`Ledger`: what became of each call that a suite made, kept by an observer that believes nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rxsdk import (
    Call,
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    CallTimeout,
    ReplyMismatch,
    SylkError,
)

__all__ = ["OUTCOMES", "Ledger"]

OUTCOMES = (CallRejected, CallTimeout, CallNotSent, CallOutcomeUnknown, CallCancelled, ReplyMismatch, SylkError)
"""How a call may end, beside by its reply."""


class Ledger:
    """Every call entered must end here exactly once, with a reply or with one of `OUTCOMES`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, str] = {}
        self._replied: set[int] = set()
        self._entered = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def enter(self, kind: str, call: Call[Any]) -> Callable[[], None]:
        """Follow ``call`` to its end; what is returned stops listening before."""
        with self._lock:
            self._entered += 1
            number = self._entered
            self._open[number] = kind
        subscription = call.subscribe(
            partial(self._reply, number), partial(self._end, number), partial(self._end, number, None)
        )

        def leave() -> None:
            subscription.dispose()
            with self._lock:
                if self._open.pop(number, None) is not None:
                    self.outcomes[kind, "left"] += 1

        return leave

    def _reply(self, number: int, value: Any) -> None:
        with self._lock:
            if number in self._open:  # else it was left a moment ago
                self._replied.add(number)

    def _end(self, number: int, error: Exception | None) -> None:
        with self._lock:
            kind = self._open.pop(number, None)
            replied = number in self._replied
            self._replied.discard(number)
            if kind is None:
                self.wrong.append(f"call {number} ended a second time, with {error!r}")
                return
            if error is None:
                outcome = "reply" if replied else "nothing"
            else:
                outcome = type(error).__name__ if isinstance(error, OUTCOMES) else f"! {error!r}"
            self.outcomes[kind, outcome] += 1
            if outcome == "nothing" or outcome.startswith("!"):
                self.wrong.append(f"call {number} ({kind}) ended with {outcome}")

    def open_but(self, kind: str) -> int:
        """How many have not ended, those of ``kind`` not counted."""
        with self._lock:
            return sum(each != kind for each in self._open.values())

    @property
    def hung(self) -> int:
        """How many have not ended."""
        return len(self._open)

    @property
    def entered(self) -> int:
        """How many were made."""
        return self._entered

    def share_replied(self, kind: str) -> float:
        """How many of this kind got their reply, of all that ended; 1.0 when there were none."""
        total = sum(times for (each, _), times in self.outcomes.items() if each == kind)
        return self.outcomes[kind, "reply"] / total if total else 1.0

    def table(self) -> str:
        """Calls by kind and outcome."""
        rows = sorted(self.outcomes.items())
        return "\n".join(f"  {kind:<8} {outcome:<22} {times:>9,}" for (kind, outcome), times in rows)
