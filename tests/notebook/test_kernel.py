"""In a real kernel: cells that show things, are run again, block, await, and a kernel that is restarted."""

from __future__ import annotations

import queue
import socket
import textwrap
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("IPython", reason="IPython is not installed (extra: notebook)")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra: test-gui)")
pytest.importorskip("nbclient", reason="nbclient is not installed (extra: test-gui)")

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from traitlets.config import Config

from rxsdk import ApiService
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.notebook.lab import REPOSITORY
from tests.staff import staff_doc

# Kernel clients leave zmq sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

INTERRUPTED = ("KeyboardInterrupt", "CancelledError")
WIDGET = "application/vnd.jupyter.widget-view+json"


def listening(sockets: str) -> dict[str, str]:
    """A kernel's settings to listen in the folder ``sockets``."""
    return {"transport": "ipc", "connection_file": f"{sockets}/kernel.json"}


class Kernel:
    """A kernel, and what its cells showed."""

    def __init__(self, sockets: str) -> None:
        self.manager = KernelManager(kernel_name="python3", **listening(sockets))
        self.manager.start_kernel(cwd=str(REPOSITORY))
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.outputs: list[dict[str, Any]] = []
        self.widgets: list[str] = []

    def open(self) -> None:
        self.client.start_channels()
        self.client.wait_for_ready(timeout=30)

    def run(self, code: str) -> list[str]:
        """Run a cell; returns the markup, or else the text, of what it showed; fails when it raised."""
        self._forget()
        self.client.execute_interactive(textwrap.dedent(code), timeout=30, output_hook=self._take)
        return self.shown

    def start(self, code: str) -> str:
        """Send a cell on its way; returns the id of the request."""
        self._forget()
        return str(self.client.execute(code, stop_on_error=False))  # else the next cell may be aborted with it

    def see(self, text: str, *, in_widget: bool = False) -> str:
        """Wait until the last cell has shown ``text``, also after its end; returns what it then showed."""
        deadline = time.monotonic() + 20
        while True:
            for one in self.widgets if in_widget else self.shown:
                if text in one:
                    return one
            try:
                self._take(self.client.get_iopub_msg(timeout=deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{text!r} was never shown, only {self.widgets} {self.shown}") from None

    def interrupt(self, request: str) -> str:
        """Interrupt the cell that runs; returns the name of the error it ended with."""
        self.manager.interrupt_kernel()
        self.client.kernel_info()  # ipykernel cancels an idle ``await`` only when its loop is woken
        while True:
            message = self.client.get_shell_msg(timeout=20)
            if message["parent_header"]["msg_id"] == request:
                return str(message["content"].get("ename"))

    @property
    def shown(self) -> list[str]:
        """The markup, or else the text, of everything the last cell showed, in that order."""
        return [output.get("text/html") or output["text/plain"] for output in self.outputs]

    def _forget(self) -> None:
        self.outputs, self.widgets = [], []

    def _take(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "error" and content["ename"] not in INTERRUPTED:
            pytest.fail("\n".join(content["traceback"]))
        if kind in ("display_data", "execute_result", "update_display_data"):
            self.outputs.append(content["data"])
        if kind == "comm_msg":
            self.widgets.append(content["data"].get("state", {}).get("html", ""))
        if kind == "stream":
            self.outputs.append({"text/plain": content["text"]})

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def sockets() -> Iterator[str]:
    """Where a kernel listens: somebody else could take the port that was found free for it before it does.

    Not in `tmp_path`: the path of a socket may have a hundred letters.
    """
    with TemporaryDirectory() as folder:
        yield folder


@pytest.fixture
def kernel(sockets: str) -> Iterator[Kernel]:
    kernel = Kernel(sockets)
    try:
        kernel.open()
        yield kernel
    finally:
        kernel.stop()


def opening(emulator: Emulator, before: str = "") -> str:
    return f"""
    {before}
    from rxsdk import ApiService, SDKConfig
    from rxsdk.notebook import badge, live, progress, table
    api = ApiService(SDKConfig({emulator.url!r}, {emulator.anon_token!r}, ["email"]))
    api.init()
    api.auth("email", {emulator.admin_email!r}, {emulator.admin_password!r}).result()
    """


def assert_no_thread(kernel: Kernel) -> None:
    kernel.run(
        """
        import threading
        ours = [one for one in threading.enumerate() if "rxsdk" in one.name]
        for one in ours:
            one.join(20)
        print("left:", [one for one in ours if one.is_alive()])
        """
    )
    kernel.see("left: []")


def test_cells_show_and_are_run_again(kernel: Kernel, emulator: Emulator, signed_in: ApiService) -> None:
    signed_in.call("staff/create", doc=staff_doc("<Ada>")).result()
    (shown,) = kernel.run(opening(emulator))
    assert "You were successfully authed." in shown
    assert "token" not in shown
    for code in ('await api.call("staff/read")', 'api.call("staff/read").result().docs'):
        (shown,) = kernel.run(code)
        assert "&lt;Ada&gt;" in shown
    assert kernel.run("[1, 2]") == ["[1, 2]"]
    assert kernel.run('[{"_id": 1}, 2]') == ["[{'_id': 1}, 2]"]
    assert kernel.run("[]") == ["[]"]

    for _ in range(3):
        (shown,) = kernel.run('live(api.call("staff/watch"), "staff")')
        assert WIDGET in kernel.outputs[0]
        assert "Nothing yet." in shown
    wait_until(lambda: emulator.watches == 1)
    (shown,) = kernel.run('import threading; [one.name for one in threading.enumerate() if "notebook" in one.name]')
    assert shown == "['rxsdk notebook']"

    # A cell computes, without a moment for the kernel's loop; yet what is shown goes on.
    computing = kernel.start("print('computing')\nwhile True: pass")
    kernel.see("computing")
    signed_in.call("staff/create", doc=staff_doc("Grace"))
    kernel.see("Grace", in_widget=True)
    assert kernel.interrupt(computing) == "KeyboardInterrupt"
    (shown,) = kernel.run("badge(api)")
    assert "ready" in shown
    kernel.run("api.close().result()")
    for state in (">closed<", ">ended<"):
        kernel.see(state)  # at last without a widget
    assert all(WIDGET not in one for one in kernel.outputs)
    assert_no_thread(kernel)


def test_without_widgets_it_is_plain_html_that_is_replaced(kernel: Kernel, emulator: Emulator) -> None:
    kernel.run(opening(emulator, "import sys; sys.modules['anywidget'] = None"))
    emulator.delay("staff/read", 0.3)
    first = kernel.run('call = api.call("staff/read"); call')[0]
    assert "waiting" in first
    kernel.see("Found 0 docs.")
    assert WIDGET not in kernel.outputs[0]
    kernel.run('live(api.state_stream, "state")')
    kernel.see("ready")


def test_a_restarted_kernel_leaves_nothing(kernel: Kernel, emulator: Emulator) -> None:
    kernel.run(opening(emulator))
    kernel.run('display(api, live(api.call("staff/watch")))')
    wait_until(lambda: emulator.watches == 1)
    kernel.manager.restart_kernel(now=False)
    wait_until(lambda: (emulator.connections, emulator.watches) == (0, 0))


def test_a_restarted_kernel_ends_the_emulator_within_it(kernel: Kernel) -> None:
    """By itself: the manager would wait a minute before it kills what does not end."""
    kernel.run(
        """
        from rxsdk import ApiService
        from rxsdk.emulator import Emulator
        from rxsdk.notebook import live
        from rxsdk.testing import FaultProxy
        emulator = Emulator().start()
        network = FaultProxy(emulator.url).start()
        api = ApiService(emulator.config(api=network.url))
        api.init()
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        live(api.watch("staff/watch", snapshot="staff/read"))
        """
    )
    (urls,) = kernel.run("print(emulator.url, network.url)")
    ports = [urlsplit(url).port for url in urls.split()]
    kernel.manager.shutdown_wait_time = 60
    began = time.monotonic()
    kernel.manager.restart_kernel(now=False)
    assert time.monotonic() - began < 25  # it asks twice, half a minute each
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_an_interrupted_cell_harms_nothing(kernel: Kernel, emulator: Emulator) -> None:
    kernel.run(opening(emulator))
    kernel.run('live(api.call("staff/watch"))')
    emulator.silence("staff/read")
    for number, (code, error) in enumerate(
        [('api.call("staff/read").result()', "KeyboardInterrupt"), ('await api.call("staff/read")', "CancelledError")],
        1,
    ):
        waiting = kernel.start(code)
        wait_until(
            lambda number=number: (
                sum(one.payload.get("endpoint") == "staff/read" for one in emulator.received) == number
            )
        )
        assert kernel.interrupt(waiting) == error
    assert "ready" in kernel.run("badge(api)")[0]
    assert emulator.watches == 1
    (shown,) = kernel.run('api.call("album/read").result()')
    assert "Found 0 docs." in shown


def test_a_closed_service_is_shown_as_such(kernel: Kernel, emulator: Emulator) -> None:
    kernel.run(opening(emulator))
    kernel.run('waiting = live(api.call("staff/watch")); waiting')
    kernel.run("api.close().result()")
    for code, state in [
        ("display(badge(api), api)", ">closed<"),
        ("waiting", ">ended<"),
        ('api.watch("staff/watch")', ">failed<"),
    ]:
        kernel.run(code)
        kernel.see(state)
    assert_no_thread(kernel)


def test_the_example(emulator: Emulator, sockets: str) -> None:
    """`examples/notebook.ipynb` runs from top to bottom, and what it showed last is kept with it."""
    notebook = nbformat.read(REPOSITORY / "examples" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        resources={"metadata": {"path": str(REPOSITORY)}},
        config=Config(KernelManager=listening(sockets)),
    ).execute()
    shown = {
        cell.id: "".join(output.data.get("text/html") or output.data["text/plain"] for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    for cell, text in [
        ("open", "ws://127.0.0.1"),
        ("sign-in", "successfully authed"),
        ("read", "Found 2 docs."),
        ("upload", "beach.jpg"),
        ("uploaded", "beach.jpg"),
        ("healed", "Katherine Johnson"),
        ("compute", "messages came while"),
        ("typed", "Rear admiral"),
    ]:
        assert text in shown[cell], cell
