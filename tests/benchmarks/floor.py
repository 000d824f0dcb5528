"""The floor: a LIMP client written by hand for one purpose, as fast as honest code gets on `websockets` or `picows`.

No framework, no streams, no deadlines, no reconnecting, no isolation: one asyncio protocol over the sans-I/O
`ClientProtocol` of websockets, or one listener of picows; `msgspec` for JSON, an HMAC over a header made once and keys
hashed once. It puts the same bytes on the wire as rxsdk does (ids are as long, and counted instead of drawn). Uses
nothing of rxsdk.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import time
from binascii import b2a_base64
from codecs import charmap_decode
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode, apply_mask
from websockets.uri import parse_uri

ANON_SID = "f00000000000000000000012"
_NO_DOC: dict[str, Any] = {}
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Payload(msgspec.Struct):
    """What a call's JWT holds, in the order rxsdk sends it."""

    sid: str
    token: str
    query: Any
    doc: Any
    awaitAuth: bool  # noqa: N815 - the wire's spelling
    endpoint: str
    call_id: str
    iat: int
    exp: int


def _base64url(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


_HEADER = _base64url(b'{"alg":"HS256","typ":"JWT"}') + b"."


_BLOCK = 24 * 1024


def _number_tables() -> tuple[str, bytes]:
    """Bytes to characters whose UTF-8 is as long as "ddd,", and the bytes of that UTF-8 to digits and commas."""
    characters, digits = "", bytearray(256)
    digits[0x80:0x8B] = b"0123456789,"
    for number in range(256):
        text = str(number)
        lead = {1: 0xC2, 2: 0xE0, 3: 0xF0}[len(text)] + int(text[0])
        digits[lead] = ord(text[0])
        characters += bytes([lead, *(0x80 + int(digit) for digit in text[1:]), 0x8A]).decode()
    return characters, bytes(digits)


_NUMBERS, _DIGITS = _number_tables()


def _signer(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 with ``key`` (64 bytes at most), whose two blocks of key are hashed once (RFC 2104)."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(message: bytes) -> bytes:
        first = inner.copy()
        first.update(message)
        second = outer.copy()
        second.update(first.digest())
        return second.digest()

    return sign


class Floor:
    """One connection, verified when `open_floor` returns it.

    With ``at_once`` every call is written by itself, which is best for one at a time; without, the calls of one turn
    of the loop are written together, which is best for many.
    """

    def __init__(self, anon_token: str, app_id: str, *, at_once: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready = self.loop.create_future()
        self.closed = self.loop.create_future()
        self.watches: dict[str, Callable[[Any], None]] = {}
        self._token = anon_token
        self._app_id = app_id
        self._sign = _signer(anon_token.encode())
        self._ids = map((secrets.token_urlsafe(4) + "%010d").__mod__, count())
        self._calls: dict[str, Callable[[Any], None]] = {}
        self._at_once = at_once
        self._flush_is_due = False

    # -- for the benchmark

    def send(self, endpoint: str, query: Any, on_reply: Callable[[Any], None], doc: Any = _NO_DOC) -> str:
        """Call ``endpoint``; ``on_reply`` is given its reply. Returns the call's id."""
        call_id = next(self._ids)
        self._calls[call_id] = on_reply
        iat = int(time.time())
        payload = _Payload(ANON_SID, self._token, query, doc, False, endpoint, call_id, iat, iat + 86_400)
        signed = _HEADER + _base64url(_encode(payload))
        self._put(b'{"token":"%b.%b","call_id":"%b"}' % (signed, _base64url(self._sign(signed)), call_id.encode()))
        if self._at_once:
            self._flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self.loop.call_soon(self._flush)
        return call_id

    def call(self, endpoint: str, query: Any) -> asyncio.Future[Any]:
        """Call ``endpoint``; its reply is the future's result."""
        future = self.loop.create_future()
        self.send(endpoint, query, future.set_result)
        return future

    async def watch(self, endpoint: str, query: Any, on_event: Callable[[Any], None]) -> str:
        """Make a watch; its events go to ``on_event``."""
        watch: str = (await self.call(endpoint, query))["args"]["watch"]
        self.watches[watch] = on_event
        return watch

    async def upload(self, endpoint: str, path: str, chunk_size: int) -> None:
        """Send a file in chunks, two on their way, and the call it belongs to."""
        size = os.path.getsize(path)  # noqa: ASYNC240
        on_their_way: deque[asyncio.Future[Any]] = deque()
        with open(path, "rb") as file:  # noqa: ASYNC230 - what a script would do
            for number in range(1, -(-size // chunk_size) + 1):
                if len(on_their_way) == 2:
                    await on_their_way.popleft()
                on_their_way.append(self._send_chunk(file.read(chunk_size), number, size, chunk_size))
        for answer in on_their_way:
            await answer
        await self.call(endpoint, [])

    def _send_chunk(self, chunk: bytes, number: int, size: int, chunk_size: int) -> asyncio.Future[Any]:
        """Like `send`, in blocks that stay in the cache: numbers, base64 and HMAC of each."""
        call_id = next(self._ids)
        future = self.loop.create_future()
        self._calls[call_id] = future.set_result
        file = {"name": "big.bin", "size": size, "type": "application/octet-stream", "lastModified": 1, "content": ""}
        doc = {"attr": "file", "index": 0, "chunk": number, "total": -(-size // chunk_size), "file": file}
        iat = int(time.time())
        payload = _Payload(ANON_SID, self._token, [], doc, False, "file/upload", call_id, iat, iat + 86_400)
        head, _, tail = _encode(payload).partition(b'"content":"')
        mac = hmac.new(self._token.encode(), _HEADER, "sha256")
        pieces, rest = [b'{"token":"', _HEADER], head + b'"content":"'
        for start in range(0, len(chunk), _BLOCK):
            numbers = charmap_decode(chunk[start : start + _BLOCK], "strict", _NUMBERS)[0]
            data = rest + numbers.encode().translate(_DIGITS)
            if start + _BLOCK >= len(chunk):
                data = data[:-1] + tail
                whole = len(data)
            else:
                whole = len(data) // 3 * 3
            encoded = b2a_base64(memoryview(data)[:whole], newline=False)
            if start == 0 or whole == len(data):
                encoded = encoded.translate(_URL_SAFE, b"=")
            mac.update(encoded)
            pieces.append(encoded)
            rest = data[whole:]
        pieces.append(b'.%b","call_id":"%b"}' % (_base64url(mac.digest()), call_id.encode()))
        self._put(b"".join(pieces))
        self._flush()
        return future

    async def close(self) -> None:
        """Say goodbye and wait for the answer."""
        raise NotImplementedError

    # -- inside

    def _put(self, frame: bytes) -> None:
        raise NotImplementedError

    def _flush(self) -> None:
        raise NotImplementedError

    def _message_received(self, data: Any) -> None:
        reply = _decode(data)
        args = reply["args"]
        if reply["status"] != 200:
            raise RuntimeError(reply)
        call_id = args.get("call_id")
        on_event = self.watches.get(call_id)
        if on_event is not None:
            on_event(reply)
        elif call_id is not None:
            self._calls.pop(call_id)(reply)
        else:  # CORE_CONN_READY
            self.send("conn/verify", [], self.ready.set_result, {"app": self._app_id})


class WebsocketsFloor(Floor, asyncio.Protocol):
    """By the sans-I/O protocol of websockets."""

    def __init__(self, url: str, *arguments: str, at_once: bool) -> None:
        super().__init__(*arguments, at_once=at_once)
        self._protocol = ClientProtocol(parse_uri(url), max_size=64 * 1024 * 1024)
        self._put = self._protocol.send_text  # type: ignore[method-assign]

    async def close(self) -> None:
        self._protocol.send_close(1000)
        self._flush()
        await self.closed

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(data)
        self._flush_is_due = True  # whatever the callbacks send goes out below
        for event in protocol.events_received():
            if type(event) is Frame and event.opcode is Opcode.TEXT:
                self._message_received(event.data)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)

    def _flush(self) -> None:
        self._flush_is_due = False
        data = self._protocol.data_to_send()
        if data:
            self._transport.write(data[0] if len(data) == 1 else b"".join(data))


def _picows_floor(*arguments: str, at_once: bool) -> Any:
    """By a listener of picows. Calls of one turn are masked here and written in one go: picows writes each alone."""

    import picows  # noqa: PLC0415 - an extra

    class PicowsFloor(Floor, picows.WSListener):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(*arguments, at_once=at_once)
            self._frames: list[bytes] = []
            self._put = self._frames.append  # type: ignore[method-assign]

        async def close(self) -> None:
            self._transport.send_close(picows.WSCloseCode.OK)
            await self._transport.wait_disconnected()

        def on_ws_connected(self, transport: Any) -> None:
            self._transport = transport

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            self._flush_is_due = True  # whatever the callbacks send goes out below
            if frame.msg_type == picows.WSMsgType.TEXT:
                self._message_received(frame.get_payload_as_memoryview())
            if frame.last_in_buffer:
                self._flush()

        def _flush(self) -> None:
            self._flush_is_due = False
            frames = self._frames
            if len(frames) == 1:
                self._transport.send(picows.WSMsgType.TEXT, frames[0])
            elif frames:
                self._transport.underlying_transport.write(_framed(frames))
            frames.clear()

    return PicowsFloor()


def _framed(frames: list[bytes]) -> bytes:
    """Text frames of 126 to 65 535 bytes, as a client sends them."""
    random = os.urandom(4 * len(frames))
    pieces = []
    for at, frame in zip(range(0, len(random), 4), frames, strict=True):
        mask = random[at : at + 4]
        pieces += (b"\x81\xfe", len(frame).to_bytes(2, "big"), mask, apply_mask(frame, mask))
    return b"".join(pieces)


async def open_floor(url: str, anon_token: str, app_id: str, library: str, *, at_once: bool) -> Floor:
    """Connect to ``url`` by ``library`` and be let in."""
    floor: Floor
    if library == "picows":
        import picows  # noqa: PLC0415

        floor = _picows_floor(anon_token, app_id, at_once=at_once)
        await picows.ws_connect(lambda: floor, url, max_frame_size=64 * 1024 * 1024)  # type: ignore[arg-type,return-value]
    else:
        uri = parse_uri(url)
        _, floor = await asyncio.get_running_loop().create_connection(
            lambda: WebsocketsFloor(url, anon_token, app_id, at_once=at_once), uri.host, uri.port
        )
    await floor.ready
    return floor
