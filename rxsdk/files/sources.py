"""Upload sources: what may stand for a file in a doc, checked when the call is made.

Floor 2. A file is a `pathlib.Path`, an open binary file, bytes, or a `File` around one of these or around an async
iterator of bytes; or a list of them. Only at the top level of ``doc``: the server knows files by the name of their
attribute. However large, of a file no more than a chunk is read at a time.
"""

from __future__ import annotations

import asyncio
import inspect
import mimetypes
import os
import stat
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO, Protocol

from rxsdk.core.clock import Clock, done_within
from rxsdk.errors import UploadError
from rxsdk.files.disk import opened
from rxsdk.protocols.limp.uploads import FileInfo, chunk_doc

__all__ = ["File", "Source", "Upload", "take_files"]

Buffer = bytes | memoryview

_NO_FILES = frozenset({str, int, float, bool, dict, NoneType})
_MOST_HEAD_BYTES = 16 * 1024
"""Of a chunk's particulars: with the largest chunk they just fit into a frame."""

PLACEHOLDER = 0
"""What stands for the file in the doc that is sent: the server puts the uploaded files in its place, and refuses it
where a file is wanted and none arrived."""


@dataclass(frozen=True)
class File:
    """A file to upload: its content and, where they cannot be found or should be others, its particulars.

    Args:
        content: a ``Path``, an open binary file (read from where it stands to its end), ``bytes``, a ``memoryview``
            (read in place: leave what it shows alone until the call has ended), or an async iterable of bytes, whose
            ``size`` must be given. (An async generator gives its bytes once: then a lost connection ends the call.)
        name: what the server is told; else that of the path or open file, or the attribute's.
        mime_type: such as ``image/png``; else guessed from the name.
        last_modified_ms: milliseconds since 1970; else the file's own, or now.
        size: bytes, of an async iterable.
    """

    content: bytes | bytearray | memoryview | Path | BinaryIO | AsyncIterable[bytes]
    name: str | None = None
    mime_type: str | None = None
    last_modified_ms: int | None = None
    size: int | None = None

    goes_first = True

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, mime_type={self.mime_type!r})"


class Source(Protocol):
    """A file that was checked: ``info`` is final, the bytes come when asked for."""

    info: FileInfo

    def chunks(self, size: int) -> AsyncGenerator[Buffer, None]:
        """The bytes from the beginning, ``size`` at a time. Raises EOFError when the file has changed; and anything."""
        ...


@dataclass(frozen=True)
class Upload:
    """One file of a call: the ``index``-th of attribute ``attr``, which holds a list of them or it alone."""

    attr: str
    index: int
    source: Source
    is_listed: bool

    async def chunks(self, size: int, clock: Clock, patience_s: float | None) -> AsyncGenerator[Buffer, None]:
        """The bytes from the beginning, ``size`` at a time.

        Raises:
            UploadError: the file has changed or cannot be read (any more), or gave nothing for ``patience_s``.
        """
        try:
            async with aclosing(self.source.chunks(size)) as chunks:
                while (chunk := await _within(clock, patience_s, anext(chunks, None))) is not None:
                    yield chunk
        except Exception as error:
            is_told = isinstance(error, (OSError, EOFError)) and str(error)
            problem = str(error) if is_told else f"cannot be read: {type(error).__name__}: {error}"
            raise UploadError(self.attr, self.source.info.name, problem) from error


async def _within(clock: Clock, patience_s: float | None, chunk: Awaitable[Buffer | None]) -> Buffer | None:
    reading = asyncio.ensure_future(chunk)
    try:
        if not await done_within(clock, patience_s, reading):
            raise EOFError(f"gave no bytes for {patience_s:g} s")
        return reading.result()
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.wait([reading])


