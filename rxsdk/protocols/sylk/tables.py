"""The lives of accounts, calls, rooms and feeds: for each the one table of where it can go from where, and why.

Floor 0, data and nothing else. A move that the table does not have from where the object is changes nothing: it is an
event that came twice, or too late. Source: sylk.md, and the public sources of SylkServer for the order of early media
(the media flow, ``established``, before the call is ``accepted``, and then not once more).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ACCOUNT",
    "ALLOWED",
    "CALL",
    "CREATES",
    "ENDS",
    "FEED",
    "ON_ACK",
    "ON_FAILED",
    "ON_SUBMIT",
    "ROOM",
    "Moves",
]

Moves = Mapping[str, Mapping[str, str]]
"""From each state: what can happen, and the state it leads to."""

ENDS = frozenset({"terminated", "detached", "removed"})
"""Where nothing can happen any more."""

_OVER = {"terminated": "terminated"}

CALL: Moves = {
    "requested": {
        "progress": "progress",
        "proceeding": "proceeding",
        "ringing": "ringing",
        "early-media": "early-media",
        "accepted": "accepted",
        **_OVER,
    },
    "progress": {
        "proceeding": "proceeding",
        "ringing": "ringing",
        "early-media": "early-media",
        "accepted": "accepted",
        **_OVER,
    },
    "proceeding": {"ringing": "ringing", "early-media": "early-media", "accepted": "accepted", **_OVER},
    "ringing": {"early-media": "early-media", "accepted": "accepted", **_OVER},
    "early-media": {"established": "early-established", "accepted": "accepted", **_OVER},
    "early-established": {"accepted": "established", **_OVER},
    "incoming": {"answer": "answering", "accepted": "accepted", **_OVER},
    "answering": {"refused": "incoming", "accepted": "accepted", **_OVER},
    "accepted": {"established": "established", **_OVER},
    "established": _OVER,
    "terminated": {},
}

ROOM: Moves = {
    "requested": {"progress": "progress", "accepted": "accepted", **_OVER},
    "progress": {"accepted": "accepted", **_OVER},
    "accepted": {"established": "established", **_OVER},
    "established": _OVER,
    "terminated": {},
}

FEED: Moves = {
    "attaching": {"attached": "attached", "detached": "detached"},
    "attached": {"answer": "answering", "established": "established", "detached": "detached"},
    "answering": {"refused": "attached", "established": "established", "detached": "detached"},
    "established": {"detached": "detached"},
    "detached": {},
}

_ASKED = {"unregistered": "unregistered", "lost": "unregistered", "removed": "removed"}

ACCOUNT: Moves = {
    "adding": {"added": "unregistered", "refused": "removed", "removed": "removed"},
    "unregistered": {
        "registering": "registering",
        "registered": "registered",
        "failed": "failed",
        "refused": "failed",
        "removed": "removed",
    },
    "registering": {"registered": "registered", "failed": "failed", "refused": "failed", **_ASKED},
    "registered": {"registering": "registering", "failed": "failed", "refused": "failed", **_ASKED},
    "failed": {"registering": "registering", "registered": "registered", **_ASKED},
    "removed": {},
}

# What a request does to the object it is about: when it is made, acknowledged, and when it failed in whatever way.

ON_SUBMIT = {"session-answer": "answer", "videoroom-feed-answer": "answer"}

ON_ACK = {
    "account-add": "added",
    "account-unregister": "unregistered",
    "account-remove": "removed",
    "videoroom-feed-detach": "detached",
}

ON_FAILED = {
    "account-add": "refused",
    "account-register": "refused",
    "account-remove": "removed",
    "session-create": "terminated",
    "session-answer": "refused",
    "session-terminate": "terminated",
    "videoroom-join": "terminated",
    "videoroom-leave": "terminated",
    "videoroom-feed-attach": "detached",
    "videoroom-feed-answer": "refused",
    "videoroom-feed-detach": "detached",
}

CREATES = frozenset({"account-add", "session-create", "videoroom-join", "videoroom-feed-attach"})
"""The requests that their object begins with: it is nothing without them."""

_IN_ROOM = frozenset({"progress", "accepted", "established"})

ALLOWED: Mapping[str, frozenset[str]] = {
    "session-answer": frozenset({"incoming"}),
    "session-update": frozenset({"established"}),
    "session-message": frozenset({"established"}),
    "session-dtmf-info": frozenset({"early-media", "early-established", "accepted", "established"}),
    "videoroom-configure": _IN_ROOM,
    "videoroom-invite": _IN_ROOM,
    "videoroom-message": _IN_ROOM,
    "videoroom-composing-indication": _IN_ROOM,
    "videoroom-session-update": _IN_ROOM,
    "videoroom-mute-audio-participants": _IN_ROOM,
    "videoroom-toggle-hand": _IN_ROOM,
    "videoroom-feed-answer": frozenset({"attached"}),
}
"""In which states of its object a request makes sense; one not named here does in all but the last."""
