"""Which server a command talks to, and as whom: from options, ``RXSDK_*``, and a profile in the config file.

Part of the command line. An option beats the environment, and both beat the profile. The config file is
``config.toml`` in the user's config folder of rxsdk (Linux: ``~/.config/rxsdk``); each of its tables is a profile:

    [default]
    api = "wss://limp.example.com/ws"
    anon_token = "…"
    auth_attrs = ["email"]         # also: app_id, origin, auth_hash_level, timeout_s

    [shop]
    …

Sessions are kept beside it, in ``sessions.json`` of the user's state folder (mode 0600), apart for each profile.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import tomllib
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import platformdirs
import typer

import rxsdk
from rxsdk import (
    ApiService,
    CacheError,
    ConnectFailed,
    Credentials,
    FileCache,
    ReconnectPolicy,
    SDKConfig,
    Session,
    TransportError,
)
from rxsdk.cache import scope_of
from rxsdk.cli.ending import tell

__all__ = ["Server", "config_file", "keep_session", "kept_session", "run", "sessions_file", "takes_server"]

T = TypeVar("T")

_FIELDS = ("api", "anon_token", "auth_attrs", "app_id", "origin", "auth_hash_level", "timeout_s")
_PANEL = "Which server"


def config_file() -> Path:
    """Where the profiles are."""
    return platformdirs.user_config_path("rxsdk", appauthor=False) / "config.toml"


def sessions_file() -> Path:
    """Where the sessions are kept."""
    return platformdirs.user_state_path("rxsdk", appauthor=False) / "sessions.json"


def profiles() -> dict[str, dict[str, Any]]:
    """Every profile of the config file; none when there is no file.

    Raises:
        typer.BadParameter: the file cannot be read, or is not what it should be.
    """
    path = config_file()
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="config file") from None
    for name, profile in found.items():
        if not isinstance(profile, dict):
            problem = f"{path}: {name} stands outside of a profile; put it under [default]"
            raise typer.BadParameter(problem, param_hint="config file")
        unknown = ", ".join(sorted(profile.keys() - set(_FIELDS)))
        if unknown:
            problem = f"{path}: [{name}] has no setting {unknown}; there are {', '.join(_FIELDS)}"
            raise typer.BadParameter(problem, param_hint="config file")
    return found


def _complete_profile(incomplete: str) -> list[str]:
    try:
        return [name for name in profiles() if name.startswith(incomplete)]
    except typer.BadParameter:
        return []


@dataclass(frozen=True)
class Server:
    """What was given of the server; what is None is taken from the profile, then from the SDK's own defaults."""

    profile: str | None = None
    api: str | None = None
    anon_token: str | None = None
    auth_attrs: str | None = None
    app_id: str | None = None
    origin: str | None = None
    auth_hash_level: str | None = None
    timeout_s: float | None = None
    debug: bool = False

    def settings(self) -> dict[str, Any]:
        """The fields of `SDKConfig` that are known.

        Raises:
            typer.BadParameter: there is no such profile.
        """
        known = profiles()
        if self.profile is not None and self.profile not in known:
            names = f"there are {', '.join(known)}" if known else "there is none yet"
            raise typer.BadParameter(f"no profile {self.profile!r} in {config_file()}: {names}", param_hint="--profile")
        given = {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}
        if self.auth_attrs is not None:
            given["auth_attrs"] = [name.strip() for name in self.auth_attrs.split(",")]
        return {"auth_attrs": ["email"], **known.get(self.profile or "default", {}), **given}

    def config(self, *, keeps_trying: bool = False) -> SDKConfig:
        """The whole config. Unless it ``keeps_trying``, the first try to connect that fails ends the command.

        Raises:
            typer.BadParameter: something is missing or cannot work; it names the option.
        """
        settings = self.settings()
        for name in ("api", "anon_token"):
            if not settings.get(name):
                option = "--" + name.replace("_", "-")
                ways = f"give {option}, RXSDK_{name.upper()}, or {name} in a profile of {config_file()}"
                problem = f"{name} is missing: {ways}"
                raise typer.BadParameter(problem, param_hint=option)
        try:
            return SDKConfig(
                **settings,
                debug=self.debug,
                reconnect=ReconnectPolicy() if keeps_trying else ReconnectPolicy(is_fatal=_is_no_connection),
                cache=FileCache(sessions_file()),
                cache_key=self.profile or "default",
                user_agent=f"rxsdk/{rxsdk.__version__}",
            )
        except rxsdk.ConfigurationError as error:
            raise typer.BadParameter(error.problem, param_hint="--" + error.field.replace("_", "-")) from None

    def run(self, config: SDKConfig, work: Callable[[ApiService], Awaitable[T]], *, signed_in: bool = False) -> T:
        """What ``work`` returns, on a service that is connected meanwhile; ``signed_in`` by the kept session."""

        async def connected() -> T:
            async with ApiService(config) as api:
                if signed_in:
                    await api.check_auth()
                return await work(api)

        return run(config, connected)


