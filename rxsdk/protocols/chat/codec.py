"""Between the chat's JSON and `types`: what is known becomes fields, what is not is kept, and goes back as it came.

Floor 0, used by the machine and the service. `load` and `dump` are each other's inverse for whatever fits a type.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, get_args

import msgspec

from rxsdk.errors import RemoteProtocolError
from rxsdk.protocols.chat.types import (
    EVENT_PAYLOADS,
    Attachment,
    CallPayload,
    CallStoredPayload,
    ChatList,
    ChatListItem,
    DeletionPayload,
    EditPayload,
    Event,
    FileMeta,
    ImageMeta,
    Message,
    VideoMeta,
    Wired,
)

__all__ = ["decode_frame", "dump", "encode", "load", "load_event"]

Loader = Callable[[Any], Any]

_EXTRA = "*"  # the wire name of `Wired.extra`, which no frame has a say in
_META: dict[str, type[Wired]] = {"file": FileMeta, "image": ImageMeta, "video": VideoMeta}
_PAYLOAD: dict[str, type[Wired]] = {"edit": EditPayload, "delete": DeletionPayload}

encode = msgspec.json.encode


def decode_frame(frame: bytes) -> dict[str, Any]:
    """A frame as an object of JSON.

    Raises:
        RemoteProtocolError: it is none.
    """
    try:
        value = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if type(value) is not dict:
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes is not a JSON object")
    return value


def load_event(frame: dict[str, Any]) -> Event[Any]:
    """A frame of the type ``event``; a payload that does not fit its type stays as it came.

    Raises:
        RemoteProtocolError: the frame itself does not fit.
    """
    event_type = frame.get("eventType")
    kind = EVENT_PAYLOADS.get(event_type) if type(event_type) is str else None
    payload = frame.get("payload")
    if kind is not None:
        with suppress(RemoteProtocolError):
            payload = load(kind, payload)
    rest = {name: value for name, value in frame.items() if name not in ("type", "payload")}
    event: Event[Any] = load(Event, {**rest, "payload": payload})
    return event


def load(kind: Any, value: Any) -> Any:
    """``value``, as JSON was decoded, made into ``kind``: a `Wired` type, or ``list`` of one.

    Raises:
        RemoteProtocolError: it does not fit; says where.
    """
    try:
        return _loader(kind)(value)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"no {getattr(kind, '__name__', kind)}: {error}") from None


@cache
def _loader(kind: Any) -> Loader:
    if kind is ChatList:
        return lambda value: ChatList(_load_list(ChatListItem, value))
    args = get_args(kind)
    if len(args) == 1:
        return lambda value: _load_list(args[0], value)
    return lambda value: _load_struct(kind, value)


def _load_list(kind: type[Wired], value: Any) -> list[Any]:
    if type(value) is not list:
        raise msgspec.ValidationError(f"expected a list, got {type(value).__name__}")
    return [_load_struct(kind, item) for item in value]


def _load_struct(kind: type[Wired], value: Any) -> Any:
    if type(value) is not dict:
        raise msgspec.ValidationError(f"expected an object, got {type(value).__name__}")
    fields = _fields(kind)
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, item in value.items():
        field = fields.get(name)
        if field is None or (item is None and field[1]):
            extra[name] = item
        else:
            known[name] = item if field[0] is None else field[0](item)
    for name, which in _BY_TYPE.get(kind, {}).items():
        if name in known and type(known[name]) is dict and (inner := which(known)) is not None:
            with suppress(msgspec.ValidationError):  # one odd payload is no reason to refuse a page of messages
                known[name] = _load_struct(inner, known[name])
    if extra:
        known[_EXTRA] = extra
    return msgspec.convert(known, kind)


def _meta_of(attachment: dict[str, Any]) -> type[Wired] | None:
    return _META.get(str(attachment.get("type")))


def _payload_of(message: dict[str, Any]) -> type[Wired] | None:
    if message.get("type") == "call":
        return CallStoredPayload if "callId" in message["payload"] else CallPayload
    return _PAYLOAD.get(str(message.get("type")))


# Fields whose type depends on the struct's own ``type``.
_BY_TYPE: dict[type[Wired], dict[str, Callable[[dict[str, Any]], type[Wired] | None]]] = {
    Attachment: {"meta": _meta_of},
    Message: {"payload": _payload_of},
}


@cache
def _fields(kind: type[Wired]) -> dict[str, tuple[Loader | None, bool]]:
    """By wire name: what loads a field (None: as it is), and whether it may be left out."""
    return {
        field.encode_name: (_nested(field.type), not field.required)
        for field in msgspec.structs.fields(kind)
        if field.encode_name != _EXTRA
    }


def _nested(declared: Any) -> Loader | None:
    """What loads a field declared as a `Wired` type, a list of one, or either or None."""
    for kind in get_args(declared) or (declared,):
        inner = get_args(kind)
        if inner and isinstance(inner[0], type) and issubclass(inner[0], Wired):
            return _loader(kind)
        if isinstance(kind, type) and issubclass(kind, Wired):
            return _loader(kind)
    return None


def dump(value: Any) -> Any:
    """``value`` as plain JSON: what is None and may be left out is, what was kept comes back."""
    if isinstance(value, Wired):
        plain = {
            field.encode_name: dump(item)
            for field in msgspec.structs.fields(value)
            if (item := getattr(value, field.name)) is not None or field.required
        }
        del plain[_EXTRA]
        return plain | value.extra
    if isinstance(value, list):
        return [dump(item) for item in value]
    return value
