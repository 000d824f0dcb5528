"""The stock server's quotas, on the emulator's clock and ours: nothing is lost to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rxsdk import ApiService, File, QuotaPolicy
from rxsdk.emulator import Emulator, ManualClock
from rxsdk.testing import FakeClock
from tests.conftest import wait_until
from tests.files.wire import Watcher
from tests.staff import album_doc


def let_time_pass_until(
    condition: Callable[[], object], progress: Callable[[], int], clocks: Sequence[ManualClock | FakeClock]
) -> int:
    """Minute after minute, each as soon as something has moved in the one before; returns how many it took."""
    minutes = 0
    while not condition():
        before = progress()
        minutes += 1
        for clock in clocks:
            clock.advance(61)
        wait_until(lambda before=before: progress() > before or condition())
    return minutes


def test_a_hundred_calls_through_a_quota_of_forty_a_minute() -> None:
    server, client = ManualClock(), FakeClock()
    with Emulator(quotas="stock", clock=server) as emulator:
        config = emulator.config(heartbeat_interval_s=1e6, queue_timeout_s=1e4, timeout_s=None)
        with ApiService(config, clock=client) as api:
            done: list[int] = []
            for rank in range(100):
                api.call("album/read", query=[{"rank": rank}]).subscribe(lambda res: done.append(res.status))
            wait_until(lambda: len(done) == 38)  # the 40th message is refused, verify counted
            let_time_pass_until(lambda: len(done) == 100, lambda: len(done), [server, client])
            assert set(done) == {200}
            assert emulator.executed["album/read"] == 100


def test_the_pace_never_hits_the_quota() -> None:
    server, client = ManualClock(), FakeClock()
    with Emulator(quotas="stock", clock=server) as emulator:
        config = emulator.config(
            heartbeat_interval_s=1e6, queue_timeout_s=1e4, timeout_s=None, quota=QuotaPolicy(messages_per_minute=20)
        )
        with ApiService(config, clock=client) as api:
            done: list[int] = []
            for rank in range(50):
                api.call("album/read", query=[{"rank": rank}]).subscribe(lambda res: done.append(res.status))
            wait_until(lambda: len(done) == 19)
            minutes = let_time_pass_until(lambda: len(done) == 50, lambda: len(done), [server, client])
            assert minutes >= 2
            assert sum(got.payload["endpoint"] == "album/read" for got in emulator.received) == 50


@pytest.mark.parametrize(("window", "lost"), [(1, 0), (2, 37)])
def test_an_upload_through_the_quota_is_right(window: int, lost: int) -> None:
    """Refused one at a time it goes on; refused two at a time it starts over, once, and then sends one at a time.

    Of the 39 messages of a lane's first minute two are no chunks: its verify and its reauth. Its second minute has 100.
    """
    server, client = ManualClock(), FakeClock()
    with Emulator(quotas="stock", clock=server, conn_timeout_s=1e6) as emulator:
        config = emulator.config(
            heartbeat_interval_s=1e6, queue_timeout_s=1e4, timeout_s=1e4, file_chunk_size=100, upload_window=window
        )
        with ApiService(config, clock=client) as api:
            api.auth("email", emulator.admin_email, emulator.admin_password).result()
            content = bytes(range(250)) * 60  # 150 chunks
            call = api.call("album/create", doc=album_doc(cover=File(content, name="c.png")))
            watcher = Watcher(call)

            def refused() -> int:
                chunks = sum(got.payload.get("endpoint") == "file/upload" for got in emulator.received)
                return chunks - emulator.executed["file/upload"]

            waits = 0
            while not watcher.is_over:
                client.advance(0.06)  # what is told comes at most so often
                if watcher.phases.count("waiting_for_quota") > waits:
                    waits += 1
                    # Else a chunk that is still on its way would be heard in the next minute, and run.
                    wait_until(lambda waits=waits: refused() == window + waits - 1)
                    for clock in (server, client):
                        clock.advance(61)
            assert call.result().status == 200
            assert emulator.executed["file/upload"] == lost + 150
            assert waits == 2
            for clock in (server, client):
                clock.advance(61)
            assert api.call("album/read").result().docs[0]["cover"]["size"] == len(content)
