"""``python -m tests.benchmarks.profile_one``: where the time of one awaited call goes, between the calls of the system.

Microseconds by the clock, the quickest quarter of many calls, one after the other over websockets on a running loop:
ours beside the floor. Within a call either side sends once, reads once and waits for the selector twice: for the reply,
and once more in passing, for the task goes on in the next turn of the loop.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from rxsdk import ApiService
from tests.benchmarks.floor import open_floor
from tests.benchmarks.sides import ANON_TOKEN, APP_ID, ENDPOINT, QUERY, config, server_process

ROUNDS, CALLS = 10, 400
SPANS = {
    ("begun", "sends"): "make, sign and frame the call",
    ("sends", "sent"): "the system sends",
    ("sent", "made"): "until it is the caller's",
    ("made", "waits"): "await it, until the loop waits",
    ("woken", "reads"): "the loop finds who is to read",
    ("reads", "read"): "the system reads",
    ("read", "waits"): "from bytes to a reply, and wake its task",
    ("woken", "replied"): "the task goes on",
}


class Watched:
    """A socket or a selector whose calls are noted, with their times."""

    def __init__(self, inner: Any, note: Callable[[str], None], names: dict[str, tuple[str, str]]) -> None:
        self._inner = inner
        for name, (before, after) in names.items():
            setattr(self, name, self._noting(getattr(inner, name), note, before, after))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @staticmethod
    def _noting(call: Callable[..., Any], note: Callable[[str], None], before: str, after: str) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            note(before)
            result = call(*arguments)
            note(after)
            return result

        return noted


async def spans(call: Callable[[], Awaitable[Any]], transport: Any) -> dict[tuple[str, str], float]:
    """Microseconds between one call of the system and the next, of an awaited ``call``."""
    loop: Any = asyncio.get_running_loop()
    marks: list[tuple[str, int]] = []
    spent: dict[tuple[str, str], list[int]] = defaultdict(list)

    def note(name: str) -> None:
        marks.append((name, time.perf_counter_ns()))

    selector, sock = loop._selector, transport._sock
    reads = ("reads", "read")
    loop._selector = Watched(selector, note, {"select": ("waits", "woken")})
    transport._sock = Watched(sock, note, {"send": ("sends", "sent"), "recv": reads, "recv_into": reads})
    try:
        for _ in range(CALLS):
            marks.clear()
            note("begun")
            made = call()
            note("made")
            await made
            note("replied")
            for (name, at), (next_name, next_at) in pairwise(marks):
                spent[name, next_name].append(next_at - at)
    finally:
        loop._selector, transport._sock = selector, sock
    return {span: statistics.quantiles(spent[span])[0] / 1000 for span in SPANS}


async def profile(url: str) -> tuple[dict[tuple[str, str], float], ...]:
    """Ours, and the floor's."""
    floor: Any = await open_floor(url, ANON_TOKEN, APP_ID, "websockets", at_once=True)
    async with ApiService(config(url, "running")) as api:
        our_transport: Any = api._life.connection._transport
        rounds = [
            (
                await spans(lambda: api.call(ENDPOINT, query=QUERY), our_transport.transport),
                await spans(lambda: floor.call(ENDPOINT, QUERY), floor._transport),
            )
            for _ in range(ROUNDS)
        ]
    await floor.close()
    sides = zip(*rounds, strict=True)
    return tuple({span: statistics.median(one[span] for one in side) for span in SPANS} for side in sides)


def main() -> None:
    """Print the table."""
    with server_process() as url:
        ours, floor = asyncio.run(profile(url))
    print(f"{'µs of one awaited call':42}{'ours':>8}{'floor':>8}")
    for span, name in SPANS.items():
        print(f"{name:42}{ours[span]:8.1f}{floor[span]:8.1f}")
    print(f"{'all':42}{sum(ours.values()):8.1f}{sum(floor.values()):8.1f}")


if __name__ == "__main__":
    main()
