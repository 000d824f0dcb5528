"""Attr types of a module, and how the server checks a value against them.

Imports nothing of the emulator. The texts of the errors are the server's. Two habits of the server shape this
module: a value that does not fit an attr **with a default** is silently replaced by the default, and in an update
a value that does not fit is silently left out.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = [
    "LOCALES",
    "REQUIRED",
    "Attr",
    "AttrError",
    "ConvertAttr",
    "InvalidAttr",
    "MissingAttr",
    "as_id",
    "check_changes",
    "check_doc",
    "check_value",
    "fill_locales",
]

LOCALES: Final = ("ar_AE", "en_AE")
"""The app's locales; the first is required and stands in for the others."""


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

_PLAIN = {"ANY", "ID", "STR", "INT", "FLOAT", "BOOL", "EMAIL", "DATETIME", "LOCALES", "IP", "LITERAL"}
_KINDS = _PLAIN | {"LOCALE", "FILE", "LIST", "DICT", "KV_DICT"}
_FILE_KEYS = {"name", "lastModified", "type", "size", "content"}
_EMAIL = re.compile(r"[^@]+@[^@]+\.[^@]+")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{6})?)?")
_ID = re.compile(r"[0-9a-fA-F]{24}")
_OPERS = (
    "$add",
    "$multiply",
    "$append",
    "$push",
    "$push_unique",
    "$set_index",
    "$remove",
    "$pull",
    "$del_val",
    "$del_index",
)


@dataclass(frozen=True)
class Attr:
    """One attr of a module.

    Args:
        kind: ANY, ID, STR, INT, FLOAT, BOOL, EMAIL, DATETIME, LOCALE, FILE, LIST, DICT …
        default: what stands in when the value is missing or does not fit; required without one.
        types: media types a FILE may have, such as ``image/*``; any when empty.
        items: what an element of a LIST or a value of a KV_DICT may be; anything when empty.
        fields: the attrs of a DICT, which then must have just these; any dict when None.
        values: what a LITERAL may be.
    """

    kind: str
    default: Any = REQUIRED
    types: tuple[str, ...] = ()
    items: tuple[Attr, ...] = ()
    fields: Mapping[str, Attr] | None = None
    values: tuple[Any, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"no attr type {self.kind!r}")


class AttrError(Exception):
    """A doc does not fit its module; ``code`` ends the answer's code, ``str()`` begins its text."""

    code = ""


class MissingAttr(AttrError):
    """A required attr is not there."""

    code = "MISSING_ATTR"

    def __init__(self, name: str) -> None:
        super().__init__(f"Missing attr '{name}'")


class InvalidAttr(AttrError):
    """A value of the wrong type."""

    code = "INVALID_ATTR"

    def __init__(self, name: str, attr: Attr, value: object) -> None:
        super().__init__(f"Invalid attr '{name}' of type '{type(value)}' with required type '{attr.kind}'")


class ConvertAttr(AttrError):
    """A text that was to become an id and is none."""

    code = "CONVERT_INVALID_ATTR"

    def __init__(self, name: str, attr: Attr, value: object) -> None:
        super().__init__(f"Can't convert attr '{name}' of type '{type(value)}' to type '{attr.kind}'")


def as_id(value: object) -> str | None:
    """``value`` as the id it spells, None when it is none."""
    return value.lower() if isinstance(value, str) and _ID.fullmatch(value) else None


def check_doc(attrs: Mapping[str, Attr], doc: dict[str, Any]) -> None:
    """Check and complete a new ``doc`` in place: every attr, in the order of the module.

    Raises:
        AttrError: at the first attr that is missing or does not fit.
    """
    for name, attr in attrs.items():
        value = doc.get(name)
        if value is None and attr.default is REQUIRED:
            raise MissingAttr(name)
        doc[name] = check_value(name, attr, value)


def check_changes(attrs: Mapping[str, Attr], doc: Mapping[str, Any]) -> dict[str, Any]:
    """What of an update's ``doc`` can be written: known attrs whose values fit, the rest left out."""
    changes = {}
    for name, value in doc.items():
        attr = attrs.get(name)
        if attr is None:
            if name.split(".")[0] in attrs and value is not None:
                changes[name] = value
            continue
        try:
            checked = None if value is None else _checked_change(name, attr, value)
        except AttrError:
            continue
        if checked is not None:
            changes[name] = checked
    return changes


def _checked_change(name: str, attr: Attr, value: Any) -> Any:
    oper = next((oper for oper in _OPERS if isinstance(value, dict) and oper in value), None)
    bare = _lenient(attr, REQUIRED)
    if oper is None:
        return check_value(name, bare, value)
    if oper in ("$append", "$push", "$push_unique"):
        return {**value, oper: check_value(name, bare, [value[oper]])[0]}
    if oper in ("$add", "$multiply", "$remove"):
        return {oper: check_value(name, bare, value[oper])}
    return value


