"""From a frame to its answer: the order of the server's checks, each with its text, code and consequence.

Knows connections and the backend, not aiohttp. The order matters: what fails first decides the answer, whether a
``call_id`` comes back, and whether the connection is closed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from rxsdk.emulator import wire
from rxsdk.emulator.backend import Backend
from rxsdk.emulator.clock import Alarms
from rxsdk.emulator.connection import Connection
from rxsdk.emulator.methods import Call, Reply, check_call, present, reply, run_call, server_error
from rxsdk.emulator.modules import Module
from rxsdk.emulator.query import compile_query
from rxsdk.emulator.quotas import ANON_PER_MINUTE, AUTHED_PER_MINUTE, IpQuotas
from rxsdk.emulator.schema import as_id
from rxsdk.emulator.scripting import Played, Record, Script
from rxsdk.emulator.settings import ANON_SID
from rxsdk.emulator.watches import Watch

__all__ = ["Dispatcher", "Message"]

log = logging.getLogger("rxsdk.emulator")

_SESSION_WORK_S = 0.005
"""How long signing in or out takes the server: frames that come meanwhile are still checked against the old
session ("the one behind it was still taken")."""

_NOT_ACCEPTED = "Request token is not accepted."
_SIGN_IN = ("session/auth", "session/reauth")
_SLOW = (*_SIGN_IN, "session/signout")
_QUOTA_TEXTS = {
    "CORE_REQ_IP_QUOTA_HIT": "You have hit calls quota from this IP.",
    "CORE_REQ_SESSION_QUOTA_HIT": "You have hit calls quota.",
}


@dataclass
class Message:
    """One message that came in, and the way back for its answers.

    Args:
        played: what a test told us to do otherwise with it.
    """

    connection: Connection
    payload: dict[str, Any]
    played: Played = field(default_factory=Played)

    @property
    def call_id(self) -> Any:
        """The id the answer carries; None when the message has none."""
        return self.payload.get("call_id")

    def answer(self, result: Reply) -> None:
        """Send an answer."""
        if self.played.silent:
            return
        if self.played.without_call_id:
            result = {**result, "args": {k: v for k, v in result["args"].items() if k != "call_id"}}
        self.connection.send(result)

    def reply(self, status: int, msg: str, code: str | None = None, **args: Any) -> None:
        """Send an answer that carries the ``call_id``, whatever that is."""
        coded = {} if code is None else {"code": code}
        self.answer(reply(status, msg, {"call_id": self.call_id, **coded, **args}))


class Dispatcher:
    """Takes the frames of all connections."""

    def __init__(self, backend: Backend, alarms: Alarms, script: Script, record: Record) -> None:
        self._backend = backend
        self._settings = backend.settings
        self._alarms = alarms
        self._script = script
        self._record = record
        self._loop = asyncio.get_running_loop()
        self.ips = IpQuotas()

    def greet(self, connection: Connection) -> None:
        """The first message; its form tells the generations apart."""
        level = self._settings.api_level
        # "seed / oldest: …, no `args` → ready at once; API ≤ 5.6: the same with `args.code = "CORE_CONN_OK"`"
        if level in ("5.0", "5.6"):
            connection.verified = True
            first: Reply = {"status": 200, "msg": "Connection established."}
            connection.send(first if level == "5.0" else {**first, "args": {"code": "CORE_CONN_OK"}})
            return
        if self._settings.realms and connection.realm not in self._settings.realms:
            # "`CORE_CONN_CLOSED` (status 1008) → the server is about to close"
            connection.send(reply(1008, "Connection closed", {"code": "CORE_CONN_CLOSED"}))
            connection.close()
            return
        connection.send(reply(200, "Connection ready", {"code": "CORE_CONN_READY"}))

    def take(self, connection: Connection, text: str) -> None:
        """Answer one text message, sooner or later or never."""
        over = self._over_quota(connection) if self._settings.quotas == "stock" else None
        connection.last_message = self._backend.clock.monotonic()
        self._guarded(connection, lambda: self._take(connection, text, over))

    def _guarded(self, connection: Connection, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # "A 500 `CORE_SERVER_ERROR` may come **without** `call_id`": whatever fails before a call is made
            log.info("connection %d: a message failed", connection.number, exc_info=True)
            connection.send(server_error(self._settings.server_error))

    def _over_quota(self, connection: Connection) -> str | None:
        now = self._backend.clock.monotonic()
        if not self.ips.spend(connection.remote, now):
            return "CORE_REQ_IP_QUOTA_HIT"
        quota = connection.quota
        if now - quota.since >= 60:
            authed = connection.session.id != ANON_SID
            quota.left, quota.since = (AUTHED_PER_MINUTE if authed else ANON_PER_MINUTE) - 1, now
            return None
        return None if quota.spend() else "CORE_REQ_SESSION_QUOTA_HIT"

    def _take(self, connection: Connection, text: str, over: str | None) -> None:
        frame = json.loads(text)
        try:
            payload = wire.verify(frame["token"], connection.session.token, self._backend.clock.wall())
        except (wire.TokenRefused, KeyError, TypeError, AttributeError, IndexError):
            # "`call_id` stands outside the JWT too, or a token error comes back with `call_id: null`"
            Message(connection, {"call_id": frame.get("call_id")}).reply(403, _NOT_ACCEPTED, "CORE_REQ_INVALID_TOKEN")
            unproven = wire.peek(frame.get("token"))
            self._record.note_received(connection.number, unproven, accepted=False, size=len(text))
            if not connection.verified:
                connection.close()
            return
        self._record.note_received(connection.number, payload, accepted=True, size=len(text))
        message = Message(connection, payload)
        if over is not None:
            message.reply(429, _QUOTA_TEXTS[over], over)
        elif "endpoint" not in payload:
            message.reply(400, "Request missing endpoint.", "CORE_REQ_NO_ENDPOINT")
        elif (played := self._scripted(message)) is None:
            self._route(message)
        else:
            self._play(Message(connection, payload, played))

    # ---- what a test told us to do otherwise

    def _scripted(self, message: Message) -> Played | None:
        endpoint = message.payload["endpoint"]
        if not message.connection.verified and endpoint != "conn/verify":
            return None
        return self._script.play(endpoint)

    def _play(self, message: Message) -> None:
        played = message.played
        if played.delay_s:
            delay_s, played.delay_s = played.delay_s, 0.0
            self._alarms.after(delay_s, lambda _due: self._guarded(message.connection, lambda: self._play(message)))
            return
        scripted = played.reply(message.payload) if callable(played.reply) else played.reply
        if scripted is not None:
            args = {**(scripted.get("args") or {}), "call_id": message.call_id}
            message.answer({"status": 200, "msg": "", **scripted, "args": args})
        elif played.execute:
            self._route(message)

    # ---- the server's own order of checks

    def _route(self, message: Message) -> None:
        endpoint = message.payload["endpoint"]
        if not message.connection.verified:
            self._verify(message)
        elif endpoint == "conn/close":
            self._record.note_executed(endpoint, message.call_id)
            message.connection.close()
        elif endpoint == "heart/beat":
            self._record.note_executed(endpoint, message.call_id)
            message.reply(200, "Heartbeat received.", "CORE_HEARTBEAT_OK")
        else:
            self._call(message, endpoint.lower())

    def _verify(self, message: Message) -> None:
        if message.payload["endpoint"] != "conn/verify" or not self._lets_in(message):
            message.reply(1008, _NOT_ACCEPTED, "CORE_REQ_NO_VERIFY")
            message.connection.close()
            return
        message.connection.verified = True
        self._record.note_executed("conn/verify", message.call_id)
        established = "established" if self._settings.is_nawah else "establised"
        message.reply(200, f"Connection {established}", "CORE_CONN_OK")

    def _lets_in(self, message: Message) -> bool:
        apps, payload = self._settings.client_apps, message.payload
        if not apps:
            return True
        if "doc" not in payload or "app" not in payload["doc"].keys():  # noqa: SIM118 - a doc that is none must fail
            return False
        app = apps.get(payload["doc"]["app"])
        return app is not None and (app.type != "web" or message.connection.origin in app.origins)

    def _call(self, message: Message, endpoint: str) -> None:
        authed = message.connection.session.id != ANON_SID
        if authed and endpoint in _SIGN_IN:
            message.reply(400, "You are already authed.", "CORE_SESSION_ALREADY_AUTHED")
            return
        if not authed and endpoint == "session/signout":
            message.reply(400, "Singout is not allowed for '__ANON' user.", "CORE_SESSION_ANON_SIGNOUT")
            return
        # "`sid` must be present (its value is not looked at); without it the server fails with a 500"
        sid = message.payload["sid"]
        message.payload = {"query": [], "doc": {}, "call_id": "", **message.payload, "sid": sid}
        path = endpoint.split("/")
        if len(path) != 2:
            message.reply(400, "Endpoint path is invalid.", "CORE_REQ_INVALID_PATH")
        elif endpoint == "file/upload" and not self._settings.is_nawah:
            self._upload(message)
        elif endpoint == "watch/delete":
            self._delete_watch(message)
        else:
            self._call_module(message, *path)

    def _upload(self, message: Message) -> None:
        last = message.connection.uploads.accept(message.payload["doc"])
        self._record.note_executed("file/upload", message.call_id)
        message.reply(200, "Last chunk accepted" if last else "Chunk accepted")

    def _call_module(self, message: Message, name: str, method: str) -> None:
        module = self._backend.modules.get(name)
        if module is None:
            message.reply(400, "Endpoint module is invalid.", "CORE_REQ_INVALID_MODULE")
            return
        if method not in module.methods:
            message.reply(400, "Endpoint method is invalid.", "CORE_REQ_INVALID_METHOD")
            return
        kind = module.methods[method].kind
        if kind == "get":
            message.reply(400, "Endpoint method is a GET method.", "CORE_REQ_GET_METHOD")
            return
        doc = message.connection.uploads.take(message.payload["doc"])
        if self._settings.is_nawah:
            doc = self._with_posted_files(doc)
        # The server makes each call in a task of its own, so that what follows may be answered first.
        if f"{name}/{method}" in _SLOW:
            self._loop.call_later(_SESSION_WORK_S, self._run, message, module, method, doc)
        else:
            self._loop.call_soon(self._run, message, module, method, doc)

    def _run(self, message: Message, module: Module, method: str, doc: dict[str, Any]) -> None:
        try:
            self._make_call(message, module, method, doc)
        except Exception:
            # a task of the server that fails is heard of by nobody: the call is never answered
            log.info("%s/%s is not answered", module.name, method, exc_info=True)

    def _make_call(self, message: Message, module: Module, method: str, doc: dict[str, Any]) -> None:
        called = module.methods[method]
        call = check_call(self._backend, message.connection, module, called, message.payload["query"], doc)
        if isinstance(call, Call):
            self._record.note_executed(f"{module.name}/{method}", message.call_id)
            if called.kind == "watch":
                self._watch(message, call)
                return
            result = run_call(call, method)
        elif call is None:
            return
        else:
            result = call
        self._answer_call(message, result)

    def _answer_call(self, message: Message, result: Reply) -> None:
        call_id = message.payload["call_id"]
        # "Empty, missing or `"__TEST__"` is never answered."
        if call_id and call_id != "__TEST__":
            result["args"]["call_id"] = call_id
            message.answer(result)

    # ---- files posted (6.1)

    def _with_posted_files(self, doc: dict[str, Any]) -> dict[str, Any]:
        """``{"__file": id}`` becomes the file posted before, which is then gone."""
        return {name: self._posted(value) for name, value in doc.items()}

    def _posted(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._posted(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "__file" not in value:
            return self._with_posted_files(value)
        files = self._backend.docs("file")
        file_id = as_id(value["__file"])
        if file_id is None or file_id not in files.docs:
            return None
        file = files.docs[file_id]["file"]
        files.delete(file_id)
        return file

    # ---- watches

    def _watch(self, message: Message, call: Call) -> None:
        call_id, mode = message.payload["call_id"], self._settings.watch_mode
        args = {"code": "CORE_WATCH_OK", "watch": call_id, "call_id": call_id}
        message.answer(reply(200, "Created watch task.", args))
        if (mode != "working" and call.module.stock_watch) or not isinstance(call_id, Hashable):
            # "A 500 with the watch's `call_id` can follow the first message": the watch is none, and hinders no other
            self._answer_call(message, server_error(self._settings.server_error))
            return
        attrs = call.query.special.get("$attrs")

        def project(doc: dict[str, Any]) -> dict[str, Any]:
            shown = present(self._backend, call.module, doc, attrs, extend="$extn" not in call.query.special)
            return {**shown, "__deleted": True} if attrs is None and doc.get("__deleted") else shown

        where = compile_query(call.query, call.module.attrs)
        watch = Watch(message.connection, call_id, call.module.name, where, project, running=mode != "strict")
        self._backend.watches.open(watch)

    def _delete_watch(self, message: Message) -> None:
        wanted = message.payload["query"][0]["watch"]
        watches = message.connection.watches
        try:
            gone = list(watches.values()) if wanted == "__all" else [watches[wanted]]
            if not all(watch.running for watch in gone):
                raise KeyError("a watch that failed has no task to stop")
        except (KeyError, TypeError):
            message.reply(400, "Watch is invalid.", "CORE_WATCH_INVALID_WATCH")
            return
        for watch in gone:
            self._backend.watches.close(watch)
            del watches[watch.call_id]
        self._record.note_executed("watch/delete", message.call_id)
        msg = "All watch tasks deleted." if wanted == "__all" else "Watch task deleted."
        # "its reply carries `args.watch` as a **list** of ids"
        message.reply(200, msg, watch=[watch.call_id for watch in gone])
