"""The chunk table of one connection: files travelling ahead of the call that names them.

"The server keeps chunks per *connection and attr*, appends in order of arrival and checks nothing: not the order,
not duplicates, not the total." Knows no modules; whatever is wrong with a chunk shows as an exception, which the
caller answers with a 500.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Uploads", "bytes_of"]

_decode_numbers = msgspec.json.Decoder(list[int]).decode


class Uploads:
    """What was uploaded on a connection and not yet taken by a call."""

    def __init__(self) -> None:
        self._files: dict[str, dict[Any, tuple[dict[str, Any], list[bytes | str]]]] = {}

    def accept(self, chunk: dict[str, Any]) -> bool:
        """Take the doc of one ``file/upload``; True when it says it is the last of its file."""
        attr, index, number, total = (chunk[name] for name in ("attr", "index", "chunk", "total"))
        files = self._files.setdefault(attr, {})
        if number == 1:
            # "chunk 1 of an index restarts that file"
            files[index] = (chunk["file"], [])
        else:
            file, parts = files[index]
            if "content" not in file or not isinstance(chunk["file"]["content"], str):
                raise TypeError("nothing to append to, or nothing that can be appended")
            parts.append(_packed(chunk["file"]["content"]))
        return bool(number == total)

    def take(self, doc: dict[str, Any]) -> dict[str, Any]:
        """``doc`` with its uploaded files in place of the placeholders.

        "Leftovers of an abandoned upload are silently taken by the next call that names the attr". A chunk that
        failed (a late one, one numbered 0) leaves an empty list of files behind, which is taken just so.
        """
        if not isinstance(doc, dict):
            raise TypeError("a doc that is none")
        taken = dict(doc)
        for attr in doc:
            if attr in self._files:
                taken[attr] = [_file_of(file, parts) for file, parts in self._files[attr].values()]
                del self._files[attr]
        return taken


def _file_of(file: dict[str, Any], parts: list[bytes | str]) -> dict[str, Any]:
    # "all five file keys are needed"
    return {
        "name": file["name"],
        "lastModified": file["lastModified"],
        "type": file["type"],
        "size": file["size"],
        "content": b"".join((bytes_of(file["content"]), *(p if isinstance(p, bytes) else bytes_of(p) for p in parts))),
    }


def _packed(text: str) -> bytes | str:
    """The bytes at once, lest the call stand still over a large file; what is none fails the call, not the chunk."""
    try:
        return bytes_of(text)
    except ValueError:
        return text


def bytes_of(text: str) -> bytes:
    """The bytes written as decimal numbers joined by commas; raises when it is anything else.

    "an empty file is accepted, then breaks the call": the empty text is no number.
    """
    if not isinstance(text, str):
        raise TypeError("content is no text")
    try:
        return bytes(_decode_numbers("[" + text + "]")) if text else bytes([int(text)])
    except msgspec.DecodeError:
        return bytes([int(number) for number in text.split(",")])
