"""Watch a module: every change as it comes, and again after the line broke, without a line of code for that."""

import logging
import sys

from reactivex import operators as ops

from rxsdk import Add, ApiService, Q
from rxsdk.emulator import Emulator

logging.basicConfig(stream=sys.stdout, format="log: %(message)s")  # the SDK tells there what it does by itself

with Emulator() as emulator, ApiService(emulator.config()) as api:  # yours: SDKConfig(api="wss://…/ws", …)
    api.auth("email", emulator.admin_email, emulator.admin_password).result()

    watch = api.call("album/watch")
    watch.result()  # it is made: from here on nothing is missed
    changes = watch.pipe(ops.filter(lambda res: "oper" in res.args))
    printing = changes.subscribe(lambda res: print(res.args.oper, res.docs[0]["rank"]))

    _id = api.call("album/create", doc={"name": {"ar_AE": "لندن"}, "rank": 1}).result().docs[0]["_id"]

    emulator.drop_connections()
    emulator.wait_until(lambda emulator: emulator.watches)  # it has come back by itself, and the watch with it

    api.call("album/update", query=Q._id == _id, doc={"rank": Add(2)}).result()
    changes.pipe(ops.first(lambda res: res.docs[0]["rank"] == 3)).result(timeout_s=10)

    printing.dispose()  # the last subscription: the watch is deleted on the server too
    emulator.wait_until(lambda emulator: not emulator.watches)
    print("no watch is left")
