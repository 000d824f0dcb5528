"""`Presence`: who is online and who types, as the events tell it; typing ends by itself.

Floor 0. Part of the machine, which gives it the time.
"""

from __future__ import annotations

from typing import Any

from rxsdk.protocols.chat.types import Event, New, Offline, Online, Typing

__all__ = ["TYPING_S", "Presence"]

TYPING_S = 6.0
"""Who said nothing more for so long has stopped typing."""


class Presence:
    """What is known of the contacts while connected."""

    def __init__(self) -> None:
        self._online: set[str] = set()
        self._until: dict[tuple[str, str], float] = {}

    @property
    def online(self) -> frozenset[str]:
        """The contacts that are there."""
        return frozenset(self._online)

    @property
    def typing(self) -> frozenset[tuple[str, str]]:
        """Who types, as ``(chat_id, user_id)``; in a dialog both are the same."""
        return frozenset(self._until)

    def take(self, event: Event[Any], now: float) -> None:
        """Let an event change it. Who went away or has sent what they typed does not type any more."""
        match event.payload:
            case Online(user_id=user):
                self._online.add(user)
            case Offline(user_id=user):
                self._online.discard(user)
                self._until = {key: until for key, until in self._until.items() if key[1] != user}
            case Typing(user_id=user, chat_id=chat, stop=stop):
                self._until.pop((chat or user, user), None)
                if not stop:
                    self._until[chat or user, user] = now + TYPING_S
            case New(chat_id=chat, sender=sender):
                self._until.pop((chat, sender or chat), None)

    def next_deadline(self) -> float | None:
        """When somebody stops typing by themselves."""
        return min(self._until.values(), default=None)

    def pass_time(self, now: float) -> None:
        """Let end what has run out by ``now``."""
        self._until = {key: until for key, until in self._until.items() if until > now}

    def clear(self) -> None:
        """Nothing is known any more."""
        self._online.clear()
        self._until.clear()
