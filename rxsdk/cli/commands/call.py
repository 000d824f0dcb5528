"""``rxsdk call``: one call, its reply on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rxsdk import ApiService, Doc, NoCredentials, Res
from rxsdk.cli.bars import uploading
from rxsdk.cli.ending import ending, tell
from rxsdk.cli.output import AsJson, print_line, print_res, reply_of
from rxsdk.cli.server import Server, kept_session, takes_server
from rxsdk.cli.show import milliseconds

__all__ = ["Anonymous", "DocOption", "QueryOption", "commands", "given_doc", "given_query", "make_call"]

commands = typer.Typer()

QueryOption = Annotated[
    str | None,
    typer.Option("--query", "-q", metavar="JSON", help="A list, such as '[{\"rank\": 1}]'; @FILE, or - for stdin."),
]
DocOption = Annotated[str | None, typer.Option("--doc", "-d", metavar="JSON", help="An object; @FILE, or - for stdin.")]
Anonymous = Annotated[bool, typer.Option("--anonymous", help="Do not use the session that is kept.")]

_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk call staff/read
$ rxsdk call staff/read -q '[{"rank": 1}, {"$limit": 5}]' --json | jq .args
$ rxsdk call staff/create --doc @ada.json --file photo=ada.png
$ rxsdk call album/create -d @album.json -f photos=1.png -f photos=2.png
$ echo '{"rank": 2}' | rxsdk call album/update -q '[{"_id": "…"}]' --doc -
"""


@commands.command(epilog=_EXAMPLES)
@takes_server
def call(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="module/method")],
    server: Server,
    query: QueryOption = None,
    doc: DocOption = None,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", metavar="ATTR=PATH", help="A file for an attr of the doc; may be given again."),
    ] = None,
    await_auth: Annotated[bool, typer.Option("--await-auth", help="Only as somebody who is signed in.")] = False,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
) -> None:
    """Call ENDPOINT and print its reply: the documents for people, or with --json the whole of it.

    As whoever is signed in (rxsdk auth), else as nobody. Tokens and hashes in the reply are shown as <redacted>.
    """
    asked, sent = given_query(query), given_doc(doc, file)
    with ending("call", as_json=as_json):
        make_call(server, endpoint, asked, sent, must_be_authed=await_auth, anonymous=anonymous, as_json=as_json)


def make_call(
    server: Server,
    endpoint: str,
    query: Any,
    doc: dict[str, Any] | None,
    *,
    must_be_authed: bool = False,
    anonymous: bool = False,
    as_json: bool,
) -> None:
    """Call ``endpoint`` as whoever is signed in, with a bar for each file, and print the reply."""
    config = server.config()
    is_known = not anonymous and kept_session(config) is not None
    if must_be_authed and not is_known:
        raise NoCredentials

    async def work(api: ApiService) -> tuple[Res[Doc], float]:
        started = time.perf_counter()
        call = api.call(endpoint, query=query, doc=doc, await_auth=must_be_authed)
        with uploading(call.progress):
            res = await call
        return res, time.perf_counter() - started

    res, seconds = server.run(config, work, signed_in=is_known)
    if as_json:
        print_line(reply_of(res))
    else:
        print_res(res)
        tell(f"{res.status} {res.msg} ({milliseconds(seconds)})", "dim")


def given_query(text: str | None) -> Any:
    """What ``--query`` says; raises `typer.BadParameter` when that is not a list."""
    query = _json("--query", text)
    if query is not None and not isinstance(query, list):
        raise typer.BadParameter('must be a JSON list, such as [{"_id": "…"}]', param_hint="--query")
    return query


def given_doc(text: str | None, files: list[str] | None, option: str = "--file") -> dict[str, Any] | None:
    """What ``--doc`` and the files say together; raises `typer.BadParameter` when that makes no document."""
    doc = _json("--doc", text)
    if doc is not None and not isinstance(doc, dict):
        raise typer.BadParameter('must be a JSON object, such as {"name": "…"}', param_hint="--doc")
    found = _files(files or [], option)
    twice = ", ".join(found.keys() & (doc or {}).keys())
    if twice:
        raise typer.BadParameter(f"{twice} is in --doc too", param_hint=option)
    return {**(doc or {}), **found} if doc is not None or found else None


def _files(given: list[str], option: str) -> Mapping[str, Any]:
    found: dict[str, list[Path]] = {}
    for one in given:
        attr, equals, path = one.partition("=")
        if not attr or not equals or not path:
            raise typer.BadParameter(f"{one!r} is not ATTR=PATH", param_hint=option)
        if not Path(path).is_file():
            raise typer.BadParameter(
                f"{path}: {'is not a file' if Path(path).exists() else 'no such file'}", param_hint=option
            )
        found.setdefault(attr, []).append(Path(path))
    return {attr: paths[0] if len(paths) == 1 else paths for attr, paths in found.items()}


def _json(option: str, text: str | None) -> Any:
    """The JSON in ``text``, in the file it names with ``@``, or on standard input for ``-``."""
    if text is None:
        return None
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise typer.BadParameter(f"is not JSON: {error.msg} at {place}", param_hint=option) from None
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or 'standard input'}: {error.strerror}", param_hint=option) from None
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"cannot be read: {error}", param_hint=option) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
