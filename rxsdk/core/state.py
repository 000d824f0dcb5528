"""`ConnectionState`: where a service is, and the one table of where it can go from there.

Floor 1, pure. `rxsdk.core.connection` and the services move by it; ``python -m rxsdk.core.state`` prints it as the
Mermaid diagram of the docs (a test holds the docs to it).
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
    "idle": {"connecting": "init()", "closing": "close()"},
    "connecting": {
        "verifying": "the server asks who we are",
        "authenticating": "an older server, with a session in memory",
        "ready": "an older server",
        **_INTERRUPTED,
    },
    "verifying": {"authenticating": "let in, with a session in memory", "ready": "let in", **_INTERRUPTED},
    "authenticating": {"ready": "signed in again, or signed out", **_INTERRUPTED},
    "ready": _INTERRUPTED,
    "reconnecting": {"connecting": "the delay has passed", "suspended": "suspend()", "closing": "close()"},
    "suspended": {"connecting": "resume()", "closing": "close()"},
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
