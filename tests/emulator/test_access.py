"""Who may do what: users, groups, sessions over several connections, client apps, realms, HTTP callers."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from rxsdk.emulator import ClientApp, Emulator, Method, Module, Permission, standard_methods
from rxsdk.emulator.schema import Attr
from rxsdk.errors import ConfigurationError
from tests.emulator.wire import ADMIN, ANON_SID, ANON_TOKEN, NAME, PASSWORD, STAFF, Wire, auth_hash, chunk, reauth_hash

DEFAULT_GROUP = "f00000000000000000000013"


def run(work: Any, **options: Any) -> None:
    async def main(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await work(emulator, wire)

    with Emulator(**options) as emulator:
        asyncio.run(main(emulator))


async def new_user(admin: Wire, email: str, password: str = "pw", **doc: Any) -> dict[str, Any]:
    hashed = auth_hash(email, password, ANON_TOKEN)
    return await admin.call("user/create", {"email": email, "email_hash": hashed, "name": NAME, **doc})


def test_what_an_ordinary_user_may() -> None:
    async def work(emulator: Emulator, admin: Wire) -> None:
        await admin.auth()
        assert (await new_user(admin, "u@x.test"))["status"] == 200
        async with await Wire.open(emulator.url) as wire:
            await wire.auth("u@x.test", "pw")
            user = wire.session["user"]
            assert user["privileges"] == {"staff": ["create", "update", "delete"]}
            assert "email_hash" not in user
            staff = await wire.new_staff()
            assert (await wire.call("staff/update", {"bio": NAME}, [{"_id": staff}]))["args"]["count"] == 1
            for endpoint in ("album/create", "user/read", "user/create", "group/read", "session/create"):
                answer = await wire.call(endpoint, {"name": NAME}, [])
                assert answer["args"]["code"] == "CORE_SESSION_FORBIDDEN", endpoint

    run(work)


def test_users_of_the_admin() -> None:
    async def work(emulator: Emulator, admin: Wire) -> None:
        await admin.auth()
        user_id = (await new_user(admin, "u@x.test"))["args"]["docs"][0]["_id"]
        me = [{"_id": user_id}]
        taken = await new_user(admin, "u@x.test")
        assert taken["args"]["code"] == "CORE_USER_DUPLICATE_DOC"
        invalid = await new_user(admin, "no email")
        assert invalid["args"]["code"] == "CORE_USER_INVALID_ATTR"
        assert (await admin.call("user/update", {"email": ADMIN}, me))["args"]["code"] == "CORE_USER_DUPLICATE_DOC"
        group = await admin.call("group/create", {"name": NAME, "privileges": {"album": ["create"]}})
        group_id = group["args"]["docs"][0]["_id"]
        assert (await admin.call("user/add_group", {"group": group_id}, me))["msg"] == "Updated 1 docs."
        again = await admin.call("user/add_group", {"group": [group_id]}, me)
        assert again["args"]["code"] == "CORE_USER_GROUP_ADDED"
        shown = (await admin.call("user/read_privileges", query=me))["args"]["docs"][0]
        assert shown["groups"] == [DEFAULT_GROUP, group_id]
        assert shown["privileges"]["album"] == ["create"]
        leave = [{"_id": user_id, "group": group_id}]
        assert (await admin.call("user/delete_group", query=leave))["msg"] == "Updated 1 docs."
        assert (await admin.call("user/delete_group", query=leave))["args"]["code"] == "CORE_USER_GROUP_NOT_ADDED"
        nobody = [{"_id": "0" * 24}]
        for endpoint, doc, query, code in (
            ("user/add_group", {"group": "0" * 24}, me, "INVALID_GROUP"),
            ("user/add_group", {"group": group_id}, nobody, "INVALID_USER"),
            ("user/read_privileges", {}, nobody, "INVALID_USER"),
            ("user/add_group", {"group": 5}, me, "INVALID_DOC"),
        ):
            assert (await admin.call(endpoint, doc, query))["args"]["code"] == f"CORE_USER_{code}"

    run(work)


@pytest.mark.parametrize(
    ("status", "msg"),
    [
        ("banned", "User is banned."),
        ("deleted", "User is deleted."),
        ("disabled_password", "User password is disabled."),
    ],
)
def test_users_who_may_not_sign_in(status: str, msg: str) -> None:
    async def work(emulator: Emulator, admin: Wire) -> None:
        await admin.auth()
        await new_user(admin, "u@x.test", status=status)
        async with await Wire.open(emulator.url) as wire:
            doc = {"email": "u@x.test", "hash": auth_hash("u@x.test", "pw", ANON_TOKEN)}
            answer = await wire.call("session/auth", doc, call_id="a")
            assert answer == {"status": 403, "msg": msg, "args": {"code": "CORE_SESSION_INVALID_USER", "call_id": "a"}}

    run(work)


def test_groups_at_auth_and_reauth() -> None:
    async def work(emulator: Emulator, admin: Wire) -> None:
        await admin.auth()
        await new_user(admin, "u@x.test")
        doc = {"email": "u@x.test", "hash": auth_hash("u@x.test", "pw", ANON_TOKEN)}
        async with await Wire.open(emulator.url) as wire:
            wrong = await wire.call("session/auth", {**doc, "groups": ["0" * 24]})
            assert wrong["args"]["code"] == "CORE_SESSION_INVALID_CREDS"
            right = await wire.call("session/auth", {**doc, "groups": [DEFAULT_GROUP]})
            session = right["args"]["session"]
            assert session["groups"] == [DEFAULT_GROUP]
        proof = {"_id": session["_id"], "hash": reauth_hash(session["token"])}
        async with await Wire.open(emulator.url) as wire:
            wrong = await wire.call("session/reauth", query=[proof, {"groups": ["0" * 24]}])
            assert wrong["args"]["code"] == "CORE_SESSION_INVALID_SESSION"
            right = await wire.call("session/reauth", query=[proof, {"groups": [DEFAULT_GROUP]}])
            assert right["status"] == 200
        async with await Wire.open(emulator.url) as wire:
            as_admin = {"email": ADMIN, "hash": auth_hash(ADMIN, PASSWORD, ANON_TOKEN), "groups": ["0" * 24]}
            assert (await wire.call("session/auth", as_admin))["status"] == 200

    run(work)


def test_frames_signed_with_the_old_token_around_a_change_of_session() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        await wire.call("album/watch", call_id="w")
        await wire.auth()
        session_key, wire.key = wire.key, ANON_TOKEN
        assert (await wire.call("heart/beat"))["status"] == 403
        wire.key = session_key
        await wire.call("album/create", {"name": NAME})
        assert (await wire.receive())["args"]["watch"] == "w"
        own = [{"_id": wire.session["_id"]}]
        assert (await wire.call("session/signout", query=own))["args"]["session"] == {"_id": ANON_SID}
        assert (await wire.call("heart/beat"))["status"] == 403
        wire.key = ANON_TOKEN
        assert (await wire.call("heart/beat"))["status"] == 200
        assert emulator.watches == 1

    run(work)


def test_one_session_over_several_connections() -> None:
    async def work(emulator: Emulator, one: Wire) -> None:
        await one.auth()
        own = [{"_id": one.session["_id"]}]
        proof = [{**own[0], "hash": reauth_hash(one.key)}]
        async with await Wire.open(emulator.url) as two, await Wire.open(emulator.url) as three:
            for wire in (two, three):
                assert (await wire.call("session/reauth", query=proof))["args"]["session"]["token"] == one.key
                wire.key = one.key
            assert (await two.call("session/signout", query=own))["status"] == 200
            assert (await three.call("staff/read"))["status"] == 200
            gone = await three.call("session/signout", query=own)
            assert gone["args"]["code"] == "CORE_SESSION_INVALID_SESSION"
            two.key = ANON_TOKEN
            gone = await two.call("session/reauth", query=proof)
            assert gone["args"]["code"] == "CORE_SESSION_INVALID_SESSION"

    run(work)


def test_verify_with_a_session_token_is_refused_and_closed() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        await wire.auth()
        async with await Wire.open(emulator.url, verify=False) as late:
            await late.receive()
            late.key = wire.key
            assert (await late.call("conn/verify"))["args"]["code"] == "CORE_REQ_INVALID_TOKEN"
            assert await late.closed() == (1000, "")

    run(work)


def test_user_agent_is_kept_only_with_an_origin() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        assert (await wire.auth()).session["user_agent"] == ""
        async with await Wire.open(emulator.url, origin="http://x.test", user_agent_header="me/1") as browser:
            assert (await browser.auth()).session["user_agent"] == "me/1"

    run(work)


def test_client_apps() -> None:
    apps = {"web": ClientApp("web", ("http://x.test",)), "phone": ClientApp("ios")}

    async def main(emulator: Emulator) -> None:
        for doc, origin, code in (
            ({"app": "phone"}, None, "CORE_CONN_OK"),
            ({"app": "web"}, "http://x.test", "CORE_CONN_OK"),
            ({"app": "web"}, "http://y.test", "CORE_REQ_NO_VERIFY"),
            ({"app": "nosuch"}, None, "CORE_REQ_NO_VERIFY"),
            ({"app": None}, None, "CORE_REQ_NO_VERIFY"),
            ([], None, "CORE_SERVER_ERROR"),
            ({"app": []}, None, "CORE_SERVER_ERROR"),
        ):
            async with await Wire.open(emulator.url, verify=False, origin=origin) as wire:
                await wire.receive()
                assert (await wire.call("conn/verify", doc))["args"]["code"] == code
                if code == "CORE_REQ_NO_VERIFY":
                    assert await wire.closed() == (1000, "")

    with Emulator(client_apps=apps) as emulator:
        asyncio.run(main(emulator))


def test_client_apps_from_the_command_line() -> None:
    assert ClientApp.parse("a:web:http://x:1,https://y") == ("a", ClientApp("web", ("http://x:1", "https://y")))
    assert ClientApp.parse("a:android") == ("a", ClientApp("android"))
    for wrong in ("a", "a:tv", ":web", ""):
        with pytest.raises(ConfigurationError, match="client_apps"):
            ClientApp.parse(wrong)


def test_realms() -> None:
    async def main(emulator: Emulator) -> None:
        base = emulator.url.rpartition("/")[0]
        async with await Wire.open(f"{base}/nowhere", verify=False) as wire:
            answer = await wire.receive()
            assert (answer["status"], answer["args"]["code"]) == (1008, "CORE_CONN_CLOSED")
            assert await wire.closed() == (1000, "")
        async with await Wire.open(emulator.url) as one, await Wire.open(f"{base}/two") as two:
            await one.auth()
            await two.auth()
            doc_id = await one.new_staff()
            assert (await one.call("staff/read"))["args"]["docs"][0]["realm"] == "one"
            assert (await two.call("staff/read"))["args"]["total"] == 0
            assert (await two.call("staff/delete", query=[{"_id": doc_id}]))["args"]["count"] == 0
        for realm, status in (("one", 200), ("two", 400)):
            url = f"{emulator.http_url}/{realm}/staff/retrieve_file/{doc_id}/photo/photo.png"
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                assert answer.status == status

    with Emulator(realms=["one", "two"]) as emulator:
        assert emulator.url.endswith("/ws/one")
        asyncio.run(main(emulator))


def test_settings_are_found_by_their_names() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        await wire.auth()
        for kind in ("global", "user"):
            assert (await wire.call("setting/create", {"var": "v", "val": kind, "type": kind}))["status"] == 200
        again = await wire.call("setting/create", {"var": "v", "val": 2, "type": "user"})
        assert again["msg"] == "A doc with the same '(user, var, type)' already exists."
        found = await wire.call("setting/read", query=[{"var": "v", "type": "global"}])
        assert [doc["val"] for doc in found["args"]["docs"]] == ["global"]
        refused = await wire.call("setting/read", query=[{"var": "v"}])
        assert refused["args"]["code"] == "CORE_SETTING_INVALID_QUERY"
        changed = await wire.call("setting/update", {"val": 3}, [{"var": "v", "type": "global"}])
        assert changed["msg"] == "Updated 1 docs."

    run(work)


def test_sessions_are_read_by_their_owner() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        await wire.auth()
        async with await Wire.open(emulator.url) as other:
            await other.auth()
        docs = (await wire.call("session/read"))["args"]["docs"]
        assert [doc["token"] for doc in docs] == [other.key, wire.key]
        assert docs[0]["user"]["email"] == ADMIN

    run(work)


def test_an_apps_own_module_and_methods() -> None:
    def double(call: Any) -> dict[str, Any]:
        return {"status": 200, "msg": "Doubled.", "args": {"twice": call.doc["n"] * 2, "who": call.caller.session.id}}

    def fail(call: Any) -> dict[str, Any]:
        raise LookupError(call.module.name)

    methods = {
        **standard_methods(),
        "double": Method(doc_args=({"n": Attr("INT")},), run=double),
        "fail": Method(run=fail),
        "mine": Method((Permission("read", own="user"),), run=lambda call: {"status": 200, "msg": "", "args": {}}),
    }
    note = Module("note", {"user": Attr("ID"), "text": Attr("STR")}, methods, unique=("text",))

    async def work(emulator: Emulator, wire: Wire) -> None:
        answer = await wire.call("note/double", {"n": 4}, call_id="d")
        assert answer["args"] == {"twice": 8, "who": ANON_SID, "call_id": "d"}
        assert (await wire.call("note/double", {"n": "x"}))["args"]["code"] == "LIMP_SAMPLE_APP_NOTE_INVALID_DOC"
        assert (await wire.call("note/fail"))["args"]["code"] == "CORE_SERVER_ERROR"
        assert (await wire.call("note/mine"))["args"]["code"] == "CORE_SESSION_FORBIDDEN"
        await wire.auth()
        assert (await wire.call("note/mine"))["status"] == 200
        assert (await wire.call("note/create", {"text": "a"}))["status"] == 200
        assert (await wire.call("note/create", {"text": "a"}))["args"]["code"] == "LIMP_SAMPLE_APP_NOTE_DUPLICATE_DOC"
        assert (await wire.call("staff/read"))["args"]["code"] == "CORE_REQ_INVALID_MODULE"

    run(work, modules=[note])


def test_no_attr_of_an_unknown_type() -> None:
    with pytest.raises(ValueError, match="NOSUCH"):
        Attr("NOSUCH")


def test_a_system_doc_survives_a_hard_delete() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        await wire.auth()
        query = [{"_id": wire.session["user"]["_id"]}, {"$soft": True}]
        deleted = await wire.call("user/delete", query=query)
        assert deleted["msg"] == "Deleted 0 docs."
        assert (await wire.call("user/read"))["args"]["total"] == 1

    run(work)


def test_uploads_before_auth_count_for_the_connection() -> None:
    async def work(emulator: Emulator, wire: Wire) -> None:
        await wire.call("file/upload", chunk(b"early"))
        await wire.auth()
        assert (await wire.call("staff/create", STAFF))["status"] == 200

    run(work)
