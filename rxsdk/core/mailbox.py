"""`DeliveryPolicy`: how much may wait for a subscriber, and what becomes of one that lags or raises.

Floor 1, pure data: part of every config, read by `rxsdk.reactive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from rxsdk.errors import ConfigurationError

__all__ = ["MAILBOX_SIZE", "DeliveryPolicy", "Mailbox", "OnOverflow", "OnRaise", "check_mailbox"]

MAILBOX_SIZE = 16_384
"""Notifications that may wait for one subscriber, unless something else is said."""

OnOverflow = Literal["error", "drop_oldest", "latest"]
OnRaise = Literal["keep", "detach"]
Mailbox = tuple[int, OnOverflow]
"""How much it holds, and what happens when more comes."""


@dataclass(frozen=True)
class DeliveryPolicy:
    """What every subscriber of a service is granted. ``stream.buffered(size, on_overflow=…)`` grants one another.

    Args:
        mailbox_size: how many notifications may wait for one subscriber.
        on_overflow: what happens when one more comes. ``"error"``: the subscriber hears those that wait and then
            `rxsdk.DeliveryOverflow`. ``"drop_oldest"``: the oldest that waits is dropped. ``"latest"``: only one ever
            waits, the newest. What is dropped is counted in ``subscription.dropped``.
        on_raise: what becomes of a subscriber whose ``on_next`` raises, besides being told to ``rxsdk.on_unhandled``:
            ``"keep"`` goes on with the next value, ``"detach"`` disposes its subscription.

    Raises:
        ConfigurationError: a field cannot work; the error names it.
    """

    mailbox_size: int = MAILBOX_SIZE
    on_overflow: OnOverflow = "error"
    on_raise: OnRaise = "keep"

    def __post_init__(self) -> None:
        check_mailbox(self.mailbox_size, self.on_overflow, "delivery.mailbox_size", "delivery.on_overflow")
        _check_choice("delivery.on_raise", self.on_raise, get_args(OnRaise))

    @property
    def mailbox(self) -> Mailbox:
        """What is granted to whoever asks for nothing else."""
        return self.mailbox_size if self.on_overflow != "latest" else 1, self.on_overflow


def check_mailbox(size: Any, on_overflow: Any, size_name: str, overflow_name: str) -> None:
    """Raise `ConfigurationError`, with the name of the one that is wrong, unless a mailbox can be made of these."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(size_name, "must be a whole number of at least 1")
    _check_choice(overflow_name, on_overflow, get_args(OnOverflow))


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(name, f"must be one of {', '.join(map(repr, choices))}, not {value!r}")
