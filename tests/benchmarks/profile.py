"""``python -m tests.benchmarks.profile``: where the CPU µs of a watch's event and of a call go, stage by stage.

Each stage is timed for a batch of messages together, on the real way: the benchmark server, a socket, a running loop.
What no stage has taken is "read": the transport, the system, the loop. The floor does the same work in one piece. An
event is one of ten thousand of a watch with one subscriber; a call is one of a thousand made in one turn.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, Literal
from unittest.mock import patch

from rxsdk import ApiService
from rxsdk.core.connection import Connection
from rxsdk.core.transport import has_picows
from rxsdk.protocols.limp.codec import decode_frame
from rxsdk.protocols.limp.machine import LimpMachine
from tests.benchmarks.floor import Floor
from tests.benchmarks.measure import paired
from tests.benchmarks.rows import _calling, _calling_back, _pushing, _watch
from tests.benchmarks.sides import ENDPOINT, QUERY, AsyncWork, Countdown, Library, on_one_loop, server_process

ROUNDS = 9
STAGES = ("make the call", "sign", "write", "read", "JSON to Res", "whose it is", "hand up, deliver")
_run = deque[Any](maxlen=0).extend  # what an iterator does, and keeps nothing of it


class Stages:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """``work``, whose time is that of ``stage`` and not of reading."""

        def run(*arguments: Any) -> Any:
            began = time.process_time()
            result = work(*arguments)
            took = time.process_time() - began
            self.spent[stage] += took
            self.spent["read"] -= took
            return result

        return run

    @contextmanager
    def running(self, transport: type[Any]) -> Iterator[None]:
        """Time what is done meanwhile."""

        def frames_received(connection: Any, frames: Sequence[bytes]) -> None:
            machine = connection._machine
            self.timed("JSON to Res", _run)(map(decode_frame, frames))  # once more, to know its part
            self.timed("whose it is", _run)(map(machine.receive, frames, repeat(connection._clock.now())))
            self.timed("hand up, deliver", connection._hand_up)(lambda: connection._on_events(machine.events()))

        with (
            patch.object(Connection, "frames_received", frames_received),
            patch.object(LimpMachine, "frames_to_send", self.timed("sign", LimpMachine.frames_to_send)),
            patch.object(transport, "write", self.timed("write", transport.write)),
        ):
            began = time.process_time()
            yield
            self.spent["read"] += time.process_time() - began
            self.spent["whose it is"] -= self.spent["JSON to Res"]


def profile(url: str, library: Library, unit: Literal["event", "call"]) -> tuple[dict[str, float], float]:
    """What a unit costs us by stage, and what it costs the floor."""
    rounds: list[dict[str, float]] = []

    async def works(api: ApiService, floor: Floor) -> tuple[AsyncWork, AsyncWork]:
        ours, plain = Countdown(), Countdown()
        push = _pushing(_calling(api), [await _watch(api, ours)], ours)
        plain_push = _pushing(floor.call, [await floor.watch("staff/watch", QUERY, plain)], plain)

        def make(n: int) -> None:
            for _ in range(n):
                api.call(ENDPOINT, query=QUERY).subscribe(ours, ours.fail)

        async def staged(n: int) -> None:
            with (stages := Stages()).running(type(api._life.connection._transport)):
                if unit == "call":
                    done = ours.start(n)
                    stages.timed("make the call", make)(n)
                await (push(n) if unit == "event" else done)
            rounds.append({stage: seconds / n * 1e6 for stage, seconds in stages.spent.items()})

        return staged, plain_push if unit == "event" else _calling_back(floor, 1_000)

    units = 10_000 if unit == "event" else 1_000
    with on_one_loop(f"{url}/watch", works, library) as (ours, floor):
        _, floors = paired(ours, floor, units=units, repetitions=ROUNDS)
    return {stage: statistics.median(one[stage] for one in rounds[1:]) for stage in STAGES}, statistics.median(floors)


def main() -> None:
    """Print a table for each library that is installed."""
    with server_process() as url:
        for library in ("websockets", "picows") if has_picows() else ("websockets",):
            (event, event_floor), (call, call_floor) = profile(url, library, "event"), profile(url, library, "call")
            lines = [(stage, event[stage], call[stage]) for stage in STAGES]
            lines += [("all", sum(event.values()), sum(call.values())), ("the floor", event_floor, call_floor)]
            print(f"\n{library + ', CPU µs':24}{'an event':>10}{'a call':>10}")
            for name, of_event, of_call in lines:
                print(f"{name:24}{of_event:10.2f}{of_call:10.2f}")


if __name__ == "__main__":
    main()
