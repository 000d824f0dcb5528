"""Qt's side: the queued signal, its timers, the life of a widget, sleep and wake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from rxsdk import ConfigurationError
from rxsdk.desktop import deliver_on
from tests.desktop.conftest import TurnUntil
from tests.desktop.responsiveness import MOST_LATE_S, Beat, best_of, flood, work_a_little

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed (extra: qt)", exc_type=ImportError)
from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QLabel

from rxsdk.desktop import qt


def test_work_of_another_thread_runs_on_the_windows(application: QApplication, turn_until: TurnUntil) -> None:
    gui = qt.QtScheduler()
    source: Subject[int] = Subject()
    seen: list[Any] = []
    source.pipe(deliver_on(gui)).subscribe(
        lambda value: seen.append((value, threading.current_thread())), on_completed=lambda: seen.append("end")
    )
    thread = flood(source)
    turn_until(lambda: seen and seen[-1] == "end")
    thread.join()
    assert seen[:-1] == [(number, threading.main_thread()) for number in range(10_000)]


def test_the_scheduler_may_be_made_on_any_thread(application: QApplication, turn_until: TurnUntil) -> None:
    seen: list[threading.Thread] = []

    def work() -> None:
        gui = qt.QtScheduler()
        made.append(gui)
        gui.schedule(lambda *_: seen.append(threading.current_thread()))

    made: list[qt.QtScheduler] = []
    thread = threading.Thread(target=work)
    thread.start()
    turn_until(lambda: seen)
    thread.join()
    assert seen == [threading.main_thread()]


def test_its_timers_ring_and_stop(application: QApplication, turn_until: TurnUntil) -> None:
    gui = qt.QtScheduler()
    rung: list[str] = []
    timer = gui.schedule_relative(60, lambda *_: rung.append("stopped"))
    turn_until(lambda: gui._waker.timers)
    timer.dispose()
    turn_until(lambda: not gui._waker.timers)
    gui.schedule_relative(0.03, lambda *_: rung.append("rang"))
    turn_until(lambda: rung)
    assert rung == ["rang"]
    turn_until(lambda: not gui._waker.timers)


def test_reactivex_operators_work_on_it(application: QApplication, turn_until: TurnUntil) -> None:
    seen: list[int] = []
    reactivex.interval(0.005, scheduler=qt.QtScheduler()).pipe(ops.take(3)).subscribe(seen.append)
    turn_until(lambda: len(seen) == 3)


def lateness(application: QApplication, *, bounded: bool) -> float:
    """The worst delay of a timer while 10 000 changes arrive, each costing the window 50 µs."""
    source: Subject[int] = Subject()
    shown: list[str] = []
    if bounded:
        delivered: Any = source.pipe(deliver_on(qt.QtScheduler()))
        delivered.subscribe(work_a_little, on_completed=lambda: shown.append("all"))
    else:

        class Naive(QObject):
            def event(self, event: QEvent) -> bool:
                for number in range(10_000):
                    work_a_little(number)
                shown.append("all")
                return True

        naive = Naive()
        source.subscribe(on_completed=lambda: QCoreApplication.postEvent(naive, QEvent(QEvent.Type.User)))
    beat = Beat()
    timer = QTimer(interval=round(Beat.interval_s * 1000), timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat.tick)
    timer.start()
    thread = flood(source)
    while not shown or not beat.ticks:
        application.processEvents()
    application.processEvents()
    thread.join()
    return beat.worst_s


@pytest.mark.alone
def test_a_flood_does_not_freeze_the_window(application: QApplication) -> None:
    assert best_of(lambda: lateness(application, bounded=True)) < MOST_LATE_S


@pytest.mark.alone
def test_the_measure_sees_a_frozen_window(application: QApplication) -> None:
    assert lateness(application, bounded=False) > MOST_LATE_S


def test_it_ends_with_the_widget(application: QApplication, turn_until: TurnUntil) -> None:
    label = QLabel()
    source: Subject[str] = Subject()
    ended: list[bool] = []
    source.pipe(deliver_on(qt.QtScheduler()), qt.until_destroyed(label)).subscribe(
        label.setText, on_completed=lambda: ended.append(True)
    )
    source.on_next("shown")
    turn_until(lambda: label.text() == "shown")
    source.on_next("too late")
    label.deleteLater()
    turn_until(lambda: ended)
    assert source.observers == []
    application.processEvents()


def test_a_stream_that_ends_first_leaves_the_widget_alone(application: QApplication, turn_until: TurnUntil) -> None:
    label = QLabel()
    source: Subject[str] = Subject()
    ended: list[bool] = []
    source.pipe(qt.until_destroyed(label)).subscribe(on_completed=lambda: ended.append(True))
    thread = threading.Thread(target=source.on_completed)
    thread.start()
    thread.join()
    label.deleteLater()
    turn_until(lambda: not _is_alive(label))
    assert ended == [True]


def test_disposing_behind_the_widgets_end_is_no_harm(application: QApplication, turn_until: TurnUntil) -> None:
    label = QLabel()
    subscription = Subject().pipe(qt.until_destroyed(label)).subscribe()
    label.deleteLater()
    turn_until(lambda: not _is_alive(label))
    subscription.dispose()


def _is_alive(label: QLabel) -> bool:
    try:
        label.text()
    except RuntimeError:
        return False
    return True


def test_without_an_application_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qt, "QCoreApplication", type("None_", (), {"instance": staticmethod(lambda: None)}))
    with pytest.raises(ConfigurationError, match="QApplication: make it first"):
        qt.QtScheduler()


class Service:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def suspend(self) -> None:
        self.told.append("suspend")

    def resume(self) -> None:
        self.told.append("resume")


def test_sleep_as_qt_tells_it(application: QApplication, turn_until: TurnUntil) -> None:
    service = Service()
    later: list[bool] = []
    following = qt.follow_sleep(service)
    states = Qt.ApplicationState
    for state in (states.ApplicationActive, states.ApplicationInactive, states.ApplicationHidden):
        application.applicationStateChanged.emit(state)
    assert service.told == []
    application.applicationStateChanged.emit(states.ApplicationSuspended)
    application.applicationStateChanged.emit(states.ApplicationActive)
    assert service.told == ["suspend", "resume"]
    following.dispose()
    QTimer.singleShot(0, lambda: later.append(True))
    turn_until(lambda: later)
    application.applicationStateChanged.emit(states.ApplicationSuspended)
    assert service.told == ["suspend", "resume"]


def test_while_the_machine_sleeps_the_windows_state_does_not_count(application: QApplication) -> None:
    service = Service()
    hooks = qt._SleepHooks(service)
    hooks.prepare_for_sleep(True)
    application.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    assert service.told == ["suspend"]
    hooks.prepare_for_sleep(False)
    assert service.told == ["suspend", "resume"]
    hooks.deleteLater()


LOGIND = """
import sys
from PySide6.QtCore import QCoreApplication
from PySide6.QtDBus import QDBusConnection, QDBusMessage
from rxsdk.desktop.qt import follow_sleep

class Service:
    def suspend(self):
        print("suspend", flush=True)
        tell(False)
    def resume(self):
        print("resume", flush=True)
        application.quit()

def tell(begins):
    signal = QDBusMessage.createSignal(
        "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForSleep")
    signal.setArguments([begins])
    assert logind.send(signal)

application = QCoreApplication([])
logind = QDBusConnection.connectToBus(QDBusConnection.BusType.SystemBus, "logind")
assert logind.registerService("org.freedesktop.login1"), logind.lastError().message()
following = follow_sleep(Service())
tell(True)
sys.exit(application.exec())
"""


def test_sleep_as_logind_tells_it(tmp_path: Path) -> None:
    """On a bus of our own, with a logind of our own."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    bus = subprocess.Popen(
        [daemon, "--session", "--nofork", "--nopidfile", f"--address=unix:dir={tmp_path}", "--print-address=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    try:
        assert bus.stdout is not None
        address = bus.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", LOGIND],
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
    finally:
        bus.terminate()
        bus.communicate(timeout=10)
    assert (done.stdout, done.returncode) == ("suspend\nresume\n", 0), done.stderr
