"""`Secret`: a text that cannot be printed, logged or pickled, whatever is done with the object that holds it.

Beside `rxsdk.errors` at the bottom: imports nothing of rxsdk. Every token and password that the SDK keeps for later is
kept in one, so a log line or a ``repr`` that gets hold of it by mistake shows ``<redacted>`` and nothing else.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NoReturn

__all__ = ["Secret"]


class Secret:
    """Holds ``text``, and gives it to nobody but the caller of `reveal`.

    It is no string: it cannot be joined, sliced, iterated or encoded as JSON, and every way of formatting it gives
    ``<redacted>``. Two are equal when their texts are; a plain string is equal to the secret that holds it.

    Raises:
        TypeError: ``text`` is no string.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret) -> None:
        if isinstance(text, Secret):
            text = text.reveal()
        if not isinstance(text, str):
            raise TypeError(f"a Secret holds a str, not {type(text).__name__}")
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "<redacted>"

    def __format__(self, spec: str) -> str:
        return repr(self)  # a width would tell nothing, but ``.3`` must not cut anything off either

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Secret):
            other = other.reveal()
        if not isinstance(other, str):
            return NotImplemented
        return compare_digest(self._text.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled; reveal() it where that is meant")
