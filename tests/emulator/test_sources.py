"""What the recording does not show and the server's public sources imply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from rxsdk.emulator import Emulator
from tests.emulator.wire import ADMIN, ANON_TOKEN, NAME, PASSWORD, STAFF, Wire, auth_hash, chunk, reauth_hash

SERVER_ERROR = {"code": "CORE_SERVER_ERROR"}

Work = Callable[[Emulator, Wire], Awaitable[None]]


def as_admin(work: Work, **options: Any) -> None:
    async def main(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await work(emulator, await wire.auth())

    with Emulator(**options) as emulator:
        asyncio.run(main(emulator))


async def new_user(wire: Wire, email: str, **doc: Any) -> str:
    hashed = auth_hash(email, "pw", ANON_TOKEN)
    answer = await wire.call("user/create", {"email": email, "email_hash": hashed, "name": NAME, **doc})
    assert answer["status"] == 200, answer
    return answer["args"]["docs"][0]["_id"]


# ---- watches


def test_a_watch_that_failed_does_not_keep_all_from_being_deleted() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        await wire.call("album/watch", call_id="fails")
        assert (await wire.receive())["args"] == {**SERVER_ERROR, "call_id": "fails"}
        await wire.call("staff/watch", call_id="works")
        gone = await wire.call("watch/delete", query=[{"watch": "__all"}])
        assert (gone["status"], gone["args"]["watch"]) == (200, ["works"])

    as_admin(work, watch_mode="stock")


def test_a_watch_that_was_refused_by_the_database_keeps_all_from_being_deleted() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        await wire.call("staff/watch")
        gone = await wire.call("watch/delete", query=[{"watch": "__all"}])
        assert gone["args"]["code"] == "CORE_WATCH_INVALID_WATCH"

    as_admin(work, watch_mode="strict")


@pytest.mark.parametrize("call_id", [["a list"], {"an": "object"}], ids=repr)
def test_a_watch_whose_call_id_can_be_no_key_is_announced_and_then_fails(call_id: Any) -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        created = await wire.call("staff/watch", call_id=call_id)
        assert created["args"]["watch"] == call_id
        assert (await wire.receive())["args"] == {**SERVER_ERROR, "call_id": call_id}
        assert emulator.watches == 0

    as_admin(work)


# ---- queries


@pytest.mark.parametrize(
    ("special", "ranks"),
    [
        ({"$limit": None, "$skip": None}, [2, 1, 0]),
        ({"$sort": None}, [0, 1, 2]),
        ({"$sort": {"cover": 1}}, [0, 1, 2]),
        ({"$sort": {"cover": -1}}, [0, 1, 2]),
        ({"$sort": {"rank": -1}, "$limit": 2}, [2, 1]),
    ],
    ids=repr,
)
def test_the_order_of_docs(special: dict[str, Any], ranks: list[int]) -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        for rank in range(3):
            await wire.call("album/create", {"name": NAME, "rank": rank})
        docs = (await wire.call("album/read", query=[special]))["args"]["docs"]
        assert [doc["rank"] for doc in docs] == ranks

    as_admin(work)


def test_null_for_a_list_of_choices_is_never_answered() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        await wire.send("album/read", query=[{"__or": None}])
        assert await wire.hears_nothing()

    as_admin(work)


@pytest.mark.parametrize("extn", [False, True, [], ["user"]], ids=repr)
def test_with_extn_in_the_query_ids_stay_ids(extn: Any) -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        found = await wire.call("session/read", query=[{"$extn": extn}])
        assert found["args"]["docs"][0]["user"] == wire.session["user"]["_id"]

    as_admin(work)


# ---- docs


def test_an_id_in_a_new_doc_is_kept_and_taken_once() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        doc = {"_id": "mine", "name": NAME}
        created = await wire.call("album/create", doc)
        assert created["args"]["docs"] == [{"_id": "mine"}]
        assert (await wire.call("album/read"))["args"]["docs"][0]["_id"] == "mine"
        for taken in (doc, {**doc, "_id": ["a list"]}):
            again = await wire.call("album/create", taken, call_id="again")
            assert again["args"] == {**SERVER_ERROR, "call_id": "again"}
        assert (await wire.call("album/create", {**doc, "_id": None}))["status"] == 200

    as_admin(work)


def test_an_update_that_would_make_duplicates_of_several_docs() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        ids = [await new_user(wire, email) for email in ("a@x.test", "b@x.test")]
        # the demand for an `_id` is met anywhere in the query
        query = [[{"_id": one} for one in ids]]
        answer = await wire.call("user/update", {"email": "c@x.test"}, query, call_id="u")
        assert answer == {
            "status": 400,
            "msg": "Update call query has more than one doc as results. This would result in duplication.",
            "args": {"code": "CORE_USER_MULTI_DUPLICATE", "call_id": "u"},
        }
        assert (await wire.call("user/update", {"locale": "en_AE"}, query))["msg"] == "Updated 2 docs."

    as_admin(work)


def test_privileges_that_are_no_lists_of_texts_become_the_default() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        for given, kept in (({"staff": "read"}, {}), ({"staff": ["read"]}, {"staff": ["read"]}), ("all", {})):
            user_id = await new_user(wire, f"{len(str(given))}@x.test", privileges=given)
            found = await wire.call("user/read", query=[{"_id": user_id}])
            assert found["args"]["docs"][0]["privileges"] == kept

    as_admin(work)


def test_a_session_made_by_hand_has_the_address_of_its_maker() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        assert (await wire.call("session/create", {"expiry": "2099-01-01T00:00:00", "token": "t"}))["status"] == 200
        doc = (await wire.call("session/read"))["args"]["docs"][0]
        assert (doc["host_add"], doc["user_agent"], doc["token"]) == ("127.0.0.1", "", "t")

    as_admin(work)


def test_settings_are_deleted_one_at_a_time() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        for kind in ("global", "user"):
            await wire.call("setting/create", {"var": "v", "val": 1, "type": kind})
        for count in (1, 1, 0):
            gone = await wire.call("setting/delete", query=[{"var": "v", "$limit": 9}])
            assert gone["args"]["count"] == count

    as_admin(work)


def test_of_several_groups_to_add_the_last_decides_the_answer() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        user = [{"_id": await new_user(wire, "u@x.test")}]
        made = [await wire.call("group/create", {"name": NAME}) for _ in range(2)]
        one, two = (group["args"]["docs"][0]["_id"] for group in made)
        for given, code in (
            (["0" * 24, one], None),
            ([two, "0" * 24], "CORE_USER_INVALID_GROUP"),
            ([two, one], "CORE_USER_GROUP_ADDED"),
            ([], "CORE_SERVER_ERROR"),
        ):
            assert (await wire.call("user/add_group", {"group": given}, user))["args"].get("code") == code
        groups = (await wire.call("user/read", query=user))["args"]["docs"][0]["groups"]
        assert groups == ["f00000000000000000000013", one, two]

    as_admin(work)


# ---- sessions


def test_no_groups_at_all_are_an_error_of_the_server() -> None:
    async def main(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire, await Wire.open(emulator.url) as other:
            doc = {"email": ADMIN, "hash": auth_hash(ADMIN, PASSWORD, ANON_TOKEN), "groups": []}
            answer = await wire.call("session/auth", doc, call_id="a")
            assert answer["args"] == {**SERVER_ERROR, "call_id": "a"}
            session = (await other.auth()).session
            query = [{"_id": session["_id"], "hash": reauth_hash(session["token"])}, {"groups": []}]
            answer = await wire.call("session/reauth", query=query, call_id="r")
            assert answer["args"] == {**SERVER_ERROR, "call_id": "r"}
            assert (await wire.call("heart/beat"))["status"] == 200  # still anonymous

    with Emulator() as emulator:
        asyncio.run(main(emulator))


def test_who_is_gone_or_has_lost_a_group_cannot_sign_in() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        user_id = await new_user(wire, "u@x.test")
        doc = {"email": "u@x.test", "hash": auth_hash("u@x.test", "pw", ANON_TOKEN)}
        async with await Wire.open(emulator.url) as user:
            session = (await user.auth("u@x.test", "pw")).session
        group = await wire.call("group/create", {"name": NAME, "privileges": {"album": ["create"]}})
        group_id = group["args"]["docs"][0]["_id"]
        assert (await wire.call("user/add_group", {"group": group_id}, [{"_id": user_id}]))["status"] == 200
        assert (await wire.call("group/delete", query=[{"_id": group_id}]))["status"] == 200
        proof = [{"_id": session["_id"], "hash": reauth_hash(session["token"])}]
        async with await Wire.open(emulator.url) as user:
            for endpoint, query in (("session/auth", []), ("session/reauth", proof)):
                failed = await user.call(endpoint, doc, query, call_id="f")
                assert failed["args"] == {**SERVER_ERROR, "call_id": "f"}
            answer = await wire.call("user/delete_group", query=[{"_id": user_id, "group": group_id}])
            assert answer["args"]["code"] == "CORE_USER_INVALID_GROUP"
            await wire.call("user/delete", query=[{"_id": user_id}])
            refused = await user.call("session/auth", doc)
            assert refused["args"]["code"] == "CORE_SESSION_INVALID_CREDS"
            failed = await user.call("session/reauth", query=proof, call_id="f")
            assert failed["args"] == {**SERVER_ERROR, "call_id": "f"}
            assert (await user.call("heart/beat"))["status"] == 200  # still anonymous

    as_admin(work)


def test_realms_are_found_in_capitals_too() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        doc_id = await wire.new_staff()
        async with await Wire.open(emulator.url.upper().replace("WS://", "ws://").replace("/WS/", "/ws/")) as loud:
            assert (await loud.call("staff/read"))["args"]["docs"][0]["realm"] == "one"
        assert (await status_of(f"{emulator.http_url}/ONE/staff/retrieve_file/{doc_id}/photo/photo.png")) == 200

    as_admin(work, realms=["One"])


# ---- files


async def status_of(url: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status


def test_a_chunk_that_lacks_a_part_leaves_nothing_behind() -> None:
    async def work(_: Emulator, wire: Wire) -> None:
        for name in ("index", "chunk", "total"):
            doc = chunk(b"x")
            del doc[name]
            assert (await wire.call("file/upload", doc))["args"] == SERVER_ERROR
        refused = await wire.call("staff/create", STAFF)
        assert "of type '<class 'int'>'" in refused["msg"], "the placeholder itself, not an empty list of files"

    as_admin(work)


def test_an_update_takes_an_uploaded_file() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        doc_id = await wire.new_staff()
        query = [{"_id": doc_id}]
        await wire.call("file/upload", chunk(b"second", name="second.png", size=6))
        assert (await wire.call("staff/update", {"photo": 0}, query))["args"]["count"] == 1
        assert (await wire.call("staff/read", query=query))["args"]["docs"][0]["photo"]["name"] == "second.png"
        await wire.call("file/upload", chunk(b"no image", type="text/plain"))
        assert (await wire.call("staff/update", {"photo": 0}, query))["msg"] == "Nothing to update."
        base = f"{emulator.http_url}/staff/retrieve_file/{doc_id}/photo"
        assert [await status_of(f"{base}/{name}.png") for name in ("second", "photo")] == [200, 404]

    as_admin(work)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("user/x", 404),
        ("create_time/x", 404),
        ("name/x", 500),
        ("photo/10x/photo.png", 500),
        ("photo/9/photo.png", 200),
    ],
)
def test_attrs_that_are_no_files_and_thumbs_that_are_no_sizes(path: str, status: int) -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        doc_id = await wire.new_staff()
        assert await status_of(f"{emulator.http_url}/staff/retrieve_file/{doc_id}/{path}") == status

    as_admin(work)
