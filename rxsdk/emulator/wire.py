"""The wire as the server sees it: JSON out, JWT in, and the hashes it compares.

Imports nothing of rxsdk: its own HMAC, so that a mistake in the client's signing cannot hide behind the same
mistake here. `verify` accepts exactly what PyJWT 1.7.1 accepts, the library the recorded server used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

__all__ = ["TokenRefused", "auth_hash", "dumps", "peek", "reauth_hash", "secret", "sign", "verify"]

_HEADER = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"


class TokenRefused(Exception):
    """The token of a frame is missing, malformed, badly signed or past its time."""


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        # "Bytes never come back over the socket (`content: true`)."
        return True
    raise TypeError(f"{type(value).__name__} does not go over the wire")


_encoder = json.JSONEncoder(default=_plain)


def dumps(value: object) -> str:
    """JSON as the server writes it: ASCII, ``", "`` and ``": "``, bytes as ``true``."""
    return _encoder.encode(value)


def verify(token: object, key: str, now: float) -> dict[str, Any]:
    """The payload of a JWT signed with ``key`` and valid at ``now`` (seconds since 1970).

    Raises:
        TokenRefused: for every reason there is; the server gives none.
    """
    if not isinstance(token, str):
        raise TokenRefused("no token")
    try:
        signed, _, signature = token.rpartition(".")
        header_part, _, payload_part = signed.partition(".")
        digest = hmac.digest(key.encode(), signed.encode("ascii"), "sha256")
        header = json.loads(_b64decode(header_part))
        if header["alg"] != "HS256" or not hmac.compare_digest(digest, _b64decode(signature)):
            raise TokenRefused("signature")
        payload = json.loads(_b64decode(payload_part))
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise TokenRefused("malformed") from error
    if not isinstance(payload, dict):
        raise TokenRefused("the payload is no object")
    _check_claims(payload, now)
    return payload


def _check_claims(payload: dict[str, Any], now: float) -> None:
    try:
        if "iat" in payload:
            int(payload["iat"])  # "iat ahead is accepted", but it must be a number
        if "nbf" in payload and int(payload["nbf"]) > int(now):
            raise TokenRefused("not yet")
        if "exp" in payload and int(payload["exp"]) < int(now):
            raise TokenRefused("past exp")
    except (ValueError, TypeError, OverflowError) as error:
        raise TokenRefused("a claim is no number") from error
    if payload.get("aud") is not None:
        raise TokenRefused("no audience is expected")


def peek(token: object) -> dict[str, Any]:
    """The payload of a JWT, unverified, for the records only; empty when there is none."""
    try:
        payload = json.loads(_b64decode(str(token).split(".")[1]))
    except (ValueError, IndexError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def sign(payload: object, key: str, *, ensure_ascii: bool = False) -> str:
    """A JWT of ``payload``, HS256 with ``key``, compact JSON."""
    signed = _HEADER + b"." + _segment(payload, ensure_ascii=ensure_ascii)
    digest = hmac.digest(key.encode(), signed, "sha256")
    return (signed + b"." + _b64encode(digest)).decode()


def auth_hash(level: str, values: list[str]) -> str:
    """What the server keeps for its administrator; ``values`` is auth attr, value, password, anon token.

    "The server makes its own administrator's hash with ``\\uXXXX`` escapes."
    """
    if level == "6.1":
        return "".join(values)
    parts = values[:3] if level == "5.0" else values
    return _segment({"hash": parts}, ensure_ascii=True).decode()


def reauth_hash(token: str) -> str:
    """The second segment of the JWT of ``{"token": token}``."""
    return _segment({"token": token}, ensure_ascii=True).decode()


def secret(value: str) -> str:
    """How a 6.1 hash or token is kept: not readable."""
    return hashlib.sha256(value.encode()).hexdigest()


def _segment(value: object, *, ensure_ascii: bool) -> bytes:
    return _b64encode(json.dumps(value, separators=(",", ":"), ensure_ascii=ensure_ascii).encode())


def _b64encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _b64decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
