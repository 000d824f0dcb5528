"""What the tests of windows need: a screen that nobody sees, and toolkits that may be missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = Path(os.environ["RXSDK_PICTURES"]) if "RXSDK_PICTURES" in os.environ else None

TurnUntil: TypeAlias = Callable[[Callable[[], object]], None]


def load(example: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(example, EXAMPLES / f"{example}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def application() -> Any:
    """Qt's, without a screen."""
    from PySide6.QtWidgets import QApplication  # noqa: PLC0415 - an extra

    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return QApplication.instance() or QApplication([])


@pytest.fixture
def turn_until(application: Any) -> TurnUntil:
    """Run Qt's event loop until something is so; fail when it is not within 10 s."""
    from PySide6.QtCore import QEventLoop, QTimer  # noqa: PLC0415

    def turn(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        loop = QEventLoop()
        look = QTimer(interval=1)
        look.timeout.connect(lambda: loop.quit() if condition() or time.monotonic() > deadline else None)
        look.start()
        loop.exec()
        assert condition(), f"still not true after 10 s: {condition}"

    return turn


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """An X server of our own; its ``DISPLAY`` is in force for this process."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("Xvfb is not installed (Debian: xvfb)")
    server, number = _start(xvfb)
    for _ in range(5):  # two that start at once may both take the same number, and one of them gives up
        if not number:
            server.kill()
            server.wait(10)
            server, number = _start(xvfb)
    try:
        assert number, "Xvfb does not start"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DISPLAY", f":{number}")
            yield f":{number}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        finally:
            server.kill()  # no harm when it has ended


def _start(xvfb: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start an X server; returns it and its number, which is empty when it could not start."""
    reading, writing = os.pipe()
    command = [xvfb, "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return server, pipe.readline().strip()
