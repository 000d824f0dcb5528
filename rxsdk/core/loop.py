"""Where a connection runs: the caller's running loop, or one thread of ours that all services lease.

Floor 1. Also the one place that says whether a thread may block. Under an IPython kernel the connection always has our
own thread, so that events flow while a cell computes and both ``await`` and ``.result()`` work.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import ClassVar, Literal

from rxsdk.errors import ConfigurationError, WrongThreadError

__all__ = [
    "LoopChoice",
    "LoopLease",
    "SdkThread",
    "check_may_block",
    "choose_loop",
    "in_notebook",
    "running_loop",
    "wake",
]

LoopChoice = Literal["auto", "own", "running"]


class SdkThread(threading.Thread):
    """A thread of ours; blocking waits refuse to run on one. Daemon: a forgotten `close` must not keep a process."""

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        super().__init__(name=name, target=target, daemon=True)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed (extra ``fast``); imported late, for many never need a loop of ours."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop()


class _LoopThread:
    """One event loop on one thread; `shared` is the one new leases get."""

    lock: ClassVar = threading.Lock()
    shared: ClassVar[_LoopThread | None] = None

    def __init__(self) -> None:
        self.loop = _new_loop()
        self.leases = 0
        self.thread = SdkThread("rxsdk loop", self._run)
        self.thread.start()

    def _run(self) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(self._wind_up())
        finally:
            loop.close()

    async def _wind_up(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()


class LoopLease:
    """A place on the shared loop thread, or on the caller's loop; the thread ends with its last lease."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: _LoopThread | None) -> None:
        self.loop = loop
        self._thread = thread
        self._released = False

    @property
    def is_own(self) -> bool:
        """True when the loop is our own thread."""
        return self._thread is not None

    @staticmethod
    def forget_threads() -> None:
        """In a forked child: no thread came along."""
        _LoopThread.lock = threading.Lock()
        _LoopThread.shared = None

    def release(self) -> None:
        """Give the place back; any thread may."""
        if self._thread is None:
            return
        with _LoopThread.lock:
            if self._released:
                return
            self._released = True
            self._thread.leases -= 1
            if self._thread.leases == 0:
                if _LoopThread.shared is self._thread:  # else this is a lease from before a fork
                    _LoopThread.shared = None
                self._thread.loop.call_soon_threadsafe(self._thread.loop.stop)

    def join(self) -> None:
        """After `release`: wait until the thread has ended, if this was its last lease."""
        if self._thread is not None and self._thread.leases == 0:
            self._thread.thread.join()


def choose_loop(choice: LoopChoice) -> LoopLease:
    """The loop for a new connection.

    Raises:
        ConfigurationError: ``"running"`` was asked for and no loop runs on this thread.
    """
    running = running_loop()
    if choice == "running" and running is None:
        raise ConfigurationError("loop", 'is "running", but no event loop runs on this thread')
    if running is not None and (choice == "running" or (choice == "auto" and not in_notebook())):
        return LoopLease(running, None)
    return _lease_own()


def _lease_own() -> LoopLease:
    with _LoopThread.lock:
        thread = _LoopThread.shared
        if thread is None:
            thread = _LoopThread.shared = _LoopThread()
        thread.leases += 1
        return LoopLease(thread.loop, thread)


running_loop = asyncio._get_running_loop
"""The loop that runs on this thread; None when there is none. (`get_running_loop` would raise for every None.)"""


def wake(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """Set ``future`` of ``loop`` from whatever thread this is."""
    if running_loop() is not loop:
        with suppress(RuntimeError):  # that loop has closed: nobody waits there any more
            loop.call_soon_threadsafe(_set, future)
    elif not future.done():
        future.set_result(None)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def in_notebook() -> bool:
    """True in a process that is an IPython kernel (not merely one that has IPython)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def check_may_block(what: str, instead: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Raise `WrongThreadError` when a blocking wait here would stop the loop it waits for.

    ``loop`` is the loop whose work is waited for. A notebook's cell may block although the kernel's loop runs on its
    thread, because the work is done on ours.
    """
    running = running_loop()
    if isinstance(threading.current_thread(), SdkThread):
        raise WrongThreadError(what, "subscribe, or flat_map to go on with another call", "the thread of all callbacks")
    if running is not None and (running is loop or not in_notebook()):
        raise WrongThreadError(what, instead)
