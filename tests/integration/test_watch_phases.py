"""`ApiService.watch` in every phase of its life: lost, refused, signed out, suspended, closed, left."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxsdk import (
    ApiService,
    CallNotSent,
    CallRejected,
    DeliveryPolicy,
    Gap,
    QuotaPolicy,
    Watch,
)
from rxsdk.emulator import Emulator
from rxsdk.testing import FakeClock
from tests.conftest import wait_until
from tests.integration.test_watch import FAST, Notes, advance_until, create, delete, read, update, watch
from tests.staff import album_doc

PATIENT = {"heartbeat_interval_s": 1e6, "timeout_s": None}
OVER = (429, "CORE_REQ_CONN_QUOTA_HIT")


@pytest.fixture
def api(emulator: Emulator) -> Iterator[ApiService]:
    with ApiService(emulator.config(reconnect=FAST)) as service:
        sign_in(service, emulator)
        yield service


def sign_in(api: ApiService, emulator: Emulator) -> None:
    api.auth("email", emulator.admin_email, emulator.admin_password).result()


def asked(emulator: Emulator, endpoint: str) -> list[dict[str, Any]]:
    return [one.payload for one in emulator.received if one.payload["endpoint"] == endpoint]


# -- the phases a watch can be in


def unanswered_watch(api: ApiService, emulator: Emulator) -> Notes:
    emulator.silence("album/watch", times=1)
    notes = Notes(watch(api))
    wait_until(lambda: asked(emulator, "album/watch"))
    return notes


def first_read(api: ApiService, emulator: Emulator) -> Notes:
    emulator.silence("album/read", times=1)
    notes = Notes(watch(api))
    wait_until(lambda: asked(emulator, "album/read"))
    return notes


def at_rest(api: ApiService, emulator: Emulator) -> Notes:
    notes = Notes(watch(api))
    notes.kinds(1)
    return notes


def lost(api: ApiService, emulator: Emulator) -> Notes:
    notes = at_rest(api, emulator)
    api.suspend()
    wait_until(lambda: emulator.watches == 0)
    return notes


def read_again(api: ApiService, emulator: Emulator) -> Notes:
    notes = at_rest(api, emulator)
    emulator.silence("album/read", times=1)
    emulator.drop_connections()
    wait_until(lambda: len(asked(emulator, "album/read")) == 2)
    return notes


def on_its_way(api: ApiService, emulator: Emulator) -> Notes:
    api.suspend()
    wait_until(lambda: not api.inited)
    return Notes(watch(api))


PHASES = [on_its_way, unanswered_watch, first_read, at_rest, lost, read_again]


@pytest.mark.parametrize("phase", PHASES)
def test_one_who_leaves_leaves_nothing_on_the_server(
    api: ApiService, emulator: Emulator, phase: Callable[[ApiService, Emulator], Notes]
) -> None:
    notes = phase(api, emulator)
    told = len(notes.told)
    notes.subscription.dispose()
    api.resume()
    api.call("staff/read").result()
    wait_until(lambda: emulator.watches == 0)
    read(api)
    assert (len(notes.told), notes.end) == (told, [])
    again = Notes(watch(api))
    again.kinds(1)
    assert again.told[0].docs == read(api)


@pytest.mark.parametrize("phase", PHASES)
def test_closing_ends_it(api: ApiService, emulator: Emulator, phase: Callable[[ApiService, Emulator], Notes]) -> None:
    notes = phase(api, emulator)
    api.close().result()
    (end,) = notes.end
    if phase in (on_its_way, unanswered_watch):
        assert type(end).__name__ == ("CallNotSent" if phase is on_its_way else "CallOutcomeUnknown"), "it never was"
    else:
        assert end == "completed"


@pytest.mark.parametrize("phase", PHASES)
def test_suspended_and_resumed_it_goes_on(
    api: ApiService, emulator: Emulator, phase: Callable[[ApiService, Emulator], Notes]
) -> None:
    create(api, "old")
    notes = phase(api, emulator)
    lists = Notes(watch(api).collection())
    api.suspend()
    wait_until(lambda: emulator.connections == 0)
    with ApiService(emulator.config()) as other:
        sign_in(other, emulator)
        create(other, "new")
        api.resume()
        there = read(other)
        wait_until(lambda: lists.told and {doc["_id"]: doc for doc in lists.told[-1]} == there)
    wait_until(lambda: len(added_up(notes)) == 2)
    assert added_up(notes) == there
    assert (notes.end, emulator.watches) == ([], 2)


def added_up(notes: Notes) -> dict[str, Any]:
    docs: dict[str, Any] = {}
    for change in list(notes.told):
        match type(change).__name__:
            case "Snapshot":
                docs = dict(change.docs)
            case "Deleted":
                del docs[change.id]
            case "Created":
                assert change.id not in docs
                docs[change.id] = change.doc
            case "Updated":
                assert docs[change.id] != change.doc
                docs[change.id] = change.doc
    return docs


def test_another_gap_in_the_middle_of_reading_again(api: ApiService, emulator: Emulator) -> None:
    gone = create(api, "gone")
    notes = read_again(api, emulator)
    with ApiService(emulator.config()) as other:
        sign_in(other, emulator)
        emulator.silence("album/read", times=1)
        emulator.drop_connections()
        wait_until(lambda: len(asked(emulator, "album/read")) == 3)
        other.call("album/delete", query=[{"_id": gone}], await_auth=True).result()
        api.reconnect_now()
        assert notes.kinds(3)[:3] == ["Snapshot", "Gap", "Gap"]
        emulator.drop_connections()
        wait_until(lambda: added_up(notes) == read(other))
    assert emulator.watches == 1


def test_refused_when_it_is_made_anew(api: ApiService, emulator: Emulator) -> None:
    stream = watch(api)
    notes = Notes(stream)
    notes.kinds(1)
    emulator.refuse_next("album/watch", 403, "CORE_SESSION_FORBIDDEN")
    emulator.drop_connections()
    wait_until(lambda: notes.end)
    assert isinstance(notes.end[0], CallRejected)
    assert notes.end[0].code == "CORE_SESSION_FORBIDDEN"
    assert Notes(stream).kinds(1) == ["Snapshot"], "whoever subscribes after that opens it anew"


def test_it_waits_for_somebody_to_sign_in_and_goes_on_when_he_leaves(emulator: Emulator) -> None:
    with ApiService(emulator.config(reconnect=FAST)) as api:
        notes = Notes(watch(api, await_auth=True))
        api.call("staff/read").result()
        assert (notes.told, asked(emulator, "album/watch")) == ([], [])
        sign_in(api, emulator)
        assert notes.kinds(1) == ["Snapshot"]
        api.signout().result()
        with ApiService(emulator.config()) as other:
            sign_in(other, emulator)
            create(other, "while nobody is signed in")
            assert notes.kinds(2) == ["Snapshot", "Created"]
            emulator.clear_records()
            sign_in(api, emulator)
            emulator.drop_connections()
            assert notes.kinds(3)[2] == "Gap"
            wait_until(lambda: asked(emulator, "album/read"))
            new = create(api, "after")
            assert notes.kinds(4)[3] == "Created"
            assert notes.told[3].id == new
        assert notes.end == []


@pytest.mark.parametrize("waits", [True, False])
def test_a_first_read_over_the_quota_waits_or_ends_as_the_policy_says(emulator: Emulator, waits: bool) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(quota=QuotaPolicy(retry=waits), **PATIENT), clock=clock) as api:
        emulator.refuse_next("album/read", *OVER)
        notes = Notes(watch(api))
        if waits:
            advance_until(clock, lambda: notes.told)
            assert clock.now() >= 60, "the server's minute"
            assert notes.kinds(1) == ["Snapshot"]
        else:
            wait_until(lambda: notes.end)
            assert notes.end[0].status == 429
        assert len(asked(emulator, "album/read")) == (2 if waits else 1)
        notes.subscription.dispose()


@pytest.mark.parametrize("waits", [True, False])
def test_a_later_read_over_the_quota_comes_later(emulator: Emulator, waits: bool) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(quota=QuotaPolicy(retry=waits), **PATIENT), clock=clock) as api:
        sign_in(api, emulator)
        leaves = create(api, "leaves", rank=1)
        notes = Notes(watch(api, [{"rank": 1}], refresh_s=20.0))
        notes.kinds(1)
        update(api, leaves, rank=2)
        emulator.refuse_next("album/read", *OVER)
        advance_until(clock, lambda: len(notes.told) > 1)
        assert len(asked(emulator, "album/read")) >= 3, "the first, one refused, one more"
        assert notes.kinds(2) == ["Snapshot", "Deleted"]
        assert notes.end == []


@pytest.mark.parametrize("query", [None, [], [{"$sort": {"rank": 1}}], [{"$attrs": ["rank"]}]])
def test_without_conditions_nothing_is_read_from_time_to_time(emulator: Emulator, query: Any) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(**PATIENT), clock=clock) as api:
        sign_in(api, emulator)
        gone = create(api, "gone", rank=1)
        notes = Notes(watch(api, query))
        notes.kinds(1)
        clock.advance(10_000)
        delete(api, gone, soft=False)
        assert notes.kinds(2) == ["Snapshot", "Deleted"], "the server tells everything"
        assert len(asked(emulator, "album/read")) == 1


@pytest.mark.parametrize("query", [[{"__or": [{"rank": 1}, {"rank": 2}]}], [[{"rank": 1}, {"rank": 2}]]])
def test_conditions_within_an_or_are_conditions(emulator: Emulator, query: Any) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(**PATIENT), clock=clock) as api:
        notes = Notes(watch(api, query))
        notes.kinds(1)
        api.call("staff/read").result()
        clock.advance(269)
        api.call("staff/read").result()
        assert len(asked(emulator, "album/read")) == 1
        clock.advance(31)  # a little sooner than every 300 s, so that clients do not ask in step
        wait_until(lambda: len(asked(emulator, "album/read")) == 2)
        notes.subscription.dispose()


# -- many subscribers


def test_one_of_two_leaves_and_the_other_is_told_on(api: ApiService, emulator: Emulator) -> None:
    stream = watch(api)
    stays, leaves = Notes(stream), Notes(stream)
    stays.kinds(1), leaves.kinds(1)
    leaves.subscription.dispose()
    create(api, "new")
    assert stays.kinds(2) == ["Snapshot", "Created"]
    assert (leaves.kinds(1), emulator.watches, asked(emulator, "watch/delete")) == (["Snapshot"], 1, [])


def test_threads_that_subscribe_at_once_share_one_watch(api: ApiService, emulator: Emulator) -> None:
    stream, start = watch(api), threading.Barrier(8)
    all_notes: list[Notes] = []

    def come() -> None:
        start.wait()
        for _ in range(20):
            Notes(stream).subscription.dispose()
        all_notes.append(Notes(stream))

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    create(api, "new")
    for notes in all_notes:
        wait_until(lambda notes=notes: len(added_up(notes)) == 1)
        notes.subscription.dispose()
    wait_until(lambda: emulator.watches == 0)


def test_what_cannot_subscribe_opens_nothing(api: ApiService, emulator: Emulator) -> None:
    class Half:
        def on_next(self, value: Any) -> None:
            """It has no other method."""

    stream: Watch[Any] = watch(api)
    with pytest.raises(AttributeError):
        stream.subscribe(Half())  # type: ignore[arg-type]
    notes = Notes(stream)
    assert notes.kinds(1) == ["Snapshot"]
    notes.subscription.dispose()
    wait_until(lambda: emulator.watches == 0)


@pytest.mark.parametrize("on_overflow", ["error", "drop_oldest", "latest"])
def test_subscribers_that_sleep_and_raise(emulator: Emulator, unhandled: list[Any], on_overflow: Any) -> None:
    policy = DeliveryPolicy(mailbox_size=4, on_overflow=on_overflow)
    with ApiService(emulator.config(delivery=policy)) as api:
        sign_in(api, emulator)
        stream, hold = watch(api), threading.Event()

        def sleep(docs: list[Any]) -> None:
            if docs:
                hold.wait(10)

        def refuse(_: Any) -> None:
            raise ValueError("this subscriber raises")

        slow: list[Any] = []
        stream.collection().subscribe(lambda docs: (sleep(docs), slow.append(docs)))
        stream.subscribe(refuse, lambda error: None)
        notes = Notes(stream.collection())
        ids = [api.call("album/create", doc=album_doc(f"n{number}")) for number in range(12)]
        hold.set()
        there = read(api)
        assert set(there) == {call.result().docs[0]["_id"] for call in ids}
        for lists in (slow, notes.told):
            wait_until(lambda lists=lists: lists and {doc["_id"]: doc for doc in lists[-1]} == there)
        assert notes.end == [], "what is of the moment may be passed over"
        assert len(slow) < 12
        wait_until(lambda: unhandled)
        assert {str(error) for error in unhandled} == {"this subscriber raises"}


# -- hostile servers


def tell(emulator: Emulator, args: dict[str, Any]) -> None:
    call_id = asked(emulator, "album/watch")[0]["call_id"]
    emulator.push(json.dumps({"status": 200, "msg": "", "args": {"call_id": call_id, "watch": call_id, **args}}))


@pytest.mark.parametrize(
    "args",
    [
        {"oper": "create"},
        {"oper": "update", "docs": None},
        {"oper": "update", "docs": {"_id": "a"}},
        {"oper": "delete", "docs": [None, 5, "text", [], {}, {"_id": 5}, {"_id": None}]},
        {"oper": "delete", "docs": [{"_id": "nobody knows"}]},
        {"oper": "update", "docs": [{"_id": "nobody knows", "__deleted": True}]},
        {"docs": [{"_id": "a"}]},
        {},
    ],
    ids=repr,
)
def test_events_that_say_nothing(api: ApiService, emulator: Emulator, args: dict[str, Any]) -> None:
    notes = Notes(watch(api))
    notes.kinds(1)
    for _ in range(3):
        tell(emulator, args)
    new = create(api, "new")
    assert notes.kinds(2) == ["Snapshot", "Created"]
    assert (notes.told[1].id, notes.end) == (new, [])
    assert len(asked(emulator, "album/read")) == 1


@pytest.mark.parametrize("oper", [None, 5, [], "no such thing", "create"])
def test_what_has_changed_is_told_whatever_it_is_called(api: ApiService, emulator: Emulator, oper: Any) -> None:
    with_snapshot = Notes(watch(api))
    with_snapshot.kinds(1)
    deep: Any = {"_id": "a", "deep": json.loads("[" * 400 + "]" * 400)}
    tell(emulator, {"oper": oper, "docs": [deep, {"_id": "b"}, deep, {"_id": "b", "rank": 1}]})
    assert with_snapshot.kinds(4) == ["Snapshot", "Created", "Created", "Updated"]


@pytest.mark.parametrize(
    ("args", "asked_for"),
    [
        ({"total": 7, "docs": [{"rank": 1}, {"rank": 2}]}, 4),  # without an _id, the same whatever is skipped
        ({"total": 7, "docs": [{"_id": "a"}, {"_id": "b"}]}, 1 + 2 + 4),
        ({"total": -1, "docs": [{"_id": "a"}]}, 1),
        ({"total": "7", "docs": [{"_id": "a"}]}, 1),
        ({"total": 7}, 1),
        ({}, 1),
    ],
    ids=repr,
)
def test_a_read_that_never_comes_to_an_end_comes_to_one(
    emulator: Emulator, args: dict[str, Any], asked_for: int
) -> None:
    emulator.reply_to("album/read", {"status": 200, "msg": "", "args": args})
    with ApiService(emulator.config(**PATIENT), clock=FakeClock()) as api:
        notes = Notes(watch(api))
        assert notes.kinds(1) == ["Snapshot"]
        assert set(notes.told[0].docs) == {doc["_id"] for doc in args.get("docs", []) if "_id" in doc}
        assert len(asked(emulator, "album/read")) <= asked_for + 3
        notes.subscription.dispose()


def test_a_burst_is_told_whole(emulator: Emulator) -> None:
    many = 100_000
    room = DeliveryPolicy(mailbox_size=2 * many)  # of a collection no more than one ever waits
    with ApiService(emulator.config(max_message_bytes=64 * 2**20, delivery=room)) as api:
        count, last = 0, Notes(watch(api, limit=many).collection())

        def on_next(_: Any) -> None:
            nonlocal count
            count += 1

        stream, end = watch(api), []
        stream.subscribe(on_next, end.append)
        wait_until(lambda: count == 1 and last.told)
        for one in asked(emulator, "album/watch"):
            docs = [{"_id": f"n{number}"} for number in range(many)]
            args = {"call_id": one["call_id"], "watch": one["call_id"], "oper": "create", "docs": docs}
            emulator.push(json.dumps({"status": 200, "msg": "", "args": args}))
        wait_until(lambda: (count == many + 1 and len(last.told[-1]) == many) or end or last.end, timeout_s=30)
        assert (end, last.end) == ([], [])
        assert len(last.told) < 1000, "what changes at one moment comes in one list"


# -- lives that end


def test_nobody_needs_to_keep_the_watch_that_he_is_subscribed_to(api: ApiService, emulator: Emulator) -> None:
    notes = Notes(watch(api))
    notes.kinds(1)
    gc.collect()
    create(api, "new")
    assert notes.kinds(2) == ["Snapshot", "Created"]


def test_a_service_nobody_refers_to_is_closed_with_its_watches(emulator: Emulator) -> None:
    api = ApiService(emulator.config(reconnect=FAST))
    api.init()
    stream = api.watch("album/watch", snapshot="album/read")
    notes = Notes(stream)
    notes.kinds(1)
    with pytest.warns(ResourceWarning, match="was dropped"):
        del api
    wait_until(lambda: notes.end)
    assert notes.end == ["completed"]
    late = Notes(stream)
    wait_until(lambda: late.end)
    assert isinstance(late.end[0], CallNotSent)
    wait_until(lambda: emulator.watches == 0)


def test_a_watch_of_a_life_before_is_over_and_says_so(emulator: Emulator) -> None:
    api = ApiService(emulator.config(reconnect=FAST))
    with api:
        old = watch(api)
        Notes(old).kinds(1)
    with api:
        late = Notes(old)
        wait_until(lambda: late.end)
        assert isinstance(late.end[0], CallNotSent)
        assert Notes(watch(api)).kinds(1) == ["Snapshot"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a matter of fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_child_it_is_over(api: ApiService, emulator: Emulator) -> None:
    stream = watch(api)
    notes = Notes(stream)
    notes.kinds(1)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        theirs.send([type(error).__name__ for error in Notes(stream).end])

    process = context.Process(target=child)
    process.start()
    assert ours.poll(10)
    assert ours.recv() == ["CallNotSent"]
    process.join(10)
    create(api, "in the parent it goes on")
    assert notes.kinds(2) == ["Snapshot", "Created"]
    assert not [one for one in notes.told if isinstance(one, Gap)]
