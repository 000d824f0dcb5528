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

from rxsdk import ApiService, ReconnectPolicy
from rxsdk.secret import Secret
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.faults.ledger import Ledger
from tests.faults.left_over import nothing_left_over, other_tasks
from tests.faults.wire import LimpWire

__all__ = ["SITUATIONS", "Ring", "run"]

CALLS = 5
PATIENT = ReconnectPolicy(base_s=60.0, cap_s=60.0)


class Ring:
    """What every race needs: a server, a network in front of it, chance, and the book that is kept of one race."""

    def __init__(self, wire: LimpWire, proxy: FaultProxy, seed: int) -> None:
        self.wire, self.proxy = wire, proxy
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.ends: list[list[str]] = []
        self.numbers = itertools.count(seed * 1_000_000)

    def service(self, **settings: Any) -> ApiService:
        """A service whose streams are followed to their end."""
        fields: dict[str, Any] = {"file_chunk_size": 100, "loop": "own", "connect_timeout_s": 20.0, **settings}
        api = self.wire.service(self.proxy.url, **fields)
        for stream in (api.state_stream, api.inited_stream, api.authed_stream, api.round_trip_stream):
            ends: list[str] = []
            self.ends.append(ends)
            stream.subscribe(None, lambda error, ends=ends: ends.append(repr(error)), lambda ends=ends: ends.append(""))
        return api

    def calls(self, api: ApiService, count: int = CALLS) -> None:
        """Some of each kind."""
        for _ in range(count):
            self.ledger.enter("read", self.wire.read(api))
            self.ledger.enter("change", self.wire.change(api, next(self.numbers)))
        self.ledger.enter("watch", self.wire.watch(api))

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


def in_state(api: ApiService, *names: str) -> None:
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


def while_verifying(ring: Ring) -> None:
    ring.wire.halt("verifying")
    api = ring.service()
    api.init()
    ring.calls(api)
    in_state(api, "verifying")
    ring.pause()
    api.close().result(10)


def while_signing_in_again(ring: Ring) -> None:
    with ring.service() as api:
        ring.wire.sign_in(api).result(10)
        ring.wire.halt("authenticating")
        ring.proxy.reset()
        in_state(api, "authenticating")
        ring.calls(api)
        ring.pause()
    assert not api.inited


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


def while_uploading(ring: Ring) -> None:
    with ring.service() as api:
        ring.wire.sign_in(api).result(10)
        for number in range(3):
            ring.ledger.enter("upload", ring.wire.upload(api, number))
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
            signing_in = ring.wire.sign_in(api)
            ring.ledger.enter("sign in", signing_in)  # else its end, when nobody awaits it any more, would be logged
            await signing_in
            while True:
                ring.ledger.enter("upload", ring.wire.upload(api, 1))
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
    async def main() -> ApiService:
        api = ring.service(loop="running")
        api.init()
        ring.calls(api)
        if ring.chance.random() < 0.5:
            await ring.wire.sign_in(api)
            ring.ledger.enter("upload", ring.wire.upload(api, 1))
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

    def make(api: ApiService) -> None:
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
    import sys
    from rxsdk import ApiService, SDKConfig
    api = ApiService(SDKConfig(sys.argv[1], sys.argv[2], ["email"]))
    api.init()
    watch = api.call("order/watch")
    ended = []
    watch.subscribe(None, ended.append, lambda: print("the watch ended"))
    for number in range(20):
        api.call("order/read").subscribe(None, ended.append)
    if sys.argv[3] != "0":
        watch.result()
"""


def at_the_interpreters_exit(ring: Ring) -> None:
    how = ring.chance.randrange(3)
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(AT_EXIT)]
    config = ring.wire.config(ring.proxy.url)
    command += [config.api, Secret(config.anon_token).reveal(), str(how)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (child.returncode, child.stderr) == (0, ""), child
    if how:
        assert child.stdout == "the watch ended\n"


def in_a_forked_child(ring: Ring) -> None:
    """The child's service says that it is over, and so do its calls; the parent's goes on."""
    with ring.service() as api:
        ring.wire.watch(api).result(10)
        pending = [ring.wire.read(api) for _ in range(CALLS)]
        ring.pause()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _judge_in_the_child(api, pending)
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert [call.result(10).status for call in pending] == [200] * CALLS
        ring.calls(api)
        ring.wire.read(api).result(10)


def _judge_in_the_child(api: ApiService, pending: list[Any]) -> int:
    ledger = Ledger()
    for call in [*pending, api.call("order/read")]:
        ledger.enter("read", call)
    wait_until(lambda: ledger.hung == 0)
    ends: list[str] = []
    api.state_stream.subscribe(None, None, lambda: ends.append("completed"))
    api.close().result(5)
    return 0 if not ledger.wrong and api.state.name == "closed" and ends == ["completed"] else 2


SITUATIONS: dict[str, Callable[[Ring], None]] = {
    situation.__name__: situation
    for situation in (
        twice,
        in_a_callback,
        in_a_callback_of_the_loop,
        while_connecting,
        while_verifying,
        while_signing_in_again,
        while_waiting_to_reconnect,
        while_suspended,
        while_uploading,
        while_threads_make_calls,
        with_tasks_being_cancelled,
        by_the_end_of_asyncio_run,
        by_the_end_of_asyncio_run_while_threads_make_calls,
        without_close_as_garbage,
        at_the_interpreters_exit,
        *([in_a_forked_child] if hasattr(os, "fork") else []),
    )
}


def run(wire: LimpWire, situation: str, *, times: int, seed: int) -> None:
    """So many races in ``situation``; raises AssertionError for what did not hold."""
    for time_number in range(times):
        is_garbage = situation == without_close_as_garbage.__name__
        with FaultProxy(wire.emulator.url) as proxy:
            with nothing_left_over(allow=ResourceWarning if is_garbage else None) as warned:
                ring = Ring(wire, proxy, seed + time_number)
                wire.ran.clear()
                SITUATIONS[situation](ring)
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
    parser.add_argument("--situation", choices=SITUATIONS, action="append")
    arguments = parser.parse_args()
    logging.getLogger("rxsdk.connection").setLevel(logging.ERROR)  # losses are told as warnings
    with LimpWire() as wire:
        for situation in arguments.situation or SITUATIONS:
            began = time.monotonic()
            run(wire, situation, times=arguments.times, seed=arguments.seed)
            print(f"{situation:<50} {arguments.times:>5} times, {time.monotonic() - began:5.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
