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


# How well the least readable text of what we show stands out: the contrast of WCAG, 1 to 21, 4.5 being enough.
_CONTRAST = """() => {
    const parts = (text) => {
        const found = text.match(/[\\d.]+/g).map(Number);
        const scale = text.startsWith('color(') ? 1 : 255;
        return [...found.slice(0, 3).map((one) => one / scale), found[3] ?? 1];
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
    const behind = (element) => {
        if (!element) return [1, 1, 1];
        const own = parts(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own : over(own, behind(element.parentElement));
    };
    const light = (color) => {
        const [r, g, b] = color.map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let least = [21, ''];
    for (const element of document.querySelectorAll('.rxsdk *:not(style)')) {
        const text = [...element.childNodes].filter((one) => one.nodeType === 3).map((one) => one.data).join('').trim();
        if (!text) continue;
        const below = behind(element);
        const [ink, paper] = [light(over(parts(getComputedStyle(element).color), below)), light(below)];
        const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (contrast < least[0]) least = [contrast, `${element.className}: ${text}`];
    }
    return least;
}"""
_SPILT = """() => [...document.querySelectorAll('.rxsdk .rx-card')].filter((card) =>
    card.getBoundingClientRect().right > card.closest('.jp-OutputArea').getBoundingClientRect().right + 1
).map((card) => card.textContent.slice(0, 80))"""


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

    def theme(self, name: str) -> None:
        """JupyterLab's light or dark one."""
        self.page.evaluate("(theme) => jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
        is_light = "true" if "Light" in name else "false"
        self.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{is_light}'", timeout=20_000)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=20_000)

    def look(self) -> None:
        """Fail where something shown can hardly be read, or is wider than its cell."""
        contrast, text = self.page.evaluate(_CONTRAST)
        assert contrast >= 4.5, f"contrast {contrast:.1f}: {text}"
        assert self.page.evaluate(_SPILT) == []

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
        try:
            server.wait(20)
        finally:
            server.kill()  # no harm when it has ended


def _url_of(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    deadline = time.monotonic() + 40
    while server.poll() is None and time.monotonic() < deadline:
        for file in runtime.glob("jpserver-*.json"):
            if text := file.read_text("utf-8"):
                told = json.loads(text)
                return f"{told['url']}{{path}}?token={told['token']}"
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text('utf-8')[-3000:]}")
