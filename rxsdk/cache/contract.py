"""The contract of a credential cache: what it keeps, under which name, and its three verbs.

A leaf without I/O. An application may bring a cache of its own: any object with the
three verbs of `CredentialCache` will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from rxsdk.secret import Secret

__all__ = ["CredentialCache", "Credentials", "scope_of"]


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What signs a user in again without a password: two opaque texts, kept as `Secret`; plain strings may be given.

    Raises:
        TypeError: one of them is neither.
    """

    sid: Secret
    """The id of the session."""
    token: Secret
    """The token of the session."""

    def __init__(self, sid: str | Secret, token: str | Secret) -> None:
        for name, value in (("sid", sid), ("token", token)):
            try:
                object.__setattr__(self, name, Secret(value))
            except TypeError:
                raise TypeError(f"{name} must be str, not {type(value).__name__}") from None

    def __repr__(self) -> str:
        return "Credentials(<redacted>)"


class CredentialCache(Protocol):
    """Keeps at most one `Credentials` for each scope. The verbs may block: call them off the event loop.

    A scope is any string, made by `scope_of`. The verbs may be called from any thread.
    The siblings' `CacheService` has the same three.
    """

    def get(self, scope: str) -> Credentials | None:
        """Return what was put last under ``scope``, None when there is nothing.

        Raises:
            CacheError: the cache could not be read.
        """
        ...

    def put(self, scope: str, credentials: Credentials) -> None:
        """Keep ``credentials`` under ``scope``, in place of what was there.

        Raises:
            CacheError: the cache could not be written; what was there stays.
        """
        ...

    def remove(self, scope: str) -> None:
        """Forget what is kept under ``scope``; nothing there is fine.

        Raises:
            CacheError: the cache could not be read or written.
        """
        ...


def scope_of(api: str, cache_key: str) -> str:
    """Return the name under which one user (``cache_key``) of one server (``api``) is kept.

    It reads ``KEY@API``. The key is percent-encoded, so the first ``@`` is the border and no two pairs
    share a name. The api is taken as it is written: another spelling of the same server is another scope.
    """
    return f"{quote(cache_key, safe='', errors='surrogatepass')}@{api}"
