"""Upload sources: what may stand for a file in a doc, checked when the call is made.

Floor 2. A file is a `pathlib.Path`, an open binary file, or a `File` around one of these or around bytes; or a list of
them. Only at the top level of ``doc``: the server knows files by the name of their attribute.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import stat
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO, Protocol, cast

import aiofiles

from rxsdk.errors import UploadError
from rxsdk.protocols.limp.uploads import FileInfo

__all__ = ["File", "Source", "Upload", "take_files"]

PLACEHOLDER = 0
"""What stands for the file in the doc that is sent: the server puts the uploaded files in its place, and refuses it
where a file is wanted and none arrived."""


@dataclass(frozen=True)
class File:
    """A file to upload: its content and, where they cannot be found or should be others, its particulars.

    Args:
        content: ``bytes``, a ``Path``, or an open binary file (read from where it stands to its end).
        name: what the server is told; found for paths and open files, needed for bytes.
        mime_type: such as ``image/png``; else guessed from the name.
        last_modified_ms: milliseconds since 1970; else the file's own, or now.
    """

    content: bytes | bytearray | memoryview | Path | BinaryIO
    name: str | None = None
    mime_type: str | None = None
    last_modified_ms: int | None = None

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, mime_type={self.mime_type!r})"


class Source(Protocol):
    """A file that was checked: ``info`` is final, the bytes come when asked for."""

    info: FileInfo

    def chunks(self, size: int) -> AsyncGenerator[bytes, None]:
        """The bytes from the beginning, ``size`` at a time. Raises OSError, or EOFError when the file shrank."""
        ...


@dataclass(frozen=True)
class Upload:
    """One file of a call: the ``index``-th of attribute ``attr``, which holds a list of them or it alone."""

    attr: str
    index: int
    source: Source
    is_listed: bool


def take_files(doc: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Upload]]:
    """Split ``doc`` (which is not changed) into what is sent as JSON and the files to upload before it.

    Raises:
        UploadError: a file is missing, a directory, empty, unreadable or of unknown size; it names the file.
    """
    uploads: list[Upload] = []
    plain: dict[str, Any] | None = None
    for attr, value in doc.items():
        files = value if type(value) in (list, tuple) else [value]
        found = [_is_file(item) for item in files]
        if not any(found):
            continue
        if not all(found):
            raise UploadError(attr, "list", "holds files and other things; make it all files")
        plain = plain or dict(doc)
        plain[attr] = PLACEHOLDER
        is_listed = files is value
        uploads += [Upload(attr, index, _source(attr, item), is_listed) for index, item in enumerate(files)]
    return (doc if plain is None else plain), uploads


def _is_file(value: Any) -> bool:
    return isinstance(value, (File, Path)) or (hasattr(value, "read") and hasattr(value, "seek"))


def _source(attr: str, value: Any) -> Source:
    file = value if isinstance(value, File) else File(value)
    content: Any = file.content
    if isinstance(content, (bytes, bytearray, memoryview)):
        return _BytesSource(attr, file, bytes(content))
    if isinstance(content, Path):
        return _PathSource(attr, file, content)
    if hasattr(content, "read") and hasattr(content, "seek"):
        return _OpenSource(attr, file, content)
    hint = "; for the file of that name write File(Path(…))" if isinstance(content, str) else ""
    raise UploadError(attr, file.name or "file", f"cannot read from {type(content).__name__}{hint}")


def _info(attr: str, file: File, name: str | None, size: int, modified_ms: int) -> FileInfo:
    name = file.name or name
    if not name:
        raise UploadError(attr, "bytes", 'need a name: File(data, name="photo.png")')
    if not isinstance(name, str) or not isinstance(file.mime_type, (str, NoneType)):
        raise UploadError(attr, str(name), "name and mime_type must be strings")
    if size == 0:
        # "an empty file is accepted, then breaks the call with a 500 without call_id, and keeps breaking"
        raise UploadError(attr, name, "is empty; the server cannot store an empty file")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UploadError(attr, ascii(name), "has a name that is no text; give one with File(…, name=…)") from None
    mime_type = file.mime_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if file.last_modified_ms is not None:
        modified_ms = file.last_modified_ms
        if type(modified_ms) is not int:  # "lastModified is an integer in milliseconds"; a float is refused
            raise UploadError(attr, name, "last_modified_ms must be a whole number of milliseconds")
    return FileInfo(name, size, mime_type, modified_ms)


class _BytesSource:
    def __init__(self, attr: str, file: File, content: bytes) -> None:
        self._content = content
        self.info = _info(attr, file, None, len(content), int(time.time() * 1000))

    async def chunks(self, size: int) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self._content), size):
            yield self._content[start : start + size]


class _PathSource:
    def __init__(self, attr: str, file: File, path: Path) -> None:
        self._path = path
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise UploadError(attr, str(path), "is a directory")
            if not stat.S_ISREG(status.st_mode):
                raise UploadError(attr, str(path), "is no regular file, so its size is unknown")
            with path.open("rb"):
                pass  # readable, or the error below says why not
        except OSError as error:
            raise UploadError(attr, str(path), error.strerror or str(error)) from error
        self.info = _info(attr, file, path.name, status.st_size, status.st_mtime_ns // 1_000_000)

    async def chunks(self, size: int) -> AsyncGenerator[bytes, None]:
        async with aiofiles.open(self._path, "rb") as file:
            left = self.info.size
            while left:
                chunk = await _read(file.read, min(size, left))
                left -= len(chunk)
                yield chunk
            more = await file.read(1)
        if more:
            raise EOFError("grew while it was read")


class _OpenSource:
    def __init__(self, attr: str, file: File, opened: BinaryIO) -> None:
        self._file = opened
        name = getattr(opened, "name", None)
        name = os.path.basename(name) if isinstance(name, str) else None
        shown = file.name or name or "open file"
        try:
            if isinstance(cast(Any, opened).read(0), str):
                raise UploadError(attr, shown, 'is open as text; open it with mode "rb"')
            self._start = opened.tell()
            size = opened.seek(0, os.SEEK_END) - self._start
            opened.seek(self._start)
        except (OSError, ValueError) as error:
            raise UploadError(attr, shown, f"cannot be read, or has no known size: {error}") from error
        self.info = _info(attr, file, name, size, _modified_ms(opened))

    async def chunks(self, size: int) -> AsyncGenerator[bytes, None]:
        left = self.info.size
        try:
            await asyncio.to_thread(self._file.seek, self._start)
            while left:
                chunk = await _read(partial(asyncio.to_thread, self._file.read), min(size, left))
                left -= len(chunk)
                yield chunk
        except ValueError as error:
            raise OSError(str(error)) from error  # it was closed meanwhile


def _modified_ms(opened: BinaryIO) -> int:
    try:
        return os.fstat(opened.fileno()).st_mtime_ns // 1_000_000
    except (AttributeError, OSError):
        return int(time.time() * 1000)  # there is no file behind it


async def _read(read: Callable[[int], Awaitable[bytes]], size: int) -> bytes:
    """``size`` bytes, in several goes if ``read`` likes it so, as raw files may."""
    chunk = await read(size)
    while len(chunk) < size:
        more = await read(size - len(chunk))
        if not more:
            raise EOFError("became shorter while it was read")
        chunk += more
    return chunk
