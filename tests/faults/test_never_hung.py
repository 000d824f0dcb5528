"""Every kind of call under every kind of fault: it ends, in one of the ways there are, within the sum of its times."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxsdk import ApiService, Call, RxSdkError
from rxsdk.testing import FaultProxy
from tests.faults.chaos import network_faults
from tests.faults.ledger import Ledger
from tests.faults.wire import LimpWire

TIMEOUT_S, QUEUE_TIMEOUT_S = 0.6, 0.8
CALLS: dict[str, Callable[[LimpWire, ApiService], Call[Any]]] = {
    "read": lambda wire, api: wire.read(api),
    "change": lambda wire, api: wire.change(api, 1),
    "watch": lambda wire, api: wire.watch(api),
    "auth": lambda wire, api: wire.sign_in(api),
    "upload": lambda wire, api: wire.upload(api, 1),
    "await_auth": lambda wire, api: wire.read(api, await_auth=True),
    "signout": lambda wire, api: api.signout(),
    "reauth": lambda wire, api: api.reauth("6b010dded29b763591c9e7b5", "no such token"),
}
FAULTS = (
    *("reset", "half-open", "black hole", "cut", "latency", "bandwidth", "segments", "slow close", "refuse"),
    *("close code", "drop", "silence", "all silent", "not let in", "suspended", "gone"),
)
PIECES = 40  # of a file: each may take its time, as long as there is progress


@pytest.fixture(scope="module")
def wire() -> Iterator[LimpWire]:
    with LimpWire() as running:
        yield running


def break_it(fault: str, wire: LimpWire, proxy: FaultProxy, api: ApiService) -> None:
    """For good: nothing heals."""
    chance = random.Random(5)
    faults = {**network_faults(proxy, chance), **wire.server_faults(chance)}
    if fault in faults:
        faults[fault]()
    elif fault == "all silent":
        wire.fall_silent_for_good()
    elif fault == "not let in":
        wire.halt("verifying")
        proxy.reset()
    elif fault == "suspended":
        api.suspend()
    else:
        proxy.stop()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_every_call_ends(wire: LimpWire, fault: str, when: str) -> None:
    ledger = Ledger()
    settings = {"timeout_s": TIMEOUT_S, "queue_timeout_s": QUEUE_TIMEOUT_S, "file_chunk_size": 4000 // PIECES}
    with FaultProxy(wire.emulator.url, seed=1) as proxy:
        try:
            with wire.service(
                proxy.url, heartbeat_interval_s=0.2, heartbeat_timeout_s=0.3, connect_timeout_s=5.0, **settings
            ) as api:
                if when == "before":
                    break_it(fault, wire, proxy, api)
                calls = {kind: call(wire, api) for kind, call in CALLS.items()}
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
