"""Signing equals PyJWT's, the signed bytes are the sent bytes, and frames stay under the server's 4 MiB."""

from __future__ import annotations

import base64
import hmac
import json
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxsdk.errors import ConfigurationError, InvalidCall
from rxsdk.protocols.limp.auth import auth_docs, auth_hash, reauth_query, signout_query
from rxsdk.protocols.limp.signing import MAX_FRAME_BYTES, SigningKey, base64url
from rxsdk.protocols.limp.uploads import FileInfo, chunk_doc
from tests.protocols.harness import ANON_TOKEN, Bench, ready, steady, unbase64

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@steady
@given(st.dictionaries(TEXT, JSON, max_size=5), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_equals_pyjwt(payload: dict[str, Any], key: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyJWT warns of keys under 32 bytes; LIMP allows them
        expected = jwt.encode(payload, key, algorithm="HS256", headers={"alg": "HS256", "typ": "JWT"})
    compact = json.dumps(payload, separators=(",", ":")).encode()
    assert SigningKey(key).jwt(compact).decode() == expected


@pytest.mark.parametrize("size", [1, 31, 63, 64, 65, 200])
def test_keys_of_every_length_sign(size: int) -> None:
    """Those longer than a block of the hash are hashed first."""
    key, payload = "k" * size, b'{"a":"???~~~>>>"}'
    expected = hmac.digest(key.encode(), SigningKey(key).jwt(payload).rpartition(b".")[0], "sha256")
    assert SigningKey(key).jwt(payload).rpartition(b".")[2] == base64url(expected)
    assert SigningKey(key) == SigningKey(key) != SigningKey(key + "k")


@pytest.mark.parametrize("size", range(7))
def test_a_head_that_is_hashed_once_makes_the_same_jwt(size: int) -> None:
    payload = b'{"a":"?~>","b":12}'
    key, whole = SigningKey("key", payload[:size]), SigningKey("key")
    for _ in range(2):
        assert key.jwt(payload[size:]) == whole.jwt(payload)
        assert b"".join(key.long_jwt([payload[size:9], payload[9:]])) == whole.jwt(payload)
    assert key == whole != SigningKey("other key", payload[:size])


@steady
@given(st.binary(max_size=200))
def test_base64url_has_no_padding(data: bytes) -> None:
    assert base64url(data) == base64.urlsafe_b64encode(data).rstrip(b"=")


@steady
@given(st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=3), st.dictionaries(TEXT, JSON, max_size=4))
def test_what_is_signed_is_what_was_asked(query: list[Any], doc: dict[str, Any]) -> None:
    bench = ready()
    before = json.dumps([query, doc])
    bench.call("staff/read", query, doc)
    sent = bench.one()
    assert sent.query == query
    assert sent.doc == doc
    assert json.dumps([query, doc]) == before


def test_the_signature_is_over_the_bytes_that_are_sent() -> None:
    bench = ready()
    request = bench.call("staff/read", [{"name": "جمعة"}], {"z": 1, "a": [1.0, 1e300, "\u2028", "😀"]})
    (frame,) = bench.machine.frames_to_send(bench.now, 1.0)
    token = json.loads(frame)["token"]
    payload = unbase64(token.split(".")[1])
    assert SigningKey(ANON_TOKEN).jwt(payload).decode() == token
    assert request.query in payload
    assert request.doc in payload
    assert "جمعة".encode() in payload


@pytest.mark.parametrize("filler", ["x" * 8, '"\\\n\x00', "é☕😀"])
@pytest.mark.parametrize("endpoint", ["m/n", "m" * 60 + "/" + "n" * 60])
def test_no_call_that_is_let_through_is_over_four_mebibytes(filler: str, endpoint: str) -> None:
    """The largest doc that `make_request` takes makes a frame that the server takes, whatever the endpoint."""
    step = len(json.dumps(filler, ensure_ascii=False).encode()) - 2

    def doc(times: int) -> dict[str, str]:
        return {"text": filler * times}

    low, high = 0, MAX_FRAME_BYTES // step
    bench = ready()
    while high - low > 1:
        middle = (low + high) // 2
        try:
            bench.cancel(bench.call(endpoint, doc=doc(middle)))
            low = middle
        except InvalidCall:
            high = middle
    assert bench.sent() == []
    bench.call(endpoint, doc=doc(low))
    (frame,) = bench.machine.frames_to_send(bench.now, 1.0)
    assert MAX_FRAME_BYTES - 5_000 < len(frame) < MAX_FRAME_BYTES
    with pytest.raises(InvalidCall, match=r"query and doc: make a frame over 4 MiB \([\d,]+ bytes of JSON\)"):
        bench.call(endpoint, doc=doc(high))


def test_a_long_token_of_ones_own_counts_too() -> None:
    bench = ready()
    with pytest.raises(InvalidCall, match="over 4 MiB"):
        bench.call("staff/read", doc={"a": "x" * 3_000_000}, token="t" * 200_000)


def test_the_largest_chunk_fits_a_frame() -> None:
    info = FileInfo("name" * 60, 10**12, "application/octet-stream", 1_600_000_000_000)
    doc = chunk_doc("attr" * 20, 999, 10**6, 10**6, info, b"\xff" * 780_000)
    assert len(SigningKey("key").jwt(doc)) + 1000 < MAX_FRAME_BYTES


@pytest.mark.parametrize("password", ["Short1a", "lowercase1", "UPPERCASE1", "NoDigitsHere", ""])
def test_level_6_1_refuses_weak_passwords(password: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^password: level 6\.1 wants 8 characters") as caught:
        auth_hash("6.1", "email", "a@b.c", password, ANON_TOKEN)
    assert caught.value.field == "password"
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize("password", ["Abcdefg1", "1\nAb\u00e9\u00e9\u00e9\u00e9"])
def test_level_6_1_takes_strong_ones(password: str) -> None:
    assert auth_hash("6.1", "email", "a@b.c", password, "T") == f"emaila@b.c{password}T"


def test_a_lone_surrogate_is_no_password() -> None:
    with pytest.raises(ConfigurationError, match="lone surrogate"):
        auth_hash("5.6", "email", "a@b.c", "\ud800", ANON_TOKEN)


def hashed(doc: dict[str, Any] | None) -> bytes:
    assert doc is not None
    return unbase64(doc["hash"])


def test_the_second_form_escapes_what_is_not_ascii() -> None:
    raw, escaped = auth_docs("5.6", "email", "jürgen@x", "p😀", "A", ["g"])
    assert hashed(raw) == '{"hash":["email","jürgen@x","p😀","A"]}'.encode()
    assert hashed(escaped) == b'{"hash":["email","j\\u00fcrgen@x","p\\ud83d\\ude00","A"]}'
    assert raw["groups"] == escaped["groups"] == ["g"]  # type: ignore[index]
    assert escaped["email"] == "jürgen@x"  # type: ignore[index]


@pytest.mark.parametrize(
    ("level", "values", "has_second"),
    [
        ("5.6", ("email", "a@b.c", '\x00"\\', "A"), False),
        ("5.6", ("email", "a@b.c", "\x7f", "A"), True),  # DEL is ASCII, and Python servers escape it
        ("5.6", ("email", "a@b.c", "pw", "Ä"), True),  # the anon token is in the hash
        ("5.0", ("email", "a@b.c", "pw", "Ä"), False),  # here it is not
        ("5.0", ("email", "é", "pw", "A"), True),
        ("6.1", ("email", "é", "Abcdefg1é", "A"), False),  # plain text: nothing to escape
    ],
)
def test_there_is_a_second_form_only_when_it_differs(level: str, values: Any, has_second: bool) -> None:
    first, second = auth_docs(level, *values, None)
    assert (second is not None) is has_second
    assert "groups" not in first


def test_queries_of_the_session() -> None:
    assert reauth_query("6.1", "s", "t", ["g"]) == [{"_id": "s", "token": "t"}, {"groups": ["g"]}]
    assert signout_query("s") == [{"_id": "s"}]


def test_a_key_that_is_not_ascii_signs_its_utf8() -> None:
    bench = Bench(anon_token="tökén")
    bench.connect()
    bench.call("staff/read")
    assert bench.one().payload["token"] == "tökén"
