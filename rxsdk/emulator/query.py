"""A call's query: what the server takes for one, and what it means to the query engine.

The query is "a list (AND of its items); an item that is a list is an OR; an object may hold `__or…` keys with
lists". Compiled to MongoDB filters, which `mongomock` applies. Invariant: a query this module refuses with
`QueryRefused` is one the server never answers (its check fails where nothing catches it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from mongomock.filtering import filter_applies

from rxsdk.emulator.schema import Attr, as_id

__all__ = ["NOTHING", "Query", "QueryRefused", "Where", "compile_query"]

NOTHING: Final[dict[str, Any]] = {"_id": {"$in": []}}
"""A filter that no doc matches."""

_applies: Callable[[dict[str, Any], Mapping[str, Any]], bool] = filter_applies


class QueryRefused(Exception):
    """A query the server chokes on: no answer ever."""


class Query:
    """A call's query: its steps, with the special attrs (``$limit`` …) taken out into ``special``.

    Raises:
        QueryRefused: an unknown operator, an operator's value of the wrong type, an object for a list.
    """

    def __init__(self, raw: Any) -> None:
        self.special: dict[str, Any] = {}
        self.steps: list[Any] = self._read(_steps_of(raw))

    def _read(self, raw: Any) -> list[Any]:
        steps: list[Any] = []
        for step in raw:
            if isinstance(step, dict):
                plain = self._read_object(step)
                if plain:
                    steps.append(plain)
            elif isinstance(step, list):
                choices = self._read(step)
                if choices:
                    steps.append(choices)
        return steps

    def _read_object(self, step: dict[str, Any]) -> dict[str, Any]:
        plain = {}
        for name, value in step.items():
            if not name:
                raise QueryRefused("an attr without a name")
            if name.startswith("$"):
                self.special[name] = value
            elif name.startswith("__or"):
                if value is None:
                    raise QueryRefused("null for a list of choices")
                choices = self._read(_steps_of(value))
                if choices:
                    plain[name] = choices
            else:
                _check_oper(name, value)
                plain[name] = value
        return plain

    def values(self, name: str) -> list[Any]:
        """Every value ``name`` is asked to equal, wherever it stands."""
        return [step[name] for step in _objects(self.steps) if name in step and _oper_of(step[name]) == "$eq"]

    def replace(self, name: str, values: list[Any]) -> None:
        """Put ``values`` where `values` found the old ones."""
        new = iter(values)
        for step in _objects(self.steps):
            if name in step and _oper_of(step[name]) == "$eq":
                step[name] = next(new)

    def first(self, name: str) -> Any:
        """The first value ``name`` is asked to equal; call it after the args were checked."""
        return self.values(name)[0]


def _steps_of(raw: Any) -> Any:
    if raw is None:
        return []
    if isinstance(raw, (list, str)):
        return raw  # a text is walked letter by letter, and letters are no steps
    if isinstance(raw, dict) and not raw:
        return []
    # "a `query` that is a non-empty object is never answered"
    raise QueryRefused(f"a {type(raw).__name__} for a query")


def _objects(steps: list[Any]) -> Iterator[dict[str, Any]]:
    for step in steps:
        if isinstance(step, list):
            yield from _objects(step)
        else:
            yield step
            for name, value in step.items():
                if name.startswith("__or"):
                    yield from _objects(value)


def _oper_of(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        name: str = next(iter(value))
        if not name:
            raise QueryRefused("an operator without a name")
        if name.startswith("$"):
            return name
    return "$eq"


def _check_oper(name: str, value: Any) -> None:
    oper = _oper_of(value)
    if oper in ("$eq", "$ne"):
        return
    arg = value[oper]
    match oper:
        case "$gt" | "$gte" | "$lt" | "$lte":
            fits = _is_scalar(arg)
        case "$bet":
            fits = isinstance(arg, list) and len(arg) == 2 and all(map(_is_scalar, arg))
        case "$all" | "$in" | "$nin":
            fits = isinstance(arg, list) and bool(arg)
        case "$regex":
            fits = isinstance(arg, str)
        case _:
            fits = False
    if not fits:
        # "Some mistakes are never answered at all (an unknown operator, `$in: []`)."
        raise QueryRefused(f"{oper} of {name}")


def _is_scalar(value: Any) -> bool:
    return type(value) in (str, int, float)


class Where:
    """A compiled query: which docs it is about.

    ``conditions`` are MongoDB filters that must all apply.
    """

    def __init__(self, conditions: list[dict[str, Any]]) -> None:
        self.conditions = conditions

    def matches(self, doc: Mapping[str, Any]) -> bool:
        """True when every condition applies to ``doc``."""
        return all(_applies(condition, doc) for condition in self.conditions)

    @property
    def only_id(self) -> str | None:
        """The one id asked for, when the query names one: then no other doc need be looked at."""
        for condition in self.conditions:
            wanted = condition.get("_id")
            if isinstance(wanted, str):
                return wanted
        return None

    def without(self, name: str) -> Where:
        """Without the condition on ``name``, when that is the only condition there is (see ``$group``)."""
        if len(self.conditions) == 1 and next(iter(self.conditions[0])) == name:
            return Where([])
        return self


def compile_query(query: Query, attrs: Mapping[str, Attr]) -> Where:
    """The conditions of ``query`` on docs with ``attrs``."""
    conditions: list[dict[str, Any]] = []
    for step in query.steps:
        conditions.extend(_compile_step(step, attrs))
    return Where(conditions)


def _compile_step(step: Any, attrs: Mapping[str, Attr]) -> list[dict[str, Any]]:
    if isinstance(step, list):
        choices = [_joined("$and", _compile_step(choice, attrs)) for choice in step]
        return [_joined("$or", choices)]
    conditions = []
    for name, value in step.items():
        if name.startswith("__or"):
            conditions.extend(_compile_step(value, attrs))
        else:
            conditions.append(_condition(name, value, attrs.get(name)))
    return conditions


def _joined(how: str, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return conditions[0] if len(conditions) == 1 else {how: conditions}


def _condition(name: str, value: Any, attr: Attr | None) -> dict[str, Any]:
    if name == "_id" or (attr is not None and _holds_ids(attr)):
        return _id_condition(name, value)
    if isinstance(value, dict) and "$bet" in value:
        return {name: {"$gte": value["$bet"][0], "$lte": value["$bet"][1]}}
    if isinstance(value, dict) and isinstance(value.get("$regex"), str):
        try:
            return {name: {"$regex": re.compile(value["$regex"], re.IGNORECASE)}}
        except re.error:
            return NOTHING
    return {name: value}


def _holds_ids(attr: Attr) -> bool:
    return attr.kind == "ID" or (attr.kind == "LIST" and any(item.kind == "ID" for item in attr.items))


def _id_condition(name: str, value: Any) -> dict[str, Any]:
    """Ids are no texts to MongoDB; the server turns texts into ids for equality and ``$in`` only."""
    if isinstance(value, list):
        return {name: [as_id(item) or item for item in value]}
    if not isinstance(value, dict):
        return {name: as_id(value) or value}
    if isinstance(value.get("$in"), list):
        return {name: {"$in": [as_id(item) or item for item in value["$in"]]}}
    if "$ne" in value or "$nin" in value:
        return {}
    return NOTHING
