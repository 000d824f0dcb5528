"""``python -m tests.faults.fuzz``: frames of a server gone mad, into the machine, and over a socket while calls run.

What makes the frames is `tests.protocols.test_machine_fuzz`; the machine's own properties are held there.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import random
import sys
import time
from contextlib import suppress

from rxsdk import ApiService, RxSdkError
from tests.conftest import wait_until
from tests.faults.ledger import Ledger
from tests.faults.soak import MOST_GROWTH, resident
from tests.faults.wire import LimpWire
from tests.protocols.harness import SESSION, authed
from tests.protocols.test_machine_fuzz import odd_message

__all__ = ["fuzz_machine", "fuzz_socket"]


def fuzz_machine(frames: int, seed: int) -> int:
    """Push so many frames into a machine with calls on their way; returns the bytes its memory grew by."""
    chance = random.Random(seed)
    bench = authed(heartbeat_interval_s=1e9)
    calls = [bench.call("staff/create", timeout_s=1e9) for _ in range(20)]
    sent = {frame.call_id: frame for frame in bench.sent()}
    bench.keys |= {"odd": "t"}
    first = 0
    for number in range(frames):
        for event in bench.hear(odd_message(chance, ["other", "id999999"])):
            repr(event)
        bench.events.clear()
        if bench.machine.session is None:
            bench.hear(json.dumps({"status": 200, "args": {"session": SESSION}}).encode())
        if number % 1000 == 0:
            bench.sent()  # the watch/delete for watches that nobody knows
            bench.wait(31)  # they are not answered
        if number == frames // 5:
            first = resident()
    grown = resident() - first
    for call in calls:
        bench.answer(sent[call.call_id], 200, "mine")
        assert bench.replies(call) == ["mine"], call
    return grown


def fuzz_socket(wire: LimpWire, *, frames: int, seed: int) -> Ledger:
    """The same over a socket: ours pass between them, and each gets its own answer."""
    chance = random.Random(seed)
    ledger = Ledger()
    with wire.service(loop="own", heartbeat_interval_s=0.2, heartbeat_timeout_s=20.0) as api:
        watch = wire.watch(api)
        watch.subscribe(lambda res: None)
        watch.result()
        for number in range(frames):
            text = odd_message(chance, ["other"]).decode("utf-8", "replace")
            wire.emulator.push(text)
            if number % 10 == 0:
                ledger.enter("read", wire.read(api))
                ledger.enter("change", wire.change(api, number))
            if number % 200 == 0:
                wait_until(lambda: ledger.hung == 0, timeout_s=30)
        wait_until(lambda: ledger.hung == 0, timeout_s=30)
        _still_serves(wire, api)
    return ledger


def _still_serves(wire: LimpWire, api: ApiService) -> None:
    with suppress(RxSdkError):  # a frame may have signed somebody in whom the server does not know
        api.signout().result(10)
    wire.emulator.drop_connections()
    assert wire.read(api).result(20).status == 200


def main() -> int:
    """Exits 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("rxsdk").setLevel(logging.ERROR)  # losses are told as warnings: here there are thousands
    began = time.monotonic()
    grown = fuzz_machine(arguments.frames, arguments.seed)
    gc.collect()
    print(f"machine: {arguments.frames:,} frames, memory {grown / 2**20:+.2f} MiB, {time.monotonic() - began:.0f} s")
    with LimpWire() as wire:
        ledger = fuzz_socket(wire, frames=arguments.frames // 10, seed=arguments.seed)
    print(f"socket: {arguments.frames // 10:,} frames between {ledger.entered:,} calls\n{ledger.table()}")
    return 1 if grown > MOST_GROWTH or ledger.wrong or ledger.hung else 0


if __name__ == "__main__":
    sys.exit(main())
