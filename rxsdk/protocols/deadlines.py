"""`Deadlines`: when each request runs out, the next one always at hand.

Floor 0, beside the contract: every wire's machine may use it. A heap whose entries are dropped late: a request that is
answered merely forgets its deadline, and the stale entries are swept when they outnumber the live ones, so that a
million answered calls leave nothing behind.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
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
        self._heap: list[tuple[float, int, E]] = []
        self._stale = 0
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, request: E, deadline: float) -> None:
        """Give ``request`` a deadline, in place of the one it had."""
        self.clear(request)
        request.deadline = deadline
        heapq.heappush(self._heap, (deadline, next(self._order), request))

    def clear(self, request: E) -> None:
        """Take its deadline away, if it has one."""
        if request.deadline is None:
            return
        request.deadline = None
        self._stale += 1
        if self._stale > _SWEEP_FROM and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].deadline == entry[0]]
            heapq.heapify(self._heap)
            self._stale = 0

    def first(self) -> float | None:
        """The next deadline; None when there is none."""
        heap = self._heap
        while heap and heap[0][2].deadline != heap[0][0]:
            heapq.heappop(heap)
            self._stale -= 1
        return heap[0][0] if heap else None

    def passed(self, now: float) -> Iterator[E]:
        """Each request whose deadline has passed, its deadline taken away, the longest passed first."""
        while (first := self.first()) is not None and first <= now:
            request = heapq.heappop(self._heap)[2]
            request.deadline = None
            yield request
