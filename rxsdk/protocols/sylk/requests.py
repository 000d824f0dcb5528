"""Every request of sylkRTC, typed: what it must hold, what it may hold, and which values it takes.

Floor 0. `make_request` checks the arguments of a call against its model and encodes them; a mistake is an
`InvalidCall` that names the field. Source: sylk.md ("Requests"). Wire spellings live here and in `messages` only.
"""

from __future__ import annotations

import re
from enum import Enum
from hashlib import md5
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from rxsdk.errors import InvalidCall
from rxsdk.secret import Secret

__all__ = ["REQUESTS", "Candidate", "Header", "Progress", "Request", "ha1", "make_request"]

# What a SIP parser takes (RFC 3261, 25.1) and the gateway therefore does: plain ASCII, the rest escaped as %XX.
_USER = r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})+"
_HOST = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
Address = Annotated[str, Meta(pattern=rf"^{_USER}@{_HOST}(?:;[^\s@<>\"?]+)?\Z")]
Name = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Disposition = Literal["delivered", "failed", "displayed", "forbidden", "error"]


class Header(Struct, frozen=True):
    """One SIP header of a call."""

    name: Name
    value: str


class Candidate(Struct, frozen=True, rename={"sdp_m_line_index": "sdpMLineIndex", "sdp_mid": "sdpMid"}):
    """One ICE candidate, as WebRTC makes them."""

    candidate: str
    sdp_m_line_index: Annotated[int, Meta(ge=0)]
    sdp_mid: str


