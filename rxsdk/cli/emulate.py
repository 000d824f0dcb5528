"""``rxsdk emulate``: the emulator in the foreground, and what a client needs to find it.

Part of the command line; imported only where the extra ``emulator`` is there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from rxsdk import SDKConfig
from rxsdk.cli.show import plain
from rxsdk.emulator import Emulator
from rxsdk.emulator.chat import ChatEmulator
from rxsdk.emulator.host import Host
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.errors import ConfigurationError

__all__ = [
    "Introduction",
    "NotServing",
    "chat_introduction",
    "first_app",
    "limp_introduction",
    "serve",
    "sylk_introduction",
]

_SNIPPET = """\
from rxsdk import ApiService, SDKConfig

config = SDKConfig(
{fields}
)
with ApiService(config) as api:
    api.auth("email", {email}, {password}).result()
    print(api.call("staff/read").result())
"""

_CHAT_SNIPPET = """\
from rxsdk import ChatConfig, ChatService

config = ChatConfig({url}, {{"Authorization": "Bearer " + {token}}}, {me})
with ChatService(config) as chat:
    print(chat.send({other}, "Hello!").result())
"""


_SYLK_SNIPPET = """\
from rxsdk import SylkConfig, SylkService

with SylkService(SylkConfig({url})) as sylk:
    account = sylk.add_account({account}, {password}).result()
    account.register().result()
    print(account.call({other}, "an offer").state_stream.result())
"""


class NotServing(Exception):
    """Why the emulator could not serve, or not end as it should."""


@dataclass(frozen=True)
class Introduction:
    """What whoever starts an emulator is told: how to connect, how it is set up, and lines to paste."""

    title: str
    connect: dict[str, str]
    facts: dict[str, str]
    shell: tuple[str, ...]
    snippet: str

    def as_json(self) -> str:
        """How to connect and how it is set up, for programs. The secrets are in it: a test's, and there to be used."""
        return json.dumps({name.replace(" ", "_"): value for name, value in {**self.connect, **self.facts}.items()})


