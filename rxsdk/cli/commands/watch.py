"""``rxsdk watch``: the changes as they come, in a table that lives, a line each, or as JSON."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rxsdk import ApiService, ConnectionState, Created, Deleted, Doc, Gap, Snapshot, Updated
from rxsdk.changes import Change
from rxsdk.cli.commands.call import Anonymous, QueryOption, given_query
from rxsdk.cli.ending import ending, tell
from rxsdk.cli.output import AsJson, print_line
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
$ rxsdk watch staff/watch
$ rxsdk watch staff/watch --snapshot staff/read
$ rxsdk watch staff/watch -q '\\[{"job_title.en_AE": "Programmer"}]'
$ rxsdk watch staff/watch --json | jq -c 'select(.change == "create").doc'
"""


@commands.command(epilog=_EXAMPLES)
@takes_server
def watch(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="module/method, such as staff/watch")],
    server: Server,
    query: QueryOption = None,
    snapshot: Annotated[
        str | None,
        typer.Option("--snapshot", "-s", metavar="ENDPOINT", help="Begin with what this reads, such as staff/read."),
    ] = None,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
) -> None:
    """Show every change that a watch tells of, until Ctrl-C.

    In a terminal they stand in a table, the latest below; elsewhere each is a line. A lost connection comes back by
    itself, and the watch with it; a gap says where changes may be missing. With --snapshot nothing is: after a gap it
    reads again, and shows what differs.
    """
    asked = given_query(query)
    with ending("watch", as_json=as_json):
        config = server.config(keeps_trying=True)

        async def work(api: ApiService) -> None:
            changes = api.watch(endpoint, asked, snapshot=snapshot)
            with _shown(endpoint, as_json=as_json) as view, api.state_stream.subscribe(view.moved):
                async for change in changes:
                    for row in _rows(change):
                        view.show(row)

        server.run(config, work, signed_in=not anonymous and kept_session(config) is not None)


class _Row(msgspec.Struct, omit_defaults=True):
    """A change as it is shown: as a line of JSON just so."""

    change: str
    id: str = ""
    doc: Doc | None = None
    reason: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        """What is shown of it beside its kind."""
        if self.since is not None:
            when = f"{self.since.astimezone():%H:%M:%S}"
            return plain(f"what changed since {when} may not have been told: {self.reason}")
        shown = brief(redact({"_id": self.id} if self.doc is None else self.doc))
        return plain(short({key: shown[key] for key in shown if key not in _DULL}))


def _rows(change: Change[Doc]) -> Iterator[_Row]:
    match change:
        case Snapshot(docs):
            for _id, doc in docs.items():
                yield _Row("there", _id, doc)
        case Created(_id, doc):
            yield _Row("create", _id, doc)
        case Updated(_id, doc):
            yield _Row("update", _id, doc)
        case Deleted(_id, last):
            yield _Row("delete", _id, last)
        case Gap(reason, since):
            yield _Row("gap", reason=str(reason), since=since)


class _Lines:
    """For programs, and where there is no terminal."""

    def __init__(self, endpoint: str, *, as_json: bool) -> None:
        self._as_json = as_json
        if not as_json:
            tell(f"Watching {endpoint}; Ctrl-C ends it.", "dim")

    def moved(self, state: ConnectionState) -> None:
        """The SDK's own warnings tell of it."""

    def show(self, row: _Row) -> None:
        if self._as_json:
            print_line(row)
        else:
            print(f"{row.change}  {row}", flush=True)


class _LiveTable:
    """The latest changes, as many as there is room for."""

    def __init__(self, endpoint: str, console: Console) -> None:
        self._endpoint = endpoint
        self._rows: deque[tuple[str, str, str]] = deque(maxlen=max(console.height - _FRAME_LINES, 3))
        self._count = 0
        self._state = "ready"

    def moved(self, state: ConnectionState) -> None:
        self._state = f"{state.name}: {state.reason}" if state.reason else state.name

    def show(self, row: _Row) -> None:
        self._count += row.change in ("create", "update", "delete")
        self._rows.append((time.strftime("%H:%M:%S"), row.change, str(row)))

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
