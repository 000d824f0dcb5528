"""Documents and endpoints of the server: made by ``rxsdk typegen schema.toml``, not by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NotRequired, TypedDict, Unpack

import msgspec

from rxsdk import ApiService, Call, File, Query, Res
from rxsdk.protocols.limp.operators import Operator

Upload = Path | BinaryIO | File


class Options(TypedDict, total=False):
    """What every call takes beside its query and doc."""

    await_auth: bool
    timeout_s: float | None
    queue_timeout_s: float | None
    idempotent: bool | None


class StoredFile(msgspec.Struct, kw_only=True):
    """What the server tells of a file it keeps."""

    name: str
    type: str
    size: int
    last_modified: int = msgspec.field(name="lastModified")


class Ref(msgspec.Struct, kw_only=True):
    """A document by its id: what creating, updating and deleting answer."""

    id: str = msgspec.field(name="_id")


class Staff(msgspec.Struct, kw_only=True):
    """A document of staff."""

    id: str = msgspec.field(name="_id")
    user: str
    photo: StoredFile
    name: dict[str, str]
    job_title: dict[str, str]
    bio: dict[str, str]
    create_time: datetime


class StaffPart(msgspec.Struct, kw_only=True):
    """What was sent of a document of staff."""

    id: str = msgspec.field(name="_id")
    user: str | msgspec.UnsetType = msgspec.UNSET
    photo: StoredFile | msgspec.UnsetType = msgspec.UNSET
    name: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    job_title: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    bio: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    create_time: datetime | msgspec.UnsetType = msgspec.UNSET


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


class Album(msgspec.Struct, kw_only=True):
    """A document of album."""

    id: str = msgspec.field(name="_id")
    user: str
    name: dict[str, str]
    cover: StoredFile | None = None
    photos: list[StoredFile] | None = None
    rank: int | None = None
    tags: list[str] | None = None
    create_time: datetime


class AlbumPart(msgspec.Struct, kw_only=True):
    """What was sent of a document of album."""

    id: str = msgspec.field(name="_id")
    user: str | msgspec.UnsetType = msgspec.UNSET
    name: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    cover: StoredFile | msgspec.UnsetType | None = msgspec.UNSET
    photos: list[StoredFile] | msgspec.UnsetType | None = msgspec.UNSET
    rank: int | msgspec.UnsetType | None = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    create_time: datetime | msgspec.UnsetType = msgspec.UNSET


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
