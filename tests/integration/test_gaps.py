"""Gaps: where changes may be missing is told in its place, to those who ask."""

from __future__ import annotations

import queue
from datetime import UTC, datetime, timedelta
from typing import Any

from rxsdk import ApiService, Gap, ReconnectPolicy
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.staff import album_doc

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


def test_a_gap_stands_between_what_came_before_and_after_for_those_who_ask(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        untold: queue.SimpleQueue[Any] = queue.SimpleQueue()
        watch = api.call("album/watch", gaps=True)
        watch.subscribe(told.put)
        silent = api.call("album/watch")
        silent.subscribe(untold.put)
        watch.result(), silent.result()
        began = datetime.now(UTC)
        api.call("album/create", doc=album_doc(rank=1)).result()
        emulator.drop_connections()
        wait_until(lambda: not api.inited)
        api.call("album/create", doc=album_doc(rank=2), await_auth=True).result()
        seen = [told.get(timeout=5) for _ in range(4)]
        assert isinstance(seen[2], Gap)
        assert "connection lost" in str(seen[2].reason)
        assert began - timedelta(seconds=1) < seen[2].since <= datetime.now(UTC)
        assert [res.args.get("oper") for res in seen if not isinstance(res, Gap)] == [None, "create", "create"]
        assert [untold.get(timeout=5).args.get("oper") for _ in range(3)] == [None, "create", "create"]
        late: list[Any] = []
        watch.subscribe(late.append)
        wait_until(lambda: late)
        assert late == [seen[3]], "the latest that is kept for late subscribers is a message of the server"
        assert (watch.result(), emulator.watches) == (seen[0], 2)
