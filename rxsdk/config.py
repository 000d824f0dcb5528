"""`SDKConfig`: everything an `ApiService` can be told, checked when it is made.

Floor 3, beside the services that read it; does no I/O. Frozen, so one config can serve many services.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from rxsdk.core.loop import LoopChoice
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.errors import ConfigurationError
from rxsdk.protocols.limp.quota import QuotaPolicy
from rxsdk.secret import Secret

if TYPE_CHECKING:
    from rxsdk.cache import CredentialCache

__all__ = ["MAX_FILE_CHUNK_SIZE", "AuthHashLevel", "SDKConfig"]

AuthHashLevel = Literal["5.0", "5.6", "6.1"]
Answer = tuple[str, str, str] | None
FreshCredentials = Callable[[], Answer] | Callable[[], Awaitable[Answer]]

MAX_FILE_CHUNK_SIZE = 780_000
"""Bytes. The largest chunk whose frame stays under the server's 4 MiB for every content (limp.md, "Files")."""


@dataclass(frozen=True, repr=False)
class SDKConfig:
    """The settings of one `ApiService`. Times are seconds.

    The first seven fields carry the names and meanings of the Angular and NativeScript SDKs.

    Args:
        api: Where the server is: ``ws[s]://HOST[:PORT]/ws``.
        anon_token: The server's anonymous token: signs everything until a session is there. Kept as a `Secret`.
        auth_attrs: What users sign in with: ``("email",)``, ``("username", "email", "phone")`` …
        app_id: The name of this client app, where the server lists the apps it lets in.
        debug: Log every frame, secrets redacted, to the logger ``rxsdk.wire`` at DEBUG.
        file_chunk_size: Bytes of a file in one frame; 1 to 780 000.
        auth_hash_level: How the server wants passwords hashed; see `rxsdk.protocols.limp.auth`.
        timeout_s: From the writing of a call to its first reply; None is no limit.
        queue_timeout_s: From the making of a call to its writing (not connected, not authed); None is no limit.
        connect_timeout_s: One try to connect and be verified; also how long ``with ApiService(config)`` waits.
        heartbeat_interval_s: Between heartbeats; the server closes after 120 s of silence.
        heartbeat_timeout_s: A heartbeat not answered within this is a lost connection.
        max_queued_calls: Calls waiting to be written; one more fails at once with `CallNotSent`.
        max_message_bytes: The largest message taken from the server.
        reconnect: The delays between tries to connect.
        quota: What to do about the server's quota of messages a minute.
        fresh_credentials: Asked when the session is refused after a reconnect: returns ``(auth_var, auth_val,
            password)`` to sign in with, or None to be signed out. A function (called on a thread of its own) or a
            coroutine function.
        telemetry: Tell OpenTelemetry of calls, reconnects and round trips (extra ``rxsdk[telemetry]``).
        loop: Where the connection runs: the caller's ``"running"`` loop, our ``"own"`` thread, or what fits.
        ssl_context: For ``wss://`` beyond the system's certificates.
        proxy: A proxy URL; True takes it from the environment (but never for this machine), False goes straight.
        extra_headers: Headers added to the opening handshake.
        origin: The Origin header; servers that list web apps want it.
        user_agent: The User-Agent header (the server stores it only when an Origin is sent too).
        cache: Where the session is kept between runs; memory when not given.
        cache_key: Keeps several users of one api apart in one cache.

    Raises:
        ConfigurationError: a field cannot work; the error names it.
    """

    api: str
    anon_token: str | Secret
    auth_attrs: Sequence[str]
    app_id: str | None = None
    debug: bool = False
    file_chunk_size: int = 512_000
    auth_hash_level: AuthHashLevel = "5.6"

    timeout_s: float | None = 30.0
    queue_timeout_s: float | None = 120.0
    connect_timeout_s: float = 20.0
    heartbeat_interval_s: float = 30.0
    heartbeat_timeout_s: float = 10.0
    max_queued_calls: int = 10_000
    max_message_bytes: int = 64 * 1024 * 1024

    reconnect: ReconnectPolicy = field(default_factory=ReconnectPolicy)

    quota: QuotaPolicy = field(default_factory=QuotaPolicy)
    fresh_credentials: FreshCredentials | None = None
    telemetry: bool = False

    loop: LoopChoice = "auto"
    ssl_context: ssl.SSLContext | None = None
    proxy: str | bool = True
    extra_headers: Mapping[str, str] | None = None
    origin: str | None = None
    user_agent: str | None = None
    cache: CredentialCache | None = None
    cache_key: str = "default"

    def __post_init__(self) -> None:
        _check_api(self.api)
        anon_token = self.anon_token.reveal() if isinstance(self.anon_token, Secret) else self.anon_token
        _check_text("anon_token", anon_token)
        object.__setattr__(self, "anon_token", Secret(anon_token))
        object.__setattr__(self, "auth_attrs", _checked_auth_attrs(self.auth_attrs))
        if self.app_id is not None:
            _check_text("app_id", self.app_id)
        for name in ("origin", "user_agent"):
            if getattr(self, name) is not None:
                _check_header(name, getattr(self, name))
        _check_text("cache_key", self.cache_key)
        _check_int("file_chunk_size", self.file_chunk_size, 1, MAX_FILE_CHUNK_SIZE)
        _check_int("max_queued_calls", self.max_queued_calls, 1, None)
        _check_int("max_message_bytes", self.max_message_bytes, 1024, None)
        _check_choice("auth_hash_level", self.auth_hash_level, get_args(AuthHashLevel))
        _check_choice("loop", self.loop, get_args(LoopChoice))
        for name in ("timeout_s", "queue_timeout_s"):
            if getattr(self, name) is not None:
                check_seconds(name, getattr(self, name))
        for name in ("connect_timeout_s", "heartbeat_interval_s", "heartbeat_timeout_s"):
            check_seconds(name, getattr(self, name))
        if not isinstance(self.reconnect, ReconnectPolicy):
            raise ConfigurationError("reconnect", "must be a rxsdk.ReconnectPolicy")
        if not isinstance(self.quota, QuotaPolicy):
            raise ConfigurationError("quota", "must be a rxsdk.QuotaPolicy")
        if self.fresh_credentials is not None and not callable(self.fresh_credentials):
            raise ConfigurationError("fresh_credentials", "must be a function or a coroutine function")
        if not isinstance(self.telemetry, bool):
            raise ConfigurationError("telemetry", "must be True or False")
        self._check_road()

    def __repr__(self) -> str:
        api = self.api.partition("?")[0]  # what an application puts behind it may be a secret
        return f"SDKConfig(api={api!r}, auth_attrs={self.auth_attrs!r}, app_id={self.app_id!r}, …)"

    def _check_road(self) -> None:
        secure = self.api.lower().startswith("wss:")
        if self.ssl_context is not None:
            if not isinstance(self.ssl_context, ssl.SSLContext):
                raise ConfigurationError("ssl_context", "must be an ssl.SSLContext")
            if not secure:
                raise ConfigurationError("ssl_context", "only goes with a wss:// api")
        if not isinstance(self.proxy, (str, bool)):
            raise ConfigurationError("proxy", "must be a URL, True (from the environment) or False")
        if isinstance(self.proxy, str) and "://" not in self.proxy:
            raise ConfigurationError("proxy", "must be a URL such as http://proxy:3128")
        if not isinstance(self.debug, bool):
            raise ConfigurationError("debug", "must be True or False")
        if self.extra_headers is not None:
            _check_headers(self.extra_headers)
            object.__setattr__(self, "extra_headers", dict(self.extra_headers))
        for verb in ("get", "put", "remove"):
            if self.cache is not None and not callable(getattr(self.cache, verb, None)):
                raise ConfigurationError("cache", f"has no {verb}(); see rxsdk.cache.CredentialCache")
        if isinstance(self.cache, type):
            raise ConfigurationError("cache", f"is the class; make one: {self.cache.__name__}(…)")

    @property
    def leaves_machine_unencrypted(self) -> bool:
        """True for ``ws://`` to a host that is not this machine: passwords would travel readably."""
        return urlsplit(self.api).scheme.lower() == "ws" and not self.is_loopback

    @property
    def is_loopback(self) -> bool:
        """True when the server is on this machine."""
        return _is_loopback(urlsplit(self.api).hostname or "")


