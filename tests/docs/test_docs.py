"""The documentation: it builds, and what it says is so."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

import rxsdk
from docs.__main__ import MODULES
from docs.guide import __all__ as pages
from docs.guide import errors, settings, states
from rxsdk import Q, QuotaPolicy, ReconnectPolicy, SDKConfig
from rxsdk.core.state import TRANSITIONS
from rxsdk.reactive.progress import UploadPhase
from tests.cli.conftest import REPOSITORY, Ran, run_python

TEXTS = {name: importlib.import_module(f"docs.guide.{name}").__doc__ or "" for name in pages}
LIBRARY = [name for name in MODULES if name != "docs.guide"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one command has put it."""
    folder = tmp_path_factory.mktemp("docs") / "here"
    assert run_python("-m", "docs", folder, cwd=REPOSITORY) == Ran(0, f"Wrote {folder / 'index.html'}\n", "")
    return folder


def html(built: Path, module: str) -> str:
    return (built / Path(*module.split("."))).with_suffix(".html").read_text("utf-8")


def test_every_page_is_there(built: Path) -> None:
    front = (built / "index.html").read_text("utf-8")
    links = re.findall(r'href="([^":$]+\.html)"', front)
    assert {"docs/guide.html", "rxsdk.html"} <= set(links)
    assert [link for link in links if not (built / link).is_file()] == []
    assert sorted(pages) == sorted(path.stem for path in (built / "docs" / "guide").glob("*.html"))
    for module in MODULES:
        assert "<h1" in html(built, module)


def test_every_public_name_is_there(built: Path) -> None:
    text = html(built, "rxsdk")
    assert [name for name in rxsdk.__all__ if f'id="{name}"' not in text] == []
    assert 'id="ApiService.call"' in text
    assert "::</p>" not in text


@pytest.mark.parametrize("module", LIBRARY)
def test_what_a_class_has_from_others_is_there_and_no_link_within_a_page_leads_nowhere(
    built: Path, module: str
) -> None:
    text = html(built, module)
    there = re.findall(r'\bid="([^"]+)"', text)
    if module == "rxsdk":
        assert {"ApiService.init", "ApiService.close", "Call.result", "Watch.subscribe"} <= set(there)
    assert [link for link in re.findall(r'href="#([^"]+)"', text) if link not in there] == []


def test_no_link_of_the_guide_leads_nowhere(built: Path) -> None:
    for name in pages:
        page = built / "docs" / "guide" / f"{name}.html"
        links = re.findall(r'href="([^":]+\.html)(?:#([^"]*))?"', page.read_text("utf-8"))
        assert [link for link, _ in links if not (page.parent / link).is_file()] == []


def test_what_it_names_in_the_library_is_there() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"`(rxsdk(?:\.\w+)+)`", text)}
    assert len(named) > 5
    for name in named - {"rxsdk.wire"}:  # a logger
        module, _, attr = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attr) or importlib.import_module(name), name


@pytest.mark.parametrize("kind", [SDKConfig, ReconnectPolicy, QuotaPolicy])
def test_every_setting_is_told(kind: type) -> None:
    table = settings.table(kind)
    for field in dataclasses.fields(kind):
        assert f"| `{field.name}` |" in table
        assert settings.described(kind)[field.name]
    assert table.count("\n") == len(dataclasses.fields(kind)) + 1
    assert table in TEXTS["settings"]


def test_every_error_is_told_with_what_to_do() -> None:
    named = {kind.__name__ for _, kind in errors.kinds()}
    assert named == set(rxsdk.errors.__all__)
    leaves = {kind for _, kind in errors.kinds() if not kind.__subclasses__()}
    assert leaves <= errors.WHAT_TO_DO.keys()


def test_every_state_is_drawn() -> None:
    assert states.PLACES.keys() == TRANSITIONS.keys()
    assert all(after in TRANSITIONS[before] for before, found in states.DRAWN.items() for after in found)
    drawing = states.drawing()
    assert drawing.count("<line") == sum(map(len, states.DRAWN.values()))
    assert [name for name in TRANSITIONS if f">{name}</text>" not in drawing] == []
    assert states.table().count("\n") == sum(map(len, TRANSITIONS.values())) + 1


def test_every_phase_of_an_upload_is_told() -> None:
    told = re.findall(r"^\| `(\w+)` \| (?:waits|is|begins|has)", TEXTS["files"], re.MULTILINE)
    assert sorted(told) == sorted(get_args(UploadPhase))


@pytest.mark.parametrize("name", pages)
def test_the_python_it_shows_is_python(name: str) -> None:
    for code in re.findall(r"```python\n(.*?)```", TEXTS[name], re.DOTALL):
        compile(code.replace("…", "..."), name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_queries_it_shows_are_what_they_become() -> None:
    rows = re.findall(r"^\| (`.*Q.*) \| (`\[.*`) \|$", TEXTS["documents"], re.MULTILINE)
    assert len(rows) > 8
    for left, right in rows:
        shown = re.findall(r"`([^`]*)`", left.replace("\\|", "|"))
        wire = re.findall(r"`([^`]*)`", right)
        assert len(shown) == len(wire)
        for query, items in zip(shown, wire, strict=True):
            if "…" not in items:
                assert eval(query, {"Q": Q}) == eval(items, {"true": True}), query


def test_without_pdoc_it_says_how_to_get_it() -> None:
    code = "import sys, runpy; sys.modules['pdoc'] = None; sys.modules['pdoc.render'] = None; sys.argv = ['docs']; "
    code += "runpy.run_module('docs', run_name='__main__')"
    ran = run_python("-c", code, cwd=REPOSITORY)
    assert ran == Ran(1, "", "python -m docs needs pdoc: pip install 'rxsdk[docs]'\n")


def test_its_extra_brings_all_that_it_describes() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert any("emulator" in one and "notebook" in one for one in extras["docs"])
