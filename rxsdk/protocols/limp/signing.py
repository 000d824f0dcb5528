"""The one place where calls are signed: HS256 over a header made once.

Floor 0. The JWT equals what ``jwt.encode`` makes (a test holds that). PyJWT's own ``encode`` is five times slower and
warns about or refuses keys that LIMP allows (short ones, such as every anonymous token in the field), so only its
algorithm's hash is used, in an HMAC whose key is hashed once (hashlib's copies take two thirds of the time of hmac's).
The bytes that are signed are the bytes that are sent.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

__all__ = ["MAX_FRAME_BYTES", "SigningKey", "base64url", "frame_size"]

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""The server closes the connection (1009) on a longer frame."""

LIFETIME_S = 86_400
"""``exp - iat``: the day that the sibling SDKs give a call."""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLUS, _SLASH = b"+/"  # as numbers, which bytes are searched for in a quarter of the time


def base64url(data: bytes) -> bytes:
    """Base64 with ``-`` and ``_`` and without padding, as JWTs want it."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


_HEADER = base64url(b'{"alg":"HS256","typ":"JWT"}') + b"."

_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


@cache
def _sha256() -> Any:
    """The hash of PyJWT's HS256; imported with the first key, for it takes a sixth of the time of all imports."""
    from jwt.algorithms import HMACAlgorithm  # noqa: PLC0415

    return HMACAlgorithm(HMACAlgorithm.SHA256).hash_alg


class SigningKey:
    """A token as what calls are signed with. Two are equal when their tokens are.

    Args:
        head: how each payload begins; it is encoded and hashed once.
    """

    __slots__ = ("_begun", "_inner", "_outer", "_rest")  # two hashes: those of RFC 2104, begun

    def __init__(self, token: str, head: bytes = b"") -> None:
        sha256 = _sha256()
        key = token.encode("utf-8", "surrogatepass")
        key = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = sha256(key.translate(_INNER))
        self._outer = sha256(key.translate(_OUTER))
        whole = len(head) - len(head) % 3
        self._begun, self._rest = _HEADER + base64url(head[:whole]), head[whole:]
        self._inner.update(self._begun)

    def jwt(self, payload: bytes) -> bytes:
        """The JWT of the head and ``payload`` (compact JSON, taken as it is)."""
        encoded = b2a_base64(self._rest + payload, newline=False).rstrip(b"=")
        if _PLUS in encoded or _SLASH in encoded:  # rarely: in ASCII only of ``>``, ``?`` and ``~``
            encoded = encoded.translate(_URL_SAFE)
        inner = self._inner.copy()
        inner.update(encoded)
        outer = self._outer.copy()
        outer.update(inner.digest())
        signature = b2a_base64(outer.digest(), newline=False).translate(_URL_SAFE, b"=")
        return b"".join((self._begun, encoded, b".", signature))

    def long_jwt(self, payload: Iterable[bytes]) -> Iterator[bytes]:
        """The same of a payload in pieces, in pieces: so that a long one can be made a little at a time."""
        inner, outer = self._inner.copy(), self._outer.copy()
        yield self._begun
        rest = self._rest
        for piece in payload:
            data = rest + piece
            whole = len(data) - len(data) % 3
            rest = data[whole:]
            encoded = b2a_base64(memoryview(data)[:whole], newline=False)
            if _PLUS in encoded or _SLASH in encoded:  # never in digits and commas
                encoded = encoded.translate(_URL_SAFE)
            inner.update(encoded)
            yield encoded
        encoded = base64url(rest)
        inner.update(encoded)
        outer.update(inner.digest())
        yield encoded + b"." + base64url(outer.digest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and self._outer.digest() == other._outer.digest()

    __hash__ = None  # type: ignore[assignment]


_ENVELOPE = 1024
"""More than the names, ids, times and the token in a payload, and the signature and braces around it, ever take."""


def frame_size(payload_bytes: int) -> int:
    """The bytes of a whole frame at most, around arguments of that many: base64 makes four of three."""
    return (payload_bytes + _ENVELOPE) * 4 // 3
