"""``import rxsdk`` is cheap: what is not needed yet, or by everybody, is imported later."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rxsdk

LATER = (
    *("websockets", "picows", "uvloop", "jwt", "aiohttp", "httpx", "keyring", "opentelemetry", "mongomock"),
    *("rich", "typer", "IPython", "PySide6", "tkinter", "pytest", "aiofiles.os", "urllib.request"),
    *("rxsdk.chat", "rxsdk.sylk", "rxsdk.cli", "rxsdk.emulator", "rxsdk.testing"),
    *("rxsdk.core.with_websockets", "rxsdk.core.with_picows"),
)


def test_what_is_not_needed_yet_is_not_imported() -> None:
    program = f"import sys, rxsdk; print(*[name for name in {LATER!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == []


def test_the_other_wires_are_there_when_asked_for() -> None:
    for name in rxsdk.__all__:
        assert getattr(rxsdk, name) is not None
    assert rxsdk.ChatService.__module__ == "rxsdk.chat"
    assert rxsdk.SylkService.__module__.startswith("rxsdk.sylk")
    with pytest.raises(AttributeError, match="has no attribute 'SylkNonsense'"):
        rxsdk.SylkNonsense  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        rxsdk.nonsense  # noqa: B018
