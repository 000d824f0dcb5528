"""What the gateway asks of each request: its fields, which of them must be there, and what they may hold.

Written from the public sources of SylkServer, apart from the client's own models, so that a mistake there cannot hide
behind the same mistake here. As the gateway does it: fields nobody asked for are passed over, an optional one may be
null, ``sip:`` before an address is taken off, and a list that must hold distinct items loses what it holds twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["KINDS", "Invalid", "checked"]

Check = Callable[[Any], Any]

_ADDRESS = re.compile(  # a SIP URI without its scheme, as RFC 3261 has it, of somebody: a host alone is none here
    r"""(?: [\w.!~*'()&=+$,;?/-] | %[\da-f]{2} )+ (?: : (?: [\w.!~*'()&=+$,-] | %[\da-f]{2} )* )? @
        (?: [\w.-]+ | \[ [\da-f:.]+ \] ) (?: : \d+ )?
        (?: ; [^\s?<>"@;]+ )* (?: \? \S* )?""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


class Invalid(Exception):
    """Why a request is refused."""


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise Invalid("must be a string")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise Invalid("must be true or false")
    return value


def _number(value: Any) -> Any:
    if not isinstance(value, int):
        raise Invalid("must be a whole number")
    return value


def _address(value: Any) -> Any:
    address = re.sub(r"^sips?:", "", _text(value))
    if not _ADDRESS.fullmatch(address):
        raise Invalid("must be an address")
    return address


def _password(value: Any) -> Any:
    if not 1 <= len(_text(value)) <= 9999:
        raise Invalid("must have 1 to 9999 characters")
    return value


def _one_of(*choices: str) -> Check:
    def check(value: Any) -> Any:
        if value not in choices:
            raise Invalid(f"must be one of {', '.join(choices)}")
        return value

    return check


def _list_of(check: Check, *, distinct: bool = False, most: int | None = None) -> Check:
    def check_all(value: Any) -> Any:
        if not isinstance(value, list):
            raise Invalid("must be a list")
        items = [check(item) for item in value]
        if distinct:
            items = list(dict.fromkeys(items))
        if most is not None and len(items) > most:
            raise Invalid(f"must hold at most {most}")
        return items

    return check_all


def _object_of(fields: Mapping[str, Check]) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Invalid("must be an object")
        return _checked_fields(fields, value)

    return check


_candidates = _list_of(_object_of({"candidate": _text, "sdpMLineIndex": _number, "sdpMid": _text}))
_headers = _list_of(_object_of({"name": _text, "value": _text}))
_account: dict[str, Check] = {"account": _address}
_session: dict[str, Check] = {"session": _text}

KINDS: dict[str, dict[str, Check]] = {
    "ping": {},
    "lookup-public-key": {"uri": _address},
    "account-add": {
        **_account,
        "password": _password,
        "display_name?": _text,
        "user_agent?": _text,
        "incoming_header_prefixes?": _list_of(_text, distinct=True),
    },
    "account-remove": _account,
    "account-register": _account,
    "account-unregister": _account,
    "account-devicetoken": {
        **_account,
        "token": _text,
        "platform": _text,
        "device": _text,
        "silent": _flag,
        "app": _text,
    },
    "account-message": {
        **_account,
        "uri": _address,
        "message_id": _text,
        "content": _text,
        "content_type": _text,
        "timestamp": _text,
        "server_generated?": _flag,
    },
    "account-disposition-notification": {
        **_account,
        "uri": _address,
        "message_id": _text,
        "state": _one_of("delivered", "failed", "displayed", "forbidden", "error"),
        "timestamp": _text,
    },
    "account-sync-conversations": {**_account, "message_id?": _text, "since?": _text, "limit?": _number},
    "account-mark-conversation-read": {**_account, "contact": _address},
    "account-remove-message": {**_account, "message_id": _text, "contact": _address},
    "account-remove-conversation": {**_account, "contact": _address},
    "session-create": {**_session, **_account, "uri": _address, "sdp": _text, "headers?": _headers},
    "session-answer": {**_session, "sdp": _text, "headers?": _headers},
    "session-update": {**_session, "sdp": _text, "headers?": _headers},
    "session-trickle": {**_session, "candidates": _candidates},
    "session-terminate": _session,
    "session-message": {
        **_session,
        "message_id": _text,
        "content": _text,
        "content_type": _text,
        "timestamp": _text,
    },
    "session-dtmf-info": {**_session, "digit": _text, "duration?": _number},
    "videoroom-join": {**_session, **_account, "uri": _address, "sdp": _text, "audio?": _flag, "video?": _flag},
    "videoroom-leave": _session,
    "videoroom-configure": {**_session, "active_participants": _list_of(_text, distinct=True, most=2)},
    "videoroom-feed-attach": {**_session, "publisher": _text, "feed": _text},
    "videoroom-feed-answer": {**_session, "feed": _text, "sdp": _text},
    "videoroom-feed-detach": {**_session, "feed": _text},
    "videoroom-invite": {**_session, "participants": _list_of(_address, distinct=True)},
    "videoroom-session-trickle": {**_session, "candidates": _candidates},
    "videoroom-session-update": {
        **_session,
        "options": _object_of({"audio?": _flag, "video?": _flag, "bitrate?": _number}),
    },
    "videoroom-message": {**_session, "message_id": _text, "content": _text, "content_type": _text},
    "videoroom-composing-indication": {**_session, "state": _one_of("active", "idle"), "refresh?": _number},
    "videoroom-mute-audio-participants": _session,
    "videoroom-toggle-hand": {**_session, "session_id?": _text},
}
"""The fields of each kind beside ``sylkrtc`` and ``transaction``; a name with ``?`` may be missing."""


def checked(kind: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request of ``kind``, optional ones that are missing as None.

    Raises:
        Invalid: one is missing or wrong; the text names it.
    """
    return _checked_fields({"transaction": _text, **KINDS[kind]}, message)


def _checked_fields(fields: Mapping[str, Check], message: Mapping[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for field, check in fields.items():
        name, optional = field.removesuffix("?"), field.endswith("?")
        if name not in message and not optional:
            raise Invalid(f"mandatory property '{name}' is missing")
        value = message.get(name)
        try:
            taken[name] = None if value is None and optional else check(value)
        except Invalid as error:
            raise Invalid(f"invalid value for property '{name}': {error}") from None
    return taken
