"""``rxsdk upload``: files on their way, with bars."""

from __future__ import annotations

from typing import Annotated

import typer

from rxsdk.cli.commands.call import Anonymous, DocOption, QueryOption, given_doc, given_query, make_call
from rxsdk.cli.ending import ending
from rxsdk.cli.output import AsJson
from rxsdk.cli.server import Server, takes_server

__all__ = ["commands"]

commands = typer.Typer()

_UPLOAD_EXAMPLES = """\
[bold]Examples[/bold]
  rxsdk upload staff/create photo=ada.png --doc @ada.json
  rxsdk upload album/update photos=1.png photos=2.png -q '\\[{"_id": "…"}]'
"""


@commands.command(epilog=_UPLOAD_EXAMPLES)
@takes_server
def upload(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The call they are for: module/method.")],
    files: Annotated[list[str], typer.Argument(metavar="ATTR=PATH…", help="Each file, with its attr of the doc.")],
    server: Server,
    doc: DocOption = None,
    query: QueryOption = None,
    anonymous: Anonymous = False,
    as_json: AsJson = False,
) -> None:
    """Send files, with a bar for each, and then the call they are for.

    The same as rxsdk call ENDPOINT --file …: nothing is created or changed before every file is there whole.
    """
    asked, sent = given_query(query), given_doc(doc, files, "ATTR=PATH")
    with ending("upload", as_json=as_json):
        make_call(server, endpoint, asked, sent, anonymous=anonymous, as_json=as_json)
