"""`RoadConfig`: what every service can be told, whatever it speaks: the road to its server, its times, where it runs.

Floor 3, under the configs of the services; does no I/O. Here too are the checks that their own fields need.
"""

from __future__ import annotations

import inspect
import ipaddress
import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, get_args
from urllib.parse import SplitResult, urlsplit

from rxsdk.core.loop import LoopChoice
from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.transport import WebSocketLibrary, has_picows
from rxsdk.errors import ConfigurationError

__all__ = [
    "RoadConfig",
    "check_choice",
    "check_header",
    "check_int",
    "check_seconds",
    "check_text",
    "check_url",
    "checked_headers",
]


_OF_EVERY_SERVICE = "\n\nOf every service, by keyword:\n"
_STOCK_RECONNECT = ReconnectPolicy()
_STOCK_DELIVERY = DeliveryPolicy()


@dataclass(frozen=True, kw_only=True, repr=False, slots=True)
class RoadConfig:
    """The settings of every service; its own config adds where its server is, and has these in its ``help()`` too.

    timeout_s: From the writing of a call to its first reply; None is no limit.
    queue_timeout_s: From the making of a call to its writing (not connected, not authed); None is no limit.
    connect_timeout_s: One try to connect and be let in; also how long ``with`` waits.
    heartbeat_interval_s: Between heartbeats.
    heartbeat_timeout_s: A heartbeat not answered within this is a lost connection.
    max_queued_calls: Calls waiting to be written; one more fails at once with `CallNotSent`.
    max_message_bytes: The largest message taken from the server.
    reconnect: The delays between tries to connect.
    delivery: How many notifications may wait for a subscriber, and what becomes of one that lags or raises.
    telemetry: Tell OpenTelemetry of calls, reconnects and round trips (extra ``rxsdk[telemetry]``).
    loop: Where the connection runs: the caller's ``"running"`` loop, our ``"own"`` thread, or what fits.
    transport: What opens the WebSocket: ``"websockets"``, the faster ``"picows"`` (extra ``rxsdk[fast]``), or, with
        ``"auto"``, picows where it is installed and no proxy is in the way.
    ssl_context: For ``wss://`` beyond the system's certificates.
    proxy: A proxy URL; True takes it from the environment (but never for this machine), False goes straight.
    origin: The Origin header; servers that list web apps want it.
    user_agent: The User-Agent header.
    """

    timeout_s: float | None = 30.0
    queue_timeout_s: float | None = 120.0
    connect_timeout_s: float = 20.0
    heartbeat_interval_s: float = 30.0
    heartbeat_timeout_s: float = 10.0
    max_queued_calls: int = 10_000
    max_message_bytes: int = 64 * 1024 * 1024
    reconnect: ReconnectPolicy = _STOCK_RECONNECT
    delivery: DeliveryPolicy = _STOCK_DELIVERY
    telemetry: bool = False
    loop: LoopChoice = "auto"
    transport: WebSocketLibrary = "auto"
    ssl_context: ssl.SSLContext | None = None
    proxy: str | bool = True
    origin: str | None = None
    user_agent: str | None = None

    def __init_subclass__(cls) -> None:
        shared = inspect.cleandoc(RoadConfig.__doc__ or "").partition("\n\n")[2]
        own = inspect.cleandoc(cls.__doc__ or "").partition(_OF_EVERY_SERVICE)[0]  # with slots it is made twice
        cls.__doc__ = f"{own}{_OF_EVERY_SERVICE}{shared}\n"
        if "__slots__" in vars(cls) and "__dataclass_fields__" in vars(cls):
            # Those that `dataclass` made still mean the class without slots, and fail at it where they should refuse.
            cls.__setattr__ = _set  # type: ignore[method-assign, assignment]
            cls.__delattr__ = _delete  # type: ignore[method-assign, assignment]

    @property
    def address(self) -> str:
        """Where the server is."""
        raise NotImplementedError

    @property
    def headers_sent(self) -> Mapping[str, str] | None:
        """What is added to the opening handshake."""
        raise NotImplementedError

    @property
    def leaves_machine_unencrypted(self) -> bool:
        """True for ``ws://`` to a host that is not this machine: everything would travel readably."""
        return urlsplit(self.address).scheme.lower() == "ws" and not self.is_loopback

    @property
    def is_loopback(self) -> bool:
        """True when the server is on this machine."""
        return _is_loopback(urlsplit(self.address).hostname or "")

    def check_road(self, name: str) -> None:
        """Raise `ConfigurationError` for a shared field that cannot work; the address is the field ``name``."""
        check_url(name, self.address)
        for header in ("origin", "user_agent"):
            if getattr(self, header) is not None:
                check_header(header, getattr(self, header))
        check_int("max_queued_calls", self.max_queued_calls, 1, None)
        check_int("max_message_bytes", self.max_message_bytes, 1024, None)
        check_choice("loop", self.loop, get_args(LoopChoice))
        check_choice("transport", self.transport, get_args(WebSocketLibrary))
        if self.transport == "picows" and not has_picows():
            raise ConfigurationError("transport", 'is "picows", which is not installed: pip install "rxsdk[fast]"')
        for time in ("timeout_s", "queue_timeout_s"):
            if getattr(self, time) is not None:
                check_seconds(time, getattr(self, time))
        for time in ("connect_timeout_s", "heartbeat_interval_s", "heartbeat_timeout_s"):
            check_seconds(time, getattr(self, time))
        if not isinstance(self.reconnect, ReconnectPolicy):
            raise ConfigurationError("reconnect", "must be a rxsdk.ReconnectPolicy")
        if not isinstance(self.delivery, DeliveryPolicy):
            raise ConfigurationError("delivery", "must be a rxsdk.DeliveryPolicy")
        if not isinstance(self.telemetry, bool):
            raise ConfigurationError("telemetry", "must be True or False")
        if self.ssl_context is not None:
            if not isinstance(self.ssl_context, ssl.SSLContext):
                raise ConfigurationError("ssl_context", "must be an ssl.SSLContext")
            if not self.address.lower().startswith("wss:"):
                raise ConfigurationError("ssl_context", f"only goes with a wss:// {name}")
        if not isinstance(self.proxy, (str, bool)):
            raise ConfigurationError("proxy", "must be a URL, True (from the environment) or False")
        if isinstance(self.proxy, str) and "://" not in self.proxy:
            raise ConfigurationError("proxy", "must be a URL such as http://proxy:3128")


