"""``python -m tests.files.latency``: what ordinary calls take while files go up, beside what they take without.

Both are measured in turns, in one run, so that whatever else the machine does falls on both; the server is in another
process. A turn's figure is its p99; of the turns the median counts. Each library, one upload of ten chunks and twenty
uploads at once on all lanes.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_args

from rxsdk import ApiService, File, SDKConfig
from rxsdk.core.transport import has_picows
from tests.benchmarks.rows import CHUNK
from tests.benchmarks.sides import ANON_TOKEN, Library, server_process

__all__ = ["CHUNKS", "Latency", "measure", "upload", "upload_config"]

CHUNKS = 10
CALLS = 300


@dataclass
class Latency:
    """The p99 of each turn, seconds."""

    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times as long they take while files go up."""
        return statistics.median(self.busy) / statistics.median(self.idle)

    def __str__(self) -> str:
        told = [f"{name} {statistics.median(p99s) * 1e3:.2f} ms" for name, p99s in vars(self).items()]
        return f"p99 of a call, median of {len(self.idle)} turns: {', '.join(told)}; {self.ratio:.2f} times"


def measure(turns: int, library: Library, uploads: int) -> Latency:
    """So many turns of each, with so many files at a time: one long one, or short ones."""
    chunks = CHUNKS if uploads == 1 else 1
    with server_process() as url:
        return asyncio.run(_measure(f"{url}/upload/{chunks}", turns, library, [chunks * CHUNK] * uploads))


async def _measure(url: str, turns: int, library: Library, sizes: Sequence[int]) -> Latency:
    latency = Latency()
    async with ApiService(upload_config(url, library)) as api:
        await upload(api, sizes)  # the lanes are open
        for _ in range(turns):
            latency.idle.append(await _p99(api, lambda calls: calls < CALLS))
            done = upload(api, sizes)
            latency.busy.append(await _p99(api, partial(_is_going_up, done)))
            await done
    return latency


def upload_config(url: str, library: Library) -> SDKConfig:
    """Of a service whose chunks the benchmarks' server takes."""
    settings: dict[str, Any] = {"file_chunk_size": CHUNK, "upload_lanes": 4, "transport": library}
    return SDKConfig(api=url, anon_token=ANON_TOKEN, auth_attrs=["email"], **settings)


def upload(api: ApiService, sizes: Sequence[int]) -> asyncio.Future[Any]:
    """Calls with a file of each size, under different attributes; done when all are answered."""
    files = [File(os.urandom(size), name="a.bin") for size in sizes]
    return asyncio.gather(*(api.call("staff/create", doc={f"file{number}": file}) for number, file in enumerate(files)))


def _is_going_up(done: asyncio.Future[Any], calls: int) -> bool:
    return not done.done()


async def _p99(api: ApiService, goes_on: Callable[[int], bool]) -> float:
    took: list[float] = []
    while goes_on(len(took)):
        began_at = time.perf_counter()
        await api.call("staff/read")
        took.append(time.perf_counter() - began_at)
    return statistics.quantiles(took, n=100)[98]


def main() -> int:
    """The command."""
    worst = 0.0
    for library in get_args(Library) if has_picows() else ("websockets",):
        for uploads in (1, 20):
            found = measure(20, library, uploads)
            print(f"{library}, {uploads} at once: {found}")
            worst = max(worst, found.ratio)
    return int(worst > 2)


if __name__ == "__main__":
    sys.exit(main())
