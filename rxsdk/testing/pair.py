"""`machine_pair`: two protocol machines back to back, with no socket, no loop and no sleep.

A leaf. It drives any two machines of `rxsdk.protocols.contract`, as `rxsdk.core.connection` would, and stands for the
wire between them: frames arrive in order unless it is told to drop, double or swap them. Time is a number::

    pair = machine_pair(client, server)
    pair.connect()
    client.submit(request, pair.now)
    pair.run()
    assert pair.client_events == [...]

What the machines report is kept in ``client_events`` and ``server_events`` and shown to ``on_client_event`` and
``on_server_event``; whoever plays the service acts there (a LIMP machine that reports `ConnectionGivenUp` wants
``pair.cut()``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rxsdk.errors import ConnectionLost
from rxsdk.protocols.contract import Machine, whole
from rxsdk.testing.faults import Direction

__all__ = ["MachinePair", "machine_pair"]

_MANY = 100_000  # rounds of a run, rings at one moment: far more than any exchange takes

C = TypeVar("C", bound=Machine)
S = TypeVar("S", bound=Machine)


class MachinePair(Generic[C, S]):
    """See `machine_pair`, which makes it.

    Attributes:
        now, wall: the time; `advance` moves both, and a test may set ``wall`` ahead.
        sent: every frame that was written, by direction (``"up"`` is the client's).
        dropped: the frames among them that never arrived, by direction.
        tamper: called with the direction and each frame; returns what arrives instead: ``[]``, ``[frame, frame]``, …
        on_client_event, on_server_event: called with each event, once `run` has taken it.
    """

    def __init__(self, client: C, server: S, *, now: float = 0.0, wall: float = 1_700_000_000.0) -> None:
        if client.is_text != server.is_text:
            raise ValueError("one machine sends text and the other binary: no frame would ever arrive")
        self.client = client
        self.server = server
        self.now = now
        self.wall = wall
        self.is_connected = False
        self.client_events: list[Any] = []
        self.server_events: list[Any] = []
        self.on_client_event: Callable[[Any], None] = lambda event: None
        self.on_server_event: Callable[[Any], None] = lambda event: None
        self.tamper: Callable[[Direction, bytes], Sequence[bytes]] = lambda direction, frame: [frame]
        self.sent: dict[Direction, list[bytes]] = {"up": [], "down": []}
        self.dropped: dict[Direction, list[bytes]] = {"up": [], "down": []}
        self._under_way: dict[Direction, deque[bytes]] = {"up": deque(), "down": deque()}
        self._late: dict[Direction, list[bytes]] = {"up": [], "down": []}
        self._plans: dict[Direction, deque[str]] = {"up": deque(), "down": deque()}

    # -- connections

    def connect(self) -> None:
        """Open a connection, with the first of the client's subprotocols that the server has too.

        Raises:
            RuntimeError: it is open already.
        """
        if self.is_connected:
            raise RuntimeError("connected already; cut() first")
        subprotocol = next((name for name in self.client.subprotocols if name in self.server.subprotocols), None)
        self.is_connected = True
        self.server.connected(self.now, subprotocol)
        self.client.connected(self.now, subprotocol)

    def cut(self, reason: Exception | None = None) -> None:
        """End the connection; frames under way are lost, and both machines hear ``reason``. Again, it does nothing."""
        if not self.is_connected:
            return
        self.is_connected = False
        for direction in self._under_way:
            self.dropped[direction] += [*self._under_way[direction], *self._late[direction]]
            self._under_way[direction].clear()
            self._late[direction].clear()
        error = reason or ConnectionLost("cut")
        self.client.disconnected(self.now, error)
        self.server.disconnected(self.now, error)

    # -- what the wire does to the next frames

    def drop_next(self, direction: Direction, count: int = 1) -> None:
        """Let the next ``count`` frames of this direction get lost."""
        self._plans[direction] += ["drop"] * count

    def double_next(self, direction: Direction, count: int = 1) -> None:
        """Let the next ``count`` frames of this direction arrive twice."""
        self._plans[direction] += ["double"] * count

    def swap_next(self, direction: Direction) -> None:
        """Let the next frame of this direction arrive after the one that follows it, or last of all."""
        self._plans[direction].append("swap")

    # -- running

    def run(self) -> None:
        """Carry frames and take events until neither machine has more to say.

        Raises:
            RuntimeError: they never get quiet.
        """
        for _ in range(_MANY):
            if not (self._write() | self._take_events() | self._deliver()):
                return
        raise RuntimeError(f"the machines are not quiet after {_MANY} rounds")

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, stopping at each deadline on the way; `run` before, after, and at each.

        Raises:
            ValueError: time does not go back.
            RuntimeError: a machine does not let a deadline pass.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        target = self.now + seconds
        self.run()
        rings = 0
        while (deadline := self._next_deadline()) is not None and deadline <= target:
            rings = rings + 1 if deadline <= self.now else 0
            if rings > _MANY // 1000:
                raise RuntimeError(f"a machine's deadline at {deadline:g} does not pass (it is {self.now:g})")
            self._move_to(max(self.now, deadline))
            self.client.handle_deadline(self.now)
            self.server.handle_deadline(self.now)
            self.run()
        self._move_to(target)

    def _move_to(self, moment: float) -> None:
        self.wall += moment - self.now
        self.now = moment

    def _next_deadline(self) -> float | None:
        deadlines = (self.client.next_deadline(), self.server.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def _write(self) -> bool:
        """Take what the machines want to write. Like a socket, it is asked only while there is a connection."""
        if not self.is_connected:
            return False
        up = self.client.frames_to_send(self.now, self.wall)
        down = self.server.frames_to_send(self.now, self.wall)
        for frame in up:
            self._send("up", whole(frame))
        for frame in down:
            self._send("down", whole(frame))
        return bool(up or down)

    def _send(self, direction: Direction, frame: bytes) -> None:
        self.sent[direction].append(frame)
        plan = self._plans[direction].popleft() if self._plans[direction] else ""
        if plan == "swap":
            self._late[direction].append(frame)
            return
        arriving = {"drop": [], "double": [frame, frame]}.get(plan)
        if arriving is None:
            arriving = list(self.tamper(direction, frame))
        if not arriving:
            self.dropped[direction].append(frame)
        self._under_way[direction] += [*arriving, *self._late[direction]]
        self._late[direction].clear()

    def _take_events(self) -> bool:
        from_client, from_server = list(self.client.events()), list(self.server.events())
        self.client_events += from_client
        self.server_events += from_server
        for event in from_client:
            self.on_client_event(event)
        for event in from_server:
            self.on_server_event(event)
        return bool(from_client or from_server)

    def _deliver(self) -> bool:
        """Hand over one frame each way, or, when there is none, those that were to come last."""
        for direction in self._under_way:
            if not any(self._under_way.values()):
                self._under_way[direction] += self._late[direction]
                self._late[direction].clear()
        busy = False
        for direction, receiver in (("up", self.server), ("down", self.client)):
            frames = self._under_way[direction]
            if frames:
                receiver.receive(frames.popleft(), self.now)
                busy = True
        return busy


def machine_pair(client: C, server: S, *, now: float = 0.0, wall: float = 1_700_000_000.0) -> MachinePair[C, S]:
    """Put ``client`` and ``server`` back to back; nothing is connected yet. See `MachinePair`.

    Raises:
        ValueError: one speaks text and the other binary.
    """
    return MachinePair(client, server, now=now, wall=wall)
