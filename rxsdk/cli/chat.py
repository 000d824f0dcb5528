"""``rxsdk chat``: one conversation, live, in the terminal; line by line where there is none.

Part of the command line. `Talk` is what both forms do: it follows the conversation, sends, and marks as read what was
shown. `Window` draws it and takes keys; everything the other side wrote is made harmless before it is shown.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from rxsdk.chat import ChatService, Shown
from rxsdk.cli.show import plain
from rxsdk.errors import RxSdkError

try:
    import termios
    import tty
except ImportError:  # Windows: line by line
    termios = None  # type: ignore[assignment]

__all__ = ["Talk", "Window", "talk"]

TICKS = {"pending": "…", "failed": "✗", "undelivered": "✓", "unread": "✓✓", "read": "✓✓", "deleted": ""}
TYPING_EVERY_S = 3.0
HELP = "Enter sends · /edit TEXT and /delete change your last · Page Up loads older ones · Ctrl-D leaves"


class Talk:
    """A conversation that is being had."""

    def __init__(self, chat: ChatService, chat_id: str) -> None:
        self.chat = chat
        self.chat_id = chat_id
        self.messages: tuple[Shown, ...] = ()
        self.online: frozenset[str] = frozenset()
        self.typing: frozenset[tuple[str, str]] = frozenset()
        self.notice = ""
        self.changed = threading.Event()
        self._read_up_to = 0
        self._typed_at = 0.0
        self._pages = iter(chat.history(chat_id))
        chat.conversation(chat_id).subscribe(self._show, self._end)
        chat.events.subscribe(lambda event: None, self._end)  # else those of other chats would wait for ever
        chat.presence_stream.subscribe(lambda online: self._set("online", online), self._end)
        chat.typing_stream.subscribe(lambda typing: self._set("typing", typing), self._end)
        chat.state_stream.subscribe(lambda state: self.changed.set(), self._end)

    def _set(self, name: str, value: Any) -> None:
        setattr(self, name, value)
        self.changed.set()

    def _end(self, error: Exception) -> None:
        self._set("notice", str(error))

    def _show(self, messages: tuple[Shown, ...]) -> None:
        """Shown is read."""
        self._set("messages", messages)
        theirs = max((each.message_id or 0 for each in messages if not each.is_mine), default=0)
        if theirs > self._read_up_to:
            self._read_up_to = theirs
            self.chat.mark_read(self.chat_id, theirs).subscribe(None, self._end)

    @property
    def who_types(self) -> list[str]:
        """Those who write to us at this moment."""
        return sorted(user for chat_id, user in self.typing if chat_id == self.chat_id)

    def say(self, line: str) -> None:
        """Do what a line asks for: a command, or a message."""
        self.notice = ""
        command, _, rest = line.partition(" ")
        try:
            if command in ("/edit", "/delete"):
                self._change(command, rest.strip())
            elif command == "/help":
                self.notice = HELP
            elif command.startswith("/"):
                self.notice = f"there is no {command} (to send it as a message, begin with a space); {HELP}"
            elif line.strip():
                self.chat.send(self.chat_id, line).subscribe(None, self._end)
        except RxSdkError as error:
            self.notice = str(error)
        self._typed_at = 0.0
        self.changed.set()

    def _change(self, command: str, text: str) -> None:
        ours = [each.message_id for each in self.messages if each.is_mine and each.status != "deleted"]
        last = next((message_id for message_id in reversed(ours) if message_id is not None), None)
        if last is None:
            self.notice = "there is no message of yours to change"
        elif command == "/edit" and not text:
            self.notice = "/edit TEXT: what should it say instead?"
        elif command == "/edit":
            self.chat.edit(self.chat_id, last, text).subscribe(None, self._end)
        else:
            self.chat.delete(self.chat_id, last).subscribe(None, self._end)

    def types(self, now: float) -> None:
        """Tell the other side that we write, now and then."""
        if now - self._typed_at > TYPING_EVERY_S:
            self._typed_at = now
            self.chat.typing(self.chat_id)

    def load_older(self) -> None:
        """One more page; the conversation shows it."""
        try:
            if next(self._pages, None) is None:
                self.notice = "that is where it begins"
        except RxSdkError as error:
            self.notice = str(error)
        self.changed.set()


class Window:
    """The whole terminal: who is there, what was said, and a line to write in."""

    def __init__(self, talk: Talk, console: Console) -> None:
        self._talk = talk
        self._console = console
        self.draft = ""

    def render(self) -> RenderableType:
        """The terminal as it is to look now."""
        width, height = self._console.size
        rows = self._rows(width)[-(height - 5) :]
        padding = [Text("")] * max(0, height - 5 - len(rows))
        return Group(self._head(), Rule(style="bright_black"), *padding, *rows, self._foot(), self._line(width))

    def _head(self) -> Text:
        talk = self._talk
        head = Text(f" {plain(talk.chat_id)} ", "bold", no_wrap=True, overflow="ellipsis")
        if talk.chat_id in talk.online:
            head.append("● online", "green")
        elif talk.online:
            head.append(f"● online: {', '.join(plain(user) for user in sorted(talk.online))}", "green")
        else:
            head.append("○ offline", "bright_black")
        state = talk.chat.state
        if state.name != "ready":
            head.append(f"   {state.name}{f': {plain(str(state.reason))}' if state.reason else ''}", "yellow")
        return head

    def _rows(self, width: int) -> list[RenderableType]:
        rows: list[RenderableType] = []
        day = ""
        for shown in self._talk.messages:
            if shown.type in ("edit", "delete"):
                continue
            at = time.localtime((shown.created_at or 0) / 1000)
            if (today := time.strftime("%A, %d %B", at)) != day:
                day = today
                rows.append(Align.center(Text(day, "bright_black")))
            rows += self._message(shown, time.strftime("%H:%M", at), width)
        return rows

    def _message(self, shown: Shown, at: str, width: int) -> list[RenderableType]:
        """Ours on the right, theirs on the left, each a block; a row for each line."""
        style = {"read": "bright_blue", "failed": "red"}.get(shown.status, "bright_black")
        ticks = TICKS.get(shown.status, "") if shown.is_mine else ""
        remark = Text(f"{' edited' if shown.edited else ''} {at} ", "bright_black").append(f"{ticks:<2}", style)
        name = Text("" if shown.is_mine else f" {plain(shown.sender)}", "bold magenta")
        name.truncate(width // 4, overflow="ellipsis")
        name.append("" if shown.is_mine else "  ")
        indent = name.cell_len
        body = Text("deleted", "italic bright_black") if shown.status == "deleted" else Text(_said(shown))
        room = min(width * 2 // 3, width - indent - remark.cell_len)
        lines = [*body.wrap(self._console, max(10, room))]
        lines[-1].append_text(remark)
        if shown.is_mine:
            widest = max(line.cell_len for line in lines)
            for line in lines:
                line.pad_right(widest - line.cell_len)
            return [Align.right(line) for line in lines]
        return [name.append_text(lines[0]), *(Text(" " * indent).append_text(line) for line in lines[1:])]

    def _foot(self) -> Text:
        talk = self._talk
        if talk.notice:
            return Text(f" {plain(talk.notice)}", "yellow", no_wrap=True, overflow="ellipsis")
        if talk.who_types:
            return Text(f" {', '.join(map(plain, talk.who_types))} is typing …", "italic magenta")
        return Text(f" {HELP}", "bright_black", no_wrap=True, overflow="ellipsis")

    def _line(self, width: int) -> Text:
        """What is being written; when it is too long, its end."""
        shown = self.draft[-(width - 5) :]
        return Text(" › ", "bold bright_blue", no_wrap=True).append(shown, "default").append("▏", "blink")

    def press(self, keys: str) -> bool:
        """Take what was typed; returns whether to go on."""
        if keys.startswith("\x1b"):
            if keys == "\x1b[5~":
                self._talk.load_older()
            return True
        for key in keys:
            if key in "\x03\x04":
                return False
            if key in "\r\n":
                line, self.draft = self.draft, ""
                if line.strip() == "/quit":
                    return False
                self._talk.say(line)
            elif key in "\x7f\b":
                self.draft = self.draft[:-1]
            elif key == "\x15":
                self.draft = ""
            elif key.isprintable():
                self.draft += key
                if not self.draft.startswith("/"):
                    self._talk.types(time.monotonic())
        self._talk.changed.set()
        return True

    def run(self) -> None:
        """Until whoever sits there leaves."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        keyboard = sys.stdin.fileno()
        live = Live(console=self._console, screen=True, auto_refresh=False, get_renderable=self.render)
        with _keys_at_once(keyboard), live:
            while True:
                if self._talk.changed.is_set():
                    self._talk.changed.clear()
                    live.refresh()
                if select.select([keyboard], [], [], 0.05)[0]:
                    typed = os.read(keyboard, 1024)
                    if not typed or not self.press(decode(typed)):
                        return


