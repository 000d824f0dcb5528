"""`ChatConfig`: everything a `ChatService` can be told, checked when it is made.

Floor 3, beside the service that reads it; does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rxsdk.errors import ConfigurationError
from rxsdk.road import RoadConfig, check_int, check_text, checked_headers

__all__ = ["ChatConfig"]

_MOST_SILENCE_S = 20.0
""" "The client must send something at least every 20 s" """


@dataclass(frozen=True, repr=False, slots=True)
class ChatConfig(RoadConfig):
    """The settings of one `ChatService`. Times are seconds.

    Args:
        url: Where the server is: ``ws[s]://HOST[:PORT]/PATH``.
        headers: Sent with the opening handshake, such as what proves who we are; None for none.
        user_id: Who we are, so that our own messages are known.
        seen_file: Where the ids of events handed over are kept, so that none is handed over again by the next run;
            a file of its own for each service that runs at a time. Without it that holds for one run.
        seen_window: How many of these ids are remembered.

    Raises:
        ConfigurationError: a field cannot work; the error names it.
    """

    url: str
    headers: Mapping[str, str] | None
    user_id: str
    seen_file: str | Path | None = None
    seen_window: int = 10_000
    heartbeat_interval_s: float = field(default=15.0, kw_only=True)
    heartbeat_timeout_s: float = field(default=5.0, kw_only=True)

    def __post_init__(self) -> None:
        self.check_road("url")
        if self.heartbeat_interval_s > _MOST_SILENCE_S:
            raise ConfigurationError(
                "heartbeat_interval_s", f"must be at most {_MOST_SILENCE_S:g}, or we count as gone"
            )
        if self.headers is not None:
            object.__setattr__(self, "headers", checked_headers("headers", self.headers))
        check_text("user_id", self.user_id)
        if self.seen_file is not None and not isinstance(self.seen_file, (str, Path)):
            raise ConfigurationError("seen_file", "must be a path")
        check_int("seen_window", self.seen_window, 1, None)

    @property
    def address(self) -> str:
        """``url``."""
        return self.url

    @property
    def headers_sent(self) -> Mapping[str, str] | None:
        """``headers``."""
        return self.headers

    def __repr__(self) -> str:
        url = self.url.partition("?")[0]  # what an application puts behind it may be a secret
        return f"ChatConfig(url={url!r}, user_id={self.user_id!r}, …)"
