"""`FaultProxy` from start to stop: its port, its url, its threads, and settings that cannot be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from rxsdk.testing import FaultProxy
from tests.testing.conftest import Wire, receive


def test_it_keeps_its_port_and_can_be_set_before_it_starts(wire: Wire) -> None:
    proxy = FaultProxy(wire.listener.getsockname())
    proxy.stop()
    proxy.refuse()
    with proxy:
        port = proxy.port
        assert wire.is_refused(port)
        with pytest.raises(RuntimeError, match="running already"):
            proxy.start()
        with pytest.raises(OSError, match="in use"):
            FaultProxy("127.0.0.1:1", port=port).start()
    proxy.heal()
    with proxy:
        assert proxy.port == port
        client = wire.client(port)
        client.sendall(b"x")
        assert receive(wire.accept(), 1) == b"x"


def test_its_end_ends_everything_also_what_is_held(wire: Wire) -> None:
    with FaultProxy(wire.listener.getsockname()) as proxy:
        open_one = wire.client(proxy.port)
        server = wire.accept()
        proxy.black_hole()
        held = wire.client(proxy.port)
        held.sendall(b"x")
    for sock in (open_one, held, server):
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert proxy.connections == 0


@pytest.fixture
def uvloop_everywhere() -> Iterator[None]:
    """Every loop of the process that is not chosen is uvloop's."""
    uvloop = pytest.importorskip("uvloop")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(None)


def test_it_ends_while_clients_connect_also_where_loops_are_uvloops(wire: Wire, uvloop_everywhere: None) -> None:
    for _ in range(10):
        proxy = FaultProxy(wire.listener.getsockname()).start()
        for _ in range(10):
            wire.client(proxy.port)
        stopping = threading.Thread(target=proxy.stop, daemon=True)
        stopping.start()
        stopping.join(10)
        assert not stopping.is_alive()


def test_it_works_in_async_code(wire: Wire) -> None:
    async def main() -> bytes:
        async with FaultProxy(wire.listener.getsockname()) as proxy:
            proxy.tiny_segments()
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            server = await asyncio.to_thread(wire.accept)
            server.sendall(b"hello")
            data = await reader.readexactly(5)
            writer.close()
            await writer.wait_closed()
            return data

    assert asyncio.run(main()) == b"hello"


@pytest.mark.parametrize(
    ("upstream", "url"),
    [
        ("ws://localhost:8081/ws/realm?x=1", "ws://127.0.0.1:9/ws/realm?x=1"),
        ("wss://example.test/ws", "wss://127.0.0.1:9/ws"),
        ("example.test:8081", "ws://127.0.0.1:9"),
        (("example.test", 8081), "ws://127.0.0.1:9"),
    ],
)
def test_its_url_is_the_upstreams_with_its_own_host_and_port(upstream: str | tuple[str, int], url: str) -> None:
    assert FaultProxy(upstream, port=9).url == url
    assert "example.test" in repr(FaultProxy(upstream)) or "localhost" in repr(FaultProxy(upstream))


@pytest.mark.parametrize("upstream", ["example.test", "odd://example.test", "ws://:8081", "ws://x:99999"])
def test_an_upstream_without_host_or_port_is_refused(upstream: str) -> None:
    with pytest.raises(ValueError, match=r"upstream|Port"):
        FaultProxy(upstream)


def test_settings_that_cannot_be_are_refused(wire: Wire) -> None:
    for refused in (
        lambda: wire.proxy.latency(-1),
        lambda: wire.proxy.latency(0, jitter_s=float("nan")),
        lambda: wire.proxy.latency(0, direction="sideways"),  # type: ignore[arg-type]
        lambda: wire.proxy.bandwidth(0),
        lambda: wire.proxy.tiny_segments(0),
        lambda: wire.proxy.slow_close(float("inf")),
        lambda: wire.proxy.cut_after(0),
        lambda: wire.proxy.cut_after(1, times=0),
        lambda: wire.proxy.cut_after(1, "both"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"must be|unpack"):
            refused()
