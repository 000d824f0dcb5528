"""`SylkSession`, `SylkRoom`, `SylkFeed`: a call, a place in a video room, and what one of the others there sends.

Floor 3. Each is an object with a state stream, moved by its table in `rxsdk.protocols.sylk.tables`. What they ask of
the server are `Call`s: done when the server acknowledged, failed with `SylkError` when it refused. What the session
descriptions and candidates say is the application's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rxsdk.errors import InvalidCall
from rxsdk.protocols.sylk.book import CallSession, Feed, Room, StateChanged, SylkState
from rxsdk.protocols.sylk.messages import (
    Ack,
    Event,
    Identity,
    InitialPublishers,
    Publisher,
    PublishersJoined,
    PublishersLeft,
    RaisedHands,
    RoomMessage,
    SessionMessage,
    SessionUpdated,
    SharedFile,
)
from rxsdk.protocols.sylk.requests import Candidate
from rxsdk.reactive.call import Call
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.sylk_life import Part, SylkLife, iso_time, new_id

__all__ = ["SylkFeed", "SylkRoom", "SylkSession", "wire_headers"]

Candidates = Iterable[Candidate | Mapping[str, Any]]


def wire_headers(kind: str, headers: Mapping[str, str] | None) -> list[dict[str, str]] | None:
    """SIP headers as the wire has them."""
    if headers is None:
        return None
    if not isinstance(headers, Mapping):
        raise InvalidCall(kind, "headers", f"must map names to values, not be {type(headers).__name__}")
    return [{"name": name, "value": value} for name, value in headers.items()]


def _listed(kind: str, candidates: Candidates) -> list[Candidate | Mapping[str, Any]]:
    if isinstance(candidates, (str, Mapping)) or not isinstance(candidates, Iterable):
        raise InvalidCall(kind, "candidates", f"must be a list of candidates, not {type(candidates).__name__}")
    return list(candidates)


class SylkSession(Part):
    """A call: made with `SylkAccount.call`, or given by ``account.incoming``.

    Its life, outgoing: ``requested → progress → (proceeding, ringing, early-media) → accepted → established →
    terminated``; incoming: ``incoming → answering → accepted → established → terminated``. Where media flow before
    the answer, ``early-media → early-established → established``. A lost connection terminates it; the state's
    ``reason`` says so.
    """

    _thing: CallSession

    def __init__(self, life: SylkLife, thing: CallSession) -> None:
        super().__init__(life, thing)
        self.remote_sdp = thing.state.sdp
        """The other side's latest description: its offer, or its answer once there is one."""
        self.created: Call[Ack] | None = None
        """The request that began it; None for one that came in."""

    def __repr__(self) -> str:
        return f"<SylkSession {self.id} {self.state.name}>"

    @property
    def id(self) -> str:
        """Its id on the wire."""
        return self._thing.key

    @property
    def remote(self) -> Identity:
        """Who is at the other end."""
        return self._thing.remote

    @property
    def is_incoming(self) -> bool:
        """Whether the other side called."""
        return self._thing.is_incoming

    @property
    def state(self) -> SylkState:
        """Where it is."""
        return self._thing.state

    @property
    def state_stream(self) -> Stream[SylkState]:
        """`state` and its changes, the latest first; completes after ``terminated``."""
        return self._states

    @property
    def messages(self) -> Stream[SessionMessage]:
        """What the other side writes inside the call; a part of `events`."""
        return self._only(SessionMessage)

    @property
    def updates(self) -> Stream[SessionUpdated]:
        """New media offered (``received``: answer with `update`), and answers to ours; a part of `events`."""
        return self._only(SessionUpdated)

    def _received(self, event: Event) -> None:
        """See `Part._received`."""
        sdp = getattr(event, "sdp", None)
        if sdp is not None:
            self.remote_sdp = sdp
        super()._received(event)

    # -- requests

    def answer(self, sdp: str, headers: Mapping[str, str] | None = None) -> Call[Ack]:
        """Take an incoming call, with our description. Refused, it may be tried again."""
        return self._send("session-answer", session=self.id, sdp=sdp, headers=wire_headers("session-answer", headers))

    def trickle(self, candidates: Candidates) -> Call[Ack]:
        """Pass ICE candidates on: `Candidate`, or what WebRTC makes, ``{"candidate": …, "sdpMLineIndex": …, "sdpMid":
        …}``. An empty list says that there are no more."""
        return self._send("session-trickle", session=self.id, candidates=_listed("session-trickle", candidates))

    def update(self, sdp: str, headers: Mapping[str, str] | None = None) -> Call[Ack]:
        """Offer other media, or answer such an offer; what comes of it is in `updates`."""
        return self._send("session-update", session=self.id, sdp=sdp, headers=wire_headers("session-update", headers))

    def send_dtmf(self, digit: str, duration: int | None = None) -> Call[Ack]:
        """Press a key: ``0``-``9``, ``A``-``D``, ``*`` or ``#``, for ``duration`` milliseconds."""
        return self._send("session-dtmf-info", session=self.id, digit=digit, duration=duration)

    def send_message(
        self,
        content: str,
        content_type: str = "text/plain",
        *,
        message_id: str | None = None,
        timestamp: datetime | str | None = None,
    ) -> Call[str]:
        """Write inside the call. The call's reply is the message's id, by which its disposition comes in `events`."""
        message_id = new_id() if message_id is None else message_id
        return self._send(
            "session-message",
            lambda _ack: message_id,
            session=self.id,
            message_id=message_id,
            content=content,
            content_type=content_type,
            timestamp=iso_time("session-message", "timestamp", timestamp),
        )

    def terminate(self) -> Call[Ack]:
        """Hang up, or decline. The state is ``terminated`` soon after, whatever the server does."""
        return self._send("session-terminate", session=self.id)


