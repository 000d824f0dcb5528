"""``python -m tests.faults.flood``: a watch's events by the ten thousand in one go, and everybody hears them all.

The server, in another process, writes them as fast as the socket takes them: many more than a mailbox holds. Each keeps
the subscriber for ``--work`` microseconds; on the service's own thread one who takes longer for it than the server and
the reader together runs over. Prints how far it lagged, and when a call was answered whose reply came behind the flood.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from typing import Any, Literal

from rxsdk import ApiService
from tests.benchmarks.sides import Library, config, server_process

__all__ = ["Flooded", "run"]

PATIENCE_S = 120.0


class Flooded:
    """A subscriber that notes how many it heard, and how far it lagged."""

    def __init__(self, events: int, work_us: float) -> None:
        self.heard = self.most_lag = 0
        self.error: Exception | None = None
        self.over = threading.Event()
        self.subscription: Any = None
        self._events = events
        self._work_s = work_us / 1e6

    def on_next(self, _: Any) -> None:
        self.heard += 1
        if self.heard % 500 == 0:
            self.most_lag = max(self.most_lag, self.subscription.lag)
        until = time.perf_counter() + self._work_s
        while time.perf_counter() < until:
            pass
        if self.heard > self._events:  # the first was that the watch was made
            self.over.set()

    def on_error(self, error: Exception) -> None:
        self.error = error
        self.over.set()


def run(
    url: str, loop: Literal["own", "running"], library: Library, events: int, work_us: float
) -> tuple[Flooded, float]:
    """Let them come; returns who heard them, and when the call was answered, in seconds from the beginning."""
    flooded = Flooded(events, work_us)

    async def scene(api: ApiService) -> float:
        watching = api.call("staff/watch")
        flooded.subscription = watching.subscribe(flooded.on_next, flooded.on_error)
        query = [{"watches": [(await watching).args.watch], "count": events}]
        began_at = time.monotonic()
        await api.call("staff/push", query=query)
        await api.call("staff/read", timeout_s=PATIENCE_S)
        answered_s = time.monotonic() - began_at
        while not flooded.over.is_set() and time.monotonic() - began_at < PATIENCE_S:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)
        return answered_s

    async def main() -> float:
        async with ApiService(config(f"{url}/watch", loop, library)) as api:
            return await scene(api)

    return flooded, asyncio.run(main())


def main() -> int:
    """Exits 0 when all was heard."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.flood", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--work", type=float, default=10.0, help="µs")
    parser.add_argument("--loop", choices=["own", "running"], default="own")
    parser.add_argument("--library", choices=["websockets", "picows"], default="websockets")
    arguments = parser.parse_args()
    began_at = time.monotonic()
    with server_process() as url:
        flooded, answered_s = run(url, arguments.loop, arguments.library, arguments.events, arguments.work)
    print(
        f"{flooded.heard - 1:,} of {arguments.events:,} events heard in {time.monotonic() - began_at:.1f} s, "
        f"{flooded.most_lag:,} behind at most, a call answered after {answered_s:.1f} s"
        f"{'' if flooded.error is None else f': {flooded.error}'}"
    )
    return 0 if flooded.heard == arguments.events + 1 and flooded.error is None else 1


if __name__ == "__main__":
    sys.exit(main())
