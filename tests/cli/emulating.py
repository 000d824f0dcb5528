"""``rxsdk emulate`` as a process, for tests that take it at its word."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator

from rxsdk import SDKConfig
from tests.cli.conftest import command, environment

__all__ = ["Running", "emulating"]


class Running:
    """An emulator in a process of its own, once it has said all it has to say."""

    def __init__(self, *options: object) -> None:
        self.process = subprocess.Popen(
            command("emulate", "--port", 0, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(COLUMNS="40"),
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("    print("):
                break

    def fact(self, name: str) -> str:
        """What it says of ``name``."""
        return next(line.strip().removeprefix(name).strip() for line in self.lines if line.strip().startswith(name))

    @property
    def snippet(self) -> str:
        """The Python it offers."""
        begin = next(number for number, line in enumerate(self.lines) if line.startswith("from rxsdk import"))
        return "\n".join(self.lines[begin:])

    def config(self, **more: str) -> SDKConfig:
        """What its lines say, as a client takes it."""
        return SDKConfig(
            api=self.fact("api "), anon_token=self.fact("anon_token"), auth_attrs=[self.fact("auth_attrs")], **more
        )

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Its exit code, and what it still said."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextlib.contextmanager
def emulating(*options: object) -> Iterator[Running]:
    running = Running(*options)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()
