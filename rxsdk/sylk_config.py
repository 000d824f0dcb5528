"""`SylkConfig`: everything a `SylkService` can be told, checked when it is made.

Floor 3, beside the service that reads it; does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rxsdk.errors import ConfigurationError
from rxsdk.road import RoadConfig, checked_headers

__all__ = ["SylkConfig"]


@dataclass(frozen=True, repr=False, slots=True)
class SylkConfig(RoadConfig):
    """The settings of one `SylkService`. Times are seconds.

    A ping goes out each ``heartbeat_interval_s`` (5); ``heartbeat_timeout_s`` (30) without an answer to any, which is
    six of them, is a lost connection.

    Args:
        url: Where the server is: ``ws[s]://HOST[:PORT]/webrtcgateway/ws``.
        debug: Log every frame, secrets and contents redacted, to the logger ``rxsdk.wire`` at DEBUG.
        extra_headers: Headers added to the opening handshake.

    Raises:
        ConfigurationError: a field cannot work; the error names it.
    """

    url: str
    debug: bool = False
    extra_headers: Mapping[str, str] | None = None

    heartbeat_interval_s: float = field(default=5.0, kw_only=True)
    heartbeat_timeout_s: float = field(default=30.0, kw_only=True)

    def __post_init__(self) -> None:
        self.check_road("url")
        if not isinstance(self.debug, bool):
            raise ConfigurationError("debug", "must be True or False")
        if self.extra_headers is not None:
            object.__setattr__(self, "extra_headers", checked_headers("extra_headers", self.extra_headers))

    @property
    def address(self) -> str:
        """``url``."""
        return self.url

    @property
    def headers_sent(self) -> Mapping[str, str] | None:
        """``extra_headers``."""
        return self.extra_headers

    def __repr__(self) -> str:
        return f"SylkConfig(url={self.url.partition('?')[0]!r}, …)"  # what follows may be a secret
