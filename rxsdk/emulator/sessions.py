"""The core modules: user, session, group, setting (and file at level 6.1), and what their own methods do.

A session is a doc like any other, plus the live `Session` of each connection that took it on: signing out deletes
the doc and changes this connection, and leaves the other connections of that session alone.
"""

from __future__ import annotations

from typing import Any

from rxsdk.emulator import wire
from rxsdk.emulator.backend import ADMIN_ID, DEFAULT_GROUP_ID, Backend, Caller, Session, text_time
from rxsdk.emulator.methods import Call, Reply, create, present, reply
from rxsdk.emulator.modules import FILE_ARGS, Method, Module, Permission
from rxsdk.emulator.query import Where
from rxsdk.emulator.schema import LOCALES, Attr
from rxsdk.emulator.settings import ANON_SID, Settings
from rxsdk.emulator.store import StoreError

__all__ = ["SESSION_LIFE_S", "adopt", "core_modules", "prepare", "refuse_reauth", "user_with_privileges"]

SESSION_LIFE_S = 30 * 86_400

_TEXT = Attr("STR")
_ID = Attr("ID")
_IDS = Attr("LIST", items=(_ID,))
_PRIVILEGES = Attr("KV_DICT", default={}, items=(Attr("LIST", items=(_TEXT,)),))
_ID_ARG = ({"_id": _ID},)
_ADMIN = Permission("admin")
_NOBODY = Permission("__sys")


def prepare(backend: Backend) -> None:
    """Make the administrator and the group of ordinary users, or bring them up to the settings."""
    settings = backend.settings
    values = ["email", settings.admin_email, settings.admin_password, settings.anon_token]
    hashed = _kept(settings, wire.auth_hash(settings.api_level, values))
    users = backend.docs("user")
    if ADMIN_ID not in users.docs:
        users.insert(
            {
                "_id": ADMIN_ID,
                "name": dict.fromkeys(LOCALES, "__ADMIN"),
                "locale": LOCALES[0],
                "create_time": backend.now,
                "login_time": None,
                "groups": [],
                "privileges": {"*": ["*"]},
                "status": "active",
            }
        )
    users.update(ADMIN_ID, {"email": settings.admin_email, "email_hash": hashed})
    groups = backend.docs("group")
    if DEFAULT_GROUP_ID not in groups.docs:
        name = dict.fromkeys(LOCALES, "__DEFAULT")
        groups.insert({"_id": DEFAULT_GROUP_ID, "user": ADMIN_ID, "name": name, "desc": dict.fromkeys(LOCALES, "")})
    privileges = {module: list(held) for module, held in settings.default_privileges.items()}
    groups.update(DEFAULT_GROUP_ID, {"privileges": privileges})
    if settings.realms:
        users.update(ADMIN_ID, {"realm": settings.realms[0]})


def _kept(settings: Settings, value: str) -> str:
    """A hash or token as the server keeps it: 6.1 keeps nothing that could be used."""
    return wire.secret(value) if settings.is_nawah else value


def adopt(caller: Caller, answer: Reply) -> None:
    """Make the session in a reply the caller's; the anonymous id means: nobody again."""
    session = answer["args"].get("session")
    if session is not None and "token" in session:
        caller.session = Session(session["_id"], session["token"], session["user"])


# ---- session


def _auth(call: Call) -> Reply:
    backend, doc = call.backend, call.doc
    user = _user_of(call)
    if user is None:
        return call.status(403, "Wrong auth credentials.", "INVALID_CREDS")
    if user["status"] in ("banned", "deleted"):
        return call.status(403, f"User is {user['status']}.", "INVALID_USER")
    if user["status"] == "disabled_password":
        return call.status(403, "User password is disabled.", "INVALID_USER")
    token = backend.new_token()
    session = {
        "user": user["_id"],
        "groups": doc.get("groups", []),
        "host_add": call.caller.remote,
        "user_agent": call.caller.user_agent,
        "expiry": text_time(backend.clock.wall() + SESSION_LIFE_S),
        "token": token,
    }
    kept = {**session, "token": _kept(backend.settings, token), "create_time": backend.now}
    kept = {"_id": backend.new_id(), **kept}
    backend.docs("session").insert(kept)
    backend.announce("session", "create", kept)
    shown = {**session, "user": user_with_privileges(backend, user), "_id": kept["_id"]}
    return _signed_in(call, "You were successfully authed.", shown)


