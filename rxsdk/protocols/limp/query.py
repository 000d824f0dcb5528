"""`Q`: queries written as Python writes conditions, made into exactly the lists the wire wants.

Floor 0. ``Q.rank > 3`` is a `Where`, which *is* such a list (a read-only sequence), so it goes wherever a raw query
goes; the raw form stays as good as ever. What the server would never answer (``$in`` of nothing, an order between
things that have none) is refused here, where the mistake stands.

The form (limp.md, "Query and document operators"): "A query is a list (AND of its items); an item that is a list is an
OR; an object may hold `__or…` keys with lists". An object inside an OR is the AND of its keys, so what cannot be two
keys of one object (two conditions on one attr, an OR) becomes an ``__or…`` key there, whose list may well have one
choice only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, overload

from rxsdk.errors import ConfigurationError

__all__ = ["Attr", "Q", "QueryStart", "Where"]

Item = Mapping[str, Any] | Sequence[Any]


class Where(Sequence[Item]):
    """A query: conditions, and what is to be done with the documents that meet them. Made by `Q`; never changed.

    ``a & b`` is both, ``a | b`` either; put each side in parentheses, as Python binds ``&`` closer than ``==``. The
    methods return a new query with one more special attr. It is a sequence of the wire's items: ``list(where)``.
    """

    __slots__ = ("_items",)
    __hash__ = None  # type: ignore[assignment] # as a list

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = tuple(items)

    # -- a sequence

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (list, tuple, Where)) else NotImplemented

    def __repr__(self) -> str:
        return f"Where({list(self._items)!r})"

    def __bool__(self) -> NoReturn:
        raise TypeError("a query is neither true nor false: join conditions with & and |, not with and, or, a < b < c")

    # -- joining

    def __and__(self, other: Where) -> Where:
        if not isinstance(other, Where):
            return NotImplemented
        return Where((*self._items, *other._items))

    def __or__(self, other: Where) -> Where:
        if not isinstance(other, Where):
            return NotImplemented
        return Where([[*_choices(self), *_choices(other)]])

    # -- the special attrs

    def limit(self, count: int) -> Where:
        """At most ``count`` documents."""
        return self._with("$limit", _count("limit", count))

    def skip(self, count: int) -> Where:
        """Without the first ``count`` documents."""
        return self._with("$skip", _count("skip", count))

    def sort(self, *names: str) -> Where:
        """In the order of these attrs; one that begins with ``-`` descends."""
        order = {name.removeprefix("-"): -1 if name.startswith("-") else 1 for name in _names("sort", names)}
        return self._with("$sort", order)

    def attrs(self, *names: str) -> Where:
        """With these attrs only, and ``_id``."""
        return self._with("$attrs", _names("attrs", names))

    def search(self, text: str) -> Where:
        """Documents in which one of the words of ``text`` stands."""
        return self._with("$search", text)

    def group(self, by: str, count: int) -> Where:
        """Tell in ``args.groups`` how the documents fall into ``count`` parts by the attr ``by``; may be repeated."""
        groups = [group for item in self._items if isinstance(item, Mapping) for group in item.get("$group", ())]
        kept = Where(item for item in self._items if not (isinstance(item, Mapping) and "$group" in item))
        return kept._with("$group", [*groups, {"by": by, "count": _count("group", count)}])

    def special(self, name: str, value: Any) -> Where:
        """Any other special attr, as on the wire: ``.special("$soft", True)``, ``"$extn"``, ``"$geo_near"``."""
        if not name.startswith("$"):
            raise ConfigurationError("Q.special", f"special attrs begin with $, {name!r} does not")
        return self._with(name, value)

    def _with(self, name: str, value: Any) -> Where:
        return Where((*self._items, {name: value}))


class Attr:
    """An attr of the documents asked for, to be compared: ``Q.rank``, ``Q["name.en_AE"]``."""

    __slots__ = ("_name",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"Q[{self._name!r}]"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is an attr, neither true nor false: compare it, such as {self!r} == True")

    def __eq__(self, value: object) -> Where:  # type: ignore[override]
        looks_like_operator = isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith("$")
        return self._is("$eq", value) if looks_like_operator else Where([{self._name: value}])

    def __ne__(self, value: object) -> Where:  # type: ignore[override]
        return self._is("$ne", value)

    def __gt__(self, value: Any) -> Where:
        return self._is("$gt", self._ordered(value))

    def __ge__(self, value: Any) -> Where:
        return self._is("$gte", self._ordered(value))

    def __lt__(self, value: Any) -> Where:
        return self._is("$lt", self._ordered(value))

    def __le__(self, value: Any) -> Where:
        return self._is("$lte", self._ordered(value))

    def between(self, low: Any, high: Any) -> Where:
        """From ``low`` to ``high``, both included."""
        return self._is("$bet", [self._ordered(low), self._ordered(high)])

    def is_in(self, values: Iterable[Any]) -> Where:
        """One of ``values``; of an attr that is a list: has one of them."""
        return self._is("$in", self._some(values))

    def not_in(self, values: Iterable[Any]) -> Where:
        """None of ``values``."""
        return self._is("$nin", self._some(values))

    def has_all(self, values: Iterable[Any]) -> Where:
        """A list that has all of ``values``."""
        return self._is("$all", self._some(values))

    def matches(self, pattern: str) -> Where:
        """A text in which the regular expression ``pattern`` is found, whatever the case of its letters."""
        if not isinstance(pattern, str):
            raise ConfigurationError(repr(self), f"a pattern must be text, not {type(pattern).__name__}")
        return self._is("$regex", pattern)

    def _is(self, operator: str, value: Any) -> Where:
        return Where([{self._name: {operator: value}}])

    def _ordered(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            problem = f"is compared with {type(value).__name__}; the server orders text and numbers only"
            raise ConfigurationError(repr(self), problem)
        return value

    def _some(self, values: Iterable[Any]) -> list[Any]:
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise ConfigurationError(repr(self), f"wants a list of values, not {type(values).__name__}")
        found = list(values)
        if not found:
            raise ConfigurationError(repr(self), "wants at least one value: the server never answers an empty list")
        return found


class QueryStart(Where):
    """Where queries begin: `Q` alone asks for every document.

    ``Q.name`` is the attr ``name``; write ``Q["limit"]`` for one whose name is also a method's, begins with ``_``
    (``Q._id`` is fine) or has a dot (``Q["name.en_AE"]``).
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Attr:
        if name.startswith("_") and name != "_id":  # Python and its tools look for such names everywhere
            raise AttributeError(f"Q has no {name!r}; an attr of that name is Q[{name!r}]")
        return Attr(name)

    @overload
    def __getitem__(self, name: str) -> Attr: ...
    @overload
    def __getitem__(self, name: int) -> Item: ...
    @overload
    def __getitem__(self, name: slice) -> Sequence[Item]: ...
    def __getitem__(self, name: str | int | slice) -> Attr | Item | Sequence[Item]:
        if not isinstance(name, str):
            return super().__getitem__(name)
        if not name or name.startswith("$") or name.startswith("__or"):
            raise ConfigurationError("Q", f"{name!r} is no attr; special attrs have methods, such as .limit(5)")
        return Attr(name)

    def __repr__(self) -> str:
        return "Q"


