"""``rxsdk upload`` and ``rxsdk download``: files on their way, with bars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rxsdk import ApiService, DownloadError, Q
from rxsdk.cli.bars import downloading
from rxsdk.cli.commands.call import Anonymous, DocOption, QueryOption, given_doc, given_query, make_call
from rxsdk.cli.ending import ending, tell
from rxsdk.cli.output import AsJson, print_line
from rxsdk.cli.server import Server, kept_session, takes_server
from rxsdk.cli.show import plain, size

__all__ = ["commands"]

commands = typer.Typer()

_UPLOAD_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk upload staff/create photo=ada.png --doc @ada.json
$ rxsdk upload album/update photos=1.png photos=2.png -q '\\[{"_id": "…"}]'
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


_DOWNLOAD_EXAMPLES = """\
[bold]Examples[/bold]
$ rxsdk download staff 6b010ddfd29b763591c9e7c0 photo
$ rxsdk download album 6b010ddfd29b763591c9e7c0 photos 2.png -o second.png
"""


@commands.command(epilog=_DOWNLOAD_EXAMPLES)
@takes_server
def download(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="staff, album …")],
    _id: Annotated[str, typer.Argument(metavar="ID", help="The document's _id.")],
    attr: Annotated[str, typer.Argument(metavar="ATTR", help="The attr that holds the file.")],
    server: Server,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name; asked for when not given.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="The file to write, or the folder to put it into.")
    ] = Path(),
    anonymous: Anonymous = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a file of a document, with a bar.

    The file appears when it is whole. One that broke off goes on where it was, if the server offers that.
    """
    with ending("download", as_json=as_json):
        config = server.config()

        async def work(api: ApiService) -> Path:
            call = api.download_to(output, module, _id, attr, name or await _name_of(api, module, _id, attr))
            with downloading(call.progress):
                return await call

        path = server.run(config, work, signed_in=not anonymous and kept_session(config) is not None)
        if as_json:
            print_line({"path": str(path), "size": path.stat().st_size})
        else:
            print(plain(str(path)))
            tell(f"{size(path.stat().st_size)} written", "dim")


async def _name_of(api: ApiService, module: str, _id: str, attr: str) -> str:
    """What the file is called, or the first of several."""
    docs = (await api.call(f"{module}/read", query=Q._id == _id)).docs
    found = docs[0].get(attr) if docs else None
    file = found[0] if isinstance(found, list) and found else found
    if not isinstance(file, dict) or not isinstance(file.get("name"), str):
        problem = f"has no file under {attr}" if docs else "is not there"
        raise DownloadError(api.file_url(module, _id, attr, "-").removesuffix("/-"), f"{module} {_id} {problem}")
    name: str = file["name"]
    return name
