"""The document operators are the wire's objects, and the server does by them what their names say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rxsdk import (
    Add,
    ApiService,
    Append,
    AppendUnique,
    ConfigurationError,
    DelIndex,
    DelVal,
    Multiply,
    Pull,
    Q,
    SetIndex,
)

ALBUM = {"name": {"ar_AE": "n", "en_AE": "n"}, "rank": 3, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("attr", "change", "wire", "result"),
    [
        ("rank", Add(2), {"$add": 2}, 5),
        ("rank", Multiply(-2), {"$multiply": -2}, -6),
        ("tags", Append("a"), {"$append": "a"}, ["a", "b", "a"]),
        ("tags", AppendUnique("a"), {"$push_unique": "a"}, ["a", "b"]),
        ("tags", Pull(["a"]), {"$pull": ["a"]}, ["b"]),
        ("tags", DelVal(("a", "b")), {"$del_val": ["a", "b"]}, []),
        ("tags", SetIndex(1, "z"), {"$set_index": "z", "$index": 1}, ["a", "z"]),
        ("tags", DelIndex(0), {"$del_index": 0}, ["b"]),
    ],
)
def test_what_it_is_and_does(
    signed_in: ApiService, attr: str, change: dict[str, Any], wire: dict[str, Any], result: Any
) -> None:
    assert change == wire
    _id = signed_in.call("album/create", doc=ALBUM).result().docs[0]["_id"]
    signed_in.call("album/update", query=Q._id == _id, doc={attr: change}).result()
    (doc,) = signed_in.call("album/read", query=(Q._id == _id) & (Q.rank > -10)).result().docs
    assert doc[attr] == result


def test_it_shows_itself() -> None:
    assert (repr(Add(1)), repr(SetIndex(2, "x"))) == ("Add(1)", "SetIndex('x', 2)")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Add("1"),  # type: ignore[arg-type]
        lambda: Multiply(True),
        lambda: Pull("abc"),
        lambda: DelIndex(-1),
        lambda: SetIndex(True, "x"),
    ],
)
def test_what_cannot_work_is_refused(mistake: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match="wants a"):
        mistake()
