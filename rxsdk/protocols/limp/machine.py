"""The LIMP machine: every rule of the wire about order, in one synchronous object.

Floor 0: no I/O, no clock, no randomness (``now``, ``wall`` and ``new_id`` are given). Driven by
`rxsdk.core.connection` through the contract in `rxsdk.protocols.contract`, and by `rxsdk.limp`, which submits
requests and reads events. Source: limp.md.

Two tables say it all. The connection moves by the table of `phases`. A request moves so:

    WAITING ──written──▶ WRITTEN ──200──▶ ENDED (CallReplied)
       │ ▲                │ │ └──200 with a watch id──▶ WATCHING ──deleted──▶ ENDED (WatchEnded)
       │ │                │ └──other status, deadline, lost──▶ ENDED (CallFailed)
       │ └── lost, and it may be repeated; token changed under it; a watch to be made anew (then WatchRenewed)
       ├──its turn has come, and files go first──▶ ENDED (RequestAdmitted)
       └──deadline, cancelled, closed──▶ ENDED (CallFailed: CallNotSent, CallCancelled; CallOutcomeUnknown when it
                                                was written before, and lost)

What waits, waits in one of three places, each in order: ``_urgent`` (verify, reauth, heartbeats, repeats) goes first;
``_queue`` needs the phase READY; ``_await_auth`` needs a session too. Nothing at all is written while an auth, reauth
or signout is unanswered: the server checks every signature against the session the *connection* has at that moment.

Invariants: each request ends exactly once. A call is signed when it is written, with the token then in force. What the
peer sends never raises; it is reported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec

from rxsdk.errors import (
    CallCancelled,
    CallError,
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    CallTimeout,
    ConnectionLost,
    HeartbeatTimeout,
    RemoteProtocolError,
    RxSdkError,
)
from rxsdk.protocols.contract import Frame
from rxsdk.protocols.deadlines import Deadlines
from rxsdk.protocols.limp.auth import reauth_query, signout_query
from rxsdk.protocols.limp.codec import decode_frame
from rxsdk.protocols.limp.events import (
    CallFailed,
    CallReplied,
    ConnectionGivenUp,
    Event,
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
from rxsdk.protocols.limp.phases import CLOSED, READY, Move, Phase, next_phase
from rxsdk.protocols.limp.quota import Pace, QuotaPolicy, TokenBucket
from rxsdk.protocols.limp.request import ENDED, WAITING, WATCHING, WRITTEN, Request, is_text
from rxsdk.protocols.limp.res import ANON_SID, Res, Session
from rxsdk.protocols.limp.signing import LIFETIME_S, SigningKey
from rxsdk.secret import Secret

__all__ = ["LimpMachine"]

_REPEATS_AT_ONCE = 2_000
_REPEATS_PER_S = 200.0
"""The budget of calls sent again after a lost connection: a server that falls over must not be trampled on."""

_to_json = msgspec.json.encode
_STOCK_QUOTA = QuotaPolicy()
_FOR_EVER = float("inf")


class LimpMachine:
    """One LIMP session over one connection after another.

    Args:
        anon_token: signs whatever goes out without a session.
        app_id: the ``app`` of ``conn/verify``.
        auth_hash_level: the form of the reauth after a reconnect.
        connect_timeout_s: from an open connection to READY.
        heartbeat_interval_s, heartbeat_timeout_s: see `SDKConfig`.
        max_queued_calls: how many may wait in the two queues together.
        new_id: makes call ids, unguessable and never the same twice.
        quota: what to do about the server's limit of messages a minute.
        asks_for_credentials: when a reauth is refused, report `ReauthRefused` and wait for `sign_in_again` or
            `give_session_up` before anything else goes out.
        trace: report each written request too.
    """

    is_text = True
    subprotocols: Sequence[str] = ()

    # More than thirty attributes, beyond which every instance would have a dict of its own, of 1.6 KiB.
    __slots__ = (
        "_anon_token",
        "_app_id",
        "_asked",
        "_asks_for_credentials",
        "_auth_hash_level",
        "_await_auth",
        "_connect_timeout_s",
        "_deadlines",
        "_events",
        "_goodbye",
        "_heard_at",
        "_heartbeat",
        "_heartbeat_at",
        "_heartbeat_interval_s",
        "_heartbeat_timeout_s",
        "_in_flight",
        "_just_submitted",
        "_key",
        "_last_loss",
        "_last_unmatched",
        "_max_queued_calls",
        "_new_id",
        "_pace",
        "_queue",
        "_ready_by",
        "_reauth",
        "_repeats",
        "_retries_429",
        "_session_request",
        "_to_renew",
        "_trace",
        "_urgent",
        "_verify",
        "_writable_at",
        "phase",
        "session",
    )

    def __init__(
        self,
        *,
        anon_token: Secret,
        app_id: str | None,
        auth_hash_level: str,
        connect_timeout_s: float,
        heartbeat_interval_s: float,
        heartbeat_timeout_s: float,
        max_queued_calls: int,
        new_id: Callable[[], str],
        quota: QuotaPolicy = _STOCK_QUOTA,
        asks_for_credentials: bool = False,
        trace: bool = False,
    ) -> None:
        self.phase = Phase.DISCONNECTED
        self.session: Session | None = None
        self._anon_token = anon_token
        self._app_id = app_id
        self._auth_hash_level = auth_hash_level
        self._connect_timeout_s = connect_timeout_s
        self._heartbeat_interval_s = heartbeat_interval_s
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._max_queued_calls = max_queued_calls
        self._new_id = new_id
        self._retries_429 = quota.retry
        self._asks_for_credentials = asks_for_credentials
        self._trace = trace

        self._events: list[Event] = []
        self._urgent: OrderedDict[Request, None] = OrderedDict()
        self._queue: OrderedDict[Request, None] = OrderedDict()
        self._await_auth: OrderedDict[Request, None] = OrderedDict()
        self._just_submitted: list[Request] = []  # those still waiting when the time is looked at get a deadline
        self._in_flight: dict[str, Request] = {}  # WRITTEN and WATCHING, by call_id, in the order of writing
        self._to_renew: list[Request] = []  # watches that lost their connection

        self._verify: Request | None = None
        self._reauth: Request | None = None
        self._heartbeat: Request | None = None
        self._goodbye: Request | None = None
        self._session_request: Request | None = None  # written and unanswered: holds everything else back

        self._pace = Pace(quota)
        self._repeats = TokenBucket(_REPEATS_AT_ONCE, _REPEATS_PER_S)
        self._writable_at = _FOR_EVER  # when the pace lets the next message through
        self._asked = False
        self._deadlines: Deadlines[Request] = Deadlines()
        self._ready_by = _FOR_EVER
        self._heartbeat_at = _FOR_EVER  # when the next is due, or when the one on its way is late
        self._last_unmatched: tuple[float, Res[Any]] | None = None
        self._last_loss: Exception | None = None
        self._heard_at = 0.0
        self._key = _anonymous_key(anon_token.reveal())

    # -- what the service asks ---------------------------------------------------------------------------------

    def submit(self, request: Request, now: float) -> None:
        """Take a call over; what becomes of it arrives as an event."""
        if self.phase is CLOSED:
            self._end(request, CallNotSent(request.endpoint, "the service is closed"))
            return
        if len(self._queue) + len(self._await_auth) >= self._max_queued_calls:
            reason = f"the queue is full (max_queued_calls={self._max_queued_calls})"
            self._end(request, CallNotSent(request.endpoint, reason))
            return
        if request.queue_timeout_s is not None:
            request.write_by = now + request.queue_timeout_s
            self._just_submitted.append(request)
        queue = self._await_auth if request.await_auth and self.session is None else self._queue
        queue[request] = None

    def cancel(self, request: Request, error: CallError | None = None) -> None:
        """Take a call back as far as that goes, to end with ``error`` (or `CallCancelled`).

        A watch is deleted on the server and ends well.
        """
        if request.progress is ENDED:
            return
        if request.opened:
            if request.progress is WATCHING:
                self._delete_watch(request.call_id)
            self._forget(request)
            self._report_end(request, WatchEnded(request))
            return
        written = request.written_at is not None
        holds = request is self._session_request
        self._forget(request)
        if holds:
            self._go_on_holding(request)
        self._end(request, error or CallCancelled(request.endpoint, written=written))

    def _go_on_holding(self, request: Request) -> None:
        """The application gave up on an auth that is on its way; the server will change the session all the same."""
        unheard = Request(request.endpoint, timeout_s=request.timeout_s, changes_session=True)
        unheard.call_id, unheard.key, unheard.progress = request.call_id, request.key, WRITTEN
        unheard.written_at = request.written_at
        self._in_flight[unheard.call_id] = self._session_request = unheard
        if request.timeout_s is not None and request.written_at is not None:
            self._deadlines.set(unheard, request.written_at + request.timeout_s)

    def sign_in_again(self, doc: bytes, retry_doc: bytes | None) -> None:
        """The answer to `ReauthRefused`: fresh credentials, as the doc of ``session/auth``."""
        if self.phase is Phase.AUTHENTICATING:
            self._reauth = Request("session/auth", doc=doc, retry_doc=retry_doc, changes_session=True)
            self._urgent[self._reauth] = None

    def give_session_up(self, now: float) -> None:
        """The other answer: nobody is signed in any more."""
        if self.phase is Phase.AUTHENTICATING:
            self._set_session(None)
            self._become_ready(Move.REAUTHED, now)

    def close(self) -> None:
        """End everything the application waits for, and say goodbye to the server."""
        if self.phase is Phase.CLOSED:
            return
        connected = self.phase is Phase.READY
        self._end_all("the service was closed", None)
        self._move(Move.CLOSED)
        if connected:
            self._goodbye = Request("conn/close")
            self._urgent[self._goodbye] = None

    def fail(self, error: RxSdkError) -> None:
        """End everything because of ``error``; nothing is tried again."""
        if self.phase is not Phase.CLOSED:
            self._end_all(str(error), error)
            self._move(Move.CLOSED)

    # -- the contract: connections come and go -----------------------------------------------------------------

    def connected(self, now: float, subprotocol: str | None) -> None:
        """See `Machine.connected`. The server speaks first."""
        self._ready_by = now + self._connect_timeout_s
        self._heard_at = now
        self._asked = False
        self._pace.connected()
        self._use(None)
        self._move(Move.CONNECTED)

    def disconnected(self, now: float, reason: Exception) -> None:
        """See `Machine.disconnected`.

        Watches and calls that may be repeated wait for the next connection, the others' outcome is unknown.
        """
        self._last_loss = reason
        lost, self._in_flight = self._in_flight, {}
        self._verify = self._reauth = self._heartbeat = self._session_request = None
        self._ready_by = self._heartbeat_at = self._writable_at = _FOR_EVER
        again = [request for request in self._urgent if request.listener is not None]
        self._urgent.clear()
        self._move(Move.LOST)
        for request in [*lost.values(), *again]:
            self._survive_loss(request, reason, now)

    def _survive_loss(self, request: Request, reason: Exception, now: float) -> None:
        if request.listener is None:
            self._deadlines.clear(request)
            request.progress = ENDED  # our own: verify, heartbeat, reauth, watch/delete
        elif request.opened:
            request.progress = WAITING
            request.lost = request.lost or (reason, self._heard_at)
            self._deadlines.clear(request)
            self._to_renew.append(request)
        elif request.progress is WAITING:
            self._urgent[request] = None
        elif request.endpoint.lower().endswith("/watch") or (request.idempotent and self._repeats.take(now)):
            request.was_lost = True  # (a watch dies with its connection: making it again repeats nothing)
            self._repeat(request, request.expires)
        else:
            why = f"{reason}, and too many calls are being sent again" if request.idempotent else str(reason)
            self._deadlines.clear(request)
            self._end(request, CallOutcomeUnknown(request.endpoint, why))

    def _repeat(self, request: Request, until: float | None) -> None:
        """Back before the queue, to be written (and signed) anew before ``until``."""
        request.progress = WAITING
        if not request.opened:
            request.call_id = ""
        if until is not None:
            self._deadlines.set(request, until)
        else:
            self._deadlines.clear(request)
        self._urgent[request] = None
        self._events.append(RequestRepeated(request))

    # -- the contract: frames out ------------------------------------------------------------------------------

    def frames_to_send(self, now: float, wall: float) -> list[Frame]:
        """See `Machine.frames_to_send`: what the phase and a pending session change let through, signed now."""
        frames: list[Frame] = []
        times = b""
        while (queue := self._urgent or self._queue) and self._session_request is None:
            if self.phase is READY and now >= self._pace.opens_at:
                request, _ = queue.popitem(last=False)
                if request.await_auth and self.session is None:
                    self._await_auth[request] = None
                    continue
            elif (own := self._own_to_write()) is not None:
                request = own
            else:
                break
            if request.has_files:
                self._deadlines.clear(request)
                self._report_end(request, RequestAdmitted(request))
                continue
            if request.frame is not None:
                frames.append(self._write_made(request, request.frame, now))
                break
            times = times or _times(int(wall))
            frames.append(self._write(request, now, times))
        return frames

    def _own_to_write(self) -> Request | None:
        """What goes out before the connection is ready, or in spite of the quota: the server wants heartbeats."""
        for own in (self._verify, self._reauth, self._goodbye, self._heartbeat):
            if own is not None and own in self._urgent:
                del self._urgent[own]
                return own
        if self.phase is READY:
            self._writable_at = self._pace.opens_at
        return None

    def make_frame(self, request: Request, doc: Iterable[bytes], wall: float) -> Iterator[None]:
        """Make the frame of a long request before it is submitted, with ``doc`` in pieces as its doc, a step a piece.

        Only for a connection whose session does not change any more: it is signed for that of this moment.
        """
        request.call_id = self._new_id()
        call_id = request.call_id.encode()
        key = self._key_of(request)
        end = _middle(request.endpoint, request.await_auth) + call_id + _times(int(wall))
        pieces = [b'{"token":"']
        for piece in key.long_jwt(chain((request.query + b',"doc":',), doc, (end,))):
            pieces.append(piece)
            yield
        pieces.append(b'","call_id":"' + call_id + b'"}')
        request.key, request.resent = key, True  # it cannot be made anew from its doc
        request.frame = pieces

    def _key_of(self, request: Request) -> SigningKey:
        if request.token is None and request.sid is None:
            return self._key
        session = self.session or {"_id": ANON_SID, "token": self._anon_token.reveal()}
        token = session["token"] if request.token is None else request.token.reveal()
        return _signing_key(request.sid or session["_id"], token)

    def _write_made(self, request: Request, frame: list[bytes], now: float) -> list[bytes]:
        request.frame = None
        self._note_written(request, request.key or self._key, now)
        return frame

    def _write(self, request: Request, now: float, times: bytes) -> bytes:
        if not request.call_id:
            request.call_id = self._new_id()
        call_id = request.call_id.encode()
        key = self._key_of(request)
        middle = _middle(request.endpoint, request.await_auth)
        query = request.query or self._query_of_session()
        payload = b"".join((query, b',"doc":', request.doc, middle, call_id, times))
        self._note_written(request, key, now)
        return b"".join((b'{"token":"', key.jwt(payload), b'","call_id":"', call_id, b'"}'))

    def _query_of_session(self) -> bytes:
        return _to_json(signout_query(ANON_SID if self.session is None else self.session["_id"]))

    def _note_written(self, request: Request, key: SigningKey, now: float) -> None:
        request.key = key
        request.progress = WRITTEN
        self._in_flight[request.call_id] = request
        if request.changes_session:
            self._session_request = request
        request.written_at = now
        self._pace.written(now)
        if request.timeout_s is None:
            self._deadlines.clear(request)
        else:
            write_by = request.write_by  # late, it has no more time than it would have had then
            since = now if write_by is None or now < write_by or request.opened else write_by
            self._deadlines.set(request, since + request.timeout_s)
        if self._trace:
            self._events.append(RequestWritten(request))

    def _use(self, session: Session | None) -> None:
        if session is None:
            self._key = _anonymous_key(self._anon_token.reveal())
        else:
            self._key = _signing_key(session["_id"], session["token"])

    # -- the contract: frames in -------------------------------------------------------------------------------

    def receive(self, frame: bytes, now: float) -> None:
        """See `Machine.receive`."""
        self._heard_at = now
        try:
            res = decode_frame(frame)
        except RemoteProtocolError as error:
            self._events.append(FrameRejected(error))
            return
        args = res.args
        call_id = args.get("call_id")
        request = self._in_flight.get(call_id) if type(call_id) is str else None
        if request is None:
            self._received_unmatched(res, now)
        elif res.status != 200:
            self._received_refusal(request, res, now)
        else:
            if "session" in args:
                self._take_session(res)
            if request.progress is WATCHING:
                self._events.append(CallReplied(request, res, False, frame))
            else:
                self._received_reply(request, res, now)

    def _received_unmatched(self, res: Res[Any], now: float) -> None:
        self._take_session(res)
        if self.phase is Phase.OPENING:
            self._received_first(res, now)
        elif self.phase is Phase.VERIFYING and res.status != 200:
            # "call_id stands outside the JWT too, or a token error comes back with call_id: null"
            self._refused(res)
        elif self.phase is Phase.VERIFYING and res.code == "CORE_CONN_OK":
            self._let_in(now)
        elif res.code == "CORE_WATCH_OK" and is_text(res.args.get("watch")):
            self._delete_watch(res.args["watch"])  # its call was cancelled or gave up waiting
        elif res.args.get("call_id") is None:
            self._last_unmatched = (now, res)
        self._events.append(MessageReceived(res))

    def _received_first(self, res: Res[Any], now: float) -> None:
        """The three generations of the first message."""
        if res.status != 200:
            self._refused(res)
        elif res.code == "CORE_CONN_READY":
            self._verify = Request("conn/verify", doc=_to_json({"app": self._app_id}))
            self._urgent[self._verify] = None
            self._move(Move.ASKED_TO_VERIFY)
        else:  # CORE_CONN_OK, or no args at all: ready at once
            self._let_in(now)

    def _let_in(self, now: float) -> None:
        if self.session is None:
            self._become_ready(Move.LET_IN, now)
            return
        query = reauth_query(self._auth_hash_level, self.session["_id"], self.session["token"])
        self._reauth = Request("session/reauth", query=_to_json(query), changes_session=True)
        self._urgent[self._reauth] = None
        self._urgent.move_to_end(self._reauth, last=False)
        self._move(Move.LET_IN_WITH_SESSION)

    def _become_ready(self, move: Move, now: float) -> None:
        self._ready_by = _FOR_EVER
        self._heartbeat_at = now + self._heartbeat_interval_s
        for request in reversed(self._to_renew):
            self._urgent[request] = None
            self._urgent.move_to_end(request, last=False)
        self._to_renew.clear()
        self._move(move)

    def _received_reply(self, request: Request, res: Res[Any], now: float) -> None:
        watch = res.args.get("watch")
        if request.opened or (type(watch) is str and request.may_watch and request.listener is not None):
            self._received_watch(request, res)
            return
        self._forget(request)
        if type(watch) is list:
            self._watches_deleted(watch)
        if request.listener is not None:
            self._report_end(request, CallReplied(request, res, True))
            return
        request.progress = ENDED
        self._events.append(MessageReceived(res))
        if request is self._verify:
            self._verify = None
            self._let_in(now)
        elif request is self._reauth:
            self._use(self.session)
            self._become_ready(Move.REAUTHED, now)
        elif request is self._heartbeat:
            self._heartbeat_answered(request, now)

    def _received_watch(self, request: Request, res: Res[Any]) -> None:
        lost, request.lost = request.lost, None
        self._deadlines.clear(request)
        request.progress = WATCHING
        request.opened = True
        # That a watch was made anew is no change of its docs.
        renewed = None if lost is None else WatchRenewed(request, res, *lost)
        self._events.append(renewed or CallReplied(request, res, False))

    def _watches_deleted(self, watches: list[Any]) -> None:
        """ "its reply carries args.watch as a list of ids" """
        for watch in watches:
            request = self._in_flight.get(watch) if type(watch) is str else None
            if request is not None and request.progress is WATCHING:
                self._forget(request)
                self._report_end(request, WatchEnded(request))

    def _received_refusal(self, request: Request, res: Res[Any], now: float) -> None:
        again = self._second_chance(request, res, now)
        if again is not None:
            self._forget(request)
            if not request.was_lost:
                request.written_at = None  # the server did not process it
            self._events.append(MessageReceived(res))
            self._repeat(request, again if again < _FOR_EVER else None)
            if request.changes_session:
                self._urgent.move_to_end(request, last=False)
            return
        self._forget(request)
        if request.listener is not None:
            self._report_end(request, CallFailed(request, CallRejected(request.endpoint, res), res))
            return
        request.progress = ENDED
        self._events.append(MessageReceived(res))
        self._own_request_refused(request, res, now)

    def _second_chance(self, request: Request, res: Res[Any], now: float) -> float | None:
        """Until when a refused request may be written anew; None when the refusal is the last word."""
        own = request is self._verify or request is self._heartbeat
        if res.status == 429:
            if not self._retries_429:
                return None
            until = _FOR_EVER if request.write_by is None or request.opened else request.write_by
            opens_at = self._pace.refused(now)
            return None if own or request is self._reauth or opens_at > until else until
        if res.code == "CORE_REQ_INVALID_TOKEN":
            # The session changed under it: once more, signed anew.
            changed = request.key != self._key or self._session_request is not None
            if own or not changed or request.resent or request.changes_session or request.token is not None:
                return None
            request.resent = True
        elif request.retry_doc is not None and (res.code or "").endswith("_INVALID_CREDS"):
            request.doc, request.retry_doc = request.retry_doc, None
        else:
            return None
        return _FOR_EVER if request.expires is None else request.expires

    def _own_request_refused(self, request: Request, res: Res[Any], now: float) -> None:
        if request is self._verify:
            self._refused(res)
        elif request is self._heartbeat:
            self._heartbeat_answered(request, now)  # refused or not, the server is there
        elif request is self._reauth:
            if res.status == 429 or res.status >= 500:  # says nothing about the session: try again
                self._events.append(ConnectionGivenUp(ConnectionLost(f"{request.endpoint}: {_shown(res)}")))
            elif self._asks_for_credentials and not self._asked:
                self._asked = True
                self._events.append(ReauthRefused(res))
            else:
                self.give_session_up(now)

    def _refused(self, res: Res[Any]) -> None:
        """Not let in. The quota and a server that is going down pass, everything else is for good."""
        if res.status == 429 or res.code == "CORE_CONN_CLOSED":
            self._events.append(ConnectionGivenUp(ConnectionLost(f"conn/verify: {_shown(res)}")))
        else:
            self._events.append(ServerRefused(res))

    # -- session -----------------------------------------------------------------------------------------------

    def _take_session(self, res: Res[Any]) -> None:
        """ "Any reply that carries args.session changes the session" """
        session = res.args.get("session")
        if res.status != 200 or not isinstance(session, Session) or not is_text(session.get("_id")):
            return
        if session["_id"] == ANON_SID:
            self._set_session(None)
        else:
            if session.get("token") is None and self.session and self.session["_id"] == session["_id"]:
                session["token"] = self.session["token"]
            if is_text(session.get("token")):
                self._set_session(session)

    def _set_session(self, session: Session | None) -> None:
        self._use(session)
        if session != self.session:
            self.session = session
            self._events.append(SessionChanged(session))
        if session is not None and self._await_auth:
            self._queue.update(self._await_auth)
            self._await_auth.clear()

    # -- deadlines ---------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """See `Machine.next_deadline`."""
        if self._just_submitted:
            self._note_waiting()
        first = self._deadlines.first()
        next_at = self._heartbeat_at if first is None or self._heartbeat_at < first else first
        if self._ready_by < next_at:  # noqa: PLR1730 - `min` would take longer than all the rest here
            next_at = self._ready_by
        if self._writable_at < next_at:  # noqa: PLR1730
            next_at = self._writable_at
        return next_at if next_at < _FOR_EVER else None

    def handle_deadline(self, now: float) -> None:
        """See `Machine.handle_deadline`: queue times, answer times, the heartbeat, the time to become ready."""
        self._note_waiting()
        for request in self._deadlines.passed(now):
            self._expire(request)
        if self._writable_at <= now:
            self._writable_at = _FOR_EVER  # the core writes after this
        if self._ready_by <= now:
            self._ready_by = _FOR_EVER
            reason = f"not let in within {self._connect_timeout_s:g} s ({self.phase.value})"
            self._events.append(ConnectionGivenUp(ConnectionLost(reason)))
        if self._heartbeat_at <= now:
            self._heartbeat_due(now)

    def _note_waiting(self) -> None:
        """Most calls are written as soon as they are submitted; one that is not may wait so long and no longer."""
        if self._queue or self._urgent or self._await_auth:  # else nothing waits
            for request in self._just_submitted:
                waits = request.progress is WAITING and request.written_at is None and not request.opened
                if waits and request.deadline is None and request.write_by is not None:
                    self._deadlines.set(request, request.write_by)
        self._just_submitted.clear()

    def _expire(self, request: Request) -> None:
        if request.progress is WAITING:
            self._forget(request)
            sure = request.written_at is None  # else it was written before, and lost: it may have run
            error = (CallNotSent if sure else CallOutcomeUnknown)(request.endpoint, self._why_waiting(request))
            if self.phase is not Phase.READY:
                error.__cause__ = self._last_loss
            self._end(request, error)
            return
        unmatched = None
        if self._last_unmatched is not None and self._last_unmatched[0] >= (request.written_at or 0.0):
            unmatched = self._last_unmatched[1]
        self._forget(request)
        self._end(request, CallTimeout(request.endpoint, request.timeout_s or 0.0, unmatched))

    def _why_waiting(self, request: Request) -> str:
        waited = "" if request.queue_timeout_s is None else f" within {request.queue_timeout_s:g} s"
        if self.phase is not Phase.READY:
            return f"no connection{waited} ({self.phase.value})"
        if request.await_auth and self.session is None:
            return f"nobody signed in{waited}"
        return f"not written{waited}"

    # -- heartbeat ---------------------------------------------------------------------------------------------

    def probe(self, now: float) -> None:
        """See `Machine.probe`: a heartbeat at once, if none is on its way."""
        if self._heartbeat is None and self._heartbeat_at < _FOR_EVER:
            self._heartbeat_due(now)

    def _heartbeat_due(self, now: float) -> None:
        held = self._session_request  # nothing may be written while an auth is pending, heartbeats neither
        if held is not None and (self._heartbeat is None or self._heartbeat in self._urgent):
            patience_s = self._heartbeat_interval_s + self._heartbeat_timeout_s
            if now - (held.written_at or 0.0) < patience_s:
                self._heartbeat_at = now + self._heartbeat_timeout_s
                return
        elif self._heartbeat is None:
            self._heartbeat = Request("heart/beat")
            self._urgent[self._heartbeat] = None
            self._urgent.move_to_end(self._heartbeat, last=False)
            self._heartbeat_at = now + self._heartbeat_timeout_s
            return
        self._heartbeat_at = _FOR_EVER
        self._events.append(ConnectionGivenUp(HeartbeatTimeout(self._heartbeat_timeout_s)))

    def _heartbeat_answered(self, heartbeat: Request, now: float) -> None:
        self._events.append(HeartbeatAnswered(now - (heartbeat.written_at or now)))
        self._heartbeat = None
        self._heartbeat_at = now + self._heartbeat_interval_s

    # -- ends --------------------------------------------------------------------------------------------------

    def events(self) -> Sequence[Event]:
        """See `Machine.events`."""
        events, self._events = self._events, []
        return events

    def _move(self, move: Move) -> None:
        phase = next_phase(self.phase, move)
        if phase is not self.phase:
            self.phase = phase
            self._events.append(PhaseChanged(phase))

    def _delete_watch(self, watch: str) -> None:
        request = Request("watch/delete", query=_to_json([{"watch": watch}]), timeout_s=30.0)
        self._urgent[request] = None

    def _forget(self, request: Request) -> None:
        """Take a request out of wherever it is."""
        self._deadlines.clear(request)
        if self._in_flight.get(request.call_id) is request:
            del self._in_flight[request.call_id]
            if request is self._session_request:
                self._session_request = None
            return
        for queue in (self._urgent, self._queue, self._await_auth):
            queue.pop(request, None)
        if request.opened and request in self._to_renew:
            self._to_renew.remove(request)

    def _end(self, request: Request, error: RxSdkError) -> None:
        if request.listener is None:
            request.progress = ENDED
        else:
            self._report_end(request, CallFailed(request, error))

    def _report_end(self, request: Request, event: Event) -> None:
        request.progress = ENDED
        self._events.append(event)

    def _end_all(self, reason: str, cause: RxSdkError | None) -> None:
        """Watches end well when the application closed, everything else says what is known of it."""
        written = list(self._in_flight.values())
        waiting = [*self._to_renew, *self._urgent, *self._queue, *self._await_auth]
        for table in (self._in_flight, self._to_renew, self._urgent, self._queue, self._await_auth):
            table.clear()
        self._session_request = self._verify = self._reauth = self._heartbeat = None
        self._ready_by = self._heartbeat_at = self._writable_at = _FOR_EVER
        for request in [*written, *waiting]:
            self._deadlines.clear(request)
            if request.opened and cause is None:
                self._report_end(request, WatchEnded(request))
            elif request.opened or request.written_at is not None:
                self._end(request, _with_cause(CallOutcomeUnknown(request.endpoint, reason), cause))
            else:
                self._end(request, _with_cause(CallNotSent(request.endpoint, reason), cause))


@lru_cache(maxsize=1)
def _times(wall_s: int) -> bytes:
    """The end of a payload, the same for a second."""
    return b'","iat":%d,"exp":%d}' % (wall_s, wall_s + LIFETIME_S)


def _signing_key(sid: str, token: str) -> SigningKey:
    """For calls of this session: it has the payload up to the query."""
    return SigningKey(token, b'{"sid":%b,"token":%b,"query":' % (_to_json(sid), _to_json(token)))


@lru_cache(maxsize=1)
def _anonymous_key(anon_token: str) -> SigningKey:
    """Made once for all the services of an application."""
    return _signing_key(ANON_SID, anon_token)


@lru_cache(maxsize=1024)
def _middle(endpoint: str, await_auth: bool) -> bytes:
    """The payload between the doc and the call's id."""
    return b',"awaitAuth":%b,"endpoint":%b,"call_id":"' % (b"true" if await_auth else b"false", _to_json(endpoint))


def _shown(res: Res[Any]) -> str:
    return f"{res.status} {res.code or ''} {res.msg!r}"


def _with_cause(error: RxSdkError, cause: RxSdkError | None) -> RxSdkError:
    error.__cause__ = cause
    return error
