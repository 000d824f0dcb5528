"""How commands end: one line on standard error that says what went wrong, and an exit code (see `rxsdk.cli.app`).

Part of the command line; knows every error of the SDK.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.text import Text

import rxsdk
from rxsdk.cli.show import plain

if TYPE_CHECKING:
    from rxsdk.emulator import Emulator

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "NOT_SIGNED_IN",
    "NO_CONNECTION",
    "NO_SENSE",
    "emulator_class",
    "ending",
    "fail",
    "tell",
]

FAILED = 1
NO_SENSE = 2
NO_CONNECTION = 3
NOT_SIGNED_IN = 4
INTERRUPTED = 130

_SESSION_REFUSALS = ("CORE_SESSION_INVALID_", "CORE_SESSION_SESSION_EXPIRED", "CORE_SESSION_ALREADY_AUTHED")


def tell(text: str, style: str = "") -> None:
    """One line for people, on standard error."""
    Console(stderr=True, highlight=False).print(Text(plain(text), style=style), soft_wrap=True)


def fail(command: str, problem: str, *, code: int = FAILED) -> NoReturn:
    """End with one line on standard error."""
    tell(f"rxsdk {command}: {problem}", "red")
    raise typer.Exit(code)


@contextlib.contextmanager
def ending(command: str, *, as_json: bool = False) -> Iterator[None]:
    """Whatever the SDK raises in here ends the command; with ``as_json`` the error is an object on standard output."""
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):  # Abort: Ctrl-C at a prompt
        fail(command, "stopped by Ctrl-C", code=INTERRUPTED)
    except rxsdk.RxSdkError as error:
        if as_json:
            print(json.dumps({"error": type(error).__name__, "problem": str(error)}))
        fail(command, told(error), code=code_of(error))
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has gone; typer ends quietly
            raise
        fail(command, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))


def code_of(error: BaseException) -> int:
    """The exit code for ``error``."""
    match error:
        case rxsdk.ConfigurationError() | rxsdk.InvalidCall() | rxsdk.UploadError():
            return NO_SENSE
        case rxsdk.NoCredentials():
            return NOT_SIGNED_IN
        case rxsdk.CallRejected(code=str(code)) if code.startswith(_SESSION_REFUSALS):
            return NOT_SIGNED_IN
        case rxsdk.TransportError() | rxsdk.CallOutcomeUnknown():
            return NO_CONNECTION
        case rxsdk.CallNotSent() if isinstance(error.__cause__, rxsdk.TransportError):
            return NO_CONNECTION
    return FAILED


def told(error: BaseException) -> str:
    """``error`` in words, with what to do about it where we know."""
    if isinstance(error, rxsdk.NoCredentials):
        return "nobody is signed in here; sign in with: rxsdk auth WHO"
    advice = _ADVICE.get(error.code or "") if isinstance(error, rxsdk.CallRejected) else None
    return f"{error}; {advice}" if advice else str(error)


_ADVICE = {
    "CORE_SESSION_FORBIDDEN": "that wants a user who may: rxsdk auth WHO",
    "CORE_SESSION_INVALID_SESSION": "the kept session is no longer good: rxsdk auth WHO",
    "CORE_SESSION_SESSION_EXPIRED": "the kept session has run out: rxsdk auth WHO",
    "CORE_SESSION_INVALID_REAUTH_HASH": "the kept session is no longer good: rxsdk auth WHO",
}


def emulator_class(command: str) -> type[Emulator]:
    """The emulator, or the end with one line that says how to get it."""
    try:
        from rxsdk.emulator import Emulator  # noqa: PLC0415 - only here may it be missing
    except ImportError as error:
        if "rxsdk[emulator]" not in str(error):
            raise
        fail(command, str(error))
    return Emulator


def not_written(error: OSError) -> int:
    """Tell that the results could not be written (a full disk); returns the exit code."""
    tell(f"rxsdk: the results could not be written: {error.strerror or error}", "red")
    return FAILED


def flush(code: int) -> int:
    """Write what is left of the results; returns ``code``, or 1 when that fails."""
    if sys.stdout is None:  # closed by who started us
        return code
    try:
        sys.stdout.flush()
    except OSError as error:
        if not code and error.errno != errno.EPIPE:
            not_written(error)
        with contextlib.suppress(OSError):
            sys.stdout.close()  # else the interpreter tries once more, and says so in its own words
        return code or FAILED
    return code
