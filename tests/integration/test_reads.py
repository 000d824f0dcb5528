"""`ApiService.pages` and `ApiService.poll`: lazy, one ahead, never overlapping, and how they end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxsdk import ApiService, CallNotSent, CallRejected, InvalidCall, Q
from rxsdk.emulator import Emulator
from rxsdk.operators import docs
from rxsdk.testing import FakeClock
from tests.conftest import wait_until
from tests.staff import album_doc


def fill(api: ApiService, count: int) -> list[str]:
    calls = [api.call("album/create", doc=album_doc(f"n{rank}", rank=rank)) for rank in range(count)]
    return [call.result().docs[0]["_id"] for call in calls]


def reads(emulator: Emulator) -> int:
    return emulator.executed["album/read"]


def asked(emulator: Emulator) -> int:
    return sum(one.payload["endpoint"] == "album/read" for one in emulator.received)


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (3, [3]), (6, [3, 3]), (7, [3, 3, 1])])
def test_every_document_once_and_then_the_end(
    signed_in: ApiService, emulator: Emulator, count: int, sizes: list[int]
) -> None:
    ids = fill(signed_in, count)
    pages = signed_in.pages("album/read", size=3)
    assert (repr(pages), reads(emulator)) == ("<Pages>", 0), "lazy"
    got = pages.pipe(ops.to_list()).result(10)
    assert [len(page.docs) for page in got] == sizes
    assert [doc["_id"] for page in got for doc in page.docs] == ids
    assert reads(emulator) == len(sizes)


def test_with_a_query_of_its_own(signed_in: ApiService) -> None:
    fill(signed_in, 8)
    pages = signed_in.pages("album/read", (Q.rank > 2).sort("-rank"), size=2)
    assert pages.pipe(docs(), ops.map(lambda doc: doc["rank"]), ops.to_list()).result(10) == [7, 6, 5, 4, 3]


def test_a_loop_is_one_page_ahead_at_most(emulator: Emulator) -> None:
    async def main() -> list[int]:
        async with ApiService(emulator.config()) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            for rank in range(9):
                await api.call("album/create", doc=album_doc(f"n{rank}"))
            seen: list[int] = []
            async for _ in api.pages("album/read", size=2):
                await api.call("staff/read")  # whatever was asked for before has been read by now
                seen.append(reads(emulator))
                if len(seen) == 3:
                    break
            return seen

    assert asyncio.run(main()) == [2, 3, 4]


def test_leaving_reads_no_further(signed_in: ApiService, emulator: Emulator) -> None:
    fill(signed_in, 20)
    assert len(signed_in.pages("album/read", size=2).pipe(ops.take(1)).result(10).docs) == 2
    signed_in.call("staff/read").result()
    assert reads(emulator) <= 2


def test_a_page_that_fails_ends_it(signed_in: ApiService, emulator: Emulator) -> None:
    emulator.refuse_next("album/read", 500, "CORE_SERVER_ERROR")
    with pytest.raises(CallRejected):
        signed_in.pages("album/read").result(10)


@pytest.mark.parametrize("query", [[{"$limit": 1}], [{"$skip": 1}], "text"])
def test_arguments_that_make_no_pages(api: ApiService, query: Any) -> None:
    with pytest.raises(InvalidCall, match="query"):
        api.pages("album/read", query)
    with pytest.raises(InvalidCall, match="size"):
        api.pages("album/read", size=0)
    with pytest.raises(InvalidCall, match="every_s"):
        api.poll("album/read", every_s=-1)


def test_polls_never_overlap_and_closing_completes_them(emulator: Emulator) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(heartbeat_interval_s=1e6), clock=clock) as api:
        got: list[Any] = []
        end: list[Any] = []
        poll = api.poll("album/read", every_s=10)
        assert repr(poll) == "<Poll>"
        poll.subscribe(got.append, end.append, lambda: end.append("completed"))
        wait_until(lambda: len(got) == 1)
        api.call("staff/read").result()
        clock.advance(9)
        assert reads(emulator) == 1
        emulator.silence("album/read", times=1)
        clock.advance(1)
        wait_until(lambda: asked(emulator) == 2)
        clock.advance(25)  # longer than every_s, and it is not answered yet
        api.call("staff/read").result()
        assert asked(emulator) == 2
    wait_until(lambda: end)
    assert end == ["completed"]


def test_closed_while_a_poll_waits_no_timer_is_left(emulator: Emulator) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(heartbeat_interval_s=1e6), clock=clock) as api:
        got: list[Any] = []
        api.poll("album/read", every_s=3600).subscribe(got.append)
        wait_until(lambda: got)
        api.call("staff/read").result()  # the timer of the next one is set
    assert clock.pending == 0


def test_an_error_ends_a_poll_and_disposing_stops_it(emulator: Emulator) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(heartbeat_interval_s=1e6), clock=clock) as api:
        got: list[Any] = []
        subscription = api.poll("album/read", every_s=10).subscribe(got.append)
        wait_until(lambda: got)
        api.call("staff/read").result()
        subscription.dispose()
        clock.advance(50)
        api.call("staff/read").result()
        assert reads(emulator) == 1
        emulator.refuse_next("album/read", 403, "CORE_SESSION_FORBIDDEN")
        with pytest.raises(CallRejected):
            api.poll("album/read", every_s=10).result(10)


def test_a_poll_goes_on_for_rounds_each_so_long_after_the_one_before(emulator: Emulator) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(heartbeat_interval_s=1e6), clock=clock) as api:
        got: list[Any] = []
        subscription = api.poll("album/read", every_s=10).subscribe(got.append)
        for number in range(1, 6):
            wait_until(lambda number=number: len(got) == number)
            api.call("staff/read").result()  # the timer of the next one is set
            clock.advance(9.9)
            api.call("staff/read").result()
            assert reads(emulator) == number
            clock.advance(0.1)
        subscription.dispose()


def test_a_poll_whose_answer_is_late_asks_again_at_once(emulator: Emulator) -> None:
    clock = FakeClock()
    with ApiService(emulator.config(heartbeat_interval_s=1e6, timeout_s=None), clock=clock) as api:
        emulator.silence("album/read", times=1)
        got: list[Any] = []
        subscription = api.poll("album/read", every_s=10).subscribe(got.append)
        wait_until(lambda: asked(emulator) == 1)
        clock.advance(35)
        (late,) = [one.payload for one in emulator.received if one.payload["endpoint"] == "album/read"]
        assert (got, asked(emulator)) == ([], 1)
        emulator.push({"status": 200, "msg": "", "args": {"docs": [], "call_id": late["call_id"]}})
        wait_until(lambda: len(got) == 2)
        api.call("staff/read").result()
        clock.advance(9)
        api.call("staff/read").result()
        assert asked(emulator) == 2, "and does not catch up with the rounds that were missed"
        clock.advance(1)
        wait_until(lambda: len(got) == 3)
        subscription.dispose()


def test_documents_that_go_between_two_pages(signed_in: ApiService, emulator: Emulator) -> None:
    ids = fill(signed_in, 7)
    seen: list[str] = []
    deleted: list[Any] = []

    def on_page(page: Any) -> None:
        seen.extend(doc["_id"] for doc in page.docs)
        if not deleted:
            for _id in ids[-3:]:
                deleted.append(signed_in.call("album/delete", query=[{"_id": _id}]))

    end: list[Any] = []
    signed_in.pages("album/read", size=2).subscribe(on_page, end.append, lambda: end.append("completed"))
    wait_until(lambda: end)
    assert end == ["completed"]
    assert seen == sorted(set(seen), key=ids.index), "none twice, in their order"
    assert seen[:4] == ids[:4], "what stayed was read"


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (4, [2, 2]), (5, [2, 2, 1])])
def test_a_loop_over_all_pages_comes_to_the_end(emulator: Emulator, count: int, sizes: list[int]) -> None:
    async def main() -> list[int]:
        async with ApiService(emulator.config()) as api:
            await api.auth("email", emulator.admin_email, emulator.admin_password)
            for rank in range(count):
                await api.call("album/create", doc=album_doc(f"n{rank}"))
            return [len(page.docs) async for page in api.pages("album/read", size=2)]

    assert asyncio.run(main()) == sizes


def test_one_who_leaves_within_on_next_is_told_no_more(signed_in: ApiService, emulator: Emulator) -> None:
    fill(signed_in, 6)
    for stream in (signed_in.pages("album/read", size=2), signed_in.poll("album/read", every_s=0.001)):
        holder: list[Any] = []
        got: list[Any] = []
        subscribed = threading.Event()

        def leave(page: Any, got: Any = got, holder: Any = holder, subscribed: Any = subscribed) -> None:
            subscribed.wait(10)
            got.append(page)
            holder[0].dispose()

        holder.append(stream.subscribe(leave))
        subscribed.set()
        wait_until(lambda got=got: got)
        before = asked(emulator)
        signed_in.call("staff/read").result()
        assert (len(got), asked(emulator) - before <= 1) == (1, True)


def test_of_a_closed_service_they_end_with_that(config: Any) -> None:
    with ApiService(config) as api:
        streams = [api.pages("album/read"), api.poll("album/read", every_s=1)]
    for stream in streams:
        with pytest.raises((CallNotSent, SequenceContainsNoElementsError)):
            stream.result(5)
