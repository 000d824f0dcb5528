"""Every error rxsdk raises or notifies, in one tree.

    RxSdkError
    ├── ConfigurationError      a setting or argument that cannot work; names the field
    ├── TransportError          the road to the server
    │   ├── ConnectFailed       no connection could be made
    │   │   └── VerifyRefused   the server is there and refused ``conn/verify``
    │   ├── ConnectionLost      an open connection went away
    │   └── HeartbeatTimeout    the server no longer answers
    ├── ProtocolError
    │   ├── LocalProtocolError  our bug
    │   └── RemoteProtocolError the peer's
    ├── CallError               what became of one call
    │   ├── InvalidCall         its arguments cannot make a call (raised by ``call`` itself)
    │   ├── CallRejected        answered with a status other than 200
    │   ├── SylkError           a SylkServer answered ``error``
    │   ├── CallTimeout         written, not answered in time
    │   ├── CallNotSent         never written: safe to repeat
    │   ├── CallOutcomeUnknown  written, connection gone before the answer: may or may not have run
    │   ├── CallCancelled       cancelled by the application
    │   ├── DocTypeMismatch     answered, but a doc does not fit ``doc_type``
    │   └── ReplyMismatch       answered, but not with what such a call is answered with
    ├── AuthError
    │   └── NoCredentials       ``check_auth`` found nothing cached
    ├── UploadError             a file that cannot be sent as it is
    ├── DownloadError           a file that could not be fetched
    ├── CacheError              the credential cache could not be read or written
    ├── DeliveryOverflow        a subscriber fell too far behind
    ├── CollectionTooLarge      a watched collection outgrew its ``limit``
    └── WrongThreadError        a blocking wait where it would stop the loop it waits for

Floor 0: imports nothing of rxsdk. Each error states one fact and carries it in fields; the text is made in
``__str__``. No token, password, hash or signed payload is ever part of a field that is printed.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AuthError",
    "CacheError",
    "CallCancelled",
    "CallError",
    "CallNotSent",
    "CallOutcomeUnknown",
    "CallRejected",
    "CallTimeout",
    "CollectionTooLarge",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "DeliveryOverflow",
    "DocTypeMismatch",
    "DownloadError",
    "HeartbeatTimeout",
    "InvalidCall",
    "LocalProtocolError",
    "NoCredentials",
    "ProtocolError",
    "RemoteProtocolError",
    "ReplyMismatch",
    "RxSdkError",
    "SylkError",
    "TransportError",
    "UploadError",
    "VerifyRefused",
    "WrongThreadError",
]


class RxSdkError(Exception):
    """The root of all errors of this library."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Copied and pickled by its fields: `__init__` wants other arguments than `Exception` keeps.
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[RxSdkError], args: tuple[Any, ...]) -> RxSdkError:
    return kind.__new__(kind, *args)


class ConfigurationError(RxSdkError, ValueError):
    """A setting, or an argument that depends on the settings, that cannot work.

    ``field`` is its name, ``problem`` what is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class TransportError(RxSdkError):
    """Something happened to the connection, not to one call."""


class ConnectFailed(TransportError):
    """No connection to ``url`` could be made.

    ``status`` is the HTTP status when the server answered the handshake with one. ``fatal`` says that trying
    again cannot help (a wrong path, a TLS failure); then the service ends with this error.
    """

    def __init__(self, url: str, reason: str, *, status: int | None = None, fatal: bool = False) -> None:
        url = url.partition("?")[0]  # what an application puts behind it may be a secret
        super().__init__(url, reason)
        self.url = url
        self.reason = reason
        self.status = status
        self.fatal = fatal

    def __str__(self) -> str:
        return f"cannot connect to {self.url}: {self.reason}"


class VerifyRefused(ConnectFailed):
    """The server answered ``conn/verify`` with a refusal (``code``, ``msg``): wrong anon token or app id."""

    def __init__(self, url: str, *, status: int, code: str | None, msg: str) -> None:
        super().__init__(url, f"conn/verify was refused: {code or status} {msg!r}", status=status, fatal=True)
        self.code = code
        self.msg = msg

    def __str__(self) -> str:
        return f"{super().__str__()}; check anon_token, app_id and origin"


class ConnectionLost(TransportError):
    """An open connection ended; ``code`` is the WebSocket close code, None when it broke without one."""

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code

    def __str__(self) -> str:
        return f"connection lost: {self.reason}"


class HeartbeatTimeout(TransportError):
    """A heartbeat was not answered within ``timeout_s`` seconds: the connection is taken for lost."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"no answer to a heartbeat within {self.timeout_s:g} s"


class ProtocolError(RxSdkError):
    """One of the two sides broke the protocol."""


class LocalProtocolError(ProtocolError):
    """We did; please report it."""


class RemoteProtocolError(ProtocolError):
    """The peer did. The frame was dropped, the connection goes on."""


class CallError(RxSdkError):
    """What became of one call, when it was not a reply. ``endpoint`` names the call."""

    def __init__(self, endpoint: str, *details: object) -> None:
        super().__init__(endpoint, *details)
        self.endpoint = endpoint


