"""The page of the errors: the tree as it is, and what to do about each."""

from __future__ import annotations

import rxsdk
from rxsdk import RxSdkError

__all__: list[str] = []

WHAT_TO_DO: dict[type[RxSdkError], str] = {
    rxsdk.ConfigurationError: "Mend the setting or argument that `field` names; nothing was sent.",
    rxsdk.ConnectFailed: "Nothing while `fatal` is false: it is tried again. Else look at `api`, the certificate, the path; `rxsdk doctor` says which.",
    rxsdk.VerifyRefused: "Ask who runs the server for its `anon_token`, the `app_id`, and the `origin` of a web app.",
    rxsdk.ConnectionLost: "Nothing: it comes back by itself, with the session and the watches. What it did to a call is the call's own error.",
    rxsdk.HeartbeatTimeout: "Nothing, as for a lost connection. When it comes often, look at the network between.",
    rxsdk.LocalProtocolError: "A mistake of ours: please report it, with the text.",
    rxsdk.RemoteProtocolError: "The server sent what is no message; the frame was dropped and the connection goes on. Tell who runs it.",
    rxsdk.InvalidCall: "Mend the argument that `field` names; nothing was sent.",
    rxsdk.CallRejected: "The server said no: decide by `code` (and `status`); `res` is the whole answer.",
    rxsdk.SylkError: "A SylkServer said no: `error` is what it said.",
    rxsdk.CallTimeout: "It may have run. Read before you repeat, or make the call idempotent.",
    rxsdk.CallNotSent: "Safe to repeat. `reason` says why: not connected or not signed in in time, too many calls waiting, closed.",
    rxsdk.CallOutcomeUnknown: "It may have run. Read before you repeat; calls with `idempotent=True` are repeated for you.",
    rxsdk.CallCancelled: "Yours: `cancel()` was called. `written` says whether it may have run all the same.",
    rxsdk.ReplyMismatch: "The server answered otherwise than the protocol says; the chat's refuses so. Look at `problem` and at what was asked.",
    rxsdk.DocTypeMismatch: "The answer is in `res`; mend the type where `problem` says, or read a part with `Q.attrs(…)` into a type of its own.",
    rxsdk.NoCredentials: "Sign in with `auth()`: nothing is kept from an earlier run.",
    rxsdk.UploadError: "The file that `name` names cannot be sent, or changed while it was: nothing of the call was executed.",
    rxsdk.DownloadError: "The server refused (`status`), or the road broke: call `download_to` again, it goes on where that is offered.",
    rxsdk.CacheError: "The session could not be kept or read; calls go on. Look at the file's owner, mode and disk.",
    rxsdk.DeliveryOverflow: "A subscriber is too slow: give it a smaller load, a larger mailbox, or `buffered(…, on_overflow=…)`.",
    rxsdk.CollectionTooLarge: "Watch less of the collection by a query, or raise `limit=` of `api.watch`.",
    rxsdk.WrongThreadError: "Write what `instead` says: `await` on a loop, `.result()` on other threads.",
}
"""For every error that has no kinds of its own beneath it, or is raised itself."""


def kinds(root: type[RxSdkError] = RxSdkError, level: int = 0) -> list[tuple[int, type[RxSdkError]]]:
    """The tree, depth first."""
    found = [(level, root)]
    for kind in sorted(root.__subclasses__(), key=lambda one: one.__name__):
        found += kinds(kind, level + 1) if kind.__module__ == "rxsdk.errors" else []
    return found


def table() -> str:
    """Every error: what it means, and what to do."""
    lines = ["| error | means | what to do |", "|---|---|---|"]
    for level, kind in kinds():
        means = (kind.__doc__ or "").strip().splitlines()[0].replace("``", "`")
        lines.append(f"| {'&emsp;' * level}`{kind.__name__}` | {means} | {WHAT_TO_DO.get(kind, '')} |")
    return "\n".join(lines)


__doc__ = f"""
# What can go wrong, and what to do

A mistake in the arguments raises where it is made. Everything else is the call's error: it reaches `on_error` of every
subscriber, and is raised by `await call` and `call.result()`. A failure of one call never closes the connection.
What nobody looked at is logged once, under `rxsdk`.

{table()}

## Codes of the server that apps meet

| `CallRejected.code` | means |
|---|---|
| `CORE_SESSION_INVALID_CREDS` | wrong user or password |
| `CORE_SESSION_FORBIDDEN` | signed in (or not), and without the privilege |
| `CORE_SESSION_INVALID_SESSION`, `CORE_SESSION_SESSION_EXPIRED` | the kept session is no longer good: `auth()` anew |
| `CORE_SESSION_ALREADY_AUTHED` | `signout()` first |
| `CORE_REQ_INVALID_MODULE`, `CORE_REQ_INVALID_METHOD` | there is no such endpoint |
| `CORE_REQ_SESSION_QUOTA_HIT`, `CORE_REQ_IP_QUOTA_HIT` | too many messages in this minute; `QuotaPolicy` waits for you |
| `…_MISSING_ATTR`, `…_INVALID_ATTR`, `…_CONVERT_INVALID_ATTR` | the doc does not fit the module |
| `…_INVALID_QUERY`, `…_INVALID_DOC` | the endpoint wants other arguments |
| `…_DUPLICATE_DOC` | an attr that must be unique is taken |
"""