class SylkRoom(Part):
    """A place in a video room, made with `SylkAccount.join`: ``requested → progress → accepted → established →
    terminated``. A lost connection terminates it; the state's ``reason`` says so.

    What we send is the offer of `SylkAccount.join`, answered by the ``sdp`` of ``accepted``. What the others send is
    asked for one by one: `publishers` says who is there, `attach` makes a `SylkFeed` of one.
    """

    _thing: Room

    def __init__(self, life: SylkLife, thing: Room) -> None:
        super().__init__(life, thing)
        self._publishers: Multicast[tuple[Publisher, ...]] = self._stream(keep_latest=True, initial=())
        self._raised_hands: Multicast[tuple[str, ...]] = self._stream(keep_latest=True, initial=())
        self.joined: Call[Ack]
        """The request that began it."""

    def __repr__(self) -> str:
        return f"<SylkRoom {self.uri} {self.state.name}>"

    @property
    def id(self) -> str:
        """The id of our place in it."""
        return self._thing.key

    @property
    def uri(self) -> str:
        """The room's address."""
        return self._thing.remote.uri

    @property
    def state(self) -> SylkState:
        """Where it is; ``accepted`` brings the room's description."""
        return self._thing.state

    @property
    def state_stream(self) -> Stream[SylkState]:
        """`state` and its changes, the latest first; completes after ``terminated``."""
        return self._states

    @property
    def messages(self) -> Stream[RoomMessage]:
        """What is written in the room; a part of `events`."""
        return self._only(RoomMessage)

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        """Who else is there."""
        return tuple(self._thing.publishers.values())

    @property
    def publishers_stream(self) -> Stream[tuple[Publisher, ...]]:
        """`publishers` and its changes, the latest first."""
        return self._publishers

    @property
    def feeds(self) -> tuple[SylkFeed, ...]:
        """The feeds that are attached, or being so."""
        return tuple(feed.listener for feed in self._thing.parts())

    @property
    def active_participants(self) -> tuple[str, ...]:
        """The sessions that are shown large, at most two."""
        return self._thing.active_participants

    @property
    def raised_hands(self) -> tuple[str, ...]:
        """The sessions with a hand up, the longest first."""
        return self._thing.raised_hands

    @property
    def raised_hands_stream(self) -> Stream[tuple[str, ...]]:
        """`raised_hands` and its changes, the latest first."""
        return self._raised_hands

    @property
    def files(self) -> tuple[SharedFile, ...]:
        """What has been shared there."""
        return self._thing.files

    def _received(self, event: Event) -> None:
        """See `Part._received`; by now the book knows of it."""
        super()._received(event)
        if isinstance(event, (InitialPublishers, PublishersJoined, PublishersLeft)):
            self._publishers.emit(self.publishers)
        elif isinstance(event, RaisedHands):
            self._raised_hands.emit(self.raised_hands)

    # -- requests

    def leave(self) -> Call[Ack]:
        """Go. The state is ``terminated`` soon after, whatever the server does."""
        return self._send("videoroom-leave", session=self.id)

    def attach(self, publisher: Publisher | str) -> SylkFeed:
        """Ask for what a publisher sends: once the feed is ``attached``, answer its ``sdp``."""
        publisher_id = publisher.id if isinstance(publisher, Publisher) else publisher
        thing = Feed(new_id(), self._thing, publisher_id)
        fields = {"session": self.id, "publisher": publisher_id, "feed": thing.key}
        request = self._life.request("videoroom-feed-attach", fields, about=thing)
        feed = SylkFeed(self._life, thing)
        feed.requested = self._life.begin(request)
        return feed

    def trickle(self, candidates: Candidates) -> Call[Ack]:
        """Pass ICE candidates on: `Candidate`, or what WebRTC makes, ``{"candidate": …, "sdpMLineIndex": …, "sdpMid":
        …}``. An empty list says that there are no more."""
        kind = "videoroom-session-trickle"
        return self._send(kind, session=self.id, candidates=_listed(kind, candidates))

    def update(self, *, audio: bool | None = None, video: bool | None = None, bitrate: int | None = None) -> Call[Ack]:
        """Change what we send; what is not given stays as it is."""
        given = {"audio": audio, "video": video, "bitrate": bitrate}
        options = {name: value for name, value in given.items() if value is not None}
        return self._send("videoroom-session-update", session=self.id, options=options)

    def configure(self, active_participants: Sequence[str]) -> Call[Ack]:
        """Say which sessions (at most two, distinct) are shown large to everybody."""
        return self._send("videoroom-configure", session=self.id, active_participants=active_participants)

    def invite(self, participants: Sequence[str]) -> Call[Ack]:
        """Ask others in, by their (distinct) addresses."""
        return self._send("videoroom-invite", session=self.id, participants=participants)

    def send_message(
        self, content: str, content_type: str = "text/plain", *, message_id: str | None = None
    ) -> Call[str]:
        """Write to everybody. The call's reply is the message's id, by which its delivery comes in `events`."""
        message_id = new_id() if message_id is None else message_id
        return self._send(
            "videoroom-message",
            lambda _ack: message_id,
            session=self.id,
            message_id=message_id,
            content=content,
            content_type=content_type,
        )

    def set_composing(self, is_active: bool, refresh: int | None = None) -> Call[Ack]:
        """Tell the others that we are writing (again each ``refresh`` seconds), or have stopped."""
        kind = "videoroom-composing-indication"
        if not isinstance(is_active, bool):
            raise InvalidCall(kind, "is_active", f"must be True or False, not {type(is_active).__name__}")
        return self._send(kind, session=self.id, state="active" if is_active else "idle", refresh=refresh)

    def mute_audio_participants(self) -> Call[Ack]:
        """Ask everybody to be quiet."""
        return self._send("videoroom-mute-audio-participants", session=self.id)

    def toggle_hand(self, session_id: str | None = None) -> Call[Ack]:
        """Raise or lower our hand, or that of another session."""
        return self._send("videoroom-toggle-hand", session=self.id, session_id=session_id)


