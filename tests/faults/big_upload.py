"""``python -m tests.faults.big_upload``: a file of 1 GiB goes up, and this process does not grow by it.

The server is in another process (that of the benchmarks, which answers every chunk and keeps nothing), so that this
one's memory is the client's: the system notes its peak, from the idle client on. With ``--floor`` the benchmarks' floor
sends the same file afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rxsdk import ApiService, SDKConfig, UploadProgress
from tests.benchmarks.floor import open_floor
from tests.benchmarks.rows import CHUNK
from tests.benchmarks.sides import ANON_TOKEN, APP_ID, server_process
from tests.faults.soak import resident

__all__ = ["Report", "run"]

MOST_GROWTH = 32 * 1024 * 1024


@dataclass
class Report:
    """What a run came to."""

    size: int
    seconds: float
    idle: int
    peak: int
    last: UploadProgress
    floor_seconds: float | None = None

    @property
    def growth(self) -> int:
        """Bytes above what the idle client took, at the worst moment."""
        return self.peak - self.idle

    def problems(self) -> list[str]:
        """What is not as it should be; empty when all is well."""
        found = []
        if self.growth > MOST_GROWTH:
            found.append(f"memory grew by {self.growth:,} bytes")
        if (self.last.phase, self.last.sent_bytes) != ("done", self.size):
            found.append(f"the last progress was {self.last}")
        rate = self.size / self.seconds
        if abs(self.last.rate_bytes_per_s / rate - 1) > 0.1:
            found.append(f"the rate was told as {self.last.rate_bytes_per_s:,.0f}, by the clock it was {rate:,.0f}")
        return found


def run(size: int, *, floor: bool = False) -> Report:
    """Send ``size`` bytes; by the floor too, if that is wanted."""
    with tempfile.TemporaryDirectory() as folder, server_process() as url:
        path = Path(folder) / "big.bin"
        _fill(path, size)
        to_upload = f"{url}/upload/{-(-size // CHUNK)}"
        report = asyncio.run(_run(to_upload, path))
        if floor:
            report.floor_seconds = asyncio.run(_run_floor(to_upload, path))
        return report


async def _run(url: str, path: Path) -> Report:
    config = SDKConfig(api=url, anon_token=ANON_TOKEN, auth_attrs=["email"], file_chunk_size=CHUNK)
    async with ApiService(config) as api:
        await api.call("staff/read")
        idle = resident()
        _forget_peak()
        seen: list[UploadProgress] = []
        began_at = time.monotonic()
        call = api.call("staff/create", doc={"file": path})
        call.progress.subscribe(seen.append)
        await call
        seconds = time.monotonic() - began_at
        await call.progress
        return Report(path.stat().st_size, seconds, idle, _peak(), seen[-1])  # noqa: ASYNC240 - one look at the end


async def _run_floor(url: str, path: Path) -> float:
    floor = await open_floor(url, ANON_TOKEN, APP_ID, "websockets", at_once=True)
    began_at = time.monotonic()
    await floor.upload("staff/create", str(path), CHUNK)
    seconds = time.monotonic() - began_at
    await floor.close()
    return seconds


def _fill(path: Path, size: int) -> None:
    """Random bytes: of zeros the numbers would be half as long."""
    block = os.urandom(1024 * 1024)
    with path.open("wb") as file:
        for left in range(size, 0, -len(block)):
            file.write(block[:left])


def _forget_peak() -> None:
    """From now on `_peak` counts, where the system can do that; elsewhere it always has."""
    with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _peak() -> int:
    """The most bytes of this process that were in memory at once."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        return int(re.findall(r"VmHWM:\s+(\d+) kB", file.read())[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=1024)
    arguments.add_argument("--floor", action="store_true", help="send it by the benchmarks' floor too")
    given = arguments.parse_args()
    report = run(given.mib * 1024 * 1024, floor=given.floor)
    print(f"{report.size:,} bytes in {report.seconds:.1f} s: {report.size / report.seconds / 1e6:.1f} MB/s")
    print(f"memory: {report.idle:,} bytes idle, {report.growth:,} more at the most")
    if report.floor_seconds is not None:
        print(f"the floor: {report.size / report.floor_seconds / 1e6:.1f} MB/s")
    for problem in report.problems():
        print(f"NOT WELL: {problem}")
    return 1 if report.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
