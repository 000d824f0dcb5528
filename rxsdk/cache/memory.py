"""`MemoryCache`: credentials that last as long as the process.

A leaf without I/O. Used by the services when the config names no cache.
"""

from __future__ import annotations

from rxsdk.cache.contract import CredentialCache, Credentials

__all__ = ["MemoryCache"]


class MemoryCache(CredentialCache):
    """Keeps credentials in a dict. Never blocks or fails; each verb is one step, so threads may share it."""

    def __init__(self) -> None:
        self._kept: dict[str, Credentials] = {}

    def __repr__(self) -> str:
        return "MemoryCache()"

    def get(self, scope: str) -> Credentials | None:
        """Return what is kept under ``scope``, None when there is nothing."""
        return self._kept.get(scope)

    def put(self, scope: str, credentials: Credentials) -> None:
        """Keep ``credentials`` under ``scope``."""
        self._kept[scope] = credentials

    def remove(self, scope: str) -> None:
        """Forget what is kept under ``scope``; nothing there is fine."""
        self._kept.pop(scope, None)