class InvalidCall(CallError, ValueError):
    """The arguments cannot make a call: ``field`` names the one, ``problem`` what is wrong with it."""

    def __init__(self, endpoint: str, field: str, problem: str) -> None:
        super().__init__(endpoint, field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.field}: {self.problem}"


class CallRejected(CallError):
    """The server answered with a status other than 200.

    ``res`` is the whole reply; ``status``, ``code`` (``args.code``, may be None) and ``msg`` are parts of it.
    """

    def __init__(self, endpoint: str, res: Any) -> None:
        super().__init__(endpoint)
        self.res = res
        self.status: int = res.status
        self.code: str | None = res.code
        self.msg: str = res.msg

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.status} {self.code or ''} {self.msg!r}".replace("  ", " ")


class SylkError(CallError):
    """A SylkServer refused the request of the kind ``endpoint``; ``error`` is what it said."""

    def __init__(self, endpoint: str, error: str) -> None:
        super().__init__(endpoint, error)
        self.error = error

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.error!r}"


class CallTimeout(CallError):
    """Written to the server and not answered within ``timeout_s`` seconds.

    ``unmatched`` holds the last reply that came without a ``call_id`` while this call waited: perhaps its own,
    nobody can say.
    """

    def __init__(self, endpoint: str, timeout_s: float, unmatched: Any = None) -> None:
        super().__init__(endpoint, timeout_s)
        self.timeout_s = timeout_s
        self.unmatched = unmatched

    def __str__(self) -> str:
        text = f"{self.endpoint}: no answer within {self.timeout_s:g} s"
        if self.unmatched is not None:
            text += (
                f" (meanwhile a reply without call_id came: {self.unmatched.status}"
                f" {self.unmatched.code or ''} {self.unmatched.msg!r})"
            )
        return text


class CallNotSent(CallError):
    """Never written to the server, so safe to repeat. ``reason`` says why; ``__cause__`` may say more."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(endpoint, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.endpoint}: not sent: {self.reason}"


class CallOutcomeUnknown(CallError):
    """Written, then the connection ended before the answer: the server may or may not have run it."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(endpoint, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.endpoint}: sent, outcome unknown: {self.reason}"


class CallCancelled(CallError):
    """``cancel()`` was called; ``written`` says whether the server may have run it all the same."""

    def __init__(self, endpoint: str, *, written: bool) -> None:
        super().__init__(endpoint)
        self.written = written

    def __str__(self) -> str:
        return f"{self.endpoint}: cancelled {'after' if self.written else 'before'} it was sent"


class DocTypeMismatch(CallError):
    """The reply is there (``res``), but a doc does not fit ``doc_type``; ``problem`` names the path."""

    def __init__(self, endpoint: str, problem: str, res: Any) -> None:
        super().__init__(endpoint, problem)
        self.problem = problem
        self.res = res

    def __str__(self) -> str:
        return f"{self.endpoint}: a doc of the reply does not fit doc_type: {self.problem}"


class ReplyMismatch(CallError):
    """Answered, but not with what such a call is answered with: ``problem`` says where. Some wires refuse so."""

    def __init__(self, endpoint: str, problem: str) -> None:
        super().__init__(endpoint, problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.endpoint}: the answer does not fit: {self.problem}"


class AuthError(RxSdkError):
    """Signing in could not even be tried."""


class NoCredentials(AuthError):
    """No credentials cached: sign in with ``auth`` first."""

    def __str__(self) -> str:
        return "No credentials cached."


class UploadError(RxSdkError):
    """A file that cannot be sent: ``attr`` is its attribute in the doc, ``name`` the file, ``problem`` why."""

    def __init__(self, attr: str, name: str, problem: str) -> None:
        super().__init__(attr, name, problem)
        self.attr = attr
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"doc.{self.attr}: {self.name}: {self.problem}"


class DownloadError(RxSdkError):
    """The file at ``url`` could not be fetched: ``problem`` says why; ``status`` is the HTTP status if that was it."""

    def __init__(self, url: str, problem: str, *, status: int | None = None) -> None:
        super().__init__(url, problem)
        self.url = url
        self.problem = problem
        self.status = status

    def __str__(self) -> str:
        return f"{self.url}: {self.problem}"


class CacheError(RxSdkError):
    """The credential cache at ``place`` could not be read or written."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place
        self.problem = problem

    def __str__(self) -> str:
        return f"credential cache {self.place}: {self.problem}"


class DeliveryOverflow(RxSdkError):
    """A subscriber fell more than ``size`` notifications behind; its subscription has ended."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def __str__(self) -> str:
        return f"the subscriber fell more than {self.size} notifications behind"


class CollectionTooLarge(RxSdkError):
    """A watched collection has more than ``limit`` documents; the watch has ended."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the watched collection has more than {self.limit} documents; watch less of it or raise limit="


class WrongThreadError(RxSdkError):
    """A blocking wait was asked for on a thread that must not block.

    ``what`` would block ``whom``; ``instead`` names what to write.
    """

    def __init__(self, what: str, instead: str, whom: str = "this thread's event loop") -> None:
        super().__init__(what, instead, whom)
        self.what = what
        self.instead = instead
        self.whom = whom

    def __str__(self) -> str:
        return f"{self.what} would block {self.whom}; use {self.instead}"
