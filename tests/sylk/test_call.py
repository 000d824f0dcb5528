"""A whole call between two clients, state by state, and all the ways it can come to nothing."""

from __future__ import annotations

import asyncio

import pytest

from rxsdk import CallNotSent, InvalidCall, SylkAccount, SylkError
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.protocols.sylk import messages
from tests.sylk.conftest import Enter
from tests.sylk.people import CANDIDATE, Watcher, signed_in


def test_a_whole_call(sylk: SylkEmulator) -> None:
    async def main() -> None:
        async with signed_in(sylk, "ada") as ada, signed_in(sylk, "bob") as bob:
            await _call(ada, bob)

    asyncio.run(main())


async def _call(ada: SylkAccount, bob: SylkAccount) -> None:
    arriving = Watcher(bob.incoming)
    going = ada.call("bob@example.com", "the offer", {"X-Colour": "green"})
    ours = Watcher(going.state_stream)
    coming = await arriving.get()
    theirs = Watcher(coming.state_stream)
    assert (coming.is_incoming, coming.remote, coming.remote_sdp) == (
        True,
        messages.Identity("ada@example.com", "Ada"),
        "the offer",
    )
    await ours.reach("ringing")
    assert going.created is not None
    assert (await going.created).transaction
    await coming.answer("the answer", {"X-Colour": "red"})
    await ours.reach("established")
    await theirs.reach("established")
    assert going.remote_sdp == "the answer"

    for call in (going, coming):
        await call.trickle([CANDIDATE])
        await call.trickle([])
        await call.send_dtmf("5", 200)
    updates = Watcher(coming.updates), Watcher(going.updates)
    await going.update("more")
    assert (await updates[0].get()).state == "received"
    assert coming.remote_sdp == "more"
    await coming.update("fine")
    assert ((await updates[1].get()).state, (await updates[1].get()).sdp) == ("accepted", "fine")
    written, sent = Watcher(coming.messages), Watcher(going.events)
    message_id = await going.send_message("hello")
    assert ((await written.get()).content, (await written.get()).message_id) == ("hello", message_id)
    assert (await sent.get(messages.SessionDisposition)).message_id == message_id

    await coming.terminate()
    assert (await ours.reach("terminated")).reason == "200 OK"
    await theirs.reach("terminated")
    assert ours.names == ["requested", "progress", "proceeding", "ringing", "accepted", "established", "terminated"]
    assert theirs.names == ["incoming", "answering", "accepted", "established", "terminated"]
    assert [watcher.ends for watcher in (ours, theirs, sent, written)] == [[None]] * 4
    assert (repr(ada), repr(going)) == (
        "<SylkAccount ada@example.com registered>",
        f"<SylkSession {going.id} terminated>",
    )


def test_declined(ada: SylkAccount, bob: SylkAccount) -> None:
    bob.incoming.subscribe(lambda call: call.terminate())
    going = ada.call("bob@example.com", "offer")
    assert going.state_stream.result(10).reason == "486 Busy Here"


def test_given_up_before_it_was_answered(ada: SylkAccount, bob: SylkAccount) -> None:
    arriving, events = Watcher(bob.incoming), Watcher(bob.events)
    going = ada.call("bob@example.com", "offer")
    coming = arriving.first()
    going.terminate().result(10)
    assert going.state_stream.result(10).reason == "487 Request Terminated"
    assert coming.state_stream.result(10).reason == "487 Request Terminated"
    assert events.first(messages.MissedSession).originator.uri == "ada@example.com"
    refused = coming.answer("too late")
    with pytest.raises(CallNotSent, match="it is terminated: 487 Request Terminated"):
        refused.result(10)


def test_answered_on_another_device(ada: SylkAccount, enter: Enter) -> None:
    here, there = enter("bob"), enter("bob")
    rings = Watcher(here.incoming), Watcher(there.incoming)
    going = ada.call("bob@example.com", "offer")
    ours = Watcher(going.state_stream)
    first, second = rings[0].first(), rings[1].first()
    first.answer("answer").result(10)
    ours.wait("established")
    assert second.state_stream.result(10).reason == "200 Call completed elsewhere"
    assert first.state.name == "established"


@pytest.mark.parametrize(
    ("uri", "reason"), [("nobody@example.com", "404 Not Found"), ("eve@example.com", "480 Temporarily Unavailable")]
)
def test_nobody_there(ada: SylkAccount, uri: str, reason: str) -> None:
    going = ada.call(uri, "offer")
    assert going.state_stream.result(10).reason == reason


def test_refused_by_the_server(sylk: SylkEmulator, ada: SylkAccount) -> None:
    sylk.refuse_next("session-create", "not today")
    going = ada.call("bob@example.com", "offer")
    assert going.state_stream.result(10).reason == "not today"
    assert going.created is not None
    with pytest.raises(SylkError, match="session-create: 'not today'"):
        going.created.result(10)


def test_an_answer_that_was_refused_may_be_given_again(sylk: SylkEmulator, ada: SylkAccount, bob: SylkAccount) -> None:
    arriving = Watcher(bob.incoming)
    ada.call("bob@example.com", "offer")
    coming = arriving.first()
    states = Watcher(coming.state_stream)
    sylk.refuse_next("session-answer", "bad sdp")
    with pytest.raises(SylkError, match="bad sdp"):
        coming.answer("bad").result(10)
    coming.answer("good").result(10)
    states.wait("established")
    assert states.names == ["incoming", "answering", "incoming", "answering", "accepted", "established"]


def test_what_makes_no_sense_is_refused_where_it_is_made(ada: SylkAccount, bob: SylkAccount) -> None:
    with pytest.raises(InvalidCall, match="session-create: uri: must be an address, user@domain"):
        ada.call("bob", "offer")
    with pytest.raises(InvalidCall, match="session-create: sdp"):
        ada.call("bob@example.com", "")
    going = ada.call("bob@example.com", "offer")
    with pytest.raises(InvalidCall, match=r"session-dtmf-info: digit: must be one of 0-9, A-D, \* and #"):
        going.send_dtmf("55")
    with pytest.raises(CallNotSent, match="it is"):
        going.send_message("too early").result(10)
    with pytest.raises(CallNotSent, match="it is"):
        going.answer("our own call").result(10)
