"""A service on asyncio: it greets whoever is created, tells of its connection, and ends cleanly when it is told to.

`run` is the whole service. In production it lives until SIGTERM; here a little client makes work for it first.
"""

import asyncio
import signal

from rxsdk import ApiService, CallRejected, Q, SDKConfig
from rxsdk.emulator import Emulator


async def greet(api: ApiService, doc: dict) -> None:
    """Answer one new document with one update; a refusal harms nobody else."""
    try:
        await api.call("album/update", query=Q._id == doc["_id"], doc={"tags": ["greeted"]})
    except CallRejected as refused:
        print("not greeted:", refused.code)
    else:
        print("greeted", doc["name"]["en_AE"])


async def run(config: SDKConfig, email: str, password: str, stop: asyncio.Event) -> None:
    """Greet until ``stop``. The connection lives on this loop; a lost one comes back by itself."""
    async with ApiService(config) as api, asyncio.TaskGroup() as tasks:
        api.state_stream.subscribe(lambda state: print("connection:", state.name))
        await api.auth("email", email, password)

        async def greet_all() -> None:
            async for res in api.call("album/watch"):
                if res.args.get("oper") == "create":
                    tasks.create_task(greet(api, res.docs[0]))

        greeting = tasks.create_task(greet_all())
        await stop.wait()
        greeting.cancel()  # leaving `async for` deletes the watch; greetings under way are waited for


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)  # not on Windows
    with Emulator() as emulator:  # yours: SDKConfig(api="wss://…/ws", …) from your settings
        config = emulator.config()
        service = asyncio.create_task(run(config, emulator.admin_email, emulator.admin_password, stop))
        await make_work(emulator, config)
        stop.set()
        await service


async def make_work(emulator: Emulator, config: SDKConfig) -> None:
    """What other people do meanwhile: three albums, and a look at whether each was greeted."""
    async with ApiService(config) as api:
        await api.auth("email", emulator.admin_email, emulator.admin_password)
        await asyncio.to_thread(emulator.wait_until, lambda emulator: emulator.watches)
        for name in ("London", "Paris", "Rome"):
            await api.call("album/create", doc={"name": {"ar_AE": name, "en_AE": name}})
        await asyncio.to_thread(emulator.wait_until, lambda emulator: emulator.executed["album/update"] == 3)


if __name__ == "__main__":
    asyncio.run(main())
