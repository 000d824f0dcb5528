"""``python -m tests.faults.subscribers``: four threads subscribe and dispose at random while values come, for 30 s.

Some subscribers sleep, raise, leave, have others leave or bring new ones inside ``on_next``. Every one of them checks
the contract: one call at a time, values in order and without a gap (but for those whose policy drops), nothing after
the end and nothing after it left. A hundred that do nothing of the kind are given everything, and nothing is left over.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import rxsdk
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.streams import HotStream, Multicast
from rxsdk.reactive.subscription import Subscription

__all__ = ["Report", "run"]

STEADY = 100
MOST_LAG = 2_000
POLICIES: tuple[Any, ...] = (None, (50, "error"), (20, "drop_oldest"), (1, "latest"))


class Mischief(Exception):
    """What subscribers raise here."""


class Checking:
    """An observer that notes each breach of the contract."""

    def __init__(self, breaches: list[str], may_miss: bool) -> None:
        self.breaches, self._may_miss = breaches, may_miss
        self.seen = 0
        self.last: int | None = None
        self.has_left = self.is_over = False
        self._busy = threading.Lock()

    def on_next(self, value: int) -> None:
        if not self._busy.acquire(blocking=False):
            self.breaches.append("called while it was called")
            return
        try:
            self._check("a value")
            if self.last is not None and (value <= self.last or (value > self.last + 1 and not self._may_miss)):
                self.breaches.append(f"{value} after {self.last}")
            self.last = value
            self.seen += 1
            self.act(value)
        finally:
            self._busy.release()

    def act(self, value: int) -> None:
        """What it does besides."""

    def on_error(self, error: Exception) -> None:
        self._check("an error")
        if not isinstance(error, DeliveryOverflow):
            self.breaches.append(f"ended with {error!r}")
        self.is_over = True

    def on_completed(self) -> None:
        self._check("the end")
        self.is_over = True

    def _check(self, what: str) -> None:
        if self.is_over:
            self.breaches.append(f"{what} after the end")
        if self.has_left:
            self.breaches.append(f"{what} after it left within a callback")


class Mischievous(Checking):
    """It does something bad now and then."""

    def __init__(self, crowd: Crowd, chance: random.Random, may_miss: bool) -> None:
        super().__init__(crowd.breaches, may_miss)
        self._crowd, self._chance = crowd, chance
        self.subscription: Subscription | None = None

    def act(self, value: int) -> None:
        match self._chance.randrange(400):
            case 0:
                time.sleep(self._chance.random() * 0.02)
            case 1:
                raise Mischief
            case 2 if self.subscription is not None:
                self.subscription.dispose()
                self.has_left = True
            case 3:
                self._crowd.one_leaves(self._chance)
            case 4:
                self._crowd.one_comes(self._chance)


@dataclass
class Report:
    """What a run came to."""

    breaches: list[str]
    emitted: int = 0
    came: int = 0
    heard: int = 0
    unhandled: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def failures(self) -> list[str]:
        """What did not hold."""
        left = {what: number for what, number in self.left.items() if number}
        others = {kind: number for kind, number in self.unhandled.items() if kind != "Mischief"}
        return [*self.breaches[:20], *([f"left: {left}"] if left else []), *([f"raised: {others}"] if others else [])]

    def __str__(self) -> str:
        return (
            f"{self.emitted:,} values, {self.came:,} subscriptions that heard {self.heard:,}, "
            f"{self.unhandled.get('Mischief', 0):,} raised"
        )


class Crowd:
    """The subscribers that come and go, of a stream and of a watch."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.breaches: list[str] = []
        self.stream: Multicast[int] = Multicast(dispatcher)
        self.watch: Call[int] = Call("staff/watch", dispatcher, lambda _call, _asked: None)
        self.steady = [Checking(self.breaches, may_miss=False) for _ in range(STEADY)]
        self.first = [self.watch.subscribe(self.steady[0]), *(self.stream.subscribe(one) for one in self.steady[1:])]
        self.here: list[Mischievous] = []
        self.came: list[Mischievous] = []
        self._lock = threading.Lock()

    def one_comes(self, chance: random.Random) -> None:
        mailbox = chance.choice(POLICIES)
        source: HotStream[int] = chance.choice((self.stream, self.watch))
        one = Mischievous(self, random.Random(chance.random()), may_miss=mailbox is not None)
        derived = source if mailbox is None else source.buffered(mailbox[0], on_overflow=mailbox[1])
        if chance.random() < 0.3:
            derived = derived.map(lambda value: value)
        one.subscription = derived.subscribe(one)
        with self._lock:
            self.here.append(one)
            self.came.append(one)

    def one_leaves(self, chance: random.Random) -> None:
        with self._lock:
            one = self.here.pop(chance.randrange(len(self.here))) if self.here else None
        if one is not None and one.subscription is not None:
            one.subscription.dispose()

    def come_and_go(self, seed: int, until: float) -> None:
        chance = random.Random(seed)
        while time.monotonic() < until:
            if len(self.here) < 50 and chance.random() < 0.6:
                self.one_comes(chance)
            else:
                self.one_leaves(chance)
            time.sleep(chance.random() * 0.002)

    def emit(self, until: float) -> int:
        for number in count():
            self.stream.emit(number)
            self.watch.reply(number, final=False)
            while max(self.first[0].lag, self.first[1].lag) > MOST_LAG:
                time.sleep(0.0005)
            if time.monotonic() > until:
                break
        return number + 1


