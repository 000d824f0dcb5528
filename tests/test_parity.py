"""The sibling SDKs, name by name: what their API has, ours has, by the names the parity table gives."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import rxsdk
from rxsdk import ApiService, CredentialCache, SDKConfig
from rxsdk.reactive.streams import Stream

# The Angular / NativeScript name, and ours.
PARITY = {
    "init": "init",
    "inited": "inited",
    "inited$": "inited_stream",
    "authed": "authed",
    "authed$": "authed_stream",
    "session": "session",
    "(none)": "state",
    "(none) ": "state_stream",
    "call": "call",
    "auth": "auth",
    "reauth": "reauth",
    "checkAuth": "check_auth",
    "signout": "signout",
    "generateAuthHash": "generate_auth_hash",
    "deleteWatch": "delete_watch",
    "close": "close",
    "appActive: false": "suspend",
    "appActive: true": "resume",
}

CALLS = {
    "call": ["endpoint", "query", "doc", "await_auth", "sid", "token", "timeout_s", "queue_timeout_s", "idempotent",
             "doc_type", "gaps"],
    "auth": ["auth_var", "auth_val", "password", "groups"],
    "reauth": ["sid", "token", "groups"],
    "check_auth": ["groups"],
    "signout": [],
    "generate_auth_hash": ["auth_var", "auth_val", "password"],
    "delete_watch": ["watch"],
    "close": [],
    "suspend": [],
    "resume": [],
    "init": ["config"],
}  # fmt: skip


@pytest.mark.parametrize("ours", PARITY.values())
def test_the_name_is_there_and_documented(ours: str) -> None:
    member = inspect.getattr_static(ApiService, ours)
    assert inspect.getdoc(member), f"{ours} has no docstring"


@pytest.mark.parametrize("name", CALLS)
def test_the_arguments_are_the_siblings_in_snake_case(name: str) -> None:
    assert list(inspect.signature(getattr(ApiService, name)).parameters)[1:] == CALLS[name]


def test_streams_are_observables_with_a_latest_value() -> None:
    api = ApiService()
    for name in ("inited_stream", "authed_stream", "state_stream"):
        assert isinstance(getattr(api, name), Stream)
        assert repr(getattr(api, name)) == "<Stream>"
    assert (api.inited, api.authed, api.session, api.state.name) == (False, False, None, "idle")


def test_the_config_has_the_siblings_fields_in_their_order_and_their_defaults() -> None:
    config = SDKConfig("ws://localhost/ws", "token", ["email"])
    names = [field.name for field in dataclasses.fields(SDKConfig) if not field.kw_only][:7]
    assert names == ["api", "anon_token", "auth_attrs", "app_id", "debug", "file_chunk_size", "auth_hash_level"]
    assert (config.app_id, config.debug, config.file_chunk_size, config.auth_hash_level) == (
        None,
        False,
        512_000,
        "5.6",
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.debug = True  # type: ignore[misc]


def test_the_cache_has_the_siblings_verbs() -> None:
    assert {"get", "put", "remove"} <= set(vars(CredentialCache))


def test_the_public_names_are_one_sorted_flat_list() -> None:
    assert sorted(rxsdk.__all__, key=lambda name: (name.islower(), name)) == rxsdk.__all__
    for name in rxsdk.__all__:
        assert getattr(rxsdk, name).__doc__, f"{name} has no docstring"
