"""The written form of credentials: one secret in a keyring, or many scopes in a file. Both are JSON in ASCII.

    secret   {"sid": "…", "token": "…"}
    file     {"rxsdk_credentials": 1, "scopes": {"KEY@API": {"sid": "…", "token": "…"}, …}}

A leaf without I/O. Used by `FileCache` and `KeyringCache`. Reading gives None for what is not ours and never
raises: the errors of ``json`` and of decoding hold the text they choked on, and that may hold secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rxsdk.cache.contract import Credentials

__all__ = ["read_scopes", "read_secret", "write_scopes", "write_secret"]

_MARK = "rxsdk_credentials"
_VERSION = 1


def write_secret(credentials: Credentials) -> str:
    """Return ``credentials`` as one text, for `read_secret`."""
    return json.dumps(_entry_of(credentials))


def read_secret(text: str) -> Credentials | None:
    """Return the credentials `write_secret` wrote as ``text``, None when it did not."""
    return _credentials_in(_parsed(text))


def write_scopes(scopes: Mapping[str, Credentials]) -> bytes:
    """Return the content of a file that keeps ``scopes``."""
    entries = {scope: _entry_of(credentials) for scope, credentials in scopes.items()}
    return json.dumps({_MARK: _VERSION, "scopes": entries}, indent=2).encode("ascii") + b"\n"


def read_scopes(content: bytes) -> dict[str, Credentials] | None:
    """Return the scopes in the content of a file, None when it is not ours. No content is no scopes."""
    if not content:
        return {}
    document = _parsed(content)
    if not isinstance(document, dict) or document.get(_MARK) != _VERSION:
        return None
    entries = document.get("scopes")
    if not isinstance(entries, dict):
        return None
    scopes = {scope: _credentials_in(entry) for scope, entry in entries.items()}
    sound = {scope: credentials for scope, credentials in scopes.items() if credentials is not None}
    return sound if len(sound) == len(scopes) else None


def _entry_of(credentials: Credentials) -> dict[str, str]:
    return {"sid": credentials.sid.reveal(), "token": credentials.token.reveal()}


def _credentials_in(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    sid, token = entry.get("sid"), entry.get("token")
    return Credentials(sid, token) if isinstance(sid, str) and isinstance(token, str) else None


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: "[[[[…", thousands deep
        return None
