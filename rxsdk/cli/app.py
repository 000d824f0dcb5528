"""The commands of ``rxsdk``, as typer sees them: options, help, exit codes.

Part of the command line; what the commands do stands in `demo` and `emulate`. Results go to standard output, what
went wrong to standard error, in one line. Exit codes: 0 it worked, 1 it did not, 2 the options make no sense,
130 Ctrl-C.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.resources
import logging
import math
import mimetypes
import os
import platform
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

import rxsdk
from rxsdk.cli.demo import tell
from rxsdk.cli.download import is_this_machine
from rxsdk.cli.show import plain
from rxsdk.cli.steps import STEPS

if TYPE_CHECKING:
    from rxsdk.emulator import Emulator

__all__ = ["app"]

LIBRARIES = (
    "reactivex",
    "websockets",
    "msgspec",
    "pyjwt",
    "aiofiles",
    "typer",
    "rich",
    "aiohttp",
    "mongomock",
    "keyring",
)
MAX_CHUNK_SIZE = 512_000

app = typer.Typer(
    name="rxsdk",
    help="Reactive WebSocket SDK for LIMP: every call returns an Observable.",
    epilog="Start with: rxsdk demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Quotas(StrEnum):
    """The choices of ``--quotas``."""

    OFF = "off"
    STOCK = "stock"


class ApiLevel(StrEnum):
    """The choices of ``--api-level``."""

    V5_0 = "5.0"
    V5_6 = "5.6"
    V6_0 = "6.0"
    V6_1 = "6.1"


@app.callback(invoke_without_command=True)
def _rxsdk(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if show_version:
        typer.echo(f"rxsdk {rxsdk.__version__}")
        raise typer.Exit


# -- demo ----------------------------------------------------------------------------------------------------------

_DEMO_HELP = """\
See the whole life of a LIMP client, step by step.

It connects, signs in, watches, creates a document with a file, reads it back, downloads the file, sees it change, \
loses the connection and comes back, deletes, signs out and closes, and looks each time whether that really happened. \
Without --api it does so on an emulator of its own.

Exit code 0 only if every step did what it should, else 1.
"""
_DEMO_EXAMPLES = """\
[bold]Examples[/bold]
  rxsdk demo
  rxsdk demo --file portrait.jpg
  rxsdk demo --api wss://limp.example.com/ws --anon-token T --email ada@example.com
"""


@app.command(help=_DEMO_HELP, epilog=_DEMO_EXAMPLES)
def demo(
    api: Annotated[
        str | None, typer.Option(metavar="URL", help="A real server in place of the emulator: wss://HOST[:PORT]/ws")
    ] = None,
    anon_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar="RXSDK_ANON_TOKEN", show_envvar=True, help="Its anonymous token."),
    ] = None,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="Who signs in.")] = None,
    password: Annotated[
        str | None,
        typer.Option(metavar="PASSWORD", envvar="RXSDK_PASSWORD", show_envvar=True, help="Asked for when not given."),
    ] = None,
    app_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="This app's name, if the server wants one.")
    ] = None,
    origin: Annotated[str | None, typer.Option(metavar="URL", help="The Origin of a web app, likewise.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="The image to upload; a small one is included."),
    ] = None,
) -> None:
    """``rxsdk demo``"""
    logging.getLogger("rxsdk").addHandler(logging.NullHandler())  # the story says what there is to say
    if file is not None and not (mimetypes.guess_type(file.name)[0] or "").startswith("image/"):
        raise typer.BadParameter("must be an image: staff.photo takes nothing else", param_hint="--file")
    if api is None and (email, app_id, origin) != (None, None, None):
        raise typer.BadParameter("goes with --api only", param_hint="--email, --app-id, --origin")
    with _photo(file) as photo:
        if api is None:
            _demo_emulated(photo)
        else:
            config, email, password = _real_server(api, anon_token, email, password, app_id, origin, photo)
            _tell(config, email, password, photo)


@contextlib.contextmanager
def _photo(file: Path | None) -> Iterator[Path]:
    if file is not None:
        yield file
        return
    with importlib.resources.as_file(importlib.resources.files("rxsdk.cli") / "photo.png") as included:
        yield included


def _demo_emulated(photo: Path) -> None:
    with _emulator_class("demo")() as emulator:
        config = emulator.config(proxy=False, file_chunk_size=_chunk_size(photo))
        _tell(config, emulator.admin_email, emulator.admin_password, photo, emulator.drop_connections)


def _real_server(
    api: str,
    anon_token: str | None,
    email: str | None,
    password: str | None,
    app_id: str | None,
    origin: str | None,
    photo: Path,
) -> tuple[rxsdk.SDKConfig, str, str]:
    if not anon_token or not email:
        raise typer.BadParameter("needs --anon-token and --email too", param_hint="--api")
    if not password:
        if not sys.stdin.isatty():
            raise typer.BadParameter("needs --password too, or RXSDK_PASSWORD", param_hint="--api")
        password = str(typer.prompt("Password", hide_input=True, err=True))
    try:
        config = rxsdk.SDKConfig(
            api=api,
            anon_token=anon_token,
            auth_attrs=["email"],
            app_id=app_id,
            origin=origin,
            proxy=not is_this_machine(api),
            file_chunk_size=_chunk_size(photo),
        )
    except rxsdk.ConfigurationError as error:
        raise typer.BadParameter(error.problem, param_hint="--" + error.field.replace("_", "-")) from None
    return config, email, password


def _chunk_size(photo: Path) -> int:
    """Three chunks, so that there is something to see, unless they would be large."""
    return max(1, min(MAX_CHUNK_SIZE, math.ceil(photo.stat().st_size / 3)))


def _tell(
    config: rxsdk.SDKConfig, email: str, password: str, photo: Path, cut: Callable[[], None] | None = None
) -> None:
    try:
        failure = tell(config, email=email, password=password, photo=photo, cut=cut)
    except KeyboardInterrupt:
        _fail("demo", "stopped by Ctrl-C", code=130)
    if failure is not None:
        _fail("demo", f"step {failure.number} of {len(STEPS)} failed ({failure.title}): {failure.reason}")


# -- emulate -------------------------------------------------------------------------------------------------------

_EMULATE_HELP = """\
Run a LIMP server for tests, emulated, until Ctrl-C.

