"""Accounts, calls, rooms and feeds: their lives, whatever comes in whatever order."""

from __future__ import annotations

import random

import pytest

from rxsdk.errors import CallNotSent, SylkError
from rxsdk.protocols.sylk.book import Arrived, Received, StateChanged
from rxsdk.protocols.sylk.messages import AccountMessage, Publisher
from rxsdk.protocols.sylk.requests import ha1
from rxsdk.protocols.sylk.tables import CALL
from tests.protocols.sylk.bench import ADA, BOB, Bench

CALL_STATES = ["progress", "proceeding", "ringing", "early-media", "accepted", "established"]


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.connect()
    return made


# -- accounts


def test_added_and_registered_again_after_a_reconnect(bench: Bench) -> None:
    account = bench.added(registered=True)
    other = bench.add(BOB, display_name="Bob")
    bench.frames()
    bench.answer(next(request for request in bench.machine._in_flight.values() if request.about is other))
    bench.lose()
    assert bench.lives[account] == ["unregistered", "registering", "registered", "unregistered"]
    assert account.state.reason == "connection lost: reset"
    waiting = bench.ask("lookup-public-key", uri=BOB)
    bench.connect()
    frames = bench.frames()
    assert [(frame["sylkrtc"], frame["account"]) for frame in frames] == [
        ("account-add", ADA),
        ("account-register", ADA),
        ("account-add", BOB),
    ]
    assert frames[0]["password"] == ha1(ADA, "secret").reveal()
    assert frames[2]["display_name"] == "Bob"
    for frame in frames:
        assert waiting.transaction == ""
        bench.hear({"sylkrtc": "ack", "transaction": frame["transaction"]})
    assert bench.kinds() == ["lookup-public-key"]
    bench.account_event("registration-state", state="registering")
    bench.account_event("registration-state", state="registered")
    assert bench.lives[account][-2:] == ["registering", "registered"]


def test_an_account_that_is_refused_after_a_reconnect_says_so_and_is_tried_again(bench: Bench) -> None:
    account = bench.added(registered=True)
    bench.lose()
    bench.connect()
    add, register = bench.frames()
    secret = ha1(ADA, "secret").reveal()
    bench.hear({"sylkrtc": "error", "transaction": add["transaction"], "error": f"bad {secret}"})
    bench.hear({"sylkrtc": "error", "transaction": register["transaction"], "error": "unknown"})
    assert (account.state.name, account.state.reason) == ("failed", "bad <redacted>")
    bench.lose()
    bench.connect()
    assert bench.kinds() == ["account-add", "account-register"]
    bench.lose()


def test_a_server_that_quotes_the_password(bench: Bench) -> None:
    bench.connect()
    account = bench.added()
    secret = ha1(ADA, "secret").reveal()
    request = bench.ask("account-register", about=account, account=ADA)
    bench.frames()
    failed = {"sylkrtc": "account-event", "account": ADA, "event": "registration-state", "state": "failed"}
    bench.hear({**failed, "reason": f"not {secret}"})
    assert account.state.reason == "not <redacted>"
    bench.answer(request, f"{secret} or {secret}")
    assert bench.error(request).error == "<redacted> or <redacted>"  # type: ignore[attr-defined]
    bench.hear({"sylkrtc": "account-event", "account": ADA, "event": "alarm", "about": [secret]})
    assert secret not in repr(bench.events)


def test_registration(bench: Bench) -> None:
    account = bench.added()
    for event in ("registering", "registered"):  # of nobody who asked
        bench.account_event("registration-state", state=event)
    assert account.state.name == "unregistered"
    bench.done(bench.ask("account-register", account, account=ADA))
    for event in ("registering", "registering", "failed", "registering", "registered", "registered"):
        bench.account_event("registration-state", state=event, reason="why")
    bench.done(bench.ask("account-unregister", account, account=ADA))
    bench.account_event("registration-state", state="registered")
    assert bench.lives[account] == [
        "unregistered",
        "registering",
        "failed",
        "registering",
        "registered",
        "unregistered",
    ]
    refused = bench.ask("account-register", account, account=ADA)
    bench.frames()
    bench.answer(refused, "no")
    assert account.state.name == "failed"


def test_twice_the_same_account(bench: Bench) -> None:
    first = bench.added()
    second = bench.add()
    assert bench.lives[second] == ["removed"]
    assert bench.machine.book.accounts == {ADA: first}


