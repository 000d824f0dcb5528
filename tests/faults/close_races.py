"""``python -m tests.faults.close_races``: a service is closed in every situation, each time a bit earlier or later.

After each, every call and stream has ended exactly once, and no task, thread, file or warning is left over. What ends
in a child process (the interpreter's exit, a fork) is judged by what the child says.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

from rxsdk import ReconnectPolicy
from rxsdk.testing import FaultProxy
from tests.conftest import fork, wait_until
from tests.faults.ledger import Ledger
from tests.faults.left_over import nothing_left_over, other_tasks
from tests.faults.wires import WIRES, Wire

__all__ = ["Ring", "run", "situations"]

CALLS = 5
PATIENT = ReconnectPolicy(base_s=60.0, cap_s=60.0)


class Ring:
    """What every race needs: a server, a network in front of it, chance, and the book that is kept of one race."""

    def __init__(self, wire: Any, proxy: FaultProxy, seed: int) -> None:
        self.wire, self.proxy = wire, proxy
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.ends: list[list[str]] = []
        self.numbers = itertools.count(seed * 1_000_000)

    def service(self, **settings: Any) -> Any:
        """A service whose streams are followed to their end."""
        fields: dict[str, Any] = {"loop": "own", "connect_timeout_s": 20.0, **settings}
        api = self.wire.service(self.proxy.url, **fields)
        for stream in self.wire.streams(api):
            ends: list[str] = []
            self.ends.append(ends)
            stream.subscribe(None, lambda error, ends=ends: ends.append(repr(error)), lambda ends=ends: ends.append(""))
        return api

    def calls(self, api: Any, count: int = CALLS) -> None:
        """Some of each kind."""
        for _ in range(count):
            self.ledger.enter("read", self.wire.read(api))
            self.ledger.enter("change", self.wire.change(api, next(self.numbers)))
        for call in self.wire.going_on(api):
            self.ledger.enter("watch", call)

    def heavy_call(self, api: Any) -> None:
        """One of those that keep a service busy."""
        self.ledger.enter("heavy", self.wire.heavy(api, next(self.numbers)))

    async def before_heavy(self, api: Any) -> None:
        """What has to be answered before; its end, when nobody awaits it any more, is not to be logged."""
        for call in self.wire.before_heavy(api):
            self.ledger.enter("before", call)
            await call

    def pause(self, most_s: float = 0.004) -> None:
        """A moment that is another each time."""
        time.sleep(self.chance.random() * most_s)

    async def pause_async(self, most_s: float = 0.004) -> None:
        """The same for loops."""
        await asyncio.sleep(self.chance.random() * most_s)

    def check(self) -> None:
        """Every call and stream has ended, once."""
        wait_until(lambda: self.ledger.hung == 0 and all(self.ends), timeout_s=15)
        assert self.ledger.wrong == [], self.ledger.wrong
        assert all(ends == [""] for ends in self.ends), self.ends
        wait_until(lambda: self.wire.emulator.connections == 0)
        assert self.wire.doubles() == 0


def in_state(api: Any, *names: str) -> None:
    """Wait until it is."""
    wait_until(lambda: api.state.name in names)


# -- on a thread of the service's own


def twice(ring: Ring) -> None:
    """By two threads at once, and once more when it is closed."""
    with ring.service() as api:
        ring.calls(api)
        ring.pause()
        other = threading.Thread(target=lambda: api.close().result(10))
        other.start()
        api.close().result(10)
        other.join()
    api.close().result(10)


def in_a_callback(ring: Ring) -> None:
    api = ring.service()
    closed = threading.Event()

    def close(reply: Any) -> None:
        ring.calls(api)
        api.close()
        ring.calls(api)
        closed.set()

    api.init()
    ring.wire.read(api).subscribe(close)
    assert closed.wait(10)
    api.close().result(10)


def while_connecting(ring: Ring) -> None:
    if ring.chance.random() < 0.5:
        ring.proxy.black_hole()
    api = ring.service()
    api.init()
    ring.calls(api)
    ring.pause()
    api.close().result(10)


def while_waiting_to_reconnect(ring: Ring) -> None:
    with ring.service(reconnect=PATIENT) as api:
        ring.calls(api)
        ring.proxy.refuse()
        ring.proxy.reset()
        in_state(api, "reconnecting", "connecting")
        ring.calls(api)
        ring.pause()


def while_suspended(ring: Ring) -> None:
    with ring.service() as api:
        ring.calls(api)
        api.suspend()
        ring.calls(api)
        ring.pause()
        if ring.chance.random() < 0.3:
            api.resume()


def while_busy(ring: Ring) -> None:
    with ring.service() as api:
        for call in ring.wire.before_heavy(api):
            call.result(10)
        for _ in range(3):
            ring.heavy_call(api)
        ring.pause(0.02)


def while_threads_make_calls(ring: Ring) -> None:
    api = ring.service()
    api.init()
    stop = threading.Event()

    def make() -> None:
        while not stop.is_set():
            ring.calls(api, 1)
            time.sleep(0.0005)  # else three threads leave the service's too little of one interpreter

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    ring.pause(0.03)
    api.close().result(10)
    stop.set()
    for thread in threads:
        thread.join()


def without_close_as_garbage(ring: Ring) -> None:
    """In whatever state; calls and streams that somebody still follows do not keep it."""
    api = ring.service()
    messages = api.init()
    ring.calls(api)
    ring.pause(0.01)
    if ring.chance.random() < 0.3:
        api.suspend()
    del api
    assert messages.to_iterable is not None


# -- on the caller's loop


def in_a_callback_of_the_loop(ring: Ring) -> None:
    async def main() -> None:
        api = ring.service(loop="running")
        closing = asyncio.get_running_loop().create_future()

        def close(reply: Any) -> None:
            ring.calls(api)
            closing.set_result(api.close())
            ring.calls(api)

        api.init()
        ring.wire.read(api).subscribe(close)
        await (await closing)
        assert other_tasks() == set()

    asyncio.run(main())


def with_tasks_being_cancelled(ring: Ring) -> None:
    async def use() -> None:
        async with ring.service(loop="running") as api:
            ring.calls(api)
            await ring.before_heavy(api)
            while True:
                ring.heavy_call(api)
                await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(use())
        await ring.pause_async(0.03)
        for each in other_tasks() if ring.chance.random() < 0.5 else {task}:
            each.cancel()
        await asyncio.wait([task])
        await ring.pause_async()

    asyncio.run(main())


def by_the_end_of_asyncio_run(ring: Ring) -> None:
    async def main() -> Any:
        api = ring.service(loop="running")
        api.init()
        ring.calls(api)
        if ring.chance.random() < 0.5:
            await ring.before_heavy(api)
            ring.heavy_call(api)
        await ring.pause_async(0.02)
        ring.calls(api)
        if ring.chance.random() < 0.3:
            api.close()
        return api

    api = asyncio.run(main())
    assert api.state.name == "closed"
    assert api.close().result(10).name == "closed"


def by_the_end_of_asyncio_run_while_threads_make_calls(ring: Ring) -> None:
    stop = threading.Event()

    def make(api: Any) -> None:
        while not stop.is_set():
            ring.calls(api, 1)
            time.sleep(0.0005)

    async def main() -> list[threading.Thread]:
        api = ring.service(loop="running")
        api.init()
        threads = [threading.Thread(target=make, args=(api,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        await ring.pause_async(0.02)
        return threads

    threads = asyncio.run(main())
    ring.pause(0.01)
    stop.set()
    for thread in threads:
        thread.join()


# -- in a child process

AT_EXIT = """
    import logging, sys
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # how long a step took is the machine's matter
    ended = []
    lasting.subscribe(None, ended.append, lambda: print("it ended"))
    for number in range(20):
        read().subscribe(None, ended.append)
    if sys.argv[1] != "0":
        begun()
