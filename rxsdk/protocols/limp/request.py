"""`Request`: one call as the machine knows it, from its making to its end.

Floor 0. Made by `rxsdk.limp` through `make_request`, which checks and encodes the arguments where the mistake was
made; moved through `Progress` by the machine alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

import msgspec

from rxsdk.errors import InvalidCall
from rxsdk.protocols.limp.auth import SESSION_ENDPOINTS
from rxsdk.protocols.limp.codec import encode_part
from rxsdk.protocols.limp.signing import MAX_FRAME_BYTES, SigningKey, frame_size
from rxsdk.secret import Secret

__all__ = ["ENDED", "WAITING", "WATCHING", "WRITTEN", "Progress", "Request", "check_seconds", "is_text", "make_request"]

_ENDPOINT = re.compile(r"[^\s/]+/[^\s/]+")
_SMALL_BYTES = 1_000_000
"""With so much or less in it, a frame is far from too large."""


class _Endpoint(msgspec.Struct, frozen=True):
    """What an endpoint's name says, looked at once."""

    is_valid: bool
    changes_session: bool
    may_watch: bool
    is_repeatable: bool


@lru_cache(maxsize=1024)
def _known(endpoint: str) -> _Endpoint:
    lower = endpoint.lower()
    changes_session = lower in SESSION_ENDPOINTS
    return _Endpoint(
        _ENDPOINT.fullmatch(endpoint) is not None and is_text(endpoint),
        changes_session,
        not changes_session and lower != "watch/delete",
        lower == "heart/beat" or lower.endswith("/read"),
    )


class Progress(Enum):
    """How far a request has come; the machine's docstring has the table."""

    WAITING = "not written yet"
    WRITTEN = "written, not answered yet"
    WATCHING = "a watch that goes on"
    ENDED = "answered for good, failed, or cancelled"


# Python 3.11 takes a quarter of a microsecond to find a member of an enum, and these are asked for at every message.
WAITING, WRITTEN, WATCHING, ENDED = Progress


class Request(msgspec.Struct, eq=False, gc=False):
    """One call. ``query`` and ``doc`` are the JSON that will be sent; times are seconds, None is no limit.

    An empty ``query`` names the session in force when it is written: who signs out after signing in, though not
    answered yet, is signed out.

    ``listener`` is the service's: whoever wants to know what became of it; and so is ``on_gap``: who is told when it, a
    watch, may have missed something. The machine never looks at them.
    ``frame`` is what will be written, in pieces, where that was made before (`LimpMachine.make_frame`).
    ``retry_doc`` is a second form of the doc, for credentials refused in their first. One with ``has_files`` is not
    written: it ends when its turn comes (`RequestAdmitted`), for its files to go up and the call `anew` after them.

    The garbage collector does not look at requests, however many are in flight: whoever hands a listener its last word
    has it from `released`, so that listener and request no longer hold each other.
    """

    endpoint: str
    query: bytes = b"[]"
    doc: bytes = b"{}"
    await_auth: bool = False
    sid: str | None = None
    token: Secret | None = None
    timeout_s: float | None = None
    queue_timeout_s: float | None = None
    idempotent: bool = False
    changes_session: bool = False  # as its endpoint says, like the next
    may_watch: bool = True
    retry_doc: bytes | None = None
    has_files: bool = False
    frame: list[bytes] | None = None
    listener: Any = None
    on_gap: Any = None
    progress: Progress = Progress.WAITING
    call_id: str = ""
    key: SigningKey | None = None  # what it was last signed with
    deadline: float | None = None  # of its present stage
    write_by: float | None = None  # the end of its queue time
    written_at: float | None = None  # None too once the server is known not to have run it
    was_lost: bool = False  # with its connection, after it was written: whatever is refused later, it may have run
    resent: bool = False
    opened: bool = False  # a watch the server has made at least once
    lost: tuple[Exception, float] | None = None  # why such a watch waits to be made anew, and since when

    @property
    def expires(self) -> float | None:
        """The end of its whole life, repeats included; None where there is none, as of a watch that goes on."""
        if self.write_by is None or self.timeout_s is None or self.opened:
            return None
        return self.write_by + self.timeout_s

    def released(self) -> Any:
        """Its listener, which it lets go of."""
        listener, self.listener, self.on_gap = self.listener, None, None
        return listener

    def anew(self) -> Request:
        """The same call, as if nobody had submitted it yet; not idempotent, and nobody listens."""
        return Request(
            self.endpoint,
            self.query,
            self.doc,
            await_auth=self.await_auth,
            sid=self.sid,
            token=self.token,
            timeout_s=self.timeout_s,
            queue_timeout_s=self.queue_timeout_s,
            changes_session=self.changes_session,
            may_watch=self.may_watch,
        )

    def __repr__(self) -> str:
        return f"Request({self.endpoint!r}, {self.progress.name})"


