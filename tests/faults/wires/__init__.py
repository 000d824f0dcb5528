"""The wires that the reliability suites run over: one line, one module, one subclass of `contract.Wire` each."""

from __future__ import annotations

from tests.faults.wires.chat import ChatWire
from tests.faults.wires.contract import Calls, Standing, Wire
from tests.faults.wires.limp import LimpWire
from tests.faults.wires.sylk import SylkWire

__all__ = ["WIRES", "Calls", "Standing", "Wire"]

WIRES: dict[str, type[Wire]] = {wire.name: wire for wire in (LimpWire, ChatWire, SylkWire)}
