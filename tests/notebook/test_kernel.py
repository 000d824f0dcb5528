"""In a real kernel: cells that show things, are run again, block, await, and a kernel that is restarted."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("IPython", reason="IPython is not installed (extra: notebook)")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra: test-gui)")
pytest.importorskip("nbclient", reason="nbclient is not installed (extra: test-gui)")

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from rxsdk import ApiService
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.notebook.lab import REPOSITORY
from tests.staff import staff_doc

# Kernel clients leave zmq sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

WIDGET = "application/vnd.jupyter.widget-view+json"


class Kernel:
    """A kernel, and what its cells showed."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(REPOSITORY))
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=30)
        self.outputs: list[dict[str, Any]] = []
        self.widgets: list[str] = []

    def run(self, code: str) -> list[str]:
        """Run a cell; returns the markup, or else the text, of what it showed; fails when it raised."""
        outputs: list[dict[str, Any]] = []
        self.outputs, self.widgets = outputs, []

        def hook(message: dict[str, Any]) -> None:
            if message["msg_type"] == "error":
                pytest.fail("\n".join(message["content"]["traceback"]))
            if message["msg_type"] in ("display_data", "execute_result", "update_display_data"):
                outputs.append(message["content"]["data"])
            if message["msg_type"] == "comm_msg":
                self.widgets.append(message["content"]["data"].get("state", {}).get("html", ""))
            if message["msg_type"] == "stream":
                outputs.append({"text/plain": message["content"]["text"]})

        self.client.execute_interactive(textwrap.dedent(code), timeout=30, output_hook=hook)
        return [output.get("text/html") or output["text/plain"] for output in outputs]

    def stop(self, *, now: bool = True) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=now)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    if kernel.manager.has_kernel:
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
    kernel.run("import time")
    emulator.delay("staff/create", 0.3)
    signed_in.call("staff/create", doc=staff_doc("Grace"))
    kernel.run("began = time.monotonic()\nwhile time.monotonic() - began < 1: pass")
    assert any("Grace" in markup for markup in kernel.widgets)
    (shown,) = kernel.run("badge(api)")
    assert "ready" in shown
    ended = kernel.run("import time; api.close().result(); time.sleep(1)")
    assert any("closed" in one for one in ended)
    assert any("ended" in one for one in ended)
    assert all(WIDGET not in one for one in kernel.outputs)
    (left,) = kernel.run('import threading; [one.name for one in threading.enumerate() if "rxsdk" in one.name]')
    assert left == "[]"


def test_without_widgets_it_is_plain_html_that_is_replaced(kernel: Kernel, emulator: Emulator) -> None:
    kernel.run(opening(emulator, "import sys; sys.modules['anywidget'] = None"))
    emulator.delay("staff/read", 0.3)
    first, *later = kernel.run(
        'call = api.call("staff/read"); display(call); await call; import time; time.sleep(0.5); None'
    )
    assert WIDGET not in kernel.outputs[0]
    assert "waiting" in first
    assert "Found 0 docs." in later[-1]
    shown = kernel.run('display(live(api.state_stream, "state")); time.sleep(0.3)')
    assert any("ready" in one for one in shown)


def test_a_restarted_kernel_leaves_nothing(kernel: Kernel, emulator: Emulator) -> None:
    kernel.run(opening(emulator))
    kernel.run('display(api, live(api.call("staff/watch")))')
    wait_until(lambda: emulator.watches == 1)
    kernel.manager.restart_kernel(now=False)
    wait_until(lambda: (emulator.connections, emulator.watches) == (0, 0))


def test_the_example(emulator: Emulator, tmp_path: Path) -> None:
    """`examples/notebook.ipynb` runs from top to bottom, and what it showed last is kept with it."""
    notebook = nbformat.read(REPOSITORY / "examples" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(REPOSITORY)}}
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
