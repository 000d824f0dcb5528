"""WebSockets by the library `websockets`: its client opens them, then its sans-I/O protocol alone goes on.

Floor 1. The one module that imports its client. Opened by `rxsdk.core.transport.websocket_connect`. What its asyncio
connection is made of (a receive queue, pings, the handshake's headers) takes 7 KiB, none of which is needed once it is
open: then the socket is given to a `_WebSocketTransport`.
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

from rxsdk.core.framing import frame_size, framed, take_messages
from rxsdk.core.long_work import LongMessage
from rxsdk.core.transport import (
    CLOSE_TIMEOUT_S,
    MESSAGES_AT_ONCE,
    WRITE_HIGH_WATER,
    Handshake,
    Reading,
    Receiver,
    Transport,
    answered_with,
    connect_failed,
    library_log,
)
from rxsdk.errors import ConnectFailed, ConnectionLost, TransportError
from rxsdk.protocols.contract import Frame as Outgoing

__all__ = ["open_websocket"]

_OPEN = State.OPEN  # looked up once: Python 3.11 takes a quarter of a microsecond for it
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_READ_AT_ONCE = 64 * 1024  # more does not stay in the processor's cache


class _ReadBuffer(threading.local):
    """What each thread's loop reads into: a connection that took new memory for every read would pay for its pages."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_AT_ONCE))


_read_buffer = _ReadBuffer()


async def open_websocket(handshake: Handshake) -> Transport:
    """Open one, or raise `ConnectFailed`."""

    options: dict[str, Any] = {}
    if handshake.tls is not None:
        options["ssl"] = handshake.tls
    if handshake.user_agent is not None:
        options["user_agent_header"] = handshake.user_agent
    try:
        # `create_connection` is the documented place for a subclass of ClientConnection.
        opened = await connect(
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
            create_connection=_Opening,
            **options,
        )
    except Exception as error:
        raise _failed(handshake.url, error) from error
    assert isinstance(opened, _Opening)
    return _WebSocketTransport(opened, handshake)


def _failed(url: str, error: Exception) -> ConnectFailed:
    if isinstance(error, InvalidStatus):
        return answered_with(url, error.response.status_code)
    # ImportError: a SOCKS proxy without python-socks
    if isinstance(error, (InvalidURI, InvalidProxy, ImportError)):
        return ConnectFailed(url, str(error), fatal=True)
    if isinstance(error, InvalidHandshake):
        return ConnectFailed(url, f"no WebSocket handshake: {error}")
    return connect_failed(url, error)


class _Opening(ClientConnection):
    """websockets' own connection, until it is open; what the server says before anybody has taken over is kept."""

    def __init__(self, protocol: ClientProtocol, **settings: Any) -> None:
        super().__init__(protocol, **settings)
        self.early = b""  # not read yet
        self.events: list[Event] = []  # read, because it hung up
        self._read = b""

    def data_received(self, data: bytes) -> None:
        if self.protocol.state is _OPEN:
            self.early += data
            return
        self._read += data
        _, end, early = self._read.partition(b"\r\n\r\n")  # of the server's answer
        answer = len(data) - len(early) if end else len(data)
        super().data_received(data[:answer])
        if self.protocol.state is _OPEN:
            self.early = early
        elif early:
            super().data_received(data[answer:])

    def process_event(self, event: Event) -> None:
        if self.response is None:
            super().process_event(event)
        else:
            self.events.append(event)

    def eof_received(self) -> None:
        self._catch_up()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._catch_up()
        super().connection_lost(exc)

    def _catch_up(self) -> None:
        early, self.early = self.early, b""
        if early:
            super().data_received(early)


