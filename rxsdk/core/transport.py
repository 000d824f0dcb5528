"""Transports: one open connection each, what opens them, and the edge where foreign errors become ours.

Floor 1. A transport pushes whole messages into its `Receiver` straight from the socket's callback, `MESSAGES_AT_ONCE`
of one read together, with no task and no queue a message; writing never blocks. Two libraries can open WebSockets, each
in a module of its own that is imported when it is needed: `rxsdk.core.with_websockets`, which can do everything, and
`rxsdk.core.with_picows`, which is faster. `memory_pair` is the same without a socket, for tests.

Invariants: nothing reaches the receiver before `start`; `transport_lost` comes once and is the last thing it hears.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import msgspec

from rxsdk.core.reconnect import is_fatal_status
from rxsdk.errors import ConnectFailed, ConnectionLost, TransportError
from rxsdk.protocols.contract import Frame, whole

__all__ = [
    "CLOSE_TIMEOUT_S",
    "MESSAGES_AT_ONCE",
    "WRITE_HIGH_WATER",
    "Connect",
    "Handshake",
    "MemoryServer",
    "Reading",
    "Receiver",
    "Transport",
    "WebSocketLibrary",
    "answered_with",
    "connect_failed",
    "has_picows",
    "library_log",
    "memory_pair",
    "websocket_connect",
]

CLOSE_TIMEOUT_S = 1.0
WRITE_HIGH_WATER = 1024 * 1024
MESSAGES_AT_ONCE = 64
"""So many are handed over together: one read may bring thousands, and what is made of them had better die young."""

WebSocketLibrary = Literal["auto", "websockets", "picows"]


class _WithoutFrames(logging.LoggerAdapter[logging.Logger]):
    """What the libraries log to. At DEBUG they would log headers and frames, signed payloads and all: they never do."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return level > logging.DEBUG and super().isEnabledFor(level)


library_log = _WithoutFrames(logging.getLogger("rxsdk.transport"), {})


class Receiver(Protocol):
    """Who hears what a transport has to say; always called on the loop."""

    def frames_received(self, frames: Sequence[bytes]) -> None:
        """Whole messages, in order: at least one."""
        ...

    def transport_writable(self) -> None:
        """The write buffer has room again."""
        ...

    def transport_lost(self, error: TransportError) -> None:
        """It is over."""
        ...


class Transport(Protocol):
    """One open connection."""

    subprotocol: str | None

    @property
    def writable(self) -> bool:
        """Whether what is written now goes out, as far as anybody can tell."""
        ...

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver, what has come already first."""
        ...

    def write(self, frames: Sequence[Frame]) -> None:
        """Hand frames over; never blocks. On a lost transport it does nothing (the receiver has heard).

        One in pieces, the last of ``frames``, goes out a piece a turn of the loop; it is not `writable` meanwhile, and
        nothing may be handed over.
        """
        ...

    def pause_reading(self) -> None:
        """Deliver nothing, but for what has been read already, until `resume_reading`."""
        ...

    def resume_reading(self) -> None:
        """Deliver again."""
        ...

    async def close(self, *, politely: bool = True) -> None:
        """End; politely is with a goodbye, within about a second whatever the peer does."""
        ...


Connect = Callable[[], Awaitable[Transport]]
"""Opens a transport or raises a `TransportError`."""


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """How to open a WebSocket to ``url``.

    Compression and the libraries' own pings are off: heartbeats do that job.
    """

    url: str
    is_text: bool
    subprotocols: Sequence[str]
    timeout_s: float
    max_message_bytes: int
    ssl_context: ssl.SSLContext | None
    proxy: str | bool
    extra_headers: Mapping[str, str] | None
    origin: str | None
    user_agent: str | None

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How to encrypt; None for ``ws://``."""
        is_plain = not self.url.lower().startswith("wss:")
        return None if is_plain else self.ssl_context or _system_tls()


class Reading:
    """How a socket is read: as much as one buffer holds in a turn of the loop, and nothing while it is paused.

    asyncio's own loop reads once a turn anyway; uvloop reads on while there is more, up to 2 MiB: thousands of
    messages, while everybody else on the loop waits.
    """

    __slots__ = ("_is_paused", "_socket")

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._is_paused = False

    def was_full(self) -> None:
        """The buffer was filled: the rest of what is there comes in the next turn."""
        self._socket.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self._is_paused = True
        self._socket.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        self._socket.resume_reading()

    def _go_on(self) -> None:
        if not self._is_paused:
            self._socket.resume_reading()


@cache
def _system_tls() -> ssl.SSLContext:
    """Trusts whom the system trusts. One for all: to read the certificates takes 18 ms, and 0.8 MiB to keep them."""
    return ssl.create_default_context()


