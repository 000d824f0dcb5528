"""``python -m tests.faults.big_upload``: a file of 1 GiB goes up, and this process does not grow by it.

The server is in another process (that of the benchmarks, which answers every chunk), so that this one's memory is the
client's. The file is sparse; each byte of it is read, sent and signed all the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rxsdk import ApiService, SDKConfig, UploadProgress
from tests.benchmarks.rows import CHUNK
from tests.benchmarks.sides import ANON_TOKEN, server_process
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


def run(size: int) -> Report:
    """Send ``size`` bytes."""
    with tempfile.TemporaryDirectory() as folder, server_process() as url:
        path = Path(folder) / "big.bin"
        path.touch()
        os.truncate(path, size)
        return asyncio.run(_run(f"{url}/upload/{-(-size // CHUNK)}", path))


async def _run(url: str, path: Path) -> Report:
    config = SDKConfig(api=url, anon_token=ANON_TOKEN, auth_attrs=["email"], file_chunk_size=CHUNK)
    async with ApiService(config) as api:
        await api.call("staff/read")
        idle = peak = resident()
        seen: list[UploadProgress] = []
        began_at = time.monotonic()
        call = api.call("staff/create", doc={"file": path})

        def look(progress: UploadProgress) -> None:
            nonlocal peak
            peak = max(peak, resident())
            seen[:] = [progress]

        call.progress.subscribe(look)
        await call
        seconds = time.monotonic() - began_at
        await call.progress
        return Report(path.stat().st_size, seconds, idle, peak, seen[-1])  # noqa: ASYNC240 - one look at the end


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=1024)
    report = run(arguments.parse_args().mib * 1024 * 1024)
    print(f"{report.size:,} bytes in {report.seconds:.1f} s: {report.size / report.seconds / 1e6:.1f} MB/s")
    print(f"memory: {report.idle:,} bytes idle, {report.growth:,} more at the most")
    for problem in report.problems():
        print(f"NOT WELL: {problem}")
    return 1 if report.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
