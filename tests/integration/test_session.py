"""Signing in against each generation of the server, and what the trace shows of it."""

from __future__ import annotations

import logging

import pytest

from rxsdk import ApiService, CallRejected, File, ReconnectPolicy
from rxsdk.emulator import Emulator
from tests.conftest import wait_until

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


@pytest.mark.parametrize(("api_level", "hash_level"), [("5.0", "5.0"), ("5.6", "5.6"), ("6.0", "5.6"), ("6.1", "6.1")])
def test_each_generation_lets_in_signs_in_and_brings_back(api_level: str, hash_level: str) -> None:
    with (
        Emulator(api_level=api_level) as emulator,
        ApiService(emulator.config(auth_hash_level=hash_level, reconnect=FAST)) as api,
    ):
        reply = api.auth("email", emulator.admin_email, emulator.admin_password).result()
        assert api.session == reply.args.session
        sid = reply.args.session["_id"]
        emulator.drop_connections()
        wait_until(lambda: not api.inited)
        assert api.call("album/create", doc={"name": {"ar_AE": "x"}}, await_auth=True).result().status == 200
        assert api.session["_id"] == sid
        api.signout().result()
        assert not api.authed


def test_non_ascii_credentials_are_tried_in_both_forms() -> None:
    # The server makes its own administrator's hash with \u escapes; a user made from JavaScript has the raw form.
    email, password = "ادمن@exämple.test", 'pä/ss<&>"w\\ört-كلمة'
    with Emulator(admin_email=email, admin_password=password) as emulator, ApiService(emulator.config()) as api:
        api.auth("email", email, password).result()
        raw = api.generate_auth_hash("email", "jürgen@exämple.test", "pässwörd")
        user = {"email": "jürgen@exämple.test", "email_hash": raw, "name": {"ar_AE": "J"}, "locale": "ar_AE"}
        api.call("user/create", doc=user).result()
        api.signout().result()
        api.auth("email", "jürgen@exämple.test", "pässwörd").result()
        api.signout().result()
        tries = emulator.executed["session/auth"]
        with pytest.raises(CallRejected, match="CORE_SESSION_INVALID_CREDS"):
            api.auth("email", "jürgen@exämple.test", "falsch ü").result()
        auths = [got for got in emulator.received if got.payload["endpoint"] == "session/auth"]
        assert len(auths) == tries + 2, "the raw form, the escaped form, and no more"
        assert api.call("staff/read").result().status == 200


def test_signing_out_is_of_whoever_is_signed_in_when_its_turn_comes(api: ApiService, emulator: Emulator) -> None:
    for _ in range(2):
        auth = api.auth("email", emulator.admin_email, emulator.admin_password)
        signout = api.signout()  # before the answer to that
        assert auth.result().status == signout.result().status == 200
        assert not api.authed
        with pytest.raises(CallRejected, match="CORE_SESSION_FORBIDDEN"):
            api.call("album/create", doc={"name": {"ar_AE": "x"}}).result()


def test_calls_made_while_signing_in_wait_and_go_out_signed_in(api: ApiService, emulator: Emulator) -> None:
    emulator.delay("session/auth", 0.05)
    api.auth("email", emulator.admin_email, emulator.admin_password)
    created = api.call("album/create", doc={"name": {"ar_AE": "x"}})
    assert created.result().status == 200
    signout = api.signout()
    after = api.call("album/create", doc={"name": {"ar_AE": "x"}})
    assert signout.result().status == 200
    with pytest.raises(CallRejected, match="CORE_SESSION_FORBIDDEN"):
        after.result()


def test_a_second_auth_is_refused_by_the_server_and_harms_nothing(signed_in: ApiService, emulator: Emulator) -> None:
    with pytest.raises(CallRejected, match="CORE_SESSION_ALREADY_AUTHED"):
        signed_in.auth("email", emulator.admin_email, emulator.admin_password).result()
    assert signed_in.authed


def test_the_trace_shows_the_wire_without_secrets(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ApiService(emulator.config(debug=True)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        session = api.session
        assert session is not None
        api.call("album/create", doc={"name": {"ar_AE": "x"}, "cover": File(b"abc", name="a.png")}).result()
        shown = [f"{api!r} {api.session!r} {api.state!r}", repr(emulator.config())]
        secrets = [session["token"], emulator.admin_password, emulator.anon_token]
        secrets.append(api.generate_auth_hash("email", emulator.admin_email, emulator.admin_password))
    lines = [record.getMessage() for record in caplog.records]  # websockets' too, which logs frames if it may
    assert any(line.startswith("→ session/auth") for line in lines)
    assert any(line.startswith("← Res(status=200, msg='You were successfully authed.'") for line in lines)
    assert any("'content': '<3 bytes>'" in line for line in lines)
    for secret in secrets:
        assert not [line for line in [*lines, *shown] if secret in line]
