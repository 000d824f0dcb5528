"""The golden vectors, made by an independent implementation: every value is reproduced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rxsdk.protocols.limp.auth import auth_docs, auth_hash, reauth_query
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.signing import SigningKey
from rxsdk.protocols.limp.uploads import FileInfo, chunk_content, chunk_count, chunk_pieces
from rxsdk.secret import Secret

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "limp.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("vector", VECTORS["auth"], ids=lambda vector: f"{vector['level']}-{vector['auth_val']}")
def test_auth_hash(vector: dict[str, Any]) -> None:
    arguments = {name: vector[name] for name in ("level", "auth_var", "auth_val", "password", "anon_token")}
    assert auth_hash(**arguments) == vector["hash"]
    doc, _ = auth_docs(**arguments, groups=None)
    assert doc == {vector["auth_var"]: vector["auth_val"], "hash": vector["hash"]}


@pytest.mark.parametrize("vector", VECTORS["reauth"])
def test_reauth_hash(vector: dict[str, Any]) -> None:
    for level in ("5.0", "5.6"):
        assert reauth_query(level, "sid", vector["token"]) == [{"_id": "sid", "hash": vector["hash"]}]
    assert reauth_query("6.1", "sid", vector["token"]) == [{"_id": "sid", "token": vector["token"]}]


@pytest.mark.parametrize("vector", VECTORS["calls"], ids=lambda vector: vector["payload"]["call_id"])
def test_a_signed_call(vector: dict[str, Any]) -> None:
    assert SigningKey(vector["key"]).jwt(vector["payload_json"].encode()).decode() == vector["jwt"]


@pytest.mark.parametrize("vector", VECTORS["calls"], ids=lambda vector: vector["payload"]["call_id"])
def test_a_whole_frame_of_the_machine(vector: dict[str, Any]) -> None:
    payload = vector["payload"]
    machine = LimpMachine(
        anon_token=Secret("other"),
        app_id=None,
        auth_hash_level="5.6",
        connect_timeout_s=20.0,
        heartbeat_interval_s=30.0,
        heartbeat_timeout_s=10.0,
        max_queued_calls=10,
        new_id=lambda: payload["call_id"],
    )
    machine.connected(0.0, None)
    machine.receive(b'{"status": 200, "msg": "Connection established."}', 0.0)
    query, doc = (json.dumps(payload[part], separators=(",", ":")).encode() for part in ("query", "doc"))
    request = Request(payload["endpoint"], query, doc, sid=payload["sid"], token=Secret(payload["token"]))
    machine.submit(request, 0.0)
    (frame,) = machine.frames_to_send(0.0, payload["iat"] + 0.9)
    sent = json.loads(frame)
    assert sent["call_id"] == payload["call_id"]
    expected = SigningKey(payload["token"]).jwt(vector["payload_json"].encode()).decode()
    assert sent["token"] == expected
    if vector["key"] == payload["token"]:
        assert sent["token"] == vector["jwt"]


@pytest.mark.parametrize("vector", VECTORS["chunks"], ids=lambda vector: vector["name"])
def test_chunks(vector: dict[str, Any]) -> None:
    data, size, total = bytes.fromhex(vector["bytes_hex"]), vector["chunk_size"], vector["total"]
    assert chunk_count(len(data), size) == total
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert [b"".join(chunk_content(chunk, lambda: 3)).decode() for chunk in chunks] == vector["contents"]
    info = FileInfo(name='p".png', size=len(data), mime_type="image/png", last_modified_ms=1_600_000_000_000)
    for number, (chunk, content) in enumerate(zip(chunks, vector["contents"], strict=True), start=1):
        doc = json.loads(b"".join(chunk_pieces("photo", 2, number, total, info, chunk, lambda: 3)))
        file = {"name": 'p".png', "size": len(data), "type": "image/png", "lastModified": 1_600_000_000_000}
        assert doc == {
            "attr": "photo",
            "index": 2,
            "chunk": number,
            "total": total,
            "file": {**file, "content": content},
        }


def test_the_vectors_are_all_there() -> None:
    assert {kind: len(values) for kind, values in VECTORS.items()} == {"auth": 24, "reauth": 4, "calls": 4, "chunks": 4}
