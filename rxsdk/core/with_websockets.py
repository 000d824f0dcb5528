"""WebSockets by the library `websockets`: its asyncio connection, with the receive queue taken out.

Floor 1. The one module that imports its client. Opened by `rxsdk.core.transport.websocket_connect`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from rxsdk.core.framing import framed
from rxsdk.core.transport import (
    CLOSE_TIMEOUT_S,
    MESSAGES_AT_ONCE,
    WRITE_HIGH_WATER,
    Handshake,
    Receiver,
    Transport,
    answered_with,
    connect_failed,
    library_log,
)
from rxsdk.errors import ConnectFailed, ConnectionLost, TransportError

__all__ = ["open_websocket"]

_READ_AT_ONCE = 64 * 1024  # more does not stay in the processor's cache


class _ReadBuffer(threading.local):
    """What each thread's loop reads into: a connection that took new memory for every read would pay for its pages."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_AT_ONCE))


_read_buffer = _ReadBuffer()


async def open_websocket(handshake: Handshake) -> Transport:
    """Open one, or raise `ConnectFailed`."""

    def make(protocol: ClientProtocol, **settings: Any) -> _WebSocketTransport:
        return _WebSocketTransport(protocol, is_text=handshake.is_text, **settings)

    options: dict[str, Any] = {}
    if handshake.ssl_context is not None:
        options["ssl"] = handshake.ssl_context
    if handshake.user_agent is not None:
        options["user_agent_header"] = handshake.user_agent
    try:
        # `create_connection` is the documented place for a subclass of ClientConnection.
        return await connect(  # type: ignore[return-value]
            handshake.url,
            origin=handshake.origin,  # type: ignore[arg-type]
            subprotocols=list(handshake.subprotocols) or None,  # type: ignore[arg-type]
            compression=None,
            additional_headers=handshake.extra_headers,
            proxy=handshake.proxy or None,
            open_timeout=handshake.timeout_s,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=handshake.max_message_bytes,
            write_limit=WRITE_HIGH_WATER,
            logger=library_log,
            create_connection=make,  # type: ignore[arg-type]
            **options,
        )
    except Exception as error:
        raise _failed(handshake.url, error) from error


def _failed(url: str, error: Exception) -> ConnectFailed:
    if isinstance(error, InvalidStatus):
        return answered_with(url, error.response.status_code)
    # ImportError: a SOCKS proxy without python-socks
    if isinstance(error, (InvalidURI, InvalidProxy, ImportError)):
        return ConnectFailed(url, str(error), fatal=True)
    if isinstance(error, InvalidHandshake):
        return ConnectFailed(url, f"no WebSocket handshake: {error}")
    return connect_failed(url, error)


class _WebSocketTransport(ClientConnection, asyncio.BufferedProtocol):
    """websockets' own connection, with its receive queue taken out: messages are pushed on."""

    def __init__(self, protocol: ClientProtocol, *, is_text: bool, **settings: Any) -> None:
        super().__init__(protocol, **settings)
        self._opcode = Opcode.TEXT if is_text else Opcode.BINARY
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
            self.transport.write(framed(0x80 | self._opcode, frames))

    async def close(self, code: int = 1000, reason: str = "", *, politely: bool = True) -> None:
        if not politely:
            self.transport.abort()
        elif self.protocol.state is State.OPEN and not self.transport.is_closing():
            self.protocol.send_close(code, reason)
            self.send_data()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
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
            if len(self._messages) >= MESSAGES_AT_ONCE and self._receiver is not None:
                self._hand_over(self._receiver)
        elif event.opcode is not Opcode.CLOSE:
            self._part(event)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _read_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(_read_buffer.view[:nbytes])  # type: ignore[arg-type] # is copied within

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
