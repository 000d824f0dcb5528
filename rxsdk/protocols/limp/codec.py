"""JSON both ways: strict about what we send, patient about what we get.

Floor 0. `encode_part` turns a query or doc into bytes or says where it cannot be sent faithfully; `decode_frame`
reads a frame of the server, with a second, tolerant reader for what Python servers emit and msgspec refuses
(``NaN``, lone surrogates), and raises `RemoteProtocolError` for what is no message at all.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import msgspec

from rxsdk.errors import InvalidCall, RemoteProtocolError
from rxsdk.protocols.limp.res import Args, Res, Session

__all__ = ["decode_frame", "encode_part"]

MAX_DEPTH = 200
"""Levels of nesting we send; the server's own JSON reader gives up at about a thousand."""

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What all but the oldest servers' messages are, and nothing beside."""

    status: int
    msg: str
    args: dict[str, Any]


_decode_message = msgspec.json.Decoder(_Message).decode
_PLAIN = frozenset({str, int, bool, type(None)})


class _Unfaithful(Exception):
    """Found while walking a value; ``path`` is gathered on the way out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def under(self, step: str) -> _Unfaithful:
        self.path.append(step)
        return self


def encode_part(endpoint: str, field: str, value: Any) -> bytes:
    """``value`` (the call's ``query`` or ``doc``) as compact JSON; the value is not changed.

    Raises:
        InvalidCall: it holds NaN or an infinity, bytes, a cycle, more than 200 levels, a key that is no string,
            a lone surrogate or an object JSON has no form for; the error names the path.
    """
    try:
        if not _is_plain(value, MAX_DEPTH):
            _check(value, 0)
        return _encode(value)
    except _Unfaithful as found:
        raise InvalidCall(endpoint, field + "".join(reversed(found.path[-8:])), found.problem) from None
    except UnicodeEncodeError:
        raise InvalidCall(endpoint, field + _blamed(value), "holds a lone surrogate, which is no text") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidCall(endpoint, field + _blamed(value), f"cannot be sent as JSON: {error}") from None


def _is_plain(value: Any, levels: int) -> bool:
    """Whether it is made of what JSON knows and nothing else, as nearly every one is: then `_check` finds nothing."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return False
            if type(item) not in _PLAIN and (levels == 1 or not _is_plain(item, levels - 1)):
                return False
    elif kind is list:
        for item in value:
            if type(item) not in _PLAIN and (levels == 1 or not _is_plain(item, levels - 1)):
                return False
    else:
        return kind is float and math.isfinite(value)
    return True


def _check(value: Any, depth: int) -> None:
    """Raise `_Unfaithful` for what msgspec would send as something else, or not at all."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is float:
        if not math.isfinite(value):
            raise _Unfaithful(f"{value!r} has no form in JSON")
        return
    if depth >= MAX_DEPTH:
        raise _Unfaithful(f"is nested more than {MAX_DEPTH} levels deep, or holds itself")
    if kind is dict:
        _check_dict(value, depth)
    elif kind is list or kind is tuple:
        for index, item in enumerate(value):
            if type(item) in _PLAIN:
                continue
            try:
                _check(item, depth + 1)
            except _Unfaithful as found:
                raise found.under(f"[{index}]") from None
    elif isinstance(value, (bytes, bytearray, memoryview)):
        raise _Unfaithful("bytes have no form in JSON; wrap a file in rxsdk.File(...) at the top level of doc")
    else:
        _check_object(value, depth)


def _check_dict(value: dict[Any, Any], depth: int) -> None:
    for key, item in value.items():
        if type(key) is not str and not isinstance(key, str):
            raise _Unfaithful(f"has the key {key!r}, which is no string")
        if type(item) in _PLAIN:
            continue
        try:
            _check(item, depth + 1)
        except _Unfaithful as found:
            raise found.under(f".{key}") from None


def _check_object(value: Any, depth: int) -> None:
    """Dataclasses, structs, dates, UUIDs …: as msgspec takes them apart, bytes left as they are."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _Unfaithful(f"{value!r} has no form in JSON")
        return
    if hasattr(value, "__fspath__") or hasattr(value, "read") or hasattr(value, "goes_first"):
        raise _Unfaithful("files go at the top level of doc, by themselves or in a list")
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview))
    except (TypeError, ValueError, RecursionError):
        raise _Unfaithful(f"{type(value).__name__} has no form in JSON{_plainer(value)}") from None
    _check(plain, depth + 1)


def _plainer(value: Any) -> str:
    """What to write instead, for what is nearly plain: numpy's scalars, subclasses of text and numbers."""
    if callable(getattr(value, "item", None)):
        return "; .item() makes it a plain value"
    kind = next((kind.__name__ for kind in (str, int, float) if isinstance(value, kind)), None)
    return f"; {kind}(…) makes it a plain value" if kind else ""


def _blamed(value: Any) -> str:
    """The path to the smallest part that msgspec will not encode by itself."""
    steps: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        steps = [(f".{key}", item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        steps = [(f"[{index}]", item) for index, item in enumerate(value)]
    for step, part in steps:
        try:
            _encode(part)
        except (TypeError, ValueError, OverflowError, RecursionError):  # UnicodeEncodeError is a ValueError
            return step + _blamed(part)
    return ""


def decode_frame(frame: bytes) -> Res[Any]:
    """One frame of the server as a `Res`.

    Raises:
        RemoteProtocolError: it is not JSON, or not ``{"status": int, "msg": str, "args": {…}}``.
    """
    try:
        message = _decode_message(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_unusual(frame)
    args = Args(message.args)
    if "session" in args:
        _take_session_in(args)
    return Res(message.status, message.msg, args)


def _take_session_in(args: Args) -> None:
    if type(args["session"]) is dict:
        args["session"] = Session(args["session"])


def _decode_unusual(frame: bytes) -> Res[Any]:
    try:
        value = _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _decode_tolerantly(frame)
    if type(value) is not dict:
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes is not a JSON object")
    status = value.pop("status", None)
    msg = value.pop("msg", "")
    args = value.pop("args", None)
    if type(status) is not int or type(msg) is not str or (args is not None and type(args) is not dict):
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes has no valid status, msg and args")
    args = Args(args) if args else Args()
    if "session" in args:
        _take_session_in(args)
    return Res(status, msg, args, value) if value else Res(status, msg, args)


def _decode_tolerantly(frame: bytes) -> Any:
    try:
        return json.loads(frame.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes is not JSON") from None
