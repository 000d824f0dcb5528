"""The command line, run in this process and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rxsdk.cli import main
from rxsdk.emulator import Emulator

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """What a run of the command left."""

    code: int | str | None
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """``cli("demo", "--file", path)`` in this process, 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["rxsdk", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(ended.value.code or 0, captured.out, captured.err)

    return run


def python(*args: object) -> list[str]:
    """A Python that takes every warning for an error."""
    return [sys.executable, "-W", "error", *map(str, args)]


def command(*args: object) -> list[str]:
    """The command line of a process."""
    return python("-m", "rxsdk", *args)


def environment(**more: str) -> dict[str, str]:
    """The environment of a process: this repository, and none of the settings of who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1", **more}


def run_python(*args: object, cwd: Path | None = None, **more: str) -> Ran:
    """A Python of its own to its end; ``more`` goes into its environment."""
    done = subprocess.run(
        python(*args), capture_output=True, encoding="utf-8", cwd=cwd, env=environment(**more), timeout=50, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def run_process(*args: object, cwd: Path | None = None, **more: str) -> Ran:
    """The same as `cli` as a process of its own; ``more`` goes into its environment."""
    return run_python("-m", "rxsdk", *args, cwd=cwd, **more)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the command line's own: no config file, no session, no ``RXSDK_*``."""
    for name in [name for name in os.environ if name.startswith("RXSDK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("rxsdk.cli.server.config_file", lambda: tmp_path / "config" / "config.toml")
    monkeypatch.setattr("rxsdk.cli.server.sessions_file", lambda: tmp_path / "state" / "sessions.json")
    monkeypatch.setattr("rxsdk.cli.commands.doctor.config_file", lambda: tmp_path / "config" / "config.toml")
    monkeypatch.setattr("rxsdk.cli.commands.doctor.sessions_file", lambda: tmp_path / "state" / "sessions.json")
    return tmp_path


@pytest.fixture
def known(home: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulator that the environment names."""
    monkeypatch.setenv("RXSDK_API", emulator.url)
    monkeypatch.setenv("RXSDK_ANON_TOKEN", emulator.anon_token)
    return emulator


@pytest.fixture
def secret(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The administrator's password, put into the environment."""
    monkeypatch.setenv("RXSDK_PASSWORD", emulator.admin_password)
    return emulator.admin_password
