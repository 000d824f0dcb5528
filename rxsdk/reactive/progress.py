"""Progress: how far the files of a call, or a download, have come, told often enough to draw and seldom enough to bear.

Floor 2. `UploadProgress` and `DownloadProgress` are what observers get; a `Meter` makes them from what the uploader or
the downloader reports, on the connection's loop and by its clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from rxsdk.core.clock import Clock, Timer
from rxsdk.reactive.streams import Multicast

__all__ = ["DownloadMeter", "DownloadProgress", "UploadMeter", "UploadPhase", "UploadProgress"]

_APART_S = 1 / 18
"""At most 20 a second, the first and the last, which are always told, included."""

UploadPhase = Literal["queued", "sending", "waiting_for_quota", "paused", "restarting", "done", "failed"]
DownloadPhase = Literal["connecting", "receiving", "resuming", "done", "failed"]


class UploadProgress(msgspec.Struct, frozen=True):
    """Where the files of a call are: file ``index`` of attribute ``attr`` is the one on its way.

    ``sent_bytes`` counts what the server has accepted of this file's ``total_bytes``. It never goes back: a file that
    must start over keeps its figure, with the phase ``"restarting"``, until it is overtaken.

    ``rate_bytes_per_s`` is that of the whole call since its first chunk, pauses left out; ``eta_s`` is what is left of
    this file at that rate, None while nothing can be said: before the first chunk is accepted, and in every phase but
    ``"sending"``. The last one has the phase ``"done"``, or ``"failed"`` when the call ended otherwise.
    """

    attr: str
    index: int
    name: str
    sent_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    eta_s: float | None
    phase: UploadPhase


class DownloadProgress(msgspec.Struct, frozen=True):
    """Where a download is. ``total_bytes`` and ``eta_s`` are None while unknown; the last phase is as an upload's.

    ``received_bytes`` never goes back; the rate leaves out what was there from an earlier try.
    """

    name: str
    received_bytes: int
    total_bytes: int | None
    rate_bytes_per_s: float
    eta_s: float | None
    phase: DownloadPhase


P = TypeVar("P", UploadProgress, DownloadProgress)
S = TypeVar("S", bound=str)


class _Meter(ABC, Generic[P, S]):
    """When to tell: at once, or, if that was less than a breath ago, at the end of the breath."""

    def __init__(self, stream: Multicast[P], clock: Clock, phase: S) -> None:
        self._stream: Multicast[P] = stream
        self._clock = clock
        self._phase = phase
        self._next_at = float("-inf")
        self._timer: Timer | None = None
        self._started_at: float | None = None
        self._paused_at: float | None = None

    def tell(self, phase: S) -> None:
        """It is in this phase now."""
        self._phase = phase
        now = self._clock.now()
        if now >= self._next_at:
            self._emit(now)
        elif self._timer is None:
            self._timer = self._clock.call_at(self._next_at, self._rung)

    def end(self, phase: S) -> None:
        """The last word; what comes after it is nothing."""
        if self._stream.is_over:
            return
        self._phase = phase
        self._emit(self._clock.now())
        self._stream.complete()

    def _rung(self) -> None:
        self._timer = None
        self._emit(self._clock.now())

    def _emit(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next_at = now + _APART_S
        self._stream.emit(self._made(now))

    @abstractmethod
    def _made(self, now: float) -> P:
        """What is told now."""

    def _rate(self, moved: int, now: float) -> float:
        if self._started_at is None:
            return 0.0
        elapsed = (now if self._paused_at is None else self._paused_at) - self._started_at
        return moved / elapsed if elapsed > 0 else 0.0


class UploadMeter(_Meter[UploadProgress, UploadPhase]):
    """Counts the bytes of ``files``, each ``(attr, index, name, size)``, which go one after the other."""

    def __init__(
        self, stream: Multicast[UploadProgress], clock: Clock, files: Sequence[tuple[str, int, str, int]]
    ) -> None:
        super().__init__(stream, clock, "queued")
        self._files = files
        self._sent = 0  # of all files together, since they began or began anew
        self._furthest = 0
        self.tell("queued")

    def sending(self) -> None:
        """The first chunk goes out, or the next after a wait."""
        if self._started_at is None:
            self._started_at = self._clock.now()
        self.tell(self._moving())

    def accepted(self, size: int) -> None:
        """The server has ``size`` more bytes."""
        self._sent += size
        self._furthest = max(self._furthest, self._sent)
        self.tell(self._moving())

    def starts_over(self, lost: int | None = None) -> None:
        """The server has lost ``lost`` bytes; None: all of them."""
        self._sent -= self._sent if lost is None else lost
        self.tell("restarting")

    def paused(self, is_paused: bool) -> None:
        """The application holds it, or lets it go on: that time does not count."""
        now = self._clock.now()
        if is_paused and self._paused_at is None:
            self._paused_at = now
            self.tell("paused")
        elif not is_paused and self._paused_at is not None:
            if self._started_at is not None:
                self._started_at += now - self._paused_at
            self._paused_at = None
            self.tell("queued" if self._started_at is None else self._moving())

    def _moving(self) -> UploadPhase:
        if self._paused_at is not None:
            return "paused"
        return "sending" if self._sent >= self._furthest else "restarting"

    def _made(self, now: float) -> UploadProgress:
        sent, files = self._furthest, iter(self._files)
        attr, index, name, size = next(files)
        while sent > size:
            sent -= size
            attr, index, name, size = next(files)
        rate = self._rate(self._furthest, now)
        eta = (size - sent) / rate if rate and self._phase == "sending" else None
        return UploadProgress(attr, index, name, sent, size, rate, eta, self._phase)


class DownloadMeter(_Meter[DownloadProgress, DownloadPhase]):
    """Counts the bytes of one file."""

    def __init__(self, stream: Multicast[DownloadProgress], clock: Clock, name: str) -> None:
        super().__init__(stream, clock, "connecting")
        self._name = name
        self._received = self._furthest = self._begun_at = 0
        self._total: int | None = None
        self.tell("connecting")

    def begins(self, total: int | None, at: int) -> None:
        """The bytes from number ``at`` on come, of ``total`` if that is known."""
        self._total = total
        self._received = at
        if self._started_at is None:
            self._started_at = self._clock.now()
            self._furthest = self._begun_at = at
        self.tell("receiving" if at == self._begun_at else "resuming")

    def received(self, size: int) -> None:
        """``size`` more bytes are here."""
        self._received += size
        self._furthest = max(self._furthest, self._received)
        self.tell("receiving" if self._received == self._furthest else "resuming")

    def _made(self, now: float) -> DownloadProgress:
        rate = self._rate(self._furthest - self._begun_at, now)
        known = self._total is not None and rate and self._phase == "receiving"
        eta = ((self._total or 0) - self._furthest) / rate if known else None
        return DownloadProgress(self._name, self._furthest, self._total, rate, eta, self._phase)
