"""Where connections run: the leased thread, the choice of a loop, and who may block."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from rxsdk.core.loop import SdkThread, check_may_block, choose_loop, in_notebook, running_loop, wake
from rxsdk.errors import ConfigurationError, WrongThreadError
from tests.conftest import fork


def on_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> Any:
    async def call() -> Any:
        return function()

    return asyncio.run_coroutine_threadsafe(call(), loop).result(5)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process looks like an IPython kernel."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


# -- the thread


def test_all_leases_share_one_thread_that_ends_with_the_last() -> None:
    first, second = choose_loop("own"), choose_loop("own")
    assert first.is_own
    assert first.loop is second.loop
    thread = on_loop(first.loop, threading.current_thread)
    assert (thread.name, thread.daemon) == ("rxsdk loop", True)
    first.release()
    first.release()  # once is enough, and counts once
    first.join()  # another lease holds the thread: nothing to wait for
    assert on_loop(second.loop, lambda: 1) == 1
    second.release()
    second.join()
    assert not thread.is_alive()
    assert second.loop.is_closed()


def test_a_lease_after_the_end_gets_a_new_thread() -> None:
    old = choose_loop("own")
    old.release()
    new = choose_loop("own")  # perhaps before the old thread has ended
    assert new.loop is not old.loop
    assert on_loop(new.loop, lambda: 1) == 1
    old.release()
    new.release()
    old.join()
    new.join()


def test_the_thread_ends_its_tasks_generators_and_helpers() -> None:
    lease = choose_loop("own")
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("task")

    async def generator() -> Any:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def begin() -> Any:
        kept = asyncio.ensure_future(forever())
        values = generator()
        await anext(values)
        await asyncio.to_thread(lambda: None)
        return kept, values

    kept = asyncio.run_coroutine_threadsafe(begin(), lease.loop).result(5)
    lease.release()
    lease.join()
    assert ended == ["task", "generator"]
    assert kept[0].cancelled()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]


def test_many_threads_lease_and_release_at_once() -> None:
    failures: list[BaseException] = []

    def lease_and_release() -> None:
        try:
            for _ in range(50):
                lease = choose_loop("own")
                assert on_loop(lease.loop, lambda: 1) == 1
                lease.release()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=lease_and_release) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []


# -- the choice


def test_without_a_running_loop_the_thread_is_ours() -> None:
    assert running_loop() is None
    lease = choose_loop("auto")
    assert lease.is_own
    lease.release()
    lease.join()
    with pytest.raises(ConfigurationError, match="loop: "):
        choose_loop("running")


@pytest.mark.parametrize(("choice", "is_own"), [("auto", False), ("running", False), ("own", True)])
def test_on_a_running_loop(choice: Literal["auto", "own", "running"], is_own: bool) -> None:
    async def choose() -> None:
        lease = choose_loop(choice)
        assert lease.is_own is is_own
        assert (lease.loop is asyncio.get_running_loop()) is not is_own
        lease.release()
        if is_own:
            await asyncio.to_thread(lease.join)
        else:
            lease.join()

    asyncio.run(choose())


@pytest.mark.usefixtures("notebook")
@pytest.mark.parametrize(("choice", "is_own"), [("auto", True), ("running", False)])
def test_in_a_notebook_auto_is_our_thread(choice: Literal["auto", "running"], is_own: bool) -> None:
    async def choose() -> None:
        lease = choose_loop(choice)
        assert lease.is_own is is_own
        lease.release()
        await asyncio.to_thread(lease.join)

    asyncio.run(choose())


@pytest.mark.parametrize(
    "ipython",
    [None, SimpleNamespace(), SimpleNamespace(get_ipython=lambda: None), SimpleNamespace(get_ipython=object)],
    ids=["not imported", "half imported", "imported only", "a terminal shell"],
)
def test_ipython_alone_is_no_notebook(ipython: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not in_notebook()


# -- who may block


def test_a_plain_thread_may_block() -> None:
    check_may_block(".result()", "await")
    loop = asyncio.new_event_loop()
    check_may_block(".result()", "await", loop)
    loop.close()


def test_a_thread_with_a_running_loop_may_not() -> None:
    async def ask() -> None:
        with pytest.raises(WrongThreadError, match=r"\.result\(\) would block .* use await"):
            check_may_block(".result()", "await")

    asyncio.run(ask())


@pytest.mark.usefixtures("notebook")
def test_a_notebook_cell_may_unless_it_waits_for_its_own_loop() -> None:
    async def ask() -> None:
        check_may_block(".result()", "await")
        check_may_block(".result()", "await", None)
        with pytest.raises(WrongThreadError):
            check_may_block(".result()", "await", asyncio.get_running_loop())

    asyncio.run(ask())


def test_the_sdks_own_threads_may_not() -> None:
    errors: list[Exception] = []

    def ask() -> None:
        try:
            check_may_block(".result()", "await")
        except WrongThreadError as error:
            errors.append(error)

    thread = SdkThread("rxsdk test", ask)
    thread.start()
    thread.join()
    assert len(errors) == 1
    lease = choose_loop("own")
    on_loop(lease.loop, ask)
    lease.release()
    lease.join()
    assert len(errors) == 2


# -- a fork


def test_a_lease_from_before_a_fork_cannot_end_the_new_thread() -> None:
    before = choose_loop("own")
    before.forget_threads()  # as in the child
    mine = choose_loop("own")
    assert mine.loop is not before.loop
    before.release()
    before.join()
    again = choose_loop("own")
    assert again.loop is mine.loop
    for lease in (mine, again):
        lease.release()
    mine.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_a_thread_of_its_own() -> None:
    lease = choose_loop("own")
    on_loop(lease.loop, lambda: 1)
    child = fork()
    if child == 0:
        code = 1
        try:
            type(lease).forget_threads()
            mine = choose_loop("own")
            assert mine.loop is not lease.loop
            lease.release()  # the parent's, which must not take the child's away
            lease.join()
            assert choose_loop("own").loop is mine.loop
            assert on_loop(mine.loop, lambda: 2) == 2
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert on_loop(lease.loop, lambda: 3) == 3
    lease.release()
    lease.join()


@pytest.mark.parametrize("installed", [True, False])
def test_our_own_loop_is_uvloop_where_that_is_installed(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setattr("rxsdk.core.loop.find_spec", lambda name: None)
    elif importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not installed: the extra `fast`")
    lease = choose_loop("own")
    assert type(lease.loop).__module__.startswith("uvloop") is installed
    lease.release()
    lease.join()


def test_waking_who_has_given_up_waiting_does_nothing() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: went_wrong.append(context))
        given_up = loop.create_future()
        given_up.cancel()
        wake(loop, given_up)
        await asyncio.to_thread(wake, loop, given_up)
        await asyncio.sleep(0)
        assert given_up.cancelled()

    went_wrong: list[Any] = []
    asyncio.run(scene())
    assert went_wrong == []