"""


def at_the_interpreters_exit(ring: Ring) -> None:
    how = ring.chance.randrange(3)
    source = textwrap.dedent(ring.wire.opening(ring.proxy.url)) + textwrap.dedent(AT_EXIT)
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", source, str(how)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (child.returncode, child.stderr) == (0, ""), child
    if how:
        assert child.stdout == "it ended\n"


def in_a_forked_child(ring: Ring) -> None:
    """The child's service says that it is over, and so do its calls; the parent's goes on."""
    with ring.service() as api:
        for call in ring.wire.going_on(api):
            call.result(10)
        pending = [ring.wire.read(api) for _ in range(CALLS)]
        ring.pause()
        child = fork()
        if child == 0:
            code = 1
            try:
                code = _judge_in_the_child(ring, api, pending)
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        for call in pending:
            call.result(10)
        ring.calls(api)
        ring.wire.read(api).result(10)


def _judge_in_the_child(ring: Ring, api: Any, pending: list[Any]) -> int:
    ledger = Ledger()
    for call in [*pending, ring.wire.read(api)]:
        ledger.enter("read", call)
    wait_until(lambda: ledger.hung == 0)
    ends: list[str] = []
    api.state_stream.subscribe(None, None, lambda: ends.append("completed"))
    api.close().result(5)
    return 0 if not ledger.wrong and api.state.name == "closed" and ends == ["completed"] else 2


_SITUATIONS: dict[str, Callable[[Ring], None]] = {
    situation.__name__: situation
    for situation in (
        twice,
        in_a_callback,
        in_a_callback_of_the_loop,
        while_connecting,
        while_waiting_to_reconnect,
        while_suspended,
        while_busy,
        while_threads_make_calls,
        with_tasks_being_cancelled,
        by_the_end_of_asyncio_run,
        by_the_end_of_asyncio_run_while_threads_make_calls,
        without_close_as_garbage,
        at_the_interpreters_exit,
        *([in_a_forked_child] if hasattr(os, "fork") else []),
    )
}


def situations(wire: type[Wire]) -> dict[str, Callable[[Ring], None]]:
    """All that a service of this wire can be closed in."""
    return {**_SITUATIONS, **wire.situations}


def run(wire: Wire, situation: str, *, times: int, seed: int) -> None:
    """So many races in ``situation``; raises AssertionError for what did not hold."""
    for time_number in range(times):
        is_garbage = situation == without_close_as_garbage.__name__
        with FaultProxy(wire.emulator.url) as proxy:
            with nothing_left_over(allow=ResourceWarning if is_garbage else None) as warned:
                ring = Ring(wire, proxy, seed + time_number)
                wire.ran.clear()
                situations(type(wire))[situation](ring)
                proxy.heal()
                ring.check()
            assert len(warned) == is_garbage
            wire.emulator.clear_script()
            wire.emulator.clear_records()


def main() -> int:
    """Exits 1 at the first that did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.close_races", description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wire", choices=WIRES, default="limp")
    parser.add_argument("--situation", action="append")
    arguments = parser.parse_args()
    there_are = situations(WIRES[arguments.wire])
    for unknown in set(arguments.situation or ()) - set(there_are):
        parser.error(f"no situation {unknown!r}; there are {', '.join(there_are)}")
    logging.getLogger("rxsdk.connection").setLevel(logging.ERROR)  # losses are told as warnings
    with WIRES[arguments.wire]() as wire:
        for number, situation in enumerate(arguments.situation or there_are):
            began = time.monotonic()
            # Each with seeds of its own: they number the calls too, which the wire counts from beginning to end.
            run(wire, situation, times=arguments.times, seed=arguments.seed + number * arguments.times)
            print(f"{situation:<50} {arguments.times:>5} times, {time.monotonic() - began:5.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
