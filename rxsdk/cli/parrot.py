"""`Parrot`: somebody to talk to where nobody is: reads, types for a while, and says it again.

Part of the command line: ``rxsdk chat`` without a server.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue

from rxsdk.chat import ChatConfig, ChatService, Event, New

__all__ = ["Parrot"]


class Parrot:
    """A user that answers; a context manager. ``pause_s`` is how long it thinks, and types."""

    def __init__(self, config: ChatConfig, pause_s: float = 0.8) -> None:
        self._chat = ChatService(config)
        self._pause_s = pause_s
        self._heard: SimpleQueue[New | None] = SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._answer, name="rxsdk parrot")

    def __enter__(self) -> Parrot:
        self._chat.__enter__()
        self._chat.events_of(New).subscribe(self._hear)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._heard.put(None)
        self._thread.join()
        self._chat.close().result()

    def greet(self, chat_id: str) -> None:
        """Say the first word."""
        self._chat.send(chat_id, "Hello! I am a parrot. Say something.").result()

    def _hear(self, event: Event[New]) -> None:
        self._chat.mark_delivered(event.payload.chat_id, event.payload.message_id)
        self._heard.put(event.payload)

    def _answer(self) -> None:
        while (new := self._heard.get()) is not None:
            if not self._over.wait(self._pause_s):
                self._chat.mark_read(new.chat_id, new.message_id)
                self._chat.typing(new.chat_id)
            if not self._over.wait(self._pause_s):
                self._chat.send(new.chat_id, f"{new.message}!")
