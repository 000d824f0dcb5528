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

import rxsdk
from rxsdk import RxSdkError, SDKConfig
from rxsdk.cli.show import Screen, milliseconds, size
from rxsdk.cli.steps import STEPS
from rxsdk.cli.story import Step, StepFailed, StepSkipped, Story

__all__ = ["Failure", "play", "tell"]


@dataclass(frozen=True)
class Failure:
    """The step that failed, and why."""

    number: int
    title: str
    reason: str


def tell(
    config: SDKConfig, *, email: str, password: str, photo: Path, cut: Callable[[], None] | None = None
) -> Failure | None:
    """Tell the whole story on standard output. Returns the step that failed, None when there is none.

    Args: as `Story`.
    """
    screen = Screen()
    facts = {
        "server": f"{config.api}{', emulated in this process' if cut else ''}",
        "file": f"{photo.name}, {size(photo.stat().st_size)}",
    }
    screen.head(f"The life of a LIMP client, by rxsdk {rxsdk.__version__}", facts)
    if config.leaves_machine_unencrypted:
        screen.note("ws:// to another machine: the password travels readably. Use wss:// for all that matters.")
    started = time.perf_counter()

    async def tell_it() -> Failure | None:
        return await play(Story(config, email=email, password=password, photo=photo, screen=screen, cut=cut))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is not encrypted")  # said above
        failure = asyncio.run(tell_it())
    if failure is None:
        seconds = milliseconds(time.perf_counter() - started)
        screen.end("✓", f"All {len(STEPS)} steps did what they should, in {seconds}.")
    return failure


async def play(story: Story, steps: tuple[Step, ...] = STEPS) -> Failure | None:
    """Run the steps in order. Returns the one that failed, None when every step did what it should."""
    failure = None
    try:
        for number, step in enumerate(steps, 1):
            story.screen.step(number, step.title, step.code)
            reason = await _try(story, step)
            if reason is not None:
                failure = Failure(number, step.title, reason)
                await _tidy(story)
                break
    finally:
        story.is_told = False
        await story.api.close()
    if failure is not None:
        rest = {number: step.title for number, step in enumerate(steps, 1) if number > failure.number}
        story.screen.skipped(rest)
    return failure


async def _try(story: Story, step: Step) -> str | None:
    """Why the step failed, or None."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        story.screen.proven(await step.run(story), loop.time() - started)
    except StepSkipped as skipped:
        story.screen.note(str(skipped))
    except Exception as error:
        reason = str(error) if isinstance(error, (StepFailed, RxSdkError)) else f"{type(error).__name__}: {error}"
        story.screen.failed(reason)
        return reason
    return None


async def _tidy(story: Story) -> None:
    try:
        await story.tidy()
    except RxSdkError as error:
        story.screen.note(f"That failed too: {error}")
