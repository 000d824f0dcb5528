"""Upload sources: what counts as a file, what is told of it, and the bytes."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiofiles
import pytest

from rxsdk.core.clock import LoopClock
from rxsdk.errors import UploadError
from rxsdk.files import File
from rxsdk.files.sources import PLACEHOLDER, Source, take_files

BYTES = bytes(range(256)) * 10


def source_of(value: Any) -> Source:
    doc, [upload] = take_files({"name": "x", "photo": value})
    assert doc == {"name": "x", "photo": PLACEHOLDER}
    assert (upload.attr, upload.index) == ("photo", 0)
    return upload.source


def content_of(source: Source, size: int = 1000) -> bytes:
    async def read() -> list[Any]:
        return [chunk async for chunk in source.chunks(size)]

    chunks = [bytes(chunk) for chunk in asyncio.run(read())]
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= size
    return b"".join(chunks)


def problem_of(value: Any) -> UploadError:
    doc = {"photo": value}
    with pytest.raises(UploadError) as caught:
        take_files(doc)
    assert caught.value.attr == "photo"
    assert doc == {"photo": value}
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(BYTES)
    os.utime(path, ns=(0, 1_600_000_000_123_456_789))
    return path


# -- what is a file


def test_a_doc_without_files_is_handed_on_as_it_is() -> None:
    doc = {"a": 1, "b": [1, 2], "c": {"d": Path("deeper is not looked at")}, "e": "text", "f": []}
    plain, uploads = take_files(doc)
    assert plain is doc
    assert uploads == []


def test_the_doc_is_not_changed_and_the_order_is_kept(path: Path) -> None:
    doc = {"b": path, "name": "x", "a": [File(b"1", name="1"), path]}
    before = dict(doc)
    plain, uploads = take_files(doc)
    assert doc == before
    assert plain == {"b": PLACEHOLDER, "name": "x", "a": PLACEHOLDER}
    assert list(plain) == list(doc)
    assert [(upload.attr, upload.index, upload.source.info.name) for upload in uploads] == [
        ("b", 0, "photo.png"),
        ("a", 0, "1"),
        ("a", 1, "photo.png"),
    ]


def test_a_list_of_files_and_other_things_is_refused(path: Path) -> None:
    assert "[1] is no file" in problem_of([path, "text"]).problem


def test_a_file_shows_nothing_of_its_content() -> None:
    assert repr(File(b"secret", name="a")) == "File(name='a', mime_type=None)"


# -- bytes


@pytest.mark.parametrize(
    "content",
    [
        b"0123",
        bytearray(b"0123"),
        memoryview(b"0123"),
        memoryview(b"x0x1x2x3")[1::2],
        memoryview(b"0123").cast("H"),
    ],
)
def test_bytes_of_every_kind(content: Any) -> None:
    source = source_of(File(content, name="a.txt"))
    assert source.info.size == 4
    assert content_of(source, 3) == b"0123"


def test_bytes_are_taken_when_the_call_is_made() -> None:
    content = bytearray(b"before")
    source = source_of(File(content, name="a.txt"))
    content[:] = b"after!"
    assert content_of(source) == b"before"


def test_chunks_that_come_out_even() -> None:
    source = source_of(File(BYTES, name="a"))
    assert content_of(source, len(BYTES)) == content_of(source, len(BYTES) // 2) == BYTES


def test_bytes_bare_or_without_a_name_have_that_of_their_attribute() -> None:
    for value in (File(b"1"), File(b"1", name=""), b"1", bytearray(b"1"), memoryview(b"1")):
        assert source_of(value).info.name == "photo"
    assert "is empty" in problem_of(b"").problem


def test_a_memoryview_is_read_in_place() -> None:
    content = bytearray(b"before")
    source = source_of(File(memoryview(content), name="a.txt"))
    content[:] = b"after!"
    assert content_of(source) == b"after!"


def test_a_name_too_long_for_a_frame_is_refused() -> None:
    assert "too large to send" in problem_of(File(b"1", name="n" * 20_000)).problem


# -- async iterables


async def pieces(*sizes: int) -> AsyncIterator[bytes]:
    at = 0
    for size in sizes:
        yield BYTES[at : at + size]
        at += size


class Again:
    """An async iterable that can be begun anew."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return pieces(1, 0, 999, 500)


