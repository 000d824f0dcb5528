"""Transports: one open WebSocket each, and the edge where foreign errors become ours.

Floor 1. The one module that imports websockets. A transport pushes whole messages into its `Receiver` straight from
the socket's callback, those of one read together, with no task and no queue a message; writing never blocks.
`memory_pair` is the same without a socket, for tests.

Invariants: nothing reaches the receiver before `start`; `transport_lost` comes once and is the last thing it hears.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from rxsdk.core.reconnect import is_fatal_status
from rxsdk.errors import ConnectFailed, ConnectionLost, TransportError

__all__ = ["Connect", "MemoryServer", "Receiver", "Transport", "memory_pair", "websocket_connect"]

_CLOSE_TIMEOUT_S = 1.0
_WRITE_HIGH_WATER = 1024 * 1024


class _WithoutFrames(logging.LoggerAdapter[logging.Logger]):
    """What websockets logs to. At DEBUG it would log headers and frames, signed payloads and all, so it never does."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return level > logging.DEBUG and super().isEnabledFor(level)


_log = _WithoutFrames(logging.getLogger("rxsdk.transport"), {})


class Receiver(Protocol):
    """Who hears what a transport has to say; always called on the loop."""

    def frames_received(self, frames: Sequence[bytes]) -> None:
        """Whole messages, in order: at least one, and all that came in one piece."""
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

    def write(self, frames: Sequence[bytes]) -> None:
        """Hand frames over; never blocks. On a lost transport it does nothing (the receiver has heard)."""
        ...

    async def close(self, *, politely: bool = True) -> None:
        """End; politely is with a goodbye, within about a second whatever the peer does."""
        ...


Connect = Callable[[], Awaitable[Transport]]
"""Opens a transport or raises a `TransportError`."""


def websocket_connect(
    url: str,
    *,
    is_text: bool,
    subprotocols: Sequence[str],
    timeout_s: float,
    max_message_bytes: int,
    ssl_context: ssl.SSLContext | None,
    proxy: str | bool,
    extra_headers: Mapping[str, str] | None,
    origin: str | None,
    user_agent: str | None,
) -> Connect:
    """What opens WebSockets to ``url``. Compression and the library's own pings are off: heartbeats do that job."""

    async def open_transport() -> Transport:
        def make(protocol: ClientProtocol, **settings: Any) -> _WebSocketTransport:
            return _WebSocketTransport(protocol, is_text=is_text, **settings)

        options: dict[str, Any] = {}
        if ssl_context is not None:
            options["ssl"] = ssl_context
        if user_agent is not None:
            options["user_agent_header"] = user_agent
        try:
            # `create_connection` is the documented place for a subclass of ClientConnection.
            return await connect(  # type: ignore[return-value]
                url,
                origin=origin,  # type: ignore[arg-type]
                subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
                compression=None,
                additional_headers=extra_headers,
                proxy=proxy or None,
                open_timeout=timeout_s,
                ping_interval=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=max_message_bytes,
                write_limit=_WRITE_HIGH_WATER,
                logger=_log,
                create_connection=make,  # type: ignore[arg-type]
                **options,
            )
        except Exception as error:
            raise _connect_failed(url, error) from error

    return open_transport


