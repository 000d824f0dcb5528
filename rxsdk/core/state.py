"""`ConnectionState`: where a service is, and the one table of where it can go from there.

Floor 1, pure. The services move by `TRANSITIONS`. This diagram (Mermaid) is what ``python -m rxsdk.core.state`` makes
of the table; a test holds the two together.

```mermaid
stateDiagram-v2
    [*] --> idle
    idle --> connecting: init()
    idle --> suspended: suspend()
    idle --> closing: close()
    idle --> failed: fatal error
    connecting --> verifying: the server asks who we are
    connecting --> authenticating: an older server, with a session in memory
    connecting --> ready: an older server
    connecting --> reconnecting: connection lost, or not made
    connecting --> suspended: suspend()
    connecting --> closing: close()
    connecting --> failed: fatal error
    verifying --> authenticating: let in, with a session in memory
    verifying --> ready: let in
    verifying --> reconnecting: connection lost, or not made
    verifying --> suspended: suspend()
    verifying --> closing: close()
    verifying --> failed: fatal error
    authenticating --> ready: signed in again, or signed out
    authenticating --> reconnecting: connection lost, or not made
    authenticating --> suspended: suspend()
    authenticating --> closing: close()
    authenticating --> failed: fatal error
    ready --> reconnecting: connection lost, or not made
    ready --> suspended: suspend()
    ready --> closing: close()
    ready --> failed: fatal error
    reconnecting --> connecting: the delay has passed
    reconnecting --> suspended: suspend()
    reconnecting --> closing: close()
    reconnecting --> failed: fatal error
    suspended --> connecting: resume()
    suspended --> closing: close()
    suspended --> failed: fatal error
    closing --> closed: everything has ended
    closed --> [*]
    failed --> [*]
```
"""

from __future__ import annotations

from typing import Literal

import msgspec

from rxsdk.errors import LocalProtocolError

__all__ = ["TRANSITIONS", "ConnectionState", "StateName", "check_transition", "diagram"]

StateName = Literal[
    "idle",
    "connecting",
    "verifying",
    "authenticating",
    "ready",
    "reconnecting",
    "suspended",
    "closing",
    "closed",
    "failed",
]

_INTERRUPTED: dict[StateName, str] = {
    "reconnecting": "connection lost, or not made",
    "suspended": "suspend()",
    "closing": "close()",
    "failed": "fatal error",
}

TRANSITIONS: dict[StateName, dict[StateName, str]] = {
    "idle": {"connecting": "init()", "suspended": "suspend()", "closing": "close()", "failed": "fatal error"},
    "connecting": {
        "verifying": "the server asks who we are",
        "authenticating": "an older server, with a session in memory",
        "ready": "an older server",
        **_INTERRUPTED,
    },
    "verifying": {"authenticating": "let in, with a session in memory", "ready": "let in", **_INTERRUPTED},
    "authenticating": {"ready": "signed in again, or signed out", **_INTERRUPTED},
    "ready": _INTERRUPTED,
    "reconnecting": {
        "connecting": "the delay has passed",
        "suspended": "suspend()",
        "closing": "close()",
        "failed": "fatal error",
    },
    "suspended": {"connecting": "resume()", "closing": "close()", "failed": "fatal error"},
    "closing": {"closed": "everything has ended"},
    "closed": {},
    "failed": {},
}
"""From each state: the states that can follow, and why."""


class ConnectionState(msgspec.Struct, frozen=True):
    """Where a service is.

    ``reason`` is why it is not ready, when something went wrong; ``attempt`` counts the tries since the connection
    last stood (0 on the first); ``retry_at`` is when the next try comes, in seconds since 1970.
    """

    name: StateName
    reason: Exception | None = None
    attempt: int = 0
    retry_at: float | None = None


def check_transition(before: StateName, after: StateName) -> None:
    """Raise `LocalProtocolError` for a step the table does not have: a mistake of ours."""
    if after not in TRANSITIONS[before]:
        raise LocalProtocolError(f"from {before} to {after}")


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    for before, steps in TRANSITIONS.items():
        lines += [f"    {before} --> {after}: {why}" for after, why in steps.items()]
        if not steps:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())
