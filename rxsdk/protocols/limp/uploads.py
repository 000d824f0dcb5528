"""The plan of an upload: how a file becomes the docs of ``file/upload``.

Floor 0: works on bytes it is given, opens nothing. Source: limp.md, "Files"; the seed's "Files".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["UPLOAD_ENDPOINT", "FileInfo", "chunk_content", "chunk_count", "chunk_doc", "doc_with_files"]

UPLOAD_ENDPOINT = "file/upload"


class FileInfo(msgspec.Struct, frozen=True):
    """What the server is told of a file: ``size`` in bytes, ``last_modified_ms`` since 1970, ``mime_type``."""

    name: str
    size: int
    mime_type: str
    last_modified_ms: int


def chunk_count(size: int, chunk_size: int) -> int:
    """How many frames a file of ``size`` bytes takes."""
    return -(-size // chunk_size)


def chunk_content(chunk: bytes) -> bytes:
    """The bytes as decimal numbers joined by commas: ``b"\\x00\\xff"`` is ``b"0,255"``."""
    return msgspec.json.encode(list(chunk))[1:-1]


def chunk_doc(attr: str, index: int, chunk_number: int, total: int, info: FileInfo, chunk: bytes) -> bytes:
    """The ``doc`` of one ``file/upload`` as JSON. ``chunk_number`` counts from 1."""
    head = msgspec.json.encode(
        {
            "attr": attr,
            "index": index,
            "chunk": chunk_number,
            "total": total,
            "file": {
                "name": info.name,
                "size": info.size,
                "type": info.mime_type,
                "lastModified": info.last_modified_ms,
                "content": "",
            },
        }
    )
    # Ready bytes go straight into the JSON: digits and commas need no escaping.
    return head[:-3] + chunk_content(chunk) + head[-3:]


def doc_with_files(doc: bytes, ids: Mapping[str, str | Sequence[str]]) -> bytes:
    """``doc`` (JSON) with the files posted before, by their ids, under their attributes (level 6.1)."""
    values = msgspec.json.decode(doc, type=dict[str, msgspec.Raw])
    for attr, posted in ids.items():
        files = {"__file": posted} if isinstance(posted, str) else [{"__file": _id} for _id in posted]
        values[attr] = msgspec.Raw(msgspec.json.encode(files))
    return msgspec.json.encode(values)
