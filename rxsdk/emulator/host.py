"""`Host`: an emulated server on a thread of its own, whatever it speaks, with what every one can be told to do wrong.

Everything here may be called from any thread. The server's loop and its sockets live on the thread ``rxsdk-emulator``
from ``start`` to ``stop``, and nothing of them is left afterwards. The emulators of the wires are its subclasses.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from rxsdk.emulator.scripting import Executed, Received, Record, Rule, Script
from rxsdk.emulator.socket import Socket
from rxsdk.emulator.wire import dumps

__all__ = ["Host", "Hosted"]

log = logging.getLogger("rxsdk.emulator")

T = TypeVar("T")


class Hosted(Protocol):
    """A server, made and used on its loop."""

    @property
    def connections(self) -> Iterable[Socket]:
        """Those that are open."""
        ...

    async def open(self, port: int) -> int:
        """Listen; returns the port."""
        ...

    async def close(self) -> None:
        """Cut all connections off and stop listening."""
        ...


S = TypeVar("S", bound=Hosted)


class Host(ABC, Generic[S]):
    """Use it as a context manager, sync or async, or with `start` and `stop`. Scripting and records work in between,
    and keep what they were told across a restart."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._script = Script()
        self._record = Record()
        self._thread: threading.Thread | None = None
        self._server: S | None = None
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @abstractmethod
    def _make_server(self) -> S:
        """A server, not open yet; on its loop."""

    # ---- running

    def start(self) -> Self:
        """Start serving; returns when connections are accepted. Raises what kept it from starting."""
        if self._thread is not None:
            raise RuntimeError("the emulator is running already")
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rxsdk-emulator", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            failure, thread = self._failure, self._thread
            self._thread = None
            thread.join()
            raise failure
        atexit.register(self.stop)  # a forgotten `stop` keeps neither the process nor, with it, the data from their end
        return self

    def stop(self) -> None:
        """Drop all connections, save the data, end the thread. No harm when it is not running."""
        atexit.unregister(self.stop)
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self._thread = self._loop = self._stopping = self._server = None
        if self._failure is not None:
            raise self._failure

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def run(self, on_ready: Callable[[Self], None] | None = None) -> None:
        """Serve in the foreground until Ctrl-C; ``on_ready`` is called once connections are accepted."""
        with self:
            if on_ready is not None:
                on_ready(self)
            with contextlib.suppress(KeyboardInterrupt):
                while self._thread is not None and self._thread.is_alive():
                    self._thread.join(timeout=1)

    def _run(self, ready: threading.Event) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(ready))
        except BaseException as error:
            self._failure = error
            if ready.is_set() and not (self._stopping is not None and self._stopping.is_set()):
                log.exception("the emulator failed")  # else `start` or `stop` is waiting to raise it
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = self._make_server()
        try:
            self._port = await server.open(self._port)
            self._server = server
            ready.set()
            await self._stopping.wait()
        finally:
            await server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    # ---- where it is

    @property
    def port(self) -> int:
        """The port it listens on, or will try to."""
        return self._port

    @property
    def authority(self) -> str:
        """``host:port``."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    # ---- scripting

    def delay(self, endpoint: str, seconds: float, *, times: int | None = None) -> None:
        """Make calls of ``endpoint`` (and answer them) only after ``seconds`` of the emulator's clock."""
        self._script.add(Rule(endpoint.lower(), "delay", seconds, times))

    def silence(self, endpoint: str, *, times: int | None = None, execute: bool = False) -> None:
        """Do not answer calls of ``endpoint``; with ``execute`` they are made all the same."""
        self._script.add(Rule(endpoint.lower(), "silence", execute, times))

    def clear_script(self) -> None:
        """Forget all of the above."""
        self._script.clear()

    def drop_connections(self) -> None:
        """Cut all connections off, without a close frame."""
        self._on_loop(lambda server: _each(server, Socket.abort))

    def close_with(self, code: int, reason: str = "") -> None:
        """Close all connections with ``code``."""
        self._on_loop(lambda server: _each(server, lambda one: one.close(code, reason)))

    def push(self, frame: Mapping[str, Any] | str, *, connection: int | None = None) -> None:
        """Send a message nobody asked for, to one connection (by number) or all; a text goes out as it is."""

        def push(server: S) -> None:
            for one in server.connections:
                if connection in (None, one.number):
                    one.send_text(frame if isinstance(frame, str) else dumps(frame))

        self._on_loop(push)

    # ---- records

    @property
    def received(self) -> list[Received]:
        """Every message that came in, oldest first: ``(connection, payload, accepted)``."""
        return self._record.received

    @property
    def executed(self) -> Executed:
        """How many calls ran, by endpoint; ``executed.by_call_id`` the same by call id. Refused ones did not."""
        return self._record.executed

    def clear_records(self) -> None:
        """Start `received` and `executed` over."""
        self._record.clear()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._on_loop(lambda server: len(list(server.connections)))

    def wait_until(self, condition: Callable[[Self], Any], timeout_s: float = 10.0) -> None:
        """Wait until ``condition(self)`` is true, looking whenever something came in or ran, and every 20 ms.

        Raises:
            TimeoutError: it did not become true.
        """
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"not so within {timeout_s:g} s")
            with self._record.changed:
                self._record.changed.wait(0.02)

    def _on_loop(self, work: Callable[[S], T]) -> T:
        """Have the loop do something, and wait for it; on the loop itself, just do it."""
        server, loop = self._server, self._loop
        if server is None or loop is None:
            raise RuntimeError("the emulator is not running")
        if threading.current_thread() is self._thread:
            return work(server)

        async def run() -> T:
            return work(server)

        return asyncio.run_coroutine_threadsafe(run(), loop).result(timeout=30)


def _each(server: Hosted, work: Callable[[Socket], None]) -> None:
    for connection in list(server.connections):
        work(connection)
