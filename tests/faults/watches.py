"""``python -m tests.faults.watches``: watches through random cuts while documents change, made anew 1 000 times each.

At the end each collection is the server's, every gap was told, nothing was told twice without one, and there is one
watch on the server for each Observable; none after the last has left.

Each gap stands in its place: what a plain watch with gaps tells between two of them is, event for event, how the
server began to tell it on one connection, which comes after that of the gap before. What a watched collection tells
between two gaps is of no event that came in before the first or after the second.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from rxsdk import ApiService, Gap, ReconnectPolicy, Res, Snapshot, Stream
from rxsdk.emulator import Emulator
from rxsdk.emulator.connection import Connection
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.staff import album_doc

__all__ = ["Report", "run"]

FAST = ReconnectPolicy(base_s=0.001, cap_s=0.01)
WATCHES = 3
"""Of these, the last is a plain one with gaps."""

Event = tuple[Any, ...]
"""What tells one change from all others: the document, and the number of its last change."""


@dataclass
class Told:
    """What one Observable has told, held against what a change means as it comes."""

    snapshots: int = 0
    changes: int = 0
    gaps: int = 0
    wrong: list[str] = field(default_factory=list)
    docs: dict[str, Any] = field(default_factory=dict)
    end: list[Any] = field(default_factory=list)
    between: list[list[Event]] = field(default_factory=lambda: [[]])
    """What was told before the first gap, between it and the second …"""

    def take(self, change: Any) -> None:
        if isinstance(change, Gap):
            self.gaps += 1
            self.between.append([])
        elif isinstance(change, Snapshot):
            self.snapshots += 1
            self.docs = dict(change.docs)
        else:
            self.changes += 1
            if change.doc is not None and type(change).__name__ != "Deleted":
                self.between[-1].append(event_of("update", change.doc))
            self._take_change(type(change).__name__, change.id, change.doc)

    def _take_change(self, kind: str, _id: str, doc: Any) -> None:
        known = self.docs.get(_id)
        if kind == "Deleted":
            self.docs.pop(_id, None)
            fits = known is not None
        else:
            self.docs[_id] = doc
            fits = known is None if kind == "Created" else known is not None and known != doc
        if not fits:
            self.wrong.append(f"{kind} {_id} told twice, or of nothing")


class ToldPlainly(Told):
    """The same of a call."""

    def take(self, change: Any) -> None:
        if not isinstance(change, Res):
            super().take(change)
        elif "oper" in change.args:
            self.changes += 1
            self.between[-1] += [event_of(change.args.oper, doc) for doc in change.docs]


def event_of(oper: str, doc: Any) -> Event:
    return doc["_id"], doc.get("rank"), oper == "delete" or doc.get("__deleted") is True


class Wire:
    """What the server told on each connection, and what of it came in, by watch."""

    def __init__(self) -> None:
        self.sent: dict[str, dict[int, list[Event]]] = {}
        self.received: dict[str, list[list[Event]]] = {}

    def looked_on(self, send: Any) -> Any:
        """``Connection.send`` that notes what it sends."""

        def noting(connection: Connection, message: dict[str, Any]) -> None:
            send(connection, message)
            args = message.get("args", {})
            if args.get("code") == "CORE_WATCH_OK":
                self.sent.setdefault(args["watch"], {})[connection.number] = []
            elif "oper" in args:
                self.sent[args["watch"]][connection.number] += [event_of(args["oper"], doc) for doc in args["docs"]]

        return noting

    def take(self, res: Res[Any]) -> None:
        """A message came in."""
        if res.code == "CORE_WATCH_OK":
            self.received.setdefault(res.args.watch, []).append([])
        elif "oper" in res.args:
            self.received[res.args.watch][-1] += [event_of(res.args.oper, doc) for doc in res.docs]

    def out_of_place(self, watch: str, told: Told) -> list[str]:
        """Where ``told`` does not fit what was sent, or what came in."""
        if isinstance(told, ToldPlainly):
            return self._not_sent_so(self.sent[watch], told)
        when = {event: at for at, events in enumerate(self.received[watch]) for event in events}
        return [
            f"{event} told after gap {at}, and it came in after gap {when[event]}"
            for at, events in enumerate(told.between)
            for event in events
            if when.get(event, at) != at
        ]

    @staticmethod
    def _not_sent_so(sent: dict[int, list[Event]], told: Told) -> list[str]:
        wrong, last = [], 0
        for at, events in enumerate(told.between):
            if not events:
                continue
            on = next((number for number, there in sent.items() if events[0] in there), 0)
            if on <= last or sent[on][: len(events)] != events:
                wrong.append(f"what was told after gap {at} was not sent so on connection {on}")
            last = on
        return wrong


@dataclass
class Report:
    """What a run came to."""

    seed: int
    cuts: int = 0
    wire: Wire = field(default_factory=Wire)
    changes: int = 0
    told: list[Told] = field(default_factory=list)
    there: dict[str, Any] = field(default_factory=dict)
    watches: int = -1
    watches_after: int = -1

    def failures(self) -> list[str]:
        """What did not hold."""
        found = [] if self.watches == WATCHES else [f"{self.watches} watches on the server for {WATCHES} Observables"]
        if self.watches_after != 0:
            found.append(f"{self.watches_after} watches left on the server")
        for watch, told in zip(self.wire.received, self.told, strict=True):
            found += [*told.wrong[:3], *self.wire.out_of_place(watch, told)[:3]]
            if told.gaps + 1 != len(self.wire.received[watch]):
                found.append(f"{told.gaps} gaps of a watch that was made {len(self.wire.received[watch])} times")
            if told.end:
                found.append(f"ended with {told.end}")
        for told in self.told[:-1]:
            if told.docs != self.there:
                found.append(f"a collection of {len(told.docs)} that is not the server's {len(self.there)}")
            if told.snapshots != 1:
                found.append(f"{told.snapshots} snapshots")
        return found

    def __str__(self) -> str:
        told = ", ".join(f"{one.changes:,} changes and {one.gaps:,} gaps" for one in self.told)
        return (
            f"seed {self.seed}: {self.cuts:,} cuts, "
            f"{self.changes:,} changes asked for; told: {told}; {len(self.there)} documents in the end"
        )


class _Change:
    """Changes documents at random, over a connection that is not cut."""

    def __init__(self, api: ApiService, chance: random.Random) -> None:
        self._api, self._chance = api, chance
        self._ids: list[str] = []
        self.made = 0

    def some(self, most: int) -> None:
        for _ in range(self._chance.randrange(most)):
            self.made += 1
            kind = (
                self._chance.choice(["create", "create", "create", "update", "update", "soft", "hard"])
                if self._ids
                else "create"
            )
            if kind == "create":
                res = self._api.call("album/create", doc=album_doc(f"n{self.made}", rank=self.made)).result()
                self._ids.append(res.docs[0]["_id"])
                continue
            query = [{"_id": self._chance.choice(self._ids)}]
            if kind == "update":
                self._api.call("album/update", query=query, doc={"rank": self.made}).result()
                continue
            self._ids.remove(query[0]["_id"])
            more: list[dict[str, Any]] = [{"$soft": True}] if kind == "hard" else []
            self._api.call("album/delete", query=[*query, *more]).result()


def _cut(proxy: FaultProxy, chance: random.Random) -> None:
    if chance.random() < 0.5:
        proxy.reset()
    else:
        proxy.cut_after(chance.randrange(1, 1500), chance.choice(["up", "down"]), times=1)


def run(*, renewals: int, seed: int) -> Report:
    """Cut until each watch was made anew so often, each time at another point of reconnecting, watching and reading."""
    chance, report = random.Random(seed), Report(seed)
    sending = patch.object(Connection, "send", report.wire.looked_on(Connection.send))
    with sending, Emulator() as emulator, FaultProxy(emulator.url, seed=seed) as proxy:
        quick = {"reconnect": FAST, "heartbeat_interval_s": 0.5, "heartbeat_timeout_s": 1.0, "connect_timeout_s": 5.0}
        config = emulator.config(api=proxy.url, **quick)
        with ApiService(emulator.config()) as changer, ApiService(config) as api:
            changer.auth("email", emulator.admin_email, emulator.admin_password).result()
            change = _Change(changer, chance)
            change.some(20)
            api.init().subscribe(report.wire.take)
            report.told = [*(Told() for _ in range(WATCHES - 1)), ToldPlainly()]
            subscriptions = []
            for told in report.told:
                is_plain = isinstance(told, ToldPlainly)
                watch: Stream[Any] = (
                    api.call("album/watch", gaps=True) if is_plain else api.watch("album/watch", snapshot="album/read")
                )
                subscriptions.append(watch.subscribe(told.take, told.end.append, lambda: None))
            wait_until(lambda: len(report.wire.received) == WATCHES and all(one.snapshots for one in report.told[:-1]))
            while min(told.gaps for told in report.told) < renewals:
                report.cuts += 1
                before = [told.gaps for told in report.told]
                _cut(proxy, chance)
                change.some(4)
                if chance.random() < 0.5:  # else the next cut finds it on its way back
                    _wait_for_gap(report, proxy, before)
                    change.some(4)
            proxy.heal()
            _settle(report, emulator, changer)
            report.changes = change.made
            report.watches = emulator.watches
            for subscription in subscriptions:
                subscription.dispose()
            wait_until(lambda: emulator.watches == 0)
            report.watches_after = emulator.watches
    return report


def _wait_for_gap(report: Report, proxy: FaultProxy, before: list[int]) -> None:
    proxy.reset()  # what was to be cut after so many bytes may never come to that
    wait_until(lambda: all(told.gaps > gaps for told, gaps in zip(report.told, before, strict=True)))


def _settle(report: Report, emulator: Emulator, changer: ApiService) -> None:
    report.there = {doc["_id"]: doc for doc in changer.call("album/read").result().docs}
    wait_until(
        lambda: (
            emulator.watches == WATCHES
            and all(told.docs == report.there for told in report.told[:-1])
            and [told.gaps + 1 for told in report.told] == [len(each) for each in report.wire.received.values()]
        )
    )


def main() -> int:
    """Exits 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.watches", description=__doc__)
    parser.add_argument("--renewals", type=int, default=1000, help="of each watch")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    logging.getLogger("rxsdk").setLevel(logging.ERROR)  # losses are told as warnings
    report = run(renewals=arguments.renewals, seed=arguments.seed)
    print(report)
    for failure in report.failures():
        print(f"FAILED: {failure}")
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
