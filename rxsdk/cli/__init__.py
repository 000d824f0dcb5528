"""The command line ``rxsdk``: ``demo``, ``emulate``, ``version``.

A leaf: nothing of rxsdk imports it. It needs the extra ``cli`` (typer, rich), so this file imports neither: `main` is
the entry point of the wheel and says in one line what is missing.
"""

from __future__ import annotations

import contextlib
import io
import sys

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich", "click"})


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):  # closed
                stream.reconfigure(errors="backslashreplace")  # never fail for want of a character
    try:
        from rxsdk.cli.app import app  # noqa: PLC0415 - only here may it be missing
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(f"rxsdk: the command line needs {missing}: pip install 'rxsdk[cli]'", file=sys.stderr)
        sys.exit(1)
    app(prog_name="rxsdk")
