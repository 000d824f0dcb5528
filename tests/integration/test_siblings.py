"""What goes wrong in the sibling SDKs (parity.md, second part), each shown to be impossible here.

Those about reconnecting and uploads in depth belong to the suites of their own; here each stands once.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from rxsdk import (
    ApiService,
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    ConnectFailed,
    File,
    QuotaPolicy,
    SDKConfig,
    VerifyRefused,
)
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.integration.test_bad_input import closed_port
from tests.staff import album_doc, staff_doc


def notifications(stream: Any) -> list[Any]:
    """What a subscriber is told: values, then an error or ``"completed"``."""
    told: list[Any] = []
    stream.subscribe(told.append, told.append, lambda: told.append("completed"))
    return told


def test_late_and_second_subscribers_get_the_reply(api: ApiService) -> None:
    call = api.call("staff/read")
    res = call.result()
    late, second = notifications(call), notifications(call)
    wait_until(lambda: len(late) == len(second) == 2)
    assert late == second == [res, "completed"]


@pytest.mark.parametrize("end", ["close_with", "drop_connections"])
def test_calls_in_flight_end_when_the_connection_does(end: str, api: ApiService, emulator: Emulator) -> None:
    emulator.silence("album/update")
    call = api.call("album/update", query=[{"_id": "f" * 24}], doc={"rank": 1})
    emulator.wait_until(lambda e: any(got.payload.get("endpoint") == "album/update" for got in e.received))
    emulator.close_with(1000) if end == "close_with" else emulator.drop_connections()
    with pytest.raises(CallOutcomeUnknown, match="the server closed it"):
        call.result(5)
    assert api.call("staff/read").result().status == 200, "after the reconnect, which nobody had to ask for"


def test_a_frame_that_is_not_json_harms_nothing(api: ApiService, emulator: Emulator) -> None:
    everything = notifications(api.init())
    emulator.silence("staff/read", times=1)
    waiting = api.call("staff/read", timeout_s=5)
    for frame in ("not json", "[]", '{"status": "200"}', '{"status": 200, "args": {"call_id": [1]}}'):
        emulator.push(frame)
    assert api.call("album/read").result().status == 200
    wait_until(lambda: len(everything) == 2)
    assert [told.status for told in everything] == [200, 200], "the last of the four is a message, the others are none"
    waiting.cancel()


def test_a_refused_first_connect_heals(emulator: Emulator) -> None:
    port = closed_port()
    config = SDKConfig(f"ws://127.0.0.1:{port}/ws", emulator.anon_token, ["email"], heartbeat_interval_s=0.05)
    api = ApiService(config)
    api.init()
    queued = api.call("staff/read")
    wait_until(lambda: isinstance(api.state.reason, ConnectFailed))
    with Emulator(port=port) as late:
        assert queued.result(10).status == 200
        late.wait_until(lambda e: e.executed["heart/beat"] >= 2)
    api.close().result()


def test_a_refused_verify_is_said(emulator: Emulator) -> None:
    api = ApiService(SDKConfig(emulator.url, "wrong", ["email"]))
    told = notifications(api.init())
    wait_until(lambda: told)
    wait_until(lambda: isinstance(told[-1], VerifyRefused))
    api.close().result()


def test_a_second_init_opens_no_second_socket(api: ApiService, emulator: Emulator) -> None:
    assert api.init() is api.init()
    assert api.call("staff/read").result().status == 200
    assert emulator.connections == 1


def test_an_empty_list_of_files_is_a_plain_list(signed_in: ApiService) -> None:
    assert signed_in.call("album/create", doc=album_doc(photos=[])).result().status == 200


def test_the_call_goes_out_after_the_last_file(signed_in: ApiService, emulator: Emulator) -> None:
    emulator.delay("file/upload", 0.02)
    photos = [File(bytes([number]) * 1_200_000, name=f"{number}.png") for number in range(2)]
    created = signed_in.call("album/create", doc=album_doc(photos=photos, cover=photos[0])).result()
    album = signed_in.call("album/read", query=[{"_id": created.docs[0]["_id"]}]).result().docs[0]
    assert [photo["name"] for photo in album["photos"]] == ["0.png", "1.png"]
    endpoints = [got.payload["endpoint"] for got in emulator.received]
    assert endpoints[-2:] == ["album/create", "album/read"]
    assert endpoints[-11:-2] == ["file/upload"] * 9


def test_a_refused_chunk_ends_the_call(emulator: Emulator) -> None:
    with ApiService(emulator.config(quota=QuotaPolicy(retry=False))) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        emulator.refuse_next("file/upload", 429, "CORE_REQ_SESSION_QUOTA_HIT")
        with pytest.raises(CallNotSent, match=r"could not be uploaded: .*429 CORE_REQ_SESSION_QUOTA_HIT") as caught:
            api.call("staff/create", doc=staff_doc()).result(5)
        assert isinstance(caught.value.__cause__, CallRejected)


def test_the_same_doc_again_uploads_again(signed_in: ApiService) -> None:
    doc = staff_doc()
    for _ in range(2):
        signed_in.call("staff/create", doc=doc).result()
    assert [staff["photo"]["size"] for staff in signed_in.call("staff/read").result().docs] == [9, 9]


def test_each_call_has_its_own_id(api: ApiService, emulator: Emulator) -> None:
    calls = [api.call("heart/beat") for _ in range(10_000)]
    assert len({call.result().args.call_id for call in calls}) == 10_000


def test_inside_auths_own_subscriber_one_is_signed_in(api: ApiService, emulator: Emulator) -> None:
    statuses: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def signed_in(_: Any) -> None:
        assert api.authed
        api.call("album/create", doc=album_doc()).subscribe(lambda res: statuses.put(res.status), statuses.put)

    api.auth("email", emulator.admin_email, emulator.admin_password).subscribe(signed_in)
    assert statuses.get(timeout=5) == 200


def test_delete_watch_and_the_watch_complete(api: ApiService) -> None:
    watch = api.call("staff/watch")
    told = notifications(watch)
    deleted = notifications(api.delete_watch(watch.result().args.watch))
    wait_until(lambda: told[-1:] == deleted[-1:] == ["completed"])
    assert len(told) == len(deleted) == 2


def test_close_completes(emulator: Emulator) -> None:
    with ApiService(emulator.config()) as api:
        watch, states = notifications(api.call("staff/watch")), notifications(api.state_stream)
        wait_until(lambda: watch)
        closed = notifications(api.close())
    assert (watch[-1], states[-1], closed[-1]) == ("completed",) * 3
    assert [state.name for state in states[:-1]] == ["ready", "closing", "closed"]
    assert threading.current_thread() is threading.main_thread()
