"""The README: short, true, and its quickstart runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rxsdk
import rxsdk.testing
from tests.cli.conftest import environment

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
EXAMPLES = [path for path in EXAMPLES if not path.name.startswith("desktop_")]  # windows: see tests/desktop


def code_blocks(text: str) -> list[str]:
    """The contents of the fenced blocks."""
    return re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def up_to_the_end_of_the_quickstart() -> str:
    before, quickstart = README.split("## Quickstart\n")
    return before + quickstart[: quickstart.index("\n## ")]


def test_it_is_short() -> None:
    assert len(up_to_the_end_of_the_quickstart().split()) < 300


def test_its_two_commands_do_all_the_set_up() -> None:
    assert "pip install '.[all]' && rxsdk demo\npip install -e '.[test]' && pytest\n" in code_blocks(README)


def test_the_quickstart_is_the_example() -> None:
    example = (REPOSITORY / "examples" / "quickstart.py").read_text("utf-8")
    assert example in code_blocks(up_to_the_end_of_the_quickstart())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_run_as_they_stand(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        cwd=tmp_path,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_what_the_quickstart_prints() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples" / "quickstart.py")],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=50,
        check=True,
    )
    assert done.stdout == "watch: create Ada\nread:  ada.png\n"


def test_every_name_it_mentions_is_there() -> None:
    names = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b", README.split("## What `rxsdk demo` shows")[0]))
    names -= {"NativeScript", "WebSocket"}
    missing = {name for name in names if not hasattr(rxsdk, name) and not hasattr(rxsdk.testing, name)}
    assert missing == set()
    assert "CallOutcomeUnknown" in names


def test_the_commands_it_mentions_are_there() -> None:
    modules = re.findall(r"python -m ([\w.]+)", README)
    assert modules == ["tests.check", "tests.benchmarks"]


def printed(example: str) -> list[str]:
    """What the example prints, line by line."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples" / example)],
        capture_output=True, encoding="utf-8", env=environment(), timeout=50, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_what_the_examples_show() -> None:
    assert printed("upload.py")[-1] == "there are street.png and harbour.png"
    watched = printed("watch.py")
    assert [watched[0], *watched[-2:]] == ["create 1", "update 3", "no watch is left"]
    assert watched[1].startswith("log: connection lost")
    reports = printed("pipeline.py")
    assert reports[-1] == "60 albums in all"
    assert sum(int(line.split()[3]) for line in reports[:-1]) == 60
    served = printed("asyncio_service.py")
    assert {"greeted London", "greeted Paris", "greeted Rome"} <= set(served)
    assert served[-1] == "connection: closed"
    assert printed("testing_your_app.py")[-1].startswith("4 passed")