def _connect_failed(url: str, error: Exception) -> ConnectFailed:
    """The one place where foreign errors of connecting are told apart."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        hint = "; is the path right? LIMP listens at /ws" if status in (200, 404, 426) else ""
        reason = f"the server answered HTTP {status} to the WebSocket handshake{hint}"
        return ConnectFailed(url, reason, status=status, fatal=is_fatal_status(status))
    if isinstance(error, TimeoutError):
        return ConnectFailed(url, "no answer in time")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return ConnectFailed(url, f"TLS: {error.reason or error}", fatal=True)
    if isinstance(error, OSError):
        # asyncio puts the address into strerror ("Connect call failed …"); the system's own words say why.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        return ConnectFailed(url, reason or type(error).__name__)
    # UnicodeError: a host that is no name; ImportError: a SOCKS proxy without python-socks
    if isinstance(error, (InvalidURI, UnicodeError, InvalidProxy, ImportError)):
        return ConnectFailed(url, str(error), fatal=True)
    if isinstance(error, InvalidHandshake):
        return ConnectFailed(url, f"no WebSocket handshake: {error}")
    return ConnectFailed(url, f"{type(error).__name__}: {error}")


class _WebSocketTransport(ClientConnection):
    """websockets' own connection, with its receive queue taken out: messages are pushed on."""

    def __init__(self, protocol: ClientProtocol, *, is_text: bool, **settings: Any) -> None:
        super().__init__(protocol, **settings)
        self._opcode = Opcode.TEXT if is_text else Opcode.BINARY
        self._send = protocol.send_text if is_text else protocol.send_binary
        self._receiver: Receiver | None = None
        self._messages: list[bytes] = []  # not handed over yet
        self._parts: list[bytes] = []
        self._parts_wanted = False
        self._lost: TransportError | None = None

    # -- Transport

    @property
    def writable(self) -> bool:
        return self.protocol.state is State.OPEN and not self.paused and not self.transport.is_closing()

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._hand_over(receiver)
        if self._lost is not None:
            receiver.transport_lost(self._lost)

    def write(self, frames: Sequence[bytes]) -> None:
        if self.protocol.state is State.OPEN and not self.transport.is_closing():
            for frame in frames:
                self._send(frame)
            self.transport.writelines(self.protocol.data_to_send())

    async def close(self, code: int = 1000, reason: str = "", *, politely: bool = True) -> None:
        if not politely:
            self.transport.abort()
        elif self.protocol.state is State.OPEN and not self.transport.is_closing():
            self.protocol.send_close(code, reason)
            self.send_data()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await asyncio.shield(self.connection_lost_waiter)
        finally:
            self.transport.abort()  # also when this task is cancelled meanwhile
        await asyncio.shield(self.connection_lost_waiter)

    # -- websockets' callbacks

    def process_event(self, event: Event) -> None:
        if self.response is None or not isinstance(event, Frame) or event.opcode in (Opcode.PING, Opcode.PONG):
            super().process_event(event)
        elif event.opcode is self._opcode and event.fin:
            self._messages.append(bytes(event.data))
        elif event.opcode is not Opcode.CLOSE:
            self._part(event)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._receiver is not None:
            self._hand_over(self._receiver)
        if self.response is not None and (self.protocol.close_rcvd or self.protocol.parser_exc):
            # The peer said goodbye or broke the protocol: it need not close its end before we move on.
            self._end()
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._receiver is not None:
            self._receiver.transport_writable()

    # -- ours

    def _part(self, frame: Frame) -> None:
        """A piece of a message, or one of the other kind."""
        if frame.opcode is not Opcode.CONT:
            self._parts_wanted = frame.opcode is self._opcode and not frame.fin
        if self._parts_wanted:
            self._parts.append(bytes(frame.data))
        if frame.fin and self._parts:
            message, self._parts = b"".join(self._parts), []
            self._messages.append(message)

    def _hand_over(self, receiver: Receiver) -> None:
        if self._messages:
            messages, self._messages = self._messages, []
            receiver.frames_received(messages)

    def _end(self) -> None:
        if self._lost is not None:
            return
        self._lost = self._why_lost()
        if self._receiver is not None:
            self._receiver.transport_lost(self._lost)

    def _why_lost(self) -> ConnectionLost:
        received, failure = self.protocol.close_rcvd, self.protocol.parser_exc
        if received is not None:
            text = f"the server closed it ({received.code}{' ' + received.reason if received.reason else ''})"
            return ConnectionLost(text, code=received.code)
        cause = self.connection_exc or failure
        if cause is None or isinstance(cause, EOFError):
            return ConnectionLost("the server closed it without a word")
        lost = ConnectionLost(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)
        lost.__cause__ = cause
        return lost


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
        self._early: list[bytes] = []
        self._lost: TransportError | None = None

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        if self._early:
            early, self._early = self._early, []
            receiver.frames_received(early)
        if self._lost is not None:
            receiver.transport_lost(self._lost)

    def write(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            if self._server.open:
                self._server.received.append(frame)
                self._server.on_frame(frame)

    async def close(self, *, politely: bool = True) -> None:
        self._server.drop(ConnectionLost("closed"))

    def deliver(self, frame: bytes) -> None:
        if self._receiver is None:
            self._early.append(frame)
        else:
            self._receiver.frames_received([frame])

    def end(self, error: TransportError) -> None:
        self._lost = error
        self.writable = False
        if self._receiver is not None:
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
