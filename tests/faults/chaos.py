"""``python -m tests.faults.chaos``: many calls a second through a network that breaks every two seconds.

Every call must end in one of the ways there are, none that must not be repeated may run twice, nearly all that may be
repeated must succeed, and what stood before the storm (`wires.Standing`) stands after it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.faults.ledger import Ledger
from tests.faults.wires import WIRES, Standing, Wire

__all__ = ["Report", "run"]

TIMEOUT_S, QUEUE_TIMEOUT_S = 5.0, 10.0
FAULT_EVERY_S = 2.0
TICK_S = 0.01


@dataclass
class Report:
    """What a run came to."""

    seed: int
    seconds: float
    ledger: Ledger
    least_reads: float
    faults: Counter[str] = field(default_factory=Counter)
    doubles: int = 0
    connections: int = 0
    standing: Standing = field(default_factory=Standing)

    def failures(self) -> list[str]:
        """What did not hold."""
        share = self.ledger.share_replied("read")
        checks = {
            f"{self.ledger.hung} calls hung": self.ledger.hung == 0,
            f"{len(self.ledger.wrong)} calls ended wrongly: {self.ledger.wrong[:5]}": not self.ledger.wrong,
            f"{self.doubles} calls ran twice": self.doubles == 0,
            f"only {share:.1%} of the reads succeeded": share >= self.least_reads,
            **self.standing.failures(),
        }
        return [what for what, holds in checks.items() if not holds]

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {times}" for name, times in sorted(self.faults.items()))
        return "\n".join(
            [
                f"{self.ledger.entered:,} calls in {self.seconds:.0f} s ({self.ledger.entered / self.seconds:.0f}/s), "
                f"{self.connections} connections, seed {self.seed}",
                f"faults: {faults}",
                self.ledger.table(),
                f"  hung {self.ledger.hung}, ended wrongly {len(self.ledger.wrong)}, run twice {self.doubles}",
                f"  reads that succeeded {self.ledger.share_replied('read'):.2%}",
                f"  standing: {self.standing}",
            ]
        )


def network_faults(proxy: FaultProxy, chance: random.Random) -> dict[str, Callable[[], None]]:
    """What a network does; `FaultProxy.heal` ends it."""

    def refuse() -> None:
        proxy.refuse()
        proxy.reset()

    def close_slowly() -> None:
        proxy.slow_close(chance.uniform(0.1, 1.0))

    return {
        "reset": proxy.reset,
        "half-open": proxy.half_open,
        "black hole": proxy.black_hole,
        "cut": lambda: proxy.cut_after(chance.randrange(1, 4000), chance.choice(["up", "down"]), times=1),
        "latency": lambda: proxy.latency(chance.uniform(0, 0.1), jitter_s=chance.uniform(0, 0.2)),
        "bandwidth": lambda: proxy.bandwidth(chance.uniform(10_000, 200_000)),
        "segments": lambda: proxy.tiny_segments(chance.randrange(40, 200)),
        "slow close": close_slowly,
        "refuse": refuse,
    }


class _Storm:
    """One run."""

    def __init__(self, wire: Wire, proxy: FaultProxy, api: Any, report: Report, rate: float) -> None:
        self.wire, self.proxy, self.api, self.report, self.rate = wire, proxy, api, report, rate
        self.chance = random.Random(report.seed)
        self.faults = {**network_faults(proxy, self.chance), **wire.server_faults(self.chance)}
        self.bag: list[str] = []
        report.standing = wire.standing(api, report.ledger)
        self.number = 0

    def blow(self, seconds: float) -> None:
        began = time.monotonic()
        break_at, heal_at, look_at = began + 0.5, began, began + 20
        while (now := time.monotonic()) < began + seconds:
            if now >= heal_at:
                self.proxy.heal()
                heal_at = began + seconds + 1
            if now >= break_at:
                self.break_something()
                break_at = now + FAULT_EVERY_S
                heal_at = now + self.chance.uniform(0.1, FAULT_EVERY_S * 0.75)
                self.report.standing.turn_over(self.chance)
            if now >= look_at:
                self.wire.doubles()
                look_at = now + 20
            while self.number < (now - began) * self.rate:
                self.make_call()
            time.sleep(TICK_S)
        self.proxy.heal()
        self.wire.emulator.clear_script()

    def break_something(self) -> None:
        if not self.bag:  # each kind once, in random order, before any comes again
            self.bag = self.chance.sample(sorted(self.faults), len(self.faults))
        name = self.bag.pop()
        self.report.faults[name] += 1
        self.faults[name]()
        if name == "slow close":
            self.wire.emulator.drop_connections()

    def make_call(self) -> None:
        self.number += 1
        if self.chance.random() < 0.5:
            self.report.ledger.enter("read", self.wire.read(self.api))
        else:
            self.report.ledger.enter("change", self.wire.change(self.api, self.number))

    def settle(self) -> None:
        """Wait for every end; a watch that still goes on needs none."""
        ledger, report = self.report.ledger, self.report
        wait_quietly(lambda: ledger.open_but("watch") == 0, TIMEOUT_S + QUEUE_TIMEOUT_S + 10)
        wait_quietly(lambda: self.api.inited, 10)
        self.wire.read(self.api).result()  # whatever was to be written before has been
        report.standing.settle()
        report.doubles = self.wire.doubles()


def wait_quietly(condition: Callable[[], object], timeout_s: float) -> None:
    """Wait for it; who does not find it so says so in the report."""
    with contextlib.suppress(AssertionError):
        wait_until(condition, timeout_s=timeout_s)


def run(wire: Wire, *, seconds: float, rate: float, seed: int) -> Report:
    """Make it storm for so long, and wait until every call has ended."""
    report = Report(seed, seconds, Ledger(), wire.least_reads)
    with FaultProxy(wire.emulator.url, seed=seed) as proxy:
        api = wire.service(
            proxy.url,
            timeout_s=TIMEOUT_S,
            queue_timeout_s=QUEUE_TIMEOUT_S,
            heartbeat_interval_s=0.5,
            heartbeat_timeout_s=0.75,
            connect_timeout_s=3.0,
        )
        with api:
            storm = _Storm(wire, proxy, api, report, rate)
            storm.blow(seconds)
            storm.settle()
            report.connections = proxy.accepted
    return report


def main() -> int:
    """Exits 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--wire", choices=WIRES, default="limp")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=500.0, help="calls a second")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    logging.getLogger("rxsdk").setLevel(logging.ERROR)  # losses are told as warnings: here there are thousands
    with WIRES[arguments.wire]() as wire:
        report = run(wire, seconds=arguments.seconds, rate=arguments.rate, seed=arguments.seed)
    print(report)
    failures = report.failures()
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
