"""Every kind of call under every kind of fault: it ends, in one of the ways there are, within the sum of its times."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any

import pytest

from rxsdk import RxSdkError
from rxsdk.testing import FaultProxy
from tests.faults.chaos import network_faults
from tests.faults.ledger import Ledger
from tests.faults.wires import WIRES, Wire

TIMEOUT_S, QUEUE_TIMEOUT_S = 0.6, 0.8
FAULTS = (
    *("reset", "half-open", "black hole", "cut", "latency", "bandwidth", "segments", "slow close", "refuse"),
    *("close code", "drop", "silence", "all silent", "suspended", "gone"),
)


def break_it(fault: str, wire: Wire, proxy: FaultProxy, api: Any) -> None:
    """For good: nothing heals."""
    chance = random.Random(5)
    faults = {**network_faults(proxy, chance), **wire.server_faults(chance)}
    if fault in faults:
        faults[fault]()
    elif fault == "all silent":
        wire.fall_silent_for_good()
    elif fault in wire.final_faults:
        wire.final_faults[fault](wire, proxy)
    elif fault == "suspended":
        api.suspend()
    else:
        proxy.stop()


@pytest.mark.parametrize(
    ("wire", "fault"),
    [(name, fault) for name, wire in WIRES.items() for fault in (*FAULTS, *wire.final_faults)],
    indirect=["wire"],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_every_call_ends(wire: Wire, fault: str, when: str) -> None:
    ledger = Ledger()
    settings = {"timeout_s": TIMEOUT_S, "queue_timeout_s": QUEUE_TIMEOUT_S}
    with FaultProxy(wire.emulator.url, seed=1) as proxy:
        try:
            with wire.service(
                proxy.url, heartbeat_interval_s=0.2, heartbeat_timeout_s=0.3, connect_timeout_s=5.0, **settings
            ) as api:
                if when == "before":
                    break_it(fault, wire, proxy, api)
                calls = {kind: make(api) for kind, make in wire.kinds().items()}
                for kind, call in calls.items():
                    ledger.enter(kind, call)
                if when == "after":
                    break_it(fault, wire, proxy, api)
                began = time.monotonic()
                for call in calls.values():
                    with contextlib.suppress(RxSdkError):
                        call.result(30)  # raises TimeoutError, which is no end, when it hangs
                took = time.monotonic() - began
        finally:
            wire.emulator.clear_script()
    assert ledger.hung == 0
    assert ledger.wrong == []
    # The longest: an upload queues for its turn, then for its first piece, makes progress, and is answered.
    assert took < 2 * QUEUE_TIMEOUT_S + TIMEOUT_S + 8, "with something for a busy machine"