def run(config: SDKConfig, work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work``; warnings, of the road and of the SDK's loggers, are told in the manner of the command line."""
    if config.leaves_machine_unencrypted:
        tell("rxsdk: ws:// to another machine: passwords travel readably. Use wss:// for all that matters.", "yellow")
    logger, handler = logging.getLogger("rxsdk"), _Told(logging.DEBUG if config.debug else logging.WARNING)
    logger.addHandler(logging.NullHandler())  # what is dropped after the end has been told by then
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* is not encrypted")  # said above

            async def main() -> T:
                return await work()

            return asyncio.run(main())
    finally:
        logger.removeHandler(handler)


def _is_no_connection(error: TransportError) -> bool:
    return isinstance(error, ConnectFailed)


class _Told(logging.Handler):
    """What the SDK logs, a line each, on standard error: warnings, and every frame when that was asked for."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = str(error) if isinstance(error, rxsdk.RxSdkError) else record.getMessage()
        tell(f"rxsdk: {text}", "yellow" if record.levelno >= logging.WARNING else "dim")


def kept_session(config: SDKConfig) -> Credentials | None:
    """The session that is kept for this server and profile.

    Raises:
        CacheError: the file cannot be read.
    """
    return None if config.cache is None else config.cache.get(scope_of(config.api, config.cache_key))


def keep_session(config: SDKConfig, session: Session | None) -> None:
    """Keep ``session`` for the commands to come.

    Raises:
        CacheError: it cannot be kept.
    """
    cache = FileCache(sessions_file())
    try:
        if session is None:
            raise CacheError(str(cache.path), "the server gave none")
        cache.put(scope_of(config.api, config.cache_key), Credentials(session["_id"], session["token"]))
    except CacheError as error:
        raise CacheError(error.place, f"signed in, but the session could not be kept: {error.problem}") from error


# -- the options ---------------------------------------------------------------------------------------------------


def _option(text: str, name: str, metavar: str, **more: Any) -> Any:
    return typer.Option(
        help=text, metavar=metavar, envvar=f"RXSDK_{name}", show_envvar=True, rich_help_panel=_PANEL, **more
    )


def _server_options(
    *,
    profile: Annotated[
        str | None,
        _option("A profile of the config file.", "PROFILE", "NAME", autocompletion=_complete_profile),
    ] = None,
    api: Annotated[str | None, _option("Where it is: wss://HOST[:PORT]/ws", "API", "URL")] = None,
    anon_token: Annotated[str | None, _option("Its anonymous token.", "ANON_TOKEN", "TOKEN")] = None,
    auth_attrs: Annotated[str | None, _option("What its users sign in with.", "AUTH_ATTRS", "NAME,…")] = None,
    app_id: Annotated[str | None, _option("This app's name, if it wants one.", "APP_ID", "NAME")] = None,
    origin: Annotated[str | None, _option("The Origin of a web app, likewise.", "ORIGIN", "URL")] = None,
    auth_hash_level: Annotated[
        str | None, _option("How it wants passwords hashed: 5.0, 5.6 or 6.1.", "AUTH_HASH_LEVEL", "LEVEL")
    ] = None,
    timeout_s: Annotated[float | None, _option("How long an answer may take.", "TIMEOUT_S", "SECONDS")] = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show every frame, secrets taken out, on standard error.", rich_help_panel=_PANEL),
    ] = False,
) -> None:
    """The parameters that `takes_server` gives to commands."""


def takes_server(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, whose parameter ``server`` is made from the options that say which server."""
    shared = inspect.signature(_server_options, eval_str=True).parameters
    signature = inspect.signature(command, eval_str=True)
    own = [one.replace(kind=one.KEYWORD_ONLY) for one in signature.parameters.values() if one.name != "server"]

    @functools.wraps(command)
    def with_server(**given: Any) -> None:
        which = {name: given.pop(name) for name in shared}
        command(**given, server=Server(**which))

    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    with_server.__doc__ = "\n\n".join(" ".join(each.split()) for each in paragraphs)  # typer keeps the ends of lines
    with_server.__signature__ = signature.replace(parameters=[*own, *shared.values()])  # type: ignore[attr-defined]
    with_server.__annotations__ = {one.name: one.annotation for one in (*own, *shared.values())}
    return with_server
