"""``rxsdk watch``: the changes as they come, in a table that lives, a line each, or as JSON."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rxsdk import ApiService, ConnectionState, Doc, Gap, Res
from rxsdk.cli.commands.call import Anonymous, QueryOption, given_query
from rxsdk.cli.ending import ending, tell
from rxsdk.cli.output import AsJson, print_line, reply_of
from rxsdk.cli.server import Server, kept_session, takes_server
from rxsdk.cli.show import brief, plain, short
from rxsdk.protocols.limp.res import redact

__all__ = ["commands"]

commands = typer.Typer()

_COLOURS = {"create": "green", "update": "yellow", "delete": "red", "gap": "magenta"}
_FRAME_LINES = 6
_DULL = ("user", "create_time")

_EXAMPLES = """\
[bold]Examples[/bold]
  rxsdk watch staff/watch
  rxsdk watch staff/watch -q '\\[{"job_title.en_AE": "Programmer"}]'
  rxsdk watch staff/watch --json | jq -c '.args.docs\\[]._id'
"""


@commands.command(epilog=_EXAMPLES)
@takes_server
def watch(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="module/method, such as staff/watch")],
    server: Server,
    query: QueryOption = None,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
) -> None:
    """Show every change that a watch tells of, until Ctrl-C.

    In a terminal they stand in a table, the latest below; elsewhere each is a line. A lost connection comes back by
    itself, and the watch with it; a gap says where changes may be missing.
    """
    asked = given_query(query)
    with ending("watch", as_json=as_json):
        config = server.config(keeps_trying=True)
        is_known = not anonymous and kept_session(config) is not None

        async def work(api: ApiService) -> None:
            if is_known:
                await api.check_auth()
            call = api.call(endpoint, query=asked, gaps=True)
            with _shown(endpoint, as_json=as_json) as view:
                states = api.state_stream.subscribe(view.moved)
                try:
                    async for res in call:
                        view.gap(res) if isinstance(res, Gap) else view.message(res)
                finally:
                    states.dispose()

        server.run(config, work)


class _Lines:
    """For programs, and where there is no terminal."""

    def __init__(self, endpoint: str, *, as_json: bool) -> None:
        self._endpoint = endpoint
        self._as_json = as_json

    def moved(self, state: ConnectionState) -> None:
        """The SDK's own warnings tell of it."""

    def gap(self, gap: Gap) -> None:
        if self._as_json:
            print_line({"gap": str(gap.reason), "since": gap.since.isoformat()})
        else:
            print(plain(f"gap  {_missed(gap)}"), flush=True)

    def message(self, res: Res[Doc]) -> None:
        if self._as_json:
            print_line(reply_of(res))
        elif "oper" not in res.args:
            tell(f"Watching {self._endpoint}; Ctrl-C ends it.", "dim")
        else:
            for doc in res.docs:
                print(plain(f"{res.args.oper}  {_said(doc)}"), flush=True)


class _LiveTable:
    """The latest changes, as many as there is room for."""

    def __init__(self, endpoint: str, console: Console) -> None:
        self._endpoint = endpoint
        self._rows: deque[tuple[str, str, str]] = deque(maxlen=max(console.height - _FRAME_LINES, 3))
        self._count = 0
        self._state = "ready"

    def moved(self, state: ConnectionState) -> None:
        self._state = f"{state.name}: {state.reason}" if state.reason else state.name

    def gap(self, gap: Gap) -> None:
        self._rows.append((time.strftime("%H:%M:%S"), "gap", plain(_missed(gap))))

    def message(self, res: Res[Doc]) -> None:
        if "oper" not in res.args:
            return
        now = time.strftime("%H:%M:%S")
        for doc in res.docs:
            self._count += 1
            self._rows.append((now, plain(str(res.args.oper)), plain(_said(doc))))

    def __rich__(self) -> RenderableType:
        title = f"{plain(self._endpoint)}  {self._count} change{'' if self._count == 1 else 's'}"
        caption = f"{plain(self._state)} · Ctrl-C ends it"
        table = Table(box=box.ROUNDED, title=Text(title, style="bold"), caption=Text(caption, style="dim"), expand=True)
        table.add_column("time", style="dim", no_wrap=True)
        table.add_column("change", no_wrap=True)
        table.add_column("document", no_wrap=True, overflow="ellipsis", ratio=1)
        for when, oper, doc in self._rows:
            table.add_row(when, Text(oper, style=_COLOURS.get(oper, "")), Text(doc))
        return table


@contextmanager
def _shown(endpoint: str, *, as_json: bool) -> Iterator[_Lines | _LiveTable]:
    console = Console(file=sys.stdout, highlight=False)
    if as_json or not console.is_terminal:
        yield _Lines(endpoint, as_json=as_json)
        return
    view = _LiveTable(endpoint, console)
    with Live(view, console=console, refresh_per_second=8):
        yield view


def _missed(gap: Gap) -> str:
    return f"what changed since {gap.since.astimezone():%H:%M:%S} may not have been told: {gap.reason}"


def _said(doc: Any) -> str:
    """A document in brief, what every document has left out."""
    shown = brief(redact(doc))
    return short({key: shown[key] for key in shown if key not in _DULL} if isinstance(shown, dict) else shown)