@pytest.mark.parametrize("sizes", [(1500,), (1,) * 1500, (1000, 500), (999, 501), (0, 1499, 1, 0), (2560,)])
def test_an_async_iterable_of_known_size(sizes: tuple[int, ...]) -> None:
    size = sum(sizes)
    assert content_of(source_of(File(pieces(*sizes), name="a", size=size))) == BYTES[:size]


@pytest.mark.parametrize(("sizes", "what"), [((999,), "fewer"), ((1001,), "more"), ((1000, 1), "more"), ((), "fewer")])
def test_an_async_iterable_that_does_not_keep_its_size(sizes: tuple[int, ...], what: str) -> None:
    with pytest.raises(EOFError, match=f"gave {what} bytes"):
        content_of(source_of(File(pieces(*sizes), name="a", size=1000)))


def test_an_async_iterator_that_cannot_be_closed() -> None:
    class Once:
        def __init__(self) -> None:
            self._pieces = iter([b"12", b"345"])

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            try:
                return next(self._pieces)
            except StopIteration:
                raise StopAsyncIteration from None

    once = source_of(File(Once(), name="a", size=5))
    assert content_of(once, 2) == b"12345"
    with pytest.raises(EOFError, match="only once"):
        content_of(once)


def test_an_async_generator_gives_its_bytes_once_and_others_anew() -> None:
    once = source_of(File(pieces(10), name="a", size=10))
    content_of(once)
    with pytest.raises(EOFError, match="only once"):
        content_of(once)
    anew = source_of(File(Again(), name="a", size=1500))
    assert content_of(anew) == content_of(anew) == BYTES[:1500]


def test_an_async_iterable_needs_its_size_and_others_must_not_have_one() -> None:
    for value in (pieces(1), File(pieces(1), name="a")):
        assert "unknown size" in problem_of(value).problem
    assert "is empty" in problem_of(File(pieces(), size=0)).problem
    assert "is empty" in problem_of(File(pieces(), size=-1)).problem
    assert "whole number" in problem_of(File(b"1", name="a", size=1)).problem
    assert "whole number" in problem_of(File(pieces(1), size=1.5)).problem  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"name": 5}, {"name": Path("a")}, {"name": "a", "mime_type": 5}])
def test_particulars_of_the_wrong_type_are_refused(settings: dict[str, Any]) -> None:
    assert "must be strings" in problem_of(File(b"1", **settings)).problem


def test_other_content_is_refused() -> None:
    assert "cannot read from str" in problem_of(File("a path", name="a")).problem  # type: ignore[arg-type]


# -- what is told of it


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [("a.png", "image/png"), ("a.tar.gz", "application/x-tar"), ("a", "application/octet-stream")],
)
def test_the_type_is_guessed_from_the_name(name: str, mime_type: str) -> None:
    assert source_of(File(b"1", name=name)).info.mime_type == mime_type


def test_what_is_given_goes_before_what_is_found(path: Path) -> None:
    info = source_of(File(path, name="é.txt", mime_type="x/y", last_modified_ms=5)).info
    assert (info.name, info.mime_type, info.last_modified_ms) == ("é.txt", "x/y", 5)


@pytest.mark.parametrize("moment", [1.5, True, "1"])
def test_the_moment_must_be_whole_milliseconds(moment: Any) -> None:
    assert "whole number" in problem_of(File(b"1", name="a", last_modified_ms=moment)).problem


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    path.write_bytes(b"1")
    error = problem_of(path)
    assert "no text" in error.problem
    str(error).encode()
    assert source_of(File(path, name="ok.png")).info.name == "ok.png"


# -- paths


def test_a_path(path: Path) -> None:
    source = source_of(path)
    info = source.info
    assert (info.name, info.size, info.mime_type) == ("photo.png", len(BYTES), "image/png")
    assert info.last_modified_ms == 1_600_000_000_123
    assert content_of(source) == BYTES


