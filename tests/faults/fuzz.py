"""``python -m tests.faults.fuzz``: frames of a server gone mad, into the machine, and over a socket while calls run.

The machine's own properties are held in `tests.protocols`.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
from typing import Any

from tests.conftest import wait_until
from tests.faults.ledger import Ledger
from tests.faults.soak import MOST_GROWTH, resident
from tests.faults.wires import WIRES, Wire

__all__ = ["fuzz_machine", "fuzz_socket"]


def fuzz_machine(wire: Wire, frames: int, seed: int) -> int:
    """Push so many frames into a machine with calls on their way; returns the bytes its memory grew by."""
    chance = random.Random(seed)
    bench = wire.machine_bench()
    first = 0
    for number in range(frames):
        bench.hear(wire.odd_message(chance))
        if number % 1000 == 0:
            bench.rest()
        if number == frames // 5:
            first = resident()
    grown = resident() - first
    bench.assert_calls_answered()
    return grown


def fuzz_socket(wire: Wire, *, frames: int, seed: int) -> Ledger:
    """The same over a socket: ours pass between them, and each gets its own answer."""
    chance = random.Random(seed)
    ledger = Ledger()
    with wire.service(loop="own", heartbeat_interval_s=0.2, heartbeat_timeout_s=20.0) as api:
        for call in wire.going_on(api):
            call.subscribe(lambda reply: None)
            call.result()
        for number in range(frames):
            text = wire.odd_message(chance).decode("utf-8", "replace")
            wire.emulator.push(text)
            if number % 10 == 0:
                ledger.enter("read", wire.read(api))
                ledger.enter("change", wire.change(api, number))
            if number % 200 == 0:
                wait_until(lambda: ledger.hung == 0, timeout_s=30)
        wait_until(lambda: ledger.hung == 0, timeout_s=30)
        _still_serves(wire, api)
    return ledger


def _still_serves(wire: Wire, api: Any) -> None:
    wire.recover(api)
    wire.emulator.drop_connections()
    wire.read(api).result(20)


def main() -> int:
    """Exits 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--wire", choices=WIRES, default="limp")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("rxsdk").setLevel(logging.ERROR)  # losses are told as warnings: here there are thousands
    began = time.monotonic()
    with WIRES[arguments.wire]() as wire:
        grown = fuzz_machine(wire, arguments.frames, arguments.seed)
        gc.collect()
        print(
            f"machine: {arguments.frames:,} frames, memory {grown / 2**20:+.2f} MiB, {time.monotonic() - began:.0f} s"
        )
        ledger = fuzz_socket(wire, frames=arguments.frames // 10, seed=arguments.seed)
    print(f"socket: {arguments.frames // 10:,} frames between {ledger.entered:,} calls\n{ledger.table()}")
    return 1 if grown > MOST_GROWTH or ledger.wrong or ledger.hung else 0


if __name__ == "__main__":
    sys.exit(main())
