"""The life of a client in the forms its users write it: blocking and with ``await``; run in each setting."""

from __future__ import annotations

import asyncio
import queue
from pathlib import Path
from typing import Any

from reactivex import operators as ops

from rxsdk import ApiService
from rxsdk.emulator import Emulator
from tests.staff import staff_doc


def blocking_story(api: ApiService, emulator: Emulator, photo: Path) -> None:
    """Calls, auth, a watch, an upload and piped Observables, from a thread without a loop."""
    assert api.call("staff/read").result().status == 200
    session = api.auth("email", emulator.admin_email, emulator.admin_password).result().args.session
    assert api.session is not None
    assert api.session["_id"] == session["_id"]

    changes: queue.SimpleQueue[Any] = queue.SimpleQueue()
    watch = api.call("staff/watch")
    subscription = watch.subscribe(changes.put)
    assert watch.result().code == "CORE_WATCH_OK"
    assert changes.get(timeout=5).code == "CORE_WATCH_OK"

    created = api.call("staff/create", doc=staff_doc(photo=photo)).result().docs[0]["_id"]
    change = next(c for c in iter(lambda: changes.get(timeout=5), None) if c.docs and c.docs[0]["_id"] == created)
    assert (change.args.oper, change.docs[0]["photo"]["size"]) == ("create", photo.stat().st_size)
    subscription.dispose()

    names = api.call("staff/read", query=[{"_id": created}]).pipe(ops.map(lambda res: res.docs[0]["name"]["en_AE"]))
    assert names.result() == "Ada"


async def awaiting_story(api: ApiService, emulator: Emulator, photo: Path) -> None:
    """The same with ``await`` and ``async for``."""
    size = photo.stat().st_size  # noqa: ASYNC240 - a test may look at a small file
    assert (await api.call("staff/read")).status == 200
    await api.auth("email", emulator.admin_email, emulator.admin_password)
    assert api.authed

    watch = api.call("staff/watch")
    assert (await watch).code == "CORE_WATCH_OK"
    changes = aiter(watch)
    assert (await anext(changes)).code == "CORE_WATCH_OK"
    created = (await api.call("staff/create", doc=staff_doc(photo=photo))).docs[0]["_id"]
    async with asyncio.timeout(5):
        change = await anext(c async for c in changes if c.docs and c.docs[0]["_id"] == created)
    assert (change.args.oper, change.docs[0]["photo"]["size"]) == ("create", size)
    del changes

    read = api.call("staff/read", query=[{"_id": created}])
    assert await read.pipe(ops.map(lambda res: res.docs[0]["name"]["en_AE"])) == "Ada"
    assert await read.map(lambda res: res.args.count) == 1
