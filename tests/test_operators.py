"""The operators of our own: bounded, in order or not, and what ends them."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from rxsdk import (
    ApiService,
    Args,
    Call,
    CallNotSent,
    CallOutcomeUnknown,
    ConfigurationError,
    DeliveryOverflow,
    Gap,
    Res,
    Stream,
)
from rxsdk.operators import call_each, docs, retry_not_sent
from rxsdk.reactive.delivery import Dispatcher
from tests.staff import album_doc


class Api:
    """Calls that the test answers, and when."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[Call[Any]] = []
        self.left: list[Call[Any]] = []

    def call(self, endpoint: str, **arguments: Any) -> Call[Any]:
        call: Call[Any] = Call(endpoint, self.dispatcher, lambda call, _asked: self.left.append(call))
        self.made.append((endpoint, arguments))
        self.calls.append(call)
        return call

    def answer(self, number: int, reply: Any = None) -> None:
        self.calls[number].reply(f"reply {number}" if reply is None else reply, final=True)
        self.dispatcher.run_now()

    def fail(self, number: int, error: Exception) -> None:
        self.calls[number].fail(error)
        self.dispatcher.run_now()


class Seen:
    """What an observer was told."""

    def __init__(self, source: reactivex.Observable[Any]) -> None:
        self.values: list[Any] = []
        self.end: list[Any] = []
        self.subscription = source.subscribe(self.values.append, self.end.append, lambda: self.end.append("completed"))


def asked(value: Any) -> dict[str, Any]:
    return {"query": [{"n": value}]}


# -- call_each


def test_only_so_many_are_on_their_way_and_replies_come_in_the_order_of_the_values() -> None:
    api = Api()
    seen = Seen(reactivex.from_iterable(range(4)).pipe(call_each(api, "a/read", asked, max_in_flight=2)))
    assert api.made == [("a/read", {"query": [{"n": 0}]}), ("a/read", {"query": [{"n": 1}]})]
    api.answer(1)
    assert (seen.values, len(api.made)) == ([], 2), "what waits for its turn counts"
    api.answer(0)
    assert (seen.values, len(api.made)) == (["reply 0", "reply 1"], 4)
    api.answer(2)
    assert seen.end == []
    api.answer(3)
    assert seen.values == [f"reply {number}" for number in range(4)]
    assert seen.end == ["completed"]


def test_without_order_replies_come_as_they_come() -> None:
    api = Api()
    source: Subject[int] = Subject()
    seen = Seen(source.pipe(call_each(api, "a/read", asked, max_in_flight=2, ordered=False)))
    for value in range(3):
        source.on_next(value)
    api.answer(1)
    assert (seen.values, len(api.made)) == (["reply 1"], 3)
    source.on_completed()
    api.answer(2)
    api.answer(0)
    assert (seen.values, seen.end) == (["reply 1", "reply 2", "reply 0"], ["completed"])


def test_a_call_of_many_replies_keeps_its_place() -> None:
    api = Api()
    seen = Seen(reactivex.from_iterable(range(2)).pipe(call_each(api, "a/watch", asked)))
    api.calls[1].reply("b", final=False)
    api.calls[0].reply("a", final=False)
    api.answer(1)
    assert seen.values == ["a"]
    api.answer(0)
    assert (seen.values, seen.end) == (["a", "reply 0", "b", "reply 1"], ["completed"])


def test_nothing_to_call_is_complete_at_once() -> None:
    assert Seen(reactivex.empty().pipe(call_each(Api(), "a/read", asked))).end == ["completed"]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_call_that_fails_ends_it_and_nothing_further_is_called(ordered: bool) -> None:
    api = Api()
    source: Subject[int] = Subject()
    seen = Seen(source.pipe(call_each(api, "a/read", asked, max_in_flight=2, ordered=ordered)))
    for value in range(4):
        source.on_next(value)
    error = CallOutcomeUnknown("a/read", "lost")
    api.fail(1, error)
    api.answer(0)
    source.on_next(9)
    source.on_error(ValueError("too late"))
    assert (seen.values, seen.end, len(api.made)) == ([], [error], 2)


def test_more_values_than_may_wait_end_it() -> None:
    api = Api()
    source: Subject[int] = Subject()
    seen = Seen(source.pipe(call_each(api, "a/read", asked, max_in_flight=1, max_waiting=2)))
    for value in range(3):
        source.on_next(value)
    api.answer(0)
    source.on_next(3)
    assert seen.end == [], "two wait"
    source.on_next(4)
    source.on_next(5)
    (error,) = seen.end
    assert (isinstance(error, DeliveryOverflow), error.size) == (True, 2)
    api.answer(1)
    assert (seen.values, len(api.made)) == (["reply 0"], 2)


def test_what_make_and_the_source_raise_ends_it() -> None:
    def refuse(value: Any) -> dict[str, Any]:
        raise ValueError(f"cannot make {value}")

    api = Api()
    (error,) = Seen(reactivex.of(1, 2).pipe(call_each(api, "a/read", refuse))).end
    assert (str(error), api.made) == ("cannot make 1", [])
    lost = ValueError("lost")
    assert Seen(reactivex.throw(lost).pipe(call_each(api, "a/read", asked))).end == [lost]


