"""What the commands about big files share: a file, and how much memory this process has taken at the most."""

from __future__ import annotations

import os
import re
import resource
from contextlib import suppress
from pathlib import Path

from tests.faults.soak import resident

__all__ = ["MOST_GROWTH", "Memory", "fill"]

MOST_GROWTH = 32 * 1024 * 1024


def fill(path: Path, size: int) -> None:
    """Random bytes: of zeros the numbers would be half as long."""
    block = os.urandom(1024 * 1024)
    with path.open("wb") as file:
        for left in range(size, 0, -len(block)):
            file.write(block[:left])


class Memory:
    """What this process takes, beginning when it is idle: the system notes its peak."""

    def __init__(self) -> None:
        self.idle = resident()
        # From now on the peak counts, where the system can do that; elsewhere it always has.
        with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    @property
    def growth(self) -> int:
        """Bytes above what was taken idle, at the worst moment since."""
        return self._peak() - self.idle

    @staticmethod
    def _peak() -> int:
        with suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
            return int(re.findall(r"VmHWM:\s+(\d+) kB", file.read())[0]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
