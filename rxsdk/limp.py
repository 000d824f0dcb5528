"""`ApiService`: LIMP for applications. Every call returns an Observable, subjects multicast what the server pushes.

Floor 3: wires the LIMP machine to the core and the reactive side. The names are the Angular and NativeScript SDKs', in
``snake_case``, a ``$`` stream ending in ``_stream``.

Data out: ``call`` → `make_request` → `LimpMachine.submit` → `Connection`
Data in:  `Connection` → machine events → ``_on_…`` below → `Multicast` and `Call` → `Dispatcher` → observers

What every service has (loop, dispatcher, connection, the order of ending) is its `Life`; here is what is LIMP's.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import secrets
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, cast, overload

import msgspec

from rxsdk.cache import Credentials, MemoryCache, scope_of
from rxsdk.config import Answer, FreshCredentials, SDKConfig
from rxsdk.core.clock import Clock
from rxsdk.core.connection import Connection
from rxsdk.core.loop import LoopLease, check_may_block
from rxsdk.core.state import ConnectionState, StateName
from rxsdk.core.transport import Connect, websocket_connect
from rxsdk.errors import (
    CacheError,
    CallCancelled,
    CallError,
    CallNotSent,
    ConfigurationError,
    DocTypeMismatch,
    InvalidCall,
    NoCredentials,
    RxSdkError,
    VerifyRefused,
)
from rxsdk.files.sources import Upload, take_files
from rxsdk.files.uploader import Uploader, as_call_error
from rxsdk.protocols.limp.auth import auth_docs, auth_hash, reauth_query, signout_query
from rxsdk.protocols.limp.codec import encode_part
from rxsdk.protocols.limp.events import (
    CallFailed,
    CallReplied,
    ConnectionGivenUp,
    FrameRejected,
    HeartbeatAnswered,
    MessageReceived,
    PhaseChanged,
    ReauthRefused,
    RequestRepeated,
    RequestWritten,
    ServerRefused,
    SessionChanged,
    WatchEnded,
)
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Request, make_request
from rxsdk.protocols.limp.res import ANON_SID, Args, Doc, Query, Res, Session
from rxsdk.protocols.limp.trace import shown_request, shown_res
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import report_unhandled
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.telemetry import telemetry_for

__all__ = ["ApiService", "connector"]

D = TypeVar("D")

_log = logging.getLogger("rxsdk")
_wire_log = logging.getLogger("rxsdk.wire")


class _Setting(Enum):
    """The default of an argument that the config has a value for."""

    FROM_CONFIG = "from the config"


_FROM_CONFIG: Final = _Setting.FROM_CONFIG
_Seconds = float | None | Literal[_Setting.FROM_CONFIG]

_STATE_OF_PHASE: dict[Phase, StateName] = {
    Phase.VERIFYING: "verifying",
    Phase.AUTHENTICATING: "authenticating",
    Phase.READY: "ready",
}
_DEAD_SESSION = frozenset(
    {"CORE_SESSION_INVALID_SESSION", "CORE_SESSION_INVALID_REAUTH_HASH", "CORE_SESSION_SESSION_EXPIRED"}
)


class ApiService:
    """One user's connection to one LIMP server.

    As a context manager it connects, waits until it is let in, and leaves nothing running::

        with ApiService(config) as api:  # or: async with
            staff = api.call("staff/read", query=[{"$limit": 5}]).result().docs

    Without one, ``init`` connects in the background and ``close`` ends it. Any thread may use it. Observers are called
    on the event loop that ran when it was opened, else on one thread of the service's own.

    Args:
        config: may also be given to `init`.
        connect: opens transports in place of WebSockets (for tests; see `rxsdk.core.transport.memory_pair`).
        clock: the time in place of the loop's (for tests).
    """

    def __init__(
        self, config: SDKConfig | None = None, *, connect: Connect | None = None, clock: Clock | None = None
    ) -> None:
        self._config = config
        self._connect = connect
        self._given_clock = clock
        self._default_cache = MemoryCache()
        self._prepare()

    def __repr__(self) -> str:
        api = self._config.api if self._config else None
        return f"<ApiService {api} {self.state.name}{' authed' if self.authed else ''}>"

    # -- opening and closing -----------------------------------------------------------------------------------

    def init(self, config: SDKConfig | None = None) -> Stream[Res[Doc]]:
        """Connect, whether or not anybody subscribes, and keep connected until `close`.

        Returns every message of the server as a stream: hot, without replay; it completes at `close` and ends with
        the error when connecting cannot succeed. While open, the same stream is returned again.

        Raises:
            ConfigurationError: no config was ever given, or another one than it is open with.
        """
        if config is not None and not isinstance(config, SDKConfig):
            raise ConfigurationError("config", f"must be an SDKConfig, not {type(config).__name__}")
        if self._life.is_open:
            if config not in (None, self._config):
                raise ConfigurationError("config", "differs from the one in use; close() first")
            return self._messages
        self._config = config or self._config
        if self._life.is_used:
            self._prepare()
        self._open(self._needed_config())
        return self._messages

    def close(self) -> Call[ConnectionState]:
        """Write what can be written, say goodbye and end; closing has begun when this returns.

        Streams and watches complete, calls not written end with `CallNotSent`, unanswered ones with
        `CallOutcomeUnknown`. The returned call settles when nothing runs any more. Closing twice does no harm.
        """
        _open_services.discard(self)
        return self._life.close()

    def suspend(self) -> None:
        """Disconnect for a while: the app goes to the background or the machine to sleep. Calls wait."""
        if self._life.is_open:
            self._life.on_loop(Connection.suspend, self._life.connection)

    def resume(self) -> None:
        """Connect again at once."""
        if self._life.is_open:
            self._life.on_loop(Connection.resume, self._life.connection)

    def reconnect_now(self) -> None:
        """Do not wait for the delay to pass: the network is back. Does nothing while connected or suspended."""
        if self._life.is_open:
            self._life.on_loop(Connection.reconnect_now, self._life.connection)

    def __enter__(self) -> Self:
        check_may_block("with ApiService(…)", "async with ApiService(…)")
        self.init()
        config = self._needed_config()
        try:
            self._life.wait_ready(config.connect_timeout_s, config.api)
        except BaseException:
            self.close().result()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close().result()

    async def __aenter__(self) -> Self:
        self.init()
        config = self._needed_config()
        try:
            await self._life.when_ready(config.connect_timeout_s, config.api)
        except BaseException:
            await self._life.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open_services.discard(self)
        await self._life.aclose()

    # -- state -------------------------------------------------------------------------------------------------

    @property
    def inited(self) -> bool:
        """Whether calls go out at once: connected, verified, and the session of before brought back."""
        return self.state.name == "ready"

    @property
    def inited_stream(self) -> Stream[bool]:
        """`inited` and its changes, the latest first. (``inited$``)"""
        return self._life.readiness

    @property
    def authed(self) -> bool:
        """Whether somebody is signed in."""
        return self._session is not None

    @property
    def authed_stream(self) -> Stream[Session | None]:
        """`session` and its changes, the latest first. (``authed$``)"""
        return self._authed

    @property
    def session(self) -> Session | None:
        """The session in force; None when nobody is signed in. A reconnect does not change it."""
        return self._session

    @property
    def state(self) -> ConnectionState:
        """Where the connection is, and why."""
        return self._life.state

    @property
    def state_stream(self) -> Stream[ConnectionState]:
        """`state` and its changes, the latest first."""
        return self._life.states

    @property
    def round_trip_stream(self) -> Stream[float]:
        """Seconds each heartbeat took to be answered: hot, without replay."""
        return self._round_trips

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
    ) -> Call[Res[D]]: ...

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
    ) -> Call[Any]:
        """Call ``endpoint`` ("module/method"). It is on its way when this returns; see `Call` for what to do with it.

        Args:
            query: a list, see `Query`.
            doc: the document. A ``Path``, an open binary file, a `File`, or a list of these at its top level is
                uploaded first. Neither ``query`` nor ``doc`` is changed, nor looked at again later.
            await_auth: wait until somebody is signed in.
            sid, token: of another session than the one in force; the call is signed with ``token``.
            timeout_s: from the writing to the first reply; with files, the time without progress. None: no limit.
            queue_timeout_s: how long it may wait to be written. None: no limit.
            idempotent: whether it may be sent again when the connection is lost under it. By default the method
                ``read`` and ``heart/beat`` may.
            doc_type: a dataclass, `msgspec.Struct` or ``TypedDict`` that ``args.docs`` are made into.

        Raises:
            InvalidCall: an argument cannot make a call. UploadError: a file cannot be sent.
            (Everything else that can happen arrives as the call's error; see `rxsdk.errors`.)
        """
        uploads: list[Upload] = []
        if isinstance(doc, Mapping):
            doc, uploads = take_files(doc)
        request = make_request(
            endpoint,
            query,
            doc,
            await_auth=await_auth,
            sid=sid,
            token=token,
            timeout_s=self._seconds("timeout_s", timeout_s),
            queue_timeout_s=self._seconds("queue_timeout_s", queue_timeout_s),
            idempotent=idempotent,
        )
        decode = None if doc_type is None else partial(_typed, endpoint, doc_type)
        return self._send(request, uploads, tuple(doc or ()), decode)

    def auth(self, auth_var: str, auth_val: str, password: str, groups: Sequence[str] | None = None) -> Call[Res[Doc]]:
        """Sign in. Calls made after this wait for its answer; when it arrives here, `authed` is already true.

        At hash levels 5.0 and 5.6 a password with non-ASCII characters that is refused is tried once more in the
        escaped form that some servers store.

        Raises:
            ConfigurationError: ``auth_var`` is not among the config's ``auth_attrs``, or the password is too weak
                for level 6.1.
        """
        doc, retry_doc = self._auth_docs(auth_var, auth_val, password, groups)
        request = self._request("session/auth")
        request.doc, request.retry_doc = doc, retry_doc
        return self._send(request)

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
            sid, token = credentials.sid, credentials.token
        query = reauth_query(config.auth_hash_level, sid, token, list(groups) if groups else None)
        return self._send(self._request("session/reauth", query=query))

    def check_auth(self, groups: Sequence[str] | None = None) -> Call[Res[Doc]]:
        """Sign in with the cached session, as an app does when it starts. After a reconnect this happens by itself.

        Raises:
            NoCredentials: nothing is cached. CacheError: the cache cannot be read.
        """
        return self.reauth(groups=groups)

    def signout(self) -> Call[Res[Doc]]:
        """Sign out on the server; the connection goes on anonymously, its watches too."""
        sid = self._session["_id"] if self._session else ANON_SID
        return self._send(self._request("session/signout", query=signout_query(sid)))

    def generate_auth_hash(self, auth_var: str, auth_val: str, password: str) -> str:
        """The ``hash`` by which the server knows these credentials, for ``user/create`` and the like.

        It contains the password in readable form: keep it as secret as the password, send it over ``wss://`` only.

        Raises:
            ConfigurationError: as `auth`.
        """
        config = self._needed_config()
        self._check_auth_args(auth_var, auth_val, password)
        return auth_hash(config.auth_hash_level, auth_var, auth_val, password, config.anon_token)

    def delete_watch(self, watch: str) -> Call[Res[Doc]]:
        """Stop the watch with this id (``res.args.watch``), or all with ``"__all"``; their Observables complete."""
        if not isinstance(watch, str) or not watch:
            raise InvalidCall("watch/delete", "watch", "must be the id of a watch, or '__all'")
        return self._send(self._request("watch/delete", query=[{"watch": watch}]))

    # -- inside: making and sending ----------------------------------------------------------------------------

    def _request(self, endpoint: str, *, query: Query | None = None, doc: Mapping[str, Any] | None = None) -> Request:
        return make_request(
            endpoint,
            query,
            doc,
            await_auth=False,
            sid=None,
            token=None,
            timeout_s=self._seconds("timeout_s", _FROM_CONFIG),
            queue_timeout_s=self._seconds("queue_timeout_s", _FROM_CONFIG),
            idempotent=False,
        )

    def _seconds(self, name: str, value: _Seconds) -> float | None:
        if value is not _FROM_CONFIG:
            return value
        seconds: float | None = getattr(self._needed_config(), name)
        return seconds

    def _send(
        self,
        request: Request,
        uploads: Sequence[Upload] = (),
        attrs: tuple[str, ...] = (),
        decode: Callable[[Any], Any] | None = None,
    ) -> Call[Any]:
        life = self._life
        call: Call[Any] = Call(request.endpoint, life.dispatcher, partial(self._cancel, request), decode)
        if not life.is_open:
            call.fail(CallNotSent(request.endpoint, life.why_closed))
        elif life.lease.loop.is_closed():
            call.fail(CallNotSent(request.endpoint, "the event loop that the service ran on is closed"))
        else:
            request.listener = call
            self._telemetry.call_made(call)
            life.on_loop(self._submit, (request, uploads, attrs))
        return call

    def _submit(self, job: tuple[Request, Sequence[Upload], tuple[str, ...]]) -> None:
        request, uploads, attrs = job
        if uploads:
            task = self._life.lease.loop.create_task(self._uploader.run(request, uploads), name="rxsdk upload")
            self._upload_tasks[request] = task
            task.add_done_callback(partial(self._upload_done, request))
            return
        refusal = self._uploader.refusal(request.endpoint, attrs)
        if refusal is not None:
            self._fail(request, refusal)
            return
        self._machine.submit(request, self._life.clock.now())
        self._life.connection.flush()

    def _upload_done(self, request: Request, task: asyncio.Task[None]) -> None:
        del self._upload_tasks[request]
        if task.cancelled():  # perhaps before it took its first step
            self._fail(request, CallCancelled(request.endpoint, written=False))
        elif isinstance(error := task.exception(), Exception):
            self._fail(request, as_call_error(request, error))

    def _cancel(self, request: Request, call: Call[Any], asked: bool) -> None:
        if self._life.is_open:
            self._life.on_loop(self._cancel_here, (request, asked))

    def _cancel_here(self, job: tuple[Request, bool]) -> None:
        request, asked = job
        task = self._upload_tasks.get(request)
        if task is not None and request.written_at is None:
            task.cancel()
        elif asked or request.opened:
            self._withdraw(request)

    def _withdraw(self, request: Request, error: CallError | None = None) -> None:
        self._machine.cancel(request, error)
        self._life.connection.flush()

    @staticmethod
    def _fail(request: Request, error: RxSdkError) -> None:
        listener, request.listener = request.listener, None
        if listener is not None:
            listener.fail(error)

    def _auth_docs(
        self, auth_var: str, auth_val: str, password: str, groups: Sequence[str] | None = None
    ) -> tuple[bytes, bytes | None]:
        config = self._needed_config()
        self._check_auth_args(auth_var, auth_val, password)
        doc, retry_doc = auth_docs(
            config.auth_hash_level, auth_var, auth_val, password, config.anon_token, list(groups) if groups else None
        )
        raw = encode_part("session/auth", "doc", doc)
        return raw, None if retry_doc is None else encode_part("session/auth", "doc", retry_doc)

    def _check_auth_args(self, auth_var: str, auth_val: str, password: str) -> None:
        attrs = self._needed_config().auth_attrs
        if auth_var not in attrs:
            raise ConfigurationError("auth_var", f"{auth_var!r} is not among auth_attrs ({', '.join(attrs)})")
        for name, value in (("auth_val", auth_val), ("password", password)):
            if not isinstance(value, str):
                raise ConfigurationError(name, f"must be a string, not {type(value).__name__}")
        if not password:
            raise ConfigurationError("password", "is empty")

    def _known_credentials(self) -> Credentials:
        if self._session is not None:
            return Credentials(self._session["_id"], self._session["token"])
        config = self._needed_config()
        cached = self._cache.get(scope_of(config.api, config.cache_key))
        if cached is None:
            raise NoCredentials
        return cached

    def _needed_config(self) -> SDKConfig:
        if self._config is None:
            raise ConfigurationError("config", "is missing: ApiService(config) or init(config)")
        return self._config

    # -- inside: opening and ending ----------------------------------------------------------------------------

    def _prepare(self) -> None:
        """A fresh life, whose streams can be subscribed to before `init`."""
        self._life = Life()
        self._messages: Multicast[Res[Doc]] = self._life.stream()
        self._authed: Multicast[Session | None] = self._life.stream(keep_latest=True, initial=None)
        self._round_trips: Multicast[float] = self._life.stream()
        self._session: Session | None = None
        self._upload_tasks: dict[Request, asyncio.Task[None]] = {}
        self._cache_work: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    def _open(self, config: SDKConfig) -> None:
        if config.leaves_machine_unencrypted:
            _warn_unencrypted(config.api)
        if config.debug:
            _show_wire()
        self._telemetry = telemetry_for(config.telemetry, config.api)
        self._cache = config.cache or self._default_cache
        self._machine = _machine(config)
        self._uploader = Uploader(
            lambda request: self._submit((request, (), ())), self._withdraw, config.file_chunk_size
        )
        self._life.open(
            self._machine,
            self._connect or connector(config),
            handlers={
                CallReplied: self._on_replied,
                CallFailed: self._on_call_failed,
                MessageReceived: lambda event: self._show(event.res),
                WatchEnded: self._on_watch_ended,
                PhaseChanged: self._on_phase,
                SessionChanged: self._on_session,
                ConnectionGivenUp: lambda event: self._life.connection.drop(event.error),
                ServerRefused: self._on_refused,
                ReauthRefused: self._on_reauth_refused,
                RequestRepeated: lambda event: self._telemetry.retried(),
                FrameRejected: self._on_frame_rejected,
                HeartbeatAnswered: self._on_heartbeat_answered,
                RequestWritten: lambda event: _wire_log.debug("→ %s", shown_request(event.request)),
            },
            before_end=self._before_end,
            loop=config.loop,
            policy=config.reconnect,
            clock=self._given_clock,
        )
        _open_services.add(self)

    async def _before_end(self) -> None:
        """The machine has ended every call; what is left are uploads that were not calls yet, and the cache."""
        uploads = list(self._upload_tasks.items())
        for request, task in uploads:
            self._fail(request, CallNotSent(request.endpoint, self._life.why_closed))
            task.cancel()
        waited = [task for _, task in uploads]
        if self._asking is not None:
            self._asking.cancel()
            waited.append(self._asking)
        if self._cache_work is not None:
            waited.append(self._cache_work)
        if waited:
            await asyncio.wait(waited)

    # -- inside: what happened, on the loop --------------------------------------------------------------------

    def _on_replied(self, event: CallReplied) -> None:
        self._show(event.res)
        request = event.request
        listener = request.listener
        if event.final:
            request.listener = None
        listener.reply(event.res, final=event.final)

    def _on_call_failed(self, event: CallFailed) -> None:
        if event.res is not None:
            self._show(event.res)
            if event.request.changes_session and event.res.code in _DEAD_SESSION and self._session is None:
                self._remember(None)
        self._fail(event.request, event.error)

    def _on_watch_ended(self, event: WatchEnded) -> None:
        listener, event.request.listener = event.request.listener, None
        listener.complete()

    def _show(self, res: Res[Any]) -> None:
        if self._messages.has_observers:
            self._messages.emit(res)
        if self._config is not None and self._config.debug:
            _wire_log.debug("← %s", shown_res(res))

    def _on_phase(self, event: PhaseChanged) -> None:
        if event.phase is Phase.DISCONNECTED:
            self._telemetry.reconnecting()
            self._uploader.connection_lost()
        name = _STATE_OF_PHASE.get(event.phase)
        if name is not None:
            self._life.set_state(ConnectionState(name))

    def _on_session(self, event: SessionChanged) -> None:
        self._session = event.session
        self._authed.emit(event.session)
        self._remember(event.session)

    def _on_heartbeat_answered(self, event: HeartbeatAnswered) -> None:
        self._telemetry.round_trip(event.round_trip_s)
        self._round_trips.emit(event.round_trip_s)

    def _on_frame_rejected(self, event: FrameRejected) -> None:
        self._telemetry.dropped()
        _log.warning("dropped: %s", event.error)

    def _on_reauth_refused(self, event: ReauthRefused) -> None:
        self._show(event.res)
        self._asking = self._life.lease.loop.create_task(self._ask_for_credentials(), name="rxsdk credentials")

    async def _ask_for_credentials(self) -> None:
        """The session was refused after a reconnect: sign in with what the application's hook supplies."""
        config = self._needed_config()
        try:
            answer = await _asked(config.fresh_credentials)
            docs = None if answer is None else self._auth_docs(*answer)
        except Exception as error:
            report_unhandled(error, "fresh_credentials")
            docs = None
        if docs is None:
            self._machine.give_session_up(self._life.clock.now())
        else:
            self._machine.sign_in_again(*docs)
        self._life.connection.flush()

    def _on_refused(self, event: ServerRefused) -> None:
        res = event.res
        api = self._needed_config().api
        self._life.connection.drop(VerifyRefused(api, status=res.status, code=res.code, msg=res.msg))

    def _remember(self, session: Session | None) -> None:
        """Cache the session, or forget it; one after the other, off the loop."""
        if self._cache is self._default_cache:
            self._write_cache(session)
        else:
            before = self._cache_work
            self._cache_work = self._life.lease.loop.create_task(self._write_cache_after(before, session))

    async def _write_cache_after(self, before: asyncio.Task[None] | None, session: Session | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        await asyncio.to_thread(self._write_cache, session)

    def _write_cache(self, session: Session | None) -> None:
        config = self._needed_config()
        scope = scope_of(config.api, config.cache_key)
        try:
            if session is None:
                self._cache.remove(scope)
            else:
                self._cache.put(scope, Credentials(session["_id"], session["token"]))
        except CacheError as error:
            report_unhandled(error, "the credential cache")


def _typed(endpoint: str, doc_type: Any, res: Res[Any]) -> Res[Any]:
    """``res`` with its docs made into ``doc_type``."""
    docs = res.args.get("docs")
    if not isinstance(docs, list):
        return res
    try:
        typed = msgspec.convert(docs, list[doc_type])
    except msgspec.ValidationError as error:
        problem = str(error).replace("`$", "`args.docs", 1)
        raise DocTypeMismatch(endpoint, problem, res) from None
    return Res(res.status, res.msg, Args({**res.args, "docs": typed}), res.extra)


async def _asked(hook: FreshCredentials | None) -> Answer:
    if hook is None:
        return None
    if inspect.iscoroutinefunction(hook):
        return cast(Answer, await hook())
    return cast(Answer, await asyncio.to_thread(hook))


def _machine(config: SDKConfig) -> LimpMachine:
    return LimpMachine(
        anon_token=config.anon_token,
        app_id=config.app_id,
        auth_hash_level=config.auth_hash_level,
        connect_timeout_s=config.connect_timeout_s,
        heartbeat_interval_s=config.heartbeat_interval_s,
        heartbeat_timeout_s=config.heartbeat_timeout_s,
        max_queued_calls=config.max_queued_calls,
        new_id=partial(secrets.token_urlsafe, 12),
        quota=config.quota,
        asks_for_credentials=config.fresh_credentials is not None,
        trace=config.debug,
    )


def connector(config: SDKConfig) -> Connect:
    """What opens the WebSockets of a service with this config; wrap it to look on (``ApiService(connect=…)``)."""
    # Proxies of the environment are for the world outside.
    proxy = False if config.proxy is True and config.is_loopback else config.proxy
    return websocket_connect(
        config.api,
        is_text=LimpMachine.is_text,
        subprotocols=LimpMachine.subprotocols,
        timeout_s=config.connect_timeout_s,
        max_message_bytes=config.max_message_bytes,
        ssl_context=config.ssl_context,
        proxy=proxy,
        extra_headers=config.extra_headers,
        origin=config.origin,
        user_agent=config.user_agent,
    )


def _show_wire() -> None:
    """The trace was asked for, so it is shown even where the application has not set up logging."""
    _wire_log.setLevel(logging.DEBUG)
    if not _wire_log.hasHandlers():
        _wire_log.addHandler(logging.StreamHandler())


_warned_of: set[str] = set()


def _warn_unencrypted(api: str) -> None:
    if api not in _warned_of:
        _warned_of.add(api)
        warnings.warn(
            f"{api} is not encrypted and leaves this machine: LIMP sends passwords readably; use wss://",
            stacklevel=_levels_to_caller(),
        )


def _levels_to_caller() -> int:
    """How far up the stack the application's line is, seen from who asks."""
    level, frame = 1, sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


_open_services: weakref.WeakSet[ApiService] = weakref.WeakSet()


def _after_fork() -> None:
    for service in list(_open_services):
        service._life.abandon("this process was forked from the one that opened the service; open one here")
    _open_services.clear()
    LoopLease.forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