It prints what a client needs to connect. Its app has staff and albums: everybody may read them, the administrator \
may do everything, and users made by them may change staff.
"""
_EMULATE_EXAMPLES = """\
[bold]Examples[/bold]
  rxsdk emulate --port 8081
  rxsdk emulate --quotas stock --conn-timeout-s 20
  rxsdk emulate --data staff.json --client-app shop:web:https://shop.example.com
"""


@app.command(help=_EMULATE_HELP, epilog=_EMULATE_EXAMPLES)
def emulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 8081,
    quotas: Annotated[Quotas, typer.Option(help="stock: 40, 100 and 500 messages a minute, as the real server.")] = (
        Quotas.OFF
    ),
    conn_timeout_s: Annotated[
        float, typer.Option(metavar="SECONDS", help="Close a connection idle for longer.")
    ] = 120.0,
    admin_email: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="The administrator, instead of the sample app's.")
    ] = None,
    admin_password: Annotated[str | None, typer.Option(metavar="PASSWORD", help="The password, likewise.")] = None,
    anon_token: Annotated[str | None, typer.Option(metavar="TOKEN", help="The anonymous token, likewise.")] = None,
    client_app: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:TYPE[:ORIGIN,…]", help="Let in this app (web, ios, android); may be given again."),
    ] = None,
    api_level: Annotated[ApiLevel, typer.Option(help="The generation of the server.")] = ApiLevel.V6_0,
    data: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Keep the documents in this file, for the next time.")
    ] = None,
) -> None:
    """``rxsdk emulate``"""
    if data is not None and not (data.parent.is_dir() and os.access(data.parent, os.W_OK)):
        raise typer.BadParameter(f"{data.parent} is not a directory that can be written to", param_hint="--data")
    given = {"admin_email": admin_email, "admin_password": admin_password, "anon_token": anon_token}
    options = {name: value for name, value in given.items() if value}
    emulator_class = _emulator_class("emulate")
    from rxsdk.cli.emulate import NotServing, first_app, serve  # noqa: PLC0415 - only with the extra "emulator"

    try:
        emulator = emulator_class(
            port=port,
            quotas=quotas.value,
            conn_timeout_s=conn_timeout_s,
            client_apps=client_app or None,
            api_level=api_level.value,
            data=data,
            **options,  # type: ignore[arg-type]
        )
    except rxsdk.ConfigurationError as error:
        option = "--" + error.field.replace("_", "-").removesuffix("s" if error.field == "client_apps" else "")
        raise typer.BadParameter(error.problem, param_hint=option) from None
    facts = {
        "api level": api_level.value,
        "quotas": quotas.value,
        "idle timeout": f"{conn_timeout_s:g} s",
        "documents": f"kept in {data}" if data else "in memory, gone at the end",
    }
    try:
        serve(emulator, facts, first_app(client_app or []))
    except NotServing as error:
        _fail("emulate", str(error))


# -- version -------------------------------------------------------------------------------------------------------


@app.command()
def version() -> None:
    """Print the versions of rxsdk, of Python, and of the libraries they stand on."""
    typer.echo(f"rxsdk {rxsdk.__version__}")
    typer.echo(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in LIBRARIES:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        typer.echo(f"{name} {found}")


# -- ending --------------------------------------------------------------------------------------------------------


def _emulator_class(command: str) -> type[Emulator]:
    try:
        from rxsdk.emulator import Emulator  # noqa: PLC0415 - only here may it be missing
    except ImportError as error:
        if "rxsdk[emulator]" not in str(error):
            raise
        _fail(command, str(error))
    return Emulator


def _fail(command: str, problem: str, *, code: int = 1) -> NoReturn:
    """End with one line on standard error."""
    text = Text(f"rxsdk {command}: {plain(problem)}", style="red")
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)
    raise typer.Exit(code)
