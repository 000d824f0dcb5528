"""The benchmarks run and give every row; how fast anything is, is not tested here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from rxsdk.core.transport import has_picows
from tests.benchmarks import profile, profile_one
from tests.benchmarks.__main__ import main
from tests.benchmarks.measure import Result
from tests.benchmarks.rows import Row
from tests.benchmarks.sides import server_process

ROOT = Path(__file__).parents[2]

ROWS = [
    "one call at a time, await, running loop, websockets",
    "one call at a time, result, own thread, websockets",
    "1 000 in flight, subscribe, running loop, websockets",
    "1 000 in flight, await, running loop, websockets",
    "10 000 in flight against 100, subscribe, running loop, websockets",
    "watch event, one subscriber, running loop, websockets",
    "watch event, 100 watches, running loop, websockets",
    "watch event, 100 subscribers, running loop, websockets",
    "upload of 16 MiB, running loop, websockets",
    "one call at a time, await, running loop, picows",
    "1 000 in flight, subscribe, running loop, picows",
    "1 000 in flight, await, running loop, picows",
    "watch event, one subscriber, running loop, picows",
    "upload of 16 MiB, running loop, picows",
    "import rxsdk against what it is made of",
    "1 000 connected instances, memory, running loop, websockets",
    "1 000 connected instances, idle, running loop, websockets",
    "growth, the last of 1 000 000 calls against 1 000, running loop, websockets",
    "growth, watch event, 10 000 watches against 1, running loop, websockets",
    "growth, one call at a time, 1 000 instances against 1, running loop, websockets",
]


def _benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


def test_the_quick_form_gives_every_row_with_sane_numbers() -> None:
    done = _benchmarks("--quick", "--json")
    assert done.returncode == 0, done.stderr
    expected = [row for row in ROWS if has_picows() or not row.endswith("picows")]
    assert [line.rpartition(": ")[2] for line in done.stderr.splitlines()] == [
        row for row in ROWS if row not in expected
    ]
    rows = json.loads(done.stdout)
    assert [row["row"] for row in rows] == expected
    for row in rows:
        assert set(row) == {"row", "ours", "floor", "ratio", "target", "ok"}
        assert all(math.isfinite(row[key]) and row[key] > 0 for key in ("ours", "floor", "ratio", "target"))
        assert row["ok"] is (row["ratio"] <= row["target"])


def test_one_row_as_a_table() -> None:
    done = _benchmarks("--quick", "--row", "watch event, one subscriber, running loop, websockets")
    assert done.returncode == 0, done.stderr
    head, rule, line, *legend = done.stdout.splitlines()
    assert head.split()[-4:] == ["floor", "ratio", "lowest–highest", "target"]
    assert set(rule) == {"─"}
    assert line.startswith("watch event, one subscriber")
    assert {word for word in ("ours", "floor", "ratio", "target") if any(told.startswith(word) for told in legend)} == {
        "ours",
        "floor",
        "ratio",
        "target",
    }


def test_an_unknown_row_is_named_with_those_there_are() -> None:
    done = _benchmarks("--row", "nothing like this")
    assert done.returncode == 2
    assert "one call at a time" in done.stderr


def test_without_picows_its_rows_are_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []

    def measure(rows: Sequence[Row], **_: object) -> list[Result]:
        measured.extend(row.name for row in rows)
        return []

    monkeypatch.setattr("tests.benchmarks.__main__.has_picows", lambda: False)
    monkeypatch.setattr("tests.benchmarks.__main__.run", measure)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--json"])
    assert main() == 0
    assert measured == [row for row in ROWS if not row.endswith("picows")]
    assert capsys.readouterr().err.count("picows is not installed") == len(ROWS) - len(measured) > 0


@pytest.mark.parametrize("unit", ["event", "call"])
def test_the_stages_of_a_profile_are_the_whole(unit: Literal["event", "call"], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "ROUNDS", 1)
    with server_process() as url:
        stages, floor = profile.profile(url, "websockets", unit)
    assert list(stages) == list(profile.STAGES)
    assert (stages["make the call"] > 0) == (unit == "call")
    assert min(stages["JSON to Res"], stages["hand up, deliver"], floor) > 0


def test_a_call_takes_its_time_in_every_span(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_one, "ROUNDS", 1)
    monkeypatch.setattr(profile_one, "CALLS", 20)
    profile_one.main()
    _, *lines, whole = capsys.readouterr().out.splitlines()
    assert len(lines) == len(profile_one.SPANS)
    assert all(float(number) > 0 for line in lines for number in line.split()[-2:]), lines
    assert whole.startswith("all")
