"""`rxsdk.typegen`: what it writes is typed, runs against the server, and is the module that ``tests/typing`` holds."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rxsdk import Add, ApiService, ConfigurationError, Q
from rxsdk.typegen import Kind, typed_module
from tests.conftest import wait_until
from tests.staff import staff_doc

HERE = Path(__file__).parent
SCHEMA = HERE.parent / "examples" / "schema.toml"

EVERY_TYPE = """
[modules.thing]
any = "ANY"
class = "LITERAL['a', 2, 'it\\\\'s']"
when = "DATETIME?"
size = "DICT"
place = "Place"
places = "LIST[Place]?"
loose = "LIST"
tags = "LIST[STR | INT]"
ranks = "KV_DICT[FLOAT]"
__deleted = "BOOL?"

[types.Place]
street = "STR"
open = "BOOL?"

[methods]
thing = ["read", "create", "update", "promote_to_the_very_top_of_everything_there_is"]
"""


def loaded(source: str) -> Any:
    module = types.ModuleType("made_by_typegen")
    sys.modules[module.__name__] = module
    exec(compile(source, "made_by_typegen.py", "exec"), module.__dict__)
    return module


@pytest.fixture(params=["struct", "typed-dict"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    yield request.param
    sys.modules.pop("made_by_typegen", None)


@pytest.mark.parametrize(("kind", "file"), [("struct", "typed_structs.py"), ("typed-dict", "typed_dicts.py")])
def test_the_modules_that_are_type_checked_are_what_it_writes(kind: Kind, file: str) -> None:
    written = (HERE / "typing" / file).read_text("utf-8")
    assert typed_module(SCHEMA.read_text("utf-8"), kind=kind) == written


def test_it_talks_to_the_server(signed_in: ApiService) -> None:
    made = loaded(typed_module(SCHEMA.read_text("utf-8")))
    changes: list[Any] = []
    made.staff_watch(signed_in).subscribe(lambda res: changes.extend(res.docs))
    ref = made.staff_create(signed_in, staff_doc()).result().docs[0]
    (staff,) = made.staff_read(signed_in, Q._id == ref.id, timeout_s=5).result().docs
    assert isinstance(staff, made.Staff)
    assert (staff.id, staff.photo.type, type(staff.create_time)) == (ref.id, "image/png", datetime)
    made.staff_update(signed_in, Q._id == ref.id, {"bio": {"ar_AE": "new"}}).result()
    made.staff_delete(signed_in, (Q._id == ref.id).special("$soft", True)).result()
    wait_until(lambda: len(changes) == 3)
    assert [type(change) for change in changes] == [made.StaffPart] * 3
    assert changes[1].bio["ar_AE"] == "new"
    assert changes[2].bio is msgspec.UNSET
    album = made.album_create(signed_in, {"name": {"ar_AE": "x"}}).result().docs[0]
    made.album_update(signed_in, Q._id == album.id, {"rank": Add(2)}).result()
    assert made.album_read(signed_in, Q._id == album.id).result().docs[0].rank == 2


def test_plain_dicts(signed_in: ApiService) -> None:
    made = loaded(typed_module(SCHEMA.read_text("utf-8"), kind="typed-dict"))
    ref = made.staff_create(signed_in, staff_doc()).result().docs[0]
    (staff,) = made.staff_read(signed_in, Q._id == ref["_id"]).result().docs
    assert isinstance(staff["create_time"], datetime)


def test_every_type(kind: Kind) -> None:
    source = typed_module(EVERY_TYPE, kind=kind)
    made = loaded(source)
    doc = {
        "_id": "1", "any": [1], "class": 2, "size": {"x": 1}, "place": {"street": "s"}, "loose": [1], "tags": ["a", 1],
        "ranks": {"a": 1.5}, "when": None, "places": None, "__deleted": None,
    }  # fmt: skip
    doc["place"] = {"street": "s", "open": None}
    thing = msgspec.convert(doc, made.Thing)
    back = msgspec.to_builtins(thing)
    assert {name: back[name] for name in doc} == doc
    with pytest.raises(msgspec.ValidationError, match="class"):
        msgspec.convert({**doc, "class": "b"}, made.Thing)
    assert made.thing_read.__annotations__["return"] == "Call[Res[Thing]]"
    assert "thing_delete" not in source
    assert max(map(len, source.splitlines())) <= 120
    assert '"when": "NotRequired[datetime]"' in source
    assert made.ThingChanges.__required_keys__ == frozenset()


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("[modules.staff", "is not TOML"),
        ("", "has no [modules.…]"),
        ("[staff]\nname = 'STR'", "has no section [staff]"),
        ("modules = 1", "[modules] must be a table"),
        ("[modules]\nstaff = 'STR'", "modules.staff: must be a table of attrs"),
        ("[modules.staff]", "must be a table of attrs"),
        ("[modules.for]\nname = 'STR'", "must be one that Python takes"),
        ("[modules.staff]\n'a-b' = 'STR'", "modules.staff.a-b: the name must be"),
        ("[modules.staff]\nname = 1", "must be a type in quotes"),
        ("[modules.staff]\nname = 'STRING'", "modules.staff.name: 'STRING' is no type; there are ID, STR,"),
        ("[modules.staff]\nname = 'LIST['", "'LIST[' is no type"),
        ("[modules.staff]\nname = 'LITERAL[x]'", "LITERAL takes texts"),
        ("[modules.staff]\nname = 'STR'\n[methods]\nalbum = []", "there is no [modules.album]"),
        ("[modules.staff]\nname = 'STR'\n[methods]\nstaff = ['a b']", "must be a list of names"),
    ],
)
def test_what_cannot_work_is_named(schema: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        typed_module(schema)
