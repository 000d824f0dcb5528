"""`opened`: a file of this machine, for what reads or writes it off the loop.

Floor 2; with `aiofiles`, but for the opening: what that opens stays open when whoever waits for it is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from aiofiles import threadpool

__all__ = ["opened"]

_wrap = cast(Any, threadpool).wrap  # its types do not know it


@asynccontextmanager
async def opened(
    path: Path, mode: Literal["rb", "ab"], opener: Callable[[str, int], int] | None = None
) -> AsyncIterator[Any]:
    """The file at ``path``, open within this context. Whoever is cancelled while it opens waits for nothing.

    Raises:
        OSError: it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(None, partial(open, path, mode, opener=opener))
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise
    try:
        yield _wrap(file)
    finally:
        await asyncio.shield(loop.run_in_executor(None, file.close))  # also when cancelled once more


def _close_late(opening: asyncio.Future[Any]) -> None:
    if opening.exception() is None:
        opening.result().close()
