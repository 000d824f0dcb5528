"""What holds of every credential cache, and of credentials and scopes themselves."""

from __future__ import annotations

import copy
import pprint
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rxsdk.cache
from rxsdk.cache import CredentialCache, Credentials, FileCache, KeyringCache, MemoryCache, scope_of
from rxsdk.cache.written import read_scopes, read_secret, write_scopes, write_secret
from rxsdk.config import SDKConfig
from tests.protocols.harness import steady

API = "wss://limp.example/ws"
SCOPE = scope_of(API, "default")


@pytest.fixture(params=["memory", "file", "keyring"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> CredentialCache:
    if request.param == "keyring":
        request.getfixturevalue("memory_keyring")
        return KeyringCache()
    return MemoryCache() if request.param == "memory" else FileCache(tmp_path / "sessions.json")


def test_gives_back_what_was_put(cache: CredentialCache, credentials: Credentials) -> None:
    assert cache.get(SCOPE) is None
    cache.put(SCOPE, credentials)
    assert cache.get(SCOPE) == credentials


def test_the_last_put_wins(cache: CredentialCache, credentials: Credentials) -> None:
    cache.put(SCOPE, Credentials("old", "old"))
    cache.put(SCOPE, credentials)
    assert cache.get(SCOPE) == credentials


def test_scopes_are_apart(cache: CredentialCache, credentials: Credentials) -> None:
    other = scope_of(API, "zweite 👤")
    cache.put(SCOPE, credentials)
    cache.put(other, Credentials("", ""))
    cache.remove(SCOPE)
    assert cache.get(SCOPE) is None
    assert cache.get(other) == Credentials("", "")


def test_removing_what_is_not_there_is_fine(cache: CredentialCache, credentials: Credentials) -> None:
    cache.remove(SCOPE)
    cache.put(SCOPE, credentials)
    cache.remove(SCOPE)
    cache.remove(SCOPE)
    assert cache.get(SCOPE) is None


def test_repr_shows_no_secret(cache: CredentialCache, credentials: Credentials) -> None:
    cache.put(SCOPE, credentials)
    told = f"{cache!r} {cache} {vars(cache)!r}"
    assert type(cache).__name__ in told
    assert "S3CRET" not in told


def test_the_config_takes_it(cache: CredentialCache) -> None:
    assert SDKConfig(API, "anon", ["email"], cache=cache).cache is cache


def test_credentials_are_never_shown(credentials: Credentials) -> None:
    shown = [
        repr(credentials),
        str(credentials),
        f"{credentials}",
        format(credentials, ""),
        pprint.pformat(credentials),
    ]
    assert shown == ["Credentials(<redacted>)"] * 5
    assert repr([credentials]) == "[Credentials(<redacted>)]"


def test_credentials_are_values(credentials: Credentials) -> None:
    assert copy.deepcopy(credentials) == credentials
    assert len({credentials, Credentials(credentials.sid, credentials.token)}) == 1
    assert credentials != Credentials(credentials.token, credentials.sid)
    with pytest.raises(AttributeError):
        credentials.sid = "other"  # type: ignore[misc]
    assert not hasattr(credentials, "__dict__")


@pytest.mark.parametrize(
    ("sid", "token", "problem"),
    [(b"S3CRET", "t", "sid must be str, not bytes"), ("s", None, "token must be str, not NoneType")],
)
def test_credentials_are_strings(sid: str, token: str, problem: str) -> None:
    with pytest.raises(TypeError) as caught:
        Credentials(sid, token)
    assert str(caught.value) == problem


def test_a_scope_can_be_read() -> None:
    assert SCOPE == "default@wss://limp.example/ws"
    assert scope_of("ws://h/ws", "a@b/c é") == "a%40b%2Fc%20%C3%A9@ws://h/ws"


@steady
@given(st.text(), st.text(st.characters(exclude_categories=())))
def test_a_scope_belongs_to_one_api_and_key(api: str, cache_key: str) -> None:
    key, _, rest = scope_of(api, cache_key).partition("@")
    assert (rest, unquote(key, errors="surrogatepass")) == (api, cache_key)


@steady
@given(st.dictionaries(st.text(), st.builds(Credentials, st.text(), st.text())))
def test_the_file_form_is_read_as_it_was_written(scopes: dict[str, Credentials]) -> None:
    assert read_scopes(write_scopes(scopes)) == scopes
    assert write_scopes(scopes).isascii()


@steady
@given(st.builds(Credentials, st.text(), st.text()))
def test_the_secret_form_is_read_as_it_was_written(credentials: Credentials) -> None:
    assert read_secret(write_secret(credentials)) == credentials


@steady
@given(st.binary(min_size=1))
def test_what_is_not_ours_is_not_read(content: bytes) -> None:
    assert read_scopes(content) is None


def test_importing_the_caches_imports_no_keyring() -> None:
    code = "import sys, rxsdk.cache; sys.exit(any(name.split('.')[0] == 'keyring' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_public_names() -> None:
    assert sorted(rxsdk.cache.__all__) == rxsdk.cache.__all__
    assert all(hasattr(rxsdk.cache, name) for name in rxsdk.cache.__all__)
