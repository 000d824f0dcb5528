"""The contract between a wire and the core: what `rxsdk.core.connection` asks of every protocol machine.

Floor 0. A machine is a synchronous object that outlives its connections. Frames and the time go in; frames to send
and events come out. It never blocks, never reads a clock, and never raises on what the peer sent: it drops the frame
and says so in an event.

How the other wires fit: a request waiting for its answer (LIMP's ``call_id``, the chat's ``id``, sylkRTC's
``transaction``) is the machine's own table; an acknowledgement is one more thing the service tells the machine to
send, after delivery; a session spread over several connections is one object shared by several machines, each of which
frames and encrypts for its own connection (`Connection.flush` on one after a change made through another).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from rxsdk.errors import RxSdkError

__all__ = ["Frame", "Machine", "whole"]

Frame: TypeAlias = bytes | list[bytes]
"""What is sent as one message: all of it, or a long one in pieces."""


def whole(frame: Frame) -> bytes:
    """All of it in one piece."""
    return b"".join(frame) if isinstance(frame, list) else frame


class Machine(Protocol):
    """A wire, as the core drives it. ``now`` is monotonic seconds, ``wall`` is seconds since 1970."""

    is_text: bool
    """Whether its frames are WebSocket text (else binary); frames of the other kind never reach it."""

    subprotocols: Sequence[str]
    """WebSocket subprotocols to offer, the best first; may be empty."""

    def connected(self, now: float, subprotocol: str | None) -> None:
        """A new connection is open. Nothing of the one before reaches the machine any more."""
        ...

    def disconnected(self, now: float, reason: Exception) -> None:
        """The connection is gone; what was written and not answered meets its end or waits for the next one."""
        ...

    def receive(self, frame: bytes, now: float) -> None:
        """Take one whole message of the peer."""
        ...

    def frames_to_send(self, now: float, wall: float) -> Sequence[Frame]:
        """What may be written now, made (signed, encrypted) at this moment. What is returned counts as written.

        Only the last may be in pieces. They are given away; nothing is asked for until all are written.
        """
        ...

    def events(self) -> Sequence[Any]:
        """What happened since the last time, in order. Each is handed out once."""
        ...

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, in the time of ``now``; None for never."""
        ...

    def handle_deadline(self, now: float) -> None:
        """Let pass what has run out by ``now``. Early calls do no harm."""
        ...

    def probe(self, now: float) -> None:
        """The connection may be dead without having said so (the computer slept): ask the peer for a sign of life."""
        ...

    def close(self) -> None:
        """End everything because the application is done; what there is to say to the peer may still be sent."""
        ...

    def fail(self, error: RxSdkError) -> None:
        """End everything because of ``error``; nothing is sent any more."""
        ...
