"""`examples/desktop_qt.py`, driven without a screen. ``RXSDK_PICTURES=folder`` keeps pictures to look at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed (extra: qt)", exc_type=ImportError)
from PySide6.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rxsdk import ApiService
from rxsdk.emulator import Emulator
from rxsdk.testing import FaultProxy
from tests.desktop.conftest import EXAMPLES, PICTURES, TurnUntil, load
from tests.desktop.responsiveness import MOST_LATE_S, Beat, best_of, flood_from
from tests.staff import staff_doc

example = load("desktop_qt")
NO_SCREEN = "This plugin does not support propagateSizeHints()\n"  # Qt's, where there is none
PEOPLE = {"Ada Lovelace": "Programmer", "Grace Hopper": "Rear admiral", "Katherine Johnson": "Mathematician"}


@pytest.fixture
def network(emulator: Emulator) -> Iterator[FaultProxy]:
    with FaultProxy(emulator.url) as running:
        yield running


@pytest.fixture
def other(signed_in: ApiService) -> ApiService:
    """Somebody else, who changes the staff."""
    for name, job in PEOPLE.items():
        signed_in.call("staff/create", doc={**staff_doc(name), "job_title": {"ar_AE": job, "en_AE": job}}).result()
    return signed_in


@pytest.fixture
def window(
    application: QApplication, emulator: Emulator, network: FaultProxy, turn_until: TurnUntil, no_thread_left: None
) -> Iterator[Any]:
    api = ApiService(emulator.config(api=network.url, file_chunk_size=50_000))
    api.init()
    window = example.Window(api, network, emulator.admin_email, emulator.admin_password)
    window.show()
    gone: list[bool] = []
    window.destroyed.connect(lambda: gone.append(True))
    yield window
    if not gone:
        window.close()
        turn_until(lambda: gone)
    api.close().result()


def picture(window: Any, name: str) -> None:
    if PICTURES is not None:
        window.grab().save(str(PICTURES / f"qt-{name}.png"))


def names(window: Any) -> list[str]:
    return [window.staff.model.item(row).text() for row in range(window.staff.model.rowCount())]


def enter(window: Any, turn_until: TurnUntil) -> None:
    QTest.mouseClick(window.sign_in.button, Qt.MouseButton.LeftButton)
    turn_until(lambda: hasattr(window, "staff") and "people" in window.staff.count.text())


def drop(window: Any, photo: Path) -> Any:
    """Drop a file where a person would; returns the upload's row."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(photo))])
    zone = window.findChild(example.DropZone)
    event = QDropEvent(
        QPointF(9, 9), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    zone.dropEvent(event)
    return window.staff.uploads.itemAt(window.staff.uploads.count() - 1).widget()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "dorothy_vaughan.png"
    path.write_bytes(bytes(400_000))
    return path


def test_the_whole_story(
    window: Any,
    emulator: Emulator,
    network: FaultProxy,
    other: ApiService,
    turn_until: TurnUntil,
    photo: Path,
    unhandled: list[BaseException],
) -> None:
    picture(window, "1-sign-in")
    window.sign_in.password.setText("wrong")
    QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
    turn_until(lambda: "Wrong auth credentials." in window.sign_in.error.text())
    picture(window, "2-refused")
    window.sign_in.password.setText("")
    QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
    assert window.sign_in.error.text() == "password: is empty"
    window.sign_in.password.setText(emulator.admin_password)
    enter(window, turn_until)
    assert sorted(names(window)) == sorted(PEOPLE)

    other.call("staff/create", doc=staff_doc("Mary Jackson")).result()
    turn_until(lambda: "Mary Jackson" in names(window))
    picture(window, "3-staff")

    network.bandwidth(300_000)
    upload = drop(window, photo)
    turn_until(lambda: 0 < upload.bar.value() < 1000 and "left" in upload.note.text())
    picture(window, "4-upload")
    network.heal()
    turn_until(lambda: "Dorothy Vaughan" in names(window))
    turn_until(lambda: window.staff.findChild(example.Upload) is None)

    QTest.mouseClick(window.plug, Qt.MouseButton.LeftButton)
    turn_until(lambda: "reconnecting" in window.state.text())
    other.call("staff/create", doc=staff_doc("Annie Easley")).result()
    picture(window, "5-lost")
    assert "Annie Easley" not in names(window)
    QTest.mouseClick(window.plug, Qt.MouseButton.LeftButton)
    turn_until(lambda: "Annie Easley" in names(window))
    turn_until(lambda: "ready" in window.state.text())
    picture(window, "6-healed")
    assert unhandled == []


def test_a_photo_that_cannot_go_says_why(window: Any, other: ApiService, turn_until: TurnUntil, tmp_path: Path) -> None:
    enter(window, turn_until)
    empty = tmp_path / "nobody.png"
    empty.touch()
    upload = drop(window, empty)
    assert "empty" in upload.error.text()
    text = tmp_path / "text.txt"
    text.write_text("not a picture")
    refused = drop(window, text)
    turn_until(lambda: "Invalid attr 'photo'" in refused.error.text())
    assert not refused.error.visibleRegion().isEmpty()
    picture(window, "7-refused-photo")


def test_closing_in_mid_upload_ends_cleanly(
    window: Any,
    emulator: Emulator,
    network: FaultProxy,
    other: ApiService,
    turn_until: TurnUntil,
    photo: Path,
    unhandled: list[BaseException],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    enter(window, turn_until)
    network.bandwidth(100_000)
    upload = drop(window, photo)
    turn_until(lambda: upload.bar.value() > 0)
    gone: list[bool] = []
    window.destroyed.connect(lambda: gone.append(True))
    api = window.api
    window.close()
    turn_until(lambda: gone)
    api.close().result()
    assert (unhandled, capfd.readouterr().err.replace(NO_SCREEN, "")) == ([], "")
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []
    assert len(other.call("staff/read").result().docs) == len(PEOPLE)


def lateness(application: QApplication, window: Any, emulator: Emulator, call_id: str, doc: Any) -> float:
    """The worst delay of the window's timer while 10 000 changes of one person come from the server."""
    beat = Beat()
    timer = QTimer(interval=round(Beat.interval_s * 1000), timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat.tick)
    timer.start()
    thread, last = flood_from(emulator, call_id, doc)
    deadline = time.monotonic() + 30
    while last not in [window.staff.model.item(row).data() for row in range(window.staff.model.rowCount())]:
        application.processEvents()
        assert time.monotonic() < deadline
    thread.join()
    timer.stop()
    assert beat.ticks
    print(f"worst delay {beat.worst_s * 1000:.1f} ms, {beat.ticks} ticks")
    return beat.worst_s


@pytest.mark.alone
def test_ten_thousand_changes_do_not_freeze_it(
    application: QApplication, window: Any, emulator: Emulator, other: ApiService, turn_until: TurnUntil
) -> None:
    enter(window, turn_until)
    emulator.wait_until(lambda running: running.watches == 1)
    asked = next(one.payload for one in emulator.received if one.payload.get("endpoint") == "staff/watch")
    doc = other.call("staff/read").result().docs[0]
    assert best_of(lambda: lateness(application, window, emulator, asked["call_id"], doc)) < MOST_LATE_S


CLOSED_SOON = """
import runpy, sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
run = QApplication.exec
def closed_soon(*_):
    QTimer.singleShot(500, QApplication.closeAllWindows)
    return run()
QApplication.exec = closed_soon
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_it_runs_as_it_stands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLOSED_SOON, str(EXAMPLES / "desktop_qt.py")],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.replace(NO_SCREEN, "")) == (0, "", "")
