"""No token, password, hash or signed payload in any message, log line, span or repr, whatever happens."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rxsdk
from rxsdk import ApiService, File, FileCache, MemoryCache, ReconnectPolicy, RxSdkError, SDKConfig
from rxsdk.cache import Credentials, scope_of
from rxsdk.emulator import Emulator
from rxsdk.protocols.limp.auth import auth_docs
from tests.conftest import wait_until
from tests.faults.telemetry import Told, told
from tests.staff import album_doc

PASSWORD = "päss-wörd/Öffne+dich"
WRONG = "wröng-pass-word"
FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)
JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")

__all__ = ["told"]


class Ear(logging.Handler):
    """Every log line of everybody, formatted with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)}")


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    loggers = [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.root.addHandler(ear)
    try:
        yield ear
    finally:
        logging.root.removeHandler(ear)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Safe:
    """Collects all that could be printed, and the secrets that must not be in it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.secrets: set[str] = {PASSWORD, WRONG, json.dumps(PASSWORD)[1:-1], json.dumps(WRONG)[1:-1]}

    def look_at(self, *things: Any) -> None:
        for thing in things:
            self.seen += [repr(thing), str(thing), f"{thing}", f"{[thing]}"]
            if isinstance(thing, BaseException):
                self.seen += ["".join(traceback.format_exception(thing)), repr(vars(thing))]

    def hashes(self, level: str, anon_token: str, email: str) -> None:
        for password in (PASSWORD, WRONG):
            for doc in auth_docs(level, "email", email, password, anon_token, None):
                if doc is not None:
                    self.secrets.add(doc["hash"])

    def assert_kept(self, lines: list[str]) -> None:
        for text in itertools.chain(self.seen, lines):
            for secret in self.secrets:
                assert secret not in text, f"a secret in {text[:2000]}"
            assert not JWT.search(text), f"a signed payload in {text[:2000]}"


def drive(emulator: Emulator, config: SDKConfig, safe: Safe) -> None:
    """Through everything that can happen to credentials."""
    safe.look_at(config, config.reconnect, config.quota, config.cache)
    with ApiService(config) as api:
        safe.look_at(api, api.state)
        api.state_stream.subscribe(safe.look_at, safe.look_at)
        api.authed_stream.subscribe(safe.look_at, safe.look_at)
        api.init().subscribe(safe.look_at, safe.look_at)

        def end_of(call: Any) -> None:
            call.subscribe(safe.look_at, safe.look_at)
            with contextlib.suppress(RxSdkError):
                safe.look_at(call.result(15))
            safe.look_at(call, call.error)

        end_of(api.auth("email", emulator.admin_email, WRONG))
        end_of(api.reauth("6b010dded29b763591c9e7b5", WRONG))
        end_of(api.auth("email", emulator.admin_email, PASSWORD))
        assert api.session is not None
        safe.secrets.add(api.session["token"])
        safe.look_at(api.session, api.session.get("user"), api)
        end_of(api.reauth())
        end_of(api.call("staff/read"))
        end_of(api.call("staff/read", sid="6b010dded29b763591c9e7b5", token=WRONG))
        end_of(api.call("no/thing"))
        end_of(api.call("user/create", doc={"password": PASSWORD, "email_hash": WRONG, "hash": WRONG}))
        end_of(api.call("album/create", doc=album_doc(cover=File(b"x" * 300, name="x.png"))))
        emulator.silence("album/create", times=1)
        lost = api.call("album/create", doc=album_doc())
        emulator.wait_until(lambda e: sum(one.payload["endpoint"] == "album/create" for one in e.received) == 2)
        emulator.drop_connections()
        end_of(lost)
        end_of(api.call("staff/read", await_auth=True))
        safe.secrets |= {api.session["token"]} if api.session else set()
        emulator.push("{no json")
        emulator.push({"status": 200, "msg": "pushed", "args": {"session": dict(api.session), "token": WRONG}})
        emulator.expire_sessions()
        emulator.drop_connections()
        wait_until(
            lambda: (
                emulator.connections == 1
                and api.inited
                and (api.session is None or config.fresh_credentials is not None)
            )
        )
        end_of(api.call("staff/read"))
        end_of(api.signout())
        safe.look_at(api._inside, api._inside._machine, api._life, api._life.connection)
        for mistake in (
            lambda: api.auth("phone", "1", PASSWORD),
            lambda: api.auth("email", 5, PASSWORD),  # type: ignore[arg-type]
            lambda: api.call("staff/read", token=PASSWORD, sid=""),
            lambda: api.call("staff/read", doc={"password": PASSWORD, "x": object()}),
            lambda: api.reauth("sid"),
        ):
            with pytest.raises(RxSdkError) as caught:
                mistake()
            safe.look_at(caught.value)
    safe.look_at(api, api.state)


def wrong_credentials() -> tuple[str, str, str]:
    return ("email", "nobody@example.com", WRONG)


def failing_hook() -> tuple[str, str, str]:
    raise OSError("no key ring")


@pytest.mark.parametrize("level", ["5.0", "6.0"])
@pytest.mark.parametrize("hook", [None, wrong_credentials, failing_hook])
@pytest.mark.parametrize("kept", ["memory", "file"])
def test_no_secret_is_told(
    level: Any, hook: Any, kept: str, ear: Ear, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe = Safe()
    unhandled: list[BaseException] = []
    monkeypatch.setattr(rxsdk, "on_unhandled", unhandled.append)
    with Emulator(admin_password=PASSWORD, api_level=level) as emulator:
        cache = MemoryCache() if kept == "memory" else FileCache(tmp_path / "sessions")
        config = emulator.config(
            reconnect=FAST,
            cache=cache,
            debug=True,
            telemetry=True,
            file_chunk_size=100,
            timeout_s=5.0,
            heartbeat_interval_s=0.05,
            fresh_credentials=hook,
            extra_headers={"Authorization": f"Bearer {WRONG.encode().hex()}"},
        )
        safe.secrets |= {emulator.anon_token, WRONG.encode().hex()}
        safe.hashes(config.auth_hash_level, emulator.anon_token, emulator.admin_email)
        drive(emulator, config, safe)
        stored = cache.get(scope_of(config.api, config.cache_key))
        safe.look_at(cache, stored, Credentials("sid", WRONG))
        spoiled = FileCache(tmp_path / "spoiled")
        (tmp_path / "spoiled").write_text(f'{{"{WRONG}": {{"token": "{PASSWORD}"')
        with contextlib.suppress(RxSdkError):
            safe.look_at(spoiled.get(scope_of(config.api, config.cache_key)))
    gc.collect()
    safe.look_at(*unhandled)
    safe.seen += told.everything()
    ours = [line for line in ear.lines if not line.startswith("rxsdk.emulator")]
    assert any(line.startswith("rxsdk.wire") for line in ours)
    safe.assert_kept(ours)
