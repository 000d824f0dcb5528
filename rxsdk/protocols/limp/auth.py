"""The documents of auth, reauth and signout, in all three hash levels.

Floor 0. Plainly: **the hash is no hash**. At levels 5.0 and 5.6 it is the payload segment of a JWT, that is base64 of
readable JSON with the password in it; the signature, the only part that would involve a key, is left out. At level
6.1 it is the plain text itself. Whoever sees the frame has the password, so the wire must be ``wss://``.

Source: limp.md, "Session"; ``generateAuthHash`` of the Angular SDK.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rxsdk.errors import ConfigurationError
from rxsdk.protocols.limp.signing import base64url

__all__ = ["SESSION_ENDPOINTS", "auth_docs", "auth_hash", "reauth_query", "signout_query"]

SESSION_ENDPOINTS = frozenset({"session/auth", "session/reauth", "session/signout"})
"""The calls after which the server checks signatures against another token."""

_STRONG = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{8,}", re.DOTALL)


def auth_hash(
    level: str, auth_var: str, auth_val: str, password: str, anon_token: str, *, escaped: bool = False
) -> str:
    r"""The ``hash`` of ``session/auth``, byte for byte what the JavaScript SDKs make.

    ``escaped`` writes non-ASCII characters as ``\uXXXX``, as the server does for its own administrator.

    Raises:
        ConfigurationError: level 6.1 and a password with less than 8 characters or without a lower-case letter,
            an upper-case letter or a digit; or text that is not text (a lone surrogate).
    """
    if level == "6.1":
        if not _STRONG.match(password):
            raise ConfigurationError(
                "password",
                "level 6.1 wants 8 characters or more with a lower-case and an upper-case letter and a digit",
            )
        return auth_var + auth_val + password + anon_token
    parts = [auth_var, auth_val, password] + ([anon_token] if level == "5.6" else [])
    return _segment({"hash": parts}, escaped=escaped)


def auth_docs(
    level: str, auth_var: str, auth_val: str, password: str, anon_token: str, groups: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The doc of ``session/auth``, and the one to try when that is refused, None when there is nothing to try.

    "raw first, and when that is refused … and the values hold non-ASCII characters, the escaped form once"
    """

    def doc(*, escaped: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            auth_var: auth_val,
            "hash": auth_hash(level, auth_var, auth_val, password, anon_token, escaped=escaped),
        }
        if groups:
            made["groups"] = groups
        return made

    raw, second = doc(escaped=False), doc(escaped=True)
    return raw, None if second == raw else second


def reauth_query(level: str, sid: str, token: str, groups: list[str] | None = None) -> list[dict[str, Any]]:
    """The query of ``session/reauth``: proof of the token (5.x), or the token itself (6.1)."""
    proof = {"token": token} if level == "6.1" else {"hash": _segment({"token": token}, escaped=False)}
    query: list[dict[str, Any]] = [{"_id": sid, **proof}]
    if groups:
        query.append({"groups": groups})
    return query


def signout_query(sid: str) -> list[dict[str, Any]]:
    """The query of ``session/signout``."""
    return [{"_id": sid}]


def _segment(payload: dict[str, Any], *, escaped: bool) -> str:
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=escaped)
    try:
        return base64url(text.encode()).decode()
    except UnicodeEncodeError:
        raise ConfigurationError("credentials", "hold a lone surrogate, which is no text") from None
