"""`SDKConfig`: each mistake names its field, what is right is taken, and nothing secret is printed."""

from __future__ import annotations

import copy
import dataclasses
import math
import ssl
from typing import Any

import pytest

from rxsdk import ConfigurationError, DeliveryPolicy, MemoryCache, QuotaPolicy, ReconnectPolicy, SDKConfig


def made(**settings: Any) -> SDKConfig:
    return SDKConfig(**{"api": "wss://limp.example/ws", "anon_token": "S3CRET", "auth_attrs": ["email"], **settings})


NO_TEXT: list[Any] = ["", 5, b"x", ["x"], "\ud800"]
NO_HEADER: list[Any] = [*NO_TEXT, "a\r\nX: y", "a\nb", "tab\t", "nul\x00"]
NO_SECONDS: list[Any] = [0, -1, -0.5, math.nan, math.inf, True, "5", [1], 10**400]
MISTAKES: dict[str, list[Any]] = {
    "api": [
        *[None, 5, b"ws://h", "", "h", "h:8081/ws", "/ws", "http://h/ws", "https://h", "//h/ws", "ws:/h", "ws://"],
        *["ws:///ws", "ws://:80/ws", "ws://h:0/ws", "ws://h:99999/ws", "ws://h:port/ws", "ws://[::1/ws", "ws://h/ws#x"],
        *["ws://user@h/ws", "ws://user:S3CRET@h/ws", " ws://h/ws", "ws://h /ws", "ws://h\n/ws", "ws://h/\ud800"],
    ],
    "anon_token": [None, *NO_TEXT],
    "auth_attrs": [None, "email", b"email", [], (), {"email"}, 5, [""], ["email", 5], [None], ["\ud800"]],
    "app_id": NO_TEXT,
    "debug": [None, 1, "yes"],
    "file_chunk_size": [0, -1, 780_001, 1.5, "512000", True, None],
    "auth_hash_level": [None, "5.5", 5.6, "", ["5.6"]],
    "timeout_s": NO_SECONDS,
    "queue_timeout_s": NO_SECONDS,
    "connect_timeout_s": [None, *NO_SECONDS],
    "heartbeat_interval_s": [None, *NO_SECONDS],
    "heartbeat_timeout_s": [None, *NO_SECONDS],
    "max_queued_calls": [0, -1, 1.5, None, True, "5"],
    "max_message_bytes": [0, 1023, 1e6, None, True],
    "delivery": [None, 16, DeliveryPolicy],
    "reconnect": [None, 5, {"base_s": 1}, ReconnectPolicy],
    "quota": [None, 40, QuotaPolicy],
    "upload_lanes": [None, 0, 5, 1.5, True, "1"],
    "upload_window": [None, 0, 17, 1.5, True, "2"],
    "fresh_credentials": ["me", ("email", "a@b.c", "secret")],
    "telemetry": [None, 1, "yes"],
    "loop": [None, "mine", 5],
    "transport": [None, "aiohttp", 5],
    "ssl_context": [True, "tls", object()],
    "proxy": [None, 5, "", "proxy:3128", b"http://p"],
    "extra_headers": [
        *["x", 5, ["a"], [("a", "b")], {"a": 1}, {1: "a"}, {"a": None}, {"": "x"}, {"a\n": "x"}],
        *[{"a": "x\r\ny: z"}, {"a": "\ud800"}],
    ],
    "origin": NO_HEADER,
    "user_agent": NO_HEADER,
    "cache": [5, object(), {}],
    "cache_key": [None, *NO_TEXT],
}
CASES = [(field, value) for field, values in MISTAKES.items() for value in values]


@pytest.mark.parametrize(
    ("field", "value"), CASES, ids=[f"{field}-{number}" for number, (field, _) in enumerate(CASES)]
)
def test_a_mistake_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**{field: value})
    error = caught.value
    assert error.field == field
    assert error.problem
    assert str(error).startswith(f"{field}: ")
    assert "S3CRET" not in str(error)
    assert error.__cause__ is None


def test_every_field_has_its_mistakes() -> None:
    assert set(MISTAKES) == {field.name for field in dataclasses.fields(SDKConfig)}


RIGHT: list[tuple[str, Any]] = [
    *[
        ("api", url)
        for url in ("ws://h", "WS://H:1/ws", "wss://h:65535/ws/realm?x=1", "ws://[::1]:80/ws", "ws://é.example/")
    ],
    *[("auth_attrs", ("a", "b")), ("app_id", "é"), ("file_chunk_size", 1), ("file_chunk_size", 780_000)],
    *[("timeout_s", None), ("timeout_s", 1), ("queue_timeout_s", None), ("queue_timeout_s", 0.001)],
    *[("auth_hash_level", level) for level in ("5.0", "5.6", "6.1")],
    *[("loop", loop) for loop in ("auto", "own", "running")],
    *[("transport", transport) for transport in ("auto", "websockets")],
    *[("proxy", True), ("proxy", False), ("proxy", "http://proxy:3128"), ("proxy", "socks5://u:S3CRET@p:1")],
    *[
        ("extra_headers", {"X-A": "b", "X-Empty": ""}),
        ("extra_headers", {}),
        ("origin", "http://a"),
        ("user_agent", "a b/1"),
    ],
    *[("max_queued_calls", 1), ("max_message_bytes", 1024), ("cache_key", "other"), ("debug", True)],
    *[
        ("cache", MemoryCache()),
        ("reconnect", ReconnectPolicy(base_s=1)),
        ("delivery", DeliveryPolicy(16, "latest", "detach")),
        ("quota", QuotaPolicy(retry=False)),
        ("fresh_credentials", lambda: None),
        ("telemetry", True),
        ("ssl_context", ssl.create_default_context()),
    ],
]


