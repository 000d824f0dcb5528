"""`WireTap`: looks on at every frame of a connection, as it stands on the wire, and takes the secrets out.

Part of the command line. It stands around a transport (`rxsdk.core.transport`) and changes nothing: what it saw is
told in a later turn of the loop, so whoever looks on can neither slow the connection down within a turn nor break it.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rxsdk.config import SDKConfig
from rxsdk.core.transport import Connect, Receiver, Transport
from rxsdk.errors import RemoteProtocolError, TransportError
from rxsdk.protocols.contract import Frame, whole
from rxsdk.protocols.limp.codec import decode_frame
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.res import REDACTED, Res, redact
from rxsdk.service import connector

__all__ = ["Received", "Sent", "WireTap"]


@dataclass(frozen=True)
class Sent:
    """A frame to the server: the call in its JWT, secrets taken out."""

    endpoint: str
    query: list[Any]
    doc: dict[str, Any]


@dataclass(frozen=True)
class Received:
    """A frame of the server, with the call it answers and the time since; None when the server pushed it."""

    res: Res[Any]
    answers: Sent | None
    after_s: float | None


class WireTap:
    """Tells ``on_frame`` of everything sent and received.

    Args:
        on_frame: called on the connection's loop.
        on_secret: called with each session token the server hands out, before the frame that holds it is told.
    """

    def __init__(self, on_frame: Callable[[Sent | Received], None], on_secret: Callable[[str], None]) -> None:
        self._on_frame = on_frame
        self._on_secret = on_secret
        self._unanswered: dict[str, tuple[Sent, float]] = {}

    def connect(self, config: SDKConfig) -> Connect:
        """What opens connections as ``config`` says, with this tap on each: ``ApiService(config, connect=…)``."""
        open_transport = connector(config, LimpMachine)

        async def connect() -> Transport:
            return _Tapped(await open_transport(), self)

        return connect

    def sent(self, frame: bytes) -> None:
        """A frame was written."""
        envelope = msgspec.json.decode(frame)
        payload = _payload(envelope["token"])
        endpoint, query = payload["endpoint"], redact(payload.get("query") or [])
        if endpoint.startswith("session/"):  # the id of a session is half of what takes it over
            query = [{**item, "_id": REDACTED} if "_id" in item else item for item in query]
        sent = Sent(endpoint, query, redact(payload.get("doc") or {}))
        self._unanswered[str(envelope.get("call_id"))] = sent, time.perf_counter()
        self._tell(sent)

    def received(self, frame: bytes) -> None:
        """A frame came in; one that is no message of LIMP is the machine's business."""
        now = time.perf_counter()
        try:
            res = decode_frame(frame)
        except RemoteProtocolError:
            return
        session = res.args.get("session")
        if isinstance(session, dict) and isinstance(session.get("token"), str):
            self._on_secret(session["token"])
        sent, sent_at = self._unanswered.pop(str(res.args.get("call_id")), (None, now))
        self._tell(Received(res, sent, None if sent is None else now - sent_at))

    def _tell(self, frame: Sent | Received) -> None:
        asyncio.get_running_loop().call_soon(self._on_frame, frame)


def _payload(jwt: str) -> dict[str, Any]:
    """The middle of a JWT: readable for everybody, which is why `Sent` is made of a redacted copy."""
    middle = jwt.split(".")[1]
    payload: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return payload


class _Tapped:
    """A transport with a tap on it, and the receiver of that transport."""

    def __init__(self, inner: Transport, tap: WireTap) -> None:
        self._inner = inner
        self._tap = tap
        self._receiver: Receiver | None = None

    # -- Transport, for the connection

    @property
    def subprotocol(self) -> str | None:
        return self._inner.subprotocol

    @subprotocol.setter
    def subprotocol(self, value: str | None) -> None:
        self._inner.subprotocol = value

    @property
    def writable(self) -> bool:
        return self._inner.writable

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._inner.start(self)

    def write(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._tap.sent(whole(frame))
        self._inner.write(frames)

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    async def close(self, *, politely: bool = True) -> None:
        await self._inner.close(politely=politely)

    # -- Receiver, for the transport

    def frames_received(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self._tap.received(frame)
        if self._receiver is not None:
            self._receiver.frames_received(frames)

    def transport_writable(self) -> None:
        if self._receiver is not None:
            self._receiver.transport_writable()

    def transport_lost(self, error: TransportError) -> None:
        if self._receiver is not None:
            self._receiver.transport_lost(error)
