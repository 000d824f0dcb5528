"""``python -m tests.benchmarks``: run the rows and print them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rxsdk.core.transport import has_picows
from tests.benchmarks.measure import Result, paired, table
from tests.benchmarks.rows import ROWS, Row
from tests.benchmarks.sides import server_process

REPETITIONS = 5

LEGEND = """
ours     what a unit costs with rxsdk: of the client's process alone, all its threads, the server not counted
floor    the same work written by hand for this purpose only, on the same transport, msgspec and an HMAC, without what
         rxsdk does besides (deadlines, reconnects, mailboxes, redaction); in a row "against …", what is named there
ratio    ours / floor: the median over the pairs of runs, and from the lowest to the highest of them
target   the highest ratio that is wanted; "over" where it is not met

Read the ratios: the times are those of this machine and of what else it does. One pair (--quick) says little.
Where a µs goes: python -m tests.benchmarks.profile
"""


def run(rows: Sequence[Row], *, repetitions: int, quick: bool) -> list[Result]:
    """Measure one row after the other; progress goes to a terminal's standard error."""
    results = []
    with server_process() as url:
        for row in rows:
            if sys.stderr.isatty():
                print(f"\r\x1b[K{row.name} …", end="", file=sys.stderr, flush=True)
            with row.open(url, quick) as (ours, floor):
                units = row.quick_units if quick else row.units
                times = min(repetitions, row.repetitions)
                results.append(
                    Result(row.name, row.unit, *paired(ours, floor, units=units, repetitions=times), row.target)
                )
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return results


def main() -> int:
    """Exits 0 when every row was measured, whether or not it met its target; 2 when no row has the name."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="What a unit of work costs: rxsdk beside a floor without any framework.",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as a JSON list")
    parser.add_argument("--quick", action="store_true", help="little work, once: to see that everything runs")
    parser.add_argument("--row", metavar="NAME", action="append", help="only rows with this in their name; may repeat")
    parser.add_argument("--repetitions", type=int, help=f"pairs a row (default {REPETITIONS}; 1 when quick)")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.row or any(name in row.name for name in arguments.row)]
    if not rows:
        parser.error("no row has that in its name; there are:\n  " + "\n  ".join(row.name for row in ROWS))
    if not has_picows():
        rows, left_out = [row for row in rows if not row.needs_picows], [row for row in rows if row.needs_picows]
        for row in left_out:
            print(f"left out, for picows is not installed (extra `fast`): {row.name}", file=sys.stderr)
    repetitions = arguments.repetitions or (1 if arguments.quick else REPETITIONS)
    results = run(rows, repetitions=max(1, repetitions), quick=arguments.quick)
    if arguments.json:
        print(json.dumps([result.as_json() for result in results], indent=2))
    else:
        print(table(results))
        print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(main())
