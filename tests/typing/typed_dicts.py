"""Documents and endpoints of the server: made by ``rxsdk typegen schema.toml``, not by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NotRequired, TypedDict, Unpack

from rxsdk import ApiService, Call, File, Query, Res
from rxsdk.protocols.limp.operators import Operator

Upload = Path | BinaryIO | File


class Options(TypedDict, total=False):
    """What every call takes beside its query and doc."""

    await_auth: bool
    timeout_s: float | None
    queue_timeout_s: float | None
    idempotent: bool | None


class StoredFile(TypedDict):
    """What the server tells of a file it keeps."""

    name: str
    type: str
    size: int
    lastModified: int


class Ref(TypedDict):
    """A document by its id: what creating, updating and deleting answer."""

    _id: str


class Staff(TypedDict):
    """A document of staff."""

    _id: str
    user: str
    photo: StoredFile
    name: dict[str, str]
    job_title: dict[str, str]
    bio: dict[str, str]
    create_time: datetime


class StaffPart(TypedDict, total=False):
    """What was sent of a document of staff."""

    _id: str
    user: str
    photo: StoredFile
    name: dict[str, str]
    job_title: dict[str, str]
    bio: dict[str, str]
    create_time: datetime


class NewStaff(TypedDict):
    """What ``staff/create`` takes."""

    user: NotRequired[str]
    photo: Upload
    name: dict[str, str]
    job_title: dict[str, str]
    bio: dict[str, str]
    create_time: NotRequired[datetime]


class StaffChanges(TypedDict, total=False):
    """What ``staff/update`` takes."""

    user: str | Operator
    photo: Upload | Operator
    name: dict[str, str] | Operator
    job_title: dict[str, str] | Operator
    bio: dict[str, str] | Operator
    create_time: datetime | Operator


def staff_read(api: ApiService, query: Query | None = None, **options: Unpack[Options]) -> Call[Res[Staff]]:
    """The documents that ``query`` finds."""
    return api.call("staff/read", query=query, doc_type=Staff, **options)


def staff_watch(api: ApiService, query: Query | None = None, **options: Unpack[Options]) -> Call[Res[StaffPart]]:
    """The changes of what ``query`` finds."""
    return api.call("staff/watch", query=query, doc_type=StaffPart, **options)


def staff_create(api: ApiService, doc: NewStaff, **options: Unpack[Options]) -> Call[Res[Ref]]:
    """Create ``doc``."""
    return api.call("staff/create", doc=doc, doc_type=Ref, **options)


def staff_update(api: ApiService, query: Query, doc: StaffChanges, **options: Unpack[Options]) -> Call[Res[Ref]]:
    """Change what ``query`` finds."""
    return api.call("staff/update", query=query, doc=doc, doc_type=Ref, **options)


def staff_delete(api: ApiService, query: Query, **options: Unpack[Options]) -> Call[Res[Ref]]:
    """Delete what ``query`` finds."""
    return api.call("staff/delete", query=query, doc_type=Ref, **options)


class Album(TypedDict):
    """A document of album."""

    _id: str
    user: str
    name: dict[str, str]
    cover: StoredFile | None
    photos: list[StoredFile] | None
    rank: int | None
    tags: list[str] | None
    create_time: datetime


class AlbumPart(TypedDict, total=False):
    """What was sent of a document of album."""

    _id: str
    user: str
    name: dict[str, str]
    cover: StoredFile | None
    photos: list[StoredFile] | None
    rank: int | None
    tags: list[str] | None
    create_time: datetime


class NewAlbum(TypedDict):
    """What ``album/create`` takes."""

    user: NotRequired[str]
    name: dict[str, str]
    cover: NotRequired[Upload]
    photos: NotRequired[list[Upload]]
    rank: NotRequired[int]
    tags: NotRequired[list[str]]
    create_time: NotRequired[datetime]


class AlbumChanges(TypedDict, total=False):
    """What ``album/update`` takes."""

    user: str | Operator
    name: dict[str, str] | Operator
    cover: Upload | Operator
    photos: list[Upload] | Operator
    rank: int | Operator
    tags: list[str] | Operator
    create_time: datetime | Operator


def album_read(api: ApiService, query: Query | None = None, **options: Unpack[Options]) -> Call[Res[Album]]:
    """The documents that ``query`` finds."""
    return api.call("album/read", query=query, doc_type=Album, **options)


def album_watch(api: ApiService, query: Query | None = None, **options: Unpack[Options]) -> Call[Res[AlbumPart]]:
    """The changes of what ``query`` finds."""
    return api.call("album/watch", query=query, doc_type=AlbumPart, **options)


def album_create(api: ApiService, doc: NewAlbum, **options: Unpack[Options]) -> Call[Res[Ref]]:
    """Create ``doc``."""
    return api.call("album/create", doc=doc, doc_type=Ref, **options)


def album_update(api: ApiService, query: Query, doc: AlbumChanges, **options: Unpack[Options]) -> Call[Res[Ref]]:
    """Change what ``query`` finds."""
    return api.call("album/update", query=query, doc=doc, doc_type=Ref, **options)


def album_delete(api: ApiService, query: Query, **options: Unpack[Options]) -> Call[Res[Ref]]:
    """Delete what ``query`` finds."""
    return api.call("album/delete", query=query, doc_type=Ref, **options)