class _WebSocketTransport(asyncio.BufferedProtocol):
    """An open WebSocket: the protocol's frames on asyncio's transport, messages pushed on.

    Messages that come whole, as nearly all do, are taken out of what was read at once, for a quarter of what the
    protocol takes for a frame. It is given everything else, frame by frame: control frames, fragments, what comes in
    several reads, is too large or makes no sense.
    """

    __slots__ = (
        "_begun",
        "_gone",
        "_in_fragments",
        "_is_over",
        "_limit",
        "_long",
        "_lost",
        "_messages",
        "_opcode",
        "_owed",
        "_parts",
        "_parts_wanted",
        "_reading",
        "_receiver",
        "_send",
        "_why_gone",
        "paused",
        "protocol",
        "subprotocol",
        "transport",
    )

    def __init__(self, opened: _Opening, handshake: Handshake) -> None:
        self.protocol = protocol = opened.protocol
        self.transport = opened.transport
        self.subprotocol: str | None = protocol.subprotocol
        self.paused = opened.paused
        self._opcode = Opcode.TEXT if handshake.is_text else Opcode.BINARY
        self._limit = handshake.max_message_bytes
        self._begun = b""  # of the head of a frame
        self._owed = 0  # so much of a frame, which the protocol has begun with, is still to come
        self._in_fragments = False
        self._is_over = False  # the server said goodbye, or broke the protocol
        self._long: LongMessage | None = None  # that is on its way out
        self._reading = Reading(self.transport)
        self._receiver: Receiver | None = None
        self._messages: list[bytes] = []  # not handed over yet
        self._parts: list[bytes] = []
        self._parts_wanted = False
        self._lost: TransportError | None = None
        self._gone: asyncio.Future[None] = opened.connection_lost_waiter
        self._why_gone = opened.connection_exc
        self._take_over(opened)

    # -- Transport

    @property
    def writable(self) -> bool:
        is_free = not self.paused and self._long is None
        return is_free and self.protocol.state is _OPEN and not self.transport.is_closing()

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._hand_over(receiver)
        if self._lost is not None:
            receiver.transport_lost(self._lost)

    def write(self, frames: Sequence[Outgoing]) -> None:
        if self.protocol.state is _OPEN and not self.transport.is_closing():
            first = 0x80 | self._opcode
            if frames and isinstance(frames[-1], list):
                frames, self._long = LongMessage.last_of(frames, first, self.transport, self._long_is_out)
            self.transport.write(framed(first, frames))  # type: ignore[arg-type]

    def pause_reading(self) -> None:
        self._reading.pause()

    def resume_reading(self) -> None:
        self._reading.resume()

    async def close(self, *, politely: bool = True) -> None:
        if not politely:
            self._abort()
        elif self.protocol.state is _OPEN and not self.transport.is_closing():
            self.protocol.send_close(1000)
            self.send_data()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.shield(self._gone)
        finally:
            self._abort()  # also when this task is cancelled meanwhile
        await asyncio.shield(self._gone)

    def _abort(self) -> None:
        if not self._gone.done():  # asyncio's transport fails at it when it has closed with the last of its buffer
            self.transport.abort()

    # -- asyncio's callbacks

    def get_buffer(self, sizehint: int) -> memoryview:
        return _read_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes == _READ_AT_ONCE:
            self._reading.was_full()
        self._read(bytes(_read_buffer.view[:nbytes]))
        self.send_data()  # pongs, and the answer to a goodbye
        if self._receiver is not None:
            self._hand_over(self._receiver)
        self._look_for_end()

    def eof_received(self) -> None:
        self.protocol.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.protocol.receive_eof()
        self._why_gone = exc
        self._gone.set_result(None)
        self._end()

    def pause_writing(self) -> None:
        self.paused = True
        if self._long is not None:
            self._long.hold()

    def resume_writing(self) -> None:
        self.paused = False
        if self._long is not None:
            self._long.go_on()
        elif self._receiver is not None:
            self._receiver.transport_writable()

    # -- ours

    def _take_over(self, opened: _Opening) -> None:
        """From now on the socket's callbacks come here; the rest of ``opened`` can go."""
        self.protocol.logger = library_log  # in place of one with ``opened`` in it
        assert opened.response is not None
        opened.response.headers.clear()  # the protocol keeps it
        self._take(opened.events)
        self._read(opened.early)
        if self._gone.done():
            self._end()
        else:
            self.transport.set_protocol(self)
            self.send_data()
            self._look_for_end()

    def _long_is_out(self) -> None:
        self._long = None
        self.send_data()
        if self._receiver is not None:
            self._receiver.transport_writable()

    def send_data(self) -> None:
        """Write what the protocol has to say, but not within a long message."""
        if self._long is not None:
            return
        data = self.protocol.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.writelines(data)

    def _read(self, data: bytes) -> None:
        data = self._begun + data
        at = self._pass_on(data[: self._owed])
        while True:
            if not self._in_fragments and not self._is_over:
                at = take_messages(data, at, 0x80 | self._opcode, self._limit, self._messages)
            size = frame_size(data, at)
            if size is None:
                break
            self._owed = size
            at += self._pass_on(data[at : at + size])
        self._begun = data[at:]

    def _pass_on(self, data: bytes) -> int:
        """Let the protocol read ``data``, of one frame; returns the size of it."""
        self._owed -= len(data)
        if data:
            self.protocol.receive_data(data)
            self._take(self.protocol.events_received())
        return len(data)

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            assert isinstance(event, Frame)
            if event.opcode in _DATA:
                self._in_fragments = not event.fin
                if event.opcode is self._opcode and event.fin:
                    self._messages.append(bytes(event.data))
                else:
                    self._part(event)
        self._is_over = self.protocol.close_rcvd is not None or self.protocol.parser_exc is not None

    def _look_for_end(self) -> None:
        if self._is_over:
            # The peer said goodbye or broke the protocol: it need not close its end before we move on.
            self._end()
            self.transport.close()

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
        messages, self._messages = self._messages, []
        for start in range(0, len(messages), MESSAGES_AT_ONCE):
            receiver.frames_received(messages[start : start + MESSAGES_AT_ONCE])

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
        cause = self._why_gone or failure
        if cause is None or isinstance(cause, EOFError):
            return ConnectionLost("the server closed it without a word")
        lost = ConnectionLost(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)
        lost.__cause__ = cause
        return lost
