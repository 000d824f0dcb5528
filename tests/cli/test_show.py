"""How values look in one line, and what never reaches a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from rxsdk import Args, Res, Session
from rxsdk.cli.show import Screen, brief, milliseconds, plain, short, size
from rxsdk.cli.tap import Received, Sent


def seen(tell: Any, *, width: int = 100, encoding: str = "utf-8") -> str:
    """What ``tell(screen)`` prints."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    tell(Screen(Console(file=file, width=width, highlight=False, color_system=None)))
    file.seek(0)
    return file.read()


def reply(status: int = 200, msg: str = "Fine.", **args: Any) -> Received:
    return Received(Res(status, msg, Args(args)), None, 0.0012)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ada", "Ada"),
        ("آدا 東京 😀", "آدا 東京 😀"),
        ("a\x1b[31mb\r\n\x07\x9b", r"a\x1b[31mb\r\n\x07\x9b"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\ud800", r"\ud800"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1, 1.5, None, True, False]}, "{a: [1, 1.5, null, true, false]}"),
        ("6b0153a70e76f82cc9000002", '"6b01…0002"'),
        ("Ada", '"Ada"'),
        ("<redacted>", "•••"),
        ([], "[]"),
        (0, "0"),
    ],
)
def test_short(value: object, shown: str) -> None:
    assert short(value) == shown


def test_brief() -> None:
    doc = {
        "name": {"ar_AE": "آدا", "en_AE": "Ada"},
        "title": {"fr_FR": "Comtesse", "de_DE": "Gräfin"},
        "photos": [{"name": "a.png", "type": "image/png", "size": 3, "content": True}],
        "empty": {},
        "rank": 1,
    }
    assert brief(doc) == {"name": "Ada", "title": "Comtesse", "photos": ["a.png"], "empty": {}, "rank": 1}


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0004, "0.4 ms"), (0.00996, "10 ms"), (0.2, "200 ms"), (1.25, "1.2 s")]
)
def test_milliseconds(seconds: float, shown: str) -> None:
    assert milliseconds(seconds) == shown


def test_size() -> None:
    assert (size(1), size(3587)) == ("1 byte", "3,587 bytes")


def test_no_line_is_longer_than_the_screen_nor_than_100_columns() -> None:
    doc = {"name": {"ar_AE": "東京" * 40, "en_AE": "東京" * 40}}
    for width in (60, 300):
        for tell in (
            lambda screen: screen.sent(Sent("staff/create", [], doc)),
            lambda screen: screen.received(reply(docs=[doc])),
            lambda screen: screen.proven("word " * 60, 0.1),
            lambda screen: screen.step(1, "title " * 60, "code " * 60),
        ):
            for line in seen(tell, width=width).splitlines():
                assert sum(2 if ord(char) > 0x2FFF else 1 for char in line) <= min(width, 100)


def test_secrets_are_hidden_wherever_they_turn_up() -> None:
    def tell(screen: Screen) -> None:
        screen.hide("S0mE_P@SsW0rD")
        screen.hide("")
        screen.received(reply(403, "no S0mE_P@SsW0rD here", token="tok", extra={"x_hash": "h4sh", "ok": 1}))
        screen.failed("because of S0mE_P@SsW0rD")

    out = seen(tell)
    assert "S0mE" not in out
    assert "tok" not in out.replace("token", "")
    assert "h4sh" not in out
    assert out.splitlines()[0].startswith("    ←  403 no ••• here")


def test_markup_of_others_is_text() -> None:
    assert "[bold]x[/bold]" in seen(lambda screen: screen.received(reply(msg="[bold]x[/bold]")))


def test_a_secret_at_the_top_level_of_args_is_redacted() -> None:
    out = seen(lambda screen: screen.received(reply(token="t0k3n", hash="h4sh", more="m")))
    assert "t0k3n" not in out
    assert "h4sh" not in out
    assert 'more: "m"' in out


def test_sessions_show_their_user() -> None:
    for session, shown in (
        ({"_id": "s", "token": "t0k3n", "user": {"_id": "u", "email": "a@b.c"}, "expiry": "2026-12-21T08"}, "a@b.c"),
        ({"_id": "s", "token": "t0k3n", "user": "u1", "expiry": "2026-12-21T08"}, "u1 until 2026-12-21"),
        ({"_id": "f00000000000000000000012"}, "nobody"),
    ):
        out = seen(lambda screen, session=session: screen.received(reply(session=Session(session))))
        assert shown in out
        assert "t0k3n" not in out
    assert "strange" not in seen(lambda screen: screen.received(reply(session="strange")))


def test_what_changed_stands_first() -> None:
    doc = {"_id": "6b0153a70e76f82cc9000002", "user": "u", "name": "Ada", "rank": 1}

    def tell(screen: Screen) -> None:
        screen.received(reply(docs=[doc, "odd"]))
        screen.received(reply(docs=[{**doc, "rank": 2}]))

    first, second = seen(tell).splitlines()
    assert '{_id: "6b01…0002", name: "Ada", rank: 1, user: "u"} "odd"' in first
    assert '{_id: "6b01…0002", rank: 2, name: "Ada", user: "u"}' in second


def test_a_refused_chunk_is_shown_however_many_there_are() -> None:
    chunk = {"attr": "photo", "index": 0, "chunk": 7, "total": 9, "file": {"name": "a", "content": "1,2"}}
    sent = Sent("file/upload", [], chunk)
    assert seen(lambda screen: screen.sent(sent)) == ""
    assert seen(lambda screen: screen.received(Received(Res(200, "Chunk accepted", Args()), sent, 0.1))) == ""
    assert "429" in seen(lambda screen: screen.received(Received(Res(429, "Quota", Args()), sent, 0.1)))


def test_ascii() -> None:
    out = seen(lambda screen: screen.end("✓", "All … done →"), encoding="ascii")
    assert out.split() == ["ok", "All", "...", "done", "->"]
