"""`KeyringCache`: over a keyring in memory, over keyrings that fail, and without the package."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keyring.core
import keyring.errors
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from rxsdk.cache import Credentials, KeyringCache
from rxsdk.errors import CacheError

if TYPE_CHECKING:
    from conftest import MemoryKeyring

NoSecret = Callable[[BaseException], None]


def failing_with(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def test_one_secret_for_each_scope(memory_keyring: MemoryKeyring, credentials: Credentials) -> None:
    KeyringCache().put("default@ws://h/ws", credentials)
    [(place, secret)] = memory_keyring.secrets.items()
    assert place == ("rxsdk", "default@ws://h/ws")
    assert json.loads(secret) == {"sid": credentials.sid, "token": credentials.token}
    assert secret.isascii()


def test_services_are_apart(memory_keyring: MemoryKeyring, credentials: Credentials) -> None:
    KeyringCache("my app").put("a", credentials)
    assert KeyringCache().get("a") is None
    assert KeyringCache("my app").get("a") == credentials
    assert list(memory_keyring.secrets) == [("my app", "a")]
    assert repr(KeyringCache("my app")) == "KeyringCache(service='my app')"


@pytest.mark.parametrize("secret", ["S3CRET", "", "[]", '{"sid": "S3CRET"}', '{"sid": 1, "token": "S3CRET"}'])
def test_a_secret_not_ours_is_taken_for_nothing(
    memory_keyring: MemoryKeyring, secret: str, credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    memory_keyring.secrets["rxsdk", "a"] = secret
    cache = KeyringCache()
    assert cache.get("a") is None
    assert memory_keyring.secrets["rxsdk", "a"] == secret
    [record] = [record for record in caplog.records if record.name == "rxsdk.cache"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "credential cache keyring 'rxsdk': a secret is not of rxsdk; taken for nothing"
    cache.put("a", credentials)
    assert cache.get("a") == credentials


def test_a_secret_not_ours_can_be_removed(memory_keyring: MemoryKeyring) -> None:
    memory_keyring.secrets["rxsdk", "a"] = "S3CRET"
    KeyringCache().remove("a")
    assert not memory_keyring.secrets


def test_without_a_keyring_it_says_so(
    monkeypatch: pytest.MonkeyPatch, credentials: Credentials, shows_no_secret: NoSecret
) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", NoKeyring())
    cache = KeyringCache()
    verbs: list[Callable[[], object]] = [
        lambda: cache.get("a"),
        lambda: cache.put("a", credentials),
        lambda: cache.remove("a"),
    ]
    for verb in verbs:
        with pytest.raises(CacheError, match="NoKeyringError: No recommended backend was available") as caught:
            verb()
        assert caught.value.place == "keyring 'rxsdk'"
        shows_no_secret(caught.value)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (keyring.errors.KeyringLocked("Failed to unlock the collection!"), "KeyringLocked: Failed to unlock"),
        (keyring.errors.InitError("no D-Bus"), "InitError: no D-Bus"),
        (keyring.errors.PasswordSetError("cannot store S3CRET"), "PasswordSetError"),
        (UnicodeDecodeError("utf-8", b"S3CRET\xff", 6, 7, "invalid start byte"), "UnicodeDecodeError"),
        (OSError("Win32 on S3CRET"), "OSError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("verb", ["get", "put", "remove"])
def test_a_keyring_that_fails(
    *,
    memory_keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
    credentials: Credentials,
    shows_no_secret: NoSecret,
    verb: str,
    error: Exception,
    problem: str,
) -> None:
    cache = KeyringCache()
    cache.put("a", credentials)
    for name in ("get_password", "set_password", "delete_password"):
        monkeypatch.setattr(memory_keyring, name, failing_with(error))
    with pytest.raises(CacheError) as caught:
        getattr(cache, verb)("a", *[credentials] * (verb == "put"))
    assert caught.value.place == "keyring 'rxsdk'"
    assert caught.value.problem.startswith(problem)
    shows_no_secret(caught.value)


def test_what_cannot_be_removed_is_an_error(
    memory_keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
    credentials: Credentials,
    shows_no_secret: NoSecret,
) -> None:
    cache = KeyringCache()
    cache.put("a", credentials)
    monkeypatch.setattr(memory_keyring, "delete_password", failing_with(keyring.errors.PasswordDeleteError("denied")))
    with pytest.raises(CacheError, match="PasswordDeleteError") as caught:
        cache.remove("a")
    shows_no_secret(caught.value)
    cache.remove("b")  # not there, so it may fail as it likes


@pytest.mark.parametrize("missing", ["keyring", "keyring.errors"])
def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError) as caught:
        KeyringCache()
    assert str(caught.value) == "KeyringCache needs keyring: pip install 'rxsdk[keyring]'"
    assert caught.value.name == "keyring"
