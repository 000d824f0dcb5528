"""The wire trace: one redacted line a frame, for ``SylkConfig(debug=True)``.

Floor 0. Made only when asked for, so it may take its time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rxsdk.protocols.sylk.requests import Request

__all__ = ["shown_event", "shown_request"]

_LONGEST = 2_000
_SECRET = {"password", "token", "headers"}
_BULKY = {"sdp", "content", "public_key"}  # and not for a log's readers: keys of the media, people's words


def shown_request(request: Request) -> str:
    """Kind, transaction and fields, without secrets."""
    fields = msgspec.json.decode(request.body)
    return _cut(f"{fields.pop('sylkrtc')} {request.transaction} {_plain(fields)}")


def shown_event(event: Any) -> str:
    """The whole event, without secrets."""
    return _cut(f"{type(event).__name__} {_plain(msgspec.to_builtins(event))}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _field(name, part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _field(name: str, value: Any) -> Any:
    if name in _SECRET:
        return "<redacted>"
    return f"<{len(value)} characters>" if name in _BULKY and isinstance(value, str) else _plain(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