def _signed_in(call: Call, msg: str, session: dict[str, Any]) -> Reply:
    answer = reply(200, msg, {"session": session})
    adopt(call.caller, answer)
    return answer


def _user_of(call: Call) -> dict[str, Any] | None:
    groups = _groups(call.doc.get("groups"))
    hashed = _kept(call.backend.settings, call.doc["hash"])
    for user in call.backend.docs("user").find(Where([{"email": call.doc["email"]}])):
        in_group = groups is None or set(groups) & set(user["groups"]) or user["privileges"] == {"*": ["*"]}
        if user.get("email_hash") == hashed and in_group:
            return user
    return None


def _groups(given: list[str] | None) -> list[str] | None:
    """The groups asked for; none at all is an ``$in: []`` the server's own query chokes on."""
    if given == []:
        raise StoreError("no groups")
    return given


def user_with_privileges(backend: Backend, user: dict[str, Any]) -> dict[str, Any]:
    """The user as clients see it, with the privileges of its groups added to its own; fails when a group is gone."""
    shown = present(backend, backend.modules["user"], user)
    privileges = {module: list(held) for module, held in shown["privileges"].items()}
    for group_id in shown["groups"]:
        group = backend.docs("group").living(group_id)
        for module, held in group["privileges"].items():
            own = privileges.setdefault(module, [])
            own.extend(privilege for privilege in held if privilege not in own)
    shown["privileges"] = privileges
    return shown


def _reauth(call: Call) -> Reply:
    backend = call.backend
    session_id = call.query.first("_id")
    if session_id == ANON_SID:
        return call.status(400, "Reauth is not required for '__ANON' user.", "ANON_REAUTH")
    groups = _groups(next(iter(call.query.values("groups")), None))
    session = _open_session(backend, session_id)
    if session is None or (groups and not set(groups) & set(session["groups"])):
        return call.status(403, "Session is invalid.", "INVALID_SESSION")
    token = _proven_token(call, session)
    if token is None:
        return call.status(403, "Reauth token hash invalid.", "INVALID_REAUTH_HASH")
    if session["expiry"] < backend.now:
        return call.status(403, "Session had expired.", "SESSION_EXPIRED")
    users = backend.docs("user")
    users.living(session["user"])
    users.update(session["user"], {"login_time": backend.now})
    backend.announce("user", "update", users.docs[session["user"]])
    later = text_time(backend.clock.wall() + SESSION_LIFE_S)
    backend.docs("session").update(session["_id"], {"expiry": later})
    user = user_with_privileges(backend, users.docs[session["user"]])
    # the expiry shown is the one before this reauth
    return _signed_in(call, "You were succefully reauthed.", {**session, "user": user, "token": token})


def _open_session(backend: Backend, session_id: str) -> dict[str, Any] | None:
    session = backend.docs("session").docs.get(session_id)
    return None if session is None or session.get("__deleted") else session


def _proven_token(call: Call, session: dict[str, Any]) -> str | None:
    """The session's token, when the call proves to know it: by its hash, at 6.1 by the token itself."""
    if call.backend.settings.is_nawah:
        token: str = call.query.first("token")
        return token if wire.secret(token) == session["token"] else None
    token = session["token"]
    return token if call.query.first("hash") == wire.reauth_hash(token) else None


def refuse_reauth(backend: Backend, session_id: str) -> bool:
    """True when the session ``session_id`` is gone or past its expiry."""
    session = _open_session(backend, session_id)
    return session is None or session["expiry"] < backend.now


