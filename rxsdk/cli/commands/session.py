"""``rxsdk auth``, ``rxsdk whoami``, ``rxsdk signout``: who this machine is to a server."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rxsdk import ApiService, SDKConfig, Session
from rxsdk.cli.ending import ending, tell
from rxsdk.cli.output import AsJson, print_facts, print_line
from rxsdk.cli.server import Server, keep_session, takes_server

__all__ = ["commands", "given_password"]

commands = typer.Typer()

_AUTH_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk auth ada@example.com
$ rxsdk auth ada --attr username --profile shop
$ RXSDK_PASSWORD=… rxsdk auth ada@example.com
$ pass show limp | rxsdk auth ada@example.com --password-file -
"""


@commands.command(epilog=_AUTH_EXAMPLES)
@takes_server
def auth(
    who: Annotated[str, typer.Argument(metavar="WHO", help="The email, user name … to sign in with.")],
    server: Server,
    attr: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What WHO is: email, username …; the server's first when not given."),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take the password from the first line of FILE; - is stdin.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign in, and keep the session for the commands to come.

    The password is asked for, or taken from RXSDK_PASSWORD or a file; never from the command line, which others can
    read. It is not kept: the session is, in a file that only you may read.
    """
    config = server.config()
    attr = attr or config.auth_attrs[0]
    with ending("auth", as_json=as_json):
        password = given_password(who, password_file)

        async def sign_in(api: ApiService) -> Session | None:
            await api.auth(attr, who, password)
            return api.session

        session = server.run(dataclasses.replace(config, cache=None), sign_in)
        keep_session(config, session)
    _print_session(config, session, as_json=as_json)


def given_password(who: str, file: Path | None) -> str:
    """From ``file``, from the environment, or asked for; raises `typer.BadParameter` when there is none."""
    if file is not None:
        try:
            text = sys.stdin.readline() if str(file) == "-" else file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = getattr(error, "strerror", None) or "is not text"
            raise typer.BadParameter(f"{file}: {problem}", param_hint="--password-file") from None
        password = text.partition("\n")[0].rstrip("\r")
    elif from_environment := os.environ.get("RXSDK_PASSWORD"):
        password = from_environment
    elif sys.stdin.isatty():
        password = str(typer.prompt(f"Password of {who}", hide_input=True, err=True))
    else:
        problem = "nobody can be asked for the password here: set RXSDK_PASSWORD, or give --password-file"
        raise typer.BadParameter(problem, param_hint="--password-file")
    if not password:
        raise typer.BadParameter("the password is empty", param_hint="--password-file")
    return password


_WHOAMI_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk whoami
$ rxsdk whoami --profile shop --json
"""


@commands.command(epilog=_WHOAMI_EXAMPLES)
@takes_server
def whoami(server: Server, as_json: AsJson = False) -> None:
    """Say who is signed in, having asked the server whether that still holds.

    Exit code 4 when nobody is, or the session is no longer good.
    """
    config = server.config()

    async def session_of(api: ApiService) -> Session | None:
        return api.session

    with ending("whoami", as_json=as_json):
        session = server.run(config, session_of, signed_in=True)
    _print_session(config, session, as_json=as_json)


_SIGNOUT_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk signout
$ rxsdk signout --profile shop
"""


@commands.command(epilog=_SIGNOUT_EXAMPLES)
@takes_server
def signout(server: Server, as_json: AsJson = False) -> None:
    """Sign out on the server, and forget the session here."""
    config = server.config()

    async def sign_out(api: ApiService) -> None:
        await api.signout()

    with ending("signout", as_json=as_json):
        server.run(config, sign_out, signed_in=True)
    if as_json:
        print_line({"api": config.api, "user": None})
    else:
        tell("Signed out.", "green")


def _print_session(config: SDKConfig, session: Session | None, *, as_json: bool) -> None:
    session = session or Session()
    user: Any = session.get("user")
    user = user if isinstance(user, dict) else {"_id": user}
    facts: dict[str, Any] = {"server": config.api.partition("?")[0]}
    for name in (*config.auth_attrs, "name", "_id"):
        if user.get(name):
            facts["id" if name == "_id" else name] = user[name]
    facts |= {"groups": user.get("groups") or [], "until": session.get("expiry")}
    if as_json:
        print_line(facts)
    else:
        print_facts(facts)