def take_files(doc: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Upload]]:
    """Split ``doc`` (which is not changed) into what is sent as JSON and the files to upload before it.

    Raises:
        UploadError: a file is missing, a directory, empty, unreadable or of unknown size; it names the file.
    """
    uploads: list[Upload] = []
    plain: dict[str, Any] | None = None
    for attr, value in doc.items():
        if type(value) in _NO_FILES:
            continue
        files = value if type(value) in (list, tuple) else [value]
        found = [_is_file(item) for item in files]
        if not any(found):
            continue
        if not all(found):
            raise UploadError(attr, "list", f"holds files, but [{found.index(False)}] is no file; make it all files")
        plain = plain or dict(doc)
        plain[attr] = PLACEHOLDER
        is_listed = files is value
        uploads += [Upload(attr, index, _source(attr, item), is_listed) for index, item in enumerate(files)]
    return (doc if plain is None else plain), uploads


def _is_file(value: Any) -> bool:
    if isinstance(value, (File, Path, bytes, bytearray, memoryview)):
        return True
    return (hasattr(value, "read") and hasattr(value, "seek")) or hasattr(value, "__aiter__")


def _source(attr: str, value: Any) -> Source:
    file = value if isinstance(value, File) else File(value)
    content: Any = file.content
    if file.size is not None and (type(file.size) is not int or not hasattr(content, "__aiter__")):
        raise UploadError(attr, file.name or attr, "size must be a whole number, and is for an async iterable only")
    if isinstance(content, (bytes, bytearray, memoryview)):
        return _BytesSource(attr, file, content)
    if isinstance(content, Path):
        return _PathSource(attr, file, content)
    if hasattr(content, "read") and hasattr(content, "seek"):
        return _OpenSource(attr, file, content)
    if hasattr(content, "__aiter__"):
        return _IterableSource(attr, file, content)
    hint = "; for the file of that name write File(Path(…))" if isinstance(content, str) else ""
    raise UploadError(attr, file.name or "file", f"cannot read from {type(content).__name__}{hint}")


def _info(attr: str, file: File, name: str | None, size: int, modified_ms: int) -> FileInfo:
    name = file.name or name or attr
    if not isinstance(name, str) or not isinstance(file.mime_type, (str, NoneType)):
        raise UploadError(attr, str(name), "name and mime_type must be strings")
    if size <= 0:
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
    info = FileInfo(name, size, mime_type, modified_ms)
    try:
        head_bytes = len(chunk_doc(attr, 0, 0, 0, info, ""))
    except UnicodeEncodeError as error:
        raise UploadError(attr, name, f"has particulars that cannot be sent: {error}") from None
    if head_bytes > _MOST_HEAD_BYTES:
        raise UploadError(attr, f"{name[:40]}…", "has a name or type that would make its chunks too large to send")
    return info


class _BytesSource:
    def __init__(self, attr: str, file: File, content: bytes | bytearray | memoryview) -> None:
        if isinstance(content, memoryview) and content.c_contiguous:
            self._content = content.cast("B")
        else:
            self._content = memoryview(bytes(content))  # as it is now: a bytearray may change
        self.info = _info(attr, file, None, len(self._content), int(time.time() * 1000))

    async def chunks(self, size: int) -> AsyncGenerator[Buffer, None]:
        for start in range(0, len(self._content), size):
            yield self._content[start : start + size]


