"""`websocket_connect`: what is sent to open a WebSocket, and what each way of failing comes to."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rxsdk.core.transport import _system_tls
from rxsdk.errors import ConnectFailed
from tests.core.wire import Ear, accept, goodbye, opener, read_request, run, tcp_server

x509 = pytest.importorskip("cryptography.x509", reason="makes certificates")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

pytestmark = pytest.mark.usefixtures("library")


async def failure_of(url: str, **settings: Any) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await opener(url, **settings)()
    error = caught.value
    assert error.url == url
    assert error.__cause__ is not None
    assert str(error) == f"cannot connect to {url}: {error.reason}"
    return error


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def answering(*pieces: bytes) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)  # a segment each, as far as that can be had
        writer.close()
        await writer.wait_closed()

    return tcp_server(serve)


# -- what is sent


@pytest.mark.parametrize("asked_for", [True, False])
def test_the_handshake_says_what_it_was_told_to(asked_for: bool, library: str) -> None:
    requests: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await read_request(reader))
        writer.write(accept(requests[-1], *(["Sec-WebSocket-Protocol: b"] if asked_for else [])))
        await goodbye(reader, writer)

    settings: dict[str, Any] = {
        "origin": "https://app.example",
        "user_agent": "app/1",
        "extra_headers": {"X-Realm": "r"},
        "subprotocols": ["a", "b"],
    }

    async def scene() -> None:
        async with tcp_server(serve) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws/realm", **(settings if asked_for else {}))()
            assert transport.subprotocol == ("b" if asked_for else None)
            await transport.close()

    run(scene())
    [request] = requests
    assert request[""] == "GET /ws/realm HTTP/1.1"
    assert "sec-websocket-extensions" not in request  # no compression is offered
    if asked_for:
        assert request["origin"] == "https://app.example"
        assert request["user-agent"] == "app/1"
        assert request["x-realm"] == "r"
        assert request["sec-websocket-protocol"] == "a, b"
    else:
        assert "origin" not in request
        assert "sec-websocket-protocol" not in request
        assert library in request["user-agent"]


# -- how it fails


def test_nobody_listens() -> None:
    async def scene() -> None:
        error = await failure_of(f"ws://127.0.0.1:{free_port()}/ws")
        assert "refused" in error.reason.lower() or "Connect call failed" in error.reason
        assert not error.fatal
        assert error.status is None

    run(scene())


def test_a_host_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    async def scene() -> None:
        error = await failure_of("ws://no.such.host.invalid/ws")
        assert error.reason == "Name or service not known"
        assert not error.fatal  # the network may be away for a while

    run(scene())


@pytest.mark.parametrize(
    ("status", "fatal"),
    [
        *((status, True) for status in (400, 401, 403, 404)),
        *((status, False) for status in (200, 301, 408, 425, 429, 500, 502, 503)),
    ],
)
def test_an_http_status_in_answer(status: int, fatal: bool) -> None:
    async def scene() -> None:
        async with answering(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n".encode()) as port:
            error = await failure_of(f"ws://127.0.0.1:{port}/ws")
            assert (error.status, error.fatal) == (status, fatal)
            assert f"HTTP {status}" in error.reason

    run(scene())


@pytest.mark.parametrize("cuts", [[], [30], [52], [60], [5, 46, 50, 54, 60]])
def test_a_refusal_with_a_page_in_any_pieces(cuts: list[int]) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n"
    answer = head + b"<p>Nothing here.</p>"
    assert len(head) == 46

    async def scene() -> None:
        pieces = [answer[start:stop] for start, stop in pairwise([0, *cuts, len(answer)])]
        async with answering(*pieces) as port:
            error = await failure_of(f"ws://127.0.0.1:{port}/ws")
            assert (error.status, error.fatal) == (404, True)

    run(scene())


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
    ],
    ids=["not HTTP", "closed without a word", "no accept header", "no upgrade"],
)
def test_an_answer_that_is_no_handshake(response: bytes) -> None:
    async def scene() -> None:
        async with answering(response) as port:
            error = await failure_of(f"ws://127.0.0.1:{port}/ws")
            assert error.reason.startswith("no WebSocket handshake: ")
            assert not error.fatal

    run(scene())


def test_no_answer_in_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scene() -> None:
        async with tcp_server(serve) as port:
            error = await failure_of(f"ws://127.0.0.1:{port}/ws", timeout_s=0.05)
            assert error.reason == "no answer in time"
            assert not error.fatal

    run(scene())


def test_a_reset_in_the_middle_of_the_handshake() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 101 Swi")
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def scene() -> None:
        async with tcp_server(serve) as port:
            assert not (await failure_of(f"ws://127.0.0.1:{port}/ws")).fatal

    run(scene())


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://127.0.0.1/ws", {}),
        ("ws://" + "a" * 70 + ".example/ws", {}),
        ("ws://127.0.0.1/ws", {"proxy": "ftp://127.0.0.1:1"}),
    ],
    ids=["scheme", "host label too long", "proxy scheme"],
)
def test_settings_that_cannot_work_are_fatal(url: str, settings: dict[str, Any]) -> None:
    async def scene() -> None:
        assert (await failure_of(url, **settings)).fatal

    run(scene())


def test_a_socks_proxy_without_python_socks_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect_without(*arguments: Any, **settings: Any) -> None:
        raise ImportError("python-socks is required to use a SOCKS proxy")

    monkeypatch.setattr("websockets.asyncio.client.connect_socks_proxy", connect_without)

    async def scene() -> None:
        failure = await failure_of("ws://127.0.0.1/ws", proxy="socks5://127.0.0.1:1")
        assert failure.fatal
        assert "python-socks" in str(failure)

    run(scene())


def test_a_proxy_that_is_not_there() -> None:
    async def scene() -> None:
        assert not (await failure_of("ws://127.0.0.1:9/ws", proxy=f"http://127.0.0.1:{free_port()}")).fatal

    run(scene())


def test_a_proxy_that_refuses() -> None:
    async def scene() -> None:
        async with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as port:
            error = await failure_of("ws://192.0.2.1/ws", proxy=f"http://127.0.0.1:{port}")
            assert "407" in error.reason

    run(scene())


def test_through_a_proxy() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await read_request(reader))[""] == "CONNECT limp.example:80 HTTP/1.1"
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.write(accept(await read_request(reader)))
        await goodbye(reader, writer)

    async def scene() -> None:
        async with tcp_server(serve) as port:
            transport = await opener("ws://limp.example/ws", proxy=f"http://127.0.0.1:{port}")()
            await transport.close()

    run(scene())


def test_something_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def strange(*_: object, **__: object) -> Any:
        raise LookupError("strange")

    monkeypatch.setattr("rxsdk.core.with_websockets.connect", strange)
    monkeypatch.setattr("picows.ws_connect", strange)

    async def scene() -> None:
        error = await failure_of("ws://127.0.0.1/ws")
        assert error.reason == "LookupError: strange"
        assert not error.fatal

    run(scene())


def test_a_cancelled_attempt_leaves_nothing_open() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await reader.read()
        gone.set()

    async def scene() -> None:
        async with tcp_server(serve) as port:
            attempt = asyncio.ensure_future(opener(f"ws://127.0.0.1:{port}/ws")())
            await asked.wait()
            attempt.cancel()
            await asyncio.wait([attempt])
            assert attempt.cancelled()
            await asyncio.wait_for(gone.wait(), 5)

    asked, gone = asyncio.Event(), asyncio.Event()
    run(scene())


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rxsdk test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem))
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(accept(await read_request(reader)))
    writer.write(b"\x81\x02hi")
    await goodbye(reader, writer)


def test_a_certificate_nobody_vouches_for_is_fatal(certificate: Path) -> None:
    async def scene() -> None:
        async with tcp_server(echo, ssl=server_context(certificate)) as port:
            error = await failure_of(f"wss://127.0.0.1:{port}/ws")
            assert error.fatal
            assert error.reason == "TLS: CERTIFICATE_VERIFY_FAILED"

    run(scene())


def test_a_certificate_that_is_vouched_for(certificate: Path) -> None:
    async def scene() -> None:
        async with tcp_server(echo, ssl=server_context(certificate)) as port:
            context = ssl.create_default_context(cafile=str(certificate))
            transport = await opener(f"wss://127.0.0.1:{port}/ws", ssl_context=context)()
            ear = Ear()
            transport.start(ear)
            await ear.until(lambda: ear.frames == [b"hi"])
            await transport.close()

    run(scene())


def test_the_certificates_of_the_system_are_read_once(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def system_context() -> ssl.SSLContext:
        read.append(None)
        return create_default_context(cafile=str(certificate))

    async def scene() -> None:
        async with tcp_server(echo, ssl=served) as port:
            for _ in range(2):
                transport = await opener(f"wss://127.0.0.1:{port}/ws")()
                await transport.close()

    read: list[None] = []
    served, create_default_context = server_context(certificate), ssl.create_default_context
    monkeypatch.setattr("rxsdk.core.transport._system_tls", cache(_system_tls.__wrapped__))
    monkeypatch.setattr("ssl.create_default_context", system_context)
    run(scene())
    assert len(read) == 1


def test_a_server_that_does_not_speak_tls_is_fatal() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def scene() -> None:
        async with tcp_server(serve) as port:
            error = await failure_of(f"wss://127.0.0.1:{port}/ws")
            assert error.fatal
            assert error.reason.startswith("TLS: ")

    run(scene())


def test_a_server_that_hangs_up_in_the_tls_handshake_may_come_back() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.close()

    async def scene() -> None:
        async with tcp_server(serve) as port:
            assert not (await failure_of(f"wss://127.0.0.1:{port}/ws")).fatal

    run(scene())
