"""The SylkServer emulator: accounts, messages, calls and rooms between its clients, with no SIP server and no media.

A leaf, like the LIMP emulator whose `Host` it shares. Needs the extra ``emulator`` (aiohttp).

    with SylkEmulator() as emulator, SylkService(emulator.config()) as sylk:
        ada = sylk.add_account("ada@example.com", emulator.users["ada@example.com"]).result()
"""

from rxsdk.emulator.sylk.emulator import USERS, SylkEmulator

__all__ = ["USERS", "SylkEmulator"]
