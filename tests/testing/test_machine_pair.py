"""`machine_pair`: a LIMP machine against a small scripted server machine, and two machines that know no LIMP."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rxsdk.errors import CallOutcomeUnknown, CallTimeout, HeartbeatTimeout, RxSdkError
from rxsdk.protocols.contract import Machine
from rxsdk.protocols.limp.events import CallFailed, CallReplied, ConnectionGivenUp
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Request
from rxsdk.secret import Secret
from rxsdk.testing import MachinePair, machine_pair


class Talker:
    """A machine of no wire in particular: says what it is told, and writes down what happens to it."""

    def __init__(self, *, is_text: bool = True, subprotocols: Sequence[str] = ()) -> None:
        self.is_text = is_text
        self.subprotocols = subprotocols
        self.to_say: list[bytes] = []
        self.heard: list[bytes] = []
        self.reply: Callable[[bytes], list[bytes]] = lambda frame: []
        self.deadlines: list[float] = []
        self.log: list[Any] = []
        self.rings: list[float] = []

    def connected(self, now: float, subprotocol: str | None) -> None:
        self.log.append(("connected", now, subprotocol))

    def disconnected(self, now: float, reason: Exception) -> None:
        self.log.append(("disconnected", now, str(reason)))

    def receive(self, frame: bytes, now: float) -> None:
        self.heard.append(frame)
        self.to_say += self.reply(frame)

    def frames_to_send(self, now: float, wall: float) -> list[bytes]:
        frames, self.to_say = self.to_say, []
        return frames

    def events(self) -> Sequence[Any]:
        events, self.log = self.log, []
        return events

    def next_deadline(self) -> float | None:
        return min(self.deadlines, default=None)

    def handle_deadline(self, now: float) -> None:
        self.rings += [now] * len([at for at in self.deadlines if at <= now])
        self.deadlines = [at for at in self.deadlines if at > now]

    def close(self) -> None: ...

    def fail(self, error: RxSdkError) -> None: ...


class LimpServer(Talker):
    """Lets everybody in and answers each call with its endpoint, except what is in ``silent``."""

    silent: Sequence[str] = ()

    def connected(self, now: float, subprotocol: str | None) -> None:
        self.to_say.append(b'{"status":200,"msg":"","args":{"code":"CORE_CONN_READY"}}')

    def receive(self, frame: bytes, now: float) -> None:
        payload = json.loads(frame)["token"].split(".")[1]
        call = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        self.log.append(call["endpoint"])
        if call["endpoint"] not in self.silent:
            args = {"call_id": call["call_id"], "code": "CORE_CONN_OK"}
            self.to_say.append(json.dumps({"status": 200, "msg": call["endpoint"], "args": args}).encode())


def limp_pair(*silent: str) -> MachinePair[LimpMachine, LimpServer]:
    """Connected and ready; the "service" drops a connection that the machine gives up."""
    ids = itertools.count()
    client = LimpMachine(
        anon_token=Secret("__ANON"),
        app_id=None,
        auth_hash_level="5.6",
        connect_timeout_s=20.0,
        heartbeat_interval_s=30.0,
        heartbeat_timeout_s=10.0,
        max_queued_calls=100,
        new_id=lambda: f"id{next(ids)}",
    )
    server = LimpServer()
    server.silent = silent
    pair = machine_pair(client, server)
    pair.on_client_event = lambda event: pair.cut(event.error) if isinstance(event, ConnectionGivenUp) else None
    pair.connect()
    pair.run()
    assert client.phase is Phase.READY
    pair.server_events.clear()
    return pair


def call(pair: MachinePair[LimpMachine, LimpServer], endpoint: str) -> Request:
    request = Request(endpoint, timeout_s=5.0, queue_timeout_s=120.0)
    request.listener = object()
    pair.client.submit(request, pair.now)
    return request


def ends(pair: MachinePair[LimpMachine, LimpServer]) -> list[Any]:
    """What became of the calls: the reply's text, or the error."""
    ends: list[Any] = []
    for event in pair.client_events:
        if isinstance(event, CallReplied):
            ends.append(event.res.msg)
        elif isinstance(event, CallFailed):
            ends.append(type(event.error))
    return ends


def test_calls_and_replies_in_order() -> None:
    pair = limp_pair()
    for number in range(3):
        call(pair, f"shop/order{number}")
    pair.run()
    assert ends(pair) == pair.server_events == ["shop/order0", "shop/order1", "shop/order2"]
    assert len(pair.sent["up"]) == len(pair.sent["down"]) - 1 == 4  # with the verify and its answer


def test_a_cut_loses_what_is_under_way() -> None:
    pair = limp_pair("shop/order")
    call(pair, "shop/order")
    pair.run()
    pair.cut()
    pair.cut()
    pair.run()
    assert ends(pair) == [CallOutcomeUnknown]
    pair.connect()
    with pytest.raises(RuntimeError, match="already"):
        pair.connect()
    pair.run()
    assert pair.client.phase is Phase.READY