def _set(config: RoadConfig, name: str, value: object) -> None:
    """Frozen are its fields, and all of one whose class has no room for more."""
    if name in type(config).__dataclass_fields__ or not hasattr(config, "__dict__"):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(config, name, value)


def _delete(config: RoadConfig, name: str) -> None:
    if name in type(config).__dataclass_fields__ or not hasattr(config, "__dict__"):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(config, name)


def check_url(name: str, url: object) -> None:
    """Raise `ConfigurationError` for what is no WebSocket URL."""
    if not isinstance(url, str):
        raise ConfigurationError(name, f"must be a URL string, not {type(url).__name__}")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ConfigurationError(name, "holds white space or characters that cannot be printed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(name, f"is not a URL: {error}") from None
    _check_url_parts(name, parts, port)


def _check_url_parts(name: str, parts: SplitResult, port: int | None) -> None:
    if parts.scheme.lower() not in ("ws", "wss"):
        raise ConfigurationError(
            name, f"must start with ws:// or wss://, not {parts.scheme + '://' if parts.scheme else 'nothing'}"
        )
    if not parts.hostname:
        raise ConfigurationError(name, "names no host")
    if port == 0:
        raise ConfigurationError(name, "port 0 cannot be connected to")
    if parts.fragment:
        raise ConfigurationError(name, "a WebSocket URL has no #fragment")
    if parts.username or parts.password:
        raise ConfigurationError(name, "must not hold a user or password; they would be printed with it")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_text(name: str, value: Any) -> None:
    """Raise `ConfigurationError` unless ``value`` is a non-empty string that can be sent."""
    if not isinstance(value, str) or not value:
        raise ConfigurationError(name, "must be a non-empty string")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ConfigurationError(name, "holds a lone surrogate, which is no text")


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_header(name: str, value: Any) -> None:
    """Raise `ConfigurationError` unless ``value`` is one line of ASCII."""
    check_text(name, value)
    if not value.isprintable() or not value.isascii():
        raise ConfigurationError(name, "must be one line of ASCII")


def checked_headers(name: str, value: Any) -> dict[str, str]:
    """A copy of ``value``; raises `ConfigurationError` for what cannot be headers."""
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for item in value.items() for text in item):
        raise ConfigurationError(name, "must map str to str")
    for header, text in value.items():
        if not _HEADER_NAME.fullmatch(header):
            raise ConfigurationError(name, "has a name that no header can have")
        if text:
            check_header(name, text)
    return dict(value)


def check_int(name: str, value: Any, low: int, high: int | None) -> None:
    """Raise `ConfigurationError` unless ``value`` is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(name, f"must be a whole number, not {type(value).__name__}")
    if value < low or (high is not None and value > high):
        raise ConfigurationError(name, f"must be {low} to {high}" if high is not None else f"must be at least {low}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `ConfigurationError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ConfigurationError(name, f"must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_seconds(name: str, value: Any) -> None:
    """Raise `ConfigurationError` unless ``value`` is a finite number of seconds above 0."""
    # Compared so, NaN and what is too large for a float fail too.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        raise ConfigurationError(name, "must be a number of seconds above 0")