def _signout(call: Call) -> Reply:
    session_id = call.query.first("_id")
    if session_id == ANON_SID:
        return call.status(400, "Singout is not allowed for '__ANON' user.", "ANON_SIGNOUT")
    if _open_session(call.backend, session_id) is None:
        return call.status(403, "Session is invalid.", "INVALID_SESSION")
    sessions = call.backend.docs("session")
    own = call.caller.session.id
    if own in sessions.docs and sessions.update(own, {"__deleted": True}):
        call.backend.announce("session", "update", sessions.docs[own])
    call.caller.session = call.backend.anonymous()
    return reply(200, "You are successfully signed-out.", {"session": {"_id": ANON_SID}})


# ---- user


def _create_user(call: Call) -> Reply:
    call.doc["groups"] = [DEFAULT_GROUP_ID]
    if isinstance(call.doc.get("email_hash"), str):
        call.doc["email_hash"] = _kept(call.backend.settings, call.doc["email_hash"])
    return create(call)


def _read_privileges(call: Call) -> Reply:
    user = next(call.backend.docs("user").find(Where([{"_id": call.query.first("_id")}])), None)
    if user is None:
        return call.status(400, "User is invalid.", "INVALID_USER")
    docs = [user_with_privileges(call.backend, user)]
    return reply(200, "Found 1 docs.", {"total": 1, "count": 1, "docs": docs, "groups": {}})


def _add_group(call: Call) -> Reply:
    """Add one group or several: of several, the last decides the answer."""
    given = call.doc["group"]
    *others, last = given if isinstance(given, list) else [given]
    for group in others:
        _change_groups(call, group, adding=True)
    return _change_groups(call, last, adding=True)


def _delete_group(call: Call) -> Reply:
    return _change_groups(call, call.query.first("group"), adding=False)


def _change_groups(call: Call, group: str, *, adding: bool) -> Reply:
    users, user_id = call.backend.docs("user"), call.query.first("_id")
    if not call.backend.docs("group").lives(group):
        return call.status(400, "Group is invalid.", "INVALID_GROUP")
    if not users.lives(user_id):
        return call.status(400, "User is invalid.", "INVALID_USER")
    groups = users.docs[user_id]["groups"]
    if adding and group in groups:
        return call.status(400, "User is already a member of the group.", "GROUP_ADDED")
    if not adding and group not in groups:
        return call.status(400, "User is not a member of the group.", "GROUP_NOT_ADDED")
    users.update(user_id, {"groups": [*groups, group] if adding else [one for one in groups if one != group]})
    call.backend.announce("user", "update", users.docs[user_id])
    return reply(200, "Updated 1 docs.", {"count": 1, "docs": [{"_id": user_id}]})


# ---- declarations


def core_modules(settings: Settings) -> tuple[Module, ...]:
    """The modules every app has."""
    modules = (_user_module(), _session_module(settings), _group_module(), _setting_module())
    return (*modules, _file_module()) if settings.is_nawah else modules


def _watch(*permissions: Permission) -> Method:
    return Method(permissions, kind="watch")


def _user_module() -> Module:
    own = Permission("read", own="_id")
    attrs = {
        "name": Attr("LOCALE"),
        "locale": Attr("LOCALES", default=LOCALES[0]),
        "create_time": Attr("DATETIME"),
        "login_time": Attr("DATETIME", default=None),
        "groups": Attr("LIST", default=[], items=(_ID,)),
        "privileges": _PRIVILEGES,
        "status": Attr("LITERAL", default="active", values=("active", "banned", "deleted", "disabled_password")),
        "email": Attr("EMAIL"),
        "email_hash": _TEXT,
    }
    fixed = ("user", "create_time", "groups")
    methods = {
        "read": Method((_ADMIN, own)),
        "watch": _watch(_ADMIN, own),
        "create": Method((_ADMIN,), run=_create_user),
        "update": Method(
            (Permission("admin", drop=fixed), Permission("update", own="_id", drop=(*fixed, "privileges"))),
            query_args=_ID_ARG,
        ),
        "delete": Method((_ADMIN, Permission("delete", own="_id")), query_args=_ID_ARG),
        "read_privileges": Method((_ADMIN, own), query_args=_ID_ARG, run=_read_privileges),
        "add_group": Method((_ADMIN,), query_args=_ID_ARG, doc_args=({"group": _ID}, {"group": _IDS}), run=_add_group),
        "delete_group": Method((_ADMIN,), query_args=({"_id": _ID, "group": _ID},), run=_delete_group),
        "retrieve_file": Method((_NOBODY,), query_args=FILE_ARGS, kind="get"),
    }
    return Module("user", attrs, methods, package="core", unique=("email",))


