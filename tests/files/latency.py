"""``python -m tests.files.latency``: what ordinary calls take while files go up, beside what they take without.

Both are measured in turns, in one run, so that whatever else the machine does falls on both; the server is in another
process. A turn's figure is its p99; of the turns the median counts.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rxsdk import ApiService, File, SDKConfig
from tests.benchmarks.rows import CHUNK
from tests.benchmarks.sides import ANON_TOKEN, server_process

__all__ = ["Latency", "measure"]

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


def measure(turns: int) -> Latency:
    """So many turns of each."""
    with server_process() as url:
        return asyncio.run(_measure(f"{url}/upload/{CHUNKS}", turns))


async def _measure(url: str, turns: int) -> Latency:
    config = SDKConfig(api=url, anon_token=ANON_TOKEN, auth_attrs=["email"], file_chunk_size=CHUNK)
    file = File(os.urandom(CHUNK * CHUNKS), name="a.bin")
    latency = Latency()
    async with ApiService(config) as api:
        await api.call("staff/create", doc={"file": file})  # the lane is open
        for _ in range(turns):
            latency.idle.append(await _p99(api, lambda calls: calls < CALLS))
            upload = api.call("staff/create", doc={"file": file})
            done = asyncio.ensure_future(upload.progress)
            latency.busy.append(await _p99(api, lambda _, done=done: not done.done()))
            await upload
    return latency


async def _p99(api: ApiService, goes_on: Callable[[int], bool]) -> float:
    took: list[float] = []
    while goes_on(len(took)):
        began_at = time.perf_counter()
        await api.call("staff/read")
        took.append(time.perf_counter() - began_at)
    return statistics.quantiles(took, n=100)[98]


if __name__ == "__main__":
    found = measure(20)
    print(found)
    sys.exit(found.ratio > 2)
