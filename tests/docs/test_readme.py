"""The README: short, true, and its quickstart runs."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import rxsdk
import rxsdk.testing
from rxsdk.cli.app import GROUPS
from tests.cli.conftest import environment, run_python

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
    assert "pip install '.[all]' && rxsdk demo\npip install -e '.[test]' && pytest -n auto\n" in code_blocks(README)


def test_the_quickstart_is_the_example() -> None:
    example = (REPOSITORY / "examples" / "quickstart.py").read_text("utf-8")
    assert example in code_blocks(up_to_the_end_of_the_quickstart())


def as_shown(lines: list[str], *wanted: str) -> bool:
    """Whether these lines are there, in this order."""
    rest = iter(lines)
    return all(any(line == one for line in rest) for one in wanted)


SHOWS: dict[str, Callable[[list[str]], bool]] = {
    "quickstart.py": lambda lines: lines == ["watch: create Ada", "read:  ada.png"],
    "upload.py": lambda lines: lines[-1] == "there are street.png and harbour.png",
    "watch.py": lambda lines: as_shown(
        lines,
        *("there are 0", "created, rank 1", "something may have been missed; whatever it was comes next"),
        *("updated, rank 3", "no watch is left"),
    ),
    "pipeline.py": lambda lines: (
        lines[-1] == "60 albums in all" and sum(int(line.split()[3]) for line in lines[:-1]) == 60
    ),
    "asyncio_service.py": lambda lines: (
        {"greeted London", "greeted Paris", "greeted Rome"} <= set(lines) and lines[-1] == "connection: closed"
    ),
    "two_clients_call.py": lambda lines: (
        as_shown(lines, " ada: requested", " bob: incoming", " ada: accepted", " ada: established", " ada: terminated")
        and 'over: 200 OK, bob had said "bob\'s session description"' in lines  # and bob hears of it before or after
    ),
    "chat.py": lambda lines: (
        as_shown(lines, "ada sees: [('Hello, Bob!', 'pending')]", "ada sees: [('Hello, dear Bob!', 'read')]")
        and lines[-1] == "bob has:  ['Hello, dear Bob!']"
    ),
    "testing_your_app.py": lambda lines: lines[-1].startswith("4 passed"),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_run_as_they_stand(example: Path, tmp_path: Path) -> None:
    ran = run_python(example, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out
    if example.name in SHOWS:
        # What is logged comes from another thread, and may come between a line and its end.
        assert SHOWS[example.name](re.sub("log: .*\n", "", ran.out).splitlines()), ran.out


def test_every_example_of_the_readme_is_looked_at() -> None:
    windows = {"desktop_qt.py", "desktop_tk.py"}  # see tests/desktop
    assert SHOWS.keys() | windows == set(re.findall(r"examples/(\w+\.py)\)", README))


def test_every_name_it_mentions_is_there() -> None:
    names = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b", README.split("## What `rxsdk demo` shows")[0]))
    names -= {"NativeScript", "SylkServer", "WebSocket", "TypedDict", "FileList", "CacheService"}
    missing = {name for name in names if not hasattr(rxsdk, name) and not hasattr(rxsdk.testing, name)}
    assert missing == set()
    assert "CallOutcomeUnknown" in names


def test_the_commands_it_mentions_are_there() -> None:
    modules = re.findall(r"python -m ([\w.]+)", README)
    assert modules == ["docs", "tests.check", "tests.wheel", "tests.benchmarks", "docs.picture"]
    commands = {name for group in GROUPS for name in registered(group)}
    assert set(re.findall(r"^rxsdk (\w+)", README, re.MULTILINE)) <= commands


def registered(group: ModuleType) -> set[str]:
    """The names of the commands of a group."""
    return {one.name or one.callback.__name__ for one in group.commands.registered_commands}


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (REPOSITORY / link).is_file()] == []


def test_the_extras_it_mentions_are_there() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].keys() - {"all", "test", "test-gui"}
    said = README.split("**Extras**")[1].split("##")[0]
    assert set(re.findall(r"`(\w+)`", said)) - {"all"} == extras


def test_the_picture_is_of_what_is_shown(tmp_path: Path) -> None:
    """Made anew it is the same, but for the times, the ports and the ids, and where lines of two connections meet."""
    made = tmp_path / "demo.svg"
    command = [sys.executable, "-m", "docs.picture", str(made)]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=environment(), timeout=50, stdout=subprocess.DEVNULL)
    assert shown(made) == shown(REPOSITORY / "docs" / "demo.svg")


_TOLD = re.compile(r" *(\d+  |→|←|·|api\.|#|\$)")


def shown(svg: Path) -> set[str]:
    """How its steps, code and messages begin; where the sentences fold and what is cut differs from run to run."""
    rows: dict[str, str] = {}
    for row, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg.read_text("utf-8")):
        rows[row] = rows.get(row, "") + html.unescape(text).replace("\xa0", " ")
    return {
        re.sub(r"\s+|[\d.]+ m?s\b.*|\d{4,}|\"[0-9a-f]+…\"", "", line[:60])
        for line in rows.values()
        if _TOLD.match(line)
    }
