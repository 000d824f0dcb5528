"""`Emulator`: one emulated LIMP server on a thread of its own, to be used from tests and from the command line.

The facade; how it runs, and what every emulated server can be told, stands in `host`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rxsdk.emulator.clock import Clock, SystemClock
from rxsdk.emulator.host import Host
from rxsdk.emulator.modules import Module, default_modules
from rxsdk.emulator.scripting import Rule, Scripted
from rxsdk.emulator.server import Server
from rxsdk.emulator.settings import ApiLevel, ClientApp, Quotas, Settings, WatchMode, client_apps_of

if TYPE_CHECKING:
    from rxsdk.config import SDKConfig

__all__ = ["Emulator"]


class Emulator(Host[Server]):
    """A LIMP server (as LIMPd 6.0.5) for tests.

    Use it as a context manager, sync or async, or with `start` and `stop`. Scripting and records work in between,
    and keep what they were told across a restart; documents survive one with ``data`` only.

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
        super().__init__(host, port)

    def __repr__(self) -> str:
        return f"<Emulator {self.url}>" if self._port else "<Emulator not started>"

    def _make_server(self) -> Server:
        return Server(self._settings, self._modules, self._clock, self._script, self._record)

    def _privileges(
        self, given: Mapping[str, Iterable[str]] | None, *, custom: bool, level: ApiLevel
    ) -> dict[str, tuple[str, ...]]:
        if given is not None:
            return {module: tuple(held) for module, held in given.items()}
        names = [module.name for module in self._modules] if custom else ["staff"]
        privileges: dict[str, tuple[str, ...]] = dict.fromkeys(names, ("create", "update", "delete"))
        return {**privileges, "file": ("create",)} if level == "6.1" else privileges

    # ---- what a client needs to know

    @property
    def url(self) -> str:
        """Where clients connect; with realms, the first one's."""
        realm = f"/{self._settings.realms[0]}" if self._settings.realms else ""
        return f"ws://{self.authority}/ws{realm}"

    @property
    def http_url(self) -> str:
        """Where files are read: ``{http_url}/{module}/retrieve_file/{_id}/{attr}/{name}``."""
        return f"http://{self.authority}"

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

    def expire_sessions(self) -> None:
        """Put the expiry of every session into the past: each ``session/reauth`` is refused."""
        self._on_loop(lambda server: server.expire_sessions())

    # ---- records

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return self._on_loop(lambda server: server.watches)


_DEFAULTS = Settings()
