"""A desktop program: sign in, a staff list that keeps itself up to date, photos dropped in, and a plug to pull.

Needs ``pip install 'rxsdk[qt,emulator]'``. It brings its own server, and a bad network in between, so it runs as it
stands: ``python examples/desktop_qt.py``.
"""

import sys
import time
import zlib
from pathlib import Path

from PySide6.QtCore import QModelIndex, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QFont, QPainter, QPen, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)
from reactivex import Observable

from rxsdk import ApiService, CallRejected, ConnectionState, RxSdkError
from rxsdk.desktop import deliver_on
from rxsdk.desktop.qt import QtScheduler, follow_sleep, until_destroyed
from rxsdk.emulator import Emulator
from rxsdk.reactive.progress import UploadProgress
from rxsdk.testing import FaultProxy

BYTES_PER_S = 1_000_000  # a slow line, so that there is something to see
TONES = {"ready": "#1a9c5b", "failed": "#d33a3a", "closed": "#888888", "suspended": "#888888"}
STYLE = """
#window { background: #f6f7f9; color: #1d2433; font-size: 14px; }
#card { background: white; border: 1px solid #e1e5ec; border-radius: 12px; }
#title { font-size: 22px; font-weight: 600; }
#muted { color: #5f6b80; }
#error { color: #c02b2b; }
#file { font-weight: 600; }
QLineEdit { border: 1px solid #ccd3de; border-radius: 7px; padding: 8px 10px; background: white; color: #1d2433; }
QLineEdit:focus { border-color: #3563e9; }
QPushButton { border: 1px solid #ccd3de; border-radius: 7px; padding: 8px 16px; background: white; color: #1d2433; }
QPushButton:checked { background: #fdecec; border-color: #e7a6a6; color: #b02a2a; }
QPushButton#primary { background: #3563e9; border-color: #3563e9; color: white; font-weight: 600; }
QListView { border: none; background: transparent; }
QProgressBar { border: none; border-radius: 3px; background: #e6eaf1; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { border-radius: 3px; background: #3563e9; }
QProgressBar[failed="true"]::chunk { background: #d33a3a; }
#drop { border: 2px dashed #c6cfdd; border-radius: 12px; color: #5f6b80; padding: 18px; }
#drop[over="true"] { border-color: #3563e9; color: #3563e9; background: #eef2fd; }
"""


def words(error: Exception) -> str:
    """What to tell people: what the server said, if it was the server."""
    return error.msg if isinstance(error, CallRejected) else str(error)


class Window(QWidget):
    """The only window: signing in first, then the staff."""

    def __init__(self, api: ApiService, network: FaultProxy, email: str = "", password: str = "") -> None:
        super().__init__(objectName="window", windowTitle="Staff", styleSheet=STYLE)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.resize(560, 680)
        self.api, self.network, self.gui = api, network, QtScheduler()

        self.state = QLabel(objectName="state")
        self.plug = QPushButton("Pull the plug", checkable=True)
        self.plug.toggled.connect(self.on_plug)
        top = QHBoxLayout()
        top.addWidget(self.state, 1)
        top.addWidget(self.plug)

        self.pages = QStackedWidget()
        self.sign_in = SignIn(self, email, password)
        self.pages.addWidget(self.sign_in)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 20)
        layout.setSpacing(14)
        layout.addLayout(top)
        layout.addWidget(self.pages, 1)

        self.show_state(api.state)
        self.here(api.state_stream, "latest").subscribe(self.show_state)
        clock = QTimer(self, interval=250)
        clock.timeout.connect(lambda: self.show_state(api.state))  # it counts down to the next try
        clock.start()

    def here(self, stream: Observable, on_overflow: str = "error") -> Observable:
        """``stream`` on this window's thread, for as long as the window lives."""
        return stream.pipe(deliver_on(self.gui, on_overflow=on_overflow), until_destroyed(self))

    def show_state(self, state: ConnectionState) -> None:
        tone, text = TONES.get(state.name, "#c98a06"), f"<b>{state.name}</b>"
        if state.retry_at is not None:
            seconds = round(state.retry_at - time.time())
            text += f" · next try in {seconds} s" if seconds > 0 else " · trying again"
        if self.plug.isChecked():
            text += " · calls wait"
        self.state.setText(f'<span style="color: {tone}">●</span>&nbsp; {text}')

    def on_plug(self, pulled: bool) -> None:
        self.plug.setText("Plug it in again" if pulled else "Pull the plug")
        if pulled:
            self.network.refuse()
            self.network.reset()
        else:
            self.network.heal()
            self.network.bandwidth(BYTES_PER_S)
            self.api.reconnect_now()

    def signed_in(self) -> None:
        self.staff = Staff(self)
        self.pages.addWidget(self.staff)
        self.pages.setCurrentWidget(self.staff)


