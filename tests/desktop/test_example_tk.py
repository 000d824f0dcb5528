"""`examples/desktop_tk.py`, driven on a screen nobody sees. ``RXSDK_PICTURES=folder`` keeps pictures to look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

tkinter = pytest.importorskip(
    "tkinter", reason="tkinter is not in this Python (Debian: python3-tk)", exc_type=ImportError
)

from rxsdk import ApiService
from rxsdk.emulator import Emulator
from rxsdk.testing import FaultProxy
from tests.desktop.conftest import EXAMPLES, PICTURES, load
from tests.desktop.responsiveness import MOST_LATE_S, Beat, best_of, flood_from
from tests.desktop.test_tk import turn_until
from tests.staff import staff_doc

example = load("desktop_tk")


@pytest.fixture
def network(emulator: Emulator) -> Iterator[FaultProxy]:
    with FaultProxy(emulator.url) as running:
        yield running


@pytest.fixture
def window(screen: str, emulator: Emulator, network: FaultProxy, no_thread_left: None) -> Iterator[Any]:
    root = tkinter.Tk()
    with ApiService(emulator.config(api=network.url, file_chunk_size=50_000)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        yield example.Window(root, api, network)
        with suppress(tkinter.TclError):  # the test did
            root.destroy()


def picture(window: Any, name: str) -> None:
    grab = shutil.which("import")  # ImageMagick's
    if PICTURES is not None and grab is not None:
        window.root.update()
        subprocess.run([grab, "-window", str(window.root.winfo_id()), str(PICTURES / f"tk-{name}.png")], check=True)


def rows(window: Any) -> list[tuple[str, str]]:
    return [tuple(window.list.item(row, "values")) for row in window.list.get_children()]


def test_the_whole_story(
    window: Any, network: FaultProxy, signed_in: ApiService, tmp_path: Path, unhandled: list[BaseException]
) -> None:
    root, other = window.root, signed_in
    turn_until(root, lambda: "ready" in window.state["text"])
    for name in ("Ada Lovelace", "Grace Hopper"):
        other.call("staff/create", doc=staff_doc(name)).result()
    turn_until(root, lambda: rows(window) == [("Ada Lovelace", "Engineer"), ("Grace Hopper", "Engineer")])

    photo = tmp_path / "dorothy_vaughan.png"
    photo.write_bytes(bytes(400_000))
    network.bandwidth(300_000)
    window.add(photo)
    turn_until(root, lambda: 0 < float(window.bar["value"]) < 1000 and "left" in window.note["text"])
    picture(window, "1-upload")
    network.heal()
    turn_until(root, lambda: ("Dorothy Vaughan", "New here") in rows(window))
    turn_until(root, lambda: "done" in window.note["text"])

    window.plug.invoke()
    turn_until(root, lambda: "reconnecting" in window.state["text"])
    other.call("staff/delete", query=[{"_id": window.list.get_children()[0]}]).result()
    picture(window, "2-lost")
    assert len(rows(window)) == 3
    window.plug.invoke()
    turn_until(root, lambda: len(rows(window)) == 2 and "ready" in window.state["text"])
    picture(window, "3-healed")

    empty = tmp_path / "nobody.png"
    empty.touch()
    window.add(empty)
    assert "is empty" in window.note["text"]
    assert unhandled == []


def test_closing_in_mid_upload_ends_cleanly(
    window: Any,
    network: FaultProxy,
    signed_in: ApiService,
    tmp_path: Path,
    unhandled: list[BaseException],
    capfd: pytest.CaptureFixture[str],
) -> None:
    photo = tmp_path / "dorothy_vaughan.png"
    photo.write_bytes(bytes(400_000))
    network.bandwidth(100_000)
    window.add(photo)
    turn_until(window.root, lambda: float(window.bar["value"]) > 0)
    window.root.destroy()
    window.api.close().result()
    assert (unhandled, capfd.readouterr().err) == ([], "")
    assert signed_in.call("staff/read").result().docs == []


def lateness(window: Any, emulator: Emulator, call_id: str, doc: Any) -> float:
    """The worst delay of the window's timer while 10 000 changes of one person come from the server."""
    root = window.root
    beat = Beat()
    deadline = time.monotonic() + 30

    def tick() -> None:
        beat.tick()
        if rows(window)[0][1] == last or time.monotonic() > deadline:
            root.quit()
        else:
            root.after(round(Beat.interval_s * 1000), tick)

    thread, last = flood_from(emulator, call_id, doc)
    root.after(round(Beat.interval_s * 1000), tick)
    root.mainloop()
    assert rows(window)[0][1] == last
    assert beat.ticks > 1
    thread.join()
    print(f"worst delay {beat.worst_s * 1000:.1f} ms, {beat.ticks} ticks")
    return beat.worst_s


@pytest.mark.alone
def test_ten_thousand_changes_do_not_freeze_it(window: Any, emulator: Emulator, signed_in: ApiService) -> None:
    signed_in.call("staff/create", doc=staff_doc("Ada")).result()
    turn_until(window.root, lambda: rows(window) and emulator.watches == 1)
    asked = next(one.payload for one in emulator.received if one.payload.get("endpoint") == "staff/watch")
    (doc,) = signed_in.call("staff/read").result().docs
    assert best_of(lambda: lateness(window, emulator, asked["call_id"], doc)) < MOST_LATE_S


CLOSED_SOON = """
import runpy, sys, tkinter
class ClosedSoon(tkinter.Tk):
    def mainloop(self, n=0):
        self.after(500, self.destroy)
        super().mainloop(n)
tkinter.Tk = ClosedSoon
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_it_runs_as_it_stands(screen: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLOSED_SOON, str(EXAMPLES / "desktop_tk.py")],
        env={**os.environ, "DISPLAY": screen},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
