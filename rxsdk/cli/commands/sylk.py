"""``rxsdk sylk``: a SIP account of a SylkServer: does it register, write a message, see its calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from rxsdk import ConfigurationError, SylkAccount, SylkConfig, SylkService, SylkSession
from rxsdk.cli.commands.session import given_password
from rxsdk.cli.ending import ending, fail, tell
from rxsdk.cli.show import plain

__all__ = ["commands"]

_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk emulate --wire sylk
$ rxsdk sylk register ada@example.com --url ws://127.0.0.1:8081/webrtcgateway/ws
$ rxsdk sylk message ada@example.com bob@example.com "are you there?"
$ rxsdk sylk watch bob@example.com --calls 1
"""

commands = typer.Typer()
sylk = typer.Typer(no_args_is_help=True, help="A SIP account of a SylkServer, from the terminal.", epilog=_EXAMPLES)
commands.add_typer(sylk, name="sylk")

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="user@domain")]
Url = Annotated[
    str,
    typer.Option(metavar="URL", envvar="RXSDK_SYLK_URL", show_envvar=True, help="wss://HOST[:PORT]/webrtcgateway/ws"),
]
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Take the password from the first line of FILE; - is stdin.")
]


@sylk.command()
def register(account: Account, url: Url, password_file: PasswordFile = None) -> None:
    """Register ACCOUNT, say whether that worked, and leave.

    The password is asked for, or taken from RXSDK_PASSWORD or a file; never from the command line.
    """

    async def done(registered: SylkAccount) -> None:
        tell(f"{registered.address} is registered", "green")

    _as(account, url, password_file, "register", done)


@sylk.command()
def message(
    account: Account,
    to: Annotated[str, typer.Argument(metavar="TO", help="user@domain")],
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    url: Url,
    password_file: PasswordFile = None,
) -> None:
    """Write TEXT to TO as ACCOUNT, and print what becomes of it."""

    async def write(sender: SylkAccount) -> None:
        fates: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        sender.dispositions.subscribe(lambda one: fates.put_nowait((one.message_id, one.state, one.reason)))
        sent = await sender.send_message(to, text)
        async with asyncio.timeout(30):
            message_id, state, reason = await fates.get()
            while message_id != sent:
                message_id, state, reason = await fates.get()
        if state == "failed":
            fail("sylk message", f"{to}: {reason}")
        print(plain(state))

    _as(account, url, password_file, "message", write)


@sylk.command()
def watch(
    account: Account,
    url: Url,
    calls: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N calls; else at Ctrl-C.")] = None,
    password_file: PasswordFile = None,
) -> None:
    """Register ACCOUNT and print each state of each call that comes in, a line each. Nothing is answered."""

    async def look(callee: SylkAccount) -> None:
        ended: asyncio.Queue[None] = asyncio.Queue()

        def follow(call: SylkSession) -> None:
            def show(state: object) -> None:
                reason = f": {call.state.reason}" if call.state.reason else ""
                print(plain(f"{call.remote.uri}  {getattr(state, 'name', '')}{reason}"), flush=True)

            call.state_stream.subscribe(show, on_completed=lambda: ended.put_nowait(None))

        callee.incoming.subscribe(follow)
        tell(f"{callee.address} is registered; waiting for calls", "dim")
        seen = 0
        while calls is None or seen < calls:
            await ended.get()
            seen += 1

    _as(account, url, password_file, "watch", look)


def _as(
    address: str, url: str, password_file: Path | None, command: str, work: Callable[[SylkAccount], Awaitable[None]]
) -> None:
    """Do ``work`` with the account, registered."""
    logging.getLogger("rxsdk").addHandler(logging.NullHandler())  # the lines say what there is to say
    try:
        config = SylkConfig(url)
    except ConfigurationError as error:
        raise typer.BadParameter(error.problem, param_hint="--url") from None
    password = given_password(address, password_file)

    async def run() -> None:
        async with SylkService(config) as service:
            account = await service.add_account(address, password)
            told: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
            account.registration_stream.subscribe(lambda state: told.put_nowait((state.name, state.reason)))
            await account.register()
            async with asyncio.timeout(30):
                name, reason = await told.get()
                while name not in ("registered", "failed"):
                    name, reason = await told.get()
            if name == "failed":
                fail(f"sylk {command}", f"{address} could not register: {reason}", code=4)
            await work(account)

    with ending(f"sylk {command}"):
        try:
            asyncio.run(run())
        except TimeoutError:
            fail(f"sylk {command}", "the server did not say more within 30 s")
