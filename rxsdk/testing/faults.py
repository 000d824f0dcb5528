"""What is wrong with a `FaultProxy`'s network at this moment: plain settings that every road through it reads.

A leaf, no I/O. Written by `rxsdk.testing.fault_proxy`, read by `rxsdk.testing.road`, both on the proxy's loop.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Direction", "Faults", "LaneFaults", "lanes_of"]

Direction = Literal["up", "down"]
"""``"up"``: from the client to the server; ``"down"``: from the server to the client."""


@dataclass
class LaneFaults:
    """The faults of one direction."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    cut_after: int | None = None
    cuts_left: int | None = None
    """How many more connections are cut; None is all."""


@dataclass
class Faults:
    """All settings, and what has gone through so far. ``chance`` draws the jitter."""

    chance: random.Random = field(default_factory=random.Random)
    up: LaneFaults = field(default_factory=LaneFaults)
    down: LaneFaults = field(default_factory=LaneFaults)
    segment_bytes: int | None = None
    black_hole: bool = False
    refuse: bool = False
    slow_close_s: float = 0.0
    passed: dict[Direction, int] = field(default_factory=lambda: {"up": 0, "down": 0})

    def of(self, direction: Direction) -> LaneFaults:
        """The faults of this direction."""
        return self.up if direction == "up" else self.down

    def heal(self) -> None:
        """Back to a network without faults."""
        self.up, self.down = LaneFaults(), LaneFaults()
        self.segment_bytes = None
        self.black_hole = self.refuse = False
        self.slow_close_s = 0.0

    def is_plain(self, direction: Direction) -> bool:
        """Whether bytes of this direction just pass."""
        return not self.black_hole and self.segment_bytes is None and self.of(direction) == LaneFaults()

    def note_cut(self, direction: Direction) -> bool:
        """One connection was cut. Returns whether it was the last that shall be; then the setting is taken back."""
        lane = self.of(direction)
        if lane.cuts_left is None:
            return False
        lane.cuts_left -= 1
        if lane.cuts_left == 0:
            lane.cut_after = lane.cuts_left = None
        return lane.cuts_left is None


def lanes_of(direction: Direction | Literal["both"]) -> tuple[Direction, ...]:
    """The directions that ``direction`` names.

    Raises:
        ValueError: it names none.
    """
    if direction == "both":
        return ("up", "down")
    if direction not in ("up", "down"):
        raise ValueError(f'direction must be "up", "down" or "both", not {direction!r}')
    return (direction,)
