"""`Deadlines`: when each request runs out, the next one always at hand.

Floor 0, beside the contract: every wire's machine may use it. What runs out at the same moment (all that was written
in one go) is kept together, and forgotten the moment it is cleared; only the moment itself, a number in a heap, is
dropped late. So a million answered calls leave nothing behind, and most are no business of the heap.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["Deadlines", "Expiring"]

_SWEEP_FROM = 512


class Expiring(Protocol):
    """What can run out: a request, a session."""

    deadline: float | None
    """When; written by `Deadlines` alone."""


E = TypeVar("E", bound=Expiring)


class Deadlines(Generic[E]):
    """One deadline at most for each request, kept in ``request.deadline``."""

    def __init__(self) -> None:
        self._due: dict[float, dict[E, None]] = {}  # at each moment, in the order of being set
        self._moments: list[float] = []  # a heap of at least the keys of `_due`

    def __len__(self) -> int:
        return sum(map(len, self._due.values()))

    def set(self, request: E, deadline: float) -> None:
        """Give ``request`` a deadline, in place of the one it had."""
        if request.deadline is not None:
            self.clear(request)
        request.deadline = deadline
        due = self._due.get(deadline)
        if due is None:
            self._due[deadline] = {request: None}
            heapq.heappush(self._moments, deadline)
        else:
            due[request] = None

    def clear(self, request: E) -> None:
        """Take its deadline away, if it has one."""
        deadline = request.deadline
        if deadline is None:
            return
        request.deadline = None
        due = self._due[deadline]
        del due[request]
        if not due:
            del self._due[deadline]
            if len(self._moments) > _SWEEP_FROM + 2 * len(self._due):
                self._moments = sorted(self._due)  # a sorted list is a heap

    def first(self) -> float | None:
        """The next deadline; None when there is none."""
        moments = self._moments
        while moments and moments[0] not in self._due:
            heapq.heappop(moments)
        return moments[0] if moments else None

    def passed(self, now: float) -> Iterator[E]:
        """Each request whose deadline has passed, its deadline taken away, the longest passed first."""
        while (first := self.first()) is not None and first <= now:
            for request in list(self._due[first]):
                if request.deadline == first:  # else it was cleared because of one before it
                    self.clear(request)
                    yield request
