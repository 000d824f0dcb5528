"""Watch a module: what there is, every change, and what changed while the line was broken, which nobody told us of."""

import logging
import sys
from typing import Any

from reactivex import operators as ops

from rxsdk import Add, ApiService, Created, Deleted, Gap, Q, Snapshot, Updated
from rxsdk.emulator import Emulator

logging.basicConfig(stream=sys.stdout, format="log: %(message)s")  # the SDK tells there what it does by itself


def tell(change: Any) -> None:
    """Say what a change means."""
    match change:
        case Snapshot(docs):
            print(f"there are {len(docs)}")
        case Created(_, doc):
            print(f"created, rank {doc['rank']}")
        case Updated(_, doc):
            print(f"updated, rank {doc['rank']}")
        case Deleted():
            print("deleted")
        case Gap():
            print("something may have been missed; whatever it was comes next")


with Emulator() as emulator:
    config = emulator.config()  # yours: SDKConfig(api="wss://…/ws", …)
    with ApiService(config) as api, ApiService(config) as somebody_else:
        for one in (api, somebody_else):
            one.auth("email", emulator.admin_email, emulator.admin_password).result()

        albums = api.watch("album/watch", snapshot="album/read")
        telling = albums.subscribe(tell)
        ranks = albums.collection().pipe(ops.map(lambda docs: [doc["rank"] for doc in docs]))  # all there is, as a list
        ranks.pipe(ops.first()).result(timeout_s=10)

        _id = api.call("album/create", doc={"name": {"ar_AE": "لندن"}, "rank": 1}).result().docs[0]["_id"]
        ranks.pipe(ops.first(lambda ranks: ranks == [1])).result(timeout_s=10)

        api.suspend()  # the laptop is closed …
        somebody_else.call("album/update", query=Q._id == _id, doc={"rank": Add(2)}).result()
        api.resume()  # … and opened: the watch is made anew, and what differs is told
        ranks.pipe(ops.first(lambda ranks: ranks == [3])).result(timeout_s=10)

        telling.dispose()  # the last subscription: the watch is deleted on the server too
        emulator.wait_until(lambda emulator: not emulator.watches)
        print("no watch is left")
