"""``python -m rxsdk.cli``."""

from rxsdk.cli import main

main()