def _check_api(api: object) -> None:
    if not isinstance(api, str):
        raise ConfigurationError("api", f"must be a URL string, not {type(api).__name__}")
    if any(char.isspace() or not char.isprintable() for char in api):
        raise ConfigurationError("api", "holds white space or characters that cannot be printed")
    try:
        parts = urlsplit(api)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("api", f"is not a URL: {error}") from None
    _check_url_parts(parts, port)


def _check_url_parts(parts: SplitResult, port: int | None) -> None:
    if parts.scheme.lower() not in ("ws", "wss"):
        raise ConfigurationError(
            "api", f"must start with ws:// or wss://, not {parts.scheme + '://' if parts.scheme else 'nothing'}"
        )
    if not parts.hostname:
        raise ConfigurationError("api", "names no host")
    if port == 0:
        raise ConfigurationError("api", "port 0 cannot be connected to")
    if parts.fragment:
        raise ConfigurationError("api", "a WebSocket URL has no #fragment")
    if parts.username or parts.password:
        raise ConfigurationError("api", "must not hold a user or password; LIMP signs in with auth()")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked_auth_attrs(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError("auth_attrs", 'must be a list of names, such as ["email"]')
    attrs = tuple(value)
    if not attrs:
        raise ConfigurationError("auth_attrs", "must name at least one attribute")
    for attr in attrs:
        _check_text("auth_attrs", attr)
    return attrs


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(name, "must be a non-empty string")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ConfigurationError(name, "holds a lone surrogate, which is no text")


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _check_header(name: str, value: Any) -> None:
    _check_text(name, value)
    if not value.isprintable() or not value.isascii():
        raise ConfigurationError(name, "must be one line of ASCII")


def _check_headers(value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for item in value.items() for text in item):
        raise ConfigurationError("extra_headers", "must map str to str")
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError("extra_headers", "has a name that no header can have")
        if text:
            _check_header("extra_headers", text)


def _check_int(name: str, value: Any, low: int, high: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(name, f"must be a whole number, not {type(value).__name__}")
    if value < low or (high is not None and value > high):
        raise ConfigurationError(name, f"must be {low} to {high}" if high is not None else f"must be at least {low}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(name, f"must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_seconds(name: str, value: Any) -> None:
    """Raise `ConfigurationError` unless ``value`` is a finite number of seconds above 0."""
    # Compared so, NaN and what is too large for a float fail too.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        raise ConfigurationError(name, "must be a number of seconds above 0")
