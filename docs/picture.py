"""``python -m docs.picture [FILE]``: the picture in the README, made of a real run of ``rxsdk demo``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parent / "demo.svg"
WIDTH = 96
STEPS = (3, 4, 7, 8)
"""The steps that are shown; the others are like them."""


def run() -> str:
    """``rxsdk demo``, with its colours."""
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "PYTHONUTF8": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | colours
    done = subprocess.run(
        [sys.executable, "-m", "rxsdk", "demo"], stdout=subprocess.PIPE, encoding="utf-8", env=environment, check=True
    )
    return done.stdout


def chosen(run: str) -> Text:
    """The first lines, the steps of `STEPS`, and the last line."""
    head, *steps, end = Text.from_ansi(run.rstrip()).split("\n\n")
    lines = [Text("$ rxsdk demo", style="bold"), head]
    for step in steps:
        number = re.match(r" ?(\d+)  ", step.plain)
        if number and int(number[1]) in STEPS:
            lines.append(step)
    return Text("\n\n").join([*lines, end])


def picture(text: Text) -> str:
    """``text`` in a terminal, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title="rxsdk demo", theme=MONOKAI)
    return re.sub(
        r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL
    )  # a picture fetches nothing: the reader's own font


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    target.write_text(picture(chosen(run())), "utf-8")
    print(f"Wrote {target}")
