"""``python -m rxsdk``: the command line."""

from rxsdk.cli import main

main()
