"""`ApiService`: LIMP for applications. Every call returns an Observable, subjects multicast what the server pushes.

Floor 3: wires the LIMP machine to the core and the reactive side. The names are the Angular and NativeScript SDKs', in
``snake_case``, a ``$`` stream ending in ``_stream``.

The facade: arguments are checked here and made into requests; what becomes of them is the matter of `LimpLife`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, overload

from rxsdk.cache import Credentials, MemoryCache, scope_of
from rxsdk.changes import Gap
from rxsdk.config import SDKConfig
from rxsdk.core.clock import Clock
from rxsdk.core.transport import Connect
from rxsdk.doc_types import decoder, doc_converter
from rxsdk.errors import ConfigurationError, InvalidCall, NoCredentials
from rxsdk.files.download import Download, target_of
from rxsdk.files.http import HttpFiles, file_url
from rxsdk.files.sources import Upload, take_files
from rxsdk.limp_life import LimpLife, checked_auth_docs, checked_password
from rxsdk.protocols.limp.auth import auth_hash, reauth_query
from rxsdk.protocols.limp.request import Request, check_seconds, make_request
from rxsdk.protocols.limp.res import Doc, Query, Res, Session
from rxsdk.reactive.call import Call
from rxsdk.reactive.streams import Stream
from rxsdk.reads import Asker, Pages, Poll, attrs_of, check_size, check_without, has_conditions
from rxsdk.secret import Secret
from rxsdk.service import Service
from rxsdk.watch import Watch

__all__ = ["ApiService"]

D = TypeVar("D")

_log = logging.getLogger("rxsdk")
_wire_log = logging.getLogger("rxsdk.wire")


class _Setting(Enum):
    """The default of an argument that the config has a value for."""

    FROM_CONFIG = "from the config"


_FROM_CONFIG: Final = _Setting.FROM_CONFIG
_Seconds = float | None | Literal[_Setting.FROM_CONFIG]


class ApiService(Service[SDKConfig, Res[Doc]]):
    """One user's connection to one LIMP server.

    As a context manager it connects, waits until it is let in, and leaves nothing running::

        with ApiService(config) as api:  # or: async with
            staff = api.call("staff/read", query=[{"$limit": 5}]).result().docs

    Without one, ``init`` connects in the background and ``close`` ends it. A service that nobody refers to any more is
    closed too, with a ResourceWarning: subscriptions and calls do not keep it. So are, in silence, those left open when
    the interpreter exits, or when ``asyncio.run`` ends their loop.

    Any thread may use it. Observers are called on the event loop that ran when it was opened, else on one thread of
    the service's own.

    Args:
        config: may also be given to `init`.
        connect: opens transports in place of WebSockets (for tests; see `rxsdk.core.transport.memory_pair`).
        clock: the time in place of the loop's (for tests).
    """

    _inside: LimpLife

    def __init__(
        self, config: SDKConfig | None = None, *, connect: Connect | None = None, clock: Clock | None = None
    ) -> None:
        self._default_cache = MemoryCache()
        super().__init__(partial(LimpLife, self._default_cache), SDKConfig, config, connect, clock)

    def __repr__(self) -> str:
        api = self._config.api.partition("?")[0] if self._config else None
        return f"<ApiService {api} {self.state.name}{' authed' if self.authed else ''}>"

    def suspend(self) -> None:
        """See `Service.suspend`; files that are going up start over when it is resumed."""
        super().suspend()
        if self._life.is_open:
            self._life.on_loop(LimpLife.end_lanes, self._inside)

    @property
    def authed(self) -> bool:
        """Whether somebody is signed in."""
        return self._inside.session is not None

    @property
    def authed_stream(self) -> Stream[Session | None]:
        """`session` and its changes, the latest first. (``authed$``)"""
        return self._inside.authed

    @property
    def session(self) -> Session | None:
        """The session in force; None when nobody is signed in. A reconnect does not change it."""
        return self._inside.session

    # -- calls -------------------------------------------------------------------------------------------------

    @overload
    def call(
        self,
        endpoint: str,
        *,
        query: Query | None = None,
        doc: Mapping[str, Any] | None = None,
        await_auth: bool = False,
        sid: str | None = None,
        token: str | None = None,
        timeout_s: _Seconds = _FROM_CONFIG,
        queue_timeout_s: _Seconds = _FROM_CONFIG,
        idempotent: bool | None = None,
        doc_type: None = None,
        gaps: Literal[False] = False,
    ) -> Call[Res[Doc]]: ...

    @overload
    def call(
        self,
        endpoint: str,
        *,
        query: Query | None = None,
        doc: Mapping[str, Any] | None = None,
        await_auth: bool = False,
        sid: str | None = None,
        token: str | None = None,
        timeout_s: _Seconds = _FROM_CONFIG,
        queue_timeout_s: _Seconds = _FROM_CONFIG,
        idempotent: bool | None = None,
        doc_type: type[D],
        gaps: Literal[False] = False,
    ) -> Call[Res[D]]: ...

    @overload
    def call(
        self,
        endpoint: str,
        *,
        query: Query | None = None,
        doc: Mapping[str, Any] | None = None,
        await_auth: bool = False,
        sid: str | None = None,
        token: str | None = None,
        timeout_s: _Seconds = _FROM_CONFIG,
        queue_timeout_s: _Seconds = _FROM_CONFIG,
        idempotent: bool | None = None,
        doc_type: None = None,
        gaps: Literal[True],
    ) -> Call[Res[Doc] | Gap]: ...

    @overload
    def call(
        self,
        endpoint: str,
        *,
        query: Query | None = None,
        doc: Mapping[str, Any] | None = None,
        await_auth: bool = False,
        sid: str | None = None,
        token: str | None = None,
        timeout_s: _Seconds = _FROM_CONFIG,
        queue_timeout_s: _Seconds = _FROM_CONFIG,
        idempotent: bool | None = None,
        doc_type: type[D],
        gaps: Literal[True],
    ) -> Call[Res[D] | Gap]: ...

    def call(
        self,
        endpoint: str,
        *,
        query: Query | None = None,
        doc: Mapping[str, Any] | None = None,
        await_auth: bool = False,
        sid: str | None = None,
        token: str | None = None,
        timeout_s: _Seconds = _FROM_CONFIG,
        queue_timeout_s: _Seconds = _FROM_CONFIG,
        idempotent: bool | None = None,
        doc_type: Any = None,
        gaps: bool = False,
    ) -> Call[Any]:
        """Call ``endpoint`` ("module/method"). It is on its way when this returns; see `Call` for what to do with it.

        Args:
            query: a list, see `Query`; or what `Q` makes: ``(Q.rank > 3).limit(5)``.
            doc: the document. A ``Path``, an open binary file, a `File`, or a list of these at its top level is
                uploaded first. Neither ``query`` nor ``doc`` is changed, nor looked at again later.
            await_auth: wait until somebody is signed in.
            sid, token: of another session than the one in force; the call is signed with ``token``.
            timeout_s: from the writing to the first reply; with files, the time without progress. None: no limit.
            queue_timeout_s: how long it may wait to be written. None: no limit.
            idempotent: whether it may be sent again when the connection is lost under it. By default the method
                ``read`` and ``heart/beat`` may.
            doc_type: a dataclass, `msgspec.Struct` or ``TypedDict`` that ``args.docs`` are made into.
            gaps: of a watch: emit a `Gap`, in its place, where a lost connection may have cost changes. (`watch` has
                more to offer.)

        Raises:
            InvalidCall: an argument cannot make a call. UploadError: a file cannot be sent.
            (Everything else that can happen arrives as the call's error; see `rxsdk.errors`.)
        """
        config = self._config or self._needed_config()
        uploads: Sequence[Upload] = ()
        if doc is not None and (type(doc) is dict or isinstance(doc, Mapping)):
            doc, uploads = take_files(doc)
        if timeout_s is _FROM_CONFIG:
            timeout_s = config.timeout_s
        elif timeout_s is not None:
            check_seconds(endpoint, "timeout_s", timeout_s)
        if queue_timeout_s is _FROM_CONFIG:
            queue_timeout_s = config.queue_timeout_s
        elif queue_timeout_s is not None:
            check_seconds(endpoint, "queue_timeout_s", queue_timeout_s)
        request = make_request(endpoint, query, doc, await_auth, sid, token, timeout_s, queue_timeout_s, idempotent)
        decode = None if doc_type is None else decoder(endpoint, doc_type)
        if uploads:
            if self._needed_config().auth_hash_level == "6.1":
                HttpFiles.check("files at level 6.1")
            if endpoint.lower().endswith("/watch"):
                raise InvalidCall(endpoint, "doc", "holds files, but a watch takes no files")
            return self._inside.send_with_files(request, uploads, frozenset(doc or ()), decode)
        return self._inside.send(request, decode, gaps=gaps)

    def auth(
        self, auth_var: str, auth_val: str, password: str | Secret, groups: Sequence[str] | None = None
    ) -> Call[Res[Doc]]:
        """Sign in. Calls made after this wait for its answer; when it arrives here, `authed` is already true.

        At hash levels 5.0 and 5.6 a password with non-ASCII characters that is refused is tried once more in the
        escaped form that some servers store.

        Raises:
            ConfigurationError: ``auth_var`` is not among the config's ``auth_attrs``, or the password is too weak
                for level 6.1.
        """
        doc, retry_doc = checked_auth_docs(self._needed_config(), auth_var, auth_val, password, _checked_groups(groups))
        request = self._request("session/auth")
        request.doc, request.retry_doc = doc, retry_doc
        return self._inside.send(request)

    def reauth(
        self, sid: str | None = None, token: str | None = None, groups: Sequence[str] | None = None
    ) -> Call[Res[Doc]]:
        """Sign in again with a session of before: the given one, else the one in memory, else the cached one.

        Raises:
            NoCredentials: there is none. InvalidCall: only one of ``sid`` and ``token`` was given.
        """
        config = self._needed_config()
        if (sid is None) != (token is None):
            raise InvalidCall("session/reauth", "sid and token", "go together")
        if sid is None or token is None:
            credentials = self._known_credentials()
            sid, token = credentials.sid.reveal(), credentials.token.reveal()
        query = reauth_query(config.auth_hash_level, sid, token, _checked_groups(groups))
        return self._inside.send(self._request("session/reauth", query=query))

    def check_auth(self, groups: Sequence[str] | None = None) -> Call[Res[Doc]]:
        """Sign in with the cached session, as an app does when it starts. After a reconnect this happens by itself.

        Raises:
            NoCredentials: nothing is cached. CacheError: the cache cannot be read.
        """
        return self.reauth(groups=groups)

    def signout(self) -> Call[Res[Doc]]:
        """Sign out on the server whoever is signed in by then; the connection goes on anonymously, its watches too."""
        request = self._request("session/signout")
        request.query = b""  # that is known when it is written
        return self._inside.send(request)

    def generate_auth_hash(self, auth_var: str, auth_val: str, password: str | Secret) -> str:
        """The ``hash`` by which the server knows these credentials, for ``user/create`` and the like.

        It contains the password in readable form: keep it as secret as the password, send it over ``wss://`` only.

        Raises:
            ConfigurationError: as `auth`.
        """
        config = self._needed_config()
        plain = checked_password(config, auth_var, auth_val, password)
        return auth_hash(config.auth_hash_level, auth_var, auth_val, plain, Secret(config.anon_token).reveal())

    # -- many calls in one stream ------------------------------------------------------------------------------

    @overload
    def watch(
        self,
        endpoint: str,
        query: Query | None = None,
        *,
        snapshot: str | None = None,
        await_auth: bool = False,
        limit: int = ...,
        refresh_s: float | None = 300.0,
        doc_type: None = None,
    ) -> Watch[Doc]: ...

    @overload
    def watch(
        self,
        endpoint: str,
        query: Query | None = None,
        *,
        snapshot: str | None = None,
        await_auth: bool = False,
        limit: int = ...,
        refresh_s: float | None = 300.0,
        doc_type: type[D],
    ) -> Watch[D]: ...

    def watch(
        self,
        endpoint: str,
        query: Query | None = None,
        *,
        snapshot: str | None = None,
        await_auth: bool = False,
        limit: int = 100_000,
        refresh_s: float | None = 300.0,
        doc_type: Any = None,
    ) -> Watch[Any]:
        """The changes of a collection, as `Created`, `Updated` and `Deleted` (soft deletes too), for weeks.

        Unlike ``call("staff/watch")`` it goes on with what was missed. Where a lost connection may have cost changes it
        says so (`Gap`), and with ``snapshot`` it reads the collection first (`Snapshot`), and again after each gap, and
        tells what differs: what it has told always adds up to what the server has. ``collection()`` adds it up::

            staff = api.watch("staff/watch", snapshot="staff/read")
            staff.subscribe(print)  # Snapshot(3 docs), Created('6b01…'), Gap(…), Updated('6b01…') …
            staff.collection().subscribe(show)  # all documents in a list, whenever they have changed

        Nothing is sent before somebody subscribes. All subscribers share one watch on the server, and one who comes
        late begins with a `Snapshot` of the present. The last to leave deletes it there; to subscribe after that opens
        it anew. It completes when it is deleted or the service closed, and ends with the watch's error, with that of
        its first read, or with a refusal of a later one; what may pass (no answer, the quota) is tried again.

        Of a query with conditions the server does not tell when a document meets them no more, by an update or a hard
        delete. Therefore such a collection is read again, whole, every ``refresh_s`` seconds, and until then a document
        may stay that has left. Each read is a message that counts against the quota. Without conditions
        (``query=None``, or only ``$sort``, ``$attrs`` and the like) the server tells everything, and nothing is read
        again but after gaps.

        Documents are shared by all subscribers: do not change them.

        Args:
            endpoint: the method that watches, such as "staff/watch".
            query: what to watch, and to read; see `Query`. With ``snapshot`` neither what cuts the collection
                (``$limit``, ``$skip``, ``$group``) nor what cannot be watched (``$search``, ``$geo_near``).
            snapshot: the endpoint that reads the collection, such as "staff/read". None: changes and gaps only.
            await_auth: wait until somebody is signed in.
            limit: documents to hold at most, also while a read is on its way; beyond, it ends with
                `CollectionTooLarge`.
            refresh_s: within how many seconds to read a collection with conditions again. None: after gaps only.
            doc_type: as of `call`, for each document.

        Raises:
            InvalidCall: an argument cannot make a watch.
        """
        check_size(endpoint, "limit", limit)
        if refresh_s is not None:
            check_seconds(endpoint, "refresh_s", refresh_s)
        config, inside = self._needed_config(), self._inside
        watch = Asker(config, inside, endpoint, query, await_auth=await_auth)
        read = None
        if snapshot is not None:
            read = Asker(config, inside, snapshot, query, await_auth=await_auth)
            check_without(endpoint, query, ("$limit", "$skip", "$group"), "cuts the collection; it is known whole")
            check_without(endpoint, query, ("$search", "$geo_near"), "is read by, but not watched by; leave it out")
        convert = doc_converter(endpoint, doc_type)
        return Watch(inside, watch, read, convert, limit=limit, refresh_s=refresh_s if has_conditions(query) else None)

    @overload
    def pages(
        self,
        endpoint: str,
        query: Query | None = None,
        size: int = ...,
        *,
        await_auth: bool = False,
        doc_type: None = None,
    ) -> Pages[Doc]: ...

    @overload
    def pages(
        self, endpoint: str, query: Query | None = None, size: int = ..., *, await_auth: bool = False, doc_type: type[D]
    ) -> Pages[D]: ...

    def pages(
        self,
        endpoint: str,
        query: Query | None = None,
        size: int = 100,
        *,
        await_auth: bool = False,
        doc_type: Any = None,
    ) -> Pages[Any]:
        """All documents that ``query`` finds, ``size`` at a time: a cold stream of `Res`, one page ahead at most.

        ``async for page in api.pages("staff/read")`` reads as fast as its loop goes. Without a ``$sort`` in the query
        the oldest come first, so that what is created meanwhile comes at the end and moves nothing.

        Args:
            endpoint: a method that reads, such as "staff/read".
            query: as of `call`, without ``$limit`` and ``$skip``.
            size: documents in a page.
            await_auth, doc_type: as of `call`.

        Raises:
            InvalidCall: an argument cannot make a call.
        """
        check_size(endpoint, "size", size)
        decode = None if doc_type is None else decoder(endpoint, doc_type)
        ask = Asker(self._needed_config(), self._inside, endpoint, query, await_auth=await_auth, decode=decode)
        check_without(endpoint, query, ("$limit", "$skip"), "is what the pages are made with; give size=")
        order: list[Any] = [] if "$sort" in attrs_of(query) else [{"$sort": {"_id": 1}}]
        return Pages(self._life, lambda skip: ask([*order, {"$skip": skip}, {"$limit": size}]), size)

    @overload
    def poll(
        self,
        endpoint: str,
        query: Query | None = None,
        *,
        every_s: float,
        await_auth: bool = False,
        doc_type: None = None,
    ) -> Poll[Doc]: ...

    @overload
    def poll(
        self, endpoint: str, query: Query | None = None, *, every_s: float, await_auth: bool = False, doc_type: type[D]
    ) -> Poll[D]: ...

    def poll(
        self,
        endpoint: str,
        query: Query | None = None,
        *,
        every_s: float,
        await_auth: bool = False,
        doc_type: Any = None,
    ) -> Poll[Any]:
        """The answer to the same call every ``every_s`` seconds: a cold stream of `Res`, for what cannot be watched.

        The first call is made at once, each next ``every_s`` after the one before was made, or as soon as that has been
        answered. A call that fails ends the stream with its error (``ops.retry()`` begins anew); closing completes it.

        Raises:
            InvalidCall: an argument cannot make a call.
        """
        check_seconds(endpoint, "every_s", every_s)
        decode = None if doc_type is None else decoder(endpoint, doc_type)
        ask = Asker(self._needed_config(), self._inside, endpoint, query, await_auth=await_auth, decode=decode)
        return Poll(self._life, ask, every_s)

    def delete_watch(self, watch: str) -> Call[Res[Doc]]:
        """Stop the watch with this id (``res.args.watch``), or all with ``"__all"``; their Observables complete."""
        if not isinstance(watch, str) or not watch:
            raise InvalidCall("watch/delete", "watch", "must be the id of a watch, or '__all'")
        return self._inside.send(self._request("watch/delete", query=[{"watch": watch}]))

    # -- files -------------------------------------------------------------------------------------------------

    def file_url(self, module: str, _id: str, attr: str, name: str) -> str:
        """Where the file ``name`` under ``attr`` of a document can be read over HTTP.

        Raises:
            InvalidCall: one of them is no text, or nothing a URL can carry.
        """
        return file_url(self._needed_config().api, module, _id, attr, name)

    def download(self, module: str, _id: str, attr: str, name: str) -> Stream[bytes]:
        """The bytes of a file, piece by piece (extra ``rxsdk[http]``).

        Cold: each subscription fetches the file anew, and disposing it ends that. The next piece is fetched when the
        observer has returned from the one before, or, with ``async for``, when it is asked for. Ends with
        `DownloadError` when the server refuses, cannot be reached or breaks off.

        Raises:
            InvalidCall: as `file_url`. ConfigurationError: the extra is not installed.
        """
        HttpFiles.check("download")
        return self._inside.download(self.file_url(module, _id, attr, name))

    def download_to(self, path: str | Path, module: str, _id: str, attr: str, name: str) -> Download:
        """Fetch a file into the file ``path``, or under its own name into the folder ``path`` (extra ``rxsdk[http]``).

        It is on its way when this returns; the answer is the path. The file appears when it is whole, in place of one
        that was there. What breaks off goes on where it was if the server offers that, in a later call too.

        Raises:
            InvalidCall: as `file_url`; or there is no such folder, or ``name`` would leave it.
            ConfigurationError: the extra is not installed.
        """
        HttpFiles.check("download_to")
        return self._inside.download_to(self.file_url(module, _id, attr, name), target_of(path, name), name)

    # -- inside: making and sending ----------------------------------------------------------------------------

    def _request(self, endpoint: str, *, query: Query | None = None, doc: Mapping[str, Any] | None = None) -> Request:
        config = self._needed_config()
        return make_request(
            endpoint,
            query,
            doc,
            await_auth=False,
            sid=None,
            token=None,
            timeout_s=config.timeout_s,
            queue_timeout_s=config.queue_timeout_s,
            idempotent=False,
        )

    def _known_credentials(self) -> Credentials:
        if self._inside.session is not None:
            return Credentials(self._inside.session["_id"], self._inside.session["token"])
        config = self._needed_config()
        cache = self._default_cache if config.cache is None else config.cache
        cached = cache.get(scope_of(config.api, config.cache_key))
        if cached is None:
            raise NoCredentials
        return cached


def _checked_groups(groups: Sequence[str] | None) -> list[str] | None:
    if groups is None:
        return None
    if isinstance(groups, str) or not isinstance(groups, Sequence) or not all(isinstance(one, str) for one in groups):
        raise ConfigurationError("groups", "must be a list of ids")
    return list(groups)
