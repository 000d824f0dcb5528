"""WebSockets by the library `picows`, which reads frames faster than Python can (extra ``fast``).

Floor 1. The one module that imports it. Opened by `rxsdk.core.transport.websocket_connect`, for whom it is the same as
`rxsdk.core.with_websockets`: what picows leaves to its user (fragments, the closing handshake) is done here. It writes
one frame a system call; here the frames of one turn are masked and go out together.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import picows
from picows import WSCloseCode, WSError, WSFrame, WSHandshakeError, WSInvalidURL, WSListener, WSMsgType, WSTransport

from rxsdk.core.framing import framed
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
)
from rxsdk.errors import ConnectFailed, ConnectionLost, TransportError
from rxsdk.protocols.contract import Frame

__all__ = ["open_websocket"]

# picows' enums are whole numbers, whatever its stubs say.
_CONT: Any = WSMsgType.CONTINUATION
_TEXT: Any = WSMsgType.TEXT
_BINARY: Any = WSMsgType.BINARY
_CLOSE: Any = WSMsgType.CLOSE
_PING: Any = WSMsgType.PING
_NO_CODE = 1005
_READ = 64 * 1024  # as much as stays in the processor's cache; and many messages would keep the loop for long
_USER_AGENT = f"Python/{platform.python_version()} picows/{picows.__version__}"  # type: ignore[attr-defined]


async def open_websocket(handshake: Handshake) -> Transport:
    """Open one, or raise `ConnectFailed`."""
    url = handshake.url
    try:
        return await _open(handshake)
    except WSInvalidURL as error:
        raise ConnectFailed(url, str(error), fatal=True) from error
    except WSHandshakeError as error:
        status = 0 if error.response is None else int(error.response.status)
        if status not in (0, 101):
            raise answered_with(url, status) from error
        raise ConnectFailed(url, f"no WebSocket handshake: {error}") from error
    except Exception as error:
        raise connect_failed(url, error) from error


async def _open(handshake: Handshake) -> _PicowsTransport:
    sockets: dict[socket.socket, int] = {}  # and their inodes
    made: list[_PicowsTransport] = []

    def make(request: Any, response: Any) -> _PicowsTransport:
        made.append(_PicowsTransport(handshake, response))
        return made[-1]

    async def connect(parsed: Any) -> socket.socket:
        sock = await _connected_socket(parsed.host, parsed.port)
        sockets[sock] = _inode(sock)
        return sock

    try:
        async with asyncio.timeout(handshake.timeout_s):
            _, listener = await picows.ws_connect(
                make,
                handshake.url,
                ssl_context=handshake.tls,
                websocket_handshake_timeout=None,
                logger_name=_silence,
                enable_auto_pong=False,
                max_frame_size=handshake.max_message_bytes,
                extra_headers=_headers(handshake),
                max_redirects=10,
                socket_factory=connect,
                use_aiofastnet=False,
            )
    except BaseException:
        for transport in made:  # it opened in the moment in which nobody waited for it any more
            transport.abandon()
        for sock, inode in sockets.items():
            await _let_go(sock, inode)
        raise
    if listener is None:
        for sock, inode in sockets.items():
            await _let_go(sock, inode)
        raise WSHandshakeError("the server closed the connection")
    assert isinstance(listener, _PicowsTransport)
    return listener


async def _connected_socket(host: str, port: int) -> socket.socket:
    """To the first of the host's addresses that answers."""
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError(f"{host} has no address")


def _inode(sock: socket.socket) -> int:
    """What tells a descriptor from another of the same number; 0 where there is none."""
    try:
        return os.fstat(sock.fileno()).st_ino
    except OSError:  # closed; or Windows
        return 0


async def _let_go(sock: socket.socket, inode: int) -> None:
    """picows leaves a socket open that it has not begun with, and one whose handshake nobody waits for any more.

    What has begun with it ends within a few turns of the loop when it is shut down, and closes it then. But uvloop does
    not say so to a socket that it was to be given after that. Closed once more, now or by the collector, its number may
    be that of somebody else's socket.
    """
    if _inode(sock) == inode:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    try:
        for _ in range(10):
            if sock.fileno() == -1 or _inode(sock) != inode:
                break
            await asyncio.sleep(0)
    finally:
        if _inode(sock) == inode:
            sock.close()
        else:
            sock.detach()


def _headers(handshake: Handshake) -> list[tuple[str, str]]:
    headers = [("User-Agent", handshake.user_agent or _USER_AGENT)]
    if handshake.origin is not None:
        headers.append(("Origin", handshake.origin))
    if handshake.subprotocols:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(handshake.subprotocols)))
    return headers + list((handshake.extra_headers or {}).items())


