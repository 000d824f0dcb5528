"""The entry point: versions, missing extras, help."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
import sys
import tomllib
from types import ModuleType

import pytest

import rxsdk
from rxsdk.cli import main
from rxsdk.cli.app import GROUPS
from rxsdk.cli.commands import version as version_module
from tests.cli.conftest import REPOSITORY, Cli, Ran, run_process, run_python


def run_without(*modules: str, argv: tuple[str, ...] = ()) -> Ran:
    """The entry point in an interpreter that has not got ``modules``."""
    block = "".join(f"sys.modules[{name!r}] = None; " for name in modules)
    code = f"import sys; {block}sys.argv = {['rxsdk', *argv]!r}; from rxsdk.cli import main; main()"
    return run_python("-c", code)


def test_version(cli: Cli) -> None:
    ran = cli("version")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"rxsdk {rxsdk.__version__}"
    assert lines[1].startswith(f"Python {platform.python_version()} ")
    assert f"websockets {importlib.metadata.version('websockets')}" in lines
    assert all(len(line.split()) >= 2 for line in lines)


def test_version_as_an_option(cli: Cli) -> None:
    assert cli("--version").out == f"rxsdk {rxsdk.__version__}\n"


def test_version_tells_what_is_not_installed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_module, "LIBRARIES", ("no-such-library",))
    assert cli("version").out.splitlines()[-1] == "no-such-library not installed"


@pytest.mark.parametrize("missing", ["typer", "rich", "platformdirs"])
def test_without_the_extra_it_says_how_to_get_it(missing: str) -> None:
    ran = run_without(missing, argv=("demo",))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"rxsdk: the command line needs {missing}: pip install 'rxsdk[cli]'\n"


@pytest.mark.parametrize("missing", ["aiohttp", "mongomock"])
@pytest.mark.parametrize("name", ["demo", "emulate"])
def test_without_the_emulator_it_says_how_to_get_it(missing: str, name: str) -> None:
    ran = run_without(missing, argv=(name,))
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith(f"rxsdk {name}: ")
    assert "pip install 'rxsdk[emulator]'" in ran.err


def test_the_library_needs_no_extra() -> None:
    code = "import sys; sys.modules.update(dict.fromkeys(['typer', 'rich', 'aiohttp', 'mongomock', 'keyring'])); "
    code += "import rxsdk, rxsdk.cli"
    assert run_python("-c", code) == Ran(0, "", "")


def test_a_mistake_of_ours_is_not_taken_for_a_missing_extra() -> None:
    ran = run_without("rxsdk.cli.demo", argv=("version",))
    assert ran.code == 1
    assert "pip install" not in ran.err
    assert "rxsdk.cli.demo" in ran.err
    ran = run_without("rxsdk.emulator.store", argv=("demo",))
    assert "pip install" not in ran.err
    assert "rxsdk.emulator.store" in ran.err


def test_help(cli: Cli) -> None:
    assert "rxsdk demo" in cli("--help").out
    for name, example in (("demo", "rxsdk demo --file portrait.jpg"), ("emulate", "rxsdk emulate --port 8081")):
        ran = cli(name, "-h")
        assert ran.code == 0
        assert example in ran.out
        assert f"Usage: rxsdk {name}" in ran.out


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__.rpartition(".")[2])
def test_help_at_the_usual_width(group: ModuleType, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for one in group.commands.registered_commands:
        lines = cli(one.callback.__name__, "--help").out.splitlines()
        assert max(map(len, lines)) <= 80
        shown = [line.strip() for line in lines]
        wanted = (one.epilog or "").replace("\\[", "[").splitlines()
        assert [line for line in wanted if line.startswith("$ ") and line not in shown] == [], "examples are whole"
        said = inspect.cleandoc(one.help or one.callback.__doc__)
        assert "\n" not in said.replace("\n\n", ""), "sentences are folded at the width of the terminal only"


def test_a_command_there_is_not(cli: Cli) -> None:
    ran = cli("demonstrate")
    assert (ran.code, ran.out) == (2, "")
    assert "demonstrate" in ran.err


def test_as_a_module() -> None:
    assert run_process("--version").out == f"rxsdk {rxsdk.__version__}\n"


def test_a_closed_output_is_not_in_the_way(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "argv", ["rxsdk", "--help"])
        with pytest.raises(SystemExit):
            main()


def test_the_wheel_has_the_command_and_its_photo() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"] == {"rxsdk": "rxsdk.cli:main"}
    assert (REPOSITORY / "rxsdk" / "cli" / "photo.png").read_bytes().startswith(b"\x89PNG\r\n")
