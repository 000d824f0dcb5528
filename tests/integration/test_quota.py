"""The stock server's quotas, on the emulator's clock and ours: nothing is lost to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rxsdk import ApiService, File, QuotaPolicy
from rxsdk.emulator import Emulator, ManualClock
from rxsdk.testing import FakeClock
from tests.conftest import wait_until
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


def test_an_upload_through_the_quota_is_right() -> None:
    server, client = ManualClock(), FakeClock()
    with Emulator(quotas="stock", clock=server, conn_timeout_s=1e6) as emulator:
        config = emulator.config(heartbeat_interval_s=1e6, queue_timeout_s=1e4, timeout_s=1e4, file_chunk_size=100)
        with ApiService(config, clock=client) as api:
            api.auth("email", emulator.admin_email, emulator.admin_password).result()
            content = bytes(range(250)) * 60  # 150 chunks
            call = api.call("album/create", doc=album_doc(cover=File(content, name="c.png")))
            wait_until(lambda: emulator.executed["file/upload"] >= 30)
            let_time_pass_until(
                lambda: call.error is not None or emulator.executed["album/create"] == 1,
                lambda: emulator.executed["file/upload"],
                [server, client],
            )
            assert call.result().status == 200
            # Refused two at a time it starts over, once; refused one at a time it goes on.
            assert 150 <= emulator.executed["file/upload"] < 300
            for clock in (server, client):
                clock.advance(61)
            assert api.call("album/read").result().docs[0]["cover"]["size"] == len(content)