@pytest.mark.parametrize(
    ("field", "value"), RIGHT, ids=[f"{field}-{number}" for number, (field, _) in enumerate(RIGHT)]
)
def test_what_is_right_is_taken(field: str, value: Any) -> None:
    assert getattr(made(**{field: value}), field) == value


def test_the_defaults() -> None:
    config = made()
    shown = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    expected = {
        "app_id": None,
        "debug": False,
        "file_chunk_size": 512_000,
        "auth_hash_level": "5.6",
        "timeout_s": 30.0,
        "queue_timeout_s": 120.0,
        "connect_timeout_s": 20.0,
        "heartbeat_interval_s": 30.0,
        "heartbeat_timeout_s": 10.0,
        "max_queued_calls": 10_000,
        "upload_lanes": 1,
        "upload_window": 2,
        "max_message_bytes": 64 * 1024 * 1024,
        "delivery": DeliveryPolicy(16_384, "error", "keep"),
        "loop": "auto",
        "transport": "auto",
        "ssl_context": None,
        "proxy": True,
        "cache": None,
        "cache_key": "default",
    }
    assert {name: shown[name] for name in expected} == expected


def test_it_is_frozen_and_keeps_its_own_list() -> None:
    attrs = ["email"]
    config = made(auth_attrs=attrs)
    attrs.append("phone")
    assert config.auth_attrs == ("email",)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.api = "ws://other"  # type: ignore[misc]
    assert dataclasses.replace(config, app_id="APP").app_id == "APP"
    with pytest.raises(ConfigurationError):
        dataclasses.replace(config, timeout_s=-1)


def test_what_is_no_field_is_refused_as_clearly_as_a_field() -> None:
    config: Any = made()
    with pytest.raises(dataclasses.FrozenInstanceError, match="timeout_ms"):
        config.timeout_ms = 5
    with pytest.raises(dataclasses.FrozenInstanceError, match="timeout_ms"):
        del config.timeout_ms
    with pytest.raises(dataclasses.FrozenInstanceError, match="timeout_s"):
        del config.timeout_s


def test_a_config_can_be_copied_and_inherited_from() -> None:
    class Ours(SDKConfig):
        """With room for what an application adds."""

    @dataclasses.dataclass(frozen=True)
    class Wider(SDKConfig):
        """With a field more."""

        room: str = "kitchen"

    config: Any = Ours(api="wss://limp.example/ws", anon_token="S3CRET", auth_attrs=["email"])
    config.found_at = "home"
    assert config.found_at == "home"
    del config.found_at
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.api = "ws://other"
    wider: Any = Wider(api="wss://limp.example/ws", anon_token="S3CRET", auth_attrs=["email"])
    assert dataclasses.replace(wider, room="hall").room == copy.deepcopy(wider).room.replace("kitchen", "hall")
    for name in ("room", "api", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(wider, name, "hall")
    assert copy.copy(made()) == copy.deepcopy(made()) == made()


def test_the_repr_shows_no_secret() -> None:
    config = made(
        extra_headers={"Authorization": "S3CRET"}, proxy="http://u:S3CRET@p:1", cache=MemoryCache(), app_id="APP"
    )
    assert "S3CRET" not in repr(config)
    assert "wss://limp.example/ws" in repr(config)
    assert "APP" in repr(config)


def test_tls_settings_want_a_tls_url() -> None:
    context = ssl.create_default_context()
    assert made(api="WSS://h/ws", ssl_context=context).ssl_context is context
    with pytest.raises(ConfigurationError, match="ssl_context: only goes with a wss:// api"):
        made(api="ws://h/ws", ssl_context=context)


@pytest.mark.parametrize(
    ("api", "leaves"),
    [
        *[("ws://limp.example/ws", True), ("WS://limp.example/ws", True), ("ws://192.168.1.5/ws", True)],
        *[("ws://[2001:db8::1]/ws", True), ("ws://localhost.example/ws", True), ("ws://10.0.0.1:80/ws", True)],
        *[("wss://limp.example/ws", False), ("ws://localhost/ws", False), ("ws://LOCALHOST:8081/ws", False)],
        *[("ws://127.0.0.1/ws", False), ("ws://127.9.9.9/ws", False), ("ws://[::1]:8081/ws", False)],
        ("ws://api.localhost/ws", False),
    ],
)
def test_what_leaves_the_machine_readably(api: str, leaves: bool) -> None:
    assert made(api=api).leaves_machine_unencrypted is leaves


def test_a_transport_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxsdk.core.transport.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r'"picows", which is not installed: pip install "rxsdk\[fast\]"'):
        made(transport="picows")
    monkeypatch.setattr("rxsdk.core.transport.find_spec", lambda name: object())
    assert made(transport="picows").transport == "picows"
