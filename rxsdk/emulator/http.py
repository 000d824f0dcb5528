"""The emulator's HTTP side: the WebSocket handshake, ``retrieve_file``, and at level 6.1 ``POST /file/create``.

The only module beside `connection` that knows aiohttp. Headers, texts and the odd mixture of statuses are the
recorded ones.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from rxsdk.emulator import wire
from rxsdk.emulator.backend import Backend, Session
from rxsdk.emulator.methods import Call, Reply, answer, check_call, reply, server_error
from rxsdk.emulator.modules import Module
from rxsdk.emulator.query import Where
from rxsdk.emulator.quotas import IpQuotas
from rxsdk.emulator.schema import Attr, AttrError, as_id, check_value
from rxsdk.emulator.sessions import refuse_reauth, user_with_privileges

__all__ = ["MAX_POST_BYTES", "HttpSide"]

log = logging.getLogger("rxsdk.emulator")

MAX_POST_BYTES = 256 * 1024 * 1024
_EXPIRES_S = 30 * 86_400

_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_PART_NAME = re.compile(rb'(?i)content-disposition: form-data;[^\r\n]*?\bname="([^"]*)"')

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class _HttpCaller:
    """One HTTP request as a caller."""

    session: Session
    remote: str
    user_agent: str
    realm: str | None


class HttpSide:
    """Routes and handlers; ``open_socket`` takes over what wants to be a WebSocket."""

    def __init__(self, backend: Backend, ips: IpQuotas, open_socket: Handler) -> None:
        self._backend = backend
        self._ips = ips
        self._open_socket = open_socket

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._errors], client_max_size=MAX_POST_BYTES)
        prefix = "/{realm}" if self._backend.settings.realms else ""
        app.router.add_route("GET", "/", self._root)
        app.router.add_route("*", "/ws/{realm}" if prefix else "/ws", self._open_socket)
        for module in self._backend.modules.values():
            for name, method in module.methods.items():
                if method.kind == "get":
                    for args in method.query_args:
                        path = "".join(f"/{{{arg}}}" for arg in args)
                        app.router.add_route("GET", f"{prefix}/{module.name}/{name}{path}", self._get)
                elif method.kind == "post":
                    app.router.add_route("POST", f"{prefix}/{module.name}/{name}", self._post)
                    app.router.add_route("OPTIONS", f"{prefix}/{module.name}/{name}", self._options)
        return app

    def _headers(self, methods: str | None = None) -> CIMultiDict[str]:
        nawah = self._backend.settings.is_nawah
        allowed = "Content-Type,X-Auth-Bearer,X-Auth-Token,X-Auth-App" if nawah else "Content-Type"
        return CIMultiDict(
            {
                "Server": "Nawah" if nawah else "limpd",
                "Powered-By": "Nawah, https://nawah.masaar.com" if nawah else "Masaar, https://masaar.com",
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": methods or ("GET,POST,OPTIONS" if nawah else "GET,POST"),
                "Access-Control-Allow-Headers": allowed,
                "Access-Control-Expose-Headers": "Content-Disposition",
            }
        )

    def _json(self, status: int, body: Reply) -> web.Response:
        headers = self._headers()
        headers["Content-Type"] = "application/json; charset=utf-8"
        return web.Response(status=status, headers=headers, body=wire.dumps(body).encode())

    def _text(self, status: int, msg: str) -> web.Response:
        """A body the server forgot to label: text, with JSON in it."""
        methods = "GET,POST" if status == 404 else "*"
        text = wire.dumps({"status": status, "msg": msg})
        return web.Response(status=status, headers=self._headers(methods), text=text)

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            if error.status not in (404, 405):
                raise
            status = error.status
        if status == 404:
            return self._text(404, "404 NOT FOUND")
        return self._text(405, "404 NOT ALLOWED") if status == 405 else response

    async def _root(self, _request: web.Request) -> web.Response:
        body: Reply = {"status": 200, "msg": "Welcome to LIMP!"}
        if self._backend.settings.is_nawah:
            body = reply(200, "Welcome to LIMP_SAMPLE_APP!", {"version": "0.0.0", "powered_by": "Nawah"})
        return web.Response(headers=self._headers("GET"), text=wire.dumps(body))

    async def _options(self, _request: web.Request) -> web.Response:
        body = wire.dumps({"status": 200, "msg": "OPTIONS request is allowed."})
        return web.Response(headers=self._headers(), text=body)

    # ---- GET /{module}/retrieve_file/{_id}/{attr}/[{thumb}/]{filename}

    async def _get(self, request: web.Request) -> web.StreamResponse:
        module, args = self._named(request), dict(request.match_info)
        args.pop("realm", None)
        refused = self._over_quota(request) or self._bad_args(request, module, args)
        if refused is not None:
            return refused
        caller = self._caller(request)
        if isinstance(caller, web.Response):
            return caller
        method = module.methods["retrieve_file"]
        call = check_call(self._backend, caller, module, method, [args], {})
        if not isinstance(call, Call):
            return self._json((call or {"status": 500})["status"], call or server_error(self._error_text))
        try:
            return self._file(call)
        except (KeyError, TypeError, AttributeError, ValueError):
            log.info("%s is no file", request.path, exc_info=True)
            return self._json(500, server_error(self._error_text))

    @property
    def _error_text(self) -> str:
        return self._backend.settings.server_error

    def _named(self, request: web.Request) -> Module:
        parts = request.path.split("/")
        return self._backend.modules[parts[2 if self._backend.settings.realms else 1].lower()]

    def _over_quota(self, request: web.Request) -> web.Response | None:
        if self._backend.settings.quotas == "off":
            return None
        if self._ips.spend(request.remote or "", self._backend.clock.monotonic(), over_http=True):
            return None
        code = {"code": "CORE_REQ_IP_QUOTA_HIT"}
        return self._json(429, reply(429, "You have hit calls quota from this IP.", code))

    def _bad_args(self, request: web.Request, module: Module, args: dict[str, Any]) -> web.Response | None:
        try:
            check_value("_id", Attr("ID"), args["_id"])
        except AttrError as error:
            msg = f"{error} for '{request.method}' request on module '{module.code}'."
            return self._json(400, reply(400, msg, {"code": f"{module.code}_{error.code}"}))
        return None

    def _file(self, call: Call) -> web.Response:
        doc_id, name = call.query.first("_id"), call.query.first("filename")
        thumb = [int(side) for sides in call.query.values("thumb") for side in sides.split("x")]
        realm = [{"realm": call.caller.realm}] if self._backend.settings.realms else []
        where = Where([{"_id": doc_id}, *realm])
        doc = next(call.backend.docs(call.module.name).find(where), None)
        if doc is None:
            return self._json(400, call.status(400, "File not found.", "NOT_FOUND"))
        value = doc.get(call.query.first("attr"))
        files = value if isinstance(value, list) else [value] if isinstance(value, dict) else []
        file = next((file for file in files if file["name"] == name), None)
        if file is None:
            return self._text(404, "404 NOT FOUND")
        if thumb and file["type"].split("/")[0] != "image":
            return self._json(400, call.status(400, "File is not of type image to create thumbnail for.", "NOT_IMAGE"))
        now = self._backend.clock.wall()
        headers = self._headers()
        headers["lastModified"] = str(file["lastModified"])
        headers["Content-Type"] = file["type"]
        headers["Cache-Control"] = "public, max-age=31536000"
        headers["Expires"] = formatdate(now + _EXPIRES_S, usegmt=True)
        headers["Date"] = formatdate(now, usegmt=True)
        return web.Response(headers=headers, body=file["content"])

    # ---- who asks

    def _caller(self, request: web.Request) -> _HttpCaller | web.Response:
        headers = request.headers
        both = "User-Agent" in headers and "Origin" in headers
        agent = headers["User-Agent"] if both else ""
        realm = request.match_info["realm"].lower() if self._backend.settings.realms else None
        caller = _HttpCaller(self._backend.anonymous(), request.remote or "", agent, realm)
        needed = ["X-Auth-Bearer", "X-Auth-Token"] + ["X-Auth-App"] * self._backend.settings.is_nawah
        if not any(name in headers for name in needed[:2]):
            return caller
        if not all(name in headers for name in needed):
            return self._json(400, {"status": 400, "msg": "One 'X-Auth' headers was set but not the other."})
        return self._signed(request, caller)

    def _signed(self, request: web.Request, caller: _HttpCaller) -> _HttpCaller | web.Response:
        bearer, token = request.headers["X-Auth-Bearer"], request.headers["X-Auth-Token"]
        session = self._session_of(bearer, token)
        if session is None or not self._app_may(request):
            code = {"code": "CORE_SESSION_INVALID_XAUTH"}
            return self._json(403, reply(403, "X-Auth headers could not be verified.", code))
        if not self._backend.settings.is_nawah:
            # the reauth 6.0.5 tries here always fails
            return self._json(403, server_error(self._error_text))
        if refuse_reauth(self._backend, session["_id"]):
            expired = reply(403, "Session had expired.", {"code": "CORE_SESSION_SESSION_EXPIRED"})
            return self._json(403, expired)
        user = user_with_privileges(self._backend, self._backend.docs("user").docs[session["user"]])
        return dataclasses.replace(caller, session=Session(session["_id"], token, user))

    def _session_of(self, bearer: str, token: str) -> dict[str, Any] | None:
        """6.0.5 takes the bearer for the user's id; 6.1 for the session's."""
        nawah = self._backend.settings.is_nawah
        wanted = {"_id" if nawah else "user": as_id(bearer) or bearer}
        kept = wire.secret(token) if nawah else token
        return next(self._backend.docs("session").find(Where([wanted, {"token": kept}])), None)

    def _app_may(self, request: web.Request) -> bool:
        apps = self._backend.settings.client_apps
        if not apps or not self._backend.settings.is_nawah:
            return True
        app = apps.get(request.headers["X-Auth-App"])
        return app is not None and (app.type != "web" or request.headers.get("Origin", "") in app.origins)

    # ---- POST /file/create (6.1)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        refused = self._over_quota(request)
        if refused is not None:
            return refused
        caller = self._caller(request)
        if isinstance(caller, web.Response):
            return caller
        module = self._named(request)
        parts = await _parts_of(request)
        try:
            doc = self._posted_file(parts)
        except _PostRefused as error:
            checked = check_call(self._backend, caller, module, module.methods["create"], [], {})
            result = error.reply if isinstance(checked, Call) else checked
        except (KeyError, ValueError):
            log.info("POST %s is no file", request.path, exc_info=True)
            result = server_error(self._error_text)
        else:
            result = answer(self._backend, caller, module, "create", [], doc)
        result = result or server_error(self._error_text)
        return self._json(result["status"], result)

    def _posted_file(self, parts: dict[str, bytes]) -> dict[str, Any]:
        module = self._backend.modules.get(name := parts["__module"].decode())
        if module is None:
            raise _PostRefused(f"Invalid module '{name}'", "INVALID_MODULE")
        attr = module.attrs.get(attr_name := parts["__attr"].decode().split(":")[0])
        if attr is None:
            raise _PostRefused(f"Invalid attr '{attr_name}' of module '{name}'", "INVALID_ATTR")
        file = {
            "name": parts["name"].decode(),
            "type": parts["type"].decode(),
            "size": len(parts["file"]),
            "lastModified": int(parts["lastModified"]),
            "content": parts["file"],
        }
        for kind in (attr, *attr.items):
            try:
                check_value(attr_name, dataclasses.replace(kind, default=Attr("ANY").default), file)
                return {"file": file}
            except AttrError:
                continue
        raise _PostRefused(f"Invalid file for '{attr_name}' of module '{name}'", "INVALID_FILE")


class _PostRefused(Exception):
    def __init__(self, msg: str, code: str) -> None:
        super().__init__(msg)
        self.reply = reply(400, msg, {"code": f"CORE_FILE_{code}"})


async def _parts_of(request: web.Request) -> dict[str, bytes]:
    """The parts of a form by name; none when the body is no form (the server takes any body there is)."""
    body = await request.read()
    boundary = _BOUNDARY.search(request.headers.get("Content-Type", ""))
    if boundary is None:
        return {}
    parts = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if name is not None:
            parts[name[1].decode()] = content
    return parts