def test_paths_that_cannot_be_read(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem_of(tmp_path / "missing").problem == "No such file or directory"
    assert problem_of(tmp_path).problem == "is a directory"
    (tmp_path / "empty").touch()
    assert "is empty" in problem_of(tmp_path / "empty").problem
    os.mkfifo(tmp_path / "fifo")
    assert "no regular file" in problem_of(tmp_path / "fifo").problem

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    assert "is no path" in problem_of(Path("a\0b")).problem
    assert problem_of(tmp_path / ("n" * 5000)).problem == "File name too long"
    monkeypatch.setattr(os, "open", refuse)
    error = problem_of(path)
    assert (error.name, error.problem) == (str(path), "Permission denied")
    assert isinstance(error.__cause__, PermissionError)


@pytest.mark.parametrize(
    ("size", "what"), [(len(BYTES) - 1, "shorter"), (0, "shorter"), (1500, "shorter"), (len(BYTES) + 1, "grew")]
)
def test_a_file_that_changes_its_size_while_it_is_read(path: Path, size: int, what: str) -> None:
    source = source_of(path)
    os.truncate(path, size)
    with pytest.raises(EOFError, match=what):
        content_of(source)


def test_a_file_that_changes_and_keeps_its_size(path: Path) -> None:
    source = source_of(path)
    with path.open("rb") as opened:
        open_source = source_of(opened)
        path.write_bytes(bytes(len(BYTES)))
        for one in (source, open_source):
            with pytest.raises(EOFError, match="changed"):
                content_of(one)


def test_an_open_file_that_grows(path: Path) -> None:
    growing = io.BytesIO(BYTES)
    source = source_of(growing)
    growing.seek(0, os.SEEK_END)
    growing.write(b"more")
    with pytest.raises(EOFError, match="grew"):
        content_of(source)


def test_one_open_file_twice_at_once(path: Path) -> None:
    with path.open("rb") as opened:
        sources = [source_of(opened), source_of(opened)]

        async def read(source: Source) -> bytes:
            return b"".join([bytes(chunk) async for chunk in source.chunks(7)])

        async def both() -> list[bytes]:
            return await asyncio.gather(*map(read, sources))

        assert asyncio.run(both()) == [BYTES, BYTES]


@pytest.mark.parametrize("other", ["file", "pipe"])
def test_another_file_in_its_place_is_seen_before_a_byte_is_given(path: Path, tmp_path: Path, other: str) -> None:
    source = source_of(path)
    path.unlink()
    if other == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(BYTES)

    async def first() -> object:
        return await anext(source.chunks(10))

    with pytest.raises(EOFError, match=r"changed|shorter"):
        asyncio.run(first())


def test_a_file_that_is_gone_when_its_turn_comes(path: Path) -> None:
    source = source_of(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        content_of(source)


# -- open files


def test_an_open_file_is_read_from_where_it_stands(path: Path) -> None:
    with path.open("rb") as opened:
        opened.seek(100)
        source = source_of(opened)
        assert opened.tell() == 100
        info = source.info
        assert (info.name, info.size) == ("photo.png", len(BYTES) - 100)
        assert info.last_modified_ms == 1_600_000_000_123
        opened.seek(0)
        assert content_of(source) == BYTES[100:]
        assert content_of(source, 7) == BYTES[100:]


def test_files_in_memory() -> None:
    source = source_of(File(io.BytesIO(BYTES), name="a"))
    assert content_of(source) == BYTES
    assert source.info.last_modified_ms > 1_600_000_000_000
    assert source_of(io.BytesIO(BYTES)).info.name == "photo"
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(BYTES)
        spooled.seek(0)
        assert content_of(source_of(File(spooled, name="a"))) == BYTES  # type: ignore[arg-type]
    with tempfile.TemporaryFile() as nameless:  # its name is a number
        nameless.write(b"1")
        nameless.seek(0)
        assert source_of(nameless).info.name == "photo"


def test_a_file_that_gives_less_than_asked_for_is_read_on(tmp_path: Path) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7))

    assert content_of(source_of(File(Slow(BYTES), name="a"))) == BYTES
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", BYTES)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("a") as inside:
        assert content_of(source_of(File(inside, name="a"))) == BYTES  # type: ignore[arg-type]