def serve(emulator: Host[Any], introduce: Callable[[], Introduction], *, as_json: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; whoever listens is told how to connect.

    Args:
        introduce: called once it listens.
        as_json: tell it as one line of JSON.

    Raises:
        NotServing: the port cannot be had, the data not be read or not be written.
    """
    console = Console(highlight=False, file=sys.stdout)
    with _stop_signals() as stop:
        with _told("cannot start", emulator.port):
            emulator.start()
        try:
            if as_json:
                print(introduce().as_json(), flush=True)
            else:
                _print_introduction(console, introduce())
            while not stop.wait(0.5):  # an endless wait would not hear Ctrl-C on Windows
                pass
        finally:
            with _told("did not end well", emulator.port):
                emulator.stop()
        if not as_json:
            console.print("\nThe emulator has ended.", style="dim")


@contextlib.contextmanager
def _told(what: str, port: int) -> Iterator[None]:
    """What the emulator raises, in one line."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NotServing(f"port {port} is in use; --port 0 takes a free one") from error
        raise NotServing(f"{what}: {error}") from error
    except ConfigurationError as error:
        raise NotServing(f"{what}: {error}") from error


def first_app(client_apps: list[str]) -> dict[str, str]:
    """The fields of ``SDKConfig`` by which a client is let in as the first of ``NAME:TYPE[:ORIGIN,…]``."""
    if not client_apps:
        return {}
    name, _, rest = client_apps[0].partition(":")
    origin = rest.partition(":")[2].split(",")[0]
    return {"app_id": name, **({"origin": origin} if origin else {})}


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, in place of what they did before."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def limp_introduction(emulator: Emulator, facts: dict[str, str], more_config: dict[str, Any]) -> Introduction:
    """LIMP's; ``more_config`` is what its clients need beside the usual fields of ``SDKConfig``."""
    config = emulator.config(**more_config)
    connect = {
        "api": emulator.url,
        "anon_token": emulator.anon_token,
        "auth_attrs": ", ".join(config.auth_attrs),
        **{name: str(value) for name, value in more_config.items()},
        "admin email": emulator.admin_email,
        "admin password": emulator.admin_password,
    }
    files = {"files": f"{emulator.http_url}/{{module}}/retrieve_file/{{_id}}/{{attr}}/{{name}}"}
    title = "A LIMP server is running, emulated for tests. "
    shell = _shell(emulator, config, more_config)
    return Introduction(title, connect, {**facts, **files}, shell, _snippet(emulator, more_config))


def _shell(emulator: Emulator, config: SDKConfig, more_config: dict[str, Any]) -> tuple[str, ...]:
    """Commands that sign in and watch; as they stand."""
    given = {"api": config.api, "anon_token": emulator.anon_token, **more_config}
    if config.auth_hash_level != "5.6":
        given["auth_hash_level"] = config.auth_hash_level
    return (
        "export " + " ".join(f"RXSDK_{name.upper()}={shlex.quote(value)}" for name, value in given.items()),
        f"rxsdk auth {shlex.quote(emulator.admin_email)}",
        "rxsdk watch staff/watch --snapshot staff/read",
    )


def chat_introduction(emulator: ChatEmulator, data: str) -> Introduction:
    """The chat's; ``data`` says where its messages are kept."""
    first, second, *_ = emulator.users
    connect = {"url": emulator.url, **{f"{user}'s token": emulator.token(user) for user in emulator.users}}
    shell = (f"rxsdk chat {second} --url {emulator.url} --user {first} --token {emulator.token(first)}",)
    fields = {"url": emulator.url, "token": emulator.token(first), "me": first, "other": second}
    snippet = _CHAT_SNIPPET.format(**{name: _quoted(value) for name, value in fields.items()})
    return Introduction("A chat server is running, emulated for tests. ", connect, {"messages": data}, shell, snippet)


def _print_introduction(console: Console, introduction: Introduction) -> None:
    _print(console, (introduction.title, "bold"), ("Ctrl-C ends it.", ""))
    for table, style in ((introduction.connect, "cyan"), (introduction.facts, "")):
        _print(console)
        for name, value in table.items():
            _print(console, (f"  {name:<16}", "dim"), (value, style))
    for where, lines in (("another terminal", introduction.shell), ("Python", introduction.snippet.splitlines())):
        _print(console)
        _print(console, (f"Paste this into {where} to talk to it:", "bold"))
        _print(console)
        for line in lines:
            _print(console, (line, "cyan"))


def _snippet(emulator: Emulator, more_config: dict[str, Any]) -> str:
    """Python that connects, signs in and reads; as it stands."""
    config = emulator.config()
    fields = {
        "api": config.api,
        "anon_token": emulator.anon_token,
        "auth_attrs": list(config.auth_attrs),
        **({} if config.auth_hash_level == "5.6" else {"auth_hash_level": config.auth_hash_level}),
        **more_config,
    }
    shown = "\n".join(f"    {name}={_quoted(value)}," for name, value in fields.items())
    return _SNIPPET.format(fields=shown, email=_quoted(emulator.admin_email), password=_quoted(emulator.admin_password))


def sylk_introduction(emulator: SylkEmulator) -> Introduction:
    """What to say of an emulated SylkServer."""
    (account, password), (other, _) = list(emulator.users.items())[:2]
    given = {"url": emulator.url, "account": account, "password": password, "other": other}
    return Introduction(
        "A SylkServer is running, emulated for tests. ",
        {"url": emulator.url, **emulator.users},
        {"accounts": "what stands beside each is its password"},
        (f"rxsdk sylk register {account} --url {emulator.url}",),
        _SYLK_SNIPPET.format(**{name: _quoted(value) for name, value in given.items()}),
    )


def _quoted(value: str | list[str]) -> str:
    """``value`` in Python, in double quotes where that is simple."""
    if isinstance(value, list):
        return f"[{', '.join(map(_quoted, value))}]"
    return ascii(value) if set(value) & set("\"'\\") or not value.isprintable() else f'"{value}"'


def _print(console: Console, *parts: tuple[str, str]) -> None:
    """One line, never folded: tokens and code are there to be copied."""
    text = Text(no_wrap=True)
    for part, style in parts:
        text.append(plain(part), style)
    console.print(text, soft_wrap=True)
