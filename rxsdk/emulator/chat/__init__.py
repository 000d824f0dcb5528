"""The chat server emulator: users, dialogs and groups, kept in SQLite, events given again until acknowledged.

A leaf like `rxsdk.emulator`, whose host, sockets, clocks and scripts it shares; it imports nothing of the client but
``ChatConfig`` (inside `ChatEmulator.config`).

    with ChatEmulator() as emulator:
        ada, bob = ChatService(emulator.config("ada")), ChatService(emulator.config("bob"))
"""

from __future__ import annotations

from rxsdk.emulator.chat.emulator import ChatEmulator

__all__ = ["ChatEmulator"]
