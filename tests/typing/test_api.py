"""Typed use of the public API, held by ``mypy --strict`` (it is never run)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

if TYPE_CHECKING:
    from msgspec import UnsetType
    from reactivex import Observable
    from reactivex import operators as ops

    from rxsdk import (
        Add,
        ApiService,
        Append,
        Call,
        ConnectionState,
        DeliveryPolicy,
        Doc,
        File,
        Q,
        Query,
        Res,
        SDKConfig,
        Session,
        Stream,
        Subscription,
    )
    from rxsdk.protocols.limp.query import Where
    from tests.typing import typed_dicts, typed_structs

    @dataclass
    class Staff:
        """A caller's own type."""

        name: str

    def open_one() -> None:
        """Opening."""
        config = SDKConfig("wss://example.test/ws", "token", ["email"], auth_hash_level="6.1", loop="own")
        with ApiService(config) as api:
            assert_type(api, ApiService)
        assert_type(ApiService(config).init(), Stream[Res[Doc]])

    def calls(api: ApiService, photo: Path) -> None:
        """Calls and what comes of them."""
        call = api.call("staff/read", query=[{"$limit": 5}, [{"name": "x"}, {"name": "y"}]], timeout_s=None)
        assert_type(call, Call[Res[Doc]])
        assert_type(call.result(), Res[Doc])
        assert_type(call.result().docs, list[Doc])
        typed = api.call("staff/read", doc_type=Staff)
        assert_type(typed, Call[Res[Staff]])
        assert_type(typed.result().docs[0].name, str)
        api.call("staff/create", doc={"photo": [photo, File(b"x", name="x.png")], "rank": 1})
        assert_type(api.auth("email", "a@b.c", "secret"), Call[Res[Doc]])
        assert_type(api.close(), Call[ConnectionState])

    async def awaiting(api: ApiService) -> None:
        """await and async for."""
        assert_type(await api.call("staff/read"), Res[Doc])
        assert_type(await api.call("staff/read", doc_type=Staff), Res[Staff])
        async for res in api.call("staff/watch"):
            assert_type(res, Res[Doc])

    def piping(api: ApiService) -> None:
        """Operators."""
        names: Observable[str] = api.call("staff/read", doc_type=Staff).map(lambda res: res.docs[0].name)
        piped: Stream[list[int]] = api.call("staff/read").pipe(ops.map(lambda res: res.status), ops.to_list())
        assert_type(piped.result(), list[int])
        names.subscribe(print)

    def queries(api: ApiService, raw: Query) -> None:
        """The builder and the operators."""
        where = ((Q.name == "x") | Q["rank"].between(1, 5)) & (Q._id != "y")
        assert_type(where, Where)
        assert_type(Q.name == "x", Where)
        assert_type(where.sort("-rank").limit(5), Where)
        assert_type(api.call("staff/read", query=where, doc_type=Staff), Call[Res[Staff]])
        api.call("staff/read", query=raw)
        api.call("staff/read", query=Q)
        as_raw: Query = where
        api.call("album/update", query=as_raw, doc={"rank": Add(1), "tags": Append("x")})
        where & [{"a": 1}]  # type: ignore[operator] # pyright: ignore[reportOperatorIssue, reportUnusedExpression]

    async def generated(api: ApiService, photo: Path) -> None:
        """What ``rxsdk typegen`` writes."""
        res = await typed_structs.staff_read(api, Q.name == "x", timeout_s=5)
        assert_type(res, Res[typed_structs.Staff])
        assert_type(res.docs[0].photo.size, int)
        created = typed_structs.album_create(api, {"name": {"ar_AE": "x"}, "cover": photo})
        assert_type(created, Call[Res[typed_structs.Ref]])
        typed_structs.album_update(api, Q._id == created.result().docs[0].id, {"rank": Add(1), "tags": ["x"]})
        typed_structs.album_create(api, {"rank": 1})  # type: ignore[typeddict-item] # pyright: ignore[reportArgumentType]
        async for change in typed_structs.staff_watch(api):
            assert_type(change.docs[0].name, dict[str, str] | UnsetType)
        albums = (await typed_dicts.album_read(api)).docs
        assert_type(albums, list[typed_dicts.Album])
        assert_type(albums[0]["rank"], int | None)

    def watching(api: ApiService) -> None:
        """Mailboxes."""
        watch = api.call("staff/watch").buffered(100, on_overflow="drop_oldest")
        assert_type(watch, Stream[Res[Doc]])
        subscription = watch.subscribe(print)
        assert_type(subscription, Subscription)
        assert_type((subscription.lag, subscription.dropped), tuple[int, int])
        SDKConfig("wss://example.test/ws", "token", ["email"], delivery=DeliveryPolicy(100, "latest", "detach"))

    def state(api: ApiService) -> None:
        """State and streams."""
        assert_type(api.inited_stream, Stream[bool])
        assert_type(api.authed_stream, Stream[Session | None])
        assert_type(api.session, Session | None)
        assert_type(api.state, ConnectionState)
        anything: Any = api.call("staff/read").result().args.whatever
        print(anything)