@contextlib.contextmanager
def _keys_at_once(keyboard: int) -> Iterator[None]:
    """Every key as it is pressed, none shown."""
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard, termios.TCSANOW)
    settings = termios.tcgetattr(keyboard)
    settings[1] |= termios.OPOST  # lines still end as they should
    termios.tcsetattr(keyboard, termios.TCSANOW, settings)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def talk(chat: ChatService, chat_id: str) -> None:
    """Have a conversation until its end: in a window if there is a terminal, else line by line."""
    having = Talk(chat, chat_id)
    if termios is not None and sys.stdin.isatty() and sys.stdout.isatty():
        Window(having, Console(highlight=False)).run()
    else:
        _line_by_line(having)


def _line_by_line(having: Talk) -> None:
    """What comes is printed, what is read is sent; the end of the input is waited for until all is confirmed."""
    printed: set[str] = set()

    def show(messages: tuple[Shown, ...]) -> None:
        for shown in messages:
            if shown.client_message_id not in printed and not shown.is_mine and shown.type == "new":
                printed.add(shown.client_message_id)
                print(f"{plain(shown.sender)}: {_said(shown)}", flush=True)

    having.chat.conversation(having.chat_id).subscribe(show, having._end)
    for line in sys.stdin:
        having.say(line.rstrip("\n"))
        _complain(having)
    having.chat.chat(having.chat_id).result()  # what was written before has been answered
    _complain(having)


def _complain(having: Talk) -> None:
    if having.notice:
        print(plain(having.notice), file=sys.stderr, flush=True)
        having.notice = ""


def _said(shown: Shown) -> str:
    files = "".join(f" 📎 {plain(each.filename)}" for each in shown.attachments or [])
    return f"{plain(shown.message or '')}{files}".strip()
