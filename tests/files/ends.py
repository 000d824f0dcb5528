"""``python -m tests.files.ends``: closed, suspended, cancelled or forked, at random moments of uploads.

After each, every call has an outcome, the stored file is right or absent as the outcome says, nothing is left over, and
the next call on that attribute is right.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxsdk import ApiService, Call, CallCancelled, CallNotSent, CallOutcomeUnknown, RxSdkError
from rxsdk.core.transport import has_picows
from rxsdk.emulator import Emulator
from tests.conftest import fork, wait_until
from tests.faults.left_over import nothing_left_over
from tests.files.wire import Watcher, archive_emulator, check_stored, content, file, outcome, signed_in, stored, upload

CHUNK = 20_000
CALLS = 3
MOST_MESSAGES = 14  # that there are of these calls: nine chunks or ten, three calls, and more where they start over


@dataclass
class Sent:
    """An upload, and what it should come to."""

    call: Call[Any]
    wanted: dict[str, Any]
    watcher: Watcher


class Round:
    """One play: some uploads, two of them to the same attribute, and what happens at some moment of theirs."""

    def __init__(self, emulator: Emulator, seed: int) -> None:
        self.emulator = emulator
        self.chance = random.Random(seed)
        self.sent: dict[str, Sent] = {}
        emulator._on_loop(lambda server: server._backend.docs("archive").docs.clear())

    def begin(self, api: ApiService) -> None:
        for number in range(CALLS):
            size = self.chance.randrange(1, 5 * CHUNK)
            attr = ("file", "file", "many")[number]
            value: Any = [file(size, number), file(7)] if attr == "many" else file(size, number)
            wanted = [content(size, number), content(7)] if attr == "many" else content(size, number)
            call = upload(api, str(number), **{attr: value})
            self.sent[str(number)] = Sent(call, {attr: wanted}, Watcher(call))

    def at_some_moment(self, act: Callable[[], Any]) -> None:
        """Do it as one of the messages comes in, or at any time: in the middle of a frame, or when all is over."""
        if self.chance.random() < 0.4:
            time.sleep(self.chance.random() * 0.02)
            act()
            return
        left, done = [self.chance.randrange(MOST_MESSAGES)], threading.Event()

        def look(_: dict[str, Any]) -> None:
            left[0] -= 1
            if left[0] == -1:
                act()
                done.set()

        for endpoint in ("file/upload", "archive/create"):
            self.emulator.reply_to(endpoint, look)
        wait_until(lambda: done.is_set() or all(sent.watcher.is_over for sent in self.sent.values()))
        self.emulator.clear_script()
        if not done.is_set():
            act()

    def check(self, *, unharmed: bool = False) -> None:
        """Each has an outcome that says what is there."""
        for title, sent in self.sent.items():
            error = outcome(sent.call)
            check_stored(stored(self.emulator).get(title), sent.wanted, error)
            assert error is None or not unharmed
            assert sent.watcher.all()[-1].phase == ("failed" if error else "done")

    def check_next(self, api: ApiService) -> None:
        """What was left of them harms nobody."""
        upload(api, "next", file=file(1234, 9), many=[file(99, 8)]).result(20)
        assert stored(self.emulator)["next"] == {"file": content(1234, 9), "many": [content(99, 8)]}


def closed(each: Round, settings: dict[str, Any]) -> None:
    with signed_in(each.emulator, **settings) as api:
        each.begin(api)
        each.at_some_moment(api.close)
        api.close().result(10)
    each.check()
    assert not api._inside._made_files.uploader._jobs  # type: ignore[union-attr]
    with signed_in(each.emulator, **settings) as api:
        each.check_next(api)


def suspended(each: Round, settings: dict[str, Any]) -> None:
    with signed_in(each.emulator, **settings) as api:
        each.begin(api)
        each.at_some_moment(api.suspend)
        time.sleep(each.chance.choice((0, 0.005)))
        api.resume()
        each.check()
        each.check_next(api)


def cancelled(each: Round, settings: dict[str, Any]) -> None:
    with signed_in(each.emulator, **settings) as api:
        each.begin(api)
        taken_back = each.chance.sample(sorted(each.sent), each.chance.randrange(1, CALLS + 1))
        each.at_some_moment(lambda: [each.sent[title].call.cancel() for title in taken_back])
        each.check()
        for title, sent in each.sent.items():
            kinds = (CallCancelled, type(None)) if title in taken_back else type(None)  # it may have been answered
            assert isinstance(sent.call.error, kinds)
        each.check_next(api)


def forked(each: Round, settings: dict[str, Any]) -> None:
    """In the child they are over, and it may send files of its own; in the parent nothing has happened."""
    with signed_in(each.emulator, **settings) as api:
        each.begin(api)
        time.sleep(each.chance.random() * 0.02)
        child = fork()
        if child == 0:
            code = 1
            try:
                code = _judge_in_the_child(each, settings)
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        each.check(unharmed=True)
        each.check_next(api)
        assert stored(each.emulator)["of the child"] == {"file": content(3 * CHUNK, 5)}


def _judge_in_the_child(each: Round, settings: dict[str, Any]) -> int:
    for sent in each.sent.values():
        try:
            sent.call.result(5)
        except (CallNotSent, CallOutcomeUnknown) as error:
            if "this process was forked" not in str(error) and "the service was closed" not in str(error):
                return 2
        except (RxSdkError, TimeoutError):
            return 3
    emulator = each.emulator
    config = emulator.config(**settings)
    with ApiService(config) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result(5)
        upload(api, "of the child", file=file(3 * CHUNK, 5)).result(5)
    return 0


SITUATIONS = (closed, suspended, cancelled, *([forked] if hasattr(os, "fork") else []))


def play(situation: Callable[[Round, dict[str, Any]], None], library: str, rounds: int, first_seed: int = 0) -> None:
    """So many rounds of it; after each nobody is connected, nothing is left over, and nobody has complained."""
    settings = {"transport": library, "file_chunk_size": CHUNK, "upload_lanes": 2}
    with archive_emulator() as emulator:
        for seed in range(first_seed, first_seed + rounds):
            try:
                with nothing_left_over():
                    situation(Round(emulator, seed), settings)
                    wait_until(lambda: emulator.connections == 0)
            except BaseException as error:
                error.add_note(f"{situation.__name__}, {library}, seed {seed}")
                raise


def main() -> None:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    given = arguments.parse_args()
    logging.getLogger("rxsdk.connection").setLevel(logging.ERROR)  # losses are told as warnings
    for situation in SITUATIONS:
        for library in ("websockets", *(["picows"] if has_picows() else [])):
            play(situation, library, given.rounds, given.seed)
            print(f"{situation.__name__}, {library}: {given.rounds} rounds from seed {given.seed} on went well")


if __name__ == "__main__":
    main()
