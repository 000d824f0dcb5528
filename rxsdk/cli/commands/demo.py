"""``rxsdk demo``, as typer sees it; what it does stands in `rxsdk.cli.demo`."""

from __future__ import annotations

import contextlib
import importlib.resources
import logging
import math
import mimetypes
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import rxsdk
from rxsdk.cli.demo import tell
from rxsdk.cli.download import is_this_machine
from rxsdk.cli.ending import emulator_class, fail
from rxsdk.cli.output import AsJson
from rxsdk.cli.steps import STEPS

__all__ = ["commands"]

MAX_CHUNK_SIZE = 512_000

commands = typer.Typer()

_DEMO_HELP = """\
See the whole life of a LIMP client, step by step.

It connects, signs in, watches, creates a document with a file, reads it back, downloads the file, sees it change, \
loses the connection and comes back, deletes, signs out and closes, and looks each time whether that really happened. \
Without --api it does so on an emulator of its own.

Exit code 0 only if every step did what it should, else 1.
"""
_DEMO_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk demo
$ rxsdk demo --file portrait.jpg
$ rxsdk demo --api wss://HOST/ws --anon-token TOKEN --email ada@example.com
"""


@commands.command(help=_DEMO_HELP, epilog=_DEMO_EXAMPLES)
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
    as_json: AsJson = False,
) -> None:
    """``rxsdk demo``"""
    play = partial(_tell, as_json=as_json)
    logging.getLogger("rxsdk").addHandler(logging.NullHandler())  # the story says what there is to say
    if file is not None and not (mimetypes.guess_type(file.name)[0] or "").startswith("image/"):
        raise typer.BadParameter("must be an image: staff.photo takes nothing else", param_hint="--file")
    if api is None and (email, app_id, origin) != (None, None, None):
        raise typer.BadParameter("goes with --api only", param_hint="--email, --app-id, --origin")
    with _photo(file) as photo:
        if api is None:
            _demo_emulated(photo, play)
        else:
            config, email, password = _real_server(api, anon_token, email, password, app_id, origin, photo)
            play(config, email, password, photo)


@contextlib.contextmanager
def _photo(file: Path | None) -> Iterator[Path]:
    if file is not None:
        yield file
        return
    with importlib.resources.as_file(importlib.resources.files("rxsdk.cli") / "photo.png") as included:
        yield included


def _demo_emulated(photo: Path, play: Callable[..., None]) -> None:
    with emulator_class("demo")() as emulator:
        config = emulator.config(proxy=False, file_chunk_size=_chunk_size(photo))
        play(config, emulator.admin_email, emulator.admin_password, photo, emulator.drop_connections)


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
    config: rxsdk.SDKConfig,
    email: str,
    password: str,
    photo: Path,
    cut: Callable[[], None] | None = None,
    *,
    as_json: bool,
) -> None:
    try:
        failure = tell(config, email=email, password=password, photo=photo, cut=cut, as_json=as_json)
    except KeyboardInterrupt:
        fail("demo", "stopped by Ctrl-C", code=130)
    if failure is not None:
        fail("demo", f"step {failure.step} of {len(STEPS)} failed ({failure.title}): {failure.said}")
