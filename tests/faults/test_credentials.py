"""Signing in again by the hook for fresh credentials; trying again by `reconnect_now`, up to ``max_attempts``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from rxsdk import ApiService, CallNotSent, ConnectFailed, MemoryCache, ReconnectPolicy
from rxsdk.cache import scope_of
from rxsdk.emulator import Emulator
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


class SignedIn:
    """A service whose session expires while it is away, and what its hook and its streams said."""

    def __init__(self, emulator: Emulator, hook: Callable[[SignedIn], Any], loop: Any = "own") -> None:
        self.emulator = emulator
        self.asked: list[threading.Thread] = []
        self.cache = MemoryCache()
        config = emulator.config(reconnect=FAST, fresh_credentials=hook(self), cache=self.cache, loop=loop)
        self.scope = scope_of(config.api, config.cache_key)
        self.api = ApiService(config)
        self.sessions: list[Any] = []

    def good(self) -> tuple[str, str, str]:
        return ("email", self.emulator.admin_email, self.emulator.admin_password)

    def __enter__(self) -> SignedIn:
        self.api.__enter__()
        self.api.auth(*self.good()).result()
        self.api.authed_stream.subscribe(self.sessions.append)
        return self

    def __exit__(self, *error: object) -> None:
        self.api.close().result()

    def come_back_expired(self) -> None:
        self.emulator.expire_sessions()
        self.emulator.drop_connections()
        wait_until(lambda: len([one for one in self.emulator.received if "reauth" in one.payload["endpoint"]]) >= 1)
        wait_until(lambda: self.api.inited)


def sync_hook(scene: SignedIn) -> Any:
    def hook() -> Any:
        scene.asked.append(threading.current_thread())
        return scene.good()

    return hook


def async_hook(scene: SignedIn) -> Any:
    async def hook() -> Any:
        scene.asked.append(threading.current_thread())
        return scene.good()

    return hook


def hook_for(outcome: Any) -> Any:
    def make(scene: SignedIn) -> Any:
        def hook() -> Any:
            scene.asked.append(threading.current_thread())
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return hook

    return make


@pytest.mark.parametrize("hook", [sync_hook, async_hook])
def test_the_hook_signs_in_again_before_anything_else_goes_out(emulator: Emulator, hook: Any) -> None:
    with SignedIn(emulator, hook) as scene:
        api = scene.api
        first = api.session
        watch = api.call("album/watch")
        watch.subscribe()
        watch.result()
        emulator.expire_sessions()
        api.suspend()
        wait_until(lambda: api.state.name == "suspended")
        held = api.call("staff/read", await_auth=True)
        api.resume()
        assert held.result().status == 200
        assert len(scene.asked) == 1
        assert (scene.asked[0].name == "rxsdk loop") == (hook is async_hook)
        assert first is not None
        assert api.session is not None
        assert api.session["_id"] != first["_id"]
        assert None not in scene.sessions
        sid = api.session["_id"]
        wait_until(lambda: getattr(scene.cache.get(scene.scope), "sid", None) == sid)
        wait_until(lambda: emulator.watches == 1)


@pytest.mark.parametrize(
    "outcome",
    [
        None,
        ("email", "nobody@example.com", "wrong"),
        ("phone", "1", "x"),
        ("email", 5, "x"),
        ("email",),
        7,
        OSError("the key ring is locked"),
    ],
    ids=repr,
)
def test_a_hook_that_does_not_help_signs_out(emulator: Emulator, unhandled: list[BaseException], outcome: Any) -> None:
    with SignedIn(emulator, hook_for(outcome)) as scene:
        scene.come_back_expired()
        wait_until(lambda: scene.sessions[-1] is None)
        assert not scene.api.authed
        wait_until(lambda: scene.cache.get(scene.scope) is None)
        assert len(scene.asked) == 1
        assert scene.api.call("staff/read").result().status == 200
        with pytest.raises(CallNotSent, match="nobody signed in"):
            scene.api.call("staff/read", await_auth=True, queue_timeout_s=0.05).result()
        held = scene.api.call("staff/read", await_auth=True)
        scene.api.auth(*scene.good()).result()
        assert held.result().status == 200
    refused_quietly = outcome is None or outcome == ("email", "nobody@example.com", "wrong")
    assert len(unhandled) == (0 if refused_quietly else 1)


def test_a_hook_that_takes_its_time_holds_the_calls_and_dies_with_the_service(emulator: Emulator) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(scene: SignedIn) -> Any:
        def hook() -> Any:
            asked.set()
            answer.wait(20)
            return scene.good()

        return hook

    with SignedIn(emulator, slow) as scene:
        emulator.expire_sessions()
        emulator.drop_connections()
        assert asked.wait(10)
        call = scene.api.call("staff/read")
        closing = scene.api.close()
        with pytest.raises(CallNotSent):
            call.result()
        answer.set()
        assert closing.result().name == "closed"


def test_an_answer_to_a_connection_that_is_gone_is_not_used_on_the_next(emulator: Emulator) -> None:
    turns = [threading.Event(), threading.Event()]
    asked: list[int] = []

    def slow(scene: SignedIn) -> Any:
        def hook() -> Any:
            asked.append(1)
            turns[len(asked) - 1].wait(20)
            return scene.good()

        return hook

    with SignedIn(emulator, slow) as scene:
        emulator.expire_sessions()
        emulator.drop_connections()
        wait_until(lambda: len(asked) == 1)
        emulator.drop_connections()
        wait_until(lambda: len(asked) == 2)
        for turn in turns:
            turn.set()
        assert scene.api.call("staff/read", await_auth=True).result().status == 200
        auths = [one for one in emulator.received if one.payload["endpoint"] == "session/auth"]
        assert all(one.accepted for one in auths)
        assert len(auths) == 2


def test_reconnect_now_does_not_wait_for_the_delay(emulator: Emulator) -> None:
    with FaultProxy(emulator.url) as proxy:
        config = emulator.config(api=proxy.url, reconnect=ReconnectPolicy(base_s=3600.0, cap_s=3600.0))
        with ApiService(config) as api:
            api.reconnect_now()  # connected: nothing happens
            proxy.refuse()
            proxy.reset()
            wait_until(lambda: api.state.name == "reconnecting")
            retry_at = api.state.retry_at
            assert retry_at is not None
            call = api.call("staff/read")
            proxy.heal()
            began = time.time()
            api.reconnect_now()
            assert call.result(20).status == 200
            assert time.time() < max(retry_at, began + 20)
            assert api.state.attempt == 0
            api.suspend()
            wait_until(lambda: api.state.name == "suspended")
            api.reconnect_now()
            with pytest.raises(CallNotSent):
                api.call("staff/read", queue_timeout_s=0.1).result()
            assert api.state.name == "suspended"


def test_max_attempts_ends_it_for_good(emulator: Emulator) -> None:
    with FaultProxy(emulator.url) as proxy:
        policy = ReconnectPolicy(base_s=0.01, cap_s=0.01, max_attempts=3)
        api = ApiService(emulator.config(api=proxy.url, reconnect=policy))
        with api:
            attempts: list[int] = []
            errors: list[Exception] = []
            api.state_stream.subscribe(lambda state: attempts.append(state.attempt), errors.append)
            proxy.refuse()
            proxy.reset()
            wait_until(lambda: not api.inited)
            call = api.call("staff/create")
            with pytest.raises(CallNotSent) as caught:
                call.result(20)
            wait_until(lambda: errors)
            assert isinstance(errors[0], ConnectFailed)
            assert caught.value.__cause__ is errors[0]
            assert max(attempts) == 3
            assert proxy.accepted == 4
            assert api.state.name == "failed"
            with pytest.raises(CallNotSent):
                api.call("staff/read").result()


def test_attempts_are_counted_from_the_last_connection_that_stood(emulator: Emulator) -> None:
    policy = ReconnectPolicy(base_s=0.0, cap_s=0.0, max_attempts=2)
    with ApiService(emulator.config(reconnect=policy)) as api:
        for _ in range(6):
            emulator.drop_connections()
            assert api.call("staff/read").result().status == 200
        assert api.inited


def test_round_trips_are_a_stream(emulator: Emulator) -> None:
    with ApiService(emulator.config(heartbeat_interval_s=0.02)) as api:
        seen: list[float] = []
        ended = threading.Event()
        api.round_trip_stream.subscribe(seen.append, None, ended.set)
        wait_until(lambda: len(seen) >= 3)
        assert all(0 <= seconds < 10 for seconds in seen)
    assert ended.wait(5)
