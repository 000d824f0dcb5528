"""Frames of the server: whatever comes is a `Res` with nothing dropped, or a `RemoteProtocolError`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxsdk.errors import RemoteProtocolError
from rxsdk.protocols.limp.codec import decode_frame
from rxsdk.protocols.limp.res import Args, Res, Session
from tests.protocols.harness import steady

RECORDING = Path(__file__).parents[1] / "vectors" / "limpd-6.0.5.txt"
RECORDED = [
    line.partition(" << ")[2]
    for line in RECORDING.read_text(encoding="utf-8").splitlines()
    if line.strip().startswith("c") and ' << {"status"' in line
]


def test_there_are_recordings() -> None:
    assert len(RECORDED) > 200


def test_every_recorded_message_is_kept_whole() -> None:
    for line in RECORDED:
        message = json.loads(line)
        res = decode_frame(line.encode())
        assert {"status": res.status, "msg": res.msg, "args": dict(res.args)} == message
        assert res.extra == {}


def test_the_oldest_first_message() -> None:
    res = decode_frame(b'{"status": 200, "msg": "Connection established."}')
    assert (res.status, res.msg, res.args, res.code, res.docs) == (200, "Connection established.", {}, None, [])


def test_members_beside_the_three_are_kept() -> None:
    res = decode_frame(b'{"status":200,"msg":"m","args":{"a":1},"more":[1],"x":null}')
    assert res.extra == {"more": [1], "x": None}
    assert res.args == {"a": 1}


def test_a_session_becomes_one() -> None:
    res = decode_frame(b'{"status":200,"args":{"session":{"_id":"s","token":"t"}}}')
    assert type(res.args) is Args
    assert type(res.args.session) is Session
    assert type(decode_frame(b'{"status":200,"args":{"session":[1]}}').args.session) is list


def test_the_tolerant_reader() -> None:
    res = decode_frame(b'{"status":200,"args":{"a":NaN,"b":[Infinity,-Infinity],"c":"\\ud800","d":1e999}}')
    assert math.isnan(res.args.a)
    assert res.args.b == [math.inf, -math.inf]
    assert res.args.c == "\ud800"
    assert res.args.d == math.inf
    assert decode_frame(b'{"status":200,"args":{"a":1e999}}').args.a == math.inf
    assert decode_frame(b'{"status":200,"msg":"\xed\xa0\x80"}').msg == "\ud800"  # a surrogate in UTF-8


def test_text_of_astral_characters_in_pairs() -> None:
    assert decode_frame(b'{"status":200,"msg":"\\ud83d\\ude00"}').msg == "😀"


def test_of_duplicate_keys_the_last_is_taken_by_both_readers() -> None:
    assert decode_frame(b'{"status":400,"status":200,"args":{"a":1,"a":2}}').args == {"a": 2}
    assert decode_frame(b'{"status":400,"status":200,"args":{"a":NaN,"a":2}}').args == {"a": 2}


@pytest.mark.parametrize("empty", [b"null", b"{}"])
def test_args_may_be_nothing(empty: bytes) -> None:
    assert decode_frame(b'{"status":500,"args":' + empty + b"}").args == {}


NOT_JSON = [
    *[b"", b" ", b"not json", b"{", b'{"status":200', b'{"status":200}x', b"{'status':200}", b'{"status":200}\x00'],
    *[b"\xff\xfe", b'{"status":200,"msg":"\xff"}', b"\xef\xbb\xbf{}", b'{"msg":"a\x01"}', b'{"msg":"\\x"}', b"[1,]"],
    *[b"[" * 100_000, b'{"a":' * 100_000, b'{"status":200,"args":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"],
    *[b'{"status":200,"args":{"a":' + b"9" * 5_000 + b"}}", b'{"status":' + b"9" * 5_000 + b"}"],
]


@pytest.mark.parametrize("frame", NOT_JSON, ids=range(len(NOT_JSON)))
def test_not_json(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^a frame of {len(frame)} bytes is not JSON$") as caught:
        decode_frame(frame)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "frame", [b"[]", b'["list"]', b"17", b'"text"', b"null", b"true", b"NaN", b"1e999", b'"\\ud800"']
)
def test_no_object(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="is not a JSON object"):
        decode_frame(frame)


WRONG: list[dict[str, Any]] = [
    {},
    {"msg": "m", "args": {}},
    *({"status": value} for value in (None, "200", 200.0, True, [200], {}, math.nan)),
    *({"status": 200, "msg": value} for value in (None, 1, True, ["m"], {})),
    *({"status": 200, "args": value} for value in (1, "x", [], [1], True, 0.5)),
]


@pytest.mark.parametrize("message", WRONG, ids=str)
def test_wrong_types(message: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError, match="has no valid status, msg and args"):
        decode_frame(json.dumps(message).encode())


def test_an_error_shows_nothing_of_the_frame() -> None:
    for frame in (b'{"token":"S3CRET"', b'["S3CRET"]', b'{"status":"S3CRET"}'):
        with pytest.raises(RemoteProtocolError) as caught:
            decode_frame(frame)
        assert "S3CRET" not in str(caught.value) + repr(caught.value)


MESSAGE = st.dictionaries(
    st.sampled_from(["status", "msg", "args", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(200),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["call_id", "session", "docs", "code"]), inner),
        max_leaves=8,
    ),
)


@steady
@given(st.binary() | MESSAGE.map(lambda message: json.dumps(message).encode()))
@example(b'{"status":200,"args":{"a":' + b"[" * 900 + b"]" * 900 + b"}}")
def test_only_a_res_or_a_remote_error(frame: bytes) -> None:
    try:
        res = decode_frame(frame)
    except RemoteProtocolError:
        return
    assert type(res) is Res
    assert type(res.status) is int
    assert type(res.docs) is list
    assert res.code is None or type(res.code) is str
    assert repr(res)
