"""The wire trace: one redacted line a frame, for ``SDKConfig(debug=True)``.

Floor 0. Made only when asked for, so it may take its time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.res import Res, redact

__all__ = ["shown_request", "shown_res"]

_LONGEST = 2_000


def shown_request(request: Request) -> str:
    """Endpoint, id, query and doc, without secrets. (A chunk's content is no part of its doc.)"""
    query, doc = msgspec.json.decode(request.query or b"[]"), msgspec.json.decode(request.doc)
    return _cut(f"{request.endpoint} {request.call_id} query={redact(query)!r} doc={redact(doc)!r}")


def shown_res(res: Res[Any]) -> str:
    """The whole message, without secrets."""
    return _cut(repr(res))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
