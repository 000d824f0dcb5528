"""What the cache tests share: credentials with a mark in them, a keyring in memory, a watch on the log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

import rxsdk.cache
from rxsdk.cache import Credentials

MARK = "S3CRET"
OURS = Path(rxsdk.cache.__file__).parent


class MemoryKeyring(KeyringBackend):
    """A keyring in a dict, as strict about deleting as the real ones."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.secrets.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.secrets[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.secrets:
            raise PasswordDeleteError("No such password!")
        del self.secrets[service, username]


@pytest.fixture
def credentials() -> Credentials:
    return Credentials(f"sid-{MARK}-é🗝", f"token-{MARK}-日本\n\"'\\\0")


@pytest.fixture
def memory_keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    backend = MemoryKeyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    return backend


@pytest.fixture(autouse=True)
def log_without_secrets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hold of every test here that nothing it logs, at any level, shows a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        assert MARK not in f"{record.getMessage()}{record.args!r}{record.exc_info!r}"


@pytest.fixture
def shows_no_secret() -> Callable[[BaseException], None]:
    """Check an error and all that is chained to it: texts, reprs, and our locals, which some reports show."""

    def check(error: BaseException) -> None:
        link: BaseException | None = error
        while link is not None:
            assert MARK not in f"{link}{link!r}{link.args!r}{vars(link)!r}"
            for frame, _ in traceback.walk_tb(link.__traceback__):
                if Path(frame.f_code.co_filename).is_relative_to(OURS):
                    assert MARK not in f"{frame.f_locals!r}"
            link = link.__cause__ or link.__context__

    return check
