"""The one command before a commit: ``python -m tests.check`` formats, lints, types and tests.

``--ci`` changes nothing and fails where formatting would change something; it also measures branch coverage and holds
the floors of the design, and a test that was skipped is a failure.
"""

from __future__ import annotations

import subprocess
import sys
import time

FORMAT = ["ruff", "format", "."]
LINT = ["ruff", "check", "."]
TYPES = ["mypy"]
TESTS = ["pytest", "-q", "-n", "auto", "-m", "not alone"]
MEASURES = ["pytest", "-q", "-m", "alone"]
COVERED = {"rxsdk/protocols/*,rxsdk/core/*,rxsdk/reactive/*": 100, "rxsdk/*": 95}


def commands(*, ci: bool) -> list[list[str]]:
    """What is run, in order."""
    if not ci:
        return [FORMAT, [*LINT, "--fix"], TYPES, TESTS, MEASURES]
    coverage = [
        ["coverage", "report", f"--include={where}", f"--fail-under={floor}"] for where, floor in COVERED.items()
    ]
    covered = [["coverage", "run", "-m", *tests, "--no-skip"] for tests in (TESTS, MEASURES)]
    return [[*FORMAT, "--check"], LINT, TYPES, *covered, ["coverage", "combine", "--quiet"], *coverage]


def main() -> int:
    """Run them all; the first that fails ends it with its exit code."""
    for command in commands(ci="--ci" in sys.argv[1:]):
        print(f"\n$ {' '.join(command)}", flush=True)
        started = time.monotonic()
        code = subprocess.run([sys.executable, "-m", *command], check=False).returncode
        if code:
            print(f"{command[0]} failed ({code}) after {time.monotonic() - started:.0f} s")
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
