"""Calls, auth, watches and uploads in four settings: a script, ``asyncio.run``, a notebook kernel, many threads."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from rxsdk import ApiService, SDKConfig, WrongThreadError
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.integration.story import awaiting_story, blocking_story


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "ada.png"
    path.write_bytes(bytes(range(256)) * 4_000)  # two chunks
    return path


def test_a_plain_script(emulator: Emulator, config: SDKConfig, photo: Path, no_thread_left: None) -> None:
    with ApiService(config) as api:
        blocking_story(api, emulator, photo)
        wait_until(lambda: emulator.watches == 0)
    assert api.state.name == "closed"


@pytest.mark.parametrize("loop", ["auto", "running", "own"])
def test_inside_asyncio_run(loop: str, emulator: Emulator, photo: Path, no_thread_left: None) -> None:
    async def main() -> None:
        async with ApiService(emulator.config(loop=loop)) as api:
            await awaiting_story(api, emulator, photo)
        assert api.state.name == "closed"
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    asyncio.run(main())


def test_several_threads_at_once(emulator: Emulator, config: SDKConfig, photo: Path, no_thread_left: None) -> None:
    with ApiService(config) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()

        def worker(number: int) -> int:
            for _ in range(20):
                assert api.call("staff/read").result().status == 200
            created = api.call("album/create", doc={"name": {"ar_AE": str(number)}, "cover": photo}).result()
            return len(created.docs)

        def awaiting_worker(number: int) -> int:
            async def main() -> int:
                replies = await asyncio.gather(*(api.call("staff/read") for _ in range(20)))
                return len([res for res in replies if res.status == 200])

            return asyncio.run(main())

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(worker, range(8))) == [1] * 8
            assert list(pool.map(awaiting_worker, range(8))) == [20] * 8
        covers = [doc["cover"]["size"] for doc in api.call("album/read").result().docs]
        assert covers == [photo.stat().st_size] * 8


@pytest.fixture
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_cell(kernel: BlockingKernelClient, code: str) -> str:
    """Run a cell to its end and return what it printed; fail with its traceback when it raised."""
    printed: list[str] = []

    def output(message: dict) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            printed.append(content["text"])
        elif message["msg_type"] == "error":
            pytest.fail("\n".join(content["traceback"]))

    kernel.execute_interactive(textwrap.dedent(code), timeout=30, output_hook=output)
    return "".join(printed)


# start_new_kernel's client leaves a zmq socket to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_notebook_kernel(kernel: BlockingKernelClient, emulator: Emulator, photo: Path) -> None:
    run_cell(
        kernel,
        f"""
        import sys, threading
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from types import SimpleNamespace
        from rxsdk import ApiService, SDKConfig
        from tests.integration.story import awaiting_story, blocking_story

        emulator = SimpleNamespace(admin_email={emulator.admin_email!r}, admin_password={emulator.admin_password!r})
        photo = Path({str(photo)!r})
        api = ApiService(SDKConfig({emulator.url!r}, {emulator.anon_token!r}, ["email"]))
        api.init()
        """,
    )
    run_cell(kernel, "await awaiting_story(api, emulator, photo)")
    run_cell(kernel, "api.signout().result()")
    run_cell(kernel, "blocking_story(api, emulator, photo)")
    # Events flow while a cell computes and blocks the kernel's own loop.
    flowing = """
        seen = []
        watch = api.call("staff/watch")
        subscription = watch.subscribe(seen.append)
        watch.result()
        api.call("staff/create", doc={"name": {"ar_AE": "n"}, "job_title": {"ar_AE": "t"}, "bio": {"ar_AE": "b"},
                                      "photo": photo}).result()
        tick = threading.Event()
        while len(seen) < 2:
            tick.wait(0.01)
        print(seen[1].args.oper)
    """
    assert run_cell(kernel, flowing) == "create\n"
    assert run_cell(kernel, flowing) == "create\n"  # a cell that is run again
    inside = """
        with ApiService(api._config) as other:
            print(other.call("staff/read").result().status)
        async with ApiService(api._config) as another:
            print((await another.call("staff/read")).status)
        api.close().result()
        print([thread.name for thread in threading.enumerate() if thread.name.startswith("rxsdk")])
    """
    assert run_cell(kernel, inside) == "200\n200\n[]\n"


def test_a_blocking_wait_on_the_loop_is_refused(emulator: Emulator, config: SDKConfig) -> None:
    async def main() -> None:
        with pytest.raises(WrongThreadError, match="async with"):
            ApiService(config).__enter__()
        async with ApiService(config) as api:
            call = api.call("staff/read")
            with pytest.raises(WrongThreadError, match="await"):
                call.result()
            with pytest.raises(WrongThreadError):
                api.inited_stream.result()
            assert (await call).status == 200

    asyncio.run(main())


def test_a_blocking_wait_in_a_callback_is_refused(api: ApiService, unhandled: list[BaseException]) -> None:
    api.call("staff/read").subscribe(lambda res: api.call("staff/read").result())
    wait_until(lambda: unhandled)
    assert isinstance(unhandled[0], WrongThreadError)
