"""What can be sent goes out as it is; what cannot is refused with the path to it; nothing is changed."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import io
import json
import math
import pathlib
import types
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxsdk.errors import InvalidCall
from rxsdk.protocols.limp.codec import MAX_DEPTH, encode_part
from tests.protocols.harness import steady


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


class Staff(msgspec.Struct):
    name: Any


class Colour(enum.StrEnum):
    RED = "red"


class Rank(enum.IntEnum):
    FIRST = 1


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Scalar:
    """As numpy's."""

    def item(self) -> int:
        return 1


def nested(levels: int) -> dict[str, Any]:
    """A dict in a dict …: ``levels`` containers in all."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


CYCLE: dict[str, Any] = {}
CYCLE["list"] = [CYCLE]
CIRCLING = Point(0)
CIRCLING.x = CIRCLING

REFUSED: list[tuple[str, Any, str, str]] = [
    ("nan", {"a": math.nan}, "doc.a", "nan has no form in JSON"),
    ("inf", {"a": [0, {"b": math.inf}]}, "doc.a[1].b", "inf has no form in JSON"),
    ("minus inf", {"a": (0, -math.inf)}, "doc.a[1]", "-inf has no form in JSON"),
    ("nan in a set", {"a": {math.nan}}, "doc.a[0]", "nan has no form"),
    ("nan in a dataclass", {"a": Point(1, math.nan)}, "doc.a.y", "nan has no form"),
    ("nan in a struct", {"a": Staff([math.nan])}, "doc.a.name[0]", "nan has no form"),
    ("bytes", {"a": b"x"}, "doc.a", "bytes have no form in JSON; wrap a file in rxsdk.File"),
    ("bytearray", {"a": [bytearray(b"x")]}, "doc.a[0]", "bytes have no form"),
    ("memoryview", {"a": memoryview(b"x")}, "doc.a", "bytes have no form"),
    ("bytes in a dataclass", {"a": Point(b"x")}, "doc.a.x", "bytes have no form"),
    ("bytes in a set", {"a": frozenset({b"x"})}, "doc.a[0]", "bytes have no form"),
    ("array", {"a": array.array("b", [1])}, "doc.a", "array has no form"),
    ("int key", {"a": {1: 2}}, "doc.a", "has the key 1, which is no string"),
    ("None key", {"a": [{None: 2}]}, "doc.a[0]", "has the key None"),
    ("bytes key", {b"a": 2}, "doc", "has the key b'a'"),
    ("lone surrogate", {"a": ["ok", {"b": "x\ud800"}]}, "doc.a[1].b", "holds a lone surrogate"),
    ("lone surrogate as key", {"a": [{"\udc00": 1}]}, "doc.a[0]", "holds a lone surrogate"),
    ("lone surrogate in a tuple", {"a": ("\udfff",)}, "doc.a[0]", "holds a lone surrogate"),
    ("object", {"a": object()}, "doc.a", "object has no form"),
    ("class", {"a": [int]}, "doc.a[0]", "type has no form"),
    ("function", {"a": len}, "doc.a", "builtin_function_or_method has no form"),
    ("generator", {"a": (i for i in ())}, "doc.a", "generator has no form"),
    ("range", {"a": range(3)}, "doc.a", "range has no form"),
    ("complex", {"a": 1j}, "doc.a", "complex has no form"),
    ("path deeper", {"a": {"b": pathlib.Path("x")}}, "doc.a.b", "files go at the top level of doc"),
    ("file deeper", {"a": {"b": io.BytesIO(b"x")}}, "doc.a.b", "files go at the top level of doc"),
    ("decimal that is no number", {"a": decimal.Decimal("NaN")}, "doc.a", "has no form in JSON"),
    ("raw", {"a": msgspec.Raw(b"{broken")}, "doc.a", "Raw has no form"),
    ("mapping that is no dict", {"a": types.MappingProxyType({})}, "doc.a", "mappingproxy has no form"),
    ("str subclass", {"a": [Text("x")]}, "doc.a[0]", "Text has no form in JSON; str(…) makes it a plain value"),
    ("int subclass", {"a": {"b": Whole(1)}}, "doc.a.b", "Whole has no form in JSON; int(…) makes it a plain value"),
    ("float subclass", {"a": Real(1.5)}, "doc.a", "Real has no form in JSON; float(…) makes it a plain value"),
    ("scalar", {"a": Scalar()}, "doc.a", "Scalar has no form in JSON; .item() makes it a plain value"),
    ("endless number", {"a": [10**5000]}, "doc.a[0]", "cannot be sent as JSON"),
    ("cycle", CYCLE, "doc.list[0].list[0].list[0].list[0]", "is nested more than 200 levels deep, or holds itself"),
    ("cycle of objects", {"a": CIRCLING}, "doc.a", "Point has no form"),
    ("too deep", nested(MAX_DEPTH + 1), "doc.a.a.a.a.a.a.a.a", "is nested more than 200 levels deep"),
]


@pytest.mark.parametrize(("value", "path", "problem"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_the_path(value: Any, path: str, problem: str) -> None:
    with pytest.raises(InvalidCall) as caught:
        encode_part("staff/create", "doc", value)
    error = caught.value
    assert error.field == path
    assert problem in error.problem
    assert str(error) == f"staff/create: {path}: {error.problem}"
    assert error.__cause__ is None
    assert error.__suppress_context__


PASSED: list[tuple[str, Any, Any]] = [
    ("plain", {"a": [1, 1.5, True, None, "x", -(2**63), 2**64, 1e308]}, None),
    ("text", {"é": 'جمعة 😀 \u2028 \x00 " \\'}, None),
    ("empty", {"": [{}, [], ""]}, None),
    ("tuple", (1, (2,)), [1, [2]]),
    ("set", {"a": {7}}, {"a": [7]}),
    ("dataclass", {"a": Point(1, [2])}, {"a": {"x": 1, "y": [2]}}),
    ("struct", {"a": Staff("n")}, {"a": {"name": "n"}}),
    ("enums", {Colour.RED: [Colour.RED, Rank.FIRST]}, {"red": ["red", 1]}),
    ("ordered", collections.OrderedDict(a=1), {"a": 1}),
    ("defaultdict", {"a": collections.defaultdict(list, b=[1])}, {"a": {"b": [1]}}),
    ("named tuple", collections.namedtuple("Pair", "a b")(1, 2), [1, 2]),
    ("date", {"a": datetime.date(2026, 1, 2)}, {"a": "2026-01-02"}),
    ("uuid", {"a": uuid.UUID(int=1)}, {"a": "00000000-0000-0000-0000-000000000001"}),
    ("decimal", {"a": decimal.Decimal("1.10")}, {"a": 1.10}),
    ("text key of a subclass", {"a": {Text("k"): 1}}, {"a": {"k": 1}}),
    ("deep", nested(MAX_DEPTH), None),
]


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in PASSED], ids=[row[0] for row in PASSED])
def test_passed_as_it_is(value: Any, expected: Any) -> None:
    sent = encode_part("staff/create", "doc", value)
    assert json.loads(sent) == (value if expected is None else expected)


def test_is_compact_and_raw() -> None:
    assert encode_part("a/b", "doc", {"b": ["é", 1], "a": None}) == '{"b":["é",1],"a":null}'.encode()


def test_what_is_shared_is_no_cycle() -> None:
    part = {"x": 1}
    assert json.loads(encode_part("a/b", "query", [part, part, [part]])) == [part, part, [part]]


def test_the_path_begins_at_the_top_when_it_is_long() -> None:
    value: Any = math.nan
    for step in "zyxwvutsrq":
        value = {step: value}
    with pytest.raises(InvalidCall) as caught:
        encode_part("a/b", "query", [value])
    assert caught.value.field == "query[0].q.r.s.t.u.v.w"


JUNK = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.builds(Point, inner)
    ),
    max_leaves=10,
)


@steady
@given(JUNK)
def test_anything_is_sent_or_refused_and_never_changed(value: Any) -> None:
    before = repr(value)
    field = "doc"
    try:
        json.loads(encode_part("a/b", "doc", value).decode())
    except InvalidCall as error:
        field = error.field
    assert field.startswith("doc")
    assert repr(value) == before
