"""Calls: who may make them, what args they need, and what read, create, update, delete and watch do.

Knows no sockets: `answer` takes a caller and returns the reply to send, or None for the server's silence. The texts
and codes are the server's. Everything here is synchronous, so that every call is atomic.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rxsdk.emulator.backend import SYSTEM_IDS, Backend, Caller
from rxsdk.emulator.modules import Args, Method, Module, Permission
from rxsdk.emulator.query import Query, QueryRefused, Where, compile_query
from rxsdk.emulator.schema import (
    LOCALES,
    Attr,
    AttrError,
    ConvertAttr,
    check_changes,
    check_doc,
    check_value,
    fill_locales,
)
from rxsdk.emulator.store import StoreError, buckets, sorted_docs

__all__ = ["Call", "Reply", "answer", "check_call", "present", "reply", "run_call", "select", "server_error"]

log = logging.getLogger("rxsdk.emulator")

Reply = dict[str, Any]
Doc = dict[str, Any]

_PRIVILEGES = ("read", "create", "update", "delete", "admin")


@dataclass
class Call:
    """One call that passed its checks, as a method's ``run`` gets it."""

    backend: Backend
    caller: Caller
    module: Module
    query: Query
    doc: Doc
    soft: bool = field(default=False)

    def status(self, status: int, msg: str, code: str, **args: Any) -> Reply:
        """A reply whose code begins with the module's."""
        return reply(status, msg, {"code": f"{self.module.code}_{code}", **args})


def reply(status: int, msg: str, args: Doc) -> Reply:
    """A reply of the server."""
    return {"status": status, "msg": msg, "args": args}


def server_error(text: str) -> Reply:
    """The 500 for whatever went wrong."""
    return reply(500, text, {"code": "CORE_SERVER_ERROR"})


def answer(backend: Backend, caller: Caller, module: Module, method: str, query: Any, doc: Doc) -> Reply | None:
    """Make a call and return its reply, without ``call_id``; None when the server stays silent."""
    call = check_call(backend, caller, module, module.methods[method], query, doc)
    return run_call(call, method) if isinstance(call, Call) else call


def run_call(call: Call, method: str) -> Reply:
    """Run a call that passed its checks; whatever goes wrong becomes the server's 500."""
    run = call.module.methods[method].run or _STANDARD[method]
    try:
        return run(call)
    except Exception:
        # The server has one answer to all its own mistakes; the emulator must go on as it does.
        log.info("%s/%s failed", call.module.name, method, exc_info=True)
        return server_error(call.backend.settings.server_error)


def check_call(
    backend: Backend, caller: Caller, module: Module, method: Method, raw: Any, doc: Doc
) -> Call | Reply | None:
    """The call, ready to run; or the reply that refuses it; or None for silence."""
    try:
        query = Query(raw)
    except QueryRefused as error:
        log.info("%s: no answer: %s", module.name, error)
        return None
    if backend.settings.realms:
        query.steps.append({"realm": caller.realm})
        doc = {**doc, "realm": caller.realm}
    permission = _permission(caller, module, method)
    if permission is None:
        msg = "You don't have permissions to access this endpoint."
        return reply(403, msg, {"code": "CORE_SESSION_FORBIDDEN"})
    if permission.own is not None:
        query.steps.append({permission.own: caller.session.user["_id"]})
    if permission.limit is not None:
        query.special["$limit"] = permission.limit
    if permission.drop:
        doc = {name: value for name, value in doc.items() if name not in permission.drop}
    refused = _check_query_args(module, method.query_args, query) or _check_doc_args(module, method.doc_args, doc)
    if refused is not None:
        return refused
    soft = query.special.pop("$soft", None) in (True,)  # 1 will do, as on the server
    return Call(backend, caller, module, query, doc, soft)


def _permission(caller: Caller, module: Module, method: Method) -> Permission | None:
    privileges = caller.session.user["privileges"]
    held = privileges.get(module.name, privileges.get("*", ()))
    for permission in method.permissions:
        wanted = permission.privilege
        if wanted == "*" or wanted in held or ("*" in held and wanted in _PRIVILEGES):
            return permission
    return None


def _check_query_args(module: Module, sets: Args, query: Query) -> Reply | None:
    failed = []
    for args in sets:
        problems = {}
        for name, attr in args.items():
            values = query.values(name)
            problem = "Missing" if not values else None
            for place, value in enumerate(values):
                values[place], problem = _checked_arg(name, attr, value)
                if problem is not None:
                    break
            if problem is not None:
                problems[name] = problem
            else:
                query.replace(name, values)
        if not problems:
            return None
        failed.append(problems)
    return _args_refused(module, "query", failed) if failed else None


