"""What a watch tells: `Snapshot`, `Created`, `Updated`, `Deleted`, and `Gap` where something may be missing.

Floor 3, plain values; imports nothing of rxsdk. None shows its documents when printed: they may hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

__all__ = ["Change", "Created", "Deleted", "Gap", "Snapshot", "Updated"]

D = TypeVar("D")


@dataclass(frozen=True)
class Gap:
    """Changes may be missing here: the connection was lost (``reason``), and the watch has been made anew.

    It stands after all that was received before the loss, and before all that came after. Whatever changed between
    ``since``, when the server was last heard, and now may not have been told.
    """

    reason: Exception
    since: datetime


@dataclass(frozen=True, repr=False)
class Snapshot(Generic[D]):
    """What there is at this moment: ``docs`` by their ``_id``, in the server's order. Every change after it is told."""

    docs: Mapping[str, D]

    def __repr__(self) -> str:
        return f"Snapshot({len(self.docs)} docs)"


@dataclass(frozen=True, repr=False)
class _OfOne:
    """A change of the document whose ``_id`` is ``id``."""

    id: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


@dataclass(frozen=True, repr=False)
class Created(_OfOne, Generic[D]):
    """``doc`` is new here: created, restored, or come into the query."""

    doc: D


@dataclass(frozen=True, repr=False)
class Updated(_OfOne, Generic[D]):
    """``doc`` is what it is now; ``before`` what it was, where that is known (with a snapshot it is)."""

    doc: D
    before: D | None = None


@dataclass(frozen=True, repr=False)
class Deleted(_OfOne, Generic[D]):
    """It is gone: deleted, softly or for good, or out of the query; ``doc`` is the last of it that is known."""

    doc: D | None = None


Change: TypeAlias = Snapshot[D] | Created[D] | Updated[D] | Deleted[D] | Gap
"""Whatever a watch may tell."""