def test_refused_or_lost_while_being_added(bench: Bench) -> None:
    refused = bench.add()
    bench.frames()
    bench.answer(next(iter(bench.machine._in_flight.values())), "no")
    lost = bench.add()
    bench.frames()
    bench.lose()
    unwritten = bench.add()
    bench.connect()
    assert bench.kinds() == ["account-add"]
    assert [bench.lives[one] for one in (refused, lost)] == [["removed"], ["removed"]]
    assert bench.machine.book.accounts == {ADA: unwritten}


def test_removed(bench: Bench) -> None:
    account = bench.added()
    bench.done(bench.ask("account-remove", account, account=ADA))
    assert bench.lives[account][-1] == "removed"
    assert isinstance(bench.error(bench.ask("account-register", account, account=ADA)), CallNotSent)
    message = {"sender": {"uri": BOB}, "timestamp": "t", "message_id": "m", "content_type": "text/plain", "content": ""}
    bench.account_event("message", **message)
    bench.account_event("incoming-session", session="s", originator={"uri": BOB}, sdp="", call_id="c")
    assert [event.about for event in bench.of(Received)] == [None, None]
    assert isinstance(bench.of(Received)[0].event, AccountMessage)


# -- calls


def test_an_outgoing_call(bench: Bench) -> None:
    call, request = bench.call()
    bench.done(request)
    bench.state(call, "progress")
    bench.state(call, "proceeding", code=183)
    assert call.state.code == 183
    bench.state(call, "ringing")
    bench.state(call, "accepted", sdp="answer")
    assert call.state.sdp == "answer"
    bench.state(call, "established")
    bench.state(call, "terminated", reason="200 OK")
    assert bench.lives[call] == [*CALL_STATES[:3], *CALL_STATES[4:], "terminated"]
    assert bench.machine.book.sessions == {}


def test_early_media_flow_before_the_answer(bench: Bench) -> None:
    call, request = bench.call()
    bench.done(request)
    bench.state(call, "progress", "early-media", "established", "accepted", "established")
    assert bench.lives[call] == ["progress", "early-media", "early-established", "established"]


def test_an_incoming_call(bench: Bench) -> None:
    bench.added()
    call = bench.incoming()
    assert (call.is_incoming, call.remote.uri, call.state.sdp) == (True, BOB, "offer")
    answer = bench.ask("session-answer", call, sdp="answer")
    assert isinstance(bench.error(bench.ask("session-answer", call, sdp="again")), CallNotSent)
    bench.done(answer)
    bench.state(call, "accepted", "established", "terminated")
    assert bench.lives[call] == ["answering", "accepted", "established", "terminated"]
    with pytest.raises(KeyError):
        bench.incoming()  # told of twice
    assert len(bench.of(Arrived)) == 1


def test_rings_once(bench: Bench) -> None:
    bench.added()
    assert bench.incoming() is bench.incoming()
    assert len(bench.of(Arrived)) == 1


def test_ended_calls_are_forgotten_in_the_end(bench: Bench) -> None:
    bench.added()
    for number in range(1_001):
        bench.state(bench.incoming(f"s{number}"), "terminated")
    assert len(bench.machine.book._ended) == 1_000


@pytest.mark.parametrize("reach", range(7))
def test_lost_in_each_state_of_a_call(bench: Bench, reach: int) -> None:
    call, request = bench.call()
    bench.frames()
    bench.answer(request)
    bench.state(call, *CALL_STATES[:reach])
    pending = bench.ask("session-trickle", call, candidates=[])
    bench.frames()
    waiting = bench.ask("session-terminate", call)
    bench.lose()
    assert (call.state.name, call.state.reason) == ("terminated", "connection lost: reset")
    assert "outcome unknown" in str(bench.error(pending))
    assert "it is terminated" in str(bench.error(waiting))
    bench.connect()
    bench.state(call, *CALL_STATES, "terminated")  # whatever comes for it now
    assert bench.lives[call].count("terminated") == 1
    assert bench.kinds() == []


@pytest.mark.parametrize("is_answering", [False, True])
def test_lost_while_a_call_comes_in(bench: Bench, is_answering: bool) -> None:
    bench.added()
    call = bench.incoming()
    if is_answering:
        bench.ask("session-answer", call, sdp="answer")
        bench.frames()
    bench.lose()
    assert bench.lives[call][-1] == "terminated"


