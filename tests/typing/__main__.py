"""``python -m tests.typing``: mypy and pyright on the typed use of the API."""

from __future__ import annotations

import subprocess
import sys

if __name__ == "__main__":
    sys.exit(max(subprocess.run([sys.executable, "-m", name], check=False).returncode for name in ("mypy", "pyright")))
