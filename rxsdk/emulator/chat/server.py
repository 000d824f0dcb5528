"""The running chat server: who is connected, what they ask, and what the others are told of it.

Lives on one event loop. Requests are answered in the order they come. The wire has no form for a refusal: what makes
no sense (no such message, not yours) is answered without a payload.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from rxsdk.emulator.chat.store import Room, Store
from rxsdk.emulator.clock import Alarms, Clock
from rxsdk.emulator.listener import Listener
from rxsdk.emulator.scripting import Played, Record, Script
from rxsdk.emulator.socket import Socket

__all__ = ["ChatServer"]

log = logging.getLogger("rxsdk.emulator")

MAX_FRAME_BYTES = 4 * 1024 * 1024
SILENCE_S = 20.0
""" "The client must send something at least every 20 s" """
COUNT, MOST = 300, 500
""" "count? 1-500, default 300" """

Answer = dict[str, Any] | list[dict[str, Any]] | None


class _Client(Socket):
    """One connection of a user."""

    def __init__(self, number: int, ws: web.WebSocketResponse, request: web.Request, user: str) -> None:
        super().__init__(number, ws, request)
        self.user = user
        self.heard_at = 0.0
        self.said_goodbye = False


class _Refused(Exception):
    """The request makes no sense."""


class ChatServer:
    """One server; ``tokens`` is who connects with which token, ``groups`` the members of each group."""

    def __init__(
        self,
        host: str,
        tokens: dict[str, str],
        groups: dict[str, tuple[str, ...]],
        data: Path | None,
        clock: Clock,
        script: Script,
        record: Record,
    ) -> None:
        self._listener = Listener(host)
        self._tokens = tokens
        self._groups = groups
        self._clock = clock
        self._alarms = Alarms(clock, asyncio.get_running_loop())
        self._script = script
        self._record = record
        self._store = Store(data)
        self._numbered = 0
        self.connections: list[_Client] = []
        self._answers: dict[str, Callable[[str, dict[str, Any]], Answer]] = {
            "new": self._new,
            "edit": self._edit,
            "delete": self._delete,
            "dlvrd": self._dlvrd,
            "read": self._read,
            "messages": self._messages,
            "chat": self._chat,
            "chats": self._chats,
        }

    async def open(self, port: int) -> int:
        """Listen; returns the port."""
        app = web.Application()
        app.router.add_get("/ws", self._connect)
        port = await self._listener.open(app, port)
        self._alarms.after(1.0, self._look_around)
        return port

    async def close(self) -> None:
        """Cut all connections, and stop listening."""
        self._alarms.close()
        for client in list(self.connections):
            client.abort()
        await self._listener.close()
        self._store.close()

    # -- who is there

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        user = self._tokens.get(token)
        if user is None:
            raise web.HTTPUnauthorized(text="no such token")
        ws = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES, compress=False)
        await _Client.accept(ws, request)
        self._numbered += 1
        client = _Client(self._numbered, ws, request, user)
        client.heard_at = self._clock.monotonic()
        self._arrived(client)
        try:
            await client.serve(self._take)
        finally:
            self._left(client)
        return ws

    def _arrived(self, client: _Client) -> None:
        """Who is online, who we are, and what was not acknowledged before."""
        online = {other.user for other in self.connections}
        for user in sorted(online - {client.user}):
            client.send_text(json.dumps(self._event("online", {"userId": user})))
        self.connections.append(client)
        if client.user not in online:
            self._tell_contacts(client.user, "online")
        for frame in self._store.waiting(client.user):
            client.send_text(json.dumps(frame))

    def _left(self, client: _Client) -> None:
        self.connections.remove(client)
        if not client.said_goodbye and all(other.user != client.user for other in self.connections):
            self._tell_contacts(client.user, "offline")

    def _tell_contacts(self, user: str, event_type: str) -> None:
        for other in self._tokens.values():
            if other != user:
                self.tell(other, event_type, {"userId": user}, keep=False)

    def _look_around(self, due: float) -> None:
        self._alarms.at(due + 1.0, self._look_around)
        for client in list(self.connections):
            if due - client.heard_at > SILENCE_S:
                client.close(1001, "silent")

    # -- events out

    def _event(self, event_type: str, payload: Any) -> dict[str, Any]:
        return {"type": "event", "timestamp": self._now(), "eventType": event_type, "payload": payload}

    def _now(self) -> int:
        return round(self._clock.wall() * 1000)

    def tell(self, user: str, event_type: str, payload: Any, *, keep: bool = True) -> None:
        """Send an event to every connection of ``user``; with ``keep``, again until it is acknowledged."""
        frame = self._event(event_type, payload)
        if keep:
            frame = self._store.add_event(user, frame)
        text = json.dumps(frame)
        for client in self.connections:
            if client.user == user:
                client.send_text(text)

    def waiting(self, user: str) -> list[dict[str, Any]]:
        """The events that ``user`` has not acknowledged."""
        return self._store.waiting(user)

    # -- frames in

    def _take(self, client: _Client, text: str) -> None:
        client.heard_at = self._clock.monotonic()
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            self._record.note_received(client.number, {"ping": text[:100]}, accepted=True)
            if not self._played("ping").silent:
                client.send_text('{"event": "pong"}')
            return
        self._record.note_received(client.number, frame, accepted=True, size=len(text))
        if frame["type"] == "ack":
            if not self._played("ack").silent and str(frame.get("id", "")).isdecimal():
                self._store.acknowledged(client.user, int(frame["id"]))
        elif frame["type"] == "event":
            self._take_event(client, frame)
        elif frame["type"] == "request":
            self._take_request(client, frame)

    def _played(self, what: str) -> Played:
        return self._script.play(what) or Played()

    def _take_event(self, client: _Client, frame: dict[str, Any]) -> None:
        payload = frame.get("payload")
        if frame.get("eventType") == "offline":
            client.said_goodbye = True
            self._tell_contacts(client.user, "offline")
        elif frame.get("eventType") == "typing" and isinstance(payload, dict):
            try:
                room = self._room(client.user, payload)
            except _Refused:
                return
            for other in room.others(client.user):
                told: dict[str, Any] = {"userId": client.user, "chatId": room.id_for(other)}
                told |= {"stop": True} if payload.get("stop") is True else {}
                self.tell(other, "typing", told, keep=False)

    def _take_request(self, client: _Client, frame: dict[str, Any]) -> None:
        payload_type = str(frame.get("payloadType"))
        played = self._played(payload_type)

        def answer(_due: float) -> None:
            if client.closed and played.delay_s:
                return
            payload = self._run(client.user, payload_type, frame, played)
            if not played.silent:
                response = {"type": "response", "timestamp": self._now(), "id": frame.get("id")}
                client.send_text(json.dumps(response if payload is None else {**response, "payload": payload}))

        if played.delay_s:
            self._alarms.after(played.delay_s, answer)
        else:
            answer(0.0)

    def _run(self, user: str, payload_type: str, frame: dict[str, Any], played: Played) -> Any:
        scripted = played.reply(frame) if callable(played.reply) else played.reply
        if scripted is not None or not played.execute:
            return scripted
        payload = frame.get("payload")
        try:
            run = self._answers[payload_type]
            answer = run(user, payload if isinstance(payload, dict) else {})
        except (_Refused, KeyError, TypeError, ValueError, OverflowError) as error:
            log.debug("%s of %s makes no sense: %r", payload_type, user, error)
            return None
        self._record.note_executed(payload_type, frame.get("id"))
        return answer

    # -- requests

    def _room(self, user: str, payload: dict[str, Any]) -> Room:
        chat_id = payload["chatId"]
        if chat_id in self._groups:
            if user not in self._groups[chat_id]:
                raise _Refused("not a member")
            return Room(chat_id, self._groups[chat_id], is_group=True)
        if chat_id not in self._tokens.values():
            raise _Refused("no such chat")
        pair = tuple(sorted({user, chat_id}))
        return Room("\n".join(pair), pair, is_group=False)

    def _receipt(self, message_id: int, client_id: str) -> dict[str, Any]:
        return {"messageId": message_id, "timestamp": self._now(), "clientMessageId": client_id}

    def _new(self, user: str, payload: dict[str, Any]) -> Answer:
        room, client_id = self._room(user, payload), payload["clientMessageId"]
        before = self._store.find_sent(room, user, client_id)
        if before is not None:  # sent again, because its outcome was unknown
            return {**self._receipt(before["messageId"], client_id), "timestamp": before["createdAt"]}
        kept = _picked(payload, "message", "attachments", "replyTo")
        doc = {"clientMessageId": client_id, "sender": user, "type": "new", "createdAt": self._now(), **kept}
        receipt = {**self._receipt(self._store.add(room, doc), client_id), "timestamp": doc["createdAt"]}
        for other in room.others(user):
            told = {**receipt, "chatId": room.id_for(other), "sender": user, "senderName": user.title(), **kept}
            told |= {"missed": len(self._store.unread(room, other)), "status": "undelivered"}
            self.tell(other, "new", told)
        return receipt

    def _own(self, user: str, payload: dict[str, Any]) -> tuple[Room, dict[str, Any]]:
        room = self._room(user, payload)
        doc = self._store.get(room, int(payload["originalMessageId"]))
        if doc is None or doc["sender"] != user or "deletedAt" in doc:
            raise _Refused("no such message of theirs")
        return room, doc

    def _note_change(self, user: str, room: Room, kind: str, doc: dict[str, Any], kept: dict[str, Any]) -> Answer:
        """An edit or deletion is a message too, with an id of its own."""
        client_id = f"{kind}-{doc['clientMessageId']}-{self._now()}"
        original = {"originalMessageId": doc["messageId"], "originalClientMessageId": doc["clientMessageId"]}
        change = {"clientMessageId": client_id, "sender": user, "type": kind, "createdAt": self._now(), **kept}
        message_id = self._store.add(room, {**change, "payload": original})
        for other in room.others(user):
            told = {"chatId": room.id_for(other), "messageId": message_id, "originalMessageId": doc["messageId"]}
            self.tell(other, kind, {**told, **kept})
        return self._receipt(message_id, client_id)

    def _edit(self, user: str, payload: dict[str, Any]) -> Answer:
        room, doc = self._own(user, payload)
        kept = _picked(payload, "message", "attachments")
        self._store.put(room, {**doc, **kept, "updatedAt": self._now()})
        return self._note_change(user, room, "edit", doc, kept)

    def _delete(self, user: str, payload: dict[str, Any]) -> Answer:
        room, doc = self._own(user, payload)
        bare = {name: value for name, value in doc.items() if name not in ("message", "attachments")}
        self._store.put(room, {**bare, "deletedAt": self._now()})
        return self._note_change(user, room, "delete", doc, {})

    def _dlvrd(self, user: str, payload: dict[str, Any]) -> Answer:
        return self._mark(user, payload, "dlvrd")

    def _read(self, user: str, payload: dict[str, Any]) -> Answer:
        receipt = self._mark(user, payload, "read")
        return {**receipt, "missed": len(self._store.unread(self._room(user, payload), user))}

    def _mark(self, user: str, payload: dict[str, Any], column: str) -> dict[str, Any]:
        room = self._room(user, payload)
        marked = self._store.mark(room, user, payload.get("messageId"), column, self._now())
        latest = {sender: (message_id, client_id) for message_id, sender, client_id in marked}
        for sender, (message_id, client_id) in latest.items():
            told = {**self._receipt(message_id, client_id), "chatId": room.id_for(sender), "userId": user}
            self.tell(sender, column, told)
        message_id, _, client_id = marked[-1] if marked else (payload.get("messageId") or 0, "", "")
        return self._receipt(message_id, client_id)

    def _messages(self, user: str, payload: dict[str, Any]) -> Answer:
        room, count = self._room(user, payload), int(payload.get("count", COUNT))
        if not 1 <= count <= MOST or ("startId" in payload and "endId" in payload):
            raise _Refused("no such page")
        if "startId" in payload:
            return self._store.page(room, user, ">=", int(payload["startId"]), "asc", count)
        return self._store.page(room, user, "<", int(payload.get("endId", 2**62)), "desc", count)

    def _chat(self, user: str, payload: dict[str, Any]) -> Answer:
        room = self._room(user, payload)
        unread, last = self._store.unread(room, user), self._store.last(room, user)
        chat_id: str = payload["chatId"]
        chat: dict[str, Any] = {"chatId": chat_id, "photoUrl": "", "name": chat_id.title(), "meta": {}}
        chat |= {"type": "group" if room.is_group else "dialog", "missed": len(unread)}
        chat |= {"lastMessageId": last["messageId"]} if last else {}
        return chat | ({"firstMissed": unread[0]} if unread else {})

    def _chats(self, user: str, payload: dict[str, Any]) -> Answer:
        dialogs = [key.split("\n") for key in self._store.rooms() if "\n" in key]
        ids = [other for pair in dialogs if user in pair for other in pair if other != user]
        ids += [group for group, members in self._groups.items() if user in members]
        return [self._listed(user, chat_id) for chat_id in ids]

    def _listed(self, user: str, chat_id: str) -> dict[str, Any]:
        room = self._room(user, {"chatId": chat_id})
        unread, last = self._store.unread(room, user), self._store.last(room, user)
        item: dict[str, Any] = {"type": "group" if room.is_group else "dialog", "id": chat_id, "name": chat_id.title()}
        item |= {"missed": len(unread), **({"firstMissed": unread[0]} if unread else {})}
        if last is not None:
            item |= {"lastMessageId": last["messageId"], "lastMessageTime": last["createdAt"]}
            item |= {"lastMessageAuthor": last["sender"], "lastMessageStatus": last["status"]}
            item |= {"lastMessageText": last.get("message", ""), "isMine": last["sender"] == user}
        return item


def _picked(payload: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: payload[name] for name in names if name in payload}
