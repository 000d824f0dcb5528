"""Two clients of a SylkServer: one calls, the other answers, and both watch the call, state by state."""

import asyncio

from rxsdk import SylkAccount, SylkService, SylkSession
from rxsdk.emulator.sylk import SylkEmulator


async def registered(service: SylkService, address: str, password: str) -> SylkAccount:
    account = await service.add_account(address, password)
    await account.register()
    async for state in account.registration_stream:
        if state.name == "registered":
            break
    return account


def watch(name: str, call: SylkSession) -> None:
    call.state_stream.subscribe(lambda state: print(f"{name:>4}: {state.name}"))


def answer(call: SylkSession) -> None:
    watch("bob", call)
    call.answer("bob's session description")  # from your WebRTC library, as all of them


async def main(emulator: SylkEmulator) -> None:
    config = emulator.config()  # yours: SylkConfig("wss://…/webrtcgateway/ws")
    async with SylkService(config) as hers, SylkService(config) as his:
        ada = await registered(hers, "ada@example.com", emulator.users["ada@example.com"])
        bob = await registered(his, "bob@example.com", emulator.users["bob@example.com"])
        bob.incoming.subscribe(answer)

        call = ada.call("bob@example.com", "ada's session description")
        watch("ada", call)
        async for state in call.state_stream:
            if state.name == "established":
                await call.terminate()
    print(f"over: {call.state.reason}, bob had said {call.remote_sdp!r}")


with SylkEmulator() as emulator:
    asyncio.run(main(emulator))
