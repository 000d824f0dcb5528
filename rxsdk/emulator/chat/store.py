"""What the chat server keeps: messages, who got and read them, and the events nobody has acknowledged. In SQLite.

Everything is written before it is answered, so a server that is killed forgets nothing it has said.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

__all__ = ["Room", "Store"]

_SCHEMA = """
create table if not exists messages (
    room text, id integer, client_id text, sender text, type text, doc text, created_at integer, deleted integer,
    primary key (room, id)
);
create index if not exists by_client_id on messages (room, sender, client_id);
create table if not exists receipts (
    room text, id integer, user text, dlvrd integer, read integer, primary key (room, id, user)
);
create table if not exists events (id integer primary key autoincrement, user text, frame text);
create index if not exists by_user on events (user, id);
"""


class Room:
    """A chat as the server knows it: both sides of a dialog, or the members of a group."""

    def __init__(self, key: str, members: tuple[str, ...], *, is_group: bool) -> None:
        self.key = key
        self.members = members
        self.is_group = is_group

    def id_for(self, user: str) -> str:
        """ "For a dialog, chatId is the other user's id on both sides" """
        if self.is_group:
            return self.key
        return next((member for member in self.members if member != user), user)

    def others(self, user: str) -> list[str]:
        """The members without ``user``."""
        return [member for member in self.members if member != user]


class Store:
    """The tables; used on the server's loop alone."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.executescript("pragma journal_mode = wal; pragma synchronous = off;" + _SCHEMA)

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    # -- messages

    def add(self, room: Room, doc: dict[str, Any]) -> int:
        """Keep a message; returns its id, the next of its chat."""
        (last,) = self._db.execute("select coalesce(max(id), 0) from messages where room = ?", (room.key,)).fetchone()
        message_id = int(last) + 1
        doc = {"messageId": message_id, **doc}
        self._db.execute(
            "insert into messages values (?, ?, ?, ?, ?, ?, ?, 0)",
            (
                room.key,
                message_id,
                doc["clientMessageId"],
                doc["sender"],
                doc["type"],
                json.dumps(doc),
                doc["createdAt"],
            ),
        )
        return message_id

    def find_sent(self, room: Room, sender: str, client_id: str) -> dict[str, Any] | None:
        """The message that ``sender`` sent under this id before."""
        found = self._db.execute(
            "select doc from messages where room = ? and sender = ? and client_id = ?", (room.key, sender, client_id)
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def get(self, room: Room, message_id: int) -> dict[str, Any] | None:
        """One message, as it was stored."""
        found = self._db.execute(
            "select doc from messages where room = ? and id = ?", (room.key, message_id)
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def put(self, room: Room, doc: dict[str, Any]) -> None:
        """Replace a message."""
        self._db.execute(
            "update messages set doc = ?, deleted = ? where room = ? and id = ?",
            (json.dumps(doc), "deletedAt" in doc, room.key, doc["messageId"]),
        )

    def page(self, room: Room, user: str, where: str, bound: int, order: str, count: int) -> list[dict[str, Any]]:
        """So many messages as ``user`` sees them, by id."""
        rows = self._db.execute(
            f"select doc from messages where room = ? and id {where} ? order by id {order} limit ?",
            (room.key, bound, count),
        ).fetchall()
        docs = sorted((json.loads(row[0]) for row in rows), key=lambda doc: int(doc["messageId"]))
        return [self._seen_by(room, user, doc) for doc in docs]

    def _seen_by(self, room: Room, user: str, doc: dict[str, Any]) -> dict[str, Any]:
        got = self._db.execute(
            "select user, dlvrd, read from receipts where room = ? and id = ?", (room.key, doc["messageId"])
        ).fetchall()
        ours = got if doc["sender"] == user else [row for row in got if row[0] == user]
        if "deletedAt" in doc:
            status = "deleted"
        elif any(row[2] is not None for row in ours):
            status = "read"
        else:
            status = "unread" if ours else "undelivered"
        seen = {**doc, "status": status}
        if room.is_group:
            seen["delivering"] = [
                {"userId": who, "dlvrd": at, **({"read": read} if read is not None else {})} for who, at, read in got
            ]
        return seen

    def last(self, room: Room, user: str) -> dict[str, Any] | None:
        """The latest message."""
        page = self.page(room, user, ">", 0, "desc", 1)
        return page[0] if page else None

    def unread(self, room: Room, user: str) -> list[int]:
        """The ids of what the others sent and ``user`` has not read."""
        rows = self._db.execute(
            "select m.id from messages m left join receipts r on r.room = m.room and r.id = m.id and r.user = ?2"
            " where m.room = ?1 and m.sender != ?2 and m.type = 'new' and not m.deleted and r.read is null order by 1",
            (room.key, user),
        ).fetchall()
        return [int(row[0]) for row in rows]

    def mark(self, room: Room, user: str, up_to: int | None, column: str, now: int) -> list[tuple[int, str, str]]:
        """Note that ``user`` got or read what the others sent; returns the ``(id, sender, client id)`` that is new."""
        rows = self._db.execute(
            f"select m.id, m.sender, m.client_id from messages m"
            f" left join receipts r on r.room = m.room and r.id = m.id and r.user = ?2"
            f" where m.room = ?1 and m.sender != ?2 and m.id <= ?3 and r.{column} is null order by m.id",
            (room.key, user, 2**62 if up_to is None else up_to),
        ).fetchall()
        read = now if column == "read" else None
        self._db.executemany(
            "insert into receipts values (?, ?, ?, ?, ?)"
            " on conflict do update set read = coalesce(read, excluded.read)",
            [(room.key, row[0], user, now, read) for row in rows],
        )
        return [(int(row[0]), row[1], row[2]) for row in rows]

    def rooms(self) -> list[str]:
        """The keys of all rooms with messages."""
        return [row[0] for row in self._db.execute("select distinct room from messages order by room")]

    # -- events

    def add_event(self, user: str, frame: dict[str, Any]) -> dict[str, Any]:
        """Keep an event until ``user`` acknowledges it; returns it with its id."""
        cursor = self._db.execute("insert into events (user, frame) values (?, '')", (user,))
        frame = {**frame, "id": cursor.lastrowid}
        self._db.execute("update events set frame = ? where id = ?", (json.dumps(frame), cursor.lastrowid))
        return frame

    def waiting(self, user: str) -> list[dict[str, Any]]:
        """The events that ``user`` has not acknowledged, in order."""
        rows = self._db.execute("select frame from events where user = ? order by id", (user,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def acknowledged(self, user: str, event_id: int) -> None:
        """``user`` has it."""
        self._db.execute("delete from events where user = ? and id = ?", (user, event_id))
