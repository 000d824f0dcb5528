"""What a test told the emulator to do otherwise, and the record of what came in and what ran.

Shared between the test's threads and the emulator's loop: every entry takes the lock. Rules are looked at in the
order they were given; a rule for ``times`` calls goes away after them.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Executed", "Played", "Received", "Record", "Rule", "Script", "Scripted"]

Scripted = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any] | None]
"""A reply, or what makes one of the call's payload (None: have the call made as usual)."""

_KEEPALIVE = ("conn/verify", "heart/beat", "ping")
_MOST_RECEIVED = 50_000
_MOST_CHARACTERS = 8 * 1024 * 1024
_LONGEST_CONTENT = 4096
_MOST_CALL_IDS = 100_000
_LONGEST_CALL_ID = 1024


class Received(NamedTuple):
    """One message that came in: on which connection, what it said, and whether its token was accepted."""

    connection: int
    payload: dict[str, Any]
    accepted: bool


class Executed(Counter[str]):
    """How many calls ran, by endpoint; ``by_call_id`` counts the same calls by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.by_call_id: Counter[Any] = Counter()


@dataclass
class Rule:
    """One thing to do otherwise: ``what`` with ``value``, for ``times`` calls of ``endpoint`` (None: no end)."""

    endpoint: str | None
    what: str
    value: Any
    times: int | None

    def fits(self, endpoint: str) -> bool:
        """True when this rule is about a call of ``endpoint``; a rule about any call spares the keep-alive."""
        if self.endpoint is None:
            return endpoint not in _KEEPALIVE
        return self.endpoint == endpoint


@dataclass
class Played:
    """What the rules come to for one call."""

    delay_s: float = 0.0
    reply: Scripted | None = None
    silent: bool = False
    execute: bool = True
    without_call_id: bool = False


class Script:
    """The rules in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules.clear()

    def play(self, endpoint: object) -> Played | None:
        """What to do otherwise with a call that just came in; None when no rule is about it."""
        if not self._rules or not isinstance(endpoint, str):
            return None
        with self._lock:
            fitting = self._take(endpoint.lower())
        if not fitting:
            return None
        played = Played()
        for rule in fitting.values():
            _apply(rule, played)
        return played

    def _take(self, endpoint: str) -> dict[str, Rule]:
        """The first rule of each sort, used up by one."""
        fitting: dict[str, Rule] = {}
        for rule in self._rules:
            if rule.what not in fitting and rule.fits(endpoint):
                fitting[rule.what] = rule
                if rule.times is not None:
                    rule.times -= 1
        self._rules = [rule for rule in self._rules if rule.times != 0]
        return fitting


def _apply(rule: Rule, played: Played) -> None:
    match rule.what:
        case "delay":
            played.delay_s = rule.value
        case "silence":
            played.silent, played.execute = True, rule.value
        case "reply":
            played.reply = rule.value
        case "without_call_id":
            played.without_call_id = True


class Record:
    """What came in and what ran, readable from any thread; the older half is forgotten when it grows too big."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._received: list[Received] = []
        self._sizes: list[int] = []
        self._characters = 0
        self._executed = Executed()

    def note_received(self, connection: int, payload: dict[str, Any], *, accepted: bool, size: int = 0) -> None:
        """A message of ``size`` characters came in; the content of big chunks is not kept."""
        lean = _lean(payload)
        with self.changed:
            self._received.append(Received(connection, lean, accepted))
            self._sizes.append(size if lean is payload else 0)
            self._characters += self._sizes[-1]
            while len(self._received) > 1 and self._is_full():
                half = len(self._received) // 2
                self._characters -= sum(self._sizes[:half])
                del self._received[:half], self._sizes[:half]
            self.changed.notify_all()

    def _is_full(self) -> bool:
        return len(self._received) > _MOST_RECEIVED or self._characters > _MOST_CHARACTERS

    def note_executed(self, endpoint: str, call_id: Any) -> None:
        """A call ran."""
        with self.changed:
            self._executed[endpoint] += 1
            if isinstance(call_id, int) or (isinstance(call_id, str) and len(call_id) <= _LONGEST_CALL_ID):
                self._count(self._executed.by_call_id, call_id)
            self.changed.notify_all()

    @staticmethod
    def _count(by_call_id: Counter[Any], call_id: str | int) -> None:
        by_call_id[call_id] += 1
        if len(by_call_id) > _MOST_CALL_IDS:
            for oldest in list(itertools.islice(by_call_id, _MOST_CALL_IDS // 2)):
                del by_call_id[oldest]

    @property
    def received(self) -> list[Received]:
        """A copy of what came in, oldest first."""
        with self.changed:
            return list(self._received)

    @property
    def executed(self) -> Executed:
        """A copy of the counts."""
        with self.changed:
            copy = Executed()
            copy.update(self._executed)
            copy.by_call_id.update(self._executed.by_call_id)
            return copy

    def clear(self) -> None:
        """Start over."""
        with self.changed:
            self._received.clear()
            self._sizes.clear()
            self._characters = 0
            self._executed = Executed()


def _lean(payload: dict[str, Any]) -> dict[str, Any]:
    try:
        content = payload["doc"]["file"]["content"]
        if len(content) <= _LONGEST_CONTENT:
            return payload
    except (KeyError, TypeError):
        return payload
    lean = f"<{len(content)} characters>"
    return {**payload, "doc": {**payload["doc"], "file": {**payload["doc"]["file"], "content": lean}}}