def test_time_passes_through_every_deadline() -> None:
    pair = limp_pair("shop/order")
    call(pair, "shop/order")
    pair.advance(4.9)
    assert ends(pair) == []
    pair.advance(0.1)
    assert ends(pair) == [CallTimeout]
    wall = pair.wall
    pair.advance(95)
    assert (pair.now, pair.wall - wall) == (100.0, 95.0)
    assert pair.server_events == ["shop/order", "heart/beat", "heart/beat", "heart/beat"]
    with pytest.raises(ValueError, match="back"):
        pair.advance(-1)


def test_a_lost_heartbeat_is_a_lost_connection() -> None:
    pair = limp_pair()
    pair.drop_next("down")
    pair.advance(40)
    (given_up,) = [event for event in pair.client_events if isinstance(event, ConnectionGivenUp)]
    assert isinstance(given_up.error, HeartbeatTimeout)
    assert (pair.is_connected, pair.client.phase) == (False, Phase.DISCONNECTED)
    assert len(pair.dropped["down"]) == 1


def test_doubled_dropped_and_swapped_replies() -> None:
    pair = limp_pair()
    pair.double_next("down")
    pair.drop_next("down")
    pair.swap_next("down")
    for number in range(4):
        call(pair, f"shop/order{number}")
    pair.advance(5)
    assert ends(pair) == ["shop/order0", "shop/order3", "shop/order2", CallTimeout]


# -- no wire in particular


def talkers(**settings: Any) -> MachinePair[Talker, Talker]:
    pair = machine_pair(Talker(**settings), Talker(**settings))
    client: Machine = pair.client
    assert client is pair.client
    pair.connect()
    return pair


def test_the_subprotocol_is_the_clients_first_that_the_server_has() -> None:
    pair = machine_pair(Talker(subprotocols=["c", "b", "a"]), Talker(subprotocols=["a", "b"]), now=3.0, wall=5.0)
    seen: list[Any] = []
    pair.on_client_event, pair.on_server_event = seen.append, seen.append
    pair.connect()
    pair.run()
    assert seen == [("connected", 3.0, "b")] * 2
    pair.cut(OSError("pulled out"))
    pair.run()
    assert pair.server_events[1:] == pair.client_events[1:] == seen[3:] == [("disconnected", 3.0, "pulled out")]
    assert pair.wall == 5.0


def test_text_and_binary_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="binary"):
        machine_pair(Talker(), Talker(is_text=False))


def test_nothing_is_asked_for_without_a_connection() -> None:
    pair = talkers()
    pair.cut()
    pair.client.to_say.append(b"later")
    pair.run()
    assert pair.sent["up"] == []
    pair.connect()
    pair.run()
    assert pair.server.heard == [b"later"]


def test_frames_that_come_last_come_at_all_or_are_lost_in_a_cut() -> None:
    pair = talkers()
    for direction, machine in (("up", pair.client), ("down", pair.server)):
        pair.swap_next(direction)  # type: ignore[arg-type]
        machine.to_say.append(b"late")
    pair.run()
    assert pair.server.heard == pair.client.heard == [b"late"]
    pair.client.to_say += [b"1", b"2", b"3"]
    pair.swap_next("up")
    pair.server.reply = lambda frame: pair.cut() or [] if frame == b"2" else []
    pair.run()
    assert (pair.server.heard, pair.dropped["up"]) == ([b"late", b"2"], [b"1", b"3"])


def test_tamper_decides_what_arrives() -> None:
    pair = talkers()
    arrives = {b"drop": [], b"double": [b"x", b"x"]}
    pair.tamper = lambda direction, frame: arrives.get(frame, [frame + direction.encode()])
    pair.client.to_say += [b"drop", b"double", b"pass "]
    pair.run()
    assert pair.server.heard == [b"x", b"x", b"pass up"]
    assert pair.dropped == {"up": [b"drop"], "down": []}
    assert pair.sent["up"] == [b"drop", b"double", b"pass "]


def test_deadlines_of_both_in_order_and_late_ones_at_once() -> None:
    pair = talkers()
    pair.client.deadlines = [2.0, 4.0]
    pair.server.deadlines = [-1.0, 3.0, 9.0]
    pair.advance(5)
    assert (pair.client.rings, pair.server.rings, pair.now) == ([2.0, 4.0], [0.0, 3.0], 5.0)


def test_machines_that_never_get_quiet_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxsdk.testing.pair._MANY", 5_000)
    pair = talkers()
    pair.client.reply = pair.server.reply = lambda frame: [frame]
    pair.client.to_say.append(b"ping")
    with pytest.raises(RuntimeError, match="not quiet"):
        pair.run()
    stuck = talkers()
    stuck.client.deadlines = [1.0]
    stuck.client.handle_deadline = lambda now: None  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="does not pass"):
        stuck.advance(2)
