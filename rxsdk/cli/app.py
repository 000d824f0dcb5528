"""The command line put together: every group of `rxsdk.cli.commands`, and what ``rxsdk`` says by itself.

A new command is a file in ``commands/`` and its name in `GROUPS` here.

Exit codes, for every command:

      0  it worked
      1  it did not: the server said no, a file could not be written …
      2  the options make no sense
      3  the server could not be reached, or the connection was lost
      4  nobody is signed in, or signing in was refused
    130  Ctrl-C
"""

from __future__ import annotations

from typing import Annotated

import typer

import rxsdk
from rxsdk.cli.commands import call, chat, demo, doctor, emulate, files, session, sylk, typegen, version, watch

__all__ = ["app"]

GROUPS = (session, call, watch, files, doctor, typegen, emulate, demo, chat, sylk, version)

_EPILOG = """\
[bold]Start with[/bold]
  rxsdk demo                                   the whole life of a client
  rxsdk emulate                                a server to try things on
  rxsdk doctor                                 what is wrong with mine?

[bold]Exit codes[/bold]
  0    it worked
  1    it did not
  2    the options make no sense
  3    no connection to the server
  4    nobody is signed in, or signing in was refused
  130  Ctrl-C
"""

app = typer.Typer(
    name="rxsdk",
    help="Reactive WebSocket SDK for LIMP: every call returns an Observable.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in GROUPS:
    app.add_typer(group.commands)


@app.callback(invoke_without_command=True)
def _rxsdk(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if show_version:
        typer.echo(f"rxsdk {rxsdk.__version__}")
        raise typer.Exit
