"""The desktop program in small, with tkinter of the standard library: a live staff list, a photo, a plug to pull.

Needs ``pip install 'rxsdk[emulator]'``. It brings its own server, and a bad network in between, so it runs as it
stands: ``python examples/desktop_tk.py``.
"""

import time
import tkinter as tk
from pathlib import Path
from tkinter import filedialog, ttk

import reactivex
from reactivex import Observable

from rxsdk import ApiService, ConnectionState, RxSdkError
from rxsdk.desktop import deliver_on
from rxsdk.desktop.tk import TkScheduler, until_destroyed
from rxsdk.emulator import Emulator
from rxsdk.reactive.progress import UploadProgress
from rxsdk.testing import FaultProxy

BYTES_PER_S = 1_000_000  # a slow line, so that there is something to see
INK, MUTED, LINE, PAPER, GOOD, WAIT = "#1d2433", "#5f6b80", "#ccd3de", "#f6f7f9", "#1a9c5b", "#c98a06"


class Window:
    """The only window, for who is signed in."""

    def __init__(self, root: tk.Tk, api: ApiService, network: FaultProxy) -> None:
        self.root, self.api, self.network, self.gui = root, api, network, TkScheduler(root)
        self.is_pulled = False
        root.title("Staff")
        root.geometry("520x520")
        root.configure(background=PAPER)
        style = ttk.Style(root)
        style.theme_use("clam")
        style.configure(".", background=PAPER, foreground=INK, font=("DejaVu Sans", 10), bordercolor=LINE)
        style.configure(".", lightcolor=PAPER, darkcolor=PAPER)
        style.configure("Treeview", rowheight=30, background="white", fieldbackground="white", borderwidth=0)
        style.configure("Treeview.Heading", foreground=MUTED, relief="flat", padding=(2, 6))
        style.configure("Muted.TLabel", foreground=MUTED)
        style.configure("TButton", padding=7)
        style.configure("TProgressbar", background="#3563e9", troughcolor="#e6eaf1", borderwidth=0, thickness=6)

        top = ttk.Frame(root, padding=(16, 14, 16, 8))
        self.dot = tk.Label(top, text="●", background=PAPER, foreground=WAIT)
        self.state = ttk.Label(top)
        self.plug = ttk.Button(top, text="Pull the plug", command=self.on_plug)
        self.dot.pack(side="left", padx=(0, 6))
        self.state.pack(side="left")
        self.plug.pack(side="right")
        top.pack(fill="x")

        self.list = ttk.Treeview(root, columns=("name", "job"), show="headings", selectmode="none")
        for column, title, width in (("name", "Name", 250), ("job", "Job", 210)):
            self.list.heading(column, text=title, anchor="w")
            self.list.column(column, width=width, anchor="w")
        self.list.pack(fill="both", expand=True, padx=16)

        bottom = ttk.Frame(root, padding=(16, 10, 16, 14))
        self.bar = ttk.Progressbar(bottom, maximum=1000)
        self.note = ttk.Label(bottom, style="Muted.TLabel", text="No photo on its way", wraplength=340)
        self.button = ttk.Button(bottom, text="Add a photo…", command=self.choose)
        self.bar.pack(fill="x", pady=(0, 8))
        self.button.pack(side="right")
        self.note.pack(side="left", fill="x", expand=True)
        bottom.pack(fill="x", side="bottom")

        self.here(api.state_stream, "latest").subscribe(self.show_state)
        self.here(api.watch("staff/watch", snapshot="staff/read").collection(), "latest").subscribe(
            self.show_staff, self.failed
        )
        reactivex.interval(0.25, scheduler=self.gui).pipe(until_destroyed(root)).subscribe(
            lambda _: self.show_state(api.state)  # it counts down to the next try
        )

    def here(self, stream: Observable, on_overflow: str = "error") -> Observable:
        """``stream`` on this window's thread, for as long as the window lives."""
        return stream.pipe(deliver_on(self.gui, on_overflow=on_overflow), until_destroyed(self.root))

    def show_state(self, state: ConnectionState) -> None:
        self.dot.configure(foreground=GOOD if state.name == "ready" else WAIT)
        wait = ""
        if state.retry_at is not None:
            seconds = round(state.retry_at - time.time())
            wait = f" · next try in {seconds} s" if seconds > 0 else " · trying again"
        self.state.configure(text=state.name + wait)

    def show_staff(self, docs: list[dict]) -> None:
        rows = {doc["_id"]: (doc["name"]["en_AE"], doc["job_title"]["en_AE"]) for doc in docs}
        for gone in set(self.list.get_children()) - rows.keys():
            self.list.delete(gone)
        for _id, values in rows.items():
            if self.list.exists(_id):
                self.list.item(_id, values=values)
            else:
                self.list.insert("", "end", _id, values=values)

    def on_plug(self) -> None:
        self.is_pulled = not self.is_pulled
        self.plug.configure(text="Plug it in again" if self.is_pulled else "Pull the plug")
        if self.is_pulled:
            self.network.refuse()
            self.network.reset()
        else:
            self.network.heal()
            self.network.bandwidth(BYTES_PER_S)
            self.api.reconnect_now()

    def choose(self) -> None:
        for name in filedialog.askopenfilenames(parent=self.root):
            self.add(Path(name))

    def add(self, photo: Path) -> None:
        name = photo.stem.replace("_", " ").title()
        doc = {"name": {"en_AE": name, "ar_AE": name}, "job_title": {"ar_AE": "New here"}, "bio": {"ar_AE": ""}}
        try:
            call = self.api.call("staff/create", doc={**doc, "photo": photo})
        except RxSdkError as mistake:  # an empty file, one that cannot be read
            self.failed(mistake)
            return
        self.here(call.progress, "latest").subscribe(self.show_progress, lambda _: None)  # the call tells of errors
        self.here(call).subscribe(None, self.failed)

    def show_progress(self, progress: UploadProgress) -> None:
        self.bar.configure(value=1000 * progress.sent_bytes // progress.total_bytes)
        left = f" · {progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
        self.note.configure(text=f"{progress.name}: {progress.sent_bytes / 1e6:.1f} MB{left} · {progress.phase}")

    def failed(self, error: Exception) -> None:
        self.note.configure(text=str(error))


def main() -> None:
    root = tk.Tk()
    with Emulator() as emulator, FaultProxy(emulator.url) as network:
        network.bandwidth(BYTES_PER_S)
        with ApiService(emulator.config(api=network.url)) as api:  # yours: SDKConfig(api="wss://…/ws", …)
            api.auth("email", emulator.admin_email, emulator.admin_password).result()  # before there is a window
            Window(root, api, network)
            root.mainloop()


if __name__ == "__main__":
    main()
