"""Progress bars of files on their way, on standard error, and nothing where there is no terminal.

Part of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from rxsdk import DownloadProgress, Stream, UploadProgress
from rxsdk.cli.show import plain

__all__ = ["downloading", "uploading"]


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Any, TaskID] = {}

    def show(self, key: Any, now: UploadProgress | DownloadProgress, done: int) -> None:
        """File ``key`` has come so far; those shown before it are done. One that has not begun to come has no bar."""
        if key not in self._tasks:
            if now.phase in ("connecting", "failed"):
                return
            for task in self._tasks.values():
                self._progress.update(task, completed=self._progress.tasks[task].total or 0, phase="", left="")
            self._tasks[key] = self._progress.add_task(
                plain(now.name), total=now.total_bytes, phase="", rate="", left=""
            )
        self._progress.update(
            self._tasks[key],
            completed=done,
            total=now.total_bytes,
            phase="" if now.phase in ("sending", "receiving", "done") else now.phase.replace("_", " "),
            rate=f"{decimal(int(now.rate_bytes_per_s))}/s" if now.rate_bytes_per_s else "",
            left="" if now.eta_s is None else str(timedelta(seconds=round(now.eta_s))),
        )


@contextmanager
def _bars() -> Iterator[_Bars]:
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}", style="progress.data.speed"),
        TextColumn("{task.fields[left]}", style="progress.remaining"),
        TextColumn("{task.fields[phase]}", style="yellow", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, expand=True) as progress:
        yield _Bars(progress)


@contextmanager
def uploading(progress: Stream[UploadProgress]) -> Iterator[None]:
    """Draw ``call.progress`` for as long as this lasts."""
    with _bars() as bars:
        subscription = progress.subscribe(lambda one: bars.show((one.attr, one.index), one, one.sent_bytes))
        try:
            yield
        finally:
            subscription.dispose()


@contextmanager
def downloading(progress: Stream[DownloadProgress]) -> Iterator[None]:
    """The same for the progress of a download."""
    with _bars() as bars:
        subscription = progress.subscribe(lambda one: bars.show(one.name, one, one.received_bytes))
        try:
            yield
        finally:
            subscription.dispose()
