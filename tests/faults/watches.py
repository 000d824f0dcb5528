"""``python -m tests.faults.watches``: watches through random cuts while documents change.

At the end each collection is the server's, every gap was told, in its place, nothing was told twice without one, and
there is one watch on the server for each Observable; none after the last has left.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rxsdk import ApiService, Gap, ReconnectPolicy, Snapshot
from rxsdk.emulator import Emulator
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.staff import album_doc

__all__ = ["Report", "run"]

FAST = ReconnectPolicy(base_s=0.001, cap_s=0.01)
WATCHES = 2


@dataclass
class Told:
    """What one Observable has told, held against what a change means as it comes."""

    snapshots: int = 0
    changes: int = 0
    gaps: int = 0
    wrong: list[str] = field(default_factory=list)
    docs: dict[str, Any] = field(default_factory=dict)
    end: list[Any] = field(default_factory=list)

    def take(self, change: Any) -> None:
        if isinstance(change, Gap):
            self.gaps += 1
        elif isinstance(change, Snapshot):
            self.snapshots += 1
            self.docs = dict(change.docs)
        else:
            self.changes += 1
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


@dataclass
class Report:
    """What a run came to."""

    seed: int
    cuts: int
    changes: int = 0
    made: Counter[str] = field(default_factory=Counter)
    """How often the server said that it has made a watch, by its id: read off the wire, apart from what is told."""
    told: list[Told] = field(default_factory=list)
    there: dict[str, Any] = field(default_factory=dict)
    watches: int = -1
    watches_after: int = -1

    def failures(self) -> list[str]:
        """What did not hold."""
        found = [] if self.watches == WATCHES else [f"{self.watches} watches on the server for {WATCHES} Observables"]
        if self.watches_after != 0:
            found.append(f"{self.watches_after} watches left on the server")
        gaps = sorted(told.gaps for told in self.told)
        if gaps != sorted(made - 1 for made in self.made.values()):
            found.append(f"gaps told: {gaps}; watches made, the first time included: {sorted(self.made.values())}")
        for told in self.told:
            found += told.wrong[:3]
            if told.docs != self.there:
                found.append(f"a collection of {len(told.docs)} that is not the server's {len(self.there)}")
            if told.snapshots != 1 or told.end:
                found.append(f"{told.snapshots} snapshots, ended with {told.end}")
        return found

    def __str__(self) -> str:
        told = ", ".join(f"{one.changes:,} changes and {one.gaps:,} gaps" for one in self.told)
        return (
            f"seed {self.seed}: {self.cuts:,} cuts, "
            f"watches made {sorted(self.made.values())} times, {self.changes:,} changes "
            f"asked for; told: {told}; {len(self.there)} documents in the end"
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


def run(*, cuts: int, seed: int) -> Report:
    """Cut so often; each time at another point of reconnecting, watching and reading."""
    chance, report = random.Random(seed), Report(seed, cuts)
    with Emulator() as emulator, FaultProxy(emulator.url, seed=seed) as proxy:
        quick = {"reconnect": FAST, "heartbeat_interval_s": 0.5, "heartbeat_timeout_s": 1.0, "connect_timeout_s": 5.0}
        config = emulator.config(api=proxy.url, **quick)
        with ApiService(emulator.config()) as changer, ApiService(config) as api:
            changer.auth("email", emulator.admin_email, emulator.admin_password).result()
            change = _Change(changer, chance)
            change.some(20)
            api.init().subscribe(
                lambda res: report.made.update([res.args.watch] if res.code == "CORE_WATCH_OK" else [])
            )
            watches = [api.watch("album/watch", snapshot="album/read") for _ in range(WATCHES)]
            subscriptions = []
            for watch in watches:
                told = Told()
                report.told.append(told)
                subscriptions.append(watch.subscribe(told.take, told.end.append, lambda: None))
            wait_until(lambda: all(told.snapshots for told in report.told))
            for _ in range(cuts):
                before = [told.gaps for told in report.told]
                _cut(proxy, chance)
                change.some(4)
                if chance.random() < 0.5:  # else the next cut finds it on its way back
                    _wait_for_gap(report, proxy, before)
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
            and all(told.docs == report.there for told in report.told)
            and sum(told.gaps + 1 for told in report.told) == report.made.total()
        )
    )


def main() -> int:
    """Exits 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.watches", description=__doc__)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    logging.getLogger("rxsdk").setLevel(logging.ERROR)  # losses are told as warnings
    report = run(cuts=arguments.cuts, seed=arguments.seed)
    print(report)
    for failure in report.failures():
        print(f"FAILED: {failure}")
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
