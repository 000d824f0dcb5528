"""Who watches what: open watches, and the events a change becomes for each.

Knows connections only as something with ``send``. A watch that another with the same ``call_id`` replaced goes on
unseen until its connection closes, as on the server: it can no longer be deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rxsdk.emulator.query import Where

__all__ = ["Watch", "Watches", "WatchingConnection"]

log = logging.getLogger("rxsdk.emulator")

Doc = dict[str, Any]


class WatchingConnection(Protocol):
    """What a watch needs of its connection."""

    watches: dict[Any, Watch]

    def send(self, message: Doc) -> None:
        """Queue a message for the client."""
        ...


@dataclass(eq=False)
class Watch:
    """One open watch.

    Args:
        project: what of a changed doc is shown.
        running: False for one that was created and failed at once: it never tells anything, and it cannot be
            deleted ("no such task").
    """

    connection: WatchingConnection
    call_id: Any
    collection: str
    where: Where
    project: Callable[[Doc], Doc]
    running: bool = field(default=True)

    def show(self, oper: str, doc: Doc) -> Doc | None:
        """What this watch tells of a changed doc; None when the change is not its business."""
        if oper == "delete":
            return None if self.where.conditions else {"_id": doc["_id"]}
        return self.project(doc) if self.where.matches(doc) else None


class Watches:
    """All watches of the server."""

    def __init__(self) -> None:
        self._by_collection: dict[str, list[Watch]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_collection.values()))

    def open(self, watch: Watch) -> None:
        """Register ``watch`` with its connection, and for the events of its collection when it runs."""
        watch.connection.watches[watch.call_id] = watch
        if watch.running:
            self._by_collection.setdefault(watch.collection, []).append(watch)

    def close(self, watch: Watch) -> None:
        """No more events for ``watch``."""
        watches = self._by_collection.get(watch.collection, [])
        if watch in watches:
            watches.remove(watch)

    def close_all_of(self, connection: WatchingConnection) -> None:
        """ "Watches … die with the connection." """
        for collection, watches in self._by_collection.items():
            self._by_collection[collection] = [w for w in watches if w.connection is not connection]
        connection.watches.clear()

    def watched(self, collection: str) -> bool:
        """True when somebody watches ``collection``."""
        return bool(self._by_collection.get(collection))

    def tell(self, collection: str, oper: str, doc: Doc) -> None:
        """Send the event of one changed doc to everybody whose query it matches.

        A hard delete leaves nothing to match a query against: only watches without conditions hear of it.
        """
        for watch in list(self._by_collection.get(collection, ())):
            try:
                shown = watch.show(oper, doc)
            except Exception:
                log.info("a watch of %s fails and is closed", collection, exc_info=True)
                self.close(watch)
                continue
            if shown is None:
                continue
            watch.connection.send(
                {
                    "status": 200,
                    "msg": "Detected 1 docs.",
                    "args": {
                        "count": 1,
                        "oper": oper,
                        "docs": [shown],
                        "call_id": watch.call_id,
                        "watch": watch.call_id,
                    },
                }
            )
