"""The tap on the wire: what it tells, and that it changes nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence

import pytest

from rxsdk import ApiService, SDKConfig
from rxsdk.cli.tap import Received, Sent, WireTap
from rxsdk.core.transport import Transport, memory_pair
from rxsdk.emulator import Emulator
from tests.staff import staff_doc


def test_it_tells_of_both_ways(emulator: Emulator) -> None:
    async def run() -> None:
        frames: list[Sent | Received] = []
        secrets: list[str] = []
        tap = WireTap(frames.append, secrets.append)
        config = emulator.config()
        async with ApiService(config, connect=tap.connect(config)) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            await api.call("staff/create", doc=staff_doc())
            assert api.session is not None
            async with ApiService(config, connect=tap.connect(config)) as other:
                await other.reauth(api.session["_id"], api.session["token"])
        sent = [frame for frame in frames if isinstance(frame, Sent)]
        assert [frame.endpoint for frame in sent] == [
            "conn/verify",
            "session/auth",
            *["conn/verify", "session/reauth", "file/upload", "staff/create"],  # by a lane
            *["conn/verify", "session/reauth"],
            *["conn/close"] * 3,
        ]
        assert sent[1].doc == {"email": emulator.admin_email, "hash": "<redacted>"}
        assert sent[7].query == [{"_id": "<redacted>", "hash": "<redacted>"}]
        assert len(set(secrets)) == 1
        assert not any(secrets[0] in repr(frame) for frame in sent)
        received = [frame for frame in frames if isinstance(frame, Received)]
        answered = [frame.answers.endpoint if frame.answers else None for frame in received]
        assert answered[:7] == [None, "conn/verify", "session/auth", None, *(frame.endpoint for frame in sent[2:5])]
        assert [frame.after_s is None for frame in received[:7]] == [frame is None for frame in answered[:7]]

    asyncio.run(run())


def test_a_look_on_that_fails_harms_nothing(emulator: Emulator) -> None:
    async def run() -> None:
        problems: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["exception"]))

        def fail(frame: object) -> None:
            raise ValueError("looked away")

        tap = WireTap(fail, lambda secret: None)
        config = emulator.config()
        async with ApiService(config, connect=tap.connect(config)) as api:
            assert (await api.call("staff/read")).docs == []
        assert {str(problem) for problem in problems} == {"looked away"}

    asyncio.run(run())


def test_a_frame_that_is_no_message_is_passed_on() -> None:
    async def run() -> None:
        frames: list[object] = []
        tap = WireTap(frames.append, lambda secret: None)
        tap.received(b"not JSON")
        await asyncio.sleep(0)
        assert frames == []

    asyncio.run(run())


def test_it_is_a_transport_like_the_one_it_stands_around(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        inner, server = memory_pair()
        config = SDKConfig(api="ws://127.0.0.1/ws", anon_token="t", auth_attrs=["email"])

        async def open_inner() -> Transport:
            return inner

        monkeypatch.setattr("rxsdk.cli.tap.connector", lambda config, machine: open_inner)
        frames: list[Sent | Received] = []
        tapped = await WireTap(frames.append, lambda secret: None).connect(config)()
        assert (tapped.subprotocol, tapped.writable) == (None, True)
        tapped.subprotocol = "limp"
        assert inner.subprotocol == "limp"

        heard: list[object] = []

        class Ear:
            def frames_received(self, frames: Sequence[bytes]) -> None:
                heard.extend(frames)

            def transport_writable(self) -> None:
                heard.append("writable")

            def transport_lost(self, error: Exception) -> None:
                heard.append(error)

        tapped.start(Ear())
        payload = base64.urlsafe_b64encode(json.dumps({"endpoint": "heart/beat"}).encode()).decode().rstrip("=")
        frame = json.dumps({"token": f"head.{payload}.tail", "call_id": "1"}).encode()
        tapped.write([frame])
        assert server.received == [frame]
        server.send(b'{"status": 200, "msg": "beat", "args": {"call_id": "1"}}')
        inner.set_writable(True)  # type: ignore[attr-defined]
        await tapped.close()
        assert [type(one).__name__ for one in heard] == ["bytes", "str", "ConnectionLost"]
        await asyncio.sleep(0)
        assert [type(one).__name__ for one in frames] == ["Sent", "Received"]

    asyncio.run(run())
