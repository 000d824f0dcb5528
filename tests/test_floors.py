"""Imports point down only: the plan of the house, held by walking every import of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rxsdk

PACKAGE = Path(rxsdk.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LEAVES = (
    "rxsdk.__main__",
    "rxsdk.emulator",
    "rxsdk.testing",
    "rxsdk.cli",
    "rxsdk.notebook",
    "rxsdk.desktop",
    "rxsdk.typegen",
)
# What a pure wire may use of the standard library and of PyPI: nothing that acts, waits or knows where it is.
PURE = {
    *(
        "__future__",
        "abc",
        "base64",
        "binascii",
        "codecs",
        "collections",
        "contextlib",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "heapq",
    ),
    *("hmac", "itertools", "json", "math", "re", "struct", "sys", "types", "typing", "zlib", "msgspec", "jwt"),
    "cryptography",
    "decimal",
}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, module: str) -> Iterator[str]:
    """Every module that the source imports, anywhere in it; ``from a import b`` counts as ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


IMPORTS = {module_of(path): set(imports_of(path.read_text(encoding="utf-8"), module_of(path))) for path in FILES}

SHARED = ("rxsdk.protocols.contract", "rxsdk.protocols.deadlines")
"""What is every wire's."""
WIRES = [name for name in IMPORTS if name.startswith("rxsdk.protocols.") and name not in SHARED]

SERVICE_OF_WIRE = {
    wire: tuple(name for name in IMPORTS if name == f"rxsdk.{wire}" or name.startswith(f"rxsdk.{wire}_"))
    for wire in ("limp", "chat", "sylk")
}
SERVICES_OF_WIRES = sum(SERVICE_OF_WIRE.values(), ())
LIMP_EXTRAS = ("rxsdk.operators", "rxsdk.reads", "rxsdk.watch")
"""What LIMP's service offers besides its calls."""
SERVICES = (*SERVICES_OF_WIRES, *LIMP_EXTRAS, "rxsdk.changes", "rxsdk.config", "rxsdk.road", "rxsdk.service")


def within(name: str, *tops: str) -> bool:
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def below(*tops: str) -> list[str]:
    return [module for module in IMPORTS if within(module, *tops)]


def forbidden(modules: list[str], *tops: str) -> list[str]:
    return [f"{module} imports {name}" for module in modules for name in IMPORTS[module] if within(name, *tops)]


def test_the_walk_sees_the_package() -> None:
    assert {"rxsdk", "rxsdk.errors", "rxsdk.limp", "rxsdk.protocols.limp.machine", "rxsdk.core.connection"} <= set(
        IMPORTS
    )
    assert "rxsdk.protocols.limp.codec" in IMPORTS["rxsdk.protocols.limp.machine"]


def test_the_walk_sees_every_form_of_import() -> None:
    source = "def f():\n import a.b as c\n from d import e\n from . import g\n from ..h import i\n"
    assert set(imports_of(source, "x.y.z")) == {"a.b", "d", "d.e", "x.y", "x.y.g", "x.h", "x.h.i"}


@pytest.mark.parametrize("module", below("rxsdk.protocols"))
def test_the_wires_are_pure(module: str) -> None:
    outside = {name for name in IMPORTS[module] if not within(name, "rxsdk")}
    assert {name.split(".")[0] for name in outside} <= PURE
    inside = {name for name in IMPORTS[module] if within(name, "rxsdk")}
    assert [name for name in inside if not within(name, "rxsdk.errors", "rxsdk.secret", "rxsdk.protocols")] == []


def test_the_wires_know_nothing_of_each_other() -> None:
    for module in below("rxsdk.protocols"):
        wire = module.split(".")[2:3]
        others = [name for name in IMPORTS[module] if within(name, "rxsdk.protocols") and name.split(".")[2:3] != wire]
        assert [name for name in others if not within(name, *SHARED)] == [], module


def test_the_core_knows_no_wire_and_nothing_above() -> None:
    above = ("rxsdk.reactive", *SERVICES, "rxsdk.files", "rxsdk.cache", *LEAVES)
    assert forbidden(below("rxsdk.core"), *above) == []
    assert forbidden(below("rxsdk.core"), *WIRES) == []


def test_websockets_live_in_the_core_alone() -> None:
    assert forbidden([name for name in IMPORTS if not within(name, "rxsdk.core")], "websockets") == []


def test_reactivex_lives_in_reactive_and_the_services() -> None:
    rest = [name for name in IMPORTS if not within(name, "rxsdk.reactive", *SERVICES_OF_WIRES, *LIMP_EXTRAS, *LEAVES)]
    assert forbidden(rest, "reactivex") == []


def test_reactive_knows_no_wire() -> None:
    above = (*SERVICES, "rxsdk.files", "rxsdk.cache")
    assert forbidden(below("rxsdk.reactive"), *WIRES, *above) == []


def test_files_are_under_the_services() -> None:
    assert forbidden(below("rxsdk.files"), *SERVICES, "rxsdk.cache") == []


def test_the_configs_are_under_the_services() -> None:
    services = [name for name in SERVICES if name not in ("rxsdk.config", "rxsdk.road")]
    assert forbidden(["rxsdk.config", "rxsdk.road"], *services, "rxsdk.reactive", "rxsdk.files") == []


def test_what_all_services_share_names_no_wire() -> None:
    shared = ["rxsdk.road", "rxsdk.service"]
    assert forbidden(shared, *WIRES, *(name for name in SERVICES if name not in shared)) == []


def test_no_service_knows_another() -> None:
    for wire, modules in SERVICE_OF_WIRE.items():
        others = [name for other, names in SERVICE_OF_WIRE.items() if other != wire for name in names]
        assert forbidden(list(modules), *others) == []


def test_the_caches_stand_alone() -> None:
    outside = [
        f"{module} imports {name}"
        for module in below("rxsdk.cache")
        for name in IMPORTS[module]
        if within(name, "rxsdk") and not within(name, "rxsdk.errors", "rxsdk.secret", "rxsdk.cache")
    ]
    assert outside == []


def test_what_lies_at_the_bottom_imports_nothing_of_ours() -> None:
    assert forbidden(["rxsdk.errors", "rxsdk.secret"], "rxsdk") == []


def test_nothing_below_imports_a_leaf() -> None:
    assert forbidden([name for name in IMPORTS if not within(name, *LEAVES)], *LEAVES) == []


def test_the_emulator_checks_with_its_own_code() -> None:
    assert forbidden(below("rxsdk.emulator"), "rxsdk.protocols", "rxsdk.limp", "rxsdk.core") == []


def test_nobody_but_the_command_imports_the_package_itself() -> None:
    """``import rxsdk`` from within would be a circle; `rxsdk.on_unhandled` is looked up when it is called."""
    assert [name for name in below("rxsdk.protocols", "rxsdk.core", "rxsdk.cache") if "rxsdk" in IMPORTS[name]] == []