def websocket_connect(handshake: Handshake, library: WebSocketLibrary = "auto") -> Connect:
    """What opens WebSockets so; ``"auto"`` takes picows where it is installed and can do what is asked."""

    async def open_transport() -> Transport:
        # Imported late: what is not connected yet need not wait for it, and one of them may be missing.
        if library == "picows" or (library == "auto" and has_picows() and not _asks_too_much(handshake)):
            from rxsdk.core.with_picows import open_websocket  # noqa: PLC0415

            if _asks_too_much(handshake):
                reason = "picows takes no proxy and no credentials of the URL; transport='auto' takes what can"
                raise ConnectFailed(handshake.url, reason, fatal=True)
        else:
            from rxsdk.core.with_websockets import open_websocket  # noqa: PLC0415
        return await open_websocket(handshake)

    return open_transport


def _asks_too_much(handshake: Handshake) -> bool:
    """Whether only websockets can do it: it has the longer experience with proxies, and signs in with the URL's."""
    if "@" in handshake.url.partition("://")[2].partition("/")[0]:
        return True
    if handshake.proxy is not True:
        return bool(handshake.proxy)
    from websockets.proxy import get_proxy  # noqa: PLC0415
    from websockets.uri import parse_uri  # noqa: PLC0415

    return get_proxy(parse_uri(handshake.url)) is not None


def has_picows() -> bool:
    """Whether the extra ``fast`` is installed."""
    return find_spec("picows") is not None


def connect_failed(url: str, error: Exception) -> ConnectFailed:
    """What a failure to connect that is no library's own comes to."""
    if isinstance(error, TimeoutError):
        return ConnectFailed(url, "no answer in time")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return ConnectFailed(url, f"TLS: {error.reason or error}", fatal=True)
    if isinstance(error, OSError):
        # asyncio puts the address into strerror ("Connect call failed …"); the system's own words say why.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        return ConnectFailed(url, reason or type(error).__name__)
    if isinstance(error, UnicodeError):  # a host that is no name
        return ConnectFailed(url, str(error), fatal=True)
    return ConnectFailed(url, f"{type(error).__name__}: {error}")


def answered_with(url: str, status: int) -> ConnectFailed:
    """The server answered the handshake with an HTTP status."""
    hint = "; is the path right? LIMP listens at /ws" if status in (200, 404, 426) else ""
    reason = f"the server answered HTTP {status} to the WebSocket handshake{hint}"
    return ConnectFailed(url, reason, status=status, fatal=is_fatal_status(status))


# -- without a socket ----------------------------------------------------------------------------------------------


class MemoryServer:
    """The far end of an in-memory transport: what a test plays the server with.

    ``received`` holds every frame the client wrote; ``on_frame`` is called with each.
    """

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.on_frame: Callable[[bytes], None] = lambda frame: None
        self.open = True
        self.client: _MemoryTransport | None = None

    def send(self, frame: bytes) -> None:
        """Let the client receive ``frame``."""
        if self.open and self.client is not None:
            self.client.deliver(frame)

    def drop(self, error: TransportError | None = None) -> None:
        """End the connection, as a cut cable would."""
        if self.open and self.client is not None:
            self.open = False
            self.client.end(error or ConnectionLost("cut"))


class _MemoryTransport:
    def __init__(self, server: MemoryServer) -> None:
        self.subprotocol: str | None = None
        self.writable = True
        self._server = server
        self._receiver: Receiver | None = None
        self._is_paused = False
        self._waiting: list[bytes] = []
        self._lost: TransportError | None = None

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._catch_up(receiver)
        if self._lost is not None:
            receiver.transport_lost(self._lost)

    def write(self, frames: Sequence[Frame]) -> None:
        for frame in map(whole, frames):
            if self._server.open:
                self._server.received.append(frame)
                self._server.on_frame(frame)

    async def close(self, *, politely: bool = True) -> None:
        self._server.drop(ConnectionLost("closed"))

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._receiver is not None:
            self._catch_up(self._receiver)

    def _catch_up(self, receiver: Receiver) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            receiver.frames_received(waiting)

    def deliver(self, frame: bytes) -> None:
        if self._receiver is None or self._is_paused:
            self._waiting.append(frame)
        else:
            self._receiver.frames_received([frame])

    def end(self, error: TransportError) -> None:
        self._lost = error
        self.writable = False
        if self._receiver is not None:
            self._catch_up(self._receiver)
            self._receiver.transport_lost(error)

    def set_writable(self, writable: bool) -> None:
        """Play a full or an emptied write buffer."""
        self.writable = writable
        if writable and self._receiver is not None:
            self._receiver.transport_writable()


def memory_pair() -> tuple[Transport, MemoryServer]:
    """A transport and the server at its other end, both in this process and on this loop."""
    server = MemoryServer()
    client = _MemoryTransport(server)
    server.client = client
    return client, server
