"""`FakeClock`: the order of its rings, its threads, and a service that lives by it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxsdk import ApiService, CallNotSent, CallTimeout, SDKConfig
from rxsdk.core.clock import Clock
from rxsdk.core.transport import MemoryServer, Transport, memory_pair
from rxsdk.emulator import Emulator
from rxsdk.testing import FakeClock
from tests.conftest import wait_until


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_it_is_a_clock_and_stands_still() -> None:
    clock: Clock = FakeClock(now=5.0, wall=1_000.0)
    assert (clock.now(), clock.wall(), clock.now()) == (5.0, 1_000.0, 5.0)
    assert abs(FakeClock().wall() - time.time()) < 60


def test_timers_ring_in_the_order_of_their_times_then_of_their_setting(clock: FakeClock) -> None:
    rings: list[tuple[str, float]] = []
    for name, when in [("c", 3.0), ("a1", 1.0), ("b", 2.0), ("a2", 1.0), ("late", 9.0)]:
        clock.call_at(when, lambda name=name: rings.append((name, clock.now())))
    assert (clock.pending, clock.next_at) == (5, 1.0)
    clock.advance(0.5)
    assert rings == []
    clock.advance(2.5)
    assert rings == [("a1", 1.0), ("a2", 1.0), ("b", 2.0), ("c", 3.0)]
    assert (clock.now(), clock.pending, clock.next_at) == (3.0, 1, 9.0)
    assert repr(clock) == "<FakeClock 3 s, 1 timers>"


def test_timers_set_and_cancelled_while_ringing(clock: FakeClock) -> None:
    rings: list[tuple[str, float]] = []

    def ring(name: str) -> Callable[[], None]:
        return lambda: rings.append((name, clock.now()))

    cancelled = clock.call_at(2.0, ring("cancelled"))
    clock.call_at(3.0, ring("after"))

    def first() -> None:
        ring("first")()
        cancelled.cancel()
        cancelled.cancel()
        clock.call_at(clock.now() - 5, ring("past"))
        clock.call_at(2.5, ring("between"))
        clock.call_at(4.5, ring("beyond"))

    clock.call_at(1.0, first)
    clock.advance(4.0)
    assert rings == [("first", 1.0), ("past", 1.0), ("between", 2.5), ("after", 3.0)]
    assert clock.next_at == 4.5
    clock.advance(0)
    clock.advance(1)
    assert rings[-1] == ("beyond", 4.5)
    assert (clock.pending, clock.next_at, clock.now()) == (0, None, 5.0)


def test_the_wall_clock_jumps_alone_and_advances_too(clock: FakeClock) -> None:
    clock = FakeClock(wall=100.0)
    rings: list[float] = []
    clock.call_at(1.0, lambda: rings.append(clock.wall()))
    clock.jump_wall(3600)
    assert (clock.now(), clock.wall(), rings) == (0.0, 3700.0, [])
    clock.advance(2)
    assert (clock.wall(), rings) == (3702.0, [3701.0])
    clock.jump_wall(-3600)
    assert clock.wall() == 102.0


def test_what_a_callback_raises_comes_out_and_the_clock_stands_there(clock: FakeClock) -> None:
    rings: list[float] = []
    clock.call_at(1.0, lambda: {}["nothing"])
    clock.call_at(2.0, lambda: rings.append(clock.now()))
    with pytest.raises(KeyError):
        clock.advance(5)
    assert (clock.now(), rings) == (1.0, [])
    clock.advance(5)
    assert (clock.now(), rings) == (6.0, [2.0])


def test_it_goes_forward_and_once_at_a_time(clock: FakeClock) -> None:
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="forward"):
            clock.advance(seconds)
    clock.call_at(1.0, lambda: clock.advance(1))
    with pytest.raises(RuntimeError, match="already"):
        clock.advance(2)
    clock.advance(2)


def test_on_the_loop_itself_timers_ring_in_place_and_async_lets_the_loop_turn(clock: FakeClock) -> None:
    async def main() -> None:
        steps: list[str] = []

        async def sleeper() -> None:
            for _ in range(3):
                woken = asyncio.Event()
                clock.call_at(clock.now() + 1, woken.set)
                await woken.wait()
                steps.append(f"woke at {clock.now():g}")

        task = asyncio.create_task(sleeper())
        await clock.advance_async(2)  # the task had not even begun
        assert steps == ["woke at 1", "woke at 2"]
        clock.advance(1)
        assert len(steps) == 2  # rung, but the loop has not turned
        await asyncio.wait_for(task, 10)
        assert steps[-1] == "woke at 3"
        clock.call_at(clock.now(), lambda: steps.append("at once"))
        assert steps[-1] != "at once"
        await asyncio.sleep(0)
        assert steps[-1] == "at once"
        clock.call_at(clock.now(), lambda: steps.append("taken back")).cancel()
        await asyncio.sleep(0)
        assert steps[-1] == "at once"
        clock.call_at(4, lambda: {}["nothing"])
        with pytest.raises(KeyError):
            await clock.advance_async(1)
        await clock.advance_async(1)

    asyncio.run(main())


class _Elsewhere:
    """A loop on another thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def do(self, work: Callable[[], Any]) -> None:
        """Have it done, without waiting."""
        self.loop.call_soon_threadsafe(work)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture
