"""Frames of a server gone mad: nothing escapes the machine, and no call is touched by what is not its own."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Progress, Request
from rxsdk.protocols.limp.trace import shown_res
from tests.protocols.harness import ANON_SID, SESSION, Bench, Sent, authed, ready, steady

ODD: list[Any] = [
    *[None, True, False, 0, -1, 200, 403, 429, 500, 1008, 2**70, 1.5, float("nan"), float("inf")],
    *["", "x", "\ud800", "__TEST__", "__all", ANON_SID, [], {}, [[]], [None, 5, "id1"], {"_id": ANON_SID}],
    *[{"_id": "s", "token": "t"}, {"_id": "\ud800", "token": "t"}, {"_id": []}, SESSION, [[[[{"a": [{}]}]]]]],
    *["CORE_WATCH_OK", "CORE_CONN_READY", "CORE_CONN_OK", "CORE_CONN_CLOSED", "CORE_REQ_INVALID_TOKEN"],
    *["CORE_SESSION_INVALID_CREDS", "CORE_SERVER_ERROR"],
]
FIELDS = ["call_id", "code", "watch", "session", "docs", "count", "oper", "x"]


def odd_message(chance: random.Random, ids: list[str]) -> bytes:
    """A message with wrong things in right places, or a right one with its bytes hurt."""
    args = {name: chance.choice(ODD) for name in chance.sample(FIELDS, chance.randrange(len(FIELDS)))}
    if ids and chance.random() < 0.5:
        args["call_id"] = chance.choice(ids)
    message: dict[str, Any] = {"status": chance.choice([200, 200, 400, 403, 500, chance.choice(ODD)]), "args": args}
    if chance.random() < 0.1:
        message[chance.choice(["status", "msg", "args", "call_id"])] = chance.choice(ODD)
    frame = bytearray(json.dumps(message).encode())
    kind = chance.random()
    if kind < 0.2:
        for _ in range(chance.randrange(1, 6)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
    elif kind < 0.3:
        del frame[chance.randrange(len(frame)) :]
    elif kind < 0.32:
        frame[1:1] = b'"deep":' + b"[" * 600 + b"]" * 600 + b","
    elif kind < 0.34:
        frame = bytearray(chance.randbytes(chance.randrange(60)))
    return bytes(frame)


def test_twenty_thousand_frames_that_concern_no_call_touch_none() -> None:
    chance = random.Random(2)
    bench = authed(heartbeat_interval_s=1e9)
    calls = [bench.call("staff/create", timeout_s=1e9) for _ in range(20)]
    watches = [bench.call("staff/watch") for _ in range(5)]
    frames = {frame.call_id: frame for frame in bench.sent()}
    for watch in watches:
        bench.answer(watch, code="CORE_WATCH_OK", watch=watch.call_id)
    for _ in range(20_000):
        for event in bench.hear(odd_message(chance, ["other", "id999999"])):
            repr(event)
        if bench.machine.session is None:
            bench.hear(json.dumps({"status": 200, "args": {"session": SESSION}}).encode())
    bench.keys |= {"odd": "t"}
    bench.sent()  # watch/delete for watches that nobody knows
    for call in calls:
        assert call.progress is Progress.WRITTEN
        assert bench.replies(call) == []
        bench.answer(frames[call.call_id], 200, "mine")
        assert bench.replies(call) == ["mine"]
    assert all(watch.progress is Progress.WATCHING for watch in watches)


@pytest.mark.parametrize("seed", range(4))
def test_frames_that_name_a_call_end_it_at_most_once(seed: int) -> None:
    """The harness fails on a second end, on an event for a request without a listener and on a frame badly signed."""
    chance = random.Random(seed)
    bench = ready(max_queued_calls=50)
    bench.keys |= {"odd": "t"}
    in_flight: list[str] = []
    for _ in range(5_000):
        step = chance.random()
        if step < 0.15:
            endpoint = chance.choice(["staff/read", "staff/create", "a/watch", "watch/delete", "session/auth"])
            bench.call(endpoint, await_auth=chance.random() < 0.2, timeout_s=chance.choice([5.0, None]))
        elif step < 0.17 and bench.requests:
            bench.cancel(chance.choice(bench.requests))
        elif step < 0.2:
            bench.wait(chance.random() * 5)
        elif step < 0.21:
            bench.lose()
            bench.machine.connected(bench.now, None)
        elif step < 0.25:
            bench.say(200)
        else:
            for event in bench.hear(odd_message(chance, in_flight)):
                repr(event)
                if hasattr(event, "res") and event.res is not None:
                    shown_res(event.res)
        in_flight = [*in_flight, *(frame.call_id for frame in bench.sent())][-30:]
    bench.machine.close()
    bench.assert_all_ended()


class Life(RuleBasedStateMachine):
    """The machine against a server that is right: an end for each call, and none processed twice or wrongly signed."""

    @initialize()
    def begin(self) -> None:
        self.bench = Bench(heartbeat_interval_s=40.0)
        self.pending: list[Sent] = []
        self.server_key = "anon"  # what the connection's session wants
        self.processed: dict[Request, int] = {}
        self.written_order: list[int] = []

    def by_id(self, frame: Sent) -> Request | None:
        return next((each for each in self.bench.requests if each.call_id == frame.call_id), None)

    def pump(self) -> None:
        for frame in self.bench.sent():
            number = frame.doc.get("n")
            if frame.endpoint == "staff/create" and number is not None and number not in self.written_order:
                self.written_order.append(number)
            self.pending.append(frame)

    @rule()
    def connect(self) -> None:
        if self.bench.machine.phase is Phase.DISCONNECTED:
            self.bench.connect()
            self.pending.clear()
            self.server_key = "anon"
            self.pump()

    @rule()
    def lose(self) -> None:
        if self.bench.machine.phase not in (Phase.DISCONNECTED, Phase.CLOSED):
            self.bench.lose()
            self.pending.clear()

    @rule(endpoint=st.sampled_from(["staff/read", "staff/create", "staff/watch"]), await_auth=st.booleans())
    def call(self, endpoint: str, await_auth: bool) -> None:
        self.bench.call(endpoint, doc={"n": len(self.bench.requests)}, await_auth=await_auth)
        self.pump()

    @rule(endpoint=st.sampled_from(["session/auth", "session/signout"]))
    def change_session(self, endpoint: str) -> None:
        self.bench.call(endpoint)
        self.pump()

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), quota=st.integers(0, 9))
    def server_takes_one(self, data: st.DataObject, quota: int) -> None:
        frame = self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1)))
        request = self.by_id(frame)
        if frame.signed_with != self.server_key:
            self.bench.answer(frame, 403, code="CORE_REQ_INVALID_TOKEN")
        elif quota == 0:
            self.bench.answer(frame, 429, code="CORE_REQ_SESSION_QUOTA_HIT")
            if self.bench.machine.phase is Phase.AUTHENTICATING:
                self.lose()
        else:
            if request is not None:
                self.processed[request] = self.processed.get(request, 0) + 1
            self.process(frame)
        self.pump()

    def process(self, frame: Sent) -> None:
        if frame.endpoint in ("session/auth", "session/reauth") and self.server_key == "anon":
            self.server_key = "session"
            self.bench.answer(frame, session=SESSION)
        elif frame.endpoint == "session/signout" and self.server_key == "session":
            self.server_key = "anon"
            self.bench.answer(frame, session={"_id": ANON_SID})
        elif frame.endpoint.startswith("session/"):
            self.bench.answer(frame, 400, code="CORE_SESSION_ALREADY_AUTHED")
        elif frame.endpoint == "staff/watch":
            self.bench.answer(frame, code="CORE_WATCH_OK", watch=frame.call_id)
        elif frame.endpoint == "watch/delete":
            self.bench.answer(frame, watch=[frame.query[0]["watch"]])
        else:
            self.bench.answer(frame)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.bench.requests:
            request = data.draw(st.sampled_from(self.bench.requests))
            if not request.changes_session:
                self.bench.cancel(request)
                self.pump()

    @rule(seconds=st.sampled_from([0.0, 1.0, 11.0, 35.0, 151.0]))
    def wait(self, seconds: float) -> None:
        self.bench.wait(seconds)
        self.pump()

    @invariant()
    def nothing_but_repeatable_calls_is_processed_twice(self) -> None:
        for request, times in self.processed.items():
            assert times == 1 or request.idempotent or request.endpoint == "staff/watch", request

    @invariant()
    def calls_that_wait_for_the_same_keep_their_order(self) -> None:
        for awaiting in (True, False):
            mine = [n for n in self.written_order if self.bench.requests[n].await_auth is awaiting]
            assert mine == sorted(mine)

    @invariant()
    def an_ended_request_has_no_deadline(self) -> None:
        assert all(request.deadline is None for request in self.bench.ends)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.machine.close()
            self.bench.assert_all_ended()


TestLife = Life.TestCase
TestLife.settings = settings(steady, max_examples=100, stateful_step_count=40)
