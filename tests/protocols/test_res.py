"""`Res`, `Args`, `Session`: what the server said, by key and attribute, and never a secret in a repr."""

from __future__ import annotations

import copy
import pickle
import pprint
from typing import Any

import pytest

from rxsdk.protocols.limp import events
from rxsdk.protocols.limp.codec import decode_frame
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.res import Args, Res, Session, redact
from rxsdk.protocols.limp.trace import shown_request, shown_res
from rxsdk.secret import Secret

SECRET = "S3CRET"
FRAME = (
    b'{"status":200,"msg":"m","args":{"session":{"_id":"s","token":"S3CRET","user":{"_id":"u","email_hash":"S3CRET"}},'
    b'"docs":[{"password":"S3CRET","Hash":"S3CRET","deep":[[{"TOKEN":"S3CRET","Authorization":"S3CRET"}]]}],'
    b'"sid":"S3CRET","count":1},"token":"S3CRET"}'
)


def test_by_key_and_by_attribute() -> None:
    args = decode_frame(b'{"status":200,"args":{"docs":[{"_id":"x"}],"count":1,"items":2}}').args
    assert args.docs == args["docs"] == [{"_id": "x"}]
    assert args.count == 1
    assert args["items"] == 2
    assert callable(args.items)  # the dict's own: reached by []
    assert not hasattr(args, "nosuch")
    assert getattr(args, "nosuch", None) is None


def test_a_missing_attribute_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="the server sent no 'total'; it sent count, docs"):
        _ = Args(count=1, docs=[]).total
    with pytest.raises(AttributeError, match="the server sent no 'total'; it sent nothing"):
        _ = Args().total


@pytest.mark.parametrize(
    ("docs", "expected"), [([{"a": 1}], [{"a": 1}]), ([], []), (None, []), (5, []), ("ab", []), ({"a": 1}, [])]
)
def test_docs_are_always_a_list(docs: Any, expected: list[Any]) -> None:
    assert Res(200, "", Args(docs=docs)).docs == expected


@pytest.mark.parametrize(("code", "expected"), [("X", "X"), (None, None), (5, None), (["X"], None)])
def test_code_is_text_or_nothing(code: Any, expected: str | None) -> None:
    assert Res(200, "", Args(code=code)).code == expected


def test_no_repr_shows_a_secret() -> None:
    res = decode_frame(FRAME)
    request = Request("session/auth", doc=b'{"hash":"S3CRET"}', token=Secret(SECRET), sid="s")
    shown = [
        *(repr(res), str(res), repr(res.args), str(res.args), f"{res.args}", repr(res.args.session)),
        *(repr([res.args.session]), repr({"a": res}), pprint.pformat(res.args), pprint.pformat([res.args.session])),
        *(repr(request), shown_request(request), shown_res(res)),
        repr(events.CallReplied(request, res, True)),
        repr(events.SessionChanged(res.args.session)),
        repr(events.MessageReceived(res)),
    ]
    for text in shown:
        assert SECRET not in text
    assert "<redacted>" in repr(res)
    assert "'count': 1" in repr(res)
    assert res.args.session.token == SECRET  # kept, though


def test_the_repr_of_a_session_names_its_user() -> None:
    assert repr(Session(_id="s", token="t", user={"_id": "u"}, expiry="e")) == "Session(user='u', expiry='e')"
    assert repr(Session(_id="s", user="u")) == "Session(user='u', expiry=None)"


def test_redacting_makes_a_copy_and_leaves_the_rest() -> None:
    value = {"a": [{"token": "t", 5: "x"}], "hashes": "kept", "tokens": 1}
    assert redact(value) == {"a": [{"token": "<redacted>", 5: "x"}], "hashes": "kept", "tokens": 1}
    assert value["a"] == [{"token": "t", 5: "x"}]


def test_what_nests_too_deeply_to_print_is_cut() -> None:
    res = decode_frame(b'{"status":200,"args":{"a":' + b'[{"b":' * 400 + b"1" + b"}]" * 400 + b"}}")
    assert repr(res).count("[{'b': ") == 24
    assert "…" in repr(res)
    assert "…" in repr(res.args)


def test_copies_and_pickles_keep_everything() -> None:
    res = decode_frame(FRAME)
    for other in (copy.copy(res), copy.deepcopy(res), pickle.loads(pickle.dumps(res))):
        assert other == res
        assert type(other.args) is Args
        assert type(other.args.session) is Session


def test_the_trace_of_a_request() -> None:
    request = Request("staff/read", b'[{"_id":"x"}]', b'{"user":{"pin_hash":"h"}}')
    request.call_id = "id7"
    assert shown_request(request) == ("staff/read id7 query=[{'_id': 'x'}] doc={'user': {'pin_hash': '<redacted>'}}")


def test_the_trace_is_cut() -> None:
    res = decode_frame(b'{"status":200,"msg":"' + b"x" * 5_000 + b'"}')
    assert len(shown_res(res)) < 2_050
    assert shown_res(res).endswith(f"x… ({len(repr(res))} characters)")
