"""``python -m docs [FOLDER]``: the documentation as HTML, by default in ``build/docs``. Needs the extra ``docs``."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

import rxsdk

HERE = Path(__file__).parent
MODULES = (
    "docs.guide",
    "rxsdk",
    "rxsdk.cache",
    "rxsdk.chat",
    "rxsdk.desktop",
    "rxsdk.emulator",
    "rxsdk.errors",
    "rxsdk.notebook",
    "rxsdk.operators",
    "rxsdk.sylk",
    "rxsdk.testing",
    "rxsdk.typegen",
)
"""What users write against. The floors beneath are for who works on rxsdk, and are read in the source."""


def build(folder: Path) -> None:
    """Write every page into ``folder``."""
    import pdoc.render  # noqa: PLC0415 - the extra "docs"

    for name in rxsdk.__all__:
        getattr(rxsdk, name)  # pdoc sees what has been imported
    pdoc.render.configure(
        docformat="google", template_directory=HERE / "template", footer_text="rxsdk", show_source=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Error parsing type annotation"
        )  # names for type checkers only: shown as text
        pdoc.pdoc(*MODULES, output_directory=folder)
    for page in folder.rglob("*.html"):
        page.write_text(_mended(page.read_text("utf-8")), "utf-8")


def _mended(page: str) -> str:
    """``…::`` before code, as docstrings have it, is ``…:`` in Markdown; a link to what is not there is none."""
    there = set(re.findall(r'\bid="([^"]+)"', page))
    page = page.replace("::</p>", ":</p>")
    return re.sub(r'<a href="#([^"]+)">([^<]*)</a>', lambda link: link[0] if link[1] in there else link[2], page)


def main() -> int:
    """Build, and say where it is."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs")
    try:
        build(folder)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pdoc":
            raise
        print("python -m docs needs pdoc: pip install 'rxsdk[docs]'", file=sys.stderr)
        return 1
    print(f"Wrote {folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
