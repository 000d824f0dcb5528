"""``rxsdk typegen``: the module on standard output or in a file, and what is wrong with a schema."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import REPOSITORY, Cli

SCHEMA = REPOSITORY / "examples" / "schema.toml"
MADE = REPOSITORY / "tests" / "typing"


def test_the_command(cli: Cli, tmp_path: Path) -> None:
    ran = cli("typegen", SCHEMA)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (MADE / "typed_structs.py").read_text("utf-8")
    ran = cli("typegen", SCHEMA, "-o", tmp_path / "made.py", "--kind", "typed-dict")
    assert (ran.code, ran.out, ran.err) == (0, "", f"Wrote {tmp_path / 'made.py'}.\n")
    assert (tmp_path / "made.py").read_text("utf-8") == (MADE / "typed_dicts.py").read_text("utf-8")
    bad = tmp_path / "bad.toml"
    bad.write_text("[modules.staff]\nname = 'STRING'\n", "utf-8")
    ran = cli("typegen", bad)
    assert ran.code == 2
    assert ran.err.startswith("rxsdk typegen: bad.toml: modules.staff.name: 'STRING' is no type")
    bad.write_bytes(b"\xff")
    assert cli("typegen", bad).code == 2
    assert cli("typegen", tmp_path / "none.toml").code == 2
    assert "No such file" in cli("typegen", SCHEMA, "-o", tmp_path / "no" / "folder.py").err
