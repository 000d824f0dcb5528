"""Arguments of a call: mistakes are named where they are made; deadlines are kept without leaving anything behind."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxsdk.errors import InvalidCall
from rxsdk.protocols.deadlines import Deadlines
from rxsdk.protocols.limp.request import Progress, Request, check_seconds, make_request
from tests.protocols.harness import ready, steady


def made(endpoint: Any = "staff/read", query: Any = None, doc: Any = None, **settings: Any) -> Request:
    arguments: dict[str, Any] = {"await_auth": False, "sid": None, "token": None, "timeout_s": 30.0}
    return make_request(endpoint, query, doc, **{**arguments, "queue_timeout_s": 120.0, "idempotent": None, **settings})


@pytest.mark.parametrize(
    "endpoint",
    ["", "staff", "staff/", "/read", "a/b/c", "/staff/read", "a b/c", "a/b\n", "a/\tb", None, 5, b"a/b", "a/\ud800"],
)
def test_bad_endpoints(endpoint: Any) -> None:
    with pytest.raises(InvalidCall) as caught:
        made(endpoint)
    assert caught.value.field == "endpoint"
    assert caught.value.problem == 'must be "module/method"'


@pytest.mark.parametrize(
    "query",
    ["[]", b"[]", bytearray(b"x"), memoryview(b"x"), {"_id": "x"}, {1}, 5, (i for i in ())],
    ids=lambda query: type(query).__name__,
)
def test_a_query_that_is_no_list(query: Any) -> None:
    with pytest.raises(InvalidCall, match=r'query: must be a list, such as \[\{"_id": …\}\], not ') as caught:
        made(query=query)
    assert caught.value.field == "query"


@pytest.mark.parametrize("doc", [[], "x", b"x", 5, [("a", 1)]], ids=repr)
def test_a_doc_that_is_no_dict(doc: Any) -> None:
    with pytest.raises(InvalidCall, match="doc: must be a dict, not "):
        made(doc=doc)


@pytest.mark.parametrize("field", ["sid", "token"])
@pytest.mark.parametrize("value", ["", 5, b"x", "\ud800"])
def test_bad_sids_and_tokens(field: str, value: Any) -> None:
    with pytest.raises(InvalidCall) as caught:
        made(**{field: value})
    assert (caught.value.field, caught.value.problem) == (field, "must be a non-empty string")


@pytest.mark.parametrize("field", ["timeout_s", "queue_timeout_s"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, True, "5", 10**400, [1]], ids=str)
def test_bad_times(field: str, value: Any) -> None:
    with pytest.raises(InvalidCall) as caught:
        check_seconds("staff/read", field, value)
    assert caught.value.field == field
    assert "seconds above 0, or None for no limit" in caught.value.problem


@pytest.mark.parametrize("value", [1, 0.001, 1e308])
def test_good_times(value: Any) -> None:
    check_seconds("staff/read", "timeout_s", value)
    assert made(timeout_s=value, queue_timeout_s=value).timeout_s == value


@pytest.mark.parametrize(
    ("endpoint", "given_value", "expected"),
    [
        *[("staff/read", None, True), ("STAFF/Read", None, True), ("heart/beat", None, True)],
        *[("staff/create", None, False), ("read/staff", None, False), ("staff/reads", None, False)],
        *[("staff/read", False, False), ("staff/create", True, True)],
    ],
)
def test_what_may_be_repeated(endpoint: str, given_value: bool | None, expected: bool) -> None:
    assert made(endpoint, idempotent=given_value).idempotent is expected


def test_a_doc_may_be_any_mapping() -> None:
    assert made(doc=MappingProxyType({"name": "Ada"})).doc == b'{"name":"Ada"}'


def test_what_is_left_out() -> None:
    for nothing in (None, (), []):
        assert made(query=nothing).query == b"[]"
    for empty in (None, {}):
        assert made(doc=empty).doc == b"{}"
    assert made(query=({"a": 1},)).query == b'[{"a":1}]'


def test_the_repr_shows_no_argument() -> None:
    assert repr(made(doc={"hash": "S3CRET"}, token="S3CRET")) == "Request('staff/read', WAITING)"


# -- deadlines


def test_the_next_deadline_is_at_hand() -> None:
    deadlines, first, second = Deadlines(), Request("a/b"), Request("a/b")
    assert deadlines.first() is None
    deadlines.set(first, 5.0)
    deadlines.set(second, 3.0)
    assert deadlines.first() == 3.0
    deadlines.set(second, 9.0)
    assert deadlines.first() == 5.0
    assert list(deadlines.passed(4.9)) == []
    assert list(deadlines.passed(5.0)) == [first]
    assert first.deadline is None
    deadlines.clear(second)
    deadlines.clear(second)
    assert deadlines.first() is None
    assert list(deadlines.passed(100.0)) == []


def test_one_that_is_cleared_because_of_another_does_not_pass() -> None:
    deadlines, first, second = Deadlines(), Request("a/b"), Request("a/b")
    for request in (first, second):
        deadlines.set(request, 5.0)
    passed = deadlines.passed(5.0)
    assert next(passed) is first
    deadlines.clear(second)
    assert list(passed) == []


@steady
@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 20)), max_size=40))
def test_deadlines_against_a_model(steps: list[tuple[int, int | None]]) -> None:
    deadlines, requests, model = Deadlines(), [Request("a/b") for _ in range(6)], dict[int, int]()
    for index, deadline in steps:
        if deadline is None:
            deadlines.clear(requests[index])
            model.pop(index, None)
        else:
            deadlines.set(requests[index], deadline)
            model[index] = deadline
        assert deadlines.first() == min(model.values(), default=None)
    passed = [requests.index(request) for request in deadlines.passed(10)]
    assert sorted(passed) == sorted(index for index, deadline in model.items() if deadline <= 10)
    assert [model[index] for index in passed] == sorted(model[index] for index in passed)


def test_sweeping_keeps_the_live_ones() -> None:
    deadlines, requests = Deadlines(), [Request("a/b") for _ in range(2_000)]
    for number, request in enumerate(requests):
        deadlines.set(request, number)
    for request in requests[:1_500]:
        deadlines.clear(request)
    assert len(deadlines) < 1_600
    assert list(deadlines.passed(5_000)) == requests[1_500:]
    assert len(deadlines) == 0


def test_a_hundred_thousand_answered_calls_leave_nothing_behind() -> None:
    bench = ready()
    machine = bench.machine
    keep = bench.call("staff/read", timeout_s=1e6)
    bench.one()
    longest = 0
    for _ in range(100_000 // 50):
        requests = [Request("a/b", timeout_s=30.0, queue_timeout_s=120.0) for _ in range(50)]
        for request in requests:
            request.listener = bench
            machine.submit(request, bench.now)
        machine.frames_to_send(bench.now, 0.0)
        for request in requests:
            machine.receive(b'{"status":200,"args":{"call_id":"%b"}}' % request.call_id.encode(), bench.now)
        assert all(request.progress is Progress.ENDED for request in requests)
        machine.events()
        machine.next_deadline()
        longest = max(longest, len(machine._deadlines), len(machine._deadlines._moments))
    assert longest < 1_500
    assert machine._in_flight == {keep.call_id: keep}
    assert not machine._urgent
    assert not machine._queue
