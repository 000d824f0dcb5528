"""The chat's machine: requests, events and their acknowledgement, the heartbeat, connections that come and go."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rxsdk.errors import (
    CallCancelled,
    CallNotSent,
    CallOutcomeUnknown,
    CallTimeout,
    ConnectionLost,
    HeartbeatTimeout,
    InvalidCall,
    ReplyMismatch,
)
from rxsdk.protocols.chat import request as requests
from rxsdk.protocols.chat.events import (
    ConnectionGivenUp,
    EventReceived,
    FrameRejected,
    HeartbeatAnswered,
    PhaseChanged,
    PresenceChanged,
    RequestRepeated,
    TypingChanged,
)
from rxsdk.protocols.chat.phases import MOVES, STEPS, Move, Phase, Progress
from rxsdk.protocols.chat.request import Request
from rxsdk.protocols.chat.types import Attachment, FileMeta, Message, ReplyTo
from tests.protocols.chat.bench import ChatBench, odd_message

CHAT = {"chatId": "bob", "name": "Bob", "type": "dialog", "missed": 0}
RECEIPT = {"messageId": 7, "timestamp": 5, "clientMessageId": "c"}
NEW = {"chatId": "bob", "messageId": 7, "clientMessageId": "c", "status": "undelivered", "missed": 1, "message": "hi"}


@pytest.fixture
def bench() -> ChatBench:
    bench = ChatBench()
    bench.connect()
    return bench


def received(reports: list[Any]) -> list[int | None]:
    return [report.event.id for report in reports if isinstance(report, EventReceived)]


# -- requests


def test_a_request_is_written_as_the_note_says_and_answered(bench: ChatBench) -> None:
    request = bench.ask("chat", {"chatId": "bob"})
    (frame,) = bench.sent()
    assert frame == {
        "type": "request",
        "timestamp": 1_700_000_000_250,
        "id": "id1",
        "payloadType": "chat",
        "payload": {"chatId": "bob"},
    }
    assert repr(request) == "Request('chat', WRITTEN)"
    bench.answer(request, CHAT)
    assert bench.answer_of(request).name == "Bob"
    bench.answer(request, CHAT)  # a second answer is nobody's
    assert bench.machine.next_deadline() == bench.now + 15


def test_a_request_without_payload_has_none(bench: ChatBench) -> None:
    request = bench.ask("chats", None, timeout_s=None, queue_timeout_s=None)
    assert "payload" not in bench.sent()[0]
    bench.answer(request, [])
    assert bench.answer_of(request) == []


def test_an_answer_that_does_not_fit_is_the_calls_error(bench: ChatBench) -> None:
    request = bench.ask("chat", {"chatId": "bob"})
    bench.sent()
    bench.hear({"type": "response", "id": 5})
    bench.answer(request)
    assert isinstance(bench.error_of(request), ReplyMismatch)
    assert "expected an object, got NoneType" in str(bench.error_of(request))


def test_a_request_waits_for_a_connection_and_no_longer_than_it_may() -> None:
    bench = ChatBench()
    waits, expires = bench.ask("chat", {"chatId": "bob"}), bench.ask("chat", {"chatId": "eve"}, queue_timeout_s=5.0)
    for_ever = bench.ask("chat", {"chatId": "eve"}, timeout_s=None)
    assert bench.sent() == []
    bench.wait(6)
    error = bench.error_of(expires)
    assert isinstance(error, CallNotSent)
    assert "no connection within 5 s" in str(error)
    bench.connect()
    assert [frame["id"] for frame in bench.sent()] == [waits.id, for_ever.id]


def test_a_request_that_is_not_answered_in_time_ends(bench: ChatBench) -> None:
    request = bench.ask("new", {"chatId": "bob"}, timeout_s=4.0)
    bench.sent()
    bench.wait(5)
    assert isinstance(bench.error_of(request), CallTimeout)
    bench.answer(request, RECEIPT)


def test_the_queue_has_an_end() -> None:
    bench = ChatBench(max_queued_calls=1)
    bench.ask("chats", None)
    refused = bench.ask("chats", None)
    assert "max_queued_calls=1" in str(bench.error_of(refused))


def test_what_may_be_repeated_is_and_the_rest_has_an_unknown_outcome(bench: ChatBench) -> None:
    kinds = ("new", "edit", "chat", "delete", "read")
    asked = {kind: bench.ask(kind, {"chatId": "bob"}) for kind in kinds}
    later = bench.ask("chats", None, timeout_s=None)
    first = bench.sent()
    bench.lose()
    assert [type(bench.error_of(asked[kind])) for kind in ("edit", "delete")] == [CallOutcomeUnknown] * 2
    repeated = [report.request for report in bench.reports if isinstance(report, RequestRepeated)]
    assert repeated == [asked["new"], asked["chat"], asked["read"], later]
    bench.connect()
    newest = bench.ask("chat", {"chatId": "eve"})
    again = bench.sent()
    assert [frame["id"] for frame in again] == [*(each.id for each in repeated), newest.id]
    assert again[0]["payload"] == first[0]["payload"]


def test_a_repeat_that_finds_no_connection_has_an_unknown_outcome(bench: ChatBench) -> None:
    request = bench.ask("new", {"chatId": "bob"}, queue_timeout_s=5.0, timeout_s=5.0)
    bench.sent()
    bench.lose()
    bench.wait(11)
    error = bench.error_of(request)
    assert isinstance(error, CallOutcomeUnknown)
    assert isinstance(error.__cause__, ConnectionLost)


def test_a_request_can_be_taken_back(bench: ChatBench) -> None:
    written, waiting = bench.ask("chats", None), None
    bench.sent()
    waiting = bench.ask("chats", None)
    for request in (written, waiting, written):
        bench.machine.cancel(request)
        bench.take()
    assert [bench.error_of(each).written for each in (written, waiting)] == [True, False]  # type: ignore[attr-defined]
    assert isinstance(bench.error_of(written), CallCancelled)
    assert bench.sent() == []


# -- events


def test_an_event_is_acknowledged_once_it_was_handed_over(bench: ChatBench) -> None:
    assert received(bench.event("new", NEW, 23)) == [23]
    assert bench.sent() == []
    assert received(bench.event("new", NEW, 23)) == [], "it is being handed over"
    bench.machine.acknowledge([23])
    assert bench.sent() == [{"type": "ack", "id": "23"}]
    assert received(bench.event("new", NEW, 23)) == [], "it was handed over"
    assert bench.sent() == [{"type": "ack", "id": "23"}], "and is acknowledged again"


def test_an_event_without_an_id_is_not_acknowledged(bench: ChatBench) -> None:
    assert received(bench.event("call", {"x": 1})) == [None]
    assert bench.sent() == []


def test_an_acknowledgement_that_cannot_be_sent_is_made_up_for(bench: ChatBench) -> None:
    bench.event("new", NEW, 1)
    bench.event("new", NEW, 2)
    bench.machine.acknowledge([1])
    bench.lose()
    bench.machine.acknowledge([2])
    bench.connect()
    assert bench.sent() == []
    for event_id in (1, 2):
        assert received(bench.event("new", NEW, event_id)) == []
    assert [frame["id"] for frame in bench.sent()] == ["1", "2"]


def test_an_event_let_go_may_come_again(bench: ChatBench) -> None:
    bench.event("new", NEW, 1)
    bench.machine.let_go(1)
    assert received(bench.event("new", NEW, 1)) == [1]


def test_the_window_is_bounded_and_outlives_the_machine() -> None:
    bench = ChatBench(window=3, seen=[1, 2, 3, 4])
    bench.connect()
    assert bench.machine.seen == [2, 3, 4]
    assert received(bench.event("new", NEW, 4)) == []
    bench.event("new", NEW, 5)
    bench.machine.acknowledge([5])
    assert bench.machine.seen == [3, 4, 5]
    assert received(bench.event("new", NEW, 2)) == [2]


# -- presence and typing


def told(reports: list[Any], kind: type) -> list[Any]:
    return [
        next(iter(getattr(report, name) for name in report.__struct_fields__))
        for report in reports
        if isinstance(report, kind)
    ]


def test_who_is_online_is_known_while_connected(bench: ChatBench) -> None:
    assert told(bench.event("online", {"userId": "bob"}), PresenceChanged) == [{"bob"}]
    assert told(bench.event("online", {"userId": "bob"}), PresenceChanged) == []
    assert told(bench.event("online", {"userId": "eve"}), PresenceChanged) == [{"bob", "eve"}]
    bench.event("typing", {"userId": "eve", "chatId": "team"})
    reports = bench.event("offline", {"userId": "eve"})
    assert told(reports, PresenceChanged) == [{"bob"}]
    assert told(reports, TypingChanged) == [frozenset()]
    bench.reports.clear()
    bench.lose()
    assert told(bench.reports, PresenceChanged) == [frozenset()]


def test_typing_ends_by_itself_by_word_and_by_the_message(bench: ChatBench) -> None:
    assert told(bench.event("typing", {"userId": "bob"}), TypingChanged) == [{("bob", "bob")}]
    bench.wait(4)
    assert told(bench.event("typing", {"userId": "bob"}), TypingChanged) == []
    assert told(bench.wait(5), TypingChanged) == []
    assert told(bench.wait(2), TypingChanged) == [frozenset()]
    bench.event("typing", {"userId": "bob"})
    assert told(bench.event("typing", {"userId": "bob", "stop": True}), TypingChanged) == [frozenset()]
    bench.event("typing", {"userId": "bob"})
    assert told(bench.event("new", NEW, 9), TypingChanged) == [frozenset()]


# -- the heartbeat


def test_something_is_sent_every_fifteen_seconds_and_answered(bench: ChatBench) -> None:
    bench.wait(15)
    assert bench.sent() == ["ping"]
    bench.now += 0.5
    assert [report.round_trip_s for report in bench.hear(b'{"event": "pong"}')] == [0.5]
    assert bench.hear(b'{"event": "pong"}') == []
    bench.wait(14)
    assert bench.sent() == []
    bench.wait(0.5)
    assert bench.sent() == ["ping"]


@pytest.mark.parametrize("written", [True, False])
def test_without_a_pong_within_five_seconds_the_connection_is_given_up(bench: ChatBench, written: bool) -> None:
    bench.wait(15)
    if written:
        bench.sent()
    bench.wait(4.9)
    assert not [report for report in bench.reports if isinstance(report, ConnectionGivenUp)]
    (report,) = bench.wait(0.2)
    assert isinstance(report.error, HeartbeatTimeout)
    assert bench.wait(60) == []


def test_a_probe_is_a_ping_at_once(bench: ChatBench) -> None:
    bench.machine.probe(bench.now)
    bench.machine.probe(bench.now)
    assert bench.sent() == ["ping"]
    bench.machine.probe(bench.now)
    assert bench.sent() == []
    assert isinstance(bench.hear(b'{"event":"pong"}')[0], HeartbeatAnswered)
    bench.lose()
    bench.machine.probe(bench.now)
    assert bench.sent() == []


# -- client events, order, ends


def test_everything_is_written_in_the_order_it_was_asked_for(bench: ChatBench) -> None:
    bench.machine.tell("typing", {"chatId": "bob"})
    bench.ask("new", {"chatId": "bob"})
    bench.machine.tell("typing", {"chatId": "bob", "stop": True})
    typing, new, stop = bench.sent()
    assert typing == {
        "type": "event",
        "timestamp": 1_700_000_000_250,
        "eventType": "typing",
        "payload": {"chatId": "bob"},
    }
    assert (new["payloadType"], stop["payload"]) == ("new", {"chatId": "bob", "stop": True})


def test_a_client_event_is_for_now_or_never(bench: ChatBench) -> None:
    bench.machine.tell("typing", {"chatId": "bob"})
    bench.lose()
    bench.machine.tell("typing", {"chatId": "bob"})
    bench.connect()
    assert bench.sent() == []


def test_closing_ends_everything_and_says_goodbye(bench: ChatBench) -> None:
    written = bench.ask("chat", {"chatId": "bob"})
    bench.sent()
    waiting = bench.ask("chats", None)
    bench.event("new", NEW, 1)
    bench.machine.acknowledge([1])
    bench.machine.tell("typing", {"chatId": "bob"})
    bench.machine.close()
    bench.take()
    assert isinstance(bench.error_of(written), CallOutcomeUnknown)
    assert isinstance(bench.error_of(waiting), CallNotSent)
    assert [frame.get("eventType", "ack") for frame in bench.sent()] == ["ack", "offline"]
    late = bench.ask("chats", None)
    assert "the service is closed" in str(bench.error_of(late))
    bench.machine.close()
    bench.machine.disconnected(bench.now, ConnectionLost("closed"))
    assert bench.sent() == []
    assert bench.machine.next_deadline() is None
    assert bench.machine.phase is Phase.CLOSED


def test_failing_ends_everything_with_the_cause(bench: ChatBench) -> None:
    request = bench.ask("chat", {"chatId": "bob"})
    bench.event("new", NEW, 1)
    bench.machine.acknowledge([1])
    cause = ConnectionLost("for good")
    bench.machine.fail(cause)
    bench.take()
    assert bench.error_of(request).__cause__ is cause
    assert bench.sent() == []


def test_closing_without_a_connection_says_nothing() -> None:
    bench = ChatBench()
    bench.machine.close()
    assert bench.sent() == []
    assert [report.phase for report in bench.take()] == [Phase.CLOSED]


def test_losing_what_was_not_there_changes_nothing() -> None:
    bench = ChatBench()
    bench.lose()
    assert [report for report in bench.reports if isinstance(report, PhaseChanged)] == []


def test_the_tables_know_every_phase() -> None:
    assert {phase for phase, _ in MOVES} == set(Phase)
    assert {move for _, move in MOVES} == set(Move)
    assert {progress for progress, _ in STEPS} == set(Progress) - {Progress.ENDED}


# -- what makes no sense


@pytest.mark.parametrize(
    "frame", [b"{", b"{}", b'{"type":"odd"}', b'{"type":"event"}', b'{"type":"event","eventType":5}']
)
def test_what_makes_no_sense_is_dropped_and_told(bench: ChatBench, frame: bytes) -> None:
    (report,) = bench.hear(frame)
    assert isinstance(report, FrameRejected)


@pytest.mark.parametrize("seed", range(3))
def test_frames_of_a_server_gone_mad_touch_no_call(seed: int) -> None:
    chance = random.Random(seed)
    bench = ChatBench()
    bench.connect()
    asked = [bench.ask("chat", {"chatId": "bob"}, timeout_s=None) for _ in range(10)]
    bench.sent()
    for _ in range(2_000):
        for report in bench.hear(odd_message(chance, ["other"])):
            repr(report)
    for request in asked:
        bench.answer(request, CHAT)
        assert bench.answer_of(request).chat_id == "bob"


# -- the makers of requests

FILE = Attachment(type="file", id="f", filename="a", url="/a", meta=FileMeta(extension="pdf", size=1))
MESSAGE = Message(
    message_id=3, client_message_id="c3", sender="bob", status="read", type="new", created_at=5, message="before"
)


def test_a_message_is_made_with_all_it_may_have() -> None:
    payload = requests.new_payload("bob", "hi", "c", [FILE], MESSAGE)
    assert payload == {
        "chatId": "bob",
        "message": "hi",
        "clientMessageId": "c",
        "attachments": [
            {"type": "file", "id": "f", "filename": "a", "url": "/a", "meta": {"extension": "pdf", "size": 1}}
        ],
        "replyTo": {"messageId": 3, "clientMessageId": "c3", "sender": "bob", "createdAt": 5, "message": "before"},
    }
    reply = ReplyTo(message_id=3, client_message_id="c3", sender="bob", created_at=5)
    assert requests.new_payload("bob", "", "c", [FILE], reply)["replyTo"]["messageId"] == 3
    assert requests.edit_payload("bob", 3, "ho") == {"chatId": "bob", "originalMessageId": 3, "message": "ho"}


def test_a_request_is_about_a_message_or_all() -> None:
    assert requests.about_payload("read", "bob", None) == {"chatId": "bob"}
    assert requests.about_payload("read", "bob", 5) == {"chatId": "bob", "messageId": 5}
    payload = requests.about_payload("delete", "bob", 5, "originalMessageId")
    assert payload == {"chatId": "bob", "originalMessageId": 5}
    assert requests.edit_payload("bob", 5, "x", [FILE])["attachments"]
    assert "replyTo" not in requests.new_payload("bob", "hi", "c")


def test_a_page_is_from_a_message_or_before_one() -> None:
    assert requests.page_payload("bob", None, None, None) == {"chatId": "bob"}
    assert requests.page_payload("bob", 5, None, 500) == {"chatId": "bob", "startId": 5, "count": 500}
    assert requests.page_payload("bob", None, 5, None) == {"chatId": "bob", "endId": 5}


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: requests.new_payload("", "hi", "c"), "chat_id"),
        (lambda: requests.new_payload("bob", "", "c"), "message"),
        (lambda: requests.new_payload("bob", 5, "c"), "message"),  # type: ignore[arg-type]
        (lambda: requests.new_payload("bob", "hi", ""), "client_message_id"),
        (lambda: requests.new_payload("bob", "hi", "c", ["x"]), "attachments"),  # type: ignore[list-item]
        (lambda: requests.new_payload("bob", "hi", "c", "x"), "attachments"),  # type: ignore[arg-type]
        (lambda: requests.new_payload("bob", "hi", "c", (), 5), "reply_to"),  # type: ignore[arg-type]
        (lambda: requests.edit_payload("bob", True, "hi"), "message_id"),
        (lambda: requests.edit_payload("bob", -1, "hi"), "message_id"),
        (lambda: requests.edit_payload("bob", 1, ""), "message"),
        (lambda: requests.page_payload("bob", 1, 1, None), "start_id and end_id"),
        (lambda: requests.page_payload("bob", None, None, 501), "count"),
        (lambda: requests.page_payload("bob", None, None, True), "count"),
        (lambda: requests.page_payload("bob", "1", None, None), "start_id"),  # type: ignore[arg-type]
        (lambda: Request("new", {"message": "\ud800"}), "message"),
        (lambda: Request("new", {"message": object()}), "message"),
    ],
)
def test_what_cannot_be_a_request_is_told_where_it_was_made(make: Any, field: str) -> None:
    with pytest.raises(InvalidCall) as caught:
        make()
    assert caught.value.field == field
