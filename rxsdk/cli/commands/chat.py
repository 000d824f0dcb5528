"""``rxsdk chat``, as typer sees it; what it does stands in `rxsdk.cli.chat`."""

from __future__ import annotations

import contextlib
import logging
from typing import Annotated

import typer

from rxsdk import ChatConfig, ChatService, ConfigurationError
from rxsdk.cli.chat import talk
from rxsdk.cli.ending import emulator_class, ending

__all__ = ["commands"]

commands = typer.Typer()

_HELP = """\
Talk to somebody in the terminal, live.

Without --url it starts a server of its own, with a parrot to talk to. Where there is no terminal it sends what it \
reads, line by line, and prints what comes.
"""
_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk chat
$ rxsdk emulate --wire chat
$ rxsdk chat bob --url ws://127.0.0.1:8081/ws --user ada --token token-of-ada
"""


@commands.command(help=_HELP, epilog=_EXAMPLES)
def chat(
    chat_id: Annotated[str, typer.Argument(metavar="WITH", help="The other user, or a group.")] = "parrot",
    url: Annotated[str | None, typer.Option(metavar="URL", help="The server: wss://HOST[:PORT]/PATH")] = None,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who you are.")] = "you",
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar="RXSDK_CHAT_TOKEN", show_envvar=True, help="Sent as a bearer token."),
    ] = None,
) -> None:
    """``rxsdk chat``"""
    logging.getLogger("rxsdk").addHandler(logging.NullHandler())  # the window says what there is to say
    with ending("chat"), contextlib.ExitStack() as stack:
        if url is not None:
            headers = None if token is None else {"Authorization": f"Bearer {token}"}
            try:
                config = ChatConfig(url, headers, user)
            except ConfigurationError as error:
                hint = "--" + {"headers": "token", "user_id": "user"}.get(error.field, error.field)
                raise typer.BadParameter(error.problem, param_hint=hint) from None
        else:
            config = _with_a_parrot(stack, chat_id, user)
        talk(stack.enter_context(ChatService(config)), chat_id)


def _with_a_parrot(stack: contextlib.ExitStack, chat_id: str, user: str) -> ChatConfig:
    emulator_class("chat")
    from rxsdk.cli.parrot import Parrot  # noqa: PLC0415
    from rxsdk.emulator.chat import ChatEmulator  # noqa: PLC0415 - only with the extra "emulator"

    emulator = stack.enter_context(ChatEmulator(users=(user, chat_id), groups={}))
    stack.enter_context(Parrot(emulator.config(chat_id))).greet(user)
    return emulator.config(user)