def test_disposing_lets_go_of_everything_and_calls_no_more() -> None:
    api = Api()
    seen = Seen(reactivex.from_iterable(range(5)).pipe(call_each(api, "a/read", asked, max_in_flight=2)))
    seen.subscription.dispose()
    assert api.left == api.calls, "a watch would be deleted, an ordinary call goes on"
    api.answer(0)
    api.answer(1)
    assert (seen.values, seen.end, len(api.made)) == ([], [], 2)


def test_what_takes_no_more_in_the_middle_of_a_turn_is_told_no_more() -> None:
    api = Api()
    seen = Seen(reactivex.from_iterable(range(3)).pipe(call_each(api, "a/read", asked), ops.take(1)))
    api.answer(1)
    api.answer(2)
    api.answer(0)
    assert (seen.values, seen.end) == (["reply 0"], ["completed"])


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None, "2"])
def test_numbers_that_are_none(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_in_flight: must be a whole number of at least 1"):
        call_each(Api(), "a/read", asked, max_in_flight=wrong)
    with pytest.raises(ConfigurationError, match="max_waiting: must be"):
        call_each(Api(), "a/read", asked, max_waiting=wrong)
    with pytest.raises(ConfigurationError, match="attempts: must be"):
        retry_not_sent(wrong)


# -- retry_not_sent


def cold(api: Api) -> reactivex.Observable[Any]:
    return reactivex.defer(lambda _: api.call("a/create"))


def test_what_was_not_sent_is_called_anew() -> None:
    api = Api()
    seen = Seen(cold(api).pipe(retry_not_sent()))
    for number in range(2):
        api.fail(number, CallNotSent("a/create", "no connection"))
    assert (len(api.calls), seen.end) == (3, [])
    api.answer(2)
    assert (seen.values, seen.end) == (["reply 2"], ["completed"])


def test_attempts_are_counted() -> None:
    api = Api()
    seen = Seen(cold(api).pipe(retry_not_sent(attempts=2)))
    last = CallNotSent("a/create", "still no connection")
    api.fail(0, CallNotSent("a/create", "no connection"))
    api.fail(1, last)
    assert (seen.end, len(api.calls)) == ([last], 2)


def test_what_may_have_run_is_not_run_again() -> None:
    api = Api()
    seen = Seen(cold(api).pipe(retry_not_sent()))
    error = CallOutcomeUnknown("a/create", "lost")
    api.fail(0, error)
    assert (seen.end, len(api.calls)) == ([error], 1)


def test_disposed_it_tries_no_more() -> None:
    api = Api()
    seen = Seen(cold(api).pipe(retry_not_sent()))
    seen.subscription.dispose()
    api.fail(0, CallNotSent("a/create", "no connection"))
    assert (seen.end, len(api.calls)) == ([], 1)


def test_a_call_itself_is_no_source_to_retry() -> None:
    with pytest.raises(TypeError, match=r"retry reactivex.defer"):
        Api().call("a/create").pipe(retry_not_sent())


# -- docs


def res(*documents: Any) -> Res[Any]:
    return Res(200, "", Args(docs=list(documents)))


def test_each_document_of_each_reply() -> None:
    gap = Gap(ValueError("lost"), None)  # type: ignore[arg-type]
    seen = Seen(reactivex.of(res("a", "b"), gap, res(), Res(200, "", Args()), res("c")).pipe(docs()))
    assert (seen.values, seen.end) == (["a", "b", "c"], ["completed"])


def test_what_is_no_reply_has_no_documents() -> None:
    (error,) = Seen(reactivex.of(1, 2).pipe(docs())).end
    assert str(error) == "docs() wants replies, not int"


# -- from a stream of ours


def test_from_a_stream_it_is_a_stream_that_can_be_waited_for() -> None:
    api = Api()
    for number, operator in enumerate([docs(), call_each(api, "b/read", asked)]):  # type: ignore[arg-type]
        piped = api.call("a/read").pipe(operator, ops.map(lambda one: one))
        assert type(piped) is Stream, number


def test_on_a_service(signed_in: ApiService) -> None:
    names = [f"n{rank}" for rank in range(12)]

    def make(name: str) -> dict[str, Any]:
        return {"doc": album_doc(name)}

    made = signed_in.call("album/read").pipe(
        ops.flat_map(lambda _: reactivex.from_iterable(names)),
        call_each(signed_in, "album/create", make, max_in_flight=3),
        docs(),
        ops.map(lambda doc: doc["_id"]),
        ops.to_list(),
    )
    ids = made.result(10)
    read = signed_in.call("album/read", query=[{"$sort": {"_id": 1}}]).pipe(docs(), ops.to_list()).result(10)
    assert [doc["_id"] for doc in read] == ids
    assert sorted(doc["name"]["en_AE"] for doc in read) == sorted(names)
