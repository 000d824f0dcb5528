"""The example notebook in JupyterLab, seen by a browser. ``RXSDK_PICTURES=folder`` keeps pictures to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebook.lab import REPOSITORY, open_lab


@pytest.mark.timeout(170)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_the_example_as_a_person_sees_it(tmp_path: Path) -> None:
    with open_lab(REPOSITORY / "examples" / "notebook.ipynb", tmp_path) as lab:
        lab.run("open")
        lab.see("open", "ready")
        lab.run("sign-in")
        lab.see("open", "signed in as admin@")
        lab.picture("1-badge", "sign-in")

        lab.run("watch")
        lab.see("watch", "live")
        lab.run("create")
        lab.see("watch", "Katherine Johnson")
        lab.see("watch", "<b>not bold</b>")
        lab.picture("2-live", "watch")
        lab.run("read")
        lab.see("read", "Grace Hopper")
        lab.picture("3-table", "read")

        lab.run("upload")
        lab.see("upload", "left")
        lab.picture("4-upload", "upload")
        lab.run("uploaded")
        lab.see("uploaded", "beach.jpg")
        lab.see("upload", "Created 1 docs.")
        lab.picture("5-uploaded", "uploaded")

        lab.run("lost")
        lab.see("lost", "reconnecting")
        lab.run("waiting")
        lab.see("waiting", "waiting")
        lab.see("open", "reconnecting")
        lab.look()
        lab.picture("6-lost", "waiting")
        lab.theme("JupyterLab Dark")
        lab.look()
        lab.picture("6-lost-dark", "waiting")
        lab.theme("JupyterLab Light")
        lab.run("healed")
        lab.see("lost", "ready")
        lab.see("waiting", "Katherine Johnson")
        lab.picture("7-healed", "healed")

        lab.run("compute")
        lab.see("compute", "messages came while")
        lab.see("watch", "Programmer, for 1.")
        lab.picture("8-compute", "compute")
        lab.run("typed")
        lab.run("wrong")
        lab.see("wrong", "CallRejected")
        lab.picture("9-wrong", "wrong")

        lab.run("watch")  # again
        assert lab.output("watch").locator(".rx-card").count() == 1
        lab.see("watch", "3 docs · 1 message")
        lab.picture("10-again", "watch")
        lab.run("end")
        lab.see("open", "closed")
        lab.see("watch", "ended")
        lab.picture("11-end", "watch")
        lab.look()
        lab.theme("JupyterLab Dark")
        lab.look()
        lab.picture("12-end-dark", "watch")
        lab.picture("13-wrong-dark", "wrong")
