"""Uploads, and at random moments everything that can befall them: what is stored is right, the outcomes say which."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from rxsdk import ApiService, Call, RxSdkError
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.files.wire import (
    Watcher,
    archive_emulator,
    check_stored,
    content,
    file,
    outcome,
    signed_in,
    stored,
    upload,
)

ATTRS = ("file", "file1", "many")
STEPS = 60
MOST_CALLS = 25


def _sign_in_anew(api: ApiService, emulator: Emulator) -> None:
    api.signout()
    api.auth("email", emulator.admin_email, emulator.admin_password)


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_at_random_moments(seed: int, lanes: int) -> None:
    with archive_emulator() as emulator:
        with signed_in(emulator, upload_lanes=lanes) as api:
            _play(random.Random(seed * 10 + lanes), emulator, api)
            assert len(api._inside._files().uploader._lanes._lanes) <= lanes + 1
        wait_until(lambda: emulator.connections == 0)


def _play(chance: random.Random, emulator: Emulator, api: ApiService) -> None:
    calls: dict[str, tuple[Call[Any], Any, Watcher]] = {}

    def begin() -> None:
        title, attr, size = str(len(calls)), chance.choice(ATTRS), chance.randrange(1, 6000)
        value = [file(size, len(calls)), file(7)] if attr == "many" else file(size, len(calls))
        wanted = [content(size, len(calls)), content(7)] if attr == "many" else content(size, len(calls))
        call = upload(api, title, **{attr: value})
        calls[title] = call, {attr: wanted}, Watcher(call)

    def some() -> Call[Any]:
        return chance.choice(list(calls.values()))[0]

    acts: list[Callable[[], Any]] = [
        *[begin] * 6,
        lambda: some().cancel(),
        lambda: some().pause(),
        lambda: [call.resume() for call, _, _ in calls.values()],
        emulator.drop_connections,
        lambda: (api.suspend(), api.resume()),
        lambda: _sign_in_anew(api, emulator),
        lambda: emulator.refuse_next("file/upload", 403, "NO"),
        lambda: api.call("archive/read").result(),
    ]
    begin()
    for _ in range(STEPS):
        act = chance.choice(acts)
        if act is not begin or len(calls) < MOST_CALLS:
            with suppress(RxSdkError):  # the ordinary call, cut off
                act()
        threading.Event().wait(chance.choice((0, 0, 0.001, 0.004)))
    for call, _, _ in calls.values():
        call.resume()
    outcomes = {title: outcome(call) for title, (call, _, _) in calls.items()}
    emulator.clear_script()
    _sign_in_anew(api, emulator)
    upload(api, "last", file=file(1500, 3)).result(20)
    there = stored(emulator)
    assert there.pop("last") == {"file": content(1500, 3)}
    for title, (_, wanted, watcher) in calls.items():
        error = outcomes[title]
        check_stored(there.get(title), wanted, error)
        told = [one.sent_bytes for one in watcher.all() if one.index == 0]
        assert told == sorted(told)
        assert watcher.seen[-1].phase == ("done" if error is None else "failed")
    wait_until(lambda: not api._inside._files().uploader._jobs)
