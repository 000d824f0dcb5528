"""``rxsdk version``."""

from __future__ import annotations

import importlib.metadata
import platform

import typer

import rxsdk
from rxsdk.cli.output import AsJson, print_line

__all__ = ["LIBRARIES", "commands"]

LIBRARIES = (
    "reactivex",
    "websockets",
    "msgspec",
    "pyjwt",
    "aiofiles",
    "typer",
    "rich",
    "platformdirs",
    "aiohttp",
    "mongomock",
    "keyring",
    "httpx",
    "picows",
    "uvloop",
)

commands = typer.Typer()


@commands.command()
def version(as_json: AsJson = False) -> None:
    """Print the versions of rxsdk, of Python, and of the libraries they stand on."""
    versions = {
        "rxsdk": rxsdk.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: installed(name) or "not installed" for name in LIBRARIES},
    }
    if as_json:
        print_line(versions)
        return
    for name, found in versions.items():
        typer.echo(f"{name} {found}")


def installed(distribution: str) -> str | None:
    """The version of ``distribution`` that is there, None when none is."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