def test_open_files_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    with path.open(encoding="latin-1") as text:
        assert "is open as text" in problem_of(text).problem
        assert "is open as text" in problem_of(File(text, name="a")).problem  # type: ignore[arg-type]
    with (tmp_path / "written").open("wb") as written:
        assert "cannot be read" in problem_of(written).problem
    opened = path.open("rb")
    opened.close()
    error = problem_of(opened)
    assert (error.name, "closed file" in error.problem) == ("photo.png", True)
    with path.open("rb") as at_end:
        at_end.read()
        assert "is empty" in problem_of(at_end).problem


def test_a_pipe_has_no_size() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as opened, open(write_end, "wb"):
        assert "no known size" in problem_of(File(opened, name="a")).problem


def test_an_open_file_that_became_shorter_or_was_closed(path: Path) -> None:
    with path.open("rb") as opened:
        source = source_of(opened)
        os.truncate(path, 1500)
        with pytest.raises(EOFError, match="shorter"):
            content_of(source)
    with pytest.raises(ValueError, match="closed file"):
        content_of(source)


def test_an_open_file_whose_methods_are_coroutines_or_lie(path: Path) -> None:
    class Odd(io.BytesIO):
        def read(self, size: int | None = -1) -> Any:
            return bytearray(super().read(size))

    assert "its read gives bytearray" in problem_of(Odd(b"1")).problem

    async def with_aiofiles() -> None:
        async with aiofiles.open(path, "rb") as opened:
            assert "its read gives coroutine" in problem_of(opened).problem

    asyncio.run(with_aiofiles())


def test_an_attribute_or_a_type_that_is_no_text() -> None:
    assert "cannot be sent" in problem_of(File(b"1", mime_type="x/\ud800")).problem
    with pytest.raises(UploadError, match="cannot be sent"):
        take_files({"\ud800": File(b"1", name="a")})


# -- whatever a source does, the error names the file


async def raising() -> AsyncIterator[bytes]:
    yield b"1"
    raise KeyError("oh")


async def giving(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def stuck() -> AsyncIterator[bytes]:
    yield b"1"
    await asyncio.get_running_loop().create_future()


def uploaded(value: Any, patience_s: float | None = None) -> None:
    _, [upload] = take_files({"photo": value})

    async def read() -> None:
        clock = LoopClock(asyncio.get_running_loop())
        async for _ in upload.chunks(1, clock, patience_s):
            pass

    asyncio.run(read())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (raising(), "cannot be read: KeyError: 'oh'"),
        (giving("text"), "cannot be read: TypeError: its iterator gave str, not bytes"),
        (giving([1, 2]), "its iterator gave list, not bytes"),
        (giving(b"12", 5), "its iterator gave int, not bytes"),
        (giving(b"12"), "gave fewer bytes than its size"),
        (giving(b"12", b"34"), "gave more bytes than its size"),
        (stuck(), "gave no bytes for 0.01 s"),
    ],
)
def test_an_iterable_that_fails(values: Any, problem: str) -> None:
    with pytest.raises(UploadError) as caught:
        uploaded(File(values, name="a", size=3), patience_s=0.01)
    assert problem in caught.value.problem
    assert (caught.value.attr, caught.value.name) == ("photo", "a")


def test_an_iterator_is_closed_when_it_is_left() -> None:
    ended = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"1"
        finally:
            ended.append(True)

    with pytest.raises(UploadError, match="more bytes"):
        uploaded(File(endless(), name="a", size=3))
    assert ended == [True]


def test_one_generator_in_two_calls_at_once_is_sent_by_neither_or_one() -> None:
    once = File(pieces(1, 1, 1), name="a", size=3)
    _, both = take_files({"photo": [once, once]})

    async def read() -> list[Any]:
        async def one(upload: Any) -> bytes:
            clock = LoopClock(asyncio.get_running_loop())
            return b"".join([bytes(chunk) async for chunk in upload.chunks(1, clock, None)])

        return await asyncio.gather(*map(one, both), return_exceptions=True)

    outcomes = asyncio.run(read())
    assert all(isinstance(outcome, UploadError) or outcome == BYTES[:3] for outcome in outcomes)
    assert any(isinstance(outcome, UploadError) for outcome in outcomes)