Q: Final = QueryStart()
"""The start of every query: ``(Q.rank.between(1, 5) & (Q.name != "x")).sort("-rank").limit(5)``."""


def _choices(where: Where) -> list[Item]:
    """``where`` as choices of an OR: its own, when it is one, else the one that is the AND of its items."""
    items = list(where)
    if any(isinstance(item, Mapping) and any(name.startswith("$") for name in item) for item in items):
        raise ConfigurationError("Q", "special attrs are of the whole query: put .limit(…) and the like behind (a | b)")
    if not items:
        raise ConfigurationError("Q", "a side of | has no condition")
    if len(items) == 1:
        return list(items[0]) if isinstance(items[0], list) else [items[0]]
    return [_both(items)]


def _both(items: list[Item]) -> Item:
    """One object that is the AND of ``items``."""
    joined: dict[str, Any] = {}
    for item in items:
        for name, value in item.items() if isinstance(item, Mapping) else ():
            if name in joined or name.startswith("__or"):
                joined[f"__or_{len(joined)}"] = value if name.startswith("__or") else [{name: value}]
            else:
                joined[name] = value
        if not isinstance(item, Mapping):
            joined[f"__or_{len(joined)}"] = list(item)
    return joined


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"Q.{name}", "must be a whole number, 0 or above")
    return value


def _names(what: str, names: Sequence[str]) -> list[str]:
    if not names or not all(isinstance(name, str) and name.removeprefix("-") for name in names):
        raise ConfigurationError(f"Q.{what}", "wants the names of attrs")
    return list(names)