def _check_doc_args(module: Module, sets: Args, doc: Doc) -> Reply | None:
    failed = []
    for args in sets:
        problems = {}
        for name, attr in args.items():
            if name not in doc:
                problems[name] = "Missing"
                continue
            doc[name], problem = _checked_arg(name, attr, doc[name])
            if problem is not None:
                problems[name] = problem
        if not problems:
            return None
        failed.append(problems)
    return _args_refused(module, "doc", failed) if failed else None


def _checked_arg(name: str, attr: Attr, value: Any) -> tuple[Any, str | None]:
    try:
        return check_value(name, attr, value), None
    except ConvertAttr:
        return value, "Convert"
    except AttrError:
        return value, "Invalid"


def _args_refused(module: Module, what: str, failed: list[dict[str, str]]) -> Reply:
    sets = ", ".join("[" + ", ".join(f"'{arg}': {why}" for arg, why in one.items()) + "]" for one in failed)
    msg = f"Could not match {what} with any of the required {what}_args. Failed sets:{sets}"
    return reply(400, msg, {"code": f"{module.code}_INVALID_{what.upper()}"})


# ---- read


def read(call: Call) -> Reply:
    """``args``: total, count, docs, groups."""
    special = call.query.special
    if "$geo_near" in special:
        return reply(400, "This emulator has no $geo_near.", {"code": "EMULATOR_NO_GEO_NEAR"})
    where = compile_query(call.query, call.module.attrs)
    found = _found(call, where)
    groups: Doc = {}
    if found:
        groups = {group["by"]: _group(call, where, group) for group in special.get("$group") or ()}
    page = _page(found, special)
    attrs = special.get("$attrs")
    if "$attrs" in special and not isinstance(attrs, list):
        raise StoreError("$attrs")
    extend = "$extn" not in special
    docs = [present(call.backend, call.module, doc, attrs, extend=extend) for doc in page]
    args = {"total": len(found), "count": len(docs), "docs": docs, "groups": groups}
    return reply(200, f"Found {len(docs)} docs.", args)


def select(call: Call) -> list[Doc]:
    """The docs a call's query names."""
    return _page(_found(call, compile_query(call.query, call.module.attrs)), call.query.special)


def _found(call: Call, where: Where) -> list[Doc]:
    try:
        found = list(call.backend.docs(call.module.name).find(where))
    except Exception:
        # "Found 0 docs." is what the server makes of an error of its database.
        log.info("%s: the query engine refuses a query", call.module.name, exc_info=True)
        return []
    search = call.query.special.get("$search")
    if search is None:
        return found
    words = set(re.findall(r"\w+", str(search).casefold()))
    return [doc for doc in found if words & _words(call.module, doc)]


def _words(module: Module, doc: Doc) -> set[str]:
    texts: list[str] = []
    for name, attr in module.attrs.items():
        value = doc.get(name)
        if attr.kind == "STR" and isinstance(value, str):
            texts.append(value)
        elif attr.kind == "LOCALE" and isinstance(value, dict):
            texts.extend(text for text in value.values() if isinstance(text, str))
        elif attr.kind == "LIST" and isinstance(value, list):
            texts.extend(text for text in value if isinstance(text, str))
    return set(re.findall(r"\w+", " ".join(texts).casefold()))


def _page(docs: list[Doc], special: Mapping[str, Any]) -> list[Doc]:
    """The part of ``docs``, newest first, that is asked for; null asks for nothing special."""
    skip, limit, order = (special.get(name) for name in ("$skip", "$limit", "$sort"))
    skip, limit = (0 if skip is None else skip), (len(docs) if limit is None else limit)
    if type(skip) is not int or type(limit) is not int or skip < 0 or limit < 0:
        return []
    if "$sort" in special:
        # it stands in place of the server's own order: without one, and among equals, the oldest is first
        docs = docs[::-1]
    if order is not None:
        try:
            docs = sorted_docs(docs, order)
        except (StoreError, NotImplementedError, TypeError):
            return []
    return docs[skip : skip + limit]


def _group(call: Call, where: Where, group: Doc) -> list[Doc]:
    """Buckets over all docs the query finds but for a lone condition on the grouped attr itself."""
    docs = _found(call, where.without(group["by"]))
    return buckets([doc.get(group["by"]) for doc in docs], group["count"])


