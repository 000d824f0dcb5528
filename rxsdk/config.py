"""`SDKConfig`: everything an `ApiService` can be told, checked when it is made.

Floor 3, beside the services that read it; does no I/O. Frozen, so one config can serve many services.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rxsdk.errors import ConfigurationError
from rxsdk.protocols.limp.quota import QuotaPolicy
from rxsdk.road import RoadConfig, check_choice, check_int, check_text, checked_headers
from rxsdk.secret import Secret

if TYPE_CHECKING:
    from rxsdk.cache import CredentialCache

__all__ = ["MAX_FILE_CHUNK_SIZE", "AuthHashLevel", "SDKConfig"]

AuthHashLevel = Literal["5.0", "5.6", "6.1"]
Answer = tuple[str, str, str] | None
FreshCredentials = Callable[[], Answer] | Callable[[], Awaitable[Answer]]

MAX_FILE_CHUNK_SIZE = 780_000
"""Bytes. The largest chunk whose frame stays under the server's 4 MiB for every content (limp.md, "Files")."""


_STOCK_QUOTA = QuotaPolicy()


@dataclass(frozen=True, repr=False, slots=True)
class SDKConfig(RoadConfig):
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
        quota: What to do about the server's quota of messages a minute.
        upload_lanes: How many connections may carry files beside the main one; 1 to 4. Opened when needed.
        upload_window: How many chunks may be on their way on one of them; 1 to 16.
        fresh_credentials: Asked when the session is refused after a reconnect: returns ``(auth_var, auth_val,
            password)`` to sign in with, or None to be signed out. A function (called on a thread of its own) or a
            coroutine function.
        extra_headers: Headers added to the opening handshake.
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

    quota: QuotaPolicy = _STOCK_QUOTA
    upload_lanes: int = 1
    upload_window: int = 2
    fresh_credentials: FreshCredentials | None = None

    extra_headers: Mapping[str, str] | None = None
    cache: CredentialCache | None = None
    cache_key: str = "default"

    def __post_init__(self) -> None:
        self.check_road("api")
        anon_token = self.anon_token.reveal() if isinstance(self.anon_token, Secret) else self.anon_token
        check_text("anon_token", anon_token)
        object.__setattr__(self, "anon_token", Secret(anon_token))
        object.__setattr__(self, "auth_attrs", _checked_auth_attrs(self.auth_attrs))
        if self.app_id is not None:
            check_text("app_id", self.app_id)
        check_text("cache_key", self.cache_key)
        check_int("file_chunk_size", self.file_chunk_size, 1, MAX_FILE_CHUNK_SIZE)
        check_int("upload_lanes", self.upload_lanes, 1, 4)
        check_int("upload_window", self.upload_window, 1, 16)
        check_choice("auth_hash_level", self.auth_hash_level, get_args(AuthHashLevel))
        if not isinstance(self.quota, QuotaPolicy):
            raise ConfigurationError("quota", "must be a rxsdk.QuotaPolicy")
        if self.fresh_credentials is not None and not callable(self.fresh_credentials):
            raise ConfigurationError("fresh_credentials", "must be a function or a coroutine function")
        if not isinstance(self.debug, bool):
            raise ConfigurationError("debug", "must be True or False")
        if self.extra_headers is not None:
            object.__setattr__(self, "extra_headers", checked_headers("extra_headers", self.extra_headers))
        self._check_cache()

    @property
    def address(self) -> str:
        """``api``."""
        return self.api

    @property
    def headers_sent(self) -> Mapping[str, str] | None:
        """``extra_headers``."""
        return self.extra_headers

    def __repr__(self) -> str:
        api = self.api.partition("?")[0]  # what an application puts behind it may be a secret
        return f"SDKConfig(api={api!r}, auth_attrs={self.auth_attrs!r}, app_id={self.app_id!r}, …)"

    def _check_cache(self) -> None:
        for verb in ("get", "put", "remove"):
            if self.cache is not None and not callable(getattr(self.cache, verb, None)):
                raise ConfigurationError("cache", f"has no {verb}(); see rxsdk.cache.CredentialCache")
        if isinstance(self.cache, type):
            raise ConfigurationError("cache", f"is the class; make one: {self.cache.__name__}(…)")


def _checked_auth_attrs(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError("auth_attrs", 'must be a list of names, such as ["email"]')
    attrs = tuple(value)
    if not attrs:
        raise ConfigurationError("auth_attrs", "must name at least one attribute")
    for attr in attrs:
        check_text("auth_attrs", attr)
    return attrs
