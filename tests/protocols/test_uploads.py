"""Chunks: as decimal numbers, and as whole frames made a piece at a time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random

import pytest

from rxsdk.errors import CallNotSent
from rxsdk.protocols.contract import whole
from rxsdk.protocols.limp.codec import encode_part
from rxsdk.protocols.limp.events import CallFailed, RequestAdmitted
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.signing import MAX_FRAME_BYTES, SigningKey
from rxsdk.protocols.limp.uploads import (
    FileInfo,
    chunk_content,
    chunk_doc,
    chunk_pieces,
    doc_with_files,
)
from rxsdk.secret import Secret
from tests.protocols.harness import Bench

INFO = FileInfo("p+?>~ÿ.png", 5, "image/png", 7)
BLOCK = 1024
SIZES = [1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 1]


def block() -> int:
    return BLOCK


@pytest.mark.parametrize("size", SIZES)
def test_bytes_become_their_numbers(size: int) -> None:
    data = random.Random(size).randbytes(size)
    for chunk in (data, memoryview(data)):
        blocks = list(chunk_content(chunk, block))
        assert b"".join(blocks).decode() == ",".join(map(str, data))
        assert len(blocks) == -(-size // BLOCK)


def test_each_block_is_as_long_as_is_wished_then() -> None:
    sizes = iter([1, 3, 2, 100])
    assert list(chunk_content(b"abcdefg", sizes.__next__)) == [b"97,", b"98,99,100,", b"101,102,", b"103"]


def test_every_byte_by_itself() -> None:
    assert [b"".join(chunk_content(bytes([n]), block)) for n in range(256)] == [b"%d" % n for n in range(256)]


@pytest.mark.parametrize("size", SIZES)
def test_a_long_jwt_equals_the_one_made_in_one_go(size: int) -> None:
    key = SigningKey("token")
    pieces = list(chunk_pieces("a", 0, 1, 2, INFO, bytes(size), block))
    assert b"".join(key.long_jwt(pieces)) == key.jwt(b"".join(pieces))
    content = ",".join("0" * size)
    assert b"".join(pieces) == chunk_doc("a", 0, 1, 2, INFO, content)


@pytest.mark.parametrize("settings", [{}, {"sid": "5f00", "token": Secret("other")}])
def test_a_frame_made_ahead_is_written_as_it_is(settings: dict[str, str | Secret]) -> None:
    bench = Bench()
    machine = bench.machine
    machine.connected(0.0, None)
    machine.receive(b'{"status": 200, "msg": "Connection established."}', 0.0)
    request = Request("file/upload", doc=b"{}", **settings)  # type: ignore[arg-type]
    steps = list(machine.make_frame(request, iter([b'{"a":', b"1}"]), 5.5))
    assert len(steps) > 2
    machine.submit(request, 0.0)
    (frame,) = machine.frames_to_send(0.0, 99.0)
    assert isinstance(frame, list)
    sent = json.loads(whole(frame))
    head, payload, signature = sent["token"].split(".")
    call = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert (call["endpoint"], call["doc"], call["iat"], call["exp"]) == ("file/upload", {"a": 1}, 5, 86_405)
    assert call["call_id"] == sent["call_id"] == request.call_id
    expected = hmac.new(call["token"].encode(), f"{head}.{payload}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(expected).rstrip(b"=").decode() == signature
    if settings:
        assert (call["sid"], call["token"]) == ("5f00", "other")
    assert request.frame is None


def test_a_frame_in_pieces_is_the_last_that_is_let_out_at_once() -> None:
    bench = Bench()
    machine = bench.machine
    machine.connected(0.0, None)
    machine.receive(b'{"status": 200, "msg": "Connection established."}', 0.0)
    requests = [Request(f"a/{number}") for number in range(4)]
    for number, request in enumerate(requests):
        if number in (1, 2):
            list(machine.make_frame(request, iter([b"{}"]), 5.0))
        machine.submit(request, 0.0)
    together = [list(map(type, machine.frames_to_send(0.0, 5.0))) for _ in range(4)]
    assert together == [[bytes, list], [list], [bytes], []]


def test_the_worst_chunk_fits_into_a_frame() -> None:
    info = FileInfo("n" * 16_000, 780_000, "image/png", 1_600_000_000_000)
    pieces = chunk_pieces("a", 0, 1, 1, info, b"\xff" * 780_000, block)
    assert sum(map(len, SigningKey("t" * 64).long_jwt(pieces))) < MAX_FRAME_BYTES - 1024


def test_posted_files_take_the_place_of_their_attributes() -> None:
    doc = encode_part("a/b", "doc", {"photo": 0, "big": 2**70, "x": [1.5, None], "many": 0})
    made = doc_with_files(doc, {"photo": "id1", "many": ["id2", "id3"]})
    assert json.loads(made) == {
        "photo": {"__file": "id1"},
        "big": 2**70,
        "x": [1.5, None],
        "many": [{"__file": "id2"}, {"__file": "id3"}],
    }


def test_a_call_with_files_takes_its_turn_and_is_handed_back_unwritten() -> None:
    bench = Bench()
    tickets = [Request("staff/create", queue_timeout_s=5.0, timeout_s=1.0) for _ in range(2)]
    for ticket in tickets:
        ticket.has_files = True
        bench.submit(ticket)
    bench.machine.connected(1000.0, None)
    bench.machine.handle_deadline(1000.0)
    bench.machine.receive(b'{"status": 200, "msg": "Connection established."}', 1000.0)
    assert bench.machine.frames_to_send(1000.0, 0.0) == []
    bench.take_events()
    assert [event.request for event in bench.seen(RequestAdmitted)] == tickets
    bench.machine.handle_deadline(1006.0)
    assert bench.seen(CallFailed) == []
    bench.cancel(tickets[0])
    assert bench.seen(CallFailed) == []


def test_a_call_with_files_whose_turn_does_not_come_is_not_sent() -> None:
    bench = Bench()
    ticket = Request("staff/create", queue_timeout_s=5.0)
    ticket.has_files = True
    bench.submit(ticket)
    bench.machine.next_deadline()
    bench.machine.handle_deadline(1006.0)
    assert isinstance(bench.error(ticket), CallNotSent)


def test_a_request_anew_is_the_same_call_and_not_begun() -> None:
    request = Request("a/b", b"[1]", b'{"a":1}', await_auth=True, sid="s", timeout_s=1.0, idempotent=True)
    request.token = Secret("t")
    request.call_id, request.written_at = "id", 5.0
    anew = request.anew()
    for name in ("endpoint", "query", "doc", "sid", "token", "timeout_s", "queue_timeout_s", "await_auth"):
        assert getattr(anew, name) == getattr(request, name)
    assert (anew.call_id, anew.written_at, anew.idempotent, anew.listener) == ("", None, False, None)
