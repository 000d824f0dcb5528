"""``rxsdk demo``: the whole life of a LIMP client, told step by step.

Part of the command line. `tell` plays the steps of `rxsdk.cli.steps` in order on one event loop, shows them and what
the wire carried, and stops at the first that fails.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

import rxsdk
from rxsdk import RxSdkError, SDKConfig
from rxsdk.cli.output import print_line
from rxsdk.cli.show import Screen, milliseconds, size
from rxsdk.cli.steps import STEPS
from rxsdk.cli.story import Step, StepFailed, StepSkipped, Story

__all__ = ["Outcome", "play", "tell"]


@dataclass(frozen=True)
class Outcome:
    """What came of a step: what it proved, why it failed, or why it was not made."""

    step: int
    title: str
    outcome: Literal["ok", "failed", "skipped"]
    said: str = ""
    seconds: float = 0.0


def tell(
    config: SDKConfig,
    *,
    email: str,
    password: str,
    photo: Path,
    cut: Callable[[], None] | None = None,
    as_json: bool = False,
) -> Outcome | None:
    """Tell the whole story on standard output. Returns the step that failed, None when there is none.

    Args:
        email, password, photo, cut: as of `Story`.
        as_json: an `Outcome` a line, and nothing else.
    """
    screen = Screen(Console(quiet=True) if as_json else None)
    facts = {
        "server": f"{config.api}{', emulated in this process' if cut else ''}",
        "file": f"{photo.name}, {size(photo.stat().st_size)}",
    }
    screen.head(f"The life of a LIMP client, by rxsdk {rxsdk.__version__}", facts)
    if config.leaves_machine_unencrypted:
        screen.note("ws:// to another machine: the password travels readably. Use wss:// for all that matters.")
    started = time.perf_counter()

    async def tell_it() -> Outcome | None:
        story = Story(config, email=email, password=password, photo=photo, screen=screen, cut=cut)
        return await play(story, told=print_line if as_json else None)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is not encrypted")  # said above
        failure = asyncio.run(tell_it())
    if failure is None:
        seconds = milliseconds(time.perf_counter() - started)
        screen.end("✓", f"All {len(STEPS)} steps did what they should, in {seconds}.")
    return failure


async def play(
    story: Story, steps: tuple[Step, ...] = STEPS, told: Callable[[Outcome], None] | None = None
) -> Outcome | None:
    """Run the steps in order. Returns the one that failed, None when every step did what it should.

    Args:
        told: is called with the outcome of each, also of those that were not made.
    """
    failure = None
    try:
        for number, step in enumerate(steps, 1):
            if failure is None:
                story.screen.step(number, step.title, step.code)
                outcome = await _try(story, number, step)
            else:
                outcome = Outcome(number, step.title, "skipped", f"step {failure.step} failed")
            if told is not None:
                told(outcome)
            if outcome.outcome == "failed":
                failure = outcome
                await _tidy(story)
    finally:
        story.is_told = False
        await story.api.close()
    if failure is not None:
        story.screen.skipped({number: step.title for number, step in enumerate(steps, 1) if number > failure.step})
    return failure


async def _try(story: Story, number: int, step: Step) -> Outcome:
    """Make the step, and show what came of it."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        proven = await step.run(story)
    except StepSkipped as skipped:
        story.screen.note(str(skipped))
        return Outcome(number, step.title, "skipped", str(skipped))
    except Exception as error:
        reason = str(error) if isinstance(error, (StepFailed, RxSdkError)) else f"{type(error).__name__}: {error}"
        story.screen.failed(reason)
        return Outcome(number, step.title, "failed", reason, round(loop.time() - started, 6))
    seconds = loop.time() - started
    await asyncio.sleep(0)  # what the tap saw until now it tells in this turn
    story.screen.proven(proven, seconds)
    return Outcome(number, step.title, "ok", proven, round(seconds, 6))


async def _tidy(story: Story) -> None:
    try:
        await story.tidy()
    except RxSdkError as error:
        story.screen.note(f"That failed too: {error}")
