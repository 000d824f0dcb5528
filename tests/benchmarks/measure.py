"""What a unit of work costs, in paired repetitions; and the table of it.

The two sides of a row take turns within each repetition, and who begins changes from one to the next, so that what the
machine does meanwhile falls on both.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Work = Callable[[int], None]
"""Does so many units of work, and returns when they are done."""

Cost = Callable[[int], float]
"""The same, and returns what one unit cost."""


@dataclass(frozen=True)
class Result:
    """One row: what a unit costs, one figure for each repetition."""

    row: str
    unit: str
    ours_each: Sequence[float]
    floor_each: Sequence[float]
    target: float

    @property
    def ours(self) -> float:
        return statistics.median(self.ours_each)

    @property
    def floor(self) -> float:
        return statistics.median(self.floor_each)

    @property
    def ratios(self) -> list[float]:
        return [ours / floor for ours, floor in zip(self.ours_each, self.floor_each, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the repetitions' ratios."""
        return statistics.median(self.ratios)

    @property
    def ok(self) -> bool:
        return self.ratio <= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "ours": round(self.ours, 3),
            "floor": round(self.floor, 3),
            "ratio": round(self.ratio, 3),
            "target": self.target,
            "ok": self.ok,
        }


def cpu_us(work: Work) -> Cost:
    """The cost in CPU microseconds of this process, all its threads together."""

    def cost(units: int) -> float:
        gc.collect()
        before = time.process_time()
        work(units)
        return (time.process_time() - before) / units * 1e6

    return cost


def paired(ours: Cost, floor: Cost, *, units: int, repetitions: int) -> tuple[list[float], list[float]]:
    """Measure both in turn; who begins changes from one repetition to the next."""
    pairs: list[dict[Cost, float]] = []
    for repetition in range(repetitions):
        order = (ours, floor) if repetition % 2 == 0 else (floor, ours)
        pairs.append({cost: cost(units) for cost in order})
    return [pair[ours] for pair in pairs], [pair[floor] for pair in pairs]


def table(results: Sequence[Result]) -> str:
    """The results as aligned plain text."""
    lines = [("a unit costs", "", "ours", "floor", "ratio", "lowest–highest", "target", "")]
    for result in results:
        spread = f"{min(result.ratios):.2f}–{max(result.ratios):.2f}"
        ok = "ok" if result.ok else "over"
        numbers = (f"{result.ours:.2f}", f"{result.floor:.2f}", f"{result.ratio:.2f}")
        lines.append((result.row, result.unit, *numbers, spread, f"≤ {result.target:.2f}", ok))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = []
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        shown.append("  ".join(cells).rstrip())
    shown.insert(1, "─" * max(map(len, shown)))
    return "\n".join(shown)
