"""``python -m tests.faults.soak``: a service that lives long: a million calls, a thousand reconnects, and no growth.

The server is in another process, so that this one's memory is the client's.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from rxsdk import ReconnectPolicy, RxSdkError
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.faults.ledger import Ledger
from tests.faults.left_over import ThreadsAndFiles, open_files, our_threads
from tests.faults.wires import WIRES, Calls

__all__ = ["Report", "run"]

AT_ONCE = 250
MOST_GROWTH = 5 * 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    gc.collect()
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0


@dataclass
class Report:
    """What a run came to; what is counted twice is counted after the warm-up and at the end."""

    ledger: Ledger
    calls: int = 0
    reconnects: int = 0
    seconds: float = 0.0
    memory: tuple[int, int] = (0, 0)
    files: tuple[int, int] = (0, 0)
    threads: tuple[int, int] = (0, 0)
    tasks: tuple[int, int] = (0, 0)
    left: tuple[dict[str, int], dict[str, int]] = ({}, {})
    observed: int = 0

    @property
    def growth(self) -> int:
        """Bytes of memory since the warm-up."""
        return self.memory[1] - self.memory[0]

    def failures(self) -> list[str]:
        """What did not hold."""
        checks = {
            f"{self.ledger.hung} calls hung": self.ledger.hung == 0,
            f"calls ended wrongly: {self.ledger.wrong[:5]}": not self.ledger.wrong,
            f"memory grew by {self.growth:,} bytes": self.growth < MOST_GROWTH,
            f"files {self.files}": self.files[0] == self.files[1],
            f"threads {self.threads}": self.threads[0] == self.threads[1],
            f"tasks {self.tasks}": self.tasks[0] == self.tasks[1],
            f"kept by the service {self.left}": self.left[0] == self.left[1],
            f"{self.observed} subscriptions left": self.observed == 0,
        }
        return [what for what, holds in checks.items() if not holds]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.calls:,} calls, {self.reconnects:,} reconnects in {self.seconds:.0f} s",
                self.ledger.table(),
                f"  memory {self.memory[0] / 2**20:.1f} → {self.memory[1] / 2**20:.1f} MiB "
                f"({self.growth / 2**20:+.2f}), files {self.files}, threads {self.threads}, tasks {self.tasks}",
                f"  kept by the service {self.left[1]}, subscriptions left {self.observed}",
            ]
        )


class _LongLife:
    """One service, batch after batch."""

    def __init__(self, wire: Calls, api: Any, proxy: FaultProxy, ledger: Ledger) -> None:
        self.wire, self.api, self.proxy, self.ledger = wire, api, proxy, ledger
        self.streams = (*wire.streams(api), api.init())

    def batch(self, calls: int, *, breaks: bool) -> None:
        """So many calls and a watch, all ended; with the connection broken in the middle, or not."""
        accepted = self.proxy.accepted
        subscriptions = [stream.subscribe() for stream in self.streams]
        leave_all = [self.ledger.enter("watch", call) for call in self.wire.going_on(self.api)]
        for number in range(calls):
            self.ledger.enter("read" if number % 2 else "change", self._call(number))
            if breaks and number == calls // 2:
                self.proxy.reset()
        wait_until(lambda: self.ledger.open_but("watch") == 0, timeout_s=60)
        for leave in leave_all:
            leave()
        for subscription in subscriptions:
            subscription.dispose()
        if breaks:
            wait_until(lambda: self.proxy.accepted > accepted and self.api.inited, timeout_s=60)

    def _call(self, number: int):  # type: ignore[no-untyped-def]
        return self.wire.read(self.api) if number % 2 else self.wire.change(self.api, number)

    def census(self) -> tuple[int, int, int, int, dict[str, int]]:
        """Memory, files, threads, tasks, and what the service keeps; at rest."""
        tables = self.wire.left_in
        self.wire.read(self.api).result()
        wait_until(lambda: self.proxy.connections == 1 and tables(self.api)["in_flight"] == 0)
        counted: list[int] = []
        done = threading.Event()

        def count_tasks(_: None) -> None:
            import asyncio  # noqa: PLC0415

            counted.append(len(asyncio.all_tasks()))
            done.set()

        self.api._life.on_loop(count_tasks, None)
        done.wait(10)
        return resident(), open_files(), len(our_threads()), counted[0], tables(self.api)


def run(wire: Calls, *, calls: int, reconnects: int) -> Report:
    """Live that long; the first tenth is the warm-up."""
    ledger = Ledger()
    report = Report(ledger)
    with wire.service(loop="own") as api:
        wire.read(api).result()  # a loop of libuv's opens a pipe that the process keeps, once
    before = ThreadsAndFiles()
    policy = ReconnectPolicy(base_s=0.005, cap_s=0.01)
    with FaultProxy(wire.url) as proxy, wire.service(proxy.url, loop="own", reconnect=policy) as api:
        life = _LongLife(wire, api, proxy, ledger)
        began = time.monotonic()
        batches = max(2, calls // AT_ONCE)
        warm_up = max(1, batches // 10)
        broken = 0
        for number in range(batches):
            if number == warm_up:
                first = life.census()
            breaks = broken < (number + 1) * reconnects // batches
            broken += breaks
            life.batch(AT_ONCE, breaks=breaks)
        last = life.census()
        report.calls, report.reconnects = ledger.entered, proxy.accepted - 1
        report.seconds = time.monotonic() - began
        report.memory, report.files, report.threads, report.tasks, report.left = zip(first, last, strict=True)  # type: ignore[assignment]
        report.observed = sum(stream.has_observers for stream in life.streams)  # type: ignore[attr-defined]
    before.wait_until_back()
    return report


def main() -> int:
    """Exits 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--wire", choices=WIRES, default="limp")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--reconnects", type=int, default=1_000)
    arguments = parser.parse_args()
    logging.getLogger("rxsdk").setLevel(logging.ERROR)  # losses are told as warnings: here there are thousands
    with WIRES[arguments.wire].elsewhere() as wire:
        report = run(wire, calls=arguments.calls, reconnects=arguments.reconnects)
    print(report)
    failures = report.failures()
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RxSdkError as error:
        sys.exit(str(error))
