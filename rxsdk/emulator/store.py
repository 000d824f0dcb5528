"""The documents: collections in memory, changed by the server's operators, kept in a file when asked.

Knows no modules and no wire. Docs are plain dicts under string ids, in order of creation; whoever reads them must
not change them. `mongomock` decides what matches and how values sort.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mongomock.filtering import resolve_sort_key

from rxsdk.emulator.query import Where
from rxsdk.errors import ConfigurationError

__all__ = ["Collection", "Store", "StoreError"]

Doc = dict[str, Any]

_sort_key: Callable[[str, Doc], Any] = resolve_sort_key


class StoreError(Exception):
    """What MongoDB would refuse: adding to a text, sorting by nothing …"""


class Collection:
    """The docs of one module."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.docs: dict[str, Doc] = {}
        self._changed = changed

    def insert(self, doc: Doc) -> None:
        """Keep a new doc; it has its ``_id``, which no other has."""
        if isinstance(doc["_id"], (dict, list)) or doc["_id"] in self.docs:
            raise StoreError("_id")
        self.docs[doc["_id"]] = doc
        self._changed()

    def find(self, where: Where) -> Iterator[Doc]:
        """The docs not softly deleted that match, newest first."""
        only = where.only_id
        if only is not None:
            found = self.docs.get(only)
            candidates: Iterator[Doc] = iter(() if found is None else (found,))
        else:
            candidates = reversed(self.docs.values())
        for doc in candidates:
            if not doc.get("__deleted") and where.matches(doc):
                yield doc

    def living(self, doc_id: str) -> Doc:
        """The doc with this id; raises `StoreError` when it is gone, softly or really."""
        if not self.lives(doc_id):
            raise StoreError(f"no doc {doc_id}")
        return self.docs[doc_id]

    def lives(self, doc_id: str) -> bool:
        """True when the doc is there and not softly deleted."""
        return doc_id in self.docs and not self.docs[doc_id].get("__deleted")

    def update(self, doc_id: str, changes: Mapping[str, Any]) -> bool:
        """Apply ``changes`` (values or operators) to one doc; True when that made a difference."""
        old = self.docs[doc_id]
        new = dict(old)
        for name, change in changes.items():
            _write(new, name, change)
        if new == old:
            return False
        self.docs[doc_id] = new
        self._changed()
        return True

    def delete(self, doc_id: str) -> None:
        """Forget a doc."""
        del self.docs[doc_id]
        self._changed()


def sorted_docs(docs: list[Doc], order: Any) -> list[Doc]:
    """``docs`` by ``$sort``, such as ``{"rank": 1, "name": -1}``; raises `StoreError` when it is none."""
    if not isinstance(order, dict) or not order or any(way not in (1, -1) for way in order.values()):
        raise StoreError("$sort")
    for name, way in reversed(order.items()):
        docs = sorted(docs, key=partial(_sort_key, name), reverse=way == -1)
    return docs


