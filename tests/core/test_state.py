"""The states a service can be in: one table, drawn in its module's docstring by a command."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from rxsdk.core import state
from rxsdk.core.state import TRANSITIONS, StateName, check_transition
from rxsdk.errors import LocalProtocolError


def test_the_diagram_in_the_docs_is_the_tables() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "rxsdk.core.state"], capture_output=True, text=True, check=True
    ).stdout
    assert f"```mermaid\n{printed}```" in (state.__doc__ or "")


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(get_args(StateName))
    reached, edge = {"idle"}, ["idle"]
    while edge:
        for after in TRANSITIONS[edge.pop()]:  # type: ignore[index]
            if after not in reached:
                reached.add(after)
                edge.append(after)
    assert reached == set(TRANSITIONS)


def test_a_step_the_table_does_not_have_is_our_mistake() -> None:
    check_transition("ready", "reconnecting")
    with pytest.raises(LocalProtocolError, match="from closed to ready"):
        check_transition("closed", "ready")
