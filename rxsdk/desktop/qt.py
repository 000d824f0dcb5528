"""Qt: work on the thread of the application by a queued signal, subscriptions that end with a widget, sleep and wake.

A leaf, with PySide6 (the extra ``qt``). Signals may be emitted by any thread; connected as queued, they arrive on the
receiver's. Qt takes what is posted meanwhile in its next round, so timers and painting have their turn between two
slices.

**What is known of sleep.** Qt itself tells of it only on phones (``ApplicationSuspended``). On a Linux desktop logind
does, over the system's D-Bus (``PrepareForSleep``, Qt's own QtDBus module). On Windows and macOS Qt offers nothing;
there, as everywhere, the connection notices after a wake that its clock has jumped, and connects again at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

import reactivex
from PySide6.QtCore import SLOT, QCoreApplication, QObject, Qt, QTimerEvent, Signal, Slot
from PySide6.QtGui import QGuiApplication
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rxsdk.errors import ConfigurationError
from rxsdk.reactive.schedulers import WindowScheduler

__all__ = ["QtScheduler", "follow_sleep", "until_destroyed"]

T = TypeVar("T")


class _Waker(QObject):
    """Lives on the application's thread, whoever emits."""

    woken = Signal()

    def __init__(self, drain: Callable[[], None]) -> None:
        super().__init__()
        self._drain = drain
        self.timers: dict[int, Callable[[], None]] = {}
        self.moveToThread(_application().thread())
        self.woken.connect(self._on_woken, Qt.ConnectionType.QueuedConnection)

    @Slot()
    def _on_woken(self) -> None:
        self._drain()

    def start(self, seconds: float, then: Callable[[], None]) -> Callable[[], object]:
        """Call ``then`` after ``seconds``; returns what stops it."""
        timer = self.startTimer(round(seconds * 1000), Qt.TimerType.PreciseTimer)
        self.timers[timer] = then
        return lambda: self._take(timer)

    def timerEvent(self, event: QTimerEvent) -> None:  # noqa: N802 - Qt's name
        """Qt's timers ring again and again until they are killed."""
        then = self._take(event.timerId())
        if then is not None:
            then()

    def _take(self, timer: int) -> Callable[[], None] | None:
        then = self.timers.pop(timer, None)
        if then is not None:  # else it has rung: Qt may use its number again
            self.killTimer(timer)
        return then


class QtScheduler(WindowScheduler):
    """Runs work on the application's thread; any thread may schedule. One for the whole program is enough.

    Raises:
        ConfigurationError: there is no QApplication yet.
    """

    def __init__(self) -> None:
        self._waker = _Waker(self.drain)
        super().__init__(self._waker.woken.emit, self._waker.start)


def until_destroyed(widget: QObject) -> Callable[[Observable[T]], Observable[T]]:
    """An operator: ends with ``widget``: completes and disposes when Qt destroys it.

    Put it last, behind `deliver_on`; then nothing reaches a widget that is no more. A window that is closed is
    destroyed only when it has ``Qt.WidgetAttribute.WA_DeleteOnClose``, or with its parent.
    """

    def subscribe(observer: abc.ObserverBase[None], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        is_destroyed = False

        def on_destroyed() -> None:
            nonlocal is_destroyed
            is_destroyed = True
            observer.on_next(None)

        def forget() -> None:
            if not is_destroyed:  # else its connections are gone with it
                widget.destroyed.disconnect(on_destroyed)

        widget.destroyed.connect(on_destroyed)
        return Disposable(forget)

    return ops.take_until(reactivex.create(subscribe))


class Sleeper(Protocol):
    """What can be told of sleep: an `ApiService`, or any service like it."""

    def suspend(self) -> None:
        """Disconnect for a while."""

    def resume(self) -> None:
        """Connect again."""


class _SleepHooks(QObject):
    """Hears of sleep from Qt and from logind; the service sleeps while either says so."""

    def __init__(self, service: Sleeper) -> None:
        super().__init__()
        self._service = service
        self._reasons: set[str] = set()
        application = _application()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._on_state)
        if sys.platform == "linux":
            self._listen_to_logind()

    def _listen_to_logind(self) -> None:
        from PySide6.QtDBus import QDBusConnection  # noqa: PLC0415 - not on every platform

        QDBusConnection.systemBus().connect(
            "org.freedesktop.login1",
            "/org/freedesktop/login1",
            "org.freedesktop.login1.Manager",
            "PrepareForSleep",
            self,
            SLOT("prepare_for_sleep(bool)"),
        )

    @Slot(bool)
    def prepare_for_sleep(self, begins: bool) -> None:
        """The machine is about to sleep, or has woken."""
        self._set("machine", begins)

    def _on_state(self, state: Qt.ApplicationState) -> None:
        self._set("app", state is Qt.ApplicationState.ApplicationSuspended)

    def _set(self, reason: str, sleeps: bool) -> None:
        slept = bool(self._reasons)
        self._reasons = self._reasons | {reason} if sleeps else self._reasons - {reason}
        if self._reasons and not slept:
            self._service.suspend()
        elif slept and not self._reasons:
            self._service.resume()


def follow_sleep(service: Sleeper) -> abc.DisposableBase:
    """Suspend ``service`` when the machine goes to sleep (a phone: the app), resume it after the wake.

    Call it on the application's thread. What each system tells is said at the head of this module; where there is no
    system bus this does nothing, and harms nothing.

    Returns what ends it; until then it keeps ``service``.

    Raises:
        ConfigurationError: there is no QApplication yet.
    """
    hooks = _SleepHooks(service)
    return Disposable(hooks.deleteLater)


def _application() -> QCoreApplication:
    application: QCoreApplication | None = QCoreApplication.instance()
    if application is None:
        raise ConfigurationError("QApplication", "make it first: the scheduler runs work on its thread")
    return application