class _Silence(logging.LoggerAdapter[logging.Logger]):
    """What goes wrong is told in errors; picows would log it as well, as an error of its own."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return False


_silence = _Silence(logging.getLogger("rxsdk.transport"), {})


class _PicowsTransport(WSListener):
    """What hears the frames of one connection, and is the `Transport` that writes to it."""

    __slots__ = (
        "_hung_up",
        "_is_closing",
        "_is_deaf",
        "_is_gone",
        "_is_paused",
        "_kind",
        "_limit",
        "_long",
        "_lost",
        "_messages",
        "_over",
        "_parts",
        "_parts_size",
        "_parts_wanted",
        "_picows",
        "_pong",
        "_reading",
        "_receiver",
        "_socket",
        "subprotocol",
    )

    def __init__(self, handshake: Handshake, response: Any) -> None:
        self.subprotocol = _agreed(handshake, response.headers)
        self._kind = _TEXT if handshake.is_text else _BINARY
        self._limit = handshake.max_message_bytes
        self._long: LongMessage | None = None  # that is on its way out
        self._pong: bytes | None = None  # to be sent behind it
        self._receiver: Receiver | None = None
        self._messages: list[bytes] = []  # not handed over yet
        self._parts: list[bytes] | None = None  # of a message that comes in fragments
        self._parts_size = 0
        self._parts_wanted = False
        self._is_paused = False
        self._is_closing = False
        self._is_deaf = False
        self._is_gone = False
        self._hung_up = ConnectionLost("the server closed it without a word")
        self._lost: TransportError | None = None

    # -- Transport

    @property
    def writable(self) -> bool:
        is_free = not self._is_paused and self._long is None
        return is_free and not (self._is_closing or self._is_deaf or self._socket.is_closing())

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._hand_over(receiver)
        if self._lost is not None:
            receiver.transport_lost(self._lost)

    def write(self, frames: Sequence[Frame]) -> None:
        if self._is_closing or self._is_deaf or self._socket.is_closing():
            return
        first = 0x80 | self._kind
        if frames and isinstance(frames[-1], list):
            frames, self._long = LongMessage.last_of(frames, first, self._socket, self._long_is_out)
        if len(frames) == 1:
            self._picows.send(self._kind, frames[0])  # type: ignore[arg-type]
        elif frames:
            self._socket.write(framed(first, frames))  # type: ignore[arg-type]

    def pause_reading(self) -> None:
        self._reading.pause()

    def resume_reading(self) -> None:
        self._reading.resume()

    async def close(self, *, politely: bool = True) -> None:
        if not politely:
            self._abort()
        elif not self._is_closing and not self._is_deaf and not self._socket.is_closing():
            self._is_closing = True
            if self._long is None:
                self._picows.send_close(WSCloseCode.OK)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.shield(self._over)
        finally:
            self._abort()  # also when this task is cancelled meanwhile
        await asyncio.shield(self._over)

    def _abort(self) -> None:
        if not self._is_gone:  # asyncio's transport fails at it when it has closed with the last of its buffer
            self._socket.abort()

    def abandon(self) -> None:
        """Nobody has it, and nobody waits for its end: uvloop does not tell of one when its opening is cancelled."""
        self._abort()
        self._over.cancel()

    # -- picows' callbacks

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._picows = transport
        self._socket = transport.underlying_transport
        self._reading = Reading(self._socket)
        self._socket.set_protocol(_Between(self._socket.get_protocol(), self._caused, self._reading))
        self._socket.set_write_buffer_limits(WRITE_HIGH_WATER)
        self._over = asyncio.ensure_future(self._until_disconnected(transport))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # picows reads a frame before it hands the one before over: it may have found it to be against the protocol.
        is_last = transport.is_close_frame_sent and not self._is_closing
        if not self._is_deaf:
            is_message = frame.msg_type == self._kind and frame.fin and self._parts is None
            if is_message and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
                self._messages.append(frame.get_payload_as_bytes())
            else:
                self._other_frame(frame)
        if is_last:
            self._is_deaf = True
        if (frame.last_in_buffer or len(self._messages) >= MESSAGES_AT_ONCE) and self._receiver is not None:
            self._hand_over(self._receiver)

    def pause_writing(self) -> None:
        self._is_paused = True
        if self._long is not None:
            self._long.hold()

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._long is not None:
            self._long.go_on()
        elif self._receiver is not None:
            self._receiver.transport_writable()

    # -- ours

    def _long_is_out(self) -> None:
        """Now what may not come within another frame can be said: pongs, goodbyes, and the next messages."""
        self._long = None
        if self._pong is not None:
            self._send_pong()
        if self._is_closing:
            self._picows.send_close(WSCloseCode.OK)
        elif self._receiver is not None:
            self._receiver.transport_writable()

    def _send_pong(self) -> None:
        self._picows.send_pong(self._pong)
        self._pong = None

    def _hand_over(self, receiver: Receiver) -> None:
        if self._messages:
            messages, self._messages = self._messages, []
            try:
                receiver.frames_received(messages)
            except BaseException:  # picows says goodbye and tells of it: what the peer answers is not the reason
                self._is_deaf = True
                raise

    def _other_frame(self, frame: WSFrame) -> None:
        """A control frame, a fragment, a message of the other kind, or one against the protocol."""
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._break(WSCloseCode.PROTOCOL_ERROR, "reserved bits must be 0")
        elif kind == _PING:
            self._pong = frame.get_payload_as_bytes()
            if self._long is None:
                self._send_pong()  # else behind it
        elif kind == _CLOSE:
            self._closed_by_server(frame)
        elif kind in (_TEXT, _BINARY) and self._parts is not None:
            self._break(WSCloseCode.PROTOCOL_ERROR, "expected a continuation frame")
        elif kind in (_TEXT, _BINARY):
            self._parts_wanted = kind == self._kind
            self._parts = None if frame.fin else []
            self._parts_size = 0
            if not frame.fin:
                self._part(frame)
        elif kind == _CONT:
            self._part(frame)

    def _part(self, frame: WSFrame) -> None:
        if self._parts is None:
            self._break(WSCloseCode.PROTOCOL_ERROR, "unexpected continuation frame")
            return
        part = frame.get_payload_as_bytes()
        self._parts.append(part)
        self._parts_size += len(part)
        if self._parts_size > self._limit:
            self._break(WSCloseCode.MESSAGE_TOO_BIG, f"a message exceeds limit of {self._limit} bytes")
        elif frame.fin:
            parts, self._parts = self._parts, None
            if self._parts_wanted:
                self._messages.append(b"".join(parts))

    def _break(self, code: WSCloseCode, reason: str) -> None:
        self._is_deaf = True
        if self._long is None:
            self._picows.send_close(code, reason.encode())
        self._socket.close()
        self._end(ConnectionLost(reason))

    def _closed_by_server(self, frame: WSFrame) -> None:
        """It need not close its end before we move on."""
        given: Any = frame.get_close_code()
        code, reason = given or _NO_CODE, frame.get_close_reason() or ""
        self._is_deaf = True
        if not self._is_closing and self._long is None:
            self._picows.send_close(given or WSCloseCode.OK)
        self._socket.close()
        self._end(ConnectionLost(f"the server closed it ({code}{' ' + reason if reason else ''})", code=code))

    async def _until_disconnected(self, transport: WSTransport) -> None:
        try:
            await transport.wait_disconnected()
        except WSError as error:  # what picows found against the protocol
            code, reason = error.args[0], error.args[-1]
            if code == WSCloseCode.MESSAGE_TOO_BIG:
                reason = f"a message exceeds limit of {self._limit} bytes"
            lost = ConnectionLost(str(reason))
            lost.__cause__ = error
        except Exception as error:
            lost = ConnectionLost(f"{type(error).__name__}: {error}")
            lost.__cause__ = error
        else:
            lost = self._hung_up
        self._end(lost)

    def _caused(self, error: Exception | None) -> None:
        self._is_gone = True
        if error is not None:
            self._hung_up = ConnectionLost(getattr(error, "strerror", None) or str(error) or type(error).__name__)
            self._hung_up.__cause__ = error

    def _end(self, lost: ConnectionLost) -> None:
        if self._lost is None:
            self._is_deaf = True
            self._lost = lost
            if self._receiver is not None:
                self._hand_over(self._receiver)
                self._receiver.transport_lost(lost)


class _Between(asyncio.BufferedProtocol):
    """Stands between the socket and picows, which does not tell why a connection was lost, and reads without bound."""

    def __init__(self, inner: Any, caused: Callable[[Exception | None], None], reading: Reading) -> None:
        self._caused = caused
        self._reading = reading
        self._room = 0
        # As attributes they are picows' own: nothing is called in between.
        self._get_buffer = inner.get_buffer
        self._buffer_updated = inner.buffer_updated
        self._connection_lost = inner.connection_lost
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        # Its buffer doubles whenever it was full, and megabytes of messages would keep the loop for one turn.
        buffer: memoryview = self._get_buffer(sizehint)[:_READ]
        self._room = len(buffer)
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes == self._room:
            self._reading.was_full()
        self._buffer_updated(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        self._caused(exc)
        self._connection_lost(exc)


def _agreed(handshake: Handshake, headers: Any) -> str | None:
    """The subprotocol the server chose; raise `WSHandshakeError` for an answer to what was not asked."""
    if "Sec-WebSocket-Extensions" in headers:
        raise WSHandshakeError("the server wants an extension that was not offered")
    chosen: str | None = headers.get("Sec-WebSocket-Protocol")
    if chosen is not None and chosen not in handshake.subprotocols:
        raise WSHandshakeError(f"the server chose the subprotocol {chosen!r}, which was not offered")
    return chosen
