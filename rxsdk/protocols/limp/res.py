"""What the server says: `Res`, its `Args`, and the `Session` inside.

Floor 0. Everything the server sent is kept; what is secret is kept too, but never printed: a `repr` shows
``<redacted>`` in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

__all__ = ["ANON_SID", "Args", "Doc", "Query", "Res", "Session", "redact"]

T = TypeVar("T")

ANON_SID = "f00000000000000000000012"
"""The id of everybody's anonymous session."""

Doc: TypeAlias = dict[str, Any]
"""A document: plain JSON."""

Query: TypeAlias = Sequence[Mapping[str, Any] | Sequence[Any]]
"""A LIMP query: a list whose items are ANDed; an item that is a list is an OR."""

REDACTED = "<redacted>"
_SECRET_KEYS = frozenset({"hash", "sid", "authorization"})
_SECRET_ENDS = ("password", "token", "secret", "_hash")


def redact(value: Any, levels: int = 50) -> Any:
    """A copy of a JSON value with tokens, hashes and passwords replaced by ``<redacted>``.

    What lies deeper than ``levels`` becomes ``…``: the server may nest so deeply that printing it would overflow.
    """
    if isinstance(value, (dict, list)) and not levels:
        return "…"
    if isinstance(value, dict):
        return {key: REDACTED if _is_secret(key) else redact(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item, levels - 1) for item in value]
    return value


def _is_secret(key: object) -> bool:
    if not isinstance(key, str):
        return False
    key = key.lower()
    return key in _SECRET_KEYS or key.endswith(_SECRET_ENDS) or key.startswith("password")


class Args(dict[str, Any]):
    """The ``args`` of a reply: everything the server sent, by key or by attribute.

    ``args.docs`` is ``args["docs"]``; a key that is also the name of a dict method is reached by ``[]``.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the server sent no {name!r}; it sent {', '.join(self) or 'nothing'}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({redact(dict(self))!r})"


class Session(Args):
    """The session in force: ``_id``, ``token``, ``user``, ``groups``, ``expiry`` and what else the server sent.

    By key or by attribute; the token is never printed.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Session(user={_user_id(self)!r}, expiry={self.get('expiry')!r})"


def _user_id(session: Mapping[str, Any]) -> Any:
    user = session.get("user")
    return user.get("_id") if isinstance(user, dict) else user


class Res(msgspec.Struct, Generic[T], frozen=True, weakref=True):
    """One message of the server.

    ``status`` 200 is success. ``args`` holds everything else; ``docs`` are its documents, typed when the call asked
    for a ``doc_type``. ``extra`` holds members beside ``status``, ``msg`` and ``args``, should a server send some.
    """

    status: int
    msg: str
    args: Args
    extra: dict[str, Any] = {}

    @property
    def code(self) -> str | None:
        """``args.code``, such as ``CORE_SESSION_FORBIDDEN``; None when there is none."""
        code = self.args.get("code")
        return code if isinstance(code, str) else None

    @property
    def docs(self) -> list[T]:
        """``args.docs``; an empty list when the reply has none."""
        docs = self.args.get("docs")
        return docs if isinstance(docs, list) else []

    def __repr__(self) -> str:
        return f"Res(status={self.status}, msg={self.msg!r}, args={redact(dict(self.args))!r})"