def _lenient(attr: Attr, default: Any) -> Attr:
    """``attr`` as an update checks it: its default is not used, and what does not fit inside it becomes null."""
    items = tuple(_lenient(item, None) for item in attr.items)
    fields = None if attr.fields is None else {key: _lenient(item, None) for key, item in attr.fields.items()}
    return replace(attr, default=default, items=items, fields=fields)


def check_value(name: str, attr: Attr, value: Any) -> Any:
    """``value`` as ``attr`` keeps it, or the attr's default; raises `AttrError` when there is none."""
    try:
        if value is None:
            raise InvalidAttr(name, attr, value)
        return _fit(name, attr, value)
    except AttrError:
        if attr.default is REQUIRED:
            raise
        return copy.deepcopy(attr.default)


def _fit(name: str, attr: Attr, value: Any) -> Any:
    if attr.kind in _CONTAINERS:
        return _CONTAINERS[attr.kind](name, attr, value)
    if attr.kind == "ID":
        if not isinstance(value, str):
            raise InvalidAttr(name, attr, value)
        found = as_id(value)
        if found is None:
            raise ConvertAttr(name, attr, value)
        return found
    if attr.kind == "INT" and isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if attr.kind == "FLOAT" and (type(value) is int or (isinstance(value, str) and _is_number(value))):
        return float(value)
    if not _fits(attr, value):
        raise InvalidAttr(name, attr, value)
    return value


def _fits(attr: Attr, value: Any) -> bool:
    match attr.kind:
        case "ANY":
            return True
        case "BOOL" | "INT" | "FLOAT" | "STR":
            return type(value) is {"BOOL": bool, "INT": int, "FLOAT": float, "STR": str}[attr.kind]
        case "EMAIL":
            return isinstance(value, str) and _EMAIL.fullmatch(value) is not None
        case "DATETIME":
            return isinstance(value, str) and _DATETIME.fullmatch(value) is not None
        case "LOCALES":
            return value in LOCALES
        case "IP":
            return isinstance(value, str)
    return value in attr.values


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) is not None


def _fit_locale(name: str, attr: Attr, value: Any) -> Any:
    fits = isinstance(value, dict) and LOCALES[0] in value and set(value) <= set(LOCALES)
    if not fits or not all(isinstance(text, str) for text in value.values()):
        raise InvalidAttr(name, attr, value)
    return fill_locales(value)


def fill_locales(value: Mapping[str, Any]) -> dict[str, Any]:
    """Every locale of the app, a missing one as the first."""
    return {locale: value.get(locale, value[LOCALES[0]]) for locale in LOCALES}


def _fit_file(name: str, attr: Attr, value: Any) -> Any:
    if isinstance(value, list) and value:
        try:
            # "a single-FILE attr takes the first only"
            return _fit_file(name, attr, value[0])
        except AttrError:
            raise InvalidAttr(name, attr, value) from None
    if not _is_file(value) or not _has_type(attr, value["type"]):
        raise InvalidAttr(name, attr, value)
    return value


def _is_file(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == _FILE_KEYS
        and type(value["name"]) is str
        and type(value["type"]) is str
        # "`lastModified` is an integer in milliseconds"
        and type(value["lastModified"]) is int
        and type(value["size"]) is int
        and isinstance(value["content"], bytes)
    )


def _has_type(attr: Attr, media_type: str) -> bool:
    if not attr.types:
        return True
    main, _, sub = media_type.partition("/")
    for allowed in attr.types:
        allowed_main, _, allowed_sub = allowed.partition("/")
        if main == allowed_main and allowed_sub in ("*", sub):
            return True
    return False


def _fit_list(name: str, attr: Attr, value: Any) -> Any:
    if not isinstance(value, list):
        raise InvalidAttr(name, attr, value)
    return [_fit_item(name, attr, value, item) for item in value] if attr.items else value


def _fit_item(name: str, attr: Attr, whole: Any, item: Any) -> Any:
    for kind in attr.items:
        try:
            return check_value(name, kind, item)
        except AttrError:
            continue
    raise InvalidAttr(name, attr, whole)


def _fit_dict(name: str, attr: Attr, value: Any) -> Any:
    if not isinstance(value, dict) or (attr.fields is not None and set(value) != set(attr.fields)):
        raise InvalidAttr(name, attr, value)
    if attr.fields is None:
        return {key: _fit_item(name, attr, value, item) for key, item in value.items()} if attr.items else value
    return {key: check_value(f"{name}.{key}", attr.fields[key], item) for key, item in value.items()}


_CONTAINERS = {
    "LOCALE": _fit_locale,
    "FILE": _fit_file,
    "LIST": _fit_list,
    "DICT": _fit_dict,
    "KV_DICT": _fit_dict,
}
