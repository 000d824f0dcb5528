"""`Q` makes the wire's lists, and means by them what a Python condition means."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxsdk import ConfigurationError, Q, Query
from rxsdk.emulator.query import Query as ServersQuery
from rxsdk.emulator.query import compile_query
from rxsdk.protocols.limp.query import Where
from rxsdk.protocols.limp.request import make_request
from tests.protocols.harness import steady


@pytest.mark.parametrize(
    ("query", "wire"),
    [
        (Q, []),
        (Q._id == "x", [{"_id": "x"}]),
        (Q.name == "x", [{"name": "x"}]),
        (Q.name == {"$in": ["x"]}, [{"name": {"$eq": {"$in": ["x"]}}}]),
        (Q.name == {"en_AE": "x"}, [{"name": {"en_AE": "x"}}]),
        (Q["name.en_AE"] != "x", [{"name.en_AE": {"$ne": "x"}}]),
        (Q["limit"] > 3, [{"limit": {"$gt": 3}}]),
        (Q.rank >= 3, [{"rank": {"$gte": 3}}]),
        (Q.rank < 3, [{"rank": {"$lt": 3}}]),
        (Q.rank <= 3.5, [{"rank": {"$lte": 3.5}}]),
        (Q.rank.between(1, 5), [{"rank": {"$bet": [1, 5]}}]),
        (Q.rank.is_in((1, 2)), [{"rank": {"$in": [1, 2]}}]),
        (Q.rank.not_in({1}), [{"rank": {"$nin": [1]}}]),
        (Q.tags.has_all(["a", "b"]), [{"tags": {"$all": ["a", "b"]}}]),
        (Q.name.matches("^a"), [{"name": {"$regex": "^a"}}]),
        ((Q.a == 1) & (Q.b == 2), [{"a": 1}, {"b": 2}]),
        ((Q.a == 1) & (Q.a != 2), [{"a": 1}, {"a": {"$ne": 2}}]),
        ((Q.a == 1) | (Q.b == 2), [[{"a": 1}, {"b": 2}]]),
        ((Q.a == 1) | (Q.b == 2) | (Q.c == 3), [[{"a": 1}, {"b": 2}, {"c": 3}]]),
        (((Q.a == 1) | (Q.b == 2)) & (Q.c == 3), [[{"a": 1}, {"b": 2}], {"c": 3}]),
        (((Q.a == 1) & (Q.b == 2)) | (Q.c == 3), [[{"a": 1, "b": 2}, {"c": 3}]]),
        (((Q.a > 1) & (Q.a < 5)) | (Q.c == 3), [[{"a": {"$gt": 1}, "__or_1": [{"a": {"$lt": 5}}]}, {"c": 3}]]),
        (
            ((Q.a == 1) & ((Q.b == 2) | (Q.c == 3))) | (Q.d == 4),
            [[{"a": 1, "__or_1": [{"b": 2}, {"c": 3}]}, {"d": 4}]],
        ),
        (Q.limit(5), [{"$limit": 5}]),
        (
            (Q.rank > 1).sort("-rank", "name").skip(10).limit(5),
            [{"rank": {"$gt": 1}}, {"$sort": {"rank": -1, "name": 1}}, {"$skip": 10}, {"$limit": 5}],
        ),
        (Q.attrs("name", "rank").search("ada"), [{"$attrs": ["name", "rank"]}, {"$search": "ada"}]),
        (
            Q.group("rank", 2).group("price", 3),
            [{"$group": [{"by": "rank", "count": 2}, {"by": "price", "count": 3}]}],
        ),
        (Q.special("$soft", True), [{"$soft": True}]),
    ],
)
def test_what_it_makes(query: Where, wire: Query) -> None:
    assert list(query) == wire
    assert query == wire
    sent = make_request(
        "staff/read", query, None, await_auth=False, sid=None, token=None, timeout_s=1, queue_timeout_s=1,
        idempotent=None,
    ).query  # fmt: skip
    raw = make_request(
        "staff/read", wire, None, await_auth=False, sid=None, token=None, timeout_s=1, queue_timeout_s=1,
        idempotent=None,
    ).query  # fmt: skip
    assert sent == raw


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")
}
NAMES = ("a", "b", "c")
Meant = tuple[Where, Callable[[dict[str, int]], bool]]


@st.composite
def compared(draw: st.DrawFn) -> Meant:
    name, oper, value = draw(st.sampled_from(NAMES)), draw(st.sampled_from(sorted(OPERATORS))), draw(st.integers(0, 3))
    return OPERATORS[oper](Q[name], value), lambda doc: OPERATORS[oper](doc[name], value)


def either(left: Meant, right: Meant) -> Meant:
    return left[0] | right[0], lambda doc: left[1](doc) or right[1](doc)


def both(left: Meant, right: Meant) -> Meant:
    return left[0] & right[0], lambda doc: left[1](doc) and right[1](doc)


conditions = st.recursive(
    compared(), lambda inner: st.builds(either, inner, inner) | st.builds(both, inner, inner), max_leaves=12
)


@steady
@given(conditions, st.lists(st.fixed_dictionaries({name: st.integers(0, 3) for name in NAMES}), max_size=8))
def test_the_server_takes_it_as_python_does(meant: Meant, docs: list[dict[str, int]]) -> None:
    query, holds = meant
    where = compile_query(ServersQuery(list(query)), {})
    assert [where.matches(doc) for doc in docs] == [holds(doc) for doc in docs]


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda: Q.rank.is_in([]), "never answers an empty list"),
        (lambda: Q.rank.is_in("abc"), "wants a list of values, not str"),
        (lambda: Q.rank > None, "compared with NoneType"),
        (lambda: Q.open.between(True, 2), "compared with bool"),
        (lambda: Q.name.matches(3), "must be text, not int"),
        (lambda: Q.limit(-1), "0 or above"),
        (lambda: Q.limit(True), "0 or above"),
        (Q.sort, "names of attrs"),
        (lambda: Q["$limit"], "special attrs have methods"),
        (lambda: Q.special("soft", True), r"begin with \$"),
        (lambda: Q.limit(1) | (Q.a == 1), "put .limit"),
        (lambda: Q | (Q.a == 1), "no condition"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_written(mistake: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        mistake()


def test_and_or_and_chains_are_refused() -> None:
    for mistake in (
        lambda: (Q.a == 1) and (Q.b == 2),
        lambda: (Q.a == 1) or (Q.b == 2),
        lambda: 1 < Q.a < 5,
        lambda: not (Q.a == 1),  # noqa: SIM201
    ):
        with pytest.raises(TypeError, match="join conditions with &"):
            mistake()
    with pytest.raises(TypeError, match="neither true nor false: compare it"):
        bool(Q.open)
    for other in (lambda: (Q.a == 1) & [{"b": 2}], lambda: (Q.a == 1) | [{"b": 2}]):
        with pytest.raises(TypeError, match="unsupported operand"):
            other()


def test_it_is_a_sequence_and_shows_itself() -> None:
    query = (Q.a == 1) & (Q.b == 2)
    assert (query[0], list(query[1:]), len(query)) == ({"a": 1}, [{"b": 2}], 2)
    assert repr(query) == "Where([{'a': 1}, {'b': 2}])"
    assert (repr(Q), repr(Q.a), Q[:]) == ("Q", "Q['a']", ())
    assert (query == 3) is False
    with pytest.raises(AttributeError, match="Q\\['__deleted'\\]"):
        Q.__deleted  # noqa: B018
    assert list(Q["__deleted"] == True) == [{"__deleted": True}]  # noqa: E712
