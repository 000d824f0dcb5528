"""What every test may use: an emulator, a service on it, waiting without sleeping, and a watch on what is left over."""

from __future__ import annotations

import gc
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Here, before anything imports them: what test modules share asserts too.
pytest.register_assert_rewrite("tests.core.fakes", "tests.core.wire", "tests.files.wire", "tests.reactive.helpers")

import rxsdk  # noqa: E402
from rxsdk import ApiService, SDKConfig  # noqa: E402
from rxsdk.emulator import Emulator  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skip", action="store_true", help="a skipped test is a failure: this machine has everything")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.option.no_skip and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_collection_finish() -> None:
    """Let no collection of garbage look at the thousands of tests each time one asks for it: they stay anyway."""
    gc.collect()
    gc.freeze()


def uncovered() -> dict[str, str]:
    """The environment for a process whose memory is measured: without what measures coverage in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def wait_until(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
    """Return as soon as ``condition()`` is true; fail when it is not within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"still not true after {timeout_s:g} s: {condition}"
        tick.wait(0.002)


def fork() -> int:
    """`os.fork` while threads run, which applications do; since Python 3.12 it warns of that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def config(emulator: Emulator) -> SDKConfig:
    return emulator.config()


@pytest.fixture
def api(config: SDKConfig) -> Iterator[ApiService]:
    with ApiService(config) as service:
        yield service


@pytest.fixture
def signed_in(api: ApiService, emulator: Emulator) -> ApiService:
    api.auth("email", emulator.admin_email, emulator.admin_password).result()
    return api


@pytest.fixture
def unhandled(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What was told to ``rxsdk.on_unhandled``."""
    seen: list[BaseException] = []
    monkeypatch.setattr(rxsdk, "on_unhandled", seen.append)
    return seen


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Nothing that was started in the test runs after it."""
    before = set(threading.enumerate())
    yield
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread not in before])
