"""``python -m tests.faults.events``: a million events of one watch, and memory that does not grow.

The server is in another process, so that this one's memory is the client's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

from rxsdk import ApiService, SDKConfig
from tests.benchmarks.sides import server_process
from tests.faults.soak import MOST_GROWTH, resident

AT_ONCE = 10_000


async def run(url: str, events: int, subscribers: int) -> tuple[int, int, int]:
    """How many events were heard, and the bytes in memory after the warm-up and at the end."""
    config = SDKConfig(url, "__ANON_TOKEN_f00000000000000000000012", ["email"], app_id="events")
    heard = 0

    def on_next(_: Any) -> None:
        nonlocal heard
        heard += 1

    async with ApiService(config) as api:
        watching = api.call("staff/watch")
        subscriptions = [watching.subscribe(on_next) for _ in range(subscribers)]
        watch = (await watching).args.watch
        after_warm_up = 0
        for sent in range(AT_ONCE, events + 1, AT_ONCE):
            await api.call("staff/push", query=[{"watches": [watch], "count": AT_ONCE}])
            while heard < (sent + 1) * subscribers:  # noqa: ASYNC110 - 1: that it was made
                await asyncio.sleep(0.001)
            if sent == max(5 * AT_ONCE, events // 10):
                after_warm_up = resident()
        assert all(subscription.lag == 0 for subscription in subscriptions)
        return heard - subscribers, after_warm_up, resident()


def main() -> int:
    """Exits 0 when all was heard and memory stayed as it was."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.events", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--subscribers", type=int, default=3)
    arguments = parser.parse_args()
    began_at = time.monotonic()
    with server_process() as url:
        heard, before, after = asyncio.run(run(f"{url}/watch", arguments.events, arguments.subscribers))
    print(
        f"{heard:,} events heard in {time.monotonic() - began_at:.0f} s, "
        f"memory {before / 2**20:.1f} → {after / 2**20:.1f} MiB ({(after - before) / 2**20:+.2f})"
    )
    return 0 if heard == arguments.events * arguments.subscribers and after - before < MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
