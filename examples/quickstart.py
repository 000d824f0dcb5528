"""Sign in, watch, create a document with a file, read it: by blocking, by subscribing, and with await."""

import asyncio

from reactivex import operators as ops

from rxsdk import ApiService, File, Q
from rxsdk.emulator import Emulator

ada = {
    "name": {"ar_AE": "آدا", "en_AE": "Ada"},
    "job_title": {"ar_AE": "مبرمجة", "en_AE": "Programmer"},
    "bio": {"ar_AE": "لندن", "en_AE": "Born in London"},
    "photo": File(b"\x89PNG ...", name="ada.png"),  # or Path("ada.png")
}

with Emulator() as emulator:  # yours: SDKConfig(api="wss://…/ws", anon_token="…", auth_attrs=["email"])
    config = emulator.config()

    with ApiService(config) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()

        changes = api.call("staff/watch").pipe(ops.filter(lambda res: "oper" in res.args))
        changes.subscribe(lambda res: print("watch:", res.args.oper, res.docs[0]["name"]["en_AE"]))

        _id = api.call("staff/create", doc=ada).result().docs[0]["_id"]
        changes.pipe(ops.first()).result(timeout_s=10)

    async def main() -> None:
        async with ApiService(config) as api:
            res = await api.call("staff/read", query=Q._id == _id)
            print("read: ", res.docs[0]["photo"]["name"])

    asyncio.run(main())