def elsewhere() -> Iterator[_Elsewhere]:
    elsewhere = _Elsewhere()
    yield elsewhere
    if elsewhere.thread.is_alive():
        elsewhere.stop()
    elsewhere.loop.close()


def test_timers_of_another_threads_loop_ring_there_in_order(clock: FakeClock, elsewhere: _Elsewhere) -> None:
    rings: list[tuple[float, bool]] = []

    def ring() -> None:
        rings.append((clock.now(), threading.current_thread() is elsewhere.thread))
        if len(rings) < 3:
            elsewhere.loop.call_soon(clock.call_at, clock.now() + 1, ring)

    elsewhere.do(lambda: clock.call_at(1.0, ring))
    wait_until(lambda: clock.pending)
    clock.call_at(1.5, lambda: rings.append((clock.now(), False)))
    clock.advance(10)
    assert rings == [(1.0, True), (1.5, False), (2.0, True)]
    elsewhere.do(lambda: clock.call_at(11.0, lambda: {}["nothing"]))
    with pytest.raises(KeyError):
        clock.advance(1)  # what the loop was told before is done before the time passes


def test_a_loop_that_has_ended_is_not_waited_for(clock: FakeClock, elsewhere: _Elsewhere) -> None:
    rings: list[float] = []
    for when in (1.0, 2.0):
        elsewhere.do(lambda when=when: clock.call_at(when, lambda: rings.append(when)))
    wait_until(lambda: clock.pending == 2)
    elsewhere.stop()
    clock.advance(1)
    assert rings == []
    elsewhere.loop.run_until_complete(asyncio.sleep(0))
    assert rings == [1.0]  # it stood still, and has gone on
    elsewhere.loop.close()
    clock.advance(1)
    assert (rings, clock.now()) == ([1.0], 2.0)


def test_a_loop_that_is_busy_is_waited_for(clock: FakeClock, elsewhere: _Elsewhere) -> None:
    rings: list[float] = []

    def busy_ring() -> None:
        threading.Event().wait(0.06)
        rings.append(clock.now())

    elsewhere.do(lambda: clock.call_at(1.0, busy_ring))
    wait_until(lambda: clock.pending)
    clock.advance(1)
    assert rings == [1.0]


# -- a service


def memory_connect(servers: list[MemoryServer], *answered: str) -> Callable[[], Any]:
    """Connections to a server that lets everybody in and answers nothing else but what is ``answered``."""

    async def connect() -> Transport:
        transport, server = memory_pair()

        def answer(frame: bytes) -> None:
            body = json.loads(frame)["token"].split(".")[1]
            call = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            if call["endpoint"] in ("conn/verify", *answered):
                args = {"call_id": call["call_id"], "code": "CORE_CONN_OK"}
                server.send(json.dumps({"status": 200, "msg": "", "args": args}).encode())

        server.on_frame = answer
        server.send(b'{"status":200,"msg":"","args":{"code":"CORE_CONN_READY"}}')
        servers.append(server)
        return transport

    return connect


CONFIG = SDKConfig("ws://127.0.0.1:9/ws", "__TOKEN", ["email"])


def test_a_call_made_in_sync_code_is_written_before_the_time_passes(clock: FakeClock) -> None:
    servers: list[MemoryServer] = []
    with ApiService(CONFIG, connect=memory_connect(servers, "heart/beat"), clock=clock) as api:
        for _ in range(20):
            call = api.call("shop/order", timeout_s=5)
            clock.advance(5)
            with pytest.raises(CallTimeout):
                call.result(timeout_s=10)
            waiting = api.call("shop/order", await_auth=True, queue_timeout_s=3)
            clock.advance(3)
            with pytest.raises(CallNotSent):
                waiting.result(timeout_s=10)


def test_a_service_in_async_code(clock: FakeClock) -> None:
    async def main() -> None:
        servers: list[MemoryServer] = []
        async with ApiService(CONFIG, connect=memory_connect(servers), clock=clock) as api:
            call = api.call("shop/order", timeout_s=5)
            await clock.advance_async(5)
            with pytest.raises(CallTimeout):
                await call
            servers[0].drop()
            await clock.advance_async(1)  # more than the first reconnect delay
            assert (len(servers), api.inited) == (2, True)
            for _ in range(2):
                await clock.advance_async(60)  # no heartbeat is answered
            assert len(servers) >= 3
        assert clock.pending == 0

    asyncio.run(main())


def test_a_service_on_a_real_socket(clock: FakeClock, emulator: Emulator) -> None:
    with ApiService(emulator.config(), clock=clock) as api:
        clock.advance(30)
        emulator.wait_until(lambda e: [one for one in e.received if one.payload["endpoint"] == "heart/beat"])
        assert api.inited
    assert clock.pending == 0
