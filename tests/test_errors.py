"""The error tree: as drawn, with its fields, its texts, and no secret in any."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

import rxsdk
from rxsdk import errors
from rxsdk.errors import (
    CacheError,
    CallCancelled,
    CallError,
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    CallTimeout,
    CollectionTooLarge,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DeliveryOverflow,
    DocTypeMismatch,
    DownloadError,
    HeartbeatTimeout,
    InvalidCall,
    LocalProtocolError,
    NoCredentials,
    RemoteProtocolError,
    ReplyMismatch,
    RxSdkError,
    SylkError,
    UploadError,
    VerifyRefused,
    WrongThreadError,
)
from rxsdk.protocols.limp.res import Args, Res

RES: Res[Any] = Res(403, "Session is invalid.", Args(code="CORE_X", token="S3CRET", session={"token": "S3CRET"}))
BARE: Res[Any] = Res(500, "oops", Args(token="S3CRET"))

TEXTS: list[tuple[RxSdkError, str, dict[str, Any]]] = [
    (ConfigurationError("api", "names no host"), "api: names no host", {"field": "api", "problem": "names no host"}),
    (
        ConnectFailed("ws://h/ws", "refused", status=503, fatal=True),
        "cannot connect to ws://h/ws: refused",
        {"url": "ws://h/ws", "reason": "refused", "status": 503, "fatal": True},
    ),
    (ConnectFailed("u", "r"), "cannot connect to u: r", {"status": None, "fatal": False}),
    (
        VerifyRefused("ws://h", status=403, code="CORE_X", msg="no"),
        "cannot connect to ws://h: conn/verify was refused: CORE_X 'no'; check anon_token, app_id and origin",
        {"status": 403, "code": "CORE_X", "msg": "no", "fatal": True},
    ),
    (
        VerifyRefused("ws://h", status=403, code=None, msg="no"),
        "cannot connect to ws://h: conn/verify was refused: 403 'no'; check anon_token, app_id and origin",
        {"code": None},
    ),
    (ConnectionLost("reset", code=1006), "connection lost: reset", {"reason": "reset", "code": 1006}),
    (ConnectionLost("reset"), "connection lost: reset", {"code": None}),
    (
        DownloadError("http://h/a", "HTTP 404", status=404),
        "http://h/a: HTTP 404",
        {"status": 404, "problem": "HTTP 404"},
    ),
    (HeartbeatTimeout(10.0), "no answer to a heartbeat within 10 s", {"timeout_s": 10.0}),
    (LocalProtocolError("LOST while ready"), "LOST while ready", {}),
    (RemoteProtocolError("not JSON"), "not JSON", {}),
    (CallError("a/b", 1), "('a/b', 1)", {"endpoint": "a/b"}),
    (
        InvalidCall("a/b", "doc.x[0]", "nan has no form in JSON"),
        "a/b: doc.x[0]: nan has no form in JSON",
        {"endpoint": "a/b", "field": "doc.x[0]", "problem": "nan has no form in JSON"},
    ),
    (
        CallRejected("a/b", RES),
        "a/b: 403 CORE_X 'Session is invalid.'",
        {"endpoint": "a/b", "res": RES, "status": 403, "code": "CORE_X", "msg": "Session is invalid."},
    ),
    (CallRejected("a/b", BARE), "a/b: 500 'oops'", {"code": None}),
    (SylkError("ping", "no"), "ping: 'no'", {"endpoint": "ping", "error": "no"}),
    (CallTimeout("a/b", 2.5), "a/b: no answer within 2.5 s", {"timeout_s": 2.5, "unmatched": None}),
    (
        CallTimeout("a/b", 30.0, RES),
        "a/b: no answer within 30 s (meanwhile a reply without call_id came: 403 CORE_X 'Session is invalid.')",
        {"unmatched": RES},
    ),
    (CallNotSent("a/b", "closed"), "a/b: not sent: closed", {"reason": "closed"}),
    (CallOutcomeUnknown("a/b", "lost"), "a/b: sent, outcome unknown: lost", {"reason": "lost"}),
    (CallCancelled("a/b", written=True), "a/b: cancelled after it was sent", {"written": True}),
    (CallCancelled("a/b", written=False), "a/b: cancelled before it was sent", {"written": False}),
    (
        ReplyMismatch("new", "expected an object"),
        "new: the answer does not fit: expected an object",
        {"endpoint": "new", "problem": "expected an object"},
    ),
    (
        DocTypeMismatch("a/b", "Expected int", RES),
        "a/b: a doc of the reply does not fit doc_type: Expected int",
        {"problem": "Expected int", "res": RES},
    ),
    (NoCredentials(), "No credentials cached.", {}),
    (
        UploadError("photo", "p.png", "is empty"),
        "doc.photo: p.png: is empty",
        {"attr": "photo", "name": "p.png", "problem": "is empty"},
    ),
    (CacheError("/x", "is full"), "credential cache /x: is full", {"place": "/x", "problem": "is full"}),
    (
        CollectionTooLarge(5),
        "the watched collection has more than 5 documents; watch less of it or raise limit=",
        {"limit": 5},
    ),
    (DeliveryOverflow(5), "the subscriber fell more than 5 notifications behind", {"size": 5}),
    (
        WrongThreadError("result()", "await"),
        "result() would block this thread's event loop; use await",
        {"what": "result()", "instead": "await"},
    ),
]
IDS = [f"{type(error).__name__}-{number}" for number, (error, _, _) in enumerate(TEXTS)]


@pytest.mark.parametrize(("error", "text", "fields"), TEXTS, ids=IDS)
def test_text_and_fields(error: RxSdkError, text: str, fields: dict[str, Any]) -> None:
    assert str(error) == text
    assert repr(error) == f"{type(error).__name__}({text!r})"
    for name, value in fields.items():
        assert getattr(error, name) == value
    assert "S3CRET" not in str(error) + repr(error) + repr(error.args) + repr(vars(error))


@pytest.mark.parametrize("error", [row[0] for row in TEXTS], ids=IDS)
def test_copied_and_sent_to_another_process(error: RxSdkError) -> None:
    for other in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is type(error)
        assert (str(other), vars(other), other.args) == (str(error), vars(error), error.args)


def test_the_tree_is_as_drawn() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            drawn[match[2]] = above[depth - 1] if depth else "Exception"
    classes = [
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    real = {each.__name__: each.__mro__[1].__name__ for each in classes}
    assert drawn == real
    assert len(drawn) == 28


def test_all_are_public_and_sorted() -> None:
    assert errors.__all__ == sorted(errors.__all__)
    assert set(errors.__all__) <= set(rxsdk.__all__)
    assert {type(error).__name__ for error, _, _ in TEXTS} | {
        "RxSdkError",
        "TransportError",
        "ProtocolError",
        "AuthError",
    } == set(errors.__all__)


def test_mistakes_in_arguments_are_value_errors() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(InvalidCall, ValueError)
    assert not issubclass(CallRejected, ValueError)