def make_request(
    endpoint: str,
    query: Sequence[Any] | None,
    doc: Mapping[str, Any] | None,
    await_auth: bool,
    sid: str | None,
    token: str | None,
    timeout_s: float | None,
    queue_timeout_s: float | None,
    idempotent: bool | None,
) -> Request:
    """Check and encode a call's arguments; the seconds are the config's, or have been through `check_seconds`.

    ``idempotent`` None takes the default: true for the method ``read`` and for ``heart/beat``.

    Raises:
        InvalidCall: an argument cannot make a call; the error names it.
    """
    # What nearly every call is made of is asked for first, each time. This is called for every call, by position: of
    # ten names the interpreter would have to find the place of each.
    if not isinstance(endpoint, str) or not (known := _known(endpoint)).is_valid:
        raise InvalidCall(ascii(endpoint)[:80], "endpoint", 'must be "module/method"')
    if not isinstance(await_auth, bool):
        raise InvalidCall(endpoint, "await_auth", "must be True or False")
    query_json = b"[]" if query is None else _encoded_query(endpoint, query)
    doc_json = b"{}" if doc is None else _encoded_doc(endpoint, doc)
    size = len(query_json) + len(doc_json)
    if size + len(endpoint) > _SMALL_BYTES or sid is not None or token is not None:
        _check_session(endpoint, sid, token)
        _check_size(endpoint, size, size + 4 * (len(endpoint) + len(sid or "") + len(token or "")))
    return Request(
        endpoint,
        query_json,
        doc_json,
        await_auth,
        sid,
        None if token is None else Secret(token),
        timeout_s,
        queue_timeout_s,
        known.is_repeatable if idempotent is None else idempotent,
        known.changes_session,
        known.may_watch,
    )


def _check_session(endpoint: str, sid: str | None, token: str | None) -> None:
    for name, value in (("sid", sid), ("token", token)):
        if value is not None and not is_text(value):
            raise InvalidCall(endpoint, name, "must be a non-empty string")


def _encoded_query(endpoint: str, query: Any) -> bytes:
    if type(query) is not list:
        if isinstance(query, (str, bytes, bytearray, memoryview)) or not isinstance(query, Sequence):
            raise InvalidCall(endpoint, "query", f'must be a list, such as [{{"_id": …}}], not {type(query).__name__}')
        query = list(query)
    for item in query:
        # The server would pass over it in silence.
        if type(item) is not dict and (item is None or isinstance(item, (str, int, float))):
            index = next(index for index, one in enumerate(query) if one is item)
            problem = f'must be an object, such as {{"_id": …}}, or a list of them, not {type(item).__name__}'
            raise InvalidCall(endpoint, f"query[{index}]", problem)
    return encode_part(endpoint, "query", query)


def _encoded_doc(endpoint: str, doc: Any) -> bytes:
    if type(doc) is not dict:
        if not isinstance(doc, Mapping):
            raise InvalidCall(endpoint, "doc", f"must be a dict, not {type(doc).__name__}")
        doc = dict(doc)
    return encode_part(endpoint, "doc", doc)


def _check_size(endpoint: str, size: int, most: int) -> None:
    if frame_size(most) > MAX_FRAME_BYTES:
        problem = f"make a frame over 4 MiB ({size:,} bytes of JSON); the server would close the connection"
        raise InvalidCall(endpoint, "query and doc", problem)


def is_text(value: object) -> bool:
    """Whether ``value`` is a non-empty string that can be written as UTF-8 (one with a lone surrogate cannot)."""
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_seconds(endpoint: str, name: str, value: Any) -> None:
    """Raise `InvalidCall` unless ``value`` is a finite number of seconds above 0."""
    # Compared so, NaN and what is too large for a float fail too.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= sys.float_info.max:
        raise InvalidCall(endpoint, name, "must be a number of seconds above 0, or None for no limit")
