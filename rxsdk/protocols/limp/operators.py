"""The document operators: what an update does to an attr, instead of replacing it.

Floor 0. Each is the wire's object (limp.md, "Query and document operators"), so it may stand anywhere in a ``doc``:
``api.call("album/update", query=Q._id == _id, doc={"rank": Add(1), "tags": Append("new")})``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rxsdk.errors import ConfigurationError

__all__ = ["Add", "Append", "AppendUnique", "DelIndex", "DelVal", "Multiply", "Operator", "Pull", "SetIndex"]


class Operator(dict[str, Any]):
    """What all operators are: the object that travels."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.values()))})"


class Add(Operator):
    """Add ``number`` to the attr (``$add``); a negative one takes away."""

    __slots__ = ()

    def __init__(self, number: float) -> None:
        super().__init__({"$add": _number("Add", number)})


class Multiply(Operator):
    """Multiply the attr by ``number`` (``$multiply``)."""

    __slots__ = ()

    def __init__(self, number: float) -> None:
        super().__init__({"$multiply": _number("Multiply", number)})


class Append(Operator):
    """Put ``item`` at the end of the list (``$append``, which the server also knows as ``$push``)."""

    __slots__ = ()

    def __init__(self, item: Any) -> None:
        super().__init__({"$append": item})


class AppendUnique(Operator):
    """Put ``item`` at the end of the list unless it is there (``$push_unique``)."""

    __slots__ = ()

    def __init__(self, item: Any) -> None:
        super().__init__({"$push_unique": item})


class Pull(Operator):
    """Take every one of ``items`` out of the list (``$pull``)."""

    __slots__ = ()

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__({"$pull": _list("Pull", items)})


class DelVal(Operator):
    """Take every one of ``items`` out of the list (``$del_val``, another name of ``$pull``)."""

    __slots__ = ()

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__({"$del_val": _list("DelVal", items)})


class SetIndex(Operator):
    """Replace the item at ``index`` of the list (``$set_index``)."""

    __slots__ = ()

    def __init__(self, index: int, item: Any) -> None:
        super().__init__({"$set_index": item, "$index": _index("SetIndex", index)})


class DelIndex(Operator):
    """Take the item at ``index`` out of the list (``$del_index``)."""

    __slots__ = ()

    def __init__(self, index: int) -> None:
        super().__init__({"$del_index": _index("DelIndex", index)})


def _number(who: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(who, f"wants a number, not {type(value).__name__}")
    return value


def _list(who: str, values: Any) -> list[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ConfigurationError(who, f"wants a list of items, not {type(values).__name__}")
    return list(values)


def _index(who: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(who, "wants an index, 0 or above")
    return value
