"""`Refused`: why a request that is well formed is not done all the same."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """Its text goes to the client."""
