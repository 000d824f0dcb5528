"""A client and a server with a `FaultProxy` between them, as plain sockets."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from rxsdk.testing import FaultProxy
from tests.conftest import wait_until


class Wire:
    """A listening server, a proxy in front of it, and the sockets opened through it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.proxy = FaultProxy(self.listener.getsockname(), seed=1)
        self.sockets: list[socket.socket] = []

    def client(self, port: int | None = None) -> socket.socket:
        """A client's end; the server has not accepted it yet."""
        return self._kept(socket.create_connection(("127.0.0.1", port or self.proxy.port), timeout=10))

    def accept(self) -> socket.socket:
        """The server's end of the next connection."""
        return self._kept(self.listener.accept()[0])

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """A client and its server, with the proxy all the way between them."""
        client = self.client()
        server = self.accept()
        server.sendall(b"!")
        assert client.recv(1) == b"!"
        return client, server

    def is_refused(self, port: int | None = None) -> bool:
        """Whether a new connection is reset, be it as it is made."""
        try:
            sock = self._kept(socket.create_connection(("127.0.0.1", port or self.proxy.port), timeout=10))
        except ConnectionResetError:
            return True
        return is_reset(sock)

    def _kept(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(10)
        self.sockets.append(sock)
        return sock

    def close(self) -> None:
        for sock in [self.listener, *self.sockets]:
            sock.close()


@pytest.fixture
def wire(caplog: pytest.LogCaptureFixture) -> Iterator[Wire]:
    """A wire whose proxy runs; afterwards nothing of it is left, and asyncio had nothing to complain of."""
    threads = set(threading.enumerate())
    wire = Wire()
    try:
        with wire.proxy:
            yield wire
    finally:
        wire.close()
    assert wire.proxy.connections == 0
    assert [thread for thread in threading.enumerate() if thread not in threads] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def receive_all(sock: socket.socket) -> bytes:
    """What comes until FIN."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def is_reset(sock: socket.socket) -> bool:
    """Wait for the connection's end; whether it was an RST and not a FIN."""
    try:
        receive_all(sock)
    except ConnectionResetError:
        return True
    return False


def is_quiet(sock: socket.socket, seconds: float = 0.03) -> bool:
    """Whether neither bytes nor an end come within ``seconds``."""
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)
    return False


def crash(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


__all__ = ["Wire", "crash", "is_quiet", "is_reset", "receive", "receive_all", "wait_until"]
