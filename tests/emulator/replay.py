"""Replays the recorded conversations and compares every message, silence, close and HTTP answer.

Ids, tokens and times are taken for equal when they stand for each other throughout: the first time a recorded one
is met, the replayed one at its place is noted as its twin.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from websockets.exceptions import ConnectionClosed

from tests.emulator.wire import ANON_TOKEN, Wire, b64, chunk, jwt, reauth_hash

RECORDING = Path(__file__).parent.parent / "vectors" / "limpd-6.0.5.txt"

ID = re.compile(r"6b01[0-9a-f]{20}")
TOKEN = re.compile(r"[\w-]{43}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
LINE = re.compile(r" {3}(c\d+) (>>|<<) (.*)")
GET = re.compile(r" {3}GET (\S+) ({.*?})? ?-> (\d+) (\S+(?: charset=utf-8)?) +(?:({.*}) )?(.*)")
BIG = re.compile(r" {3}chunk of (\d+) bytes \(all 255.*\) -> (.*)")
PHOTO = bytes(place % 256 for place in range(1031))


@dataclass
class Section:
    title: str
    lines: list[str] = field(default_factory=list)


def sections() -> dict[str, Section]:
    found: dict[str, Section] = {}
    for line in RECORDING.read_text("utf-8").splitlines():
        if line.startswith("=== "):
            title = line[4:]
            found[title] = Section(title)
        elif found and line.startswith("   "):
            found[title].lines.append(line)
    return found


class Player:
    """Plays sections against one emulator; connections, ids and tokens live on from section to section."""

    def __init__(self, url: str, http_url: str) -> None:
        self.url = url
        self.http_url = http_url
        self.wires: dict[str, Wire] = {}
        self.keys: dict[str, str] = {}
        self.twins: dict[str, str] = {}
        self.problems: dict[str, list[str]] = defaultdict(list)
        self.compared: dict[str, int] = defaultdict(int)
        self.options: dict[str, dict[str, Any]] = {}

    async def close(self) -> None:
        for wire in self.wires.values():
            await wire.socket.close()

    async def play(self, section: Section) -> None:
        for line in section.lines:
            try:
                await self._play_line(section, line)
            except Exception as error:
                self.problems[section.title].append(f"{line[:200]}\n      {type(error).__name__}: {error}")
                return

    async def _play_line(self, section: Section, line: str) -> None:
        if match := LINE.fullmatch(line.rstrip()):
            name, way, what = match.groups()
            if name not in self.wires:
                options = self.options.get(name, {})
                self.wires[name] = await Wire.open(self.url, verify=False, **options)
            if way == ">>":
                await self._send(self.wires[name], name, what)
                return
            self.compared[section.title] += 1
            problem = await self._expect(self.wires[name], name, what)
        elif match := BIG.fullmatch(line.rstrip()):
            problem = await self._big_chunk(int(match[1]), match[2])
        elif match := GET.fullmatch(line.rstrip()):
            self.compared[section.title] += 1
            problem = await self._get(*match.groups())
        else:
            return
        if problem:
            self.problems[section.title].append(f"{line[:300]}\n      {problem}")

    # ---- sending

    async def _send(self, wire: Wire, name: str, what: str) -> None:
        key, _, rest = what.partition(" ")
        if key == "raw":
            await wire.send_frame(self._raw(self.keys.get(name, ""), rest))
            return
        payload, note = self._payload(rest)
        payload = self._translate(payload)
        now = int(time.time())
        payload.setdefault("iat", now)
        payload.setdefault("exp", now + 86_400)
        if note == "(exp in the past)":
            payload["exp"] = now - 60
        if note == "(iat ahead)":
            payload["iat"] = now + 3_600
        keys = {"[anon]": ANON_TOKEN, "[other]": "some other key", "[session]": self.keys.get(name, "")}
        wire.key = keys[key]
        frame = {"token": jwt(payload, keys[key])}
        if "call_id" in payload and payload["call_id"] != "c10-1":
            frame["call_id"] = payload["call_id"]
        await wire.send_frame(frame)

    def _payload(self, text: str) -> tuple[dict[str, Any], str]:
        if text.endswith("chars>"):
            call_id = json.loads(text[text.index(":") + 1 : text.index(",")])
            parts = {"c22-5": (1, 3, PHOTO[:344]), "c22-6": (2, 3, PHOTO[344:688]), "c22-7": (3, 3, PHOTO[688:])}
            number, total, content = parts.get(call_id, (1, 1, PHOTO))
            name = "صورة 1.png" if call_id == "c22-10" else "photo.png"
            doc = chunk(content, size=len(PHOTO), chunk=number, total=total, name=name)
            return {"call_id": call_id, "endpoint": "file/upload", "sid": "x", "doc": doc}, ""
        payload, end = json.JSONDecoder().raw_decode(text)
        return payload, text[end:].strip()

    def _raw(self, key: str, text: str) -> Any:
        if text.startswith("b'"):
            return b"\x00binary"
        if text.endswith("chars>"):
            doc = {"name": {"ar_AE": "اسم – 😀", "en_AE": "n"}}
            payload = {"call_id": "c50-3", "endpoint": "album/create", "sid": "x", "query": [], "doc": doc}
            header = b64(b'{"alg":"HS256","typ":"JWT"}')
            signed = f"{header}.{b64(json.dumps(payload, ensure_ascii=False).encode())}"
            return {"token": _signed(signed, key), "call_id": "c50-3"}
        return re.sub(r" \([^)]*\)$", "", text).rstrip()

    def _translate(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._translate(key): self._translate(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._translate(item) for item in value]
        if isinstance(value, str):
            if value.startswith("eyJ0b2tlbiI6"):
                recorded = json.loads(base64.urlsafe_b64decode(value + "=="))["token"]
                return reauth_hash(self.twins[recorded])
            return self.twins.get(value, value)
        return value

    async def _big_chunk(self, size: int, what: str) -> str | None:
        name, wire = list(self.wires.items())[-1]
        wire.key = self.keys[name]
        call_id = json.loads(what)["args"]["call_id"] if what.startswith("{") else "too big"
        with contextlib.suppress(ConnectionClosed):  # perhaps while it is still being sent
            await wire.send("file/upload", chunk("255," * (size - 1) + "255", size=size), call_id=call_id)
        return await self._expect(wire, name, what)

    # ---- comparing

    async def _expect(self, wire: Wire, name: str, what: str) -> str | None:
        if what == "nothing within 1s":
            return None if await wire.hears_nothing() else "something came"
        if what.startswith("closed: "):
            code, reason = await wire.closed()
            seen = f"closed: code {code} reason {reason!r}"
            return None if seen == what else seen
        message = await wire.receive()
        problem = self._differs(json.loads(what), message)
        session = message.get("args", {}).get("session", {})
        if "token" in session:
            self.keys[name] = session["token"]
        return problem and f"{problem} in {json.dumps(message)[:600]}"

    def _differs(self, recorded: Any, seen: Any, path: str = "") -> str | None:
        if isinstance(recorded, dict) and isinstance(seen, dict):
            if set(recorded) != set(seen):
                return f"keys {sorted(seen)} at {path or '/'}"
            pairs = ((recorded[key], seen[key], f"{path}/{key}") for key in recorded)
            return next((bad for pair in pairs if (bad := self._differs(*pair))), None)
        if isinstance(recorded, list) and isinstance(seen, list):
            if len(recorded) != len(seen):
                return f"{len(seen)} items at {path}"
            pairs = ((*pair, f"{path}/{place}") for place, pair in enumerate(zip(recorded, seen, strict=True)))
            return next((bad for pair in pairs if (bad := self._differs(*pair))), None)
        if isinstance(recorded, str) and isinstance(seen, str) and self._are_twins(recorded, seen):
            return None
        equal = recorded == seen and type(recorded) is type(seen)
        return None if equal else f"{seen!r} at {path}, not {recorded!r}"

    def _are_twins(self, recorded: str, seen: str) -> bool:
        if TIME.fullmatch(recorded):
            return TIME.fullmatch(seen) is not None
        if ID.fullmatch(recorded):
            fits = re.fullmatch(r"[0-9a-f]{24}", seen) is not None
        else:
            fits = TOKEN.fullmatch(recorded) is not None and TOKEN.fullmatch(seen) is not None
        return fits and self.twins.setdefault(recorded, seen) == seen

    async def _get(
        self, path: str, headers: str | None, status: str, kind: str, answered: str | None, body: str
    ) -> str | None:
        for recorded, seen in self.twins.items():
            path = path.replace(recorded, seen)
        sent = self._translate(ast.literal_eval(headers.strip())) if headers else {}
        async with (
            aiohttp.ClientSession() as http,
            http.get(self.http_url + path, headers=sent, allow_redirects=False) as answer,
        ):
            content = await answer.read()
            seen_headers = dict(answer.headers)
        if answer.status != int(status):
            return f"status {answer.status}: {content[:200]!r}"
        if answered:
            return self._same_file(ast.literal_eval(answered), seen_headers, body, content)
        if seen_headers["Content-Type"] != kind:
            return f"a {seen_headers['Content-Type']}"
        return self._same_body(body, content)

    def _same_file(self, recorded: dict[str, str], seen: dict[str, str], body: str, content: bytes) -> str | None:
        if list(recorded)[:6] != list(seen)[:6] or set(recorded) != set(seen):
            return f"headers {seen}"
        different = [key for key in recorded if recorded[key] != seen[key]]
        return f"headers {seen}" if set(different) - {"Date", "Expires"} else self._same_body(body, content)

    def _same_body(self, body: str, content: bytes) -> str | None:
        if sized := re.fullmatch(r"<(\d+) bytes>", body):
            return None if len(content) == int(sized[1]) else f"{len(content)} bytes: {content!r}"
        return None if ast.literal_eval(body) == content else repr(content)

    # ---- what the recording left out

    async def prepare(self, title: str) -> None:
        """Do what was done before ``title`` and not written down."""
        if title.startswith("reads: "):
            wire = self.wires["c22"]
            gone = self.twins["6b010ddfd29b763591c9e7c1"]
            assert (await wire.call("staff/delete", query=[{"_id": gone}]))["args"]["count"] == 1
        if title.startswith("a call with the attr after that"):
            # a chunk after the call that took the file: nothing to append to
            late = await self.wires["c24"].call("file/upload", chunk(b"cd", chunk=2, total=3))
            assert late["args"] == {"code": "CORE_SERVER_ERROR"}
        if title == "watch/delete":
            writer, watcher = self.wires["c31"], self.wires["c30"]
            self.twins["6b010de0d29b763591c9e7e7"] = await writer.new_staff()
            assert (await watcher.receive())["args"]["oper"] == "create"
            assert (await watcher.call("staff/watch", call_id="c30-3"))["args"]["watch"] == "c30-3"


def _signed(signed: str, key: str) -> str:
    return f"{signed}.{b64(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest())}"


async def replay(emulator: Any, titles: list[str], options: dict[str, dict[str, Any]] | None = None) -> Player:
    """Play the sections ``titles`` in order; the player holds what differed."""
    player = Player(emulator.url, emulator.http_url)
    player.options = options or {}
    every = sections()
    try:
        async with asyncio.timeout(50):
            for title in titles:
                await player.prepare(title)
                await player.play(every[title])
    finally:
        await player.close()
    return player