class Options(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a publisher may change while in a room."""

    audio: bool | None = None
    video: bool | None = None
    bitrate: Positive | None = None


class _Model(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="sylkrtc"):
    def __repr__(self) -> str:
        return f"<{self.__struct_config__.tag}>"  # what it holds may be a password, or somebody's words


class _OfAccount(_Model, frozen=True, kw_only=True):
    account: Address


class _OfSession(_Model, frozen=True, kw_only=True):
    session: Name


class Ping(_Model, frozen=True, kw_only=True, tag="ping"): ...


class LookupPublicKey(_Model, frozen=True, kw_only=True, tag="lookup-public-key"):
    uri: Address


class AccountAdd(_OfAccount, frozen=True, kw_only=True, tag="account-add"):
    password: Annotated[str, Meta(min_length=1, max_length=9999)]
    display_name: str | None = None
    user_agent: str | None = None
    incoming_header_prefixes: list[Name] | None = None


class AccountRemove(_OfAccount, frozen=True, kw_only=True, tag="account-remove"): ...


class AccountRegister(_OfAccount, frozen=True, kw_only=True, tag="account-register"): ...


class AccountUnregister(_OfAccount, frozen=True, kw_only=True, tag="account-unregister"): ...


class AccountDeviceToken(_OfAccount, frozen=True, kw_only=True, tag="account-devicetoken"):
    token: Name
    platform: Name
    device: Name
    silent: bool
    app: Name


class AccountMessage(_OfAccount, frozen=True, kw_only=True, tag="account-message"):
    uri: Address
    message_id: Name
    content: str
    content_type: Name
    timestamp: Name
    server_generated: bool | None = None


class AccountDispositionNotification(_OfAccount, frozen=True, kw_only=True, tag="account-disposition-notification"):
    uri: Address
    message_id: Name
    state: Disposition
    timestamp: Name


class AccountSyncConversations(_OfAccount, frozen=True, kw_only=True, tag="account-sync-conversations"):
    message_id: str | None = None
    since: str | None = None
    limit: Positive | None = None


class AccountMarkConversationRead(_OfAccount, frozen=True, kw_only=True, tag="account-mark-conversation-read"):
    contact: Address


class AccountRemoveConversation(_OfAccount, frozen=True, kw_only=True, tag="account-remove-conversation"):
    contact: Address


class AccountRemoveMessage(_OfAccount, frozen=True, kw_only=True, tag="account-remove-message"):
    message_id: Name
    contact: Address


class SessionCreate(_OfSession, frozen=True, kw_only=True, tag="session-create"):
    account: Address
    uri: Address
    sdp: Name
    headers: list[Header] | None = None


class SessionAnswer(_OfSession, frozen=True, kw_only=True, tag="session-answer"):
    sdp: Name
    headers: list[Header] | None = None


class SessionUpdate(_OfSession, frozen=True, kw_only=True, tag="session-update"):
    sdp: Name
    headers: list[Header] | None = None


class SessionTrickle(_OfSession, frozen=True, kw_only=True, tag="session-trickle"):
    candidates: list[Candidate]


class SessionTerminate(_OfSession, frozen=True, kw_only=True, tag="session-terminate"): ...


class SessionMessage(_OfSession, frozen=True, kw_only=True, tag="session-message"):
    message_id: Name
    content: str
    content_type: Name
    timestamp: Name


class SessionDtmfInfo(_OfSession, frozen=True, kw_only=True, tag="session-dtmf-info"):
    digit: Annotated[str, Meta(pattern=r"^[0-9A-D*#]\Z")]
    duration: Positive | None = None


class VideoroomJoin(_OfSession, frozen=True, kw_only=True, tag="videoroom-join"):
    account: Address
    uri: Address
    sdp: Name
    audio: bool | None = None
    video: bool | None = None


class VideoroomLeave(_OfSession, frozen=True, kw_only=True, tag="videoroom-leave"): ...


class VideoroomMuteAudioParticipants(
    _OfSession, frozen=True, kw_only=True, tag="videoroom-mute-audio-participants"
): ...


class VideoroomConfigure(_OfSession, frozen=True, kw_only=True, tag="videoroom-configure"):
    active_participants: Annotated[list[Name], Meta(max_length=2)]


class VideoroomFeedAttach(_OfSession, frozen=True, kw_only=True, tag="videoroom-feed-attach"):
    publisher: Name
    feed: Name


class VideoroomFeedAnswer(_OfSession, frozen=True, kw_only=True, tag="videoroom-feed-answer"):
    feed: Name
    sdp: Name


class VideoroomFeedDetach(_OfSession, frozen=True, kw_only=True, tag="videoroom-feed-detach"):
    feed: Name


class VideoroomInvite(_OfSession, frozen=True, kw_only=True, tag="videoroom-invite"):
    participants: Annotated[list[Address], Meta(min_length=1)]


class VideoroomSessionTrickle(_OfSession, frozen=True, kw_only=True, tag="videoroom-session-trickle"):
    candidates: list[Candidate]


class VideoroomSessionUpdate(_OfSession, frozen=True, kw_only=True, tag="videoroom-session-update"):
    options: Options


class VideoroomMessage(_OfSession, frozen=True, kw_only=True, tag="videoroom-message"):
    message_id: Name
    content: str
    content_type: Name


class VideoroomComposingIndication(_OfSession, frozen=True, kw_only=True, tag="videoroom-composing-indication"):
    state: Literal["active", "idle"]
    refresh: Positive | None = None


class VideoroomToggleHand(_OfSession, frozen=True, kw_only=True, tag="videoroom-toggle-hand"):
    session_id: Name | None = None


def _models(base: type[Any]) -> dict[str, type[Any]]:
    found = {str(base.__struct_config__.tag): base} if base.__struct_config__.tag else {}
    for model in base.__subclasses__():
        found |= _models(model)
    return found


REQUESTS: dict[str, type[Any]] = {
    kind: model for kind, model in sorted(_models(_Model).items()) if not model.__name__.startswith("_")
}
"""Each kind of request and its model."""


class Progress(Enum):
    """How far a request has come."""

    WAITING = 1
    WRITTEN = 2
    ENDED = 3


class Request:
    """One request, from its making to its end: moved by the machine, by nobody else.

    ``about`` is the account, call, room or feed whose life it may change. ``listener`` is the service's: whoever wants
    to know what became of it; the machine never looks at it, and makes those without one itself.
    """

    __slots__ = (
        "about", "body", "deadline", "kind", "listener", "progress", "queue_timeout_s", "timeout_s", "transaction",
        "written_at",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        body: bytes,
        *,
        about: Any = None,
        timeout_s: float | None = None,
        queue_timeout_s: float | None = None,
    ) -> None:
        self.kind = kind
        self.body = body
        self.about = about
        self.timeout_s = timeout_s
        self.queue_timeout_s = queue_timeout_s
        self.listener: Any = None
        self.progress = Progress.WAITING
        self.transaction = ""
        self.deadline: float | None = None
        self.written_at: float | None = None

    def __repr__(self) -> str:
        return f"Request({self.kind!r}, {self.progress.name})"


def make_request(
    kind: str,
    fields: dict[str, Any],
    *,
    about: Any = None,
    timeout_s: float | None = None,
    queue_timeout_s: float | None = None,
) -> Request:
    """Check ``fields`` (those that are None are left out) and encode them.

    Raises:
        InvalidCall: one is missing, of the wrong type, or none of the values it may have; the error names it.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        plain = msgspec.to_builtins({"sylkrtc": kind, **given}, builtin_types=(bytes, bytearray, memoryview))
        body = msgspec.json.encode(msgspec.convert(plain, REQUESTS[kind]))
    except msgspec.ValidationError as error:
        raise _named(kind, str(error)) from None
    except UnicodeEncodeError:
        raise InvalidCall(kind, _unwritable(given), "holds a lone surrogate, which is no text") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidCall(kind, _unwritable(given), f"cannot be sent as JSON: {error}") from None
    for name in _DISTINCT & plain.keys():
        if len(set(plain[name])) < len(plain[name]):
            raise InvalidCall(kind, name, "holds the same one twice")
    return Request(kind, body, about=about, timeout_s=timeout_s, queue_timeout_s=queue_timeout_s)


def ha1(account: str, password: str, realm: str | None = None) -> Secret:
    """The password as the server wants it: ``hex MD5 of user:realm:password``; the realm is the domain unless given."""
    user, _, domain = account.partition("@")
    text = f"{user}:{domain if realm is None else realm}:{password}"
    return Secret(md5(text.encode(), usedforsecurity=False).hexdigest())


_DISTINCT = {"active_participants", "incoming_header_prefixes", "participants"}
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PATH = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


def _named(kind: str, text: str) -> InvalidCall:
    """What msgspec says, in the words of whoever made the call."""
    place = _PATH.fullmatch(text)
    problem, path = (place[1], place[2]) if place else (text, "")
    missing = _MISSING.fullmatch(problem)
    if missing:
        return InvalidCall(kind, f"{path}.{missing[1]}".lstrip("."), "is missing")
    if "matching regex" in problem:
        problem = "must be one of 0-9, A-D, * and #" if path == "digit" else "must be an address, user@domain"
    elif problem.startswith("Invalid enum value"):
        problem = f"must be one of {', '.join(get_args(get_type_hints(REQUESTS[kind])[path]))}"
    return InvalidCall(kind, path or "arguments", problem[:1].lower() + problem[1:])


def _unwritable(given: dict[str, Any]) -> str:
    """The name of the first value that cannot be written as it is."""
    return next(name for name, value in given.items() if not _can_be_written(value))


def _can_be_written(value: Any) -> bool:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
