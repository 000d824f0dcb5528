"""`Emulator`: one emulated LIMP server on a thread of its own, to be used from tests and from the command line.

The facade: everything here may be called from any thread. The emulator's loop, its store and its sockets live on
the thread ``rxsdk-emulator`` from ``start`` to ``stop``, and nothing of them is left afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rxsdk.emulator.clock import Clock, SystemClock
from rxsdk.emulator.modules import Module, default_modules
from rxsdk.emulator.scripting import Executed, Received, Record, Rule, Script, Scripted
from rxsdk.emulator.server import Server
from rxsdk.emulator.settings import ApiLevel, ClientApp, Quotas, Settings, WatchMode, client_apps_of

if TYPE_CHECKING:
    from rxsdk.config import SDKConfig

__all__ = ["Emulator"]

log = logging.getLogger("rxsdk.emulator")

T = TypeVar("T")


class Emulator:
    """A LIMP server (as LIMPd 6.0.5) for tests.

    Use it as a context manager, sync or async, or with `start` and `stop`. Scripting and records work in between,
    and keep what they were told across a restart.

    Args:
        host, port: where to listen; port 0 takes a free one, and a restart keeps it.
        quotas: ``"stock"`` enforces the server's 40, 100 and 500 messages a minute.
        conn_timeout_s: a connection without a message for longer is closed, looked at every 60 s.
        admin_email, admin_password: the administrator, who may everything.
        anon_token: signs the messages of who is not signed in.
        client_apps: the apps let in, as a mapping or as ``NAME:TYPE[:ORIGIN,…]``; everybody when empty.
        api_level: the generation: first message, hashes, and at ``"6.1"`` files over HTTP.
        data: a file to keep the documents in across restarts; memory only when None.
        modules: the app's modules; staff and album of the recordings when None.
        default_privileges: what users who are not the administrator may, by module; create, update and
            delete of the app's modules when None (for the recordings' app: of staff).
        clock: what time it is; a `ManualClock` makes quotas, idle time and expiry a matter of ``advance``.
        seed: makes ids and tokens the same in every run.
        watch_mode: ``"stock"``: the watch of 6.0.5, which fails for modules that do not override it;
            ``"strict"``: that of a MongoDB that refuses its pipeline, silent for all.
        realms: names of realms; then connections go to ``/ws/{realm}`` only.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        quotas: Quotas = "off",
        conn_timeout_s: float = 120.0,
        admin_email: str = Settings.admin_email,
        admin_password: str | None = None,
        anon_token: str | None = None,
        client_apps: Mapping[str, ClientApp] | Iterable[str] | None = None,
        api_level: ApiLevel = "6.0",
        data: str | Path | None = None,
        modules: Iterable[Module] | None = None,
        default_privileges: Mapping[str, Iterable[str]] | None = None,
        clock: Clock | None = None,
        seed: int | str | None = None,
        watch_mode: WatchMode = "working",
        realms: Iterable[str] = (),
    ) -> None:
        self._modules = default_modules() if modules is None else tuple(modules)
        self._settings = Settings(
            host=host,
            port=port,
            quotas=quotas,
            conn_timeout_s=conn_timeout_s,
            admin_email=admin_email,
            admin_password=admin_password or _DEFAULTS.admin_password,
            anon_token=anon_token or _DEFAULTS.anon_token,
            client_apps=client_apps_of(client_apps),
            api_level=api_level,
            data=None if data is None else Path(data),
            seed=seed,
            watch_mode=watch_mode,
            realms=tuple(realm.lower() for realm in realms),
            default_privileges=self._privileges(default_privileges, custom=modules is not None, level=api_level),
        )
        self._clock = clock or SystemClock()
        self._script = Script()
        self._record = Record()
        self._port = port
        self._thread: threading.Thread | None = None
        self._server: Server | None = None
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def _privileges(
        self, given: Mapping[str, Iterable[str]] | None, *, custom: bool, level: ApiLevel
    ) -> dict[str, tuple[str, ...]]:
        if given is not None:
            return {module: tuple(held) for module, held in given.items()}
        names = [module.name for module in self._modules] if custom else ["staff"]
        privileges: dict[str, tuple[str, ...]] = dict.fromkeys(names, ("create", "update", "delete"))
        return {**privileges, "file": ("create",)} if level == "6.1" else privileges

    # ---- running

    def start(self) -> Self:
        """Start serving; returns when connections are accepted. Raises what kept it from starting."""
        if self._thread is not None:
            raise RuntimeError("the emulator is running already")
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rxsdk-emulator")
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            failure, thread = self._failure, self._thread
            self._thread = None
            thread.join()
            raise failure
        return self

    def stop(self) -> None:
        """Drop all connections, save the data, end the thread. No harm when it is not running."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self._thread = self._loop = self._stopping = self._server = None
        if self._failure is not None:
            raise self._failure

    def restart(self) -> None:
        """Stop and start on the same port; documents survive with ``data`` only."""
        self.stop()
        self.start()

    def run(self, on_ready: Callable[[Emulator], None] | None = None) -> None:
        """Serve in the foreground until Ctrl-C; ``on_ready`` is called once connections are accepted."""
        with self:
            if on_ready is not None:
                on_ready(self)
            with contextlib.suppress(KeyboardInterrupt):
                while self._thread is not None and self._thread.is_alive():
                    self._thread.join(timeout=1)

    def _run(self, ready: threading.Event) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(ready))
        except BaseException as error:
            self._failure = error
            if ready.is_set() and not (self._stopping is not None and self._stopping.is_set()):
                log.exception("the emulator failed")  # else `start` or `stop` is waiting to raise it
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self._settings, self._modules, self._clock, self._script, self._record)
        try:
            self._port = await server.open(self._port)
            self._server = server
            ready.set()
            await self._stopping.wait()
        finally:
            await server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    # ---- what a client needs to know

    @property
    def port(self) -> int:
        """The port it listens on, or will try to."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients connect; with realms, the first one's."""
        realm = f"/{self._settings.realms[0]}" if self._settings.realms else ""
        return f"ws://{self._authority}/ws{realm}"

    @property
    def http_url(self) -> str:
        """Where files are read: ``{http_url}/{module}/retrieve_file/{_id}/{attr}/{name}``."""
        return f"http://{self._authority}"

    @property
    def _authority(self) -> str:
        host = self._settings.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def anon_token(self) -> str:
        """The anonymous token."""
        return self._settings.anon_token

    @property
    def admin_email(self) -> str:
        """The administrator's email."""
        return self._settings.admin_email

    @property
    def admin_password(self) -> str:
        """The administrator's password."""
        return self._settings.admin_password

    def config(self, **overrides: Any) -> SDKConfig:
        """An ``SDKConfig`` for this server; ``overrides`` are more of its fields, or other values."""
        from rxsdk.config import SDKConfig  # noqa: PLC0415 - the only thing of rxsdk it uses, and only here

        level = self._settings.api_level
        fields: dict[str, Any] = {
            "api": self.url,
            "anon_token": self.anon_token,
            "auth_attrs": ["email"],
            "auth_hash_level": "5.6" if level == "6.0" else level,
        }
        return SDKConfig(**{**fields, **overrides})

    # ---- scripting

    def reply_to(
        self, endpoint: str, reply: Scripted | None = None, *, times: int | None = None, **fields: Any
    ) -> None:
        """Answer calls of ``endpoint`` (any, also ones no module has) with this instead of making them.

        Args:
            reply: ``{"status", "msg", "args"}``, or a function of the call's payload that returns one, or None
                to have the call made as usual. ``args.call_id`` is added.
            fields: the same, spelled as keywords: ``status=``, ``msg=``, ``args=``.
        """
        self._script.add(Rule(endpoint.lower(), "reply", {**fields} if reply is None else reply, times))

    def delay(self, endpoint: str, seconds: float, *, times: int | None = None) -> None:
        """Make calls of ``endpoint`` (and answer them) only after ``seconds`` of the emulator's clock."""
        self._script.add(Rule(endpoint.lower(), "delay", seconds, times))

    def silence(self, endpoint: str, *, times: int | None = None, execute: bool = False) -> None:
        """Do not answer calls of ``endpoint``; with ``execute`` they are made all the same."""
        self._script.add(Rule(endpoint.lower(), "silence", execute, times))

    def refuse_next(
        self, endpoint: str | None, status: int, code: str | None, msg: str = "Refused.", *, times: int = 1
    ) -> None:
        """Refuse the next call (or ``times``) of ``endpoint``; None: of anything but verify and heartbeats."""
        args = {} if code is None else {"code": code}
        refusal = {"status": status, "msg": msg, "args": args}
        self._script.add(Rule(None if endpoint is None else endpoint.lower(), "reply", refusal, times))

    def without_call_id(self, endpoint: str, *, times: int = 1) -> None:
        """Leave ``call_id`` out of the answers to the next calls of ``endpoint``, as some 500s do."""
        self._script.add(Rule(endpoint.lower(), "without_call_id", True, times))

    def clear_script(self) -> None:
        """Forget all of the above."""
        self._script.clear()

    def drop_connections(self) -> None:
        """Cut all connections off, without a close frame."""
        self._on_loop(lambda server: server.each(lambda connection: connection.abort()))

    def close_with(self, code: int, reason: str = "") -> None:
        """Close all connections with ``code``."""
        self._on_loop(lambda server: server.each(lambda connection: connection.close(code, reason)))

    def push(self, frame: Mapping[str, Any] | str, *, connection: int | None = None) -> None:
        """Send a message nobody asked for, to one connection (by number) or all; a text goes out as it is."""

        def push(server: Server) -> None:
            for one in server.connections:
                if connection in (None, one.number):
                    one.send_text(frame) if isinstance(frame, str) else one.send(dict(frame))

        self._on_loop(push)

    def expire_sessions(self) -> None:
        """Put the expiry of every session into the past: each ``session/reauth`` is refused."""
        self._on_loop(lambda server: server.expire_sessions())

    # ---- records

    @property
    def received(self) -> list[Received]:
        """Every message that came in, oldest first: ``(connection, payload, accepted)``."""
        return self._record.received

    @property
    def executed(self) -> Executed:
        """How many calls ran, by endpoint; ``executed.by_call_id`` the same by call id. Refused ones did not."""
        return self._record.executed

    def clear_records(self) -> None:
        """Start `received` and `executed` over."""
        self._record.clear()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._on_loop(lambda server: len(server.connections))

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return self._on_loop(lambda server: server.watches)

    def wait_until(self, condition: Callable[[Emulator], Any], timeout_s: float = 10.0) -> None:
        """Wait until ``condition(self)`` is true, looking whenever something came in or ran, and every 20 ms.

        Raises:
            TimeoutError: it did not become true.
        """
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"not so within {timeout_s:g} s")
            with self._record.changed:
                self._record.changed.wait(0.02)

    def _on_loop(self, work: Callable[[Server], T]) -> T:
        """Have the loop do something, and wait for it; on the loop itself, just do it."""
        server, loop = self._server, self._loop
        if server is None or loop is None:
            raise RuntimeError("the emulator is not running")
        if threading.current_thread() is self._thread:
            return work(server)

        async def run() -> T:
            return work(server)

        return asyncio.run_coroutine_threadsafe(run(), loop).result(timeout=30)


_DEFAULTS = Settings()