def _session_module(settings: Settings) -> Module:
    attrs = {
        "user": _ID,
        "groups": Attr("LIST", default=[], items=(_ID,)),
        "host_add": Attr("IP"),
        "user_agent": _TEXT,
        "expiry": Attr("DATETIME"),
        "token": _TEXT,
        "create_time": Attr("DATETIME"),
    }
    proof = {"_id": _ID, ("token" if settings.is_nawah else "hash"): _TEXT}
    creds = {"hash": _TEXT, "email": Attr("EMAIL")}
    methods = {
        "read": Method((Permission("read", own="user"),)),
        "watch": _watch(Permission("read", own="user")),
        "create": Method((Permission("create"),)),
        "update": Method((Permission("update", own="user", drop=("user", "create_time")),), query_args=_ID_ARG),
        "delete": Method((Permission("delete", own="user"),), query_args=_ID_ARG),
        "auth": Method(doc_args=({**creds, "groups": _IDS}, creds), run=_auth),
        "reauth": Method(query_args=({**proof, "groups": _IDS}, proof), run=_reauth),
        "signout": Method(query_args=_ID_ARG, run=_signout),
    }
    return Module("session", attrs, methods, package="core")


def _group_module() -> Module:
    attrs = {
        "user": _ID,
        "name": Attr("LOCALE"),
        "desc": Attr("LOCALE", default=dict.fromkeys(LOCALES, "")),
        "privileges": _PRIVILEGES,
        "settings": Attr("KV_DICT", default={}),
        "create_time": Attr("DATETIME"),
    }
    fixed = ("user", "create_time")
    methods = {
        "read": Method((_ADMIN,)),
        "watch": _watch(_ADMIN),
        "create": Method((_ADMIN,)),
        "update": Method(
            (Permission("admin", drop=fixed), Permission("update", own="user", drop=(*fixed, "privileges"))),
            query_args=_ID_ARG,
        ),
        "delete": Method((_ADMIN, Permission("delete", own="user")), query_args=_ID_ARG),
    }
    return Module("group", attrs, methods, package="core")


def _setting_module() -> Module:
    kinds = ("global", "user", "user_sys")
    attrs = {"user": _ID, "var": _TEXT, "val": Attr("ANY"), "type": Attr("LITERAL", values=kinds)}
    named = (
        {"_id": _ID, "type": Attr("LITERAL", values=kinds)},
        {"var": _TEXT, "type": Attr("LITERAL", values=kinds[:1])},
        {"var": _TEXT, "user": _ID, "type": Attr("LITERAL", values=kinds[1:])},
    )
    fixed = ("user", "create_time")
    methods = {
        "read": Method((Permission("admin", limit=1), Permission("read", own="user", limit=1)), query_args=named),
        "watch": _watch(_ADMIN, Permission("read", own="user")),
        "create": Method((_ADMIN, Permission("create"))),
        "update": Method(
            (
                Permission("admin", drop=fixed, limit=1),
                Permission("update", own="user", drop=(*fixed, "type"), limit=1),
            ),
            query_args=named,
            doc_args=({"val": Attr("ANY")},),
        ),
        "delete": Method((Permission("admin", limit=1),), query_args=(*_ID_ARG, {"var": _TEXT})),
        "retrieve_file": Method(query_args=FILE_ARGS, kind="get"),
    }
    return Module("setting", attrs, methods, package="core", unique=(("user", "var", "type"),))


def _file_module() -> Module:
    attrs = {"user": _ID, "file": Attr("FILE"), "create_time": Attr("DATETIME")}
    methods = {
        "read": Method((_NOBODY,)),
        "create": Method((Permission("create"),), kind="post"),
        "delete": Method((_NOBODY,)),
    }
    return Module("file", attrs, methods, package="core")