class _PathSource:
    def __init__(self, attr: str, file: File, path: Path) -> None:
        self._path = path
        try:
            with open(path, "rb", opener=_without_waiting) as opened:
                status = os.fstat(opened.fileno())
        except IsADirectoryError:
            raise UploadError(attr, str(path), "is a directory") from None
        except OSError as error:
            raise UploadError(attr, str(path), error.strerror or str(error)) from error
        except ValueError as error:  # a NUL
            raise UploadError(attr, ascii(str(path)), f"is no path: {error}") from error
        if not stat.S_ISREG(status.st_mode):
            raise UploadError(attr, str(path), "is no regular file, so its size is unknown")
        self._state = _state(status)
        self.info = _info(attr, file, path.name, status.st_size, status.st_mtime_ns // 1_000_000)

    async def chunks(self, size: int) -> AsyncGenerator[Buffer, None]:
        async with opened(self._path, "rb", _without_waiting) as file:
            _check_state(self._state, os.fstat(file.fileno()))
            left = self.info.size
            while left:
                chunk = await file.read(min(size, left))
                if len(chunk) < min(size, left):
                    raise EOFError("became shorter after the call was made")
                left -= len(chunk)
                if not left:  # before the last chunk goes out, and with it the file
                    _check_state(self._state, os.fstat(file.fileno()))
                yield chunk


def _without_waiting(path: str, flags: int) -> int:
    """Open it; a pipe nobody writes to would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check_state(before: tuple[int, ...], status: os.stat_result) -> None:
    now = _state(status)
    if now != before:
        how = "became shorter" if now[1] < before[1] else "grew" if now[1] > before[1] else "changed"
        raise EOFError(f"{how} after the call was made")


class _OpenSource:
    def __init__(self, attr: str, file: File, opened: BinaryIO) -> None:
        self._file = opened
        name = getattr(opened, "name", None)
        name = os.path.basename(name) if isinstance(name, str) else None
        shown = file.name or name or "open file"
        try:
            _check_binary(attr, shown, opened.read(0))
            self._start = opened.tell()
            size = opened.seek(0, os.SEEK_END) - self._start
            opened.seek(self._start)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UploadError(attr, shown, f"cannot be read, or has no known size: {error}") from error
        status = _status(opened)
        self._state = None if status is None else _state(status)
        modified_ms = int(time.time() * 1000) if status is None else status.st_mtime_ns // 1_000_000
        self.info = _info(attr, file, name, size, modified_ms)

    async def chunks(self, size: int) -> AsyncGenerator[Buffer, None]:
        at, end = self._start, self._start + self.info.size
        while at < end:
            chunk = await asyncio.to_thread(self._read_at, at, min(size, end - at))
            at += len(chunk)
            if at == end:
                await asyncio.to_thread(self._check_end, end)
            yield chunk

    def _read_at(self, at: int, size: int) -> bytes:
        """In one step: the same open file may be on its way twice, and has one position."""
        with _one_position:
            self._file.seek(at)
            chunk = self._file.read(size)
            while len(chunk) < size:  # raw files may like it so
                more = self._file.read(size - len(chunk))
                if not more:
                    raise EOFError("became shorter after the call was made")
                chunk += more
            return chunk

    def _check_end(self, end: int) -> None:
        status = _status(self._file)
        if status is not None and self._state is not None:
            _check_state(self._state, status)
        with _one_position:
            if self._file.seek(0, os.SEEK_END) > end:
                raise EOFError("grew after the call was made")
            self._file.seek(end)


_one_position = threading.Lock()


def _check_binary(attr: str, name: str, got: Any) -> None:
    if isinstance(got, str):
        raise UploadError(attr, name, 'is open as text; open it with mode "rb"')
    if not isinstance(got, bytes):
        if inspect.iscoroutine(got):
            got.close()
        raise UploadError(attr, name, f"is no open binary file: its read gives {type(got).__name__}")


def _status(opened: BinaryIO) -> os.stat_result | None:
    """What the system knows of it; None when there is no file behind it."""
    try:
        return os.fstat(opened.fileno())
    except (AttributeError, OSError):
        return None


class _IterableSource:
    def __init__(self, attr: str, file: File, content: AsyncIterable[bytes]) -> None:
        if file.size is None:
            raise UploadError(attr, file.name or attr, "is of unknown size: File(…, name=…, size=…)")
        self._content = content
        self._was_begun = False
        self.info = _info(attr, file, None, file.size, int(time.time() * 1000))

    async def chunks(self, size: int) -> AsyncGenerator[Buffer, None]:
        pieces = aiter(self._content)
        if self._was_begun and pieces is self._content:
            raise EOFError("would have to start over, but its async iterator gives its bytes only once")
        self._was_begun = True
        waiting, left = bytearray(), self.info.size
        try:
            async for piece in pieces:
                if not isinstance(piece, (bytes, bytearray, memoryview)):
                    raise TypeError(f"its iterator gave {type(piece).__name__}, not bytes")
                waiting += piece
                while len(waiting) >= size and left > size:
                    left -= size
                    yield bytes(waiting[:size])
                    del waiting[:size]
                if len(waiting) > left:
                    break
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
        if len(waiting) != left:
            raise EOFError(f"gave {'more' if len(waiting) > left else 'fewer'} bytes than its size")
        yield bytes(waiting)
