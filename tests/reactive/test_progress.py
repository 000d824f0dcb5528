"""Meters: seldom enough, never backwards, and true to the clock."""

from __future__ import annotations

from typing import Any

from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.progress import DownloadMeter, UploadMeter
from tests.core.fakes import FakeClock


class Sink:
    """Stands for the stream."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.is_over = False

    def emit(self, value: Any) -> None:
        self.seen.append(value)

    def complete(self) -> None:
        self.is_over = True


def upload_meter(*sizes: int) -> tuple[UploadMeter, Any, FakeClock]:
    assert Dispatcher
    sink, clock = Sink(), FakeClock()
    files = [("many", number, f"{number}", size) for number, size in enumerate(sizes)]
    return UploadMeter(sink, clock, files), sink, clock  # type: ignore[arg-type]


def test_the_first_is_told_at_once_and_then_at_most_twenty_a_second() -> None:
    meter, sink, clock = upload_meter(1000)
    assert [one.phase for one in sink.seen] == ["queued"]
    meter.sending()
    for _ in range(1000):
        clock.advance(0.001)
        meter.accepted(1)
    meter.end("done")
    assert len(sink.seen) <= 20
    last = sink.seen[-1]
    assert (last.sent_bytes, last.phase, last.eta_s) == (1000, "done", None)
    assert 990 < last.rate_bytes_per_s < 1010
    assert sink.is_over
    meter.end("failed")
    assert sink.seen[-1] is last
    assert clock.timers == []


def test_what_was_held_back_is_told_a_breath_later() -> None:
    meter, sink, clock = upload_meter(10)
    meter.sending()
    meter.accepted(5)
    assert len(sink.seen) == 1
    clock.advance(0.06)
    assert [(one.sent_bytes, one.phase) for one in sink.seen[1:]] == [(5, "sending")]
    assert sink.seen[1].eta_s is not None


def test_it_never_goes_back() -> None:
    meter, sink, clock = upload_meter(10, 10)
    steps: list[Any] = [
        meter.sending, lambda: meter.accepted(10), lambda: meter.accepted(5), lambda: meter.starts_over(5),
        lambda: meter.accepted(5), meter.starts_over, lambda: meter.accepted(10), lambda: meter.accepted(10),
    ]  # fmt: skip
    for step in steps:
        clock.advance(1)
        step()
    seen = [(one.index, one.sent_bytes, one.phase) for one in sink.seen]
    assert seen == [
        (0, 0, "queued"), (0, 0, "sending"), (0, 10, "sending"), (1, 5, "sending"), (1, 5, "restarting"),
        (1, 5, "sending"), (1, 5, "restarting"), (1, 5, "restarting"), (1, 10, "sending"),
    ]  # fmt: skip


def test_pauses_do_not_count() -> None:
    meter, sink, clock = upload_meter(100)
    meter.paused(True)
    meter.paused(False)
    meter.sending()
    clock.advance(1)
    meter.accepted(10)
    meter.paused(True)
    meter.paused(True)
    meter.accepted(10)  # what was on its way
    clock.advance(100)
    assert sink.seen[-1].phase == "paused"
    assert sink.seen[-1].rate_bytes_per_s == 20
    meter.paused(False)
    meter.paused(False)
    clock.advance(1)
    meter.accepted(20)
    assert (sink.seen[-1].rate_bytes_per_s, sink.seen[-1].eta_s) == (20, 3)


def test_a_download() -> None:
    sink, clock = Sink(), FakeClock()
    meter = DownloadMeter(sink, clock, "a")  # type: ignore[arg-type]
    steps: list[Any] = [
        lambda: meter.begins(None, 0), lambda: meter.received(10), lambda: meter.begins(30, 5),
        lambda: meter.received(2), lambda: meter.received(5), lambda: meter.end("done"),
    ]  # fmt: skip
    for step in steps:
        clock.advance(1)
        step()
    assert [(one.received_bytes, one.total_bytes, one.phase) for one in sink.seen] == [
        (0, None, "connecting"), (0, None, "receiving"), (10, None, "receiving"), (10, 30, "resuming"),
        (10, 30, "resuming"), (12, 30, "receiving"), (12, 30, "done"),
    ]  # fmt: skip
