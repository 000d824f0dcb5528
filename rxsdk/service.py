"""`Service`: what every service of the SDK does, whatever it speaks: open, wait, sleep, close, and say where it is.

Floor 3, under `rxsdk.limp` and its siblings, which add their calls. What a service is inside (its `Life`, its machine,
what its events mean) is an `Inside`, made anew for each life.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from rxsdk.core.clock import Clock
from rxsdk.core.connection import Connection
from rxsdk.core.loop import check_may_block
from rxsdk.core.state import ConnectionState
from rxsdk.core.transport import Connect, Handshake, websocket_connect
from rxsdk.errors import ConfigurationError
from rxsdk.protocols.contract import Machine
from rxsdk.reactive.call import Call
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.road import RoadConfig

__all__ = ["Inside", "Service", "connector"]

C = TypeVar("C", bound=RoadConfig)
M = TypeVar("M")


class Inside(Protocol):
    """One life of a service. Made before it is opened, so that its streams can be subscribed to; used once."""

    life: Life
    messages: Multicast[Any]
    """What `Service.init` returns."""
    round_trips: Multicast[float]
    machine_type: type[Machine]

    def open(self, owner: object, config: Any, connect: Connect, clock: Clock | None) -> None:
        """Begin to connect; ``owner`` is the service, see `Life.open`."""
        ...


class Service(Generic[C, M]):
    """One connection to one server, opened and closed; its subclasses have the calls.

    Args:
        make: makes the inside of a life; must not hold the service.
        config_type: what ``config`` has to be.
    """

    def __init__(
        self,
        make: Callable[[], Inside],
        config_type: type[C],
        config: C | None,
        connect: Connect | None,
        clock: Clock | None,
    ) -> None:
        self._make = make
        self._config_type = config_type
        self._config = self._checked(config)
        self._connect = connect
        self._given_clock = clock
        self._alone = (os.getpid(), threading.RLock())
        self._prepare()

    def _prepare(self) -> None:
        """A fresh life, whose streams can be subscribed to before `init`."""
        self._inside = self._make()
        self._life = self._inside.life

    def _checked(self, config: C | None) -> C | None:
        wanted = self._config_type
        if config is not None and not isinstance(config, wanted):
            article = "an" if wanted.__name__.startswith("SDK") else "a"
            raise ConfigurationError("config", f"must be {article} {wanted.__name__}, not {type(config).__name__}")
        return config

    def _needed_config(self) -> C:
        if self._config is None:
            raise ConfigurationError("config", f"is missing: {type(self).__name__}(config) or init(config)")
        return self._config

    # -- opening and closing

    def init(self, config: C | None = None) -> Stream[M]:
        """Connect, whether or not anybody subscribes, and keep connected until `close`.

        Returns every message of the server as a stream: hot, without replay; it completes at `close` and ends with
        the error when connecting cannot succeed. While open, the same stream is returned again.

        Raises:
            ConfigurationError: no config was ever given, or another one than it is open with.
        """
        self._checked(config)
        with self._deciding():
            return self._opened(config)

    def _deciding(self) -> AbstractContextManager[Any]:
        """Any thread may open it or close it, also two in one moment. In a forked child no other does."""
        if self._alone[0] != os.getpid():
            self._alone = (os.getpid(), threading.RLock())
        return self._alone[1]

    def _opened(self, config: C | None) -> Stream[M]:
        if self._life.is_open:
            if config not in (None, self._config):
                raise ConfigurationError("config", "differs from the one in use; close() first")
            return self._inside.messages
        self._config = config or self._config
        if self._life.is_used or self._life.state.name != "idle":  # closed before it was ever opened
            self._prepare()
        config = self._needed_config()
        if config.leaves_machine_unencrypted:
            _warn_unencrypted(config.address)
        connect = self._connect or connector(config, self._inside.machine_type)
        self._inside.open(self, config, connect, self._given_clock)
        return self._inside.messages

    def close(self) -> Call[ConnectionState]:
        """Write what can be written, say goodbye and end; closing has begun when this returns.

        Streams and watches complete, calls not written end with `CallNotSent`, unanswered ones with
        `CallOutcomeUnknown`. The returned call settles when nothing runs any more: subscribers are given all that came
        for them first, however long they take. ``result(timeout_s)`` waits no longer than that; who has no use for the
        rest disposes its subscription before. Closing twice does no harm.
        """
        with self._deciding():
            return self._life.close()

    def suspend(self) -> None:
        """Disconnect for a while: the app goes to the background or the machine to sleep. Calls wait."""
        if self._life.is_open:
            self._life.on_loop(Connection.suspend, self._life.connection)

    def resume(self) -> None:
        """Connect again at once."""
        if self._life.is_open:
            self._life.on_loop(Connection.resume, self._life.connection)

    def reconnect_now(self) -> None:
        """Do not wait for the delay to pass: the network is back. Does nothing while connected or suspended."""
        if self._life.is_open:
            self._life.on_loop(Connection.reconnect_now, self._life.connection)

    def __enter__(self) -> Self:
        name = type(self).__name__
        check_may_block(f"with {name}(…)", f"async with {name}(…)")
        self.init()
        config = self._needed_config()
        try:
            self._life.wait_ready(config.connect_timeout_s, config.address)
        except BaseException:
            self.close().result()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close().result()

    async def __aenter__(self) -> Self:
        self.init()
        config = self._needed_config()
        try:
            await self._life.when_ready(config.connect_timeout_s, config.address)
        except BaseException:
            await self._life.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.aclose()

    # -- state

    @property
    def inited(self) -> bool:
        """Whether calls go out at once: connected, let in, and the session of before brought back."""
        return self.state.name == "ready"

    @property
    def inited_stream(self) -> Stream[bool]:
        """`inited` and its changes, the latest first. (``inited$``)"""
        return self._life.readiness

    @property
    def state(self) -> ConnectionState:
        """Where the connection is, and why."""
        return self._life.state

    @property
    def state_stream(self) -> Stream[ConnectionState]:
        """`state` and its changes, the latest first."""
        return self._life.states

    @property
    def round_trip_stream(self) -> Stream[float]:
        """Seconds each heartbeat took to be answered: hot, without replay."""
        return self._inside.round_trips


def connector(config: RoadConfig, machine: type[Machine]) -> Connect:
    """What opens the WebSockets of a service with this config; wrap it to look on (``connect=…``)."""
    # Proxies of the environment are for the world outside.
    proxy = False if config.proxy is True and config.is_loopback else config.proxy
    handshake = Handshake(
        url=config.address,
        is_text=machine.is_text,
        subprotocols=machine.subprotocols,
        timeout_s=config.connect_timeout_s,
        max_message_bytes=config.max_message_bytes,
        ssl_context=config.ssl_context,
        proxy=proxy,
        extra_headers=config.headers_sent,
        origin=config.origin,
        user_agent=config.user_agent,
    )
    return websocket_connect(handshake, config.transport)


_warned_of: set[str] = set()


def _warn_unencrypted(url: str) -> None:
    if url not in _warned_of:
        _warned_of.add(url)
        warnings.warn(
            f"{url} is not encrypted and leaves this machine: passwords and tokens would travel readably; use wss://",
            stacklevel=_levels_to_caller(),
        )


def _levels_to_caller() -> int:
    """How far up the stack the application's line is, seen from who asks."""
    level, frame = 1, sys._getframe(1)
    ours = os.path.dirname(__file__)
    while os.path.dirname(frame.f_code.co_filename) == ours and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level
