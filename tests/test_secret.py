"""A `Secret` gives its text to `reveal` and to nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rxsdk import ApiService, SDKConfig, Secret
from rxsdk.cache import Credentials
from rxsdk.emulator import Emulator

TEXT = "pä55-wörd"


@pytest.mark.parametrize(
    "shown",
    [
        *(str, repr, ascii, "{}".format, "{!r}".format, "{:>40}".format, "{:.3}".format, "%s".__mod__, "%r".__mod__),
        lambda secret: f"{[secret]} {(secret,)}",
    ],
)
def test_no_way_of_formatting_shows_it(shown: Callable[[Any], str]) -> None:
    text = shown(Secret(TEXT))
    assert "<redacted>" in text
    assert not any(part in text for part in (TEXT, TEXT[:3], "55"))


@pytest.mark.parametrize(
    "use",
    [
        *(iter, len, list, bytes, "".join, json.dumps, msgspec.json.encode, msgspec.to_builtins, vars, pickle.dumps),
        *(lambda secret: secret + "", lambda secret: "" + secret, lambda secret: secret[0]),
    ],
)
def test_what_would_let_it_out_is_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        use(Secret(TEXT))
    assert TEXT not in str(caught.value)


def test_it_is_revealed_and_compared() -> None:
    secret = Secret(TEXT)
    assert secret.reveal() == TEXT
    assert secret == Secret(secret) == TEXT
    assert secret != Secret("another")
    assert secret != 5
    assert len({secret, Secret(TEXT)}) == 1
    assert copy.deepcopy(secret) == copy.copy(secret) == secret
    assert secret
    assert not Secret("")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="holds a str, not bytes"):
        Secret(b"x")  # type: ignore[arg-type]


def test_what_keeps_credentials_keeps_secrets(caplog: pytest.LogCaptureFixture) -> None:
    config = SDKConfig("wss://limp.example/ws", TEXT, ["email"])
    credentials = Credentials(TEXT, TEXT)
    assert config.anon_token == credentials.sid == credentials.token == Secret(TEXT)
    fields = [getattr(config, field.name) for field in dataclasses.fields(config)]
    logging.getLogger("rxsdk").warning("%s %s", fields, credentials.token)
    assert "<redacted>" in caplog.text
    assert TEXT not in caplog.text


def test_a_secret_signs_in() -> None:
    with Emulator() as emulator, ApiService(emulator.config(anon_token=Secret(emulator.anon_token))) as api:
        assert api.auth("email", emulator.admin_email, Secret(emulator.admin_password)).result(10).status == 200
        assert api.generate_auth_hash("email", "a", Secret("b")) == api.generate_auth_hash("email", "a", "b")
