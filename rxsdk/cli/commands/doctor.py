"""``rxsdk doctor``: looks at everything a connection needs, in order, and says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import email.utils
import os
import socket
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import typer

import rxsdk
from rxsdk import ApiService, SDKConfig
from rxsdk.cli.commands.version import installed
from rxsdk.cli.download import is_this_machine
from rxsdk.cli.ending import FAILED, NO_CONNECTION, ending
from rxsdk.cli.output import AsJson, print_line
from rxsdk.cli.server import Server, config_file, kept_session, run, sessions_file, takes_server
from rxsdk.cli.show import Screen, milliseconds
from rxsdk.files.http import http_base

__all__ = ["commands"]

commands = typer.Typer()

Verdict = Literal["ok", "note", "wrong", "skipped"]

EXTRAS = {
    "cli": ("platformdirs", "rich", "typer"),
    "docs": ("pdoc",),
    "emulator": ("aiohttp", "mongomock"),
    "fast": ("picows",),
    "http": ("httpx",),
    "keyring": ("keyring",),
    "notebook": ("anywidget", "ipython"),
    "qt": ("PySide6-Essentials",),
    "telemetry": ("opentelemetry-api",),
}
"""What each extra brings on every platform, as ``pyproject.toml`` has it."""
BEATS = 3
CLOCK_NOTE_S = 60.0
TOKEN_LIFE_S = 86_400.0
"""A call's signature is good for a day (limp.md, "A call"): a clock further off makes every call be refused."""
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``found`` is what is so, ``advice`` what to do about it."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk doctor
$ rxsdk doctor --profile shop
$ rxsdk doctor --api ws://127.0.0.1:8081/ws --anon-token T --json
"""


@commands.command(epilog=_EXAMPLES)
@takes_server
def doctor(server: Server, as_json: AsJson = False) -> None:
    """Look at everything a connection needs, and say in plain words what is wrong and what to do.

    The extras, the config file, the kept session, the server's name, the connection, its verification, a heartbeat and
    the clock. Exit code 0 when nothing is wrong, 3 when the server cannot be reached, else 1.
    """
    screen = None if as_json else Screen()
    if screen is not None:
        screen.head(f"rxsdk {rxsdk.__version__}", {})
    findings: list[Finding] = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        if screen is None:
            print_line(finding)
        else:
            show(screen, finding)

    with ending("doctor"):
        for finding in local_findings():
            found(finding)
        config = _config_of(server, found)
        if config is not None:
            given = config
            run(given, lambda: _look_at_server(given, found))
    wrong = [finding for finding in findings if finding.verdict == "wrong"]
    if screen is not None:
        screen.end(
            "✓" if not wrong else "✗", "Nothing is wrong." if not wrong else f"{len(wrong)} of {len(findings)} wrong."
        )
    if wrong:
        raise typer.Exit(NO_CONNECTION if wrong[0].check in ("name", "connection") else FAILED)


def show(screen: Screen, finding: Finding) -> None:
    """A finding for people."""
    text = f"{finding.check:<11}{finding.found}"
    match finding.verdict:
        case "ok":
            screen.fine(text)
        case "wrong":
            screen.failed(text)
        case "note":
            screen.note(text)
        case "skipped":
            screen.dull(text)
    if finding.advice:
        screen.advice(finding.advice)


# -- on this machine -----------------------------------------------------------------------------------------------


def local_findings() -> Iterator[Finding]:
    """The extras and the files."""
    missing = {extra: [name for name in names if installed(name) is None] for extra, names in EXTRAS.items()}
    there = [extra for extra, names in missing.items() if not names]
    yield Finding("extras", "ok", f"installed: {', '.join(there)}")
    for extra, names in missing.items():
        if names:
            advice = f"if you want it: pip install 'rxsdk[{extra}]'"
            yield Finding("extras", "note", f"{extra} is not installed ({', '.join(names)} missing)", advice)
    yield _file_finding("config", config_file(), "no config file; options and RXSDK_* are enough")
    yield _file_finding("sessions", sessions_file(), "no session is kept yet")


def _file_finding(check: str, path: Path, when_missing: str) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        path.read_bytes()
    except FileNotFoundError:
        return Finding(check, "ok", f"{path}: {when_missing}")
    except OSError as error:
        return Finding(check, "wrong", f"{path}: {error.strerror}", "make it a file that you may read")
    if os.name == "posix" and mode & 0o077:
        return Finding(check, "wrong", f"{path}: others may read it (mode {mode:04o})", f"chmod 600 {path}")
    return Finding(check, "ok", f"{path}: only you may read it" if os.name == "posix" else str(path))


def _config_of(server: Server, found: Callable[[Finding], None]) -> SDKConfig | None:
    try:
        config = server.config()
    except typer.BadParameter as error:
        found(Finding("settings", "wrong", error.message, "see: rxsdk doctor --help"))
        return None
    found(Finding("settings", "ok", f"{config.api.partition('?')[0]}, profile {server.profile or 'default'}"))
    if config.leaves_machine_unencrypted:
        found(Finding("settings", "note", "ws:// to another machine: passwords travel readably", "use wss://"))
    return config


# -- the server ----------------------------------------------------------------------------------------------------


async def _look_at_server(config: SDKConfig, found: Callable[[Finding], None]) -> None:
    is_known = await _name(config, found) and await _connection(config, found)
    if is_known:
        found(await asyncio.to_thread(_clock, config))


async def _name(config: SDKConfig, found: Callable[[Finding], None]) -> bool:
    parts = urlsplit(config.api)
    host = parts.hostname or ""
    try:
        started = time.perf_counter()
        addresses = await asyncio.get_running_loop().getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        problem = f"{host} has no address: {error.strerror or error}"
        found(Finding("name", "wrong", problem, "is it spelled right, and is this machine online?"))
        return False
    names = ", ".join(dict.fromkeys(str(address[4][0]) for address in addresses))
    found(Finding("name", "ok", f"{host} is {names} ({milliseconds(time.perf_counter() - started)})"))
    return True


async def _connection(config: SDKConfig, found: Callable[[Finding], None]) -> bool:
    started = time.perf_counter()
    try:
        async with ApiService(config) as api:
            taken = milliseconds(time.perf_counter() - started)
            found(Finding("connection", "ok", f"connected and verified in {taken}"))
            for look in (_heartbeat, _session):
                found(await look(api, config))
    except rxsdk.VerifyRefused as error:
        found(Finding("verify", "wrong", str(error), "ask who runs the server for its anonymous token and app ids"))
    except rxsdk.ConnectFailed as error:
        found(Finding("connection", "wrong", str(error), _connect_advice(error)))
        return False
    except rxsdk.RxSdkError as error:
        found(Finding("connection", "wrong", str(error), "try again; --debug shows every frame"))
    return True


def _connect_advice(error: rxsdk.ConnectFailed) -> str:
    reason = error.reason.lower()
    for words, advice in _CONNECT_ADVICE.items():
        if any(word in reason for word in words.split("|")):
            return advice
    return "is it a LIMP server, and does api end in /ws?"


_CONNECT_ADVICE = {
    "refused": "no server listens there: is it running, is the port right?",
    "certificate|ssl|tls": "this machine does not trust the certificate; was it made for this host's name?",
    "timed out|timeout|within": "nobody answers: a firewall, a proxy, or the wrong port?",
    "404": "something answers there, but not at this path; LIMP is at /ws",
    "unreachable": "there is no road to it from here: is this machine online?",
}


async def _heartbeat(api: ApiService, config: SDKConfig) -> Finding:
    taken = []
    for _ in range(BEATS):
        started = time.perf_counter()
        try:
            await api.call("heart/beat", timeout_s=config.heartbeat_timeout_s)
        except rxsdk.RxSdkError as error:
            return Finding(
                "heartbeat", "wrong", str(error), "the server takes connections, and does not answer on them"
            )
        taken.append(time.perf_counter() - started)
    return Finding("heartbeat", "ok", f"answered in {milliseconds(min(taken))} (best of {BEATS})")


async def _session(api: ApiService, config: SDKConfig) -> Finding:
    try:
        if kept_session(config) is None:
            return Finding("session", "note", "nobody is signed in here", "sign in with: rxsdk auth WHO")
        await api.check_auth()
    except rxsdk.RxSdkError as error:
        return Finding("session", "wrong", f"the kept session is refused: {error}", "sign in anew with: rxsdk auth WHO")
    session = api.session or rxsdk.Session()
    return Finding("session", "ok", f"signed in until {session.get('expiry')}")


def _clock(config: SDKConfig) -> Finding:
    """How far this machine's clock is from the server's, by the Date that HTTP servers put on every answer."""
    theirs = _date_of(http_base(config.api))
    if theirs is None:
        return Finding("clock", "skipped", "the server does not tell its time")
    off = time.time() - theirs
    told = f"{'ahead of' if off > 0 else 'behind'} the server's by {abs(off):.0f} s"
    if abs(off) >= TOKEN_LIFE_S:
        return Finding("clock", "wrong", f"{told}: it will refuse every call", "set this machine's clock")
    if abs(off) >= CLOCK_NOTE_S:
        return Finding("clock", "note", told, "set this machine's clock (or the server's)")
    return Finding("clock", "ok", "within a minute of the server's")


def _date_of(url: str) -> float | None:
    proxies = urllib.request.ProxyHandler({} if is_this_machine(url) else None)
    try:
        with urllib.request.build_opener(proxies).open(url or "/", timeout=PATIENCE_S) as response:
            date = response.headers.get("Date")
    except urllib.error.HTTPError as error:  # any answer has the time
        with error:
            date = error.headers.get("Date")
    except (OSError, ValueError):
        return None
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
