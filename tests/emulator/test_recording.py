"""Every section of the recording, replayed: statuses, codes, texts, silences, closes and their codes."""

from __future__ import annotations

import asyncio

import pytest

from rxsdk.emulator import Emulator
from tests.emulator.replay import Player, replay, sections

SECTIONS = list(sections())

BY_HAND = {
    "40 chunks and the call sent without waiting for any answer": "test_uploads.py",
    "idle connection, stock conn_timeout 120 (looked at every 60s)": "test_time.py",
    "session quota, stock: 40 anonymous": "test_time.py",
    "quota hit in the middle of an upload": "test_time.py",
    "IP quota, stock: 500 over all connections": "test_time.py",
}
"""Sections the recording sums up; written out on the manual clock."""

STRICT = [title for title in SECTIONS if "--watch strict" in title]
APPS = SECTIONS[SECTIONS.index("client_apps set: conn/verify without and with doc.app") :]
APPS = [title for title in APPS if title not in BY_HAND]
MAIN = [title for title in SECTIONS if title not in {*BY_HAND, *STRICT, *APPS}]

ODD_EMAIL = "ادمن@exämple.test"
ODD_PASSWORD = 'pä/ss<&>"w\\ört-كلمة'
ORIGIN = "http://localhost:4200"


@pytest.fixture(scope="module")
def played() -> dict[str, Player]:
    """The player of every section, each emulator set up as the recorded server was."""
    players: dict[str, Player] = {}
    apps = [f"web_app:web:{ORIGIN}", "android_app:android"]
    with Emulator(watch_mode="stock") as emulator:
        players |= dict.fromkeys(MAIN, asyncio.run(replay(emulator, MAIN)))
    with Emulator(watch_mode="strict") as emulator:
        players |= dict.fromkeys(STRICT, asyncio.run(replay(emulator, STRICT)))
    with Emulator(client_apps=apps, admin_email=ODD_EMAIL, admin_password=ODD_PASSWORD) as emulator:
        options = {"c39": {"origin": ORIGIN}}
        players |= dict.fromkeys(APPS, asyncio.run(replay(emulator, APPS, options)))
    return players


@pytest.mark.parametrize("title", [*MAIN, *STRICT, *APPS])
def test_section_is_replayed_message_for_message(played: dict[str, Player], title: str) -> None:
    player = played[title]
    assert not player.problems[title], "\n".join(player.problems[title])
    expected = sum(1 for line in sections()[title].lines if " << " in line[:12] or line.startswith("   GET "))
    assert player.compared[title] == expected > 0


def test_every_section_is_replayed_or_written_out() -> None:
    assert set(SECTIONS) == {*MAIN, *STRICT, *APPS, *BY_HAND}
    assert len(SECTIONS) == 54
