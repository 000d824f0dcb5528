"""The plan of an upload: how a file becomes the frames of ``file/upload``, and files that were posted a part of a doc.

Floor 0: works on bytes it is given, opens nothing. Source: limp.md, "Files"; the seed's "Files".

The bytes of a chunk travel as decimal numbers joined by commas, in JSON, in base64, signed: 512 000 become 2.4 million.
So a chunk is worked on in blocks that stay in the processor's cache, and whoever drives that does other things between
them.
"""

from __future__ import annotations

from codecs import charmap_decode
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

__all__ = [
    "UPLOAD_ENDPOINT",
    "FileInfo",
    "chunk_content",
    "chunk_count",
    "chunk_doc",
    "chunk_pieces",
    "doc_with_files",
]

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


def _decimal_tables() -> tuple[str, bytes]:
    """Two tables that turn bytes into "0,1,2," at the speed of two passes in C.

    The first maps each byte to a character whose UTF-8 is just as long as its number with the comma. The second maps
    the bytes of that UTF-8: leading ones to the first digit, ``80`` … ``89`` to further digits, ``8A`` to the comma.
    """
    characters = []
    to_digits = bytearray(256)
    for number in range(256):
        digits = [int(digit) for digit in str(number)]
        leading = (0xC2, 0xE0, 0xF0)[len(digits) - 1] + digits[0]
        characters.append(bytes([leading, *(0x80 + digit for digit in digits[1:]), 0x8A]).decode())
        to_digits[leading] = ord("0") + digits[0]
    to_digits[0x80:0x8B] = b"0123456789,"
    return "".join(characters), bytes(to_digits)


_CHARACTERS, _TO_DIGITS = _decimal_tables()


def chunk_content(chunk: bytes | memoryview, block_bytes: Callable[[], int]) -> Iterator[bytes]:
    """The bytes as decimal numbers joined by commas, a block at a time: ``b"\\x00\\xff"`` is ``b"0,255"``.

    ``block_bytes`` is asked before each block how many bytes it is to be.
    """
    rest = memoryview(chunk)
    while rest:
        size = block_bytes()
        block, rest = rest[:size], rest[size:]
        digits = charmap_decode(block, "strict", _CHARACTERS)[0].encode().translate(_TO_DIGITS)
        yield digits if rest else digits[:-1]


def chunk_doc(attr: str, index: int, chunk_number: int, total: int, info: FileInfo, content: str) -> bytes:
    """The ``doc`` of one ``file/upload`` as JSON. ``chunk_number`` counts from 1."""
    return msgspec.json.encode(
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
                "content": content,
            },
        }
    )


def chunk_pieces(
    attr: str,
    index: int,
    chunk_number: int,
    total: int,
    info: FileInfo,
    chunk: bytes | memoryview,
    block_bytes: Callable[[], int],
) -> Iterator[bytes]:
    """The same with ``chunk`` as its content, piece by piece; see `chunk_content`."""
    doc = chunk_doc(attr, index, chunk_number, total, info, "")
    yield doc[:-3]
    yield from chunk_content(chunk, block_bytes)
    yield doc[-3:]


def doc_with_files(doc: bytes, ids: Mapping[str, str | Sequence[str]]) -> bytes:
    """``doc`` (JSON) with the files posted before, by their ids, under their attributes (level 6.1)."""
    values = msgspec.json.decode(doc, type=dict[str, msgspec.Raw])
    for attr, posted in ids.items():
        files = {"__file": posted} if isinstance(posted, str) else [{"__file": _id} for _id in posted]
        values[attr] = msgspec.Raw(msgspec.json.encode(files))
    return msgspec.json.encode(values)
