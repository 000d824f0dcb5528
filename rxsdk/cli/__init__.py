"""The command line ``rxsdk``; its commands stand in `rxsdk.cli.commands`, put together by `rxsdk.cli.app`.

A leaf: nothing of rxsdk imports it. It needs the extra ``cli`` (typer, rich, platformdirs), so this file imports none
of them: `main` is the entry point of the wheel and says in one line what is missing.
"""

from __future__ import annotations

import contextlib
import io
import sys

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich", "click", "platformdirs"})


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
    from rxsdk.cli.ending import flush, not_written  # noqa: PLC0415

    try:
        app(prog_name="rxsdk")
    except SystemExit as end:
        sys.exit(flush(end.code if isinstance(end.code, int) else int(end.code is not None)))
    except OSError as error:
        sys.exit(flush(not_written(error)))
