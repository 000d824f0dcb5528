"""The second opinion on ``tests/typing``: what mypy finds precise (`tests.check`), pyright does too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_pyright_agrees() -> None:
    offline = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pyright"],
        capture_output=True,
        encoding="utf-8",
        cwd=REPOSITORY,
        env=offline,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout


def test_pyright_would_say_so(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from rxsdk import ApiService\n\nx: int = ApiService().call('a/b').result().docs\n", "utf-8")
    offline = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT": "1"}
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(wrong)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=REPOSITORY, env=offline, check=False)
    assert done.returncode == 1
    assert "list[Doc]" in done.stdout or "list[dict[str, Any]]" in done.stdout
