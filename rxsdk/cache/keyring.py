"""`KeyringCache`: credentials in the desktop's keyring (Keychain, Credential Locker, Secret Service …).

A leaf; the only home of the `keyring` package, which is imported when the first `KeyringCache` is made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rxsdk.cache.contract import CredentialCache, Credentials
from rxsdk.cache.written import read_secret, write_secret
from rxsdk.errors import CacheError

__all__ = ["KeyringCache"]

_log = logging.getLogger("rxsdk.cache")


class KeyringCache(CredentialCache):
    """Keeps credentials in the keyring under the service ``service``.

    The scope stands as the user name; sid and token are one secret. The keyring may ask the user to unlock
    it, and blocks meanwhile. A secret that is corrupt or not of rxsdk is taken for nothing, with a warning
    (logger ``rxsdk.cache``); it stays until the next `put` or `remove`.

    Raises:
        ImportError: the `keyring` package is not installed.
    """

    def __init__(self, service: str = "rxsdk") -> None:
        self.service = service
        try:
            self._keyring = import_module("keyring")
            self._errors = import_module("keyring.errors")
        except ImportError as error:
            raise ImportError("KeyringCache needs keyring: pip install 'rxsdk[keyring]'", name="keyring") from error

    def __repr__(self) -> str:
        return f"KeyringCache(service={self.service!r})"

    def get(self, scope: str) -> Credentials | None:
        """Return what is kept under ``scope``, None when there is nothing.

        Raises:
            CacheError: there is no keyring, it is locked, or it fails.
        """
        secret = self._ask(lambda: self._keyring.get_password(self.service, scope))
        if secret is None:
            return None
        credentials = read_secret(secret)
        if credentials is None:
            _log.warning("credential cache %s: a secret is not of rxsdk; taken for nothing", self._place)
        return credentials

    def put(self, scope: str, credentials: Credentials) -> None:
        """Keep ``credentials`` under ``scope``.

        Raises:
            CacheError: there is no keyring, it is locked, or it fails.
        """
        self._ask(lambda: self._keyring.set_password(self.service, scope, write_secret(credentials)))

    def remove(self, scope: str) -> None:
        """Forget what is kept under ``scope``; nothing there is fine.

        Raises:
            CacheError: there is no keyring, it is locked, or it fails.
        """
        try:
            self._ask(lambda: self._keyring.delete_password(self.service, scope))
        except CacheError:
            # Keyrings fail, each in its own way, when there is nothing to delete.
            if self._ask(lambda: self._keyring.get_password(self.service, scope)) is not None:
                raise

    @property
    def _place(self) -> str:
        return f"keyring {self.service!r}"

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception as error:  # keyrings leak the errors of D-Bus, of Win32, of their plugins
            problem = self._problem(error)
        # Raised here, and not above, so that the foreign error is not in its chain: it may hold the secret.
        raise CacheError(self._place, problem)

    def _problem(self, error: Exception) -> str:
        """Return what may be told: the text of errors that are about the keyring, the kind of all others."""
        kind = type(error).__name__
        told = (self._errors.NoKeyringError, self._errors.KeyringLocked, self._errors.InitError)
        return f"{kind}: {error}" if isinstance(error, told) else kind
