"""``python -m tests.faults.big_download``: a file of 1 GiB comes down, and this process does not grow by it.

The server is in another process, the standard library's, so that this one's memory is the client's: it may grow by
32 MiB above the idle client, no more. Each way is taken: ``file`` is ``download_to``; ``pieces`` is ``download``, by
``async for``; ``slow`` is ``download`` to an observer that is slower than the network.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rxsdk import ApiService, DownloadProgress, SDKConfig
from tests.faults.big_files import MOST_GROWTH, Memory, fill

__all__ = ["WAYS", "Report", "Way", "run"]

Way = Literal["file", "pieces", "slow"]
WAYS: tuple[Way, ...] = get_args(Way)

NAMED = ("staff", "1", "file", "big.bin")


@dataclass
class Report:
    """What a run came to; ``last`` is the last progress, of ``download_to``."""

    size: int
    seconds: float
    idle: int
    growth: int
    is_same: bool
    last: DownloadProgress | None

    def problems(self) -> list[str]:
        """What is not as it should be; empty when all is well."""
        found = [] if self.is_same else ["other bytes came than were there"]
        if self.growth > MOST_GROWTH:
            found.append(f"memory grew by {self.growth:,} bytes")
        if self.last is not None:
            if (self.last.phase, self.last.received_bytes, self.last.total_bytes) != ("done", self.size, self.size):
                found.append(f"the last progress was {self.last}")
            rate = self.size / self.seconds
            if abs(self.last.rate_bytes_per_s / rate - 1) > 0.1:
                found.append(f"the rate was told as {self.last.rate_bytes_per_s:,.0f}, by the clock it was {rate:,.0f}")
        return found


def run(size: int, way: Way) -> Report:
    """Fetch ``size`` bytes."""
    with tempfile.TemporaryDirectory() as there, tempfile.TemporaryDirectory() as here:
        path = Path(there, NAMED[0], "retrieve_file", *NAMED[1:])
        path.parent.mkdir(parents=True)
        fill(path, size)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        with _server(there) as url:
            return asyncio.run(_run(url, Path(here), way, size, digest))


@contextmanager
def _server(folder: str) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.findall(r"port (\d+)", process.stdout.readline())[0]
            yield f"ws://127.0.0.1:{port}/ws"
        finally:
            process.terminate()


async def _run(url: str, folder: Path, way: Way, size: int, digest: bytes) -> Report:
    never: Any = asyncio.Event().wait  # only files are fetched here: there is nothing to connect to
    api = ApiService(SDKConfig(url, "token", ["email"]), connect=never)
    api.init()
    async for _ in api.download(*NAMED):
        break  # the client is made, and idle
    memory = Memory()
    began_at = time.monotonic()
    if way == "file":
        call = api.download_to(folder, *NAMED)
        path = await call
        seconds, last = time.monotonic() - began_at, await call.progress
        growth = memory.growth
        with path.open("rb") as file:
            received = hashlib.file_digest(file, "sha256")
    else:
        received, last = hashlib.sha256(), None
        async for piece in api.download(*NAMED):
            received.update(piece)
            if way == "slow":
                await asyncio.sleep(0.0005)
        seconds, growth = time.monotonic() - began_at, memory.growth
    await api.close()
    return Report(size, seconds, memory.idle, growth, received.digest() == digest, last)


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=1024)
    arguments.add_argument("--way", choices=WAYS, action="append")
    given = arguments.parse_args()
    is_well = True
    for way in given.way or WAYS:
        report = run(given.mib * 1024 * 1024, way)
        print(f"{way}: {report.size:,} bytes in {report.seconds:.1f} s: {report.size / report.seconds / 1e6:.1f} MB/s")
        print(f"memory: {report.idle:,} bytes idle, {report.growth:,} more at the most ({MOST_GROWTH:,} may be)")
        for problem in report.problems():
            print(f"NOT WELL: {problem}")
            is_well = False
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
