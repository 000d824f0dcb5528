"""`FaultProxy`: a bad network between a client and a server, on demand.

A leaf; asyncio and the standard library only. A TCP proxy on 127.0.0.1, with a thread and a loop of its own; it
forwards bytes and knows no wire. Tests put it in front of a server and break the network while the client runs::

    with FaultProxy(emulator.url) as proxy, ApiService(emulator.config(api=proxy.url)) as api:
        proxy.black_hole()

Settings (`latency`, `bandwidth`, `tiny_segments`, `black_hole`, `slow_close`, `cut_after`, `refuse`) hold for open and
new connections until they are set otherwise or healed, and combine. Acts (`reset`, `half_open`) befall the connections
that are open at that moment. `heal` ends all settings: black-holed connections go on with what was held back, also
ones that were begun in the black hole; connections that were reset, cut or half-open stay dead.

Any thread may call; a method returns when what it says is in force. ``wss://`` passes as it is: the certificate must be
good for 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self
from urllib.parse import SplitResult, urlsplit

from rxsdk.testing.faults import Direction, Faults, lanes_of
from rxsdk.testing.road import Road
from rxsdk.testing.threads import do_on

__all__ = ["FaultProxy"]

_HOST = "127.0.0.1"
_BACKLOG = 1024
_PORT_OF_SCHEME = {"ws": 80, "http": 80, "wss": 443, "https": 443}


class FaultProxy:
    """Forwards TCP connections to ``upstream`` and does to them what a network does.

    Use it as a context manager, sync or async, or with `start` and `stop`. Settings may be made before it starts.

    Args:
        upstream: a WebSocket URL, ``"host:port"`` or ``(host, port)``. The server need not be there yet.
        port: where to listen; 0 takes a free one, and a restart keeps it.
        seed: makes the jitter the same in every run.

    Raises:
        ValueError: ``upstream`` names no host and port.
    """

    def __init__(self, upstream: str | tuple[str, int], *, port: int = 0, seed: int | str | None = None) -> None:
        self._parts, self._upstream = _taken_apart(upstream)
        self._port = port
        self._faults = Faults(random.Random(seed))
        self._roads: set[Road] = set()
        self._accepted = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<FaultProxy {_HOST}:{self._port} to {self._upstream[0]}:{self._upstream[1]}>"

    # -- running

    def start(self) -> Self:
        """Start to forward; returns when connections are accepted. Raises what kept it from starting."""
        if self._thread is not None:
            raise RuntimeError("the proxy is running already")
        ready = threading.Event()
        self._failure = None
        # Daemon: a forgotten `stop` must not keep a process.
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rxsdk fault proxy", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """End all connections and the thread. No harm when it is not running."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self._thread = self._loop = self._stopping = None

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

    # -- where it is, and what went through

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start."""
        return self._port

    @property
    def url(self) -> str:
        """The upstream URL with the proxy's host and port; ``ws://…`` when upstream was given without a scheme."""
        return self._parts._replace(netloc=f"{_HOST}:{self._port}").geturl()

    @property
    def connections(self) -> int:
        """How many connections have a socket left, at either side."""
        return len(self._roads)

    @property
    def accepted(self) -> int:
        """How many connections clients have made so far, refused ones included."""
        return self._accepted

    @property
    def bytes_up(self) -> int:
        """How many bytes were passed on to the server."""
        return self._faults.passed["up"]

    @property
    def bytes_down(self) -> int:
        """How many bytes were passed on to clients."""
        return self._faults.passed["down"]

    # -- settings

    def latency(
        self, seconds: float, *, jitter_s: float = 0.0, direction: Direction | Literal["both"] = "both"
    ) -> None:
        """Pass bytes on ``seconds`` later, and a random part of ``jitter_s`` later still; order is kept. 0: none."""
        _check("seconds", seconds, 0)
        _check("jitter_s", jitter_s, 0)

        def set_latency() -> None:
            for name in lanes_of(direction):
                self._faults.of(name).latency_s = seconds
                self._faults.of(name).jitter_s = jitter_s

        self._set(set_latency)

    def bandwidth(self, bytes_per_s: float | None, *, direction: Direction | Literal["both"] = "both") -> None:
        """Pass no more on than ``bytes_per_s``, for each connection. None: no limit."""
        if bytes_per_s is not None:
            _check("bytes_per_s", bytes_per_s, 1)

        def set_bandwidth() -> None:
            for name in lanes_of(direction):
                self._faults.of(name).bytes_per_s = bytes_per_s

        self._set(set_bandwidth)

    def tiny_segments(self, n_bytes: int | None = 1) -> None:
        """Pass everything on in pieces of at most ``n_bytes``, each a TCP segment of its own. None: as it comes."""
        if n_bytes is not None:
            _check("n_bytes", n_bytes, 1)

        def set_segments() -> None:
            self._faults.segment_bytes = n_bytes

        self._set(set_segments)

    def black_hole(self, on: bool = True) -> None:
        """Accept and take everything, and let nothing arrive: no bytes, no ends, no new connection at the server.

        With ``on=False``, or `heal`, what was held back arrives. More than 4 MiB a direction makes the sender wait.
        """

        def set_black_hole() -> None:
            self._faults.black_hole = on

        self._set(set_black_hole)

    def slow_close(self, seconds: float) -> None:
        """Let the server's end of a connection (its FIN or RST) reach the client ``seconds`` later. 0: at once."""
        _check("seconds", seconds, 0)

        def set_slow_close() -> None:
            self._faults.slow_close_s = seconds

        self._set(set_slow_close)

    def cut_after(self, n_bytes: int | None, direction: Direction = "down", *, times: int | None = None) -> None:
        """Cut connections after exactly ``n_bytes`` this way: open ones from now on, new ones from their start.

        The receiver gets these bytes and then FIN, the sender is reset. ``times`` is how many connections are cut, the
        first that come so far; None: each, until it is healed. ``n_bytes`` None: cut none.
        """
        (name,) = lanes_of(direction)
        if n_bytes is not None:
            _check("n_bytes", n_bytes, 1)
        if times is not None:
            _check("times", times, 1)

        def set_cut() -> None:
            self._faults.of(name).cut_after = n_bytes
            self._faults.of(name).cuts_left = times
            self._each(lambda road: road.cut_changed(name))

        self._set(set_cut)

    def refuse(self, on: bool = True) -> None:
        """Reset new connections as soon as they are made."""

        def set_refuse() -> None:
            self._faults.refuse = on

        self._set(set_refuse)

    def heal(self) -> None:
        """End all settings above. The module's docstring says what becomes of open connections."""

        def heal() -> None:
            self._faults.heal()
            self._forget_cuts()

        self._on_loop(heal)

    # -- acts

    def reset(self) -> None:
        """RST to both ends of every open connection."""
        self._on_loop(lambda: self._each(Road.reset))

    def half_open(self) -> None:
        """Close the server's side of every open connection; the client is not told, and left talking to nobody."""
        self._on_loop(lambda: self._each(Road.half_open))

    # -- inside: on the loop

    def _set(self, change: Callable[[], None]) -> None:
        def set_and_tell() -> None:
            change()
            self._each(Road.faults_changed)

        self._on_loop(set_and_tell)

    def _each(self, act: Callable[[Road], None]) -> None:
        for road in list(self._roads):
            act(road)

    def _cut_made(self, direction: Direction) -> None:
        if self._faults.note_cut(direction):
            self._forget_cuts()

    def _forget_cuts(self) -> None:
        self._each(lambda road: road.cut_changed("up"))
        self._each(lambda road: road.cut_changed("down"))
        self._each(Road.faults_changed)

    def _accept(self) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        host, port = self._upstream

        async def connect(protocol: Callable[[], asyncio.Protocol]) -> None:
            await loop.create_connection(protocol, host, port)

        self._accepted += 1
        road = Road(
            self._faults,
            loop,
            lambda protocol: loop.create_task(connect(protocol), name="rxsdk fault proxy: connect"),
            on_cut=self._cut_made,
            on_over=self._roads.discard,
        )
        self._roads.add(road)
        return road.client_protocol()

    # -- inside: the thread

    def _on_loop(self, work: Callable[[], None]) -> None:
        """Have the loop do something, and wait for it; without a loop, just do it."""
        loop = self._loop
        if loop is None:
            work()
        else:
            do_on(loop, work)

    def _run(self, ready: threading.Event) -> None:
        try:
            # Whatever the policy: uvloop never tells the end of a connection made while its dialing was cancelled.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve(ready))
        except BaseException as error:
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, _HOST, self._port, backlog=_BACKLOG)
        self._port = server.sockets[0].getsockname()[1]
        self._stopping, self._loop = asyncio.Event(), loop
        ready.set()
        await self._stopping.wait()
        # What was accepted just now becomes a road first; asyncio drops it unclosed when its server is closed.
        loop.remove_reader(server.sockets[0])
        await asyncio.sleep(0)
        server.close()
        while self._roads:
            self._each(Road.shut)
            await asyncio.sleep(0)
        await server.wait_closed()


def _taken_apart(upstream: str | tuple[str, int]) -> tuple[SplitResult, tuple[str, int]]:
    """The URL that clients use, and the host and port behind it."""
    if not isinstance(upstream, str):
        host, number = upstream
        return SplitResult("ws", "", "", "", ""), (host, number)
    parts = urlsplit(upstream if "://" in upstream else f"ws://{upstream}")
    port = parts.port or (_PORT_OF_SCHEME.get(parts.scheme) if "://" in upstream else None)
    if not parts.hostname or port is None:
        raise ValueError(f'upstream must be a URL, "host:port" or (host, port), not {upstream!r}')
    return parts, (parts.hostname, port)


def _check(name: str, value: float, least: float) -> None:
    """Raise ValueError unless ``value`` is a finite number of at least ``least``."""
    if not least <= value < float("inf"):
        raise ValueError(f"{name} must be a number from {least:g}, not {value!r}")