def run(seconds: float, seed: int, threads: int = 4) -> Report:
    """Let them come and go for so long."""
    unhandled: dict[str, int] = {}
    subscriptions_before = _subscriptions()

    def on_unhandled(error: BaseException) -> None:
        kind = type(error).__name__
        unhandled[kind] = unhandled.get(kind, 0) + 1

    logging.getLogger("rxsdk").setLevel(logging.CRITICAL)
    before, rxsdk.on_unhandled = rxsdk.on_unhandled, on_unhandled
    dispatcher = Dispatcher()
    dispatcher.run_on_thread("rxsdk subscribers")
    crowd = Crowd(dispatcher)
    until = time.monotonic() + seconds
    restless = [threading.Thread(target=crowd.come_and_go, args=(seed + number, until)) for number in range(threads)]
    try:
        for thread in restless:
            thread.start()
        emitted = crowd.emit(until)
        for thread in restless:
            thread.join()
        crowd.stream.complete()
        crowd.watch.complete()
    finally:
        dispatcher.close(lambda: None)
        dispatcher.join()
        rxsdk.on_unhandled = before
        logging.getLogger("rxsdk").setLevel(logging.NOTSET)
    report = Report(crowd.breaches, emitted, len(crowd.came), sum(one.seen for one in crowd.came), unhandled)
    for one in crowd.steady:
        if (one.seen, one.is_over) != (emitted, True):
            crowd.breaches.append(f"a steady one heard {one.seen} of {emitted}")
    sources: tuple[Any, ...] = (crowd.stream, crowd.watch)
    report.left = {
        "in step": sum(len(source._in_step) for source in sources),
        "apart": sum(len(source._apart) for source in sources),
        "values": sum(len(source._log or ()) for source in sources),
        "jobs": len(dispatcher._jobs) + len(dispatcher._laggards),
    }
    del crowd, sources, one
    report.left["subscriptions"] = max(0, _subscriptions() - subscriptions_before)
    return report


def _subscriptions() -> int:
    """How many there are in this process."""
    gc.collect()
    return sum(type(thing) is Subscription for thing in gc.get_objects())


def main() -> int:
    """Exits 0 when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.subscribers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    report = run(arguments.seconds, arguments.seed)
    print(report)
    for failure in report.failures():
        print(f"seed {arguments.seed}: {failure}")
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
