"""Ada writes to Bob: a message goes from pending to read, is edited, and both see the same conversation."""

import asyncio

from rxsdk import ChatService
from rxsdk.chat import New
from rxsdk.emulator.chat import ChatEmulator


async def main() -> None:
    with ChatEmulator() as emulator:  # yours: ChatConfig("wss://…/ws", {"Authorization": "Bearer …"}, "ada")
        async with ChatService(emulator.config("ada")) as ada, ChatService(emulator.config("bob")) as bob:
            ada.conversation("bob").subscribe(lambda seen: print("ada sees:", [(m.message, m.status) for m in seen]))
            bob.typing_stream.subscribe(lambda typing: typing and print("bob sees: ada is typing …"))
            bob.events_of(New).subscribe(lambda event: bob.mark_read("ada", event.payload.message_id))

            ada.typing("bob")
            receipt = await ada.send("bob", "Hello, Bob!")
            await ada.edit("bob", receipt.message_id, "Hello, dear Bob!")

            async for messages in ada.conversation("bob"):
                if messages and messages[-1].status == "read":
                    break
            async for page in bob.history("ada"):
                print("bob has: ", [message.message for message in page if message.type == "new"])


asyncio.run(main())
