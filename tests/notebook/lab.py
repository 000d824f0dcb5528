"""JupyterLab in headless Chromium: a notebook whose cells are run, looked at and photographed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PICTURES = Path(os.environ["RXSDK_PICTURES"]) if "RXSDK_PICTURES" in os.environ else None
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Lab:
    """One notebook, open in one page."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def run(self, cell: str) -> None:
        """Run the cell with this id, and wait until it has ended; fail when it raised."""
        errors = self.page.evaluate(
            """async (id) => {
                const { content } = jupyterapp.shell.currentWidget;
                content.activeCellIndex = content.widgets.findIndex((one) => one.model.id === id);
                await jupyterapp.commands.execute('notebook:run-cell');
                const outputs = content.activeCell.model.outputs?.toJSON() ?? [];
                return outputs.filter((one) => one.output_type === 'error').map((one) => one.traceback.join('\\n'));
            }""",
            cell,
        )
        assert not errors, errors[0]

    def output(self, cell: str) -> Any:
        """What the cell shows, as Playwright's locator."""
        index = self.page.evaluate(
            "(id) => jupyterapp.shell.currentWidget.content.widgets.findIndex((one) => one.model.id === id)", cell
        )
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def see(self, cell: str, text: str) -> Any:
        """Wait until the cell's output shows ``text``."""
        shown = self.output(cell).get_by_text(text).first
        shown.wait_for(timeout=20_000)
        return shown

    def picture(self, name: str, cell: str) -> None:
        """For people to look at, where they asked for it."""
        if PICTURES is not None:
            self.output(cell).scroll_into_view_if_needed()
            self.page.screenshot(path=str(PICTURES / f"{name}.png"))

    def restart(self) -> None:
        """Restart the kernel, as from the menu."""
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")


@contextmanager
def open_lab(notebook: Path, folder: Path) -> Iterator[Lab]:
    """Serve a copy of ``notebook`` from ``folder`` and open it; skips where the tools are missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test-gui)")
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (extra: test-gui)")
    pytest.importorskip("anywidget", reason="anywidget is not installed (extra: notebook)")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    shutil.copy(notebook, folder)
    with _server(folder) as url, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 900}, device_scale_factor=1)
        page.goto(url.format(path=f"doc/tree/{notebook.name}"))
        page.wait_for_function(
            "globalThis.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=45_000,
        )
        yield Lab(page)
        browser.close()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    runtime = folder / ".runtime"
    for name, settings in _SETTINGS.items():
        file = folder / ".settings" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings), "utf-8")
    environment = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1"]
    command += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}"]
    with (folder / ".server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        yield _url_of(server, runtime, folder / ".server.log")
    finally:
        server.terminate()
        server.wait(20)


def _url_of(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    deadline = time.monotonic() + 40
    while server.poll() is None and time.monotonic() < deadline:
        for file in runtime.glob("jpserver-*.json"):
            if text := file.read_text("utf-8"):
                told = json.loads(text)
                return f"{told['url']}{{path}}?token={told['token']}"
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text('utf-8')[-3000:]}")
