"""``python -m tests.wheel``: builds the wheel, installs it alone into a fresh environment, and uses it there.

Needs a package index, as ``pip install`` does. First with no extra: the library imports and calls, and each missing
extra is told in one line with the command that brings it. Then with the extra ``docs``: the documentation is made. Exit
code 0 when all of that is so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

LIBRARY = """
import rxsdk
from rxsdk import ApiService, Q, SDKConfig

api = ApiService(SDKConfig(api="ws://127.0.0.1:9/ws", anon_token="t", auth_attrs=["email"]))
assert not api.inited and list(Q.rank > 3) == [{"rank": {"$gt": 3}}]
api.init()
api.close().result()
print(rxsdk.__version__)
"""

MISSING = {
    "cli": "import runpy; runpy.run_module('rxsdk', run_name='__main__')",
    "emulator": "import rxsdk.emulator",
    "http": "from rxsdk import *; c = SDKConfig(api='ws://127.0.0.1:9/ws', anon_token='t', auth_attrs=['email']); "
    "ApiService(c).download_to('.', 'staff', 'x', 'photo', 'a.png')",
    "keyring": "from rxsdk import KeyringCache; KeyringCache()",
    "notebook": "import rxsdk.notebook",
    "telemetry": "from rxsdk import *; c = SDKConfig(api='ws://127.0.0.1:9/ws', anon_token='t', auth_attrs=['email'], "
    "telemetry=True); ApiService(c).init()",
}


def run(*command: object, **more: object) -> subprocess.CompletedProcess[str]:
    """The command, outside of this repository."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, encoding="utf-8", env=environment, check=False,
        **more,  # type: ignore[call-overload]
    )  # fmt: skip


def main() -> int:
    """Build, install, try."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        built = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", place, REPOSITORY)
        wheels = list(place.glob("*.whl"))
        if not wheels:
            print(built.stdout, built.stderr)
            return 1
        run(sys.executable, "-m", "venv", place / "venv")
        python = place / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        installed = run(python, "-m", "pip", "install", "-q", wheels[0])
        print(f"{wheels[0].name}: installed with {installed.returncode}")
        library = run(python, "-W", "error", "-c", LIBRARY, cwd=place)
        print(f"the library: {library.stdout.strip() or library.stderr}")
        wrong = [built.returncode, installed.returncode, library.returncode]
        for extra, code in MISSING.items():
            said = (run(python, "-c", code, cwd=place).stderr.strip().splitlines() or [""])[-1]
            told = "pip install" in said and f"rxsdk[{extra}]" in said
            print(f"{'ok' if told else 'NOT TOLD'}  {extra}: {said}")
            wrong.append(not told)
        docs = run(python, "-m", "pip", "install", "-q", f"{wheels[0]}[docs]")
        made = run(python, "-m", "docs", place / "docs", cwd=REPOSITORY)
        print(f"the documentation, with its extra alone: {made.stdout.strip() or docs.stderr + made.stderr}")
        return int(any([*wrong, docs.returncode, made.returncode]))


if __name__ == "__main__":
    sys.exit(main())
