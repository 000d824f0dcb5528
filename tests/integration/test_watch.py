"""`ApiService.watch`: snapshot, changes, gaps; shared, converging, bounded; what is left on the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from msgspec import Struct

from rxsdk import (
    ApiService,
    CallNotSent,
    CallRejected,
    CollectionTooLarge,
    Created,
    DeliveryPolicy,
    DocTypeMismatch,
    Gap,
    InvalidCall,
    Q,
    ReconnectPolicy,
    Snapshot,
    Watch,
)
from rxsdk.emulator import Emulator
from rxsdk.testing import FakeClock
from tests.conftest import wait_until
from tests.staff import album_doc

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


class Notes:
    """What a subscriber was told."""

    def __init__(self, stream: Any) -> None:
        self.told: list[Any] = []
        self.end: list[Any] = []
        self.subscription = stream.subscribe(self.told.append, self.end.append, lambda: self.end.append("completed"))

    def kinds(self, count: int) -> list[str]:
        wait_until(lambda: len(self.told) >= count or self.end)
        return [type(one).__name__ for one in self.told]


def advance_until(clock: FakeClock, condition: Callable[[], object]) -> None:
    """Let time pass until ``condition()``, slower than messages do."""
    for _ in range(200):
        if condition():
            return
        clock.advance(2)
        with suppress(AssertionError):
            wait_until(condition, timeout_s=0.02)
    raise AssertionError("it did not become true")


@pytest.fixture
def api(emulator: Emulator) -> Iterator[ApiService]:
    with ApiService(emulator.config(reconnect=FAST)) as service:
        service.auth("email", emulator.admin_email, emulator.admin_password).result()
        yield service


def create(api: ApiService, name: str, **more: Any) -> str:
    return api.call("album/create", doc=album_doc(name, **more)).result().docs[0]["_id"]


def update(api: ApiService, _id: str, **doc: Any) -> None:
    api.call("album/update", query=[{"_id": _id}], doc=doc).result()


def delete(api: ApiService, _id: str, *, soft: bool = True) -> None:
    more = [] if soft else [{"$soft": True}]  # the server's word for a hard delete
    api.call("album/delete", query=[{"_id": _id}, *more]).result()


def read(api: ApiService, query: Any = None) -> dict[str, Any]:
    return {doc["_id"]: doc for doc in api.call("album/read", query=query).result().docs}


def watch(api: ApiService, query: Any = None, **more: Any) -> Watch[Any]:
    return api.watch("album/watch", query, **{"snapshot": "album/read", **more})


def test_a_snapshot_then_every_change(api: ApiService) -> None:
    old, gone = create(api, "old", rank=1), create(api, "gone")
    notes = Notes(watch(api))
    assert notes.kinds(1) == ["Snapshot"]
    assert notes.told[0].docs == read(api)
    new = create(api, "new")
    update(api, old, rank=2)
    delete(api, gone)
    delete(api, new, soft=False)
    assert notes.kinds(5) == ["Snapshot", "Created", "Updated", "Deleted", "Deleted"]
    created, updated, softly, hard = notes.told[1:]
    assert (created.id, softly.id, hard.id) == (new, gone, new)
    assert (updated.before["rank"], updated.doc["rank"]) == (1, 2)
    assert (softly.doc["name"]["en_AE"], hard.doc) == ("gone", created.doc)
    assert [repr(one) for one in (notes.told[0], created)] == ["Snapshot(2 docs)", f"Created({new!r})"]


def test_without_a_snapshot_changes_only(api: ApiService) -> None:
    stream = api.watch("album/watch")
    with pytest.raises(TypeError, match="name the endpoint that reads"):
        stream.collection()
    notes = Notes(stream)
    read(api)  # answered after the watch was made
    new = create(api, "new")
    update(api, new, rank=7)
    delete(api, new)
    delete(api, create(api, "other"), soft=False)
    assert notes.kinds(5) == ["Created", "Updated", "Deleted", "Created", "Deleted"]
    assert [notes.told[1].before, notes.told[2].doc["rank"], notes.told[4].doc] == [None, 7, None]


@pytest.mark.parametrize("loop", ["own", "running"])
def test_one_message_may_tell_of_more_than_a_mailbox_holds(emulator: Emulator, loop: Any) -> None:
    docs = [{"_id": f"{number:024d}"} for number in range(1000)]
    told: list[Any] = []
    end: list[Any] = []

    def slowly(change: Any) -> None:
        told.append(change.id)
        time.sleep(0.02 if len(told) < 3 else 0)

    async def scene() -> None:
        config = emulator.config(loop=loop, delivery=DeliveryPolicy(mailbox_size=100))
        async with ApiService(config) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            api.watch("album/watch").subscribe(slowly, end.append)
            await api.call("album/read")  # answered after the watch was made
            (asked,) = [one.payload for one in emulator.received if one.payload["endpoint"] == "album/watch"]
            args = {"oper": "create", "docs": docs, "call_id": asked["call_id"], "watch": asked["call_id"]}
            emulator.push(json.dumps({"status": 200, "msg": "", "args": args}))
            await asyncio.to_thread(wait_until, lambda: len(told) == 1000 or end)

    asyncio.run(scene())
    assert (told, end) == ([doc["_id"] for doc in docs], [])


def test_what_is_heard_while_the_read_is_on_its_way_is_the_last_word(api: ApiService, emulator: Emulator) -> None:
    changed, gone = create(api, "changed", rank=1), create(api, "gone")
    stale = {"total": 2, "docs": list(read(api).values())}
    emulator.silence("album/read", times=1)
    notes, plain = Notes(watch(api)), Notes(api.call("album/watch"))
    plain.kinds(1)
    update(api, changed, rank=2)
    delete(api, gone)
    new = create(api, "new")
    plain.kinds(4)
    assert notes.told == [], "nothing comes before the snapshot"
    (asked,) = [one.payload for one in emulator.received if one.payload["endpoint"] == "album/read"][1:]
    answer = {"status": 200, "msg": "", "args": {**stale, "call_id": asked["call_id"]}}
    emulator.push(json.dumps(answer))  # what the read saw before all that
    assert notes.kinds(1) == ["Snapshot"]
    assert notes.told[0].docs == read(api)
    assert set(notes.told[0].docs) == {changed, new}


def test_after_a_gap_only_what_differs(api: ApiService, emulator: Emulator) -> None:
    kept, changed, gone = (create(api, name) for name in ("kept", "changed", "gone"))
    notes, lists = Notes(watch(api)), Notes(watch(api).collection())
    notes.kinds(1), lists.kinds(1)
    with ApiService(emulator.config()) as other:
        other.auth("email", emulator.admin_email, emulator.admin_password).result()
        api.suspend()
        wait_until(lambda: emulator.watches == 0)
        new = create(other, "new")
        update(other, changed, rank=5)
        delete(other, gone)
        there = read(other)
    api.resume()
    assert sorted(notes.kinds(5)[1:]) == ["Created", "Deleted", "Gap", "Updated"]
    assert isinstance(notes.told[1], Gap)
    assert {one.id for one in notes.told[2:]} == {new, changed, gone}
    wait_until(lambda: {doc["_id"]: doc for doc in lists.told[-1]} == there)
    assert kept in there
    assert emulator.watches == 2


def test_subscribers_share_one_watch_and_the_last_to_leave_deletes_it(api: ApiService, emulator: Emulator) -> None:
    stream = watch(api)
    assert (repr(stream), emulator.watches) == ("<Watch album/watch>", 0)
    first, second = Notes(stream), Notes(stream.collection())
    assert (first.kinds(1), second.kinds(1)) == (["Snapshot"], ["list"])
    new = create(api, "new")
    first.kinds(2)
    late = Notes(stream)
    assert late.kinds(1) == ["Snapshot"]
    assert set(late.told[0].docs) == {new}
    assert emulator.watches == 1
    assert emulator.executed["album/watch"] == 1
    for notes in (first, second, late):
        assert emulator.watches == 1
        notes.subscription.dispose()
    wait_until(lambda: emulator.watches == 0)
    again = Notes(stream)
    assert again.kinds(1) == ["Snapshot"]
    assert (emulator.watches, emulator.executed["album/watch"]) == (1, 2)


def test_one_who_leaves_at_once_leaves_nothing(api: ApiService, emulator: Emulator) -> None:
    for _ in range(5):
        watch(api).subscribe().dispose()
    read(api)
    wait_until(lambda: emulator.watches == 0)


def test_a_collection_read_in_parts(api: ApiService, emulator: Emulator) -> None:
    for rank in range(7):
        create(api, f"n{rank}")
    everything = list(read(api).values())
    totals = iter([7, 7, 8, 7, 7, 7])

    def three(payload: Any) -> Any:
        """A server that gives three at a time, and in the first pass one that something moved in."""
        skip = next((item["$skip"] for item in payload.get("query", []) if "$skip" in item), 0)
        args = {"total": next(totals), "docs": everything[skip : skip + 3]}
        return {"status": 200, "msg": "", "args": args}

    emulator.reply_to("album/read", three)
    notes = Notes(watch(api))
    assert notes.kinds(1) == ["Snapshot"]
    assert list(notes.told[0].docs) == [doc["_id"] for doc in everything]
    assert next(totals, None) is None


def test_a_collection_that_never_holds_still_is_read_again_later(emulator: Emulator) -> None:
    clock, asked = FakeClock(), []

    def moving(payload: Any) -> Any:
        asked.append(payload)
        args = {"total": len(asked) + 5, "docs": [{"_id": f"n{len(asked)}"}] if len(asked) < 9 else []}
        return {"status": 200, "msg": "", "args": args}

    emulator.reply_to("album/read", moving)
    with ApiService(emulator.config(), clock=clock) as api:
        notes = Notes(watch(api))
        assert notes.kinds(1)[0] == "Snapshot"
        before = len(asked)
        wait_until(lambda: clock.next_at is not None)
        clock.advance(30)
        wait_until(lambda: len(asked) > before)
        notes.subscription.dispose()


def test_with_a_query_it_is_read_again_from_time_to_time(emulator: Emulator) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(), clock=clock) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        leaves, stays = create(api, "leaves", rank=5), create(api, "stays", rank=5)
        notes = Notes(watch(api, Q.rank > 3, refresh_s=20.0))
        assert notes.kinds(1) == ["Snapshot"]
        update(api, leaves, rank=1)  # the server does not tell that it fits no more
        update(api, stays, rank=6)
        assert notes.kinds(2) == ["Snapshot", "Updated"]
        advance_until(clock, lambda: len(notes.told) > 2)
        assert notes.kinds(3) == ["Snapshot", "Updated", "Deleted"]
        assert notes.told[2].id == leaves
        update(api, leaves, rank=9)
        assert notes.kinds(4)[3] == "Created"
        notes.subscription.dispose()
        wait_until(lambda: emulator.watches == 0)


@pytest.mark.parametrize("passes", [True, False])
def test_a_later_read_that_fails(emulator: Emulator, passes: bool) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(reconnect=FAST), clock=clock) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        notes = Notes(watch(api, [{"rank": 1}], refresh_s=60))
        notes.kinds(1)
        new = create(api, "new", rank=1)
        notes.kinds(2)
        update(api, new, rank=2)
        status, code = (500, "CORE_SERVER_ERROR") if passes else (403, "CORE_SESSION_FORBIDDEN")
        emulator.refuse_next("album/read", status, code)
        advance_until(clock, lambda: len(notes.told) > 2 or notes.end)
        if passes:
            assert notes.kinds(3) == ["Snapshot", "Created", "Deleted"]
        else:
            assert isinstance(notes.end[0], CallRejected)
            wait_until(lambda: emulator.watches == 0)


def test_the_first_read_that_fails_ends_it_and_the_next_subscriber_opens_anew(
    api: ApiService, emulator: Emulator
) -> None:
    emulator.refuse_next("album/read", 500, "CORE_SERVER_ERROR")
    stream = watch(api)
    notes = Notes(stream)
    wait_until(lambda: notes.end)
    assert isinstance(notes.end[0], CallRejected)
    wait_until(lambda: emulator.watches == 0)
    assert Notes(stream).kinds(1) == ["Snapshot"]


def test_a_watch_that_is_refused_and_one_that_is_none(api: ApiService, emulator: Emulator) -> None:
    emulator.refuse_next("album/watch", 403, "CORE_SESSION_FORBIDDEN")
    refused, none = Notes(watch(api)), Notes(api.watch("album/read"))
    wait_until(lambda: refused.end and none.end)
    assert refused.end[0].code == "CORE_SESSION_FORBIDDEN"
    assert "names no watch" in str(none.end[0])


def test_deleted_by_somebody_or_closed_it_completes(api: ApiService, emulator: Emulator) -> None:
    notes = Notes(watch(api))
    notes.kinds(1)
    api.delete_watch("__all").result()
    wait_until(lambda: notes.end)
    stream = watch(api)
    closed = Notes(stream)
    closed.kinds(1)
    api.close().result()
    assert (notes.end, closed.end) == (["completed"], ["completed"])
    late = Notes(stream)
    assert isinstance(late.end[0], CallNotSent)


def test_a_collection_over_its_limit_ends_it(api: ApiService, emulator: Emulator) -> None:
    create(api, "one")
    notes = Notes(watch(api, limit=2))
    notes.kinds(1)
    create(api, "two"), create(api, "three")
    wait_until(lambda: notes.end)
    assert isinstance(notes.end[0], CollectionTooLarge)
    assert "more than 2 documents" in str(notes.end[0])
    over = Notes(watch(api, limit=2))
    wait_until(lambda: over.end)
    assert isinstance(over.end[0], CollectionTooLarge)
    wait_until(lambda: emulator.watches == 0)


class Album(Struct):
    """As the application knows it."""

    name: dict[str, str]
    rank: int | None = None


def test_who_comes_late_to_the_watch_of_a_call_is_given_its_latest_change(api: ApiService) -> None:
    watching = api.call("album/watch")
    early = Notes(watching)
    early.kinds(1)
    new = create(api, "New")
    early.kinds(2)
    late = Notes(watching)
    late.kinds(1)
    assert late.told == early.told[1:]
    assert late.told[0].docs[0]["_id"] == new


def test_typed_documents(api: ApiService) -> None:
    notes = Notes(watch(api, doc_type=Album).collection())
    notes.kinds(1)
    create(api, "new", rank=3)
    notes.kinds(2)
    assert notes.told[-1] == [Album({"ar_AE": "new", "en_AE": "new"}, 3)]
    wrong = Notes(api.watch("album/watch", snapshot="album/read", doc_type=dict[str, int]))
    wait_until(lambda: wrong.end)
    assert isinstance(wrong.end[0], DocTypeMismatch)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"query": [{"$limit": 3}]}, "query"),
        ({"query": [{"$skip": 3}]}, "query"),
        ({"query": [{"$group": []}]}, "query"),
        ({"limit": 0}, "limit"),
        ({"refresh_s": 0}, "refresh_s"),
        ({"snapshot": "no endpoint"}, "endpoint"),
        ({"doc_type": 5}, "doc_type"),
    ],
)
def test_arguments_that_make_no_watch(api: ApiService, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCall) as raised:
        watch(api, **arguments)
    assert raised.value.field == field


def test_on_a_running_loop(emulator: Emulator) -> None:
    async def main() -> list[type]:
        kinds: list[type] = []
        async with ApiService(emulator.config()) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            async for change in watch(api):
                kinds.append(type(change))
                if isinstance(change, Created):
                    break
                await api.call("album/create", doc=album_doc("new"))
        return kinds

    assert asyncio.run(main()) == [Snapshot, Created]
