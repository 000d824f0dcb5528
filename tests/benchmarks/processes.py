"""The rows that need a process to themselves: what importing costs, and what very many connected clients do.

``python -m tests.benchmarks.processes ours|floor URL NUMBER SECONDS`` connects so many clients, lets them be for so
long, and prints what that took: bytes of memory and seconds of CPU.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import connect

from rxsdk import ApiService
from tests.benchmarks.measure import Cost
from tests.benchmarks.sides import config

_ROOT = Path(__file__).parents[2]
_PARTS = "import reactivex, websockets.asyncio.client, msgspec, jwt"


def _run(*arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=_ROOT, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@contextmanager
def importing(url: str) -> Iterator[tuple[Cost, Cost]]:
    """CPU microseconds of an import statement in a fresh interpreter.

    From bytecode on both sides, as when both were installed: pip compiles what it installs, but not this tree.
    """
    with TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def cost(statement: str) -> Cost:
            program = (
                f"import time; began = time.process_time(); {statement}; print((time.process_time() - began) * 1e6)"
            )

            def measured(n: int) -> float:
                return float(_run("-c", program, environment=environment))

            measured(1)  # compiles
            return measured

        yield cost("import rxsdk"), cost(_PARTS)


@contextmanager
def memory(url: str) -> Iterator[tuple[Cost, Cost]]:
    """KiB of RSS that each connected client adds to its process."""

    def cost(side: str) -> Cost:
        return lambda n: _run("-m", __name__, side, url, str(n), "0")["bytes"] / n / 1024

    yield cost("ours"), cost("floor")


@contextmanager
def idle(url: str, seconds: float) -> Iterator[tuple[Cost, Cost]]:
    """CPU microseconds a second of each connected client that has nothing to do but to stay connected."""

    def cost(side: str) -> Cost:
        return lambda n: _run("-m", __name__, side, url, str(n), str(seconds))["cpu_s"] / n / seconds * 1e6

    yield cost("ours"), cost("floor")


def _rss() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _live(side: str, url: str, number: int, seconds: float) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        await connect_clients(stack, side, url, 1)
        before = _rss()
        await connect_clients(stack, side, url, number)
        grown = _rss() - before
        began = time.process_time()
        await asyncio.sleep(seconds)
        return {"bytes": grown, "cpu_s": time.process_time() - began}


async def connect_clients(stack: AsyncExitStack, side: str, url: str, number: int) -> None:
    """So many services, or bare clients of websockets, open until ``stack`` is closed."""
    if side == "ours":
        for _ in range(number):
            await stack.enter_async_context(ApiService(config(url, "running")))
    else:
        for _ in range(number):
            await stack.enter_async_context(connect(url))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_live(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
