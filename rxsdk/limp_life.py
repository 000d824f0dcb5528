"""`LimpLife`: one life of an `ApiService`: what LIMP's calls and events mean, from opening to the end.

Floor 3, the service's inside. What every service has (loop, dispatcher, connection, the order of ending) is its
`Life`; here is what is LIMP's. It never holds the `ApiService`: an app that drops its service without closing it ends
this life too.

Data out: `send` → `LimpMachine.submit` → `Connection`
Data in:  `Connection` → machine events → ``_on_…`` → `Multicast` and `Call` → `Dispatcher` → observers
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rxsdk.cache import CredentialCache, Credentials, scope_of
from rxsdk.changes import Gap
from rxsdk.config import Answer, FreshCredentials, SDKConfig
from rxsdk.core.clock import Clock
from rxsdk.core.state import ConnectionState, StateName
from rxsdk.core.transport import Connect
from rxsdk.errors import (
    CallNotSent,
    ConfigurationError,
    RxSdkError,
    VerifyRefused,
)
from rxsdk.files.download import Download, fetch_to
from rxsdk.files.sources import Upload
from rxsdk.protocols.contract import Machine
from rxsdk.protocols.limp.auth import auth_docs
from rxsdk.protocols.limp.codec import decode_frame, encode_part
from rxsdk.protocols.limp.events import (
    CallFailed,
    CallReplied,
    ConnectionGivenUp,
    FrameRejected,
    HeartbeatAnswered,
    MessageReceived,
    PhaseChanged,
    ReauthRefused,
    RequestAdmitted,
    RequestRepeated,
    RequestWritten,
    ServerRefused,
    SessionChanged,
    WatchEnded,
    WatchRenewed,
)
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.phases import Phase
from rxsdk.protocols.limp.request import Request
from rxsdk.protocols.limp.res import Doc, Res, Session
from rxsdk.protocols.limp.trace import shown_request, shown_res
from rxsdk.reactive.call import Call, UploadCall
from rxsdk.reactive.delivery import report_unhandled
from rxsdk.reactive.life import Life
from rxsdk.reactive.pulled import Pulled
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.secret import Secret
from rxsdk.telemetry import show_wire, telemetry_for

if TYPE_CHECKING:
    from rxsdk.limp_files import Job, LimpFiles

__all__ = ["LimpLife", "checked_auth_docs", "checked_password", "made_machine", "show_written"]

_log = logging.getLogger("rxsdk")
_wire_log = logging.getLogger("rxsdk.wire")

_STATE_OF_PHASE: dict[Phase, StateName] = {
    Phase.VERIFYING: "verifying",
    Phase.AUTHENTICATING: "authenticating",
    Phase.READY: "ready",
}
_DEAD_SESSION = frozenset(
    {"CORE_SESSION_INVALID_SESSION", "CORE_SESSION_INVALID_REAUTH_HASH", "CORE_SESSION_SESSION_EXPIRED"}
)


class LimpLife:
    """Made before the service is opened, so that its streams can be subscribed to; used once."""

    machine_type: type[Machine] = LimpMachine

    def __init__(self, default_cache: CredentialCache) -> None:
        self._default_cache = default_cache
        self.life = Life()
        self._is_looked_at = False  # somebody was ever subscribed to the messages, or they are traced
        self.messages: Multicast[Res[Doc]] = self.life.stream(joined=self._look)
        self.authed: Multicast[Session | None] = self.life.stream(keep_latest=True, initial=None)
        self.round_trips: Multicast[float] = self.life.stream()
        self.session: Session | None = None
        self._cache_work: asyncio.Task[None] | None = None
        self._waiting_for_cache: list[Callable[[], None]] = []  # to be told their reply
        self._asking: asyncio.Task[None] | None = None
        self._made_files: LimpFiles | None = None
        self._canceller = self._cancel  # one for all calls: each object less in flight is less for the collector

    def open(self, owner: object, config: SDKConfig, connect: Connect, clock: Clock | None) -> None:
        """See `Inside.open`."""
        if config.debug:
            show_wire()
        self._config = config
        self._is_shown = config.debug
        self._is_looked_at = self._is_looked_at or config.debug
        self._telemetry = telemetry_for(config.telemetry, "limp", config.api)
        self._cache = self._default_cache if config.cache is None else config.cache
        self._cache_waits = self._cache is not self._default_cache
        self._machine = made_machine(config)
        self._connect = connect
        self.life.open(
            owner,
            self._machine,
            connect,
            inside=self,
            handlers=self._HANDLERS,
            end_rest=self._end_rest,
            loop=config.loop,
            policy=config.reconnect,
            delivery=config.delivery,
            clock=clock,
        )

    def _files(self) -> LimpFiles:
        """What files need, made for the first of them; on the loop."""
        if self._made_files is None:
            from rxsdk.limp_files import LimpFiles  # noqa: PLC0415 - most services send none

            self._made_files = LimpFiles(self, self._machine, self._config, self._connect)
        return self._made_files

    # -- calls

    def send(self, request: Request, decode: Callable[[Any], Any] | None = None, *, gaps: bool = False) -> Call[Any]:
        """A call that is on its way; with ``gaps``, a watch that tells them."""
        call: Call[Any] = Call(request.endpoint, self.life.dispatcher, self._canceller, decode, request)
        if self._takes(call):
            if gaps:
                request.on_gap = call.tell
            request.listener = call
            self.life.on_loop(self.submit, request)
        return call

    def start(self, request: Request, listener: Any) -> None:
        """On the loop: have ``request`` made, for ``listener`` to be told of it by ``reply`` and ``fail``.

        That of a watch is told by ``complete`` too.
        """
        request.listener = listener
        self.submit(request)

    def send_with_files(
        self,
        request: Request,
        uploads: Sequence[Upload],
        attrs: frozenset[str],
        decode: Callable[[Any], Any] | None = None,
    ) -> Call[Any]:
        """A call that is on its way: ``uploads`` first, then ``request``, whose doc names the attributes ``attrs``."""
        from rxsdk.limp_files import Job  # noqa: PLC0415 - most services send none; what fails is to fail here

        hold = partial(self._hold, request)
        call: UploadCall[Any] = UploadCall(
            request.endpoint, self.life.dispatcher, self._canceller, decode, request, hold
        )
        if self._takes(call):
            waits = self._config.quota.retry
            job = Job(call, request, uploads, attrs, self.life.clock, waits_for_quota=waits)
            self.life.on_loop(self._upload, job)
        else:
            call.progress_source.complete()
        return call

    def _takes(self, call: Call[Any]) -> bool:
        """Whether the service is open; if not, the call has ended."""
        if not self.life.still_open():
            call.fail(CallNotSent(call.endpoint, self.life.why_closed))
            return False
        self._telemetry.call_made(call)
        return True

    def submit(self, request: Request) -> None:
        """On the loop: hand ``request`` to the machine, and let it out."""
        self._machine.submit(request, self.life.clock.now())
        self.life.connection.flush()

    def _upload(self, job: Job) -> None:
        if self._machine.phase is Phase.CLOSED:
            job.end(CallNotSent(job.request.endpoint, self.life.why_closed))
        else:
            self._files().uploader.begin(job)

    def _hold(self, request: Request, is_held: bool) -> None:
        if self.life.is_open:
            self.life.on_loop(lambda _: self._files().uploader.hold(request, is_held), None)

    def _cancel(self, call: Call[Any], asked: bool) -> None:
        if self.life.is_open:
            self.life.on_loop(self._cancel_here, (call.request, asked))

    def _cancel_here(self, job: tuple[Request, bool]) -> None:
        request, asked = job
        is_upload = self._made_files is not None and self._made_files.uploader.cancel(request, asked=asked)
        if not is_upload and (asked or request.opened):
            self.withdraw(request)

    def withdraw(self, request: Request) -> None:
        """On the loop: take ``request`` back, as far as that goes."""
        self._machine.cancel(request)
        self.life.connection.flush()

    def download(self, url: str) -> Stream[bytes]:
        """The bytes at ``url``, cold."""
        return Pulled(self.life, "file/download", lambda: self._files().http.pieces(url))

    def download_to(self, url: str, target: Path, name: str) -> Download:
        """``url`` on its way into ``target``."""
        return Download(self.life, name, lambda meter: fetch_to(self.life, self._files().http, url, target, meter))

    def end_lanes(self) -> None:
        """No connection is wanted for a while."""
        if self._made_files is not None:
            self._made_files.uploader.suspend()

    @staticmethod
    def _fail(request: Request, error: RxSdkError) -> None:
        listener = request.released()
        if listener is not None:
            listener.fail(error)

    # -- the end

    def _end_rest(self) -> list[asyncio.Task[None]]:
        """The machine has ended every call; what is left are uploads that were not calls yet, and the cache."""
        self.session = None  # it lives on at the server and in the cache; here nobody is signed in any more
        if self._asking is not None:
            self._asking.cancel()
        if self.life.is_cut_off:
            for tell in self._waiting_for_cache:  # the cache may never be done, and they were answered
                tell()
        left = [self._asking, self._cache_work]
        if self._made_files is not None:
            left += self._made_files.uploader.end(awaited=not self.life.is_cut_off)
            if not self.life.is_cut_off:
                left.append(self.life.lease.loop.create_task(self._made_files.http.close(), name="rxsdk http"))
        return [task for task in left if task is not None]

    # -- what happened, on the loop

    def _on_replied(self, event: CallReplied) -> None:
        request, res = event.request, event.res
        if self._is_looked_at:
            self.show(res)
        if not event.final:
            frame = event.frame
            if frame is None:
                request.listener.reply(res, final=False)
            else:
                request.listener.reply(res, False, decode_frame, frame)  # by their places: names take longer
            return
        listener = request.released()
        if request.changes_session and self._cache_work is not None and not self._cache_work.done():
            # Whoever hears that he signed in or out may rely on it, also in another process.
            tell = partial(listener.reply, res, final=True)
            self._waiting_for_cache.append(tell)
            self._cache_work.add_done_callback(lambda _: self._cached(tell))
        else:
            listener.reply(res, final=True)

    def _cached(self, tell: Callable[[], None]) -> None:
        self._waiting_for_cache.remove(tell)
        tell()

    def _on_call_failed(self, event: CallFailed) -> None:
        if event.res is not None:
            self.show(event.res)
            if event.request.changes_session and event.res.code in _DEAD_SESSION and self.session is None:
                self._remember(None)
        error = event.error
        if isinstance(error, CallNotSent) and self.life.trouble is not None and not self.life.is_ready:
            error.reason += f"; {self.life.trouble}"
            error.__cause__ = error.__cause__ or self.life.trouble
        self._fail(event.request, error)

    def _on_watch_ended(self, event: WatchEnded) -> None:
        event.request.released().complete()

    def _on_watch_renewed(self, event: WatchRenewed) -> None:
        self.show(event.res)
        if event.request.on_gap is not None:
            clock = self.life.clock
            since = datetime.fromtimestamp(clock.wall() - clock.now() + event.heard_at, UTC)
            event.request.on_gap(Gap(event.reason, since))

    def _look(self) -> None:
        self._is_looked_at = True

    def show(self, res: Res[Any]) -> None:
        """To whoever looks on."""
        if self.messages.has_observers:
            self.messages.emit(res)
        if self._is_shown:
            _wire_log.debug("← %s", shown_res(res))

    def _on_phase(self, event: PhaseChanged) -> None:
        if event.phase is Phase.DISCONNECTED:
            self._telemetry.reconnecting()
            if self._asking is not None:
                self._asking.cancel()  # what it answers is too late; the next connection asks anew
        name = _STATE_OF_PHASE.get(event.phase)
        if name is not None:
            self.life.set_state(ConnectionState(name))

    def _on_session(self, event: SessionChanged) -> None:
        before, self.session = self.session, event.session
        keys = [None if one is None else (one["_id"], one["token"]) for one in (before, self.session)]
        if keys[0] != keys[1] and self._made_files is not None:
            same_user = before is None or (self.session is not None and before["_id"] == self.session["_id"])
            self._made_files.uploader.session_changed(same_user=same_user)
        self.authed.emit(event.session)
        self._remember(event.session)

    def _on_heartbeat_answered(self, event: HeartbeatAnswered) -> None:
        self._telemetry.round_trip(event.round_trip_s)
        self.round_trips.emit(event.round_trip_s)

    def _on_frame_rejected(self, event: FrameRejected) -> None:
        self._telemetry.dropped()
        _log.warning("dropped: %s", event.error)

    def _on_reauth_refused(self, event: ReauthRefused) -> None:
        self.show(event.res)
        self._asking = self.life.lease.loop.create_task(self._ask_for_credentials(), name="rxsdk credentials")

    async def _ask_for_credentials(self) -> None:
        """The session was refused after a reconnect: sign in with what the application's hook supplies."""
        try:
            answer = await _asked(self._config.fresh_credentials)
            docs = None if answer is None else checked_auth_docs(self._config, *answer)
        except Exception as error:
            report_unhandled(error, "fresh_credentials")
            docs = None
        if docs is None:
            self._machine.give_session_up(self.life.clock.now())
        else:
            self._machine.sign_in_again(*docs)
        self.life.connection.flush()

    def _on_refused(self, event: ServerRefused) -> None:
        res = event.res
        self.life.connection.drop(VerifyRefused(self._config.api, status=res.status, code=res.code, msg=res.msg))

    def _remember(self, session: Session | None) -> None:
        """Cache the session, or forget it; one after the other, off the loop."""
        if not self._cache_waits:
            self._write_cache(session)
        else:
            before = self._cache_work
            self._cache_work = self.life.lease.loop.create_task(self._write_cache_after(before, session))

    async def _write_cache_after(self, before: asyncio.Task[None] | None, session: Session | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        await asyncio.to_thread(self._write_cache, session)

    def _write_cache(self, session: Session | None) -> None:
        scope = scope_of(self._config.api, self._config.cache_key)
        try:
            if session is None:
                self._cache.remove(scope)
            else:
                self._cache.put(scope, Credentials(session["_id"], session["token"]))
        except Exception as error:  # an application's own cache may raise anything
            report_unhandled(error, "the credential cache")

    _HANDLERS: ClassVar[Mapping[type[Any], Callable[[Any, Any], object]]] = {
        CallReplied: _on_replied,
        CallFailed: _on_call_failed,
        MessageReceived: lambda self, event: self.show(event.res),
        WatchEnded: _on_watch_ended,
        WatchRenewed: _on_watch_renewed,
        PhaseChanged: _on_phase,
        SessionChanged: _on_session,
        ConnectionGivenUp: lambda self, event: self.life.connection.drop(event.error),
        ServerRefused: _on_refused,
        ReauthRefused: _on_reauth_refused,
        RequestAdmitted: lambda self, event: event.request.released().admit(),
        RequestRepeated: lambda self, event: self._telemetry.retried(),
        FrameRejected: _on_frame_rejected,
        HeartbeatAnswered: _on_heartbeat_answered,
        RequestWritten: lambda self, event: show_written(event.request),
    }


def checked_auth_docs(
    config: SDKConfig, auth_var: str, auth_val: str, password: str | Secret, groups: Sequence[str] | None = None
) -> tuple[bytes, bytes | None]:
    """The doc of ``session/auth``, and its second form if there is one.

    Raises:
        ConfigurationError: these cannot be credentials.
    """
    plain = checked_password(config, auth_var, auth_val, password)
    anon_token = Secret(config.anon_token).reveal()
    doc, retry_doc = auth_docs(
        config.auth_hash_level, auth_var, auth_val, plain, anon_token, list(groups) if groups else None
    )
    raw = encode_part("session/auth", "doc", doc)
    return raw, None if retry_doc is None else encode_part("session/auth", "doc", retry_doc)


def checked_password(config: SDKConfig, auth_var: str, auth_val: str, password: str | Secret) -> str:
    """The password in plain; raise `ConfigurationError` for what cannot be credentials."""
    if isinstance(password, Secret):
        password = password.reveal()
    if auth_var not in config.auth_attrs:
        raise ConfigurationError("auth_var", f"{auth_var!r} is not among auth_attrs ({', '.join(config.auth_attrs)})")
    for name, value in (("auth_val", auth_val), ("password", password)):
        if not isinstance(value, str):
            raise ConfigurationError(name, f"must be a string, not {type(value).__name__}")
    if not password:
        raise ConfigurationError("password", "is empty")
    return password


async def _asked(hook: FreshCredentials | None) -> Answer:
    if hook is None:
        return None
    answer: Any = hook() if inspect.iscoroutinefunction(hook) else await asyncio.to_thread(hook)
    return cast(Answer, await answer if inspect.isawaitable(answer) else answer)


def made_machine(config: SDKConfig, *, for_lane: bool = False) -> LimpMachine:
    """A machine of the main connection, or of a lane."""
    return LimpMachine(
        anon_token=Secret(config.anon_token),
        app_id=config.app_id,
        auth_hash_level=config.auth_hash_level,
        connect_timeout_s=config.connect_timeout_s,
        heartbeat_interval_s=config.heartbeat_interval_s,
        heartbeat_timeout_s=config.heartbeat_timeout_s,
        max_queued_calls=config.max_queued_calls,
        new_id=_new_id,
        # What is refused on a lane is the uploader's matter: what may be repeated depends on what was behind it.
        quota=replace(config.quota, retry=False) if for_lane else config.quota,
        asks_for_credentials=for_lane or config.fresh_credentials is not None,
        trace=config.debug,
    )


_drawn_ids: list[str] = []


def _new_id() -> str:
    """An id of 96 random bits; a hundred are drawn at once: asking for each would take as long as signing."""
    try:
        return _drawn_ids.pop()  # in one step, whatever other threads do
    except IndexError:
        drawn = secrets.token_urlsafe(12 * 100)
        _drawn_ids.extend(drawn[at : at + 16] for at in range(16, len(drawn), 16))
        return drawn[:16]


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_drawn_ids.clear)  # the parent has these


def show_written(request: Request) -> None:
    """To the wire's log."""
    _wire_log.debug("→ %s", shown_request(request))
