"""``rxsdk chat``: in a window, line by line, with a parrot; and ``rxsdk emulate --wire chat``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from rxsdk import ChatConfig, ChatService
from rxsdk.chat import Attachment, FileMeta, New
from rxsdk.cli.chat import HELP, Talk, Window
from rxsdk.cli.parrot import Parrot
from rxsdk.emulator.chat import ChatEmulator
from tests.cli.conftest import Cli, command, environment, run_python
from tests.cli.emulating import emulating
from tests.cli.test_terminal import Terminal
from tests.conftest import wait_until


@pytest.fixture
def server() -> Iterator[ChatEmulator]:
    with ChatEmulator() as running:
        yield running


@pytest.fixture
def bob(server: ChatEmulator) -> Iterator[ChatService]:
    with ChatService(server.config("bob")) as bob:
        yield bob


@pytest.fixture
def window(server: ChatEmulator) -> Iterator[Window]:
    with ChatService(server.config("ada")) as ada:
        yield Window(Talk(ada, "bob"), Console(width=80, height=16))


def shown(window: Window) -> str:
    """What stands there now; the window fits its terminal."""
    with window._console.capture() as captured:
        window._console.print(window.render(), end="")
    lines = captured.get().splitlines()
    assert len(lines) <= 16
    assert max(map(len, lines)) <= 80
    return "\n".join(line.rstrip() for line in lines)


def wait_shown(window: Window, text: str) -> str:
    wait_until(lambda: text in shown(window))
    return shown(window)


def test_what_is_said_is_shown_from_pending_to_read(window: Window, bob: ChatService) -> None:
    wait_shown(window, "● online")
    assert window.press("Hi!") is True
    assert " › Hi!" in shown(window)
    window.press("\x7f?\r")
    wait_shown(window, "Hi?")
    wait_shown(window, "✓")
    bob.mark_read("ada").result(10)
    wait_shown(window, "✓✓")


def test_what_the_other_says_is_read_once_shown(window: Window, bob: ChatService, server: ChatEmulator) -> None:
    bob.typing("ada")
    wait_shown(window, "bob is typing …")
    file = Attachment(type="file", id="1", filename="a.pdf", url="/a", meta=FileMeta(extension="pdf", size=1))
    bob.send("ada", "look: \x1b[2J " + "x" * 100, attachments=[file]).result(10)
    text = wait_shown(window, "a.pdf")
    assert " bob  look:" in text
    assert "\x1b[2J" not in text
    assert "is typing" not in text
    wait_until(lambda: bob.messages("ada").result(10)[-1].status == "read")


def test_one_can_change_ones_last(window: Window, bob: ChatService) -> None:
    window.press("/edit nothing yet\r")
    assert "there is no message of yours to change" in shown(window)
    window.press("one\r")
    wait_shown(window, "✓")
    window.press("/edit two\r")
    assert "one" not in wait_shown(window, "two edited")
    window.press("/edit \r")
    assert "what should it say instead?" in shown(window)
    window.press("/delte\r")
    assert "there is no /delte" in shown(window)
    window.press("/delete\r")
    wait_shown(window, "deleted")
    window.press("/help\r")
    assert HELP[:60] in shown(window)


def test_a_long_message_is_a_block(window: Window, bob: ChatService) -> None:
    bob.send("ada", "word " * 30).result(10)
    rows = [row for row in wait_shown(window, "word").splitlines() if "word" in row]
    assert {row.index("word") for row in rows} == {len(" bob  ")}
    bob.send("ada", "/delete " * 3).result(10)
    window.press(" /is it? " + "verb " * 30 + "\r")
    rows = [row for row in wait_shown(window, "verb").splitlines() if "verb" in row]
    assert len({row.index("verb") if "/is" not in row else row.index("/is") for row in rows}) == 1


def test_commands_are_not_told_as_typing(window: Window, bob: ChatService) -> None:
    seen: list[Any] = []
    bob.typing_stream.subscribe(seen.append)
    window.press("/help\r")
    window.press("x")
    wait_until(lambda: len(seen) == 2)
    assert seen == [frozenset(), {("ada", "ada")}]


def test_older_ones_are_loaded_when_asked_for(window: Window, bob: ChatService) -> None:
    window.press("\x1b[5~\x1b[A")
    window.press("\x1b[5~")
    assert "that is where it begins" in shown(window)


def test_keys_that_end_it_and_keys_that_do_not(window: Window) -> None:
    assert [window.press(keys) for keys in ("\x1b[A", "\x01", "abc", "\x15", "/quit\r", "\x03", "\x04")] == [
        *(True, True, True, True),
        *(False, False, False),
    ]
    assert window.draft == ""


def test_a_lost_connection_is_shown(window: Window) -> None:
    wait_shown(window, "offline")
    window._talk.chat.suspend()
    wait_shown(window, "suspended")


def test_the_parrot_reads_types_and_repeats(server: ChatEmulator) -> None:
    seen: list[Any] = []
    with ChatService(server.config("ada")) as ada, Parrot(server.config("bob"), pause_s=0.01) as parrot:
        ada.events.subscribe(lambda event: seen.append(event.event_type))
        ada.send("bob", "Hi").result(10)
        wait_until(lambda: ada.messages("bob").result(10)[-1].message == "Hi!")
        wait_until(lambda: {"dlvrd", "read", "typing", "new"} <= set(seen))
        parrot.greet("ada")
        ada.send("bob", "too late").result(10)


def test_line_by_line(server: ChatEmulator, bob: ChatService) -> None:
    heard: list[str | None] = []
    bob.events_of(New).subscribe(lambda event: heard.append(event.payload.message))
    bob.send("ada", "before").result(10)
    child = subprocess.run(
        command("chat", "bob", "--url", server.url, "--user", "ada"),
        input="one\n/odd\ntwo\n",
        capture_output=True,
        encoding="utf-8",
        env=environment(RXSDK_CHAT_TOKEN=server.token("ada")),
        timeout=30,
        check=False,
    )
    assert (child.returncode, child.stdout) == (0, "bob: before\n")
    assert child.stderr.startswith("there is no /odd (to send it as a message, begin with a space)")
    wait_until(lambda: heard == ["one", "two"])


def test_what_makes_no_sense_is_told(cli: Cli, server: ChatEmulator) -> None:
    assert cli("chat", "bob", "--url", "http://x").code == 2
    assert "must start with ws://" in cli("chat", "bob", "--url", "http://x").err
    ran = cli("chat", "bob", "--url", server.url, "--token", "wrong")
    assert (ran.code, "401" in ran.err, "wrong" in ran.err) == (3, True, False)


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
def test_in_a_terminal_with_the_parrot() -> None:
    terminal = Terminal("chat")
    try:
        terminal.read(until=b"I am a parrot")
        terminal.type("Hello there\r")
        terminal.read(until=b"Hello there!")
        terminal.type("\x04")
        assert terminal.end() == 0
    finally:
        terminal.running.kill()
        terminal.running.wait()
    assert b"\x1b[?1049l" in terminal.seen, "the terminal is given back"


@pytest.mark.skipif(os.name == "nt", reason="no signals to a process")
def test_a_chat_server_to_try_things_on() -> None:
    with emulating("--wire", "chat") as running:
        ran = run_python("-c", running.snippet)
        assert (ran.code, ran.err) == (0, "")
        assert "Receipt(" in ran.out
        headers = {"Authorization": "Bearer " + running.fact("bob's token")}
        with ChatService(ChatConfig(running.fact("url "), headers, "bob")) as bob:
            assert bob.messages("ada").result(10)[0].message == "Hello!"
        code, out, err = running.end()
    assert (code, err) == (0, "")
    assert "The emulator has ended." in out


def test_help_says_what_it_does(cli: Cli) -> None:
    assert "Talk to somebody in the terminal" in cli("chat", "--help").out
