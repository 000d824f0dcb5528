"""The LIMP server emulator: a real server to test against, without a MongoDB.

A leaf: nothing of rxsdk imports it, and it imports nothing of rxsdk but ``SDKConfig`` (inside
`Emulator.config`) and ``rxsdk.errors``. It behaves as LIMPd 6.0.5 was recorded to behave, its failures and
silences included (``tests/vectors/limpd-6.0.5.txt``). Needs the extra ``emulator`` (aiohttp, mongomock).

    with Emulator() as emulator:
        service = ApiService(emulator.config())
"""

from __future__ import annotations

try:
    import aiohttp as _aiohttp  # noqa: F401
    import mongomock as _mongomock  # noqa: F401
except ImportError as error:
    raise ImportError("the emulator needs two more packages: pip install 'rxsdk[emulator]'") from error

from rxsdk.emulator.clock import Clock, ManualClock, SystemClock
from rxsdk.emulator.emulator import Emulator
from rxsdk.emulator.modules import Method, Module, Permission, standard_methods
from rxsdk.emulator.schema import Attr
from rxsdk.emulator.scripting import Executed, Received
from rxsdk.emulator.settings import ClientApp

__all__ = [
    "Attr",
    "ClientApp",
    "Clock",
    "Emulator",
    "Executed",
    "ManualClock",
    "Method",
    "Module",
    "Permission",
    "Received",
    "SystemClock",
    "standard_methods",
]
