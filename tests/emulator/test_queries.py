"""Queries, special attrs and document operators, as a client sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxsdk.emulator import Attr, Emulator, Module, standard_methods
from tests.emulator.wire import NAME, Wire

THING = Module(
    "thing",
    {
        "user": Attr("ID"),
        "name": Attr("LOCALE", default={"ar_AE": "n", "en_AE": "n"}),
        "title": Attr("STR", default=""),
        "rank": Attr("INT", default=0),
        "price": Attr("FLOAT", default=0.0),
        "open": Attr("BOOL", default=False),
        "mail": Attr("EMAIL", default=None),
        "at": Attr("DATETIME", default=None),
        "owner": Attr("ID", default=None),
        "owners": Attr("LIST", default=[], items=(Attr("ID"),)),
        "tags": Attr("LIST", default=[], items=(Attr("STR"), Attr("INT"))),
        "size": Attr("DICT", default=None, fields={"x": Attr("INT"), "y": Attr("INT", default=1)}),
        "anything": Attr("ANY", default=None),
        "create_time": Attr("DATETIME"),
    },
    standard_methods(["read", "watch", "create", "update", "delete"]),
    package="shop",
)
SOMEBODY = "f0000000000000000000aaaa"
DOCS: list[dict[str, Any]] = [
    {"rank": 0, "tags": ["a", "b"], "title": "Red apple", "owner": SOMEBODY.upper()},
    {"rank": 1, "tags": ["b"], "title": "green Apples", "owners": [SOMEBODY]},
    {"rank": 2, "tags": [], "title": "blue", "size": {"x": 5, "y": 2}},
    {"rank": 3, "tags": ["c", 7], "price": 2.5, "name": {"ar_AE": "تفاحة", "en_AE": "an apple"}},
]


def shop(**options: Any) -> Emulator:
    return Emulator(modules=[THING], **options)


async def stocked(emulator: Emulator) -> Wire:
    wire = await Wire.open(emulator.url)
    for doc in DOCS:
        assert (await wire.call("thing/create", doc))["status"] == 200
    return wire


@pytest.mark.parametrize(
    ("query", "ranks"),
    [
        ([], [3, 2, 1, 0]),
        ([{"rank": 1}], [1]),
        ([{"rank": {"$eq": 1}}], [1]),
        ([{"rank": {"$ne": 1}}], [3, 2, 0]),
        ([{"rank": {"$gt": 1}}, {"rank": {"$lt": 3}}], [2]),
        ([{"rank": {"$gte": 1, "$lte": 2}}], [2, 1]),
        ([{"rank": {"$bet": [1, 2]}}], [2, 1]),
        ([{"rank": {"$in": [0, 3]}}], [3, 0]),
        ([{"rank": {"$nin": [0, 3]}}], [2, 1]),
        ([{"tags": "b"}], [1, 0]),
        ([{"tags": {"$all": ["a", "b"]}}], [0]),
        ([{"title": {"$regex": "^red"}}], [0]),
        ([{"title": {"$regex": "("}}], []),
        ([[{"rank": 0}, {"rank": 3}]], [3, 0]),
        ([[{"rank": 0, "title": "blue"}, {"rank": 3}]], [3]),
        ([{"__or": [{"rank": 0}, {"rank": 1}], "tags": "a"}], [0]),
        ([{"__or_1": [{"rank": 0}, {"rank": 1}], "__or_2": [{"rank": 1}, {"rank": 2}]}], [1]),
        ([[[{"rank": 0}], {"__or": [{"rank": 2}]}]], [2, 0]),
        ([{"owner": SOMEBODY}], [0]),
        ([{"owner": {"$in": [SOMEBODY, "x"]}}], [0]),
        ([{"owner": {"$ne": SOMEBODY}}], [3, 2, 1, 0]),
        ([{"owner": {"$gt": "a"}}], []),
        ([{"owners": SOMEBODY}], [1]),
        ([{"owners": [SOMEBODY]}], [1]),
        ([{"size.x": 5}], [2]),
        ([{"name.en_AE": "an apple"}], [3]),
        ([{"_id": "not an id"}], []),
        ([{"nosuch": 1}], []),
        ([{"nosuch": {"$ne": 1}}], [3, 2, 1, 0]),
        ([{"rank": {"$gte": 1, "$nosuch": 2}}], []),
        ([{"$search": "APPLE"}], [3, 0]),
        ([{"$search": "blue apples"}], [2, 1]),
        ([{"$search": "app"}], []),
        ([{"$sort": {"rank": 1}}], [0, 1, 2, 3]),
        ([{"$sort": {"price": -1, "rank": 1}}], [3, 0, 1, 2]),
        ([{"$sort": {}}], []),
        ([{"$sort": "rank"}], []),
        ([{"$skip": 3}], [0]),
        ([{"$skip": 9}], []),
        ([{"$limit": 1}], [3]),
        ([{"$limit": "x"}], []),
        ([{"$skip": -1}], []),
        ([{"$extn": False, "rank": 2}], [2]),
    ],
    ids=repr,
)
def test_what_a_query_finds(query: Any, ranks: list[int]) -> None:
    async def run(emulator: Emulator) -> None:
        async with await stocked(emulator) as wire:
            answer = await wire.call("thing/read", query=query)
            assert [doc["rank"] for doc in answer["args"]["docs"]] == ranks
            assert answer["msg"] == f"Found {len(ranks)} docs."

    with shop() as emulator:
        asyncio.run(run(emulator))


def test_total_counts_what_limit_and_skip_leave_out() -> None:
    async def run(emulator: Emulator) -> None:
        async with await stocked(emulator) as wire:
            args = (await wire.call("thing/read", query=[{"$limit": 2, "$skip": 3}]))["args"]
            assert (args["total"], args["count"]) == (4, 1)
            args = (await wire.call("thing/read", query=[{"$attrs": ["rank", "nosuch"], "$limit": 1}]))["args"]
            assert set(args["docs"][0]) == {"_id", "rank"}

    with shop() as emulator:
        asyncio.run(run(emulator))


def test_groups_are_buckets_of_equal_count() -> None:
    async def run(emulator: Emulator) -> None:
        async with await stocked(emulator) as wire:

            async def groups(query: Any) -> Any:
                return (await wire.call("thing/read", query=query))["args"].get("groups")

            by_rank = {"$group": [{"by": "rank", "count": 2}, {"by": "price", "count": 2}]}
            assert await groups([by_rank]) == {
                "rank": [{"min": 0, "max": 2, "count": 2}, {"min": 2, "max": 3, "count": 2}],
                "price": [{"min": 0.0, "max": 2.5, "count": 3}, {"min": 2.5, "max": 2.5, "count": 1}],
            }
            assert await groups([{"rank": {"$lt": 1}}, {"$group": [{"by": "rank", "count": 1}]}]) == {
                "rank": [{"min": 0, "max": 3, "count": 4}]
            }
            assert await groups([{"rank": {"$lt": 2}, "tags": "b"}, {"$group": [{"by": "rank", "count": 9}]}]) == {
                "rank": [{"min": 0, "max": 1, "count": 1}, {"min": 1, "max": 1, "count": 1}]
            }
            assert await groups([{"rank": 99}, by_rank]) == {}
            for wrong in ({"by": "rank"}, {"by": "rank", "count": 0}, 5):
                answer = await wire.call("thing/read", query=[{"$group": [wrong]}], call_id="g")
                assert answer["args"] == {"code": "CORE_SERVER_ERROR", "call_id": "g"}

    with shop() as emulator:
        asyncio.run(run(emulator))


def test_geo_near_is_refused_by_name() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            answer = await wire.call("thing/read", query=[{"$geo_near": {"val": [0, 0], "attr": "at", "dist": 1}}])
            assert answer["status"] == 400
            assert "$geo_near" in answer["msg"]

    with shop() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"rank": {"$add": -2}}, {"rank": -2}),
        ({"rank": {"$multiply": 3}}, None),
        ({"price": {"$add": 1.5}}, {"price": 1.5}),
        ({"price": {"$multiply": 3.0}}, None),
        ({"tags": {"$append": "z"}}, {"tags": ["a", "b", "z"]}),
        ({"tags": {"$append": "a"}}, {"tags": ["a", "b", "a"]}),
        ({"tags": {"$append": "a", "$unique": True}}, None),
        ({"tags": {"$push": "z"}}, {"tags": ["a", "b", "z"]}),
        ({"tags": {"$push_unique": "b"}}, None),
        ({"tags": {"$push_unique": "z"}}, {"tags": ["a", "b", "z"]}),
        ({"tags": {"$pull": ["a", "x"]}}, {"tags": ["b"]}),
        ({"tags": {"$remove": ["b"]}}, {"tags": ["a"]}),
        ({"tags": {"$del_val": "a"}}, {"tags": ["b"]}),
        ({"tags": {"$del_index": 0}}, {"tags": ["b"]}),
        ({"tags": {"$set_index": "z", "$index": 1}}, {"tags": ["a", "z"]}),
        ({"tags": {"$set_index": {"3": "z"}}}, {"tags": ["a", "b", None, "z"]}),
        ({"name": {"ar_AE": "x"}}, {"name": {"ar_AE": "x", "en_AE": "x"}}),
        ({"size": {"x": "5", "y": None}}, {"size": {"x": 5, "y": None}}),
        ({"tags": ["z", 1.5]}, {"tags": ["z", None]}),
        ({"tags": {"$append": 1.5}}, {"tags": ["a", "b", None]}),
        ({"size.x": 9}, {"size": {"x": 9}}),
        ({"rank": "12", "price": "1.5", "open": True}, {"rank": 12, "price": 1.5, "open": True}),
        ({"mail": "a@b.c", "at": "2026-01-01T00:00:00"}, {"mail": "a@b.c", "at": "2026-01-01T00:00:00"}),
        ({"anything": {"a": [1, {"b": None}]}}, {"anything": {"a": [1, {"b": None}]}}),
        ({"user": SOMEBODY, "create_time": "2020-01-01T00:00:00", "rank": 5}, {"rank": 5}),
        ({"title": ""}, {"title": ""}),
        ({"rank": 0}, None),
    ],
    ids=repr,
)
def test_document_operators(change: dict[str, Any], seen: dict[str, Any] | None) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            created = await wire.call("thing/create", DOCS[0])
            query = [{"_id": created["args"]["docs"][0]["_id"]}]
            before = (await wire.call("thing/read", query=query))["args"]["docs"][0]
            answer = await wire.call("thing/update", change, query)
            assert answer["msg"] == f"Updated {0 if seen is None else 1} docs."
            after = (await wire.call("thing/read", query=query))["args"]["docs"][0]
            assert after == {**before, **(seen or {})}

    with shop() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"nosuch": 1},
        {"rank": "x"},
        {"rank": None},
        {"rank": 1.5},
        {"rank": {"$add": "x"}},
        {"open": 1},
        {"mail": "x"},
        {"at": "now"},
        {"tags": "a"},
        {"tags": {"$remove": "a"}},
        {"owner": "zz"},
        {"size": {"x": 1}},
        {"name": {"en_AE": "x"}},
        {"name": {"ar_AE": 5}},
        {"user": SOMEBODY},
    ],
    ids=repr,
)
def test_an_update_of_nothing_that_fits(change: dict[str, Any]) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.call("thing/create", {})
            found = (await wire.call("thing/read"))["args"]["docs"][0]
            answer = await wire.call("thing/update", change, [{"_id": found["_id"]}], call_id="u")
            assert answer == {"status": 200, "msg": "Nothing to update.", "args": {"call_id": "u"}}
            assert (await wire.call("thing/read"))["args"]["docs"][0] == found

    with shop() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize("change", [{"anything": {"$add": 1}}, {"tags": {"$del_val": 1}, "title": {"$del_index": 0}}])
def test_an_operator_the_stored_value_cannot_take_is_a_500(change: dict[str, Any]) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            created = await wire.call("thing/create", {"anything": "text", "title": "text"})
            query = [{"_id": created["args"]["docs"][0]["_id"]}]
            answer = await wire.call("thing/update", change, query, call_id="u")
            assert answer["args"] == {"code": "CORE_SERVER_ERROR", "call_id": "u"}

    with shop() as emulator:
        asyncio.run(run(emulator))


def test_several_docs_are_updated_and_deleted_by_one_call() -> None:
    async def run(emulator: Emulator) -> None:
        async with await stocked(emulator) as wire:
            found = (await wire.call("thing/read", query=[{"rank": {"$gt": 0}}]))["args"]["docs"]
            ids = [doc["_id"] for doc in found]
            query = [{"_id": ids[0]}]
            missing = await wire.call("thing/update", {"rank": 7}, [{"_id": {"$in": ids}}])
            assert missing["msg"].endswith("Failed sets:['_id': Missing]")
            assert missing["args"]["code"] == "SHOP_THING_INVALID_QUERY"
            deleted = await wire.call("thing/delete", query=query, call_id="d")
            assert deleted["args"] == {"count": 1, "docs": [{"_id": ids[0]}], "call_id": "d"}
            assert (await wire.call("thing/delete", query=query))["args"]["docs"] == []
            assert (await wire.call("thing/update", {"rank": 7}, query))["args"]["docs"] == []
            assert (await wire.call("thing/read"))["args"]["total"] == 3
            assert (await wire.call("thing/delete", query=[{"_id": ids[1]}, {"$soft": True}]))["args"]["count"] == 1

    with shop() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(
    ("doc", "text", "code"),
    [
        ({}, "Missing attr 'name'", "MISSING_ATTR"),
        ({"name": "x"}, "Invalid attr 'name' of type '<class 'str'>' with required type 'LOCALE'", "INVALID_ATTR"),
        ({"name": {"en_AE": "x"}}, "Invalid attr 'name' of type '<class 'dict'>'", "INVALID_ATTR"),
        ({"name": NAME}, "Missing attr 'owner'", "MISSING_ATTR"),
        ({"name": NAME, "owner": 5}, "Invalid attr 'owner' of type '<class 'int'>'", "INVALID_ATTR"),
        ({"name": NAME, "owner": "zz"}, "Can't convert attr 'owner' of type '<class 'str'>' to type 'ID'", None),
    ],
    ids=repr,
)
def test_a_doc_that_does_not_fit_is_refused(doc: dict[str, Any], text: str, code: str | None) -> None:
    module = Module(
        "strict", {"name": Attr("LOCALE"), "owner": Attr("ID")}, standard_methods(["create"]), package="shop"
    )

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            answer = await wire.call("strict/create", doc)
            assert answer["status"] == 400
            assert answer["msg"].startswith(text)
            assert answer["msg"].endswith(" for 'create' request on module 'SHOP_STRICT'.")
            assert answer["args"]["code"] == f"SHOP_STRICT_{code or 'CONVERT_INVALID_ATTR'}"

    with Emulator(modules=[module]) as emulator:
        asyncio.run(run(emulator))


def test_watches_with_conditions_and_attrs() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire, await Wire.open(emulator.url) as writer:
            for call_id, query in {
                "all": [],
                "high": [{"rank": {"$gt": 5}}],
                "attrs": [{"$attrs": ["title"]}],
                "odd": [{"rank": {"$gt": 0, "$nosuch": 1}}],
            }.items():
                assert (await wire.call("thing/watch", query=query, call_id=call_id))["args"]["watch"] == call_id
            assert emulator.watches == 4
            created = await writer.call("thing/create", {"rank": 1})
            query = [{"_id": created["args"]["docs"][0]["_id"]}]
            events = [await wire.receive() for _ in range(2)]
            assert [event["args"]["watch"] for event in events] == ["all", "attrs"]
            assert set(events[1]["args"]["docs"][0]) == {"_id", "title"}
            await writer.call("thing/update", {"rank": 9}, query)
            assert [(await wire.receive())["args"]["watch"] for _ in range(3)] == ["all", "high", "attrs"]
            await writer.call("thing/delete", query=[*query, {"$soft": True}])
            assert [(await wire.receive())["args"]["oper"] for _ in range(2)] == ["delete"] * 2
            gone = await wire.call("watch/delete", query=[{"watch": "__all"}])
            assert gone["args"]["watch"] == ["all", "high", "attrs", "odd"]
            await writer.call("thing/create", {"rank": 9})
            assert (await wire.call("heart/beat"))["args"]["code"] == "CORE_HEARTBEAT_OK"
            assert emulator.watches == 0

    with shop() as emulator:
        asyncio.run(run(emulator))


def test_a_second_watch_with_the_same_call_id_hides_the_first() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire, await Wire.open(emulator.url) as writer:
            for _ in range(2):
                assert (await wire.call("thing/watch", call_id="w"))["args"]["watch"] == "w"
            await writer.call("thing/create", {})
            assert [(await wire.receive())["args"]["call_id"] for _ in range(2)] == ["w", "w"]
            assert (await wire.call("watch/delete", query=[{"watch": "w"}]))["args"]["watch"] == ["w"]
            refused = await wire.call("watch/delete", query=[{"watch": "w"}])
            assert refused["args"]["code"] == "CORE_WATCH_INVALID_WATCH"
            await writer.call("thing/create", {})
            assert (await wire.receive())["args"]["watch"] == "w"
            for strange in (["list"], {"a": 1}, None, 5):
                refused = await wire.call("watch/delete", query=[{"watch": strange}])
                assert refused["args"]["code"] == "CORE_WATCH_INVALID_WATCH"
        await asyncio.to_thread(emulator.wait_until, lambda e: e.watches == 0)

    with shop() as emulator:
        asyncio.run(run(emulator))


def test_every_module_can_be_watched() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            for module in ("staff", "album", "user", "session", "group", "setting"):
                assert (await wire.call(f"{module}/watch", call_id=module))["args"]["code"] == "CORE_WATCH_OK"
            setting = await wire.call("setting/create", {"var": "v", "val": 1, "type": "user"})
            assert setting["status"] == 200
            assert (await wire.receive())["args"]["docs"][0]["val"] == 1
            await wire.call("album/create", {"name": NAME})
            assert (await wire.receive())["args"]["watch"] == "album"

    with Emulator() as emulator:
        asyncio.run(run(emulator))