def test_a_call_that_was_never_written_outlives_a_loss(bench: Bench) -> None:
    bench.lose()
    call, request = bench.call()
    bench.connect()
    bench.lose()
    bench.connect()
    assert bench.kinds() == ["session-create", "session-create"][:1]
    bench.answer(request)
    bench.state(call, "progress")
    assert bench.lives[call] == ["progress"]


@pytest.mark.parametrize("seed", range(20))
def test_doubled_and_late_events_keep_the_table(seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench()
    bench.connect()
    bench.added()
    for number in range(20):
        going, request = bench.call(f"out{number}")
        coming = bench.incoming(f"in{number}")
        bench.done(request)
        for _ in range(30):
            call = chance.choice([going, coming])
            if chance.random() < 0.2 and call is coming:
                bench.ask("session-answer", call, sdp="answer")
            bench.state(call, *[chance.choice([*CALL_STATES, "terminated"])] * chance.randrange(1, 3))
            bench.frames()  # `Bench` holds every step to the table
    assert any("terminated" in life for life in bench.lives.values())
    assert {name for life in bench.lives.values() for name in life} <= CALL.keys() | {"unregistered"}


def test_a_refused_call_is_over(bench: Bench) -> None:
    call, request = bench.call()
    bench.frames()
    bench.answer(request, "busy")
    assert (call.state.name, call.state.reason) == ("terminated", "busy")
    assert bench.kinds() == []


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_call_nobody_waits_for_is_taken_back(bench: Bench, how: str) -> None:
    call, request = bench.call()
    bench.frames()
    if how == "cancel":
        bench.machine.cancel(request)
        bench.look()
    else:
        bench.wait(30.0)
    assert bench.lives[call] == ["terminated"]
    kinds = [(frame["sylkrtc"], frame.get("session")) for frame in bench.frames()]
    assert ("session-terminate", call.key) in kinds
    bench.hear({"sylkrtc": "ack", "transaction": bench.sent[-1]["transaction"]})


def test_an_unwritten_call_is_taken_back_without_a_word(bench: Bench) -> None:
    call, request = bench.call()
    bench.machine.cancel(request)
    bench.look()
    assert bench.lives[call] == ["terminated"]
    assert bench.kinds() == []


def test_a_refused_answer_may_be_given_again(bench: Bench) -> None:
    bench.added()
    call = bench.incoming()
    request = bench.ask("session-answer", call, sdp="bad")
    bench.frames()
    bench.answer(request, "bad sdp")
    bench.ask("session-answer", call, sdp="good")
    assert bench.lives[call] == ["answering", "incoming", "answering"]


def test_a_call_ends_even_if_the_server_does_not_say_so(bench: Bench) -> None:
    call, request = bench.call()
    bench.done(request)
    bench.done(bench.ask("session-terminate", call))
    assert bench.lives.get(call, []) == []
    bench.wait(5.0)
    assert call.state.reason == "ended here; the server did not confirm it"
    other, request = bench.call("s9")
    bench.done(request)
    hang_up = bench.ask("session-terminate", other)
    bench.frames()
    bench.state(other, "terminated", reason="200 OK")
    bench.answer(hang_up)
    bench.wait(5.0)
    assert other.state.reason == "200 OK"


def test_refused_to_be_terminated(bench: Bench) -> None:
    call, request = bench.call()
    bench.done(request)
    hang_up = bench.ask("session-terminate", call)
    bench.frames()
    bench.answer(hang_up, "Unknown session s1")
    assert isinstance(bench.error(hang_up), SylkError)
    assert call.state.reason == "Unknown session s1"


# -- rooms


def test_a_room(bench: Bench) -> None:
    room = bench.in_room()
    bench.state(room, "accepted", "established", "established")
    assert bench.lives[room] == ["progress", "accepted", "established"]
    joined = [{"id": "p2", "uri": ADA, "display_name": "Ada"}]
    bench.session_event(room, "publishers-joined", publishers=joined)
    bench.session_event(room, "publishers-joined", publishers=joined)
    assert room.publishers == {"p1": Publisher("p1", BOB), "p2": Publisher("p2", ADA, "Ada")}
    bench.session_event(room, "configure", originator="p1", active_participants=["p1", "p2"])
    bench.session_event(room, "raised-hands", raised_hands=["p2"])
    file = {"filename": "f", "filesize": 5, "uploader": {"uri": BOB}, "session": "p1"}
    bench.session_event(room, "file-sharing", files=[file])
    assert (room.active_participants, room.raised_hands, len(room.files)) == (("p1", "p2"), ("p2",), 1)
    bench.session_event(room, "mute-audio", originator="p1")
    bench.session_event(room, "publishers-left", publishers=["p2", "who?"])
    assert list(room.publishers) == ["p1"]
    bench.state(room, "terminated")
    bench.session_event(room, "raised-hands", raised_hands=[])
    assert room.raised_hands == ("p2",)


def test_feeds(bench: Bench) -> None:
    room = bench.in_room()
    feed, request = bench.feed(room)
    bench.session_event(room, "feed-attached", feed="other", sdp="offer")
    bench.session_event(room, "feed-established", feed="other")
    bench.done(request)
    bench.session_event(room, "feed-attached", feed=feed.key, sdp="offer")
    bench.session_event(room, "feed-attached", feed=feed.key, sdp="offer")
    assert feed.state.sdp == "offer"
    answer = {"session": room.key, "feed": feed.key, "sdp": "answer"}
    refused = bench.ask("videoroom-feed-answer", feed, **answer)
    bench.frames()
    bench.answer(refused, "no")
    bench.done(bench.ask("videoroom-feed-answer", feed, **answer))
    bench.session_event(room, "feed-established", feed=feed.key)
    bench.done(bench.ask("videoroom-feed-detach", feed, session=room.key, feed=feed.key))
    assert bench.lives[feed] == ["attached", "answering", "attached", "answering", "established", "detached"]
    assert room.feeds == {}


def test_a_feed_ends_with_its_publisher_and_with_the_room(bench: Bench) -> None:
    room = bench.in_room()
    first, request = bench.feed(room, "f1")
    bench.done(request)
    bench.session_event(room, "publishers-left", publishers=["p1"])
    assert first.state.reason == "the publisher left"
    second, _ = bench.feed(room, "f2")
    bench.frames()
    third, unwritten = bench.feed(room, "f3")
    bench.lose()
    assert [feed.state.reason for feed in (second, third)] == ["connection lost: reset"] * 2
    assert "not sent" in str(bench.error(unwritten))
    assert isinstance(bench.error(bench.feed(room, "f4")[1]), CallNotSent)


def test_a_feed_of_another_publisher_stays(bench: Bench) -> None:
    room = bench.in_room()
    feed, request = bench.feed(room)
    bench.done(request)
    bench.session_event(room, "publishers-left", publishers=["p7"])
    assert room.feeds == {feed.key: feed}


@pytest.mark.parametrize("reach", range(4))
def test_lost_in_each_state_of_a_room(bench: Bench, reach: int) -> None:
    room, request = bench.room()
    bench.frames()
    bench.answer(request)
    bench.state(room, *["progress", "accepted", "established"][:reach], sdp="answer")
    bench.lose()
    assert (bench.lives[room][-1], room.state.reason) == ("terminated", "connection lost: reset")


def test_a_room_nobody_waits_for_is_left(bench: Bench) -> None:
    room, request = bench.room()
    bench.frames()
    bench.machine.cancel(request)
    bench.look()
    assert bench.kinds() == ["videoroom-leave"]
    assert bench.lives[room] == ["terminated"]


def test_what_needs_a_place_in_the_room_waits_for_it(bench: Bench) -> None:
    room, _ = bench.room()
    early = bench.ask("videoroom-message", room, message_id="m", content="c", content_type="text/plain")
    assert str(bench.error(early)) == "videoroom-message: not sent: it is requested"


def test_a_message_for_who_is_not_there(bench: Bench) -> None:
    call, _ = bench.call()
    bench.session_event(call, "update", state="received", sdp="more")
    bench.hear({"sylkrtc": "videoroom-event", "session": call.key, "event": "session-state", "state": "progress"})
    bench.hear({"sylkrtc": "session-event", "session": "nobody", "event": "state", "state": "progress"})
    assert bench.of(StateChanged) == []
    assert [event.about for event in bench.of(Received)] == [call, call, None]
    assert repr(call) == "<CallSession s1 requested>"
