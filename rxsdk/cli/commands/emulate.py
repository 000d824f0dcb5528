"""``rxsdk emulate``, as typer sees it; what it does stands in `rxsdk.cli.emulate`."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rxsdk
from rxsdk.cli.ending import emulator_class, fail
from rxsdk.cli.output import AsJson

if TYPE_CHECKING:
    from rxsdk.cli.emulate import Introduction
    from rxsdk.emulator.host import Host

__all__ = ["commands"]

commands = typer.Typer()


class Wire(StrEnum):
    """The choices of ``--wire``."""

    LIMP = "limp"
    CHAT = "chat"
    SYLK = "sylk"


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


_EMULATE_HELP = """\
Run a LIMP server for tests, emulated, until Ctrl-C.

It prints what a client needs to connect, with --json as one object. Its app has staff and albums: everybody may \
read them, the administrator may do everything, and users made by them may change staff.
"""
_EMULATE_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk emulate --port 8081
$ rxsdk emulate --wire chat
$ rxsdk emulate --quotas stock --conn-timeout-s 20
$ rxsdk emulate --data staff.json --client-app shop:web:https://shop.example
"""


@commands.command(help=_EMULATE_HELP, epilog=_EMULATE_EXAMPLES)
def emulate(
    wire: Annotated[Wire, typer.Option(help="What the server speaks; the others take --port and --data only.")] = (
        Wire.LIMP
    ),
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
    as_json: AsJson = False,
) -> None:
    """``rxsdk emulate``"""
    if data is not None and not (data.parent.is_dir() and os.access(data.parent, os.W_OK)):
        raise typer.BadParameter(f"{data.parent} is not a directory that can be written to", param_hint="--data")
    make = emulator_class("emulate")
    if wire is not Wire.LIMP:
        _serve(*EMULATED[wire](port, data), as_json=as_json)
        return
    given = {"admin_email": admin_email, "admin_password": admin_password, "anon_token": anon_token}
    options = {name: value for name, value in given.items() if value}
    try:
        emulator = make(
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
    from rxsdk.cli.emulate import first_app, limp_introduction  # noqa: PLC0415 - only with the extra "emulator"

    _serve(emulator, lambda: limp_introduction(emulator, facts, first_app(client_app or [])), as_json=as_json)


def _chat(port: int, data: Path | None) -> tuple[Host[Any], Callable[[], Introduction]]:
    from rxsdk.cli.emulate import chat_introduction  # noqa: PLC0415
    from rxsdk.emulator.chat import ChatEmulator  # noqa: PLC0415

    emulator = ChatEmulator(port=port, data=data)
    return emulator, lambda: chat_introduction(emulator, f"kept in {data}" if data else "in memory, gone at the end")


def _sylk(port: int, data: Path | None) -> tuple[Host[Any], Callable[[], Introduction]]:
    from rxsdk.cli.emulate import sylk_introduction  # noqa: PLC0415
    from rxsdk.emulator.sylk import SylkEmulator  # noqa: PLC0415

    if data is not None:
        raise typer.BadParameter("a SylkServer keeps nothing across runs", param_hint="--data")
    emulator = SylkEmulator(port=port)
    return emulator, lambda: sylk_introduction(emulator)


EMULATED: dict[Wire, Callable[[int, Path | None], tuple[Host[Any], Callable[[], Introduction]]]] = {
    Wire.CHAT: _chat,
    Wire.SYLK: _sylk,
}
"""By wire, beside LIMP, which alone has more options: its server on a port, with data, and what to say of it."""


def _serve(emulator: Host[Any], introduce: Callable[[], Introduction], *, as_json: bool) -> None:
    from rxsdk.cli.emulate import NotServing, serve  # noqa: PLC0415 - only with the extra "emulator"

    try:
        serve(emulator, introduce, as_json=as_json)
    except NotServing as error:
        fail("emulate", str(error))