def present(backend: Backend, module: Module, doc: Doc, attrs: list[str] | None = None, *, extend: bool = True) -> Doc:
    """A stored doc as a client sees it: ``_id`` and the attrs of its module, or those of ``attrs`` only.

    Without ``extend`` ids stay ids (``$extn`` in the query, whatever it says).
    """
    names = module.attrs if attrs is None else [name for name in attrs if name in module.attrs]
    shown: Doc = {"_id": doc["_id"]}
    for name in names:
        value = doc.get(name)
        shown[name] = _filled(module.attrs[name], value)
    if module.name == "user":
        shown.pop("email_hash", None)
        if attrs is None:
            shown["settings"] = {}
    elif module.name == "session" and extend and "user" in shown:
        user = backend.docs("user").docs.get(shown["user"], {"__deleted": True})
        shown["user"] = None if user.get("__deleted") else present(backend, backend.modules["user"], user)
    return shown


def _filled(attr: Attr, value: Any) -> Any:
    is_locale = attr.kind == "LOCALE" and isinstance(value, dict) and LOCALES[0] in value
    return fill_locales(value) if is_locale else value


# ---- create, update, delete


def create(call: Call) -> Reply:
    """``args``: count and the new doc's ``_id``."""
    backend, module = call.backend, call.module
    doc = {name: call.doc[name] for name in ("_id", *module.attrs) if call.doc.get(name) is not None}
    if "user" in module.attrs and "host_add" not in doc:
        doc["user"] = call.caller.session.user["_id"]
    if "create_time" in module.attrs:
        doc["create_time"] = backend.now
    for name, seen in (("host_add", call.caller.remote), ("user_agent", call.caller.user_agent)):
        if name in module.attrs:
            doc.setdefault(name, seen)
    try:
        check_doc(module.attrs, doc)
    except AttrError as error:
        return _attr_refused(call, error, "create")
    if _is_taken(call, doc):
        return _duplicate(call)
    if "_id" not in doc:
        doc = {"_id": backend.new_id(), **doc}
    backend.docs(module.name).insert(doc)
    backend.announce(module.name, "create", doc)
    if call.soft:
        # "a 500 does not mean that nothing happened (`create` with `$soft: true` stores the doc, then answers 500)"
        raise StoreError("$soft create")
    return reply(200, "Created 1 docs.", {"count": 1, "docs": [{"_id": doc["_id"]}]})


def update(call: Call) -> Reply:
    """``args``: count of docs changed, and the ``_id`` of every doc found."""
    changes = check_changes(call.module.attrs, call.doc)
    if not changes:
        return reply(200, "Nothing to update.", {})
    found = [doc["_id"] for doc in select(call)]
    if len(found) > 1 and _unique_names(call.module) & set(changes):
        msg = "Update call query has more than one doc as results. This would result in duplication."
        return call.status(400, msg, "MULTI_DUPLICATE")
    if _is_taken(call, changes, but=found):
        return _duplicate(call)
    docs = call.backend.docs(call.module.name)
    count = 0
    for doc_id in found:
        if docs.update(doc_id, changes):
            count += 1
            call.backend.announce(call.module.name, "update", docs.docs[doc_id])
    return reply(200, f"Updated {count} docs.", {"count": count, "docs": [{"_id": one} for one in found]})


def delete(call: Call) -> Reply:
    """Softly, or really with ``$soft: true`` in the query: "`$soft: true` in the query is the hard delete"."""
    docs = call.backend.docs(call.module.name)
    found = [doc["_id"] for doc in select(call)]
    count = 0
    for doc_id in found:
        if not call.soft:
            count += docs.update(doc_id, {"__deleted": True})
            call.backend.announce(call.module.name, "update", docs.docs[doc_id])
        elif doc_id not in SYSTEM_IDS:
            docs.delete(doc_id)
            count += 1
            call.backend.announce(call.module.name, "delete", {"_id": doc_id})
    return reply(200, f"Deleted {count} docs.", {"count": count, "docs": [{"_id": one} for one in found]})


def _attr_refused(call: Call, error: AttrError, request: str) -> Reply:
    return call.status(400, f"{error} for '{request}' request on module '{call.module.code}'.", error.code)


def _unique_names(module: Module) -> set[str]:
    return {name for unique in module.unique for name in ((unique,) if isinstance(unique, str) else unique)}


def _is_taken(call: Call, doc: Doc, but: Sequence[str] = ()) -> bool:
    """True when another doc has the unique attrs that ``doc`` brings."""
    for unique in call.module.unique:
        names = (unique,) if isinstance(unique, str) else unique
        if not all(name in doc for name in names):
            continue
        same = Where([{name: doc[name]} for name in names])
        if any(other["_id"] not in but for other in call.backend.docs(call.module.name).find(same)):
            return True
    return False


def _duplicate(call: Call) -> Reply:
    names = ", ".join(one if isinstance(one, str) else f"({', '.join(one)})" for one in call.module.unique)
    return call.status(400, f"A doc with the same '{names}' already exists.", "DUPLICATE_DOC")


_STANDARD = {"read": read, "create": create, "update": update, "delete": delete}
