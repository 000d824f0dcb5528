"""``python -m tests.faults.big_upload``: a file of 1 GiB goes up, and this process does not grow by it.

The server is in another process (that of the benchmarks, which answers every chunk and keeps nothing), so that this
one's memory is the client's: it may grow by 32 MiB above the idle client, no more. With ``--floor`` the benchmarks'
floor sends the same file afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rxsdk import ApiService, SDKConfig, UploadProgress
from tests.benchmarks.floor import open_floor
from tests.benchmarks.rows import CHUNK
from tests.benchmarks.sides import ANON_TOKEN, APP_ID, Library, server_process
from tests.faults.big_files import MOST_GROWTH, Memory, fill

__all__ = ["Report", "run"]


@dataclass
class Report:
    """What a run came to."""

    size: int
    seconds: float
    idle: int
    growth: int
    last: UploadProgress
    floor_seconds: float | None = None

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


def run(size: int, library: Library = "websockets", *, floor: bool = False) -> Report:
    """Send ``size`` bytes; by the floor too, if that is wanted."""
    with tempfile.TemporaryDirectory() as folder, server_process() as url:
        path = Path(folder) / "big.bin"
        fill(path, size)
        to_upload = f"{url}/upload/{-(-size // CHUNK)}"
        report = asyncio.run(_run(to_upload, path, library))
        if floor:
            report.floor_seconds = asyncio.run(_run_floor(to_upload, path, library))
        return report


async def _run(url: str, path: Path, library: Library) -> Report:
    config = SDKConfig(api=url, anon_token=ANON_TOKEN, auth_attrs=["email"], file_chunk_size=CHUNK, transport=library)
    async with ApiService(config) as api:
        await api.call("staff/read")
        memory = Memory()
        seen: list[UploadProgress] = []
        began_at = time.monotonic()
        call = api.call("staff/create", doc={"file": path})
        call.progress.subscribe(seen.append)
        await call
        seconds = time.monotonic() - began_at
        await call.progress
        return Report(seen[-1].total_bytes, seconds, memory.idle, memory.growth, seen[-1])


async def _run_floor(url: str, path: Path, library: Library) -> float:
    floor = await open_floor(url, ANON_TOKEN, APP_ID, library, at_once=True)
    began_at = time.monotonic()
    await floor.upload("staff/create", str(path), CHUNK)
    seconds = time.monotonic() - began_at
    await floor.close()
    return seconds


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=1024)
    arguments.add_argument("--library", choices=["websockets", "picows"], default="websockets")
    arguments.add_argument("--floor", action="store_true", help="send it by the benchmarks' floor too")
    given = arguments.parse_args()
    report = run(given.mib * 1024 * 1024, given.library, floor=given.floor)
    print(f"{report.size:,} bytes in {report.seconds:.1f} s: {report.size / report.seconds / 1e6:.1f} MB/s")
    print(f"memory: {report.idle:,} bytes idle, {report.growth:,} more at the most ({MOST_GROWTH:,} may be)")
    if report.floor_seconds is not None:
        print(f"the floor: {report.size / report.floor_seconds / 1e6:.1f} MB/s")
    for problem in report.problems():
        print(f"NOT WELL: {problem}")
    return 1 if report.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
