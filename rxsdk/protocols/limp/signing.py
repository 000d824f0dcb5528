"""The one place where calls are signed: HS256 over a header made once.

Floor 0. The JWT equals what ``jwt.encode`` makes (a test holds that). PyJWT's own ``encode`` is five times slower and
warns about or refuses keys that LIMP allows (short ones, such as every anonymous token in the field), so only its
HMAC is used. The bytes that are signed are the bytes that are sent.
"""

from __future__ import annotations

from binascii import b2a_base64

from jwt.algorithms import HMACAlgorithm

__all__ = ["MAX_FRAME_BYTES", "base64url", "frame_size", "sign_jwt"]

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""The server closes the connection (1009) on a longer frame."""

LIFETIME_S = 86_400
"""``exp - iat``: the day that the sibling SDKs give a call."""

_hs256 = HMACAlgorithm(HMACAlgorithm.SHA256)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def base64url(data: bytes) -> bytes:
    """Base64 with ``-`` and ``_`` and without padding, as JWTs want it."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


_HEADER = base64url(b'{"alg":"HS256","typ":"JWT"}') + b"."


def sign_jwt(payload: bytes, key: bytes) -> bytes:
    """The JWT of ``payload`` (compact JSON, taken as it is), signed with ``key``."""
    signed = _HEADER + base64url(payload)
    return signed + b"." + base64url(_hs256.sign(signed, key))


_ENVELOPE = 1024
"""More than the names, ids, times and the token in a payload, and the signature and braces around it, ever take."""


def frame_size(payload_bytes: int) -> int:
    """The bytes of a whole frame at most, around arguments of that many: base64 makes four of three."""
    return (payload_bytes + _ENVELOPE) * 4 // 3