def buckets(values: list[Any], count: int) -> list[dict[str, Any]]:
    """``values`` in ``count`` buckets of equal count, as ``$group`` gives them; equal values stay together."""
    if type(count) is not int or count < 1:
        raise StoreError("$group")
    values = [doc["v"] for doc in sorted_docs([{"v": value} for value in values], {"v": 1})]
    bounds = [index * len(values) // count for index in range(count)] + [len(values)]
    found: list[dict[str, Any]] = []
    start = 0
    for end in bounds[1:]:
        stop = max(start, end)
        while 0 < stop < len(values) and values[stop] == values[stop - 1] and stop > start:
            stop += 1
        if stop > start:
            upper = values[stop] if stop < len(values) else values[-1]
            found.append({"min": values[start], "max": upper, "count": stop - start})
        start = stop
    return found


def _write(doc: Doc, name: str, change: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        inner = doc.get(part)
        doc[part] = dict(inner) if isinstance(inner, dict) else {}
        doc = doc[part]
    doc[last] = _changed_value(doc.get(last), change)


def _changed_value(old: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    match change:
        case {"$add": number}:
            return _number(old, 0) + _number(number, 0)
        case {"$multiply": number}:
            return _number(old, 0) * _number(number, 0)
        case {"$push_unique": item}:
            return _appended(old, item, unique=True)
        case {"$append": item} | {"$push": item}:
            return _appended(old, item, unique=change.get("$unique") in (True,))
        case {"$remove": items} | {"$pull": items} | {"$del_val": items}:
            gone = items if isinstance(items, list) else [items]
            return [item for item in _list(old) if item not in gone]
        case {"$set_index": value}:
            return _with_index(_list(old), change, value)
        case {"$del_index": int(index)}:
            return [item for place, item in enumerate(_list(old)) if place != index]
    return change


def _number(value: Any, missing: int) -> Any:
    if value is None:
        return missing
    if type(value) not in (int, float):
        raise StoreError("no number")
    return value


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise StoreError("no list")
    return value


def _appended(old: Any, item: Any, *, unique: bool) -> list[Any]:
    items = _list(old)
    return items if unique and item in items else [*items, item]


def _with_index(items: list[Any], change: Doc, value: Any) -> list[Any]:
    """``{"$set_index": value, "$index": 2}`` or ``{"$set_index": {"2": value}}``; gaps are filled with null."""
    places = {change["$index"]: value} if "$index" in change else value
    if not isinstance(places, dict):
        raise StoreError("$set_index")
    items = list(items)
    for place, item in places.items():
        index = int(place)
        items.extend([None] * (index + 1 - len(items)))
        items[index] = item
    return items


class Store:
    """All collections, and the file they survive a restart in.

    Args:
        path: the file, or None to keep everything in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.made = 0
        """How many ids and tokens were made, so that a seeded emulator goes on where it stopped."""
        self.changed = False
        self.on_change: Callable[[], None] = lambda: None
        self._collections: dict[str, Collection] = {}
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        """Read the file, and see that it can be written when the time comes, not only then."""
        if not os.access(path.parent, os.W_OK):
            problem = "is not a folder that can be written to" if path.parent.exists() else "does not exist"
            raise ConfigurationError("data", f"{path.parent} {problem}")
        try:
            if path.exists():
                self._load(json.loads(path.read_text("utf-8")))
        except OSError as error:
            raise ConfigurationError("data", f"{path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError("data", f"{path} does not hold an emulator's documents") from error

    def collection(self, name: str) -> Collection:
        """The collection ``name``, made when it is not there."""
        if name not in self._collections:
            self._collections[name] = Collection(self._note_change)
        return self._collections[name]

    def save(self) -> None:
        """Write everything to the file, whole or not at all; nothing to do without one."""
        if self.path is None or not self.changed:
            return
        self.changed = False
        content = {
            "made": self.made,
            "collections": {name: list(kept.docs.values()) for name, kept in self._collections.items()},
        }
        scratch = self.path.with_name(self.path.name + ".new")
        scratch.write_text(json.dumps(content, default=_packed), "utf-8")
        os.replace(scratch, self.path)

    def _load(self, content: Doc) -> None:
        self.made = content["made"]
        for name, docs in content["collections"].items():
            self.collection(name).docs.update((doc["_id"], _unpacked(doc)) for doc in docs)

    def _note_change(self) -> None:
        self.changed = True
        self.on_change()


def _packed(value: object) -> object:
    if isinstance(value, bytes):
        return {"__bytes": base64.b64encode(value).decode()}
    raise TypeError(f"a {type(value).__name__} cannot be kept in a file")


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__bytes"}:
            return base64.b64decode(value["__bytes"])
        return {key: _unpacked(item) for key, item in value.items()}
    return [_unpacked(item) for item in value] if isinstance(value, list) else value
