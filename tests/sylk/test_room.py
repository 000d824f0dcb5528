"""A whole conference between three clients, state by state."""

from __future__ import annotations

import asyncio

import pytest

from rxsdk import InvalidCall, SylkAccount, SylkError
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.protocols.sylk import messages
from tests.conftest import wait_until
from tests.sylk.people import CANDIDATE, Watcher, signed_in, until

ROOM = "tea@videoconference.example.com"
LIFE = ["requested", "progress", "accepted", "established"]


def test_a_whole_conference(sylk: SylkEmulator) -> None:
    async def main() -> None:
        async with signed_in(sylk, "ada") as ada, signed_in(sylk, "bob") as bob, signed_in(sylk, "eve") as eve:
            await _confer(ada, bob, eve)

    asyncio.run(main())


async def _confer(ada: SylkAccount, bob: SylkAccount, eve: SylkAccount) -> None:
    first = ada.join(ROOM, "ada's offer", video=False)
    states = Watcher(first.state_stream)
    await states.reach("established")
    assert states.names == LIFE
    assert (await first.joined).transaction

    invitations = Watcher(bob.invitations)
    await first.invite(["bob@example.com"])
    assert ((await invitations.get()).room, (await invitations.get()).originator.display_name) == (ROOM, "Ada")
    second = bob.join((await invitations.get()).room, "bob's offer")
    accepted = Watcher(second.events)
    await until(lambda: second.state.name == "established" and len(first.publishers) == 1)
    assert [one.uri for one in second.publishers] == ["ada@example.com"]
    assert [(one.uri, one.display_name) for one in first.publishers] == [("bob@example.com", "Bob")]
    assert (await accepted.get(messages.RoomStateChanged)).session == second.id

    feed = second.attach(first.id)
    fed = Watcher(feed.state_stream)
    assert (await fed.reach("attached")).sdp == feed.sdp
    assert second.feeds == (feed,)
    await feed.answer("fine")
    await fed.reach("established")
    other = first.attach(first.publishers[0])
    await until(lambda: other.state.name == "attached")

    third = eve.join(ROOM, "eve's offer")
    await until(lambda: len(second.publishers) == 2 and third.state.name == "established")
    events = {room: Watcher(room.events) for room in (first, second, third)}
    for room in (first, second, third):
        await room.trickle([CANDIDATE])
        await room.trickle([])
    await first.update(audio=True, video=False, bitrate=128)
    message_id = await first.send_message("tea?")
    assert (await events[first].get(messages.MessageDelivery)).message_id == message_id
    assert [(await events[room].get(messages.RoomMessage)).content for room in (second, third)] == ["tea?"] * 2
    await second.set_composing(True, 30)
    assert events[third].first(messages.ComposingIndication).refresh == 30
    await second.set_composing(False)
    await third.mute_audio_participants()
    assert (await events[first].get(messages.MuteAudio)).originator == third.id
    await first.configure([second.id, third.id])
    await until(lambda: third.active_participants == (second.id, third.id))

    hands = Watcher(first.raised_hands_stream)
    await second.toggle_hand()
    await third.toggle_hand()
    await until(lambda: first.raised_hands == (second.id, third.id))
    await first.toggle_hand(second.id)
    await until(lambda: hands.values[-1] == (third.id,))

    await second.leave()
    assert (await second.state_stream).name == "terminated"
    assert (await fed.reach("detached")).name == "detached"
    assert (await other.state_stream).reason == "the publisher left"
    await until(lambda: first.active_participants == (third.id,))
    assert [one.uri for one in first.publishers] == ["eve@example.com"]
    with pytest.raises(SylkError, match="Unknown publisher"):
        await first.attach(second.id).requested
    for room in (first, third):
        await room.leave()
        await room.state_stream
    assert [watcher.ends for watcher in (states, fed, hands, *events.values())] == [[None]] * 6
    assert repr(feed) == f"<SylkFeed {feed.id} of {first.id} detached>"
    assert repr(first) == f"<SylkRoom {ROOM} terminated>"


def test_a_feed_can_be_given_back(ada: SylkAccount, bob: SylkAccount) -> None:
    first, second = ada.join(ROOM, "offer"), bob.join(ROOM, "offer")
    wait_until(lambda: first.publishers or second.publishers)
    room, publisher = (first, first.publishers) if first.publishers else (second, second.publishers)
    feed = room.attach(publisher[0].id)
    states = Watcher(feed.state_stream)
    states.wait("attached")
    feed.detach().result(10)
    states.wait("detached")
    assert (room.feeds, room.files, feed.publisher) == ((), (), publisher[0].id)
    assert states.ends == [None]


def test_refused(sylk: SylkEmulator, ada: SylkAccount) -> None:
    sylk.refuse_next("videoroom-join", "is not allowed to join")
    room = ada.join(ROOM, "offer")
    assert room.state_stream.result(10).reason == "is not allowed to join"
    with pytest.raises(InvalidCall, match="active_participants: holds the same one twice"):
        room.configure(["a", "a"])
    with pytest.raises(InvalidCall, match="participants: holds the same one twice"):
        room.invite(["a@b", "a@b"])
