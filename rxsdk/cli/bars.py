"""Progress bars of files on their way, on standard error, and nothing where there is no terminal.

Part of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from rxsdk import Stream
from rxsdk.cli.show import plain

__all__ = ["downloading", "uploading"]


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Any, TaskID] = {}

    def show(self, key: Any, name: str, done: int, total: int | None, phase: str) -> None:
        """File ``key`` has come so far; those shown before it are done."""
        if key not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, completed=self._progress.tasks[task].total or 0, phase="")
            self._tasks[key] = self._progress.add_task(plain(name), total=total, phase="")
        shown = "" if phase in ("sending", "receiving", "done") else phase.replace("_", " ")
        self._progress.update(self._tasks[key], completed=done, total=total, phase=shown)


@contextmanager
def _bars() -> Iterator[_Bars]:
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[phase]}", style="yellow", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, expand=True) as progress:
        yield _Bars(progress)


@contextmanager
def uploading(progress: Stream[Any]) -> Iterator[None]:
    """Draw ``call.progress`` for as long as this lasts."""
    with _bars() as bars:
        subscription = progress.subscribe(
            lambda one: bars.show((one.attr, one.index), one.name, one.sent_bytes, one.total_bytes, one.phase)
        )
        try:
            yield
        finally:
            subscription.dispose()


@contextmanager
def downloading(progress: Stream[Any]) -> Iterator[None]:
    """The same for the progress of a download."""
    with _bars() as bars:
        subscription = progress.subscribe(
            lambda one: bars.show(one.name, one.name, one.received_bytes, one.total_bytes, one.phase)
        )
        try:
            yield
        finally:
            subscription.dispose()
