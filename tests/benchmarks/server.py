"""The benchmark server: speaks just enough LIMP to be measured against, much cheaper than any client of it.

A process of its own, started by `rows.server_process`; imports nothing of rxsdk and nothing that is not in the
standard library. It prints its port, and ends when its standard input does.

- The first call of a connection is taken for ``conn/verify``.
- On ``/ws`` every call is answered by one document. Only the end of a frame is unmasked, where its ``call_id`` stands;
  signatures are not looked at.
- On ``/ws/watch`` calls are read: ``…/watch`` makes a watch, and ``…/push`` with
  ``query=[{"watches": [id, …], "count": n}]`` is answered and followed by ``n`` events of these watches in turn, all in
  one go. With ``"news": true`` each is another change, of a thousand documents in turn, else they are all the same.
- On ``/ws/upload/N`` large frames are taken for the chunks of files of ``N`` chunks each. They are passed over as they
  come in: nothing of them is kept but their end.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import sys
import threading
from functools import lru_cache
from typing import Any

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_LARGE = 10_000
_TAIL = 64  # bytes at the end of a frame that hold the call_id; a multiple of the mask's 4

# As the real server writes them: see tests/vectors/limpd-6.0.5.txt
_WELCOME = b'{"status": 200, "msg": "Connection ready", "args": {"code": "CORE_CONN_READY"}}'
_LET_IN = b'{"status": 200, "msg": "Connection establised", "args": {"call_id": "%b", "code": "CORE_CONN_OK"}}'
_DOC = (
    b'{"_id": "6b010de0d29b763591c9e7e4", "name": {"ar_AE": "\\u0627\\u0633\\u0645", "en_AE": "Name"}, '
    b'"user": "f00000000000000000000010", "create_time": "2026-11-21T03:20:00.811909"}'
)
_FOUND = (
    b'{"status": 200, "msg": "Found 1 docs.", "args": {"total": 1, "count": 1, "docs": [' + _DOC + b'], "groups": {}, '
    b'"call_id": "%b"}}'
)
_ACCEPTED = b'{"status": 200, "msg": "%b", "args": {"call_id": "%b"}}'
_WATCHING = (
    b'{"status": 200, "msg": "Created watch task.", "args": {"code": "CORE_WATCH_OK", "watch": "%b", "call_id": "%b"}}'
)
_CHANGED = (
    b'{"status": 200, "msg": "Detected 1 docs.", "args": {"count": 1, "oper": "update", "docs": [' + _DOC + b"], "
    b'"call_id": "%b", "watch": "%b"}}'
)
_NEWS = (
    b'{"status": 200, "msg": "Detected 1 docs.", "args": {"count": 1, "oper": "update", "docs": [{"_id": "n%d", '
    b'"name": {"ar_AE": "\\u0627\\u0633\\u0645", "en_AE": "Name"}, "rank": %d, '
    b'"create_time": "2026-11-21T03:20:00.811909"}], "call_id": "%b", "watch": "%b"}}'
)
_DOCS = 1000


@lru_cache(maxsize=256)
def _header(size: int) -> bytes:
    """The head of an unmasked text frame."""
    if size < 126:
        return bytes((0x80 | _TEXT, size))
    return bytes((0x80 | _TEXT, 126)) + size.to_bytes(2, "big")


def _framed(payload: bytes) -> bytes:
    return _header(len(payload)) + payload


def _unmasked(data: bytes, mask: bytes) -> bytes:
    """``data`` with ``mask`` taken off; ``mask`` is as long, or repeated to be."""
    size = len(data)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(whole, "little")).to_bytes(size, "little")


def _call_id(mask: bytes, tail: bytes, size: int) -> bytes:
    """Out of the ``tail`` of a masked frame of ``size`` bytes."""
    turn = (size - len(tail)) & 3
    text = _unmasked(tail, mask[turn:] + mask[:turn])
    return text[text.rfind(b'"call_id":"') + 11 : -2]


class Connection(asyncio.Protocol):
    """One client. Everything that came in one piece is answered in one piece."""

    def __init__(self) -> None:
        self.rest = b""
        self.is_open = False
        self.is_let_in = False
        self.reads_calls = False
        self.chunks = self.seen = self.changes = 0
        self.size = self.left = 0  # of the large frame that is coming in
        self.mask = self.tail = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.left:
            data = self.pass_over(data)
        if self.rest:
            data = self.rest + data
        if not self.is_open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.rest = head
                return
            self.shake_hands(head)
        self.frames_received(data)

    def shake_hands(self, head: bytes) -> None:
        request_line, *lines = head.split(b"\r\n")
        path = request_line.split(b" ")[1]
        self.reads_calls = path.endswith(b"/watch")
        self.chunks = int(path.rpartition(b"/")[2]) if b"/upload/" in path else 0
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _ACCEPT_GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + _framed(_WELCOME)
        )
        self.is_open = True

    def frames_received(self, data: bytes) -> None:
        answers: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 6:
            size = data[at + 1] & 0x7F
            start = at + 6
            if size == 126:
                size = int.from_bytes(data[at + 2 : at + 4], "big")
                start = at + 8
            elif size == 127:
                size = int.from_bytes(data[at + 2 : at + 10], "big")
                start = at + 14
            stop = start + size
            if stop > end:
                if self.chunks and size > _LARGE and start <= end:
                    self.size = self.left = size
                    self.mask = data[start - 4 : start]
                    at = end
                    self.pass_over(data[start:])
                break
            if data[at] & 0x0F == _CLOSE:
                self.transport.write(b"".join(answers) + bytes((0x80 | _CLOSE, 2, 0x03, 0xE8)))  # 1000
                self.transport.close()
                return
            if data[at] & 0x0F == _PING:
                payload = _unmasked(data[start:stop], data[start - 4 : start])
                answers.append(bytes((0x80 | _PONG, size)) + payload)
            else:
                answers.append(self.answer(data[start - 4 : start], data, start, stop))
            at = stop
        self.rest = data[at:]
        if answers:
            self.transport.write(b"".join(answers))

    def pass_over(self, data: bytes) -> bytes:
        """Take what belongs to the large frame; gives what comes after it."""
        taken, rest = data[: self.left], data[self.left :]
        self.left -= len(taken)
        self.tail = (self.tail + taken[-_TAIL:])[-_TAIL:]
        if not self.left:
            self.transport.write(self.accept(_call_id(self.mask, self.tail, self.size)))
        return rest

    def accept(self, call_id: bytes) -> bytes:
        self.seen = self.seen % self.chunks + 1
        words = b"Last chunk accepted" if self.seen == self.chunks else b"Chunk accepted"
        return _framed(_ACCEPTED % (words, call_id))

    def answer(self, mask: bytes, data: bytes, start: int, stop: int) -> bytes:
        call_id = _call_id(mask, data[max(start, stop - _TAIL) : stop], stop - start)
        if not self.is_let_in:
            self.is_let_in = True
            return _framed(_LET_IN % call_id)
        if self.reads_calls:
            return self.answer_read(_unmasked(data[start:stop], mask), call_id)
        if self.chunks and stop - start > _LARGE:
            return self.accept(call_id)
        return _framed(_FOUND % call_id)

    def answer_read(self, frame: bytes, call_id: bytes) -> bytes:
        payload = json.loads(frame)["token"].split(".")[1]
        call = json.loads(base64.urlsafe_b64decode(payload + "=="))
        if call["endpoint"].endswith("/watch"):
            return _framed(_WATCHING % (call_id, call_id))
        answer = _framed(_FOUND % call_id)
        if call["endpoint"].endswith("/push"):
            watches, count = call["query"][0]["watches"], call["query"][0]["count"]
            if call["query"][0].get("news"):
                return answer + self.news(watches[0].encode(), count)
            events = [_framed(_CHANGED % (watch.encode(), watch.encode())) for watch in watches]
            answer += b"".join(events) * (count // len(events)) + b"".join(events[: count % len(events)])
        return answer

    def news(self, watch: bytes, count: int) -> bytes:
        first, self.changes = self.changes, self.changes + count
        return b"".join(_framed(_NEWS % (rank % _DOCS, rank, watch, watch)) for rank in range(first, self.changes))


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    input_ended = asyncio.Event()

    def wait_for_end_of_input() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(input_ended.set)

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    await input_ended.wait()
    server.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--core", type=int, help="the only core to run on")
    core = arguments.parse_args().core
    if core is not None:
        os.sched_setaffinity(0, {core})
    asyncio.run(serve())
