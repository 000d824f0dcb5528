"""`Rooms`: video rooms, as the gateway and the media server behind it keep them.

Media there are none: a place is ``established`` as soon as it is ``accepted``, a feed as soon as it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from rxsdk.emulator.sylk.refusal import Refused
from rxsdk.emulator.sylk.world import Attendee, Client, FeedInfo, RoomInfo, World

__all__ = ["Rooms"]

_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={}\r\nt=0 0\r\n"
_REFRESH_S = 120


class Rooms:
    """The requests ``videoroom-…``; ``after`` has something told after the answer."""

    def __init__(self, world: World, after: Callable[[Callable[[], None]], None]) -> None:
        self._world = world
        self._after = after

    @staticmethod
    def _place(client: Client, request: dict[str, Any]) -> Attendee:
        place = client.places.get(request["session"])
        if place is None:
            raise Refused(f"Unknown room session: {request['session']}")
        return place

    @staticmethod
    def _to_all(room: RoomInfo, event: str, *, but: Attendee | None = None, **fields: Any) -> None:
        for other in room.attendees.values():
            if other is not but:
                other.client.tell_room(other.key, event, **fields)

    def join(self, client: Client, request: dict[str, Any]) -> None:
        """Enter a room, made if need be; the first decides on sound and image."""
        if request["session"] in client.places or request["session"] in client.feeds:
            raise Refused(f"Session ID {request['session']} already in use")
        account = client.accounts.get(request["account"])
        if account is None:
            raise Refused(f"Unknown account specified: {request['account']}")
        made = RoomInfo(request["uri"], request["audio"] is not False, request["video"] is not False)
        room = self._world.rooms.setdefault(made.uri, made)
        place = Attendee(request["session"], client, account, room)
        client.places[place.key] = place
        client.tell_room(place.key, "session-state", state="progress")  # before the answer, as there
        self._after(partial(self._enter, place))

    def _enter(self, place: Attendee) -> None:
        room, tell = place.room, partial(place.client.tell_room, place.key)
        tell("session-state", state="accepted", sdp=_SDP.format(room.uri), audio=room.audio, video=room.video)
        tell("initial-publishers", publishers=[_publisher(other) for other in room.attendees.values()])
        self._to_all(room, "publishers-joined", publishers=[_publisher(place)])
        room.attendees[place.key] = place
        if room.active_participants:
            tell("configure", originator="videoroom", active_participants=room.active_participants)
        if room.raised_hands:
            tell("raised-hands", raised_hands=room.raised_hands)
        tell("session-state", state="established")

    def leave(self, client: Client, request: dict[str, Any]) -> None:
        """Go."""
        place = self._place(client, request)
        client.tell_room(place.key, "session-state", state="terminated")  # before the answer, as there
        self._leave(place)

    def _leave(self, place: Attendee) -> None:
        room = place.room
        place.client.places.pop(place.key, None)
        for feed in place.feeds.values():
            place.client.feeds.pop(feed.key, None)
        room.attendees.pop(place.key, None)
        if place.key in room.raised_hands:
            room.raised_hands.remove(place.key)
        for other in room.attendees.values():
            if any(feed.publisher == place.key for feed in other.feeds.values()):  # "only who is subscribed to it"
                other.client.tell_room(other.key, "publishers-left", publishers=[place.key])
        if place.key in room.active_participants:
            room.active_participants.remove(place.key)
            self._to_all(room, "configure", originator="videoroom", active_participants=room.active_participants)
        if not room.attendees:
            self._world.rooms.pop(room.uri, None)

    def gone(self, client: Client) -> None:
        """A connection has ended, and its places with it."""
        for place in list(client.places.values()):
            self._leave(place)

    def configure(self, client: Client, request: dict[str, Any]) -> None:
        """Say who is shown large."""
        room = self._place(client, request).room
        unknown = set(request["active_participants"]) - room.attendees.keys()
        if unknown:
            raise Refused(f"unknown participant session id: {', '.join(sorted(unknown))}")
        room.active_participants = request["active_participants"]
        self._to_all(room, "configure", originator=request["session"], active_participants=room.active_participants)

    def feed_attach(self, client: Client, request: dict[str, Any]) -> None:
        """Ask for what somebody publishes."""
        place, key = self._place(client, request), request["feed"]
        if key in client.feeds or key in client.places:
            raise Refused(f"Video room session ID {key} already in use")
        if request["publisher"] not in place.room.attendees:
            raise Refused(f"Unknown publisher room session to attach to: {request['publisher']}")
        feed = FeedInfo(key, request["publisher"], place)
        client.feeds[key] = place.feeds[key] = feed
        self._after(
            partial(client.tell_room, place.key, "feed-attached", feed=key, sdp=_SDP.format(request["publisher"]))
        )

    def _feed(self, client: Client, request: dict[str, Any]) -> FeedInfo:
        feed = client.feeds.get(request["feed"])
        if feed is None:
            raise Refused(f"Unknown room session: {request['feed']}")
        if feed.attached_to.key != request["session"]:
            raise Refused(f"{request['feed']} is not an attached feed of {request['session']}")
        return feed

    def feed_answer(self, client: Client, request: dict[str, Any]) -> None:
        """Take it."""
        feed = self._feed(client, request)
        self._after(partial(client.tell_room, feed.attached_to.key, "feed-established", feed=feed.key))

    def feed_detach(self, client: Client, request: dict[str, Any]) -> None:
        """Have it no more."""
        feed = self._feed(client, request)
        del client.feeds[feed.key], feed.attached_to.feeds[feed.key]

    def invite(self, client: Client, request: dict[str, Any]) -> None:
        """Ask others in, wherever they have added their accounts."""
        place = self._place(client, request)
        for other in self._world.clients - {client}:
            for account in other.accounts.keys() & set(request["participants"]):
                other.tell_account(
                    account,
                    "conference-invite",
                    room=place.room.uri,
                    session_id=str(uuid4()),
                    originator=place.account.identity,
                )

    def session_trickle(self, client: Client, request: dict[str, Any]) -> None:
        """Candidates go to the media server, which is not here."""
        self._place(client, request)

    def session_update(self, client: Client, request: dict[str, Any]) -> None:
        """So do changes of what is sent."""
        self._place(client, request)

    def message(self, client: Client, request: dict[str, Any]) -> None:
        """Write to the others."""
        place = self._place(client, request)
        stamp = self._world.now()
        said = {"content": request["content"], "content_type": request["content_type"], "type": "normal"}

        def tell() -> None:
            self._to_all(place.room, "message", but=place, sender=place.account.identity, timestamp=stamp, **said)
            client.tell_room(
                place.key, "message-delivery", message_id=request["message_id"], delivered=True, code=200, reason="OK"
            )

        self._after(tell)

    def composing_indication(self, client: Client, request: dict[str, Any]) -> None:
        """Tell the others of it."""
        place = self._place(client, request)
        self._to_all(
            place.room,
            "composing-indication",
            but=place,
            state=request["state"],
            refresh=request["refresh"] or _REFRESH_S,
            content_type="text/plain",
            sender=place.account.identity,
        )

    def mute_audio_participants(self, client: Client, request: dict[str, Any]) -> None:
        """Ask everybody, oneself too."""
        self._to_all(self._place(client, request).room, "mute-audio", originator=request["session"])

    def toggle_hand(self, client: Client, request: dict[str, Any]) -> None:
        """Raise or lower a hand."""
        room = self._place(client, request).room
        session = request["session_id"] or request["session"]
        if session in room.raised_hands:
            room.raised_hands.remove(session)
        else:
            room.raised_hands.append(session)
        self._to_all(room, "raised-hands", raised_hands=room.raised_hands)


def _publisher(place: Attendee) -> dict[str, Any]:
    return {"id": place.key, "uri": place.account.address, "display_name": place.account.display_name or ""}
