"""`SylkAccount`: a SIP account of a `SylkService`: its registration, its messages, the calls it makes and gets.

Floor 3. What it asks of the server are `Call`s: done when the server acknowledged, failed with `SylkError` when it
refused. After a reconnect it is added, and registered if it was to be, by the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rxsdk.errors import InvalidCall
from rxsdk.protocols.sylk.book import Account, CallSession, Room, SylkState
from rxsdk.protocols.sylk.messages import (
    AccountDisposition,
    AccountMessage,
    Ack,
    ConferenceInvite,
    Identity,
    SyncConversations,
)
from rxsdk.protocols.sylk.requests import Disposition
from rxsdk.reactive.call import Call
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.sylk_life import Part, SylkLife, iso_time, new_id
from rxsdk.sylk_session import SylkRoom, SylkSession, wire_headers

__all__ = ["SylkAccount"]


class SylkAccount(Part):
    """Made by `SylkService.add_account`. It lives until it is removed or the service ends.

    Subscribe first, then register, and nothing is missed::

        account.incoming.subscribe(lambda call: call.answer(answer_to(call.remote_sdp)))
        account.messages.subscribe(lambda message: print(message.sender.uri, message.content))
        account.register()

    To call, to enter a room or to look a key up it need not be registered; to write, it must have been.

    Its registration: ``adding → unregistered → registering → registered``, or ``failed`` with a ``reason``; ``removed``
    at the end.
    """

    _thing: Account

    def __init__(self, life: SylkLife, thing: Account) -> None:
        super().__init__(life, thing)
        self._incoming: Multicast[SylkSession] = self._stream()

    def __repr__(self) -> str:
        return f"<SylkAccount {self.address} {self.registration.name}>"

    @property
    def address(self) -> str:
        """``user@domain``."""
        return self._thing.key

    @property
    def registration(self) -> SylkState:
        """Where its registration is."""
        return self._thing.state

    @property
    def registration_stream(self) -> Stream[SylkState]:
        """`registration` and its changes, the latest first; completes after ``removed``."""
        return self._states

    @property
    def incoming(self) -> Stream[SylkSession]:
        """The calls that come in, to be answered or terminated: hot, without replay."""
        return self._incoming

    @property
    def messages(self) -> Stream[AccountMessage]:
        """The messages that come in; a part of `events`."""
        return self._only(AccountMessage)

    @property
    def dispositions(self) -> Stream[AccountDisposition]:
        """What became of the messages sent, by ``message_id``; a part of `events`."""
        return self._only(AccountDisposition)

    @property
    def conversations(self) -> Stream[SyncConversations]:
        """What was asked for with `sync_conversations`; a part of `events`."""
        return self._only(SyncConversations)

    @property
    def invitations(self) -> Stream[ConferenceInvite]:
        """Who asks the account into which room; a part of `events`."""
        return self._only(ConferenceInvite)

    def _arrived(self, thing: CallSession) -> None:
        """Somebody calls."""
        self._incoming.emit(SylkSession(self._life, thing))

    # -- registration

    def register(self) -> Call[Ack]:
        """Begin to receive calls and messages.

        The call is done when the server has taken the request; whether the password was right is told by
        `registration_stream`, with ``registered`` or ``failed`` and the reason.
        """
        return self._send("account-register", account=self.address)

    def unregister(self) -> Call[Ack]:
        """Receive no more."""
        return self._send("account-unregister", account=self.address)

    def remove(self) -> Call[Ack]:
        """Take it out of the service; its streams end."""
        return self._send("account-remove", account=self.address)

    # -- calls and rooms

    def call(self, uri: str, sdp: str, headers: Mapping[str, str] | None = None) -> SylkSession:
        """Call ``uri`` (``user@domain``) with our offer ``sdp``; it is on its way when this returns.

        Should it come to nothing, its state is ``terminated``, with the reason.

        Raises:
            InvalidCall: an argument cannot make a call.
        """
        thing = CallSession(new_id(), self.address, Identity(uri))
        fields = {"account": self.address, "session": thing.key, "uri": uri, "sdp": sdp}
        request = self._life.request(
            "session-create", {**fields, "headers": wire_headers("session-create", headers)}, about=thing
        )
        session = SylkSession(self._life, thing)
        session.created = self._life.begin(request)
        return session

    def join(self, uri: str, sdp: str, *, audio: bool | None = None, video: bool | None = None) -> SylkRoom:
        """Enter the video room ``uri`` with our offer ``sdp``; who comes first decides whether it has sound and image.

        Should it come to nothing, the room's state is ``terminated``, with the reason.

        Raises:
            InvalidCall: an argument cannot make a call.
        """
        thing = Room(new_id(), self.address, uri)
        fields = {"account": self.address, "session": thing.key, "uri": uri, "sdp": sdp, "audio": audio, "video": video}
        request = self._life.request("videoroom-join", fields, about=thing)
        room = SylkRoom(self._life, thing)
        room.joined = self._life.begin(request)
        return room

    # -- messages

    def send_message(
        self,
        uri: str,
        content: str,
        content_type: str = "text/plain",
        *,
        message_id: str | None = None,
        timestamp: datetime | str | None = None,
        server_generated: bool | None = None,
    ) -> Call[str]:
        """Write to ``uri``. The call's reply is the message's id, by which its `dispositions` come.

        Args:
            content: text; other than of a ``content_type`` ``text/…`` the gateway takes Latin-1 only: use Base64.
            message_id: one of yours; made when not given.
            timestamp: a datetime with its zone, or ISO 8601; now when not given.

        Raises:
            InvalidCall: an argument cannot make a call.
        """
        message_id = new_id() if message_id is None else message_id
        return self._send(
            "account-message",
            lambda _ack: message_id,
            account=self.address,
            uri=uri,
            message_id=message_id,
            content=content,
            content_type=content_type,
            timestamp=iso_time("account-message", "timestamp", timestamp),
            server_generated=server_generated,
        )

    def send_disposition(self, message: AccountMessage, state: Disposition) -> Call[Ack]:
        """Tell the sender of ``message`` what became of it: ``delivered``, ``displayed``, ``failed`` …"""
        kind = "account-disposition-notification"
        if not isinstance(message, AccountMessage):
            raise InvalidCall(kind, "message", f"must be one of `messages`, not {type(message).__name__}")
        return self._send(
            kind,
            account=self.address,
            uri=message.sender.uri,
            message_id=message.message_id,
            state=state,
            timestamp=message.timestamp,
        )

    def sync_conversations(
        self, message_id: str | None = None, since: datetime | str | None = None, limit: int | None = None
    ) -> Call[Ack]:
        """Ask for the messages after ``message_id``, or ``since``, at most ``limit`` (the server's: 5000); they come in
        `conversations`."""
        kind = "account-sync-conversations"
        moment = None if since is None else iso_time(kind, "since", since)
        return self._send(kind, account=self.address, message_id=message_id, since=moment, limit=limit)

    def mark_conversation_read(self, contact: str) -> Call[Ack]:
        """All that ``contact`` wrote has been read."""
        return self._send("account-mark-conversation-read", account=self.address, contact=contact)

    def remove_conversation(self, contact: str) -> Call[Ack]:
        """Delete all messages with ``contact`` on the server."""
        return self._send("account-remove-conversation", account=self.address, contact=contact)

    def remove_message(self, message_id: str, contact: str) -> Call[Ack]:
        """Delete one message on the server."""
        return self._send("account-remove-message", account=self.address, message_id=message_id, contact=contact)

    def set_device_token(self, token: str, *, platform: str, device: str, app: str, silent: bool = False) -> Call[Ack]:
        """Where push notifications for this account go."""
        fields: dict[str, Any] = {"token": token, "platform": platform, "device": device, "silent": silent, "app": app}
        return self._send("account-devicetoken", account=self.address, **fields)