class SylkFeed(Part):
    """What a publisher sends to us: ``attaching → attached → answering → established → detached``."""

    _thing: Feed

    def __init__(self, life: SylkLife, thing: Feed) -> None:
        super().__init__(life, thing)
        self.sdp: str | None = None
        """The offer, once it is attached."""
        self.requested: Call[Ack]
        """The request that began it."""

    def __repr__(self) -> str:
        return f"<SylkFeed {self.id} of {self.publisher} {self.state.name}>"

    @property
    def id(self) -> str:
        """Its id on the wire."""
        return self._thing.key

    @property
    def publisher(self) -> str:
        """Whose session it shows."""
        return self._thing.publisher

    @property
    def state(self) -> SylkState:
        """Where it is; ``attached`` brings the offer."""
        return self._thing.state

    @property
    def state_stream(self) -> Stream[SylkState]:
        """`state` and its changes, the latest first; completes after ``detached``."""
        return self._states

    def _changed(self, change: StateChanged) -> None:
        """See `Part._changed`."""
        self.sdp = change.state.sdp or self.sdp
        super()._changed(change)

    def answer(self, sdp: str) -> Call[Ack]:
        """Take it, with our description."""
        return self._send("videoroom-feed-answer", session=self._thing.room.key, feed=self.id, sdp=sdp)

    def detach(self) -> Call[Ack]:
        """Have it no more."""
        return self._send("videoroom-feed-detach", session=self._thing.room.key, feed=self.id)
