"""What one emulator was told: checked once, never changed.

Imports ``rxsdk.errors`` only. Every option of ``rxsdk emulate`` is a field here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from rxsdk.errors import ConfigurationError

__all__ = [
    "ANON_SID",
    "ApiLevel",
    "ClientApp",
    "Quotas",
    "Settings",
    "WatchMode",
    "client_apps_of",
]

ApiLevel = Literal["5.0", "5.6", "6.0", "6.1"]
Quotas = Literal["off", "stock"]
WatchMode = Literal["working", "stock", "strict"]

ANON_SID = "f00000000000000000000012"
"""The id of the anonymous session; every client knows it."""


@dataclass(frozen=True)
class ClientApp:
    """An app the server lets in: a ``web`` app only from one of its ``origins``."""

    type: str = "web"
    origins: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> tuple[str, ClientApp]:
        """Read ``NAME:TYPE[:ORIGIN[,ORIGIN]…]``, the form of ``rxsdk emulate --client-app``."""
        name, _, rest = text.partition(":")
        kind, _, origins = rest.partition(":")
        if not name or kind not in ("web", "ios", "android"):
            raise ConfigurationError("client_apps", f"{text!r} is not NAME:web|ios|android[:ORIGIN,…]")
        return name, cls(kind, tuple(origin for origin in origins.split(",") if origin))


def client_apps_of(value: Mapping[str, ClientApp] | Iterable[str] | None) -> dict[str, ClientApp]:
    """The apps by name, from a mapping or from ``NAME:TYPE[:ORIGIN]`` texts."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    return dict(ClientApp.parse(text) for text in value)


@dataclass(frozen=True)
class Settings:
    """The emulator's options; `Emulator` says what each means."""

    host: str = "127.0.0.1"
    port: int = 0
    quotas: Quotas = "off"
    conn_timeout_s: float = 120.0
    admin_email: str = "admin@app.limp.masaar.com"
    admin_password: str = field(default="S0mE_V3Ry_STR0nG_P@SsW0rD", repr=False)
    anon_token: str = field(default="__ANON_TOKEN_f00000000000000000000012", repr=False)
    client_apps: Mapping[str, ClientApp] = field(default_factory=dict)
    api_level: ApiLevel = "6.0"
    data: Path | None = None
    seed: int | str | None = None
    watch_mode: WatchMode = "working"
    realms: tuple[str, ...] = ()
    default_privileges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_choice("quotas", self.quotas, get_args(Quotas))
        _check_choice("api_level", self.api_level, get_args(ApiLevel))
        _check_choice("watch_mode", self.watch_mode, get_args(WatchMode))
        if not 0 < self.conn_timeout_s < float("inf"):
            raise ConfigurationError("conn_timeout_s", "must be a number of seconds above 0")
        if not self.anon_token:
            raise ConfigurationError("anon_token", "must not be empty")

    @property
    def is_nawah(self) -> bool:
        """Level 6.1: the successor server, with other hashes and files over HTTP."""
        return self.api_level == "6.1"

    @property
    def server_error(self) -> str:
        """The text of every 500."""
        return "Unexpected error has occurred." if self.is_nawah else "Unexpected error has occured."


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(name, f"must be one of {', '.join(map(repr, choices))}, not {value!r}")
