"""``python -m tests.faults.events``: a million events of one watch, and memory that does not grow.

With ``--collection`` they are changes of a watched collection, which is read first and kept.

The server is in another process, so that this one's memory is the client's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

from rxsdk import ApiService, SDKConfig, Stream
from tests.benchmarks.sides import server_process
from tests.faults.soak import MOST_GROWTH, resident

AT_ONCE = 2_500
"""Few enough that what waits at one moment is soon as much as it ever will be."""


async def run(url: str, events: int, subscribers: int, *, collection: bool) -> tuple[int, int, int]:
    """How many events were heard, and the bytes in memory after the warm-up and at the end."""
    config = SDKConfig(url, "__ANON_TOKEN_f00000000000000000000012", ["email"], app_id="events")
    heard = 0

    def on_next(_: Any) -> None:
        nonlocal heard
        heard += 1

    async with ApiService(config) as api:
        made = asyncio.ensure_future(_watch_made(api))
        watching: Stream[Any] = (
            api.watch("staff/watch", snapshot="staff/read") if collection else api.call("staff/watch")
        )
        subscriptions = [watching.subscribe(on_next) for _ in range(subscribers)]
        query = {"watches": [await made], "count": AT_ONCE, "news": collection}
        while heard < subscribers:  # noqa: ASYNC110 - that it was made, or what there is
            await asyncio.sleep(0.001)
        after_warm_up = 0
        for sent in range(AT_ONCE, events + 1, AT_ONCE):
            await api.call("staff/push", query=[query])
            while heard < (sent + 1) * subscribers:  # noqa: ASYNC110 - 1: see above
                await asyncio.sleep(0.001)
            if sent == max(50_000, events // 10):
                after_warm_up = resident()
        assert all(subscription.lag == 0 for subscription in subscriptions)
        return heard - subscribers, after_warm_up, resident()


async def _watch_made(api: ApiService) -> str:
    async for res in api.init():
        if res.code == "CORE_WATCH_OK":
            return str(res.args.watch)
    raise AssertionError("closed")


def main() -> int:
    """Exits 0 when all was heard and memory stayed as it was."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.events", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--subscribers", type=int, default=3)
    parser.add_argument("--collection", action="store_true")
    arguments = parser.parse_args()
    began_at, worked_before = time.monotonic(), time.process_time()
    with server_process() as url:
        story = run(f"{url}/watch", arguments.events, arguments.subscribers, collection=arguments.collection)
        heard, before, after = asyncio.run(story)
    print(
        f"{heard:,} events heard in {time.monotonic() - began_at:.0f} s, "
        f"{(time.process_time() - worked_before) / arguments.events * 1e6:.1f} µs of this process each, "
        f"memory {before / 2**20:.1f} → {after / 2**20:.1f} MiB ({(after - before) / 2**20:+.2f})"
    )
    return 0 if heard == arguments.events * arguments.subscribers and after - before < MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
