"""A client that knows only the wire: what the tests of the emulator talk to it with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

ANON_TOKEN = "__ANON_TOKEN_f00000000000000000000012"
ANON_SID = "f00000000000000000000012"
ADMIN = "admin@app.limp.masaar.com"
PASSWORD = "S0mE_V3Ry_STR0nG_P@SsW0rD"
NAME = {"ar_AE": "اسم", "en_AE": "Name"}
STAFF = {"name": NAME, "job_title": {"ar_AE": "عنوان"}, "bio": {"ar_AE": "سيرة"}, "photo": 0}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(payload: Any, key: str, header: dict[str, Any] | None = None) -> str:
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in (header or {"alg": "HS256"}, payload)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest())}"


def auth_hash(email: str, password: str, *more: str) -> str:
    value = {"hash": ["email", email, password, *more]}
    return b64(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def reauth_hash(token: str) -> str:
    return b64(json.dumps({"token": token}, separators=(",", ":")).encode())


def chunk(content: bytes | str, **fields: Any) -> dict[str, Any]:
    """The doc of a ``file/upload``; ``fields`` replace its parts, those of the file included."""
    text = content if isinstance(content, str) else ",".join(map(str, content))
    file = {"name": "photo.png", "size": 1, "type": "image/png", "lastModified": 1600000000000, "content": text}
    file |= {key: fields.pop(key) for key in list(fields) if key in file}
    return {"attr": "photo", "index": 0, "chunk": 1, "total": 1, "file": file, **fields}


class Wire:
    """One connection: sends signed payloads, receives messages as they are."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.key = ANON_TOKEN
        self.session: dict[str, Any] = {}
        self._numbered = 0

    @classmethod
    async def open(cls, url: str, *, verify: bool = True, **options: Any) -> Self:
        wire = cls(await connect(url, max_size=None, proxy=None, ping_interval=None, **options))
        if verify:
            assert (await wire.receive())["args"]["code"] == "CORE_CONN_READY"
            assert (await wire.call("conn/verify"))["args"]["code"] == "CORE_CONN_OK"
        return wire

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def send(self, endpoint: str, doc: Any = None, query: Any = None, **fields: Any) -> str:
        """Send a call; ``fields`` replace parts of its payload, or leave them out when ``...``."""
        self._numbered += 1
        now = int(time.time())
        payload = {
            "call_id": f"w{self._numbered}",
            "endpoint": endpoint,
            "sid": ANON_SID,
            "token": "x",
            "query": [] if query is None else query,
            "doc": {} if doc is None else doc,
            "iat": now,
            "exp": now + 86_400,
            **fields,
        }
        payload = {key: value for key, value in payload.items() if value is not ...}
        await self.send_frame({"token": jwt(payload, self.key), "call_id": payload.get("call_id")})
        return payload.get("call_id", "")

    async def send_frame(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        return json.loads(await asyncio.wait_for(self.socket.recv(), 10))

    async def call(self, endpoint: str, doc: Any = None, query: Any = None, **fields: Any) -> dict[str, Any]:
        """Send a call and receive the next message."""
        await self.send(endpoint, doc, query, **fields)
        return await self.receive()

    async def hears_nothing(self) -> bool:
        """True when nothing was on its way: a call sent now is the next to be answered."""
        answer = await self.call("staff/read", query=[{"_id": "fence"}])
        return answer["args"].get("call_id") == f"w{self._numbered}"

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the close; its code and reason."""
        await asyncio.wait_for(self.socket.wait_closed(), 10)
        return self.socket.close_code, self.socket.close_reason

    async def auth(self, email: str = ADMIN, password: str = PASSWORD) -> Self:
        doc = {"email": email, "hash": auth_hash(email, password, ANON_TOKEN)}
        answer = await self.call("session/auth", doc)
        assert answer["status"] == 200, answer
        self.session = answer["args"]["session"]
        self.key = self.session["token"]
        return self

    async def new_staff(self, content: bytes = b"abc", **doc: Any) -> str:
        """Upload a photo and create a staff doc; its id."""
        assert (await self.call("file/upload", chunk(content)))["status"] == 200
        answer = await self.call("staff/create", {**STAFF, **doc})
        assert answer["status"] == 200, answer
        return answer["args"]["docs"][0]["_id"]