class SignIn(QWidget):
    def __init__(self, window: Window, email: str, password: str) -> None:
        super().__init__()
        self.window_ = window
        self.email = QLineEdit(email, placeholderText="Email")
        self.password = QLineEdit(password, placeholderText="Password", echoMode=QLineEdit.EchoMode.Password)
        self.button = QPushButton("Sign in", objectName="primary", default=True)
        self.error = QLabel(objectName="error", wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.button.clicked.connect(self.submit)
        self.password.returnPressed.connect(self.submit)
        card = QFrame(objectName="card")
        form = QVBoxLayout(card)
        form.setContentsMargins(28, 24, 28, 24)
        form.setSpacing(12)
        for widget in (QLabel("Welcome", objectName="title"), self.email, self.password, self.button, self.error):
            form.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addWidget(card)
        layout.addStretch(2)

    def submit(self) -> None:
        self.button.setEnabled(False)
        try:
            call = self.window_.api.auth("email", self.email.text(), self.password.text())
        except RxSdkError as mistake:  # such as an empty password: nothing was sent
            self.failed(mistake)
        else:
            self.window_.here(call).subscribe(lambda _: self.window_.signed_in(), self.failed)

    def failed(self, error: Exception) -> None:
        self.button.setEnabled(True)
        self.error.setText(words(error))


class Staff(QWidget):
    """The list, and where photos are dropped."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window_ = window
        self.count = QLabel(objectName="muted")
        self.model = QStandardItemModel(self)
        card = QFrame(objectName="card")
        self.list = QListView(editTriggers=QListView.EditTrigger.NoEditTriggers)
        self.list.setModel(self.model)
        self.list.setItemDelegate(Person(self.list))
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        inside = QVBoxLayout(card)
        inside.setContentsMargins(6, 6, 6, 6)
        inside.addWidget(self.list)
        head = QHBoxLayout()
        head.addWidget(QLabel("Staff", objectName="title"))
        head.addWidget(self.count, 1, Qt.AlignmentFlag.AlignRight)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        layout.addLayout(head)
        layout.addWidget(card, 1)
        self.uploads = QVBoxLayout()
        layout.addLayout(self.uploads)
        layout.addWidget(DropZone(self))
        staff = window.api.watch("staff/watch", snapshot="staff/read").collection()
        window.here(staff, "latest").subscribe(self.show_staff, self.failed)

    def show_staff(self, docs: list[dict]) -> None:
        self.count.setText("1 person" if len(docs) == 1 else f"{len(docs)} people")
        self.model.setRowCount(len(docs))
        for row, doc in enumerate(docs):
            name, job = doc["name"]["en_AE"], doc["job_title"]["en_AE"]
            item = self.model.item(row)
            if item is None:
                self.model.setItem(row, QStandardItem())
                item = self.model.item(row)
            if (item.text(), item.data()) != (name, job):
                item.setText(name)
                item.setData(job)

    def failed(self, error: Exception) -> None:
        self.count.setText(words(error))

    def add(self, photo: Path) -> None:
        name = photo.stem.replace("_", " ").title()
        doc = {
            "name": {"ar_AE": name, "en_AE": name},
            "job_title": {"ar_AE": "New here", "en_AE": "New here"},
            "bio": {"ar_AE": "", "en_AE": ""},
            "photo": photo,
        }
        self.uploads.addWidget(Upload(self.window_, photo.name, doc))


class Upload(QWidget):
    """One photo on its way; goes when it has arrived."""

    def __init__(self, window: Window, name: str, doc: dict) -> None:
        super().__init__()
        self.bar = QProgressBar(textVisible=False, maximum=1000)
        self.note = QLabel("waiting", objectName="muted", alignment=Qt.AlignmentFlag.AlignRight)
        self.error = QLabel(objectName="error", wordWrap=True, textFormat=Qt.TextFormat.PlainText, visible=False)
        title = QLabel(objectName="file", textFormat=Qt.TextFormat.PlainText, toolTip=name)
        title.setText(title.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, 220))
        line = QHBoxLayout()
        line.addWidget(title)
        line.addWidget(self.note, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 4)
        layout.addLayout(line)
        layout.addWidget(self.bar)
        layout.addWidget(self.error)
        try:
            call = window.api.call("staff/create", doc=doc)
        except RxSdkError as mistake:  # an empty file, one that cannot be read
            self.failed(mistake)
            return
        window.here(call.progress, "latest").subscribe(self.show_progress, lambda _: None)  # the call tells of errors
        window.here(call).subscribe(lambda _: QTimer.singleShot(1500, self, self.deleteLater), self.failed)

    def show_progress(self, progress: UploadProgress) -> None:
        self.bar.setValue(1000 * progress.sent_bytes // progress.total_bytes)
        left = f" · {progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
        self.note.setText(
            f"{progress.sent_bytes / 1e6:.1f} of {progress.total_bytes / 1e6:.1f} MB{left} · {progress.phase}"
        )

    def failed(self, error: Exception) -> None:
        self.bar.setProperty("failed", "true")
        self.bar.setStyleSheet("")  # looked at anew
        self.note.setText("not added")
        self.error.setText(words(error))
        self.error.show()


class DropZone(QLabel):
    def __init__(self, staff: Staff) -> None:
        super().__init__("Drop a photo here to add somebody", objectName="drop", alignment=Qt.AlignmentFlag.AlignCenter)
        self.staff = staff
        self.setAcceptDrops(True)

    def light_up(self, over: bool) -> None:
        self.setProperty("over", "true" if over else "false")
        self.setStyleSheet("")

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
            self.light_up(True)

    def dragLeaveEvent(self, event: object) -> None:
        self.light_up(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.light_up(False)
        for url in event.mimeData().urls():
            self.staff.add(Path(url.toLocalFile()))


def elided(painter: QPainter, text: str, line: QRectF) -> str:
    return painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(line.width()))


class Person(QStyledItemDelegate):
    """A round picture with initials, the name, the job."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(200, 60)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        item = index.model().item(index.row())
        name, job = item.text(), item.data() or ""
        area = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        circle = QRectF(area.left() + 12, area.top() + 10, 40, 40)
        tone = QColor.fromHsv(zlib.crc32(name.encode()) % 360, 120, 190)
        painter.setBrush(tone)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(circle)
        bold = QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(Qt.GlobalColor.white)
        painter.drawText(circle, Qt.AlignmentFlag.AlignCenter, "".join(word[0] for word in name.split()[:2]))
        painter.setPen(QColor("#1d2433"))
        line = QRectF(area.left() + 66, area.top() + 11, area.width() - 78, 20)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, elided(painter, name, line))
        painter.setFont(option.font)
        painter.setPen(QColor("#5f6b80"))
        line.translate(0, 19)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, elided(painter, job, line))
        painter.setPen(QPen(QColor("#eef0f4")))
        painter.drawLine(area.left() + 66, area.bottom(), area.right() - 10, area.bottom())
        painter.restore()


def main() -> int:
    application = QApplication(sys.argv)
    with Emulator() as emulator, FaultProxy(emulator.url) as network:
        network.bandwidth(BYTES_PER_S)
        api = ApiService(emulator.config(api=network.url))  # yours: SDKConfig(api="wss://…/ws", …)
        api.init()
        sleep = follow_sleep(api)
        window = Window(api, network, emulator.admin_email, emulator.admin_password)
        window.show()
        code = application.exec()
        sleep.dispose()
        api.close().result()  # the window has gone: now waiting is no harm
    return code


if __name__ == "__main__":
    sys.exit(main())
