"""`Lanes`: which call is on which `Lane`, and who waits for one.

Floor 2. A lane is opened when first wanted and closed when nobody has used it for a while.

The server keeps chunks per connection and attribute and gives whatever it has of an attribute to the next call that
names it (limp.md, "Files"). Hence the two rules kept here: two calls are on one lane together only when neither names
an attribute that the other uploads; and a lane that a call has left without success takes no further calls and is
closed when the last one on it is done, so that no leftover meets anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxsdk.core.clock import Timer, done_within
from rxsdk.errors import CallNotSent, ConnectionLost
from rxsdk.files.job import StartsOver
from rxsdk.files.lane import Claim, Lane, LaneSettings
from rxsdk.reactive.life import Life

__all__ = ["Lanes"]

_IDLE_S = 30.0


@dataclass(eq=False)
class _Turn:
    """A call that waits for a lane."""

    claim: Claim
    lane: asyncio.Future[Lane]


class Lanes:
    """All lanes of one service, and who waits for one; everything on the loop."""

    def __init__(self, settings: LaneSettings, life: Life, session: Callable[[], Any]) -> None:
        self._settings = settings
        self._life = life
        self._session = session
        self._lanes: list[Lane] = []
        self._turns: list[_Turn] = []
        self._idle: dict[Lane, Timer] = {}

    async def take(self, claim: Claim, endpoint: str, timeout_s: float | None) -> Lane:
        """A lane that is ready and free for ``claim``, until `leave`.

        Raises:
            CallNotSent: there was none within ``timeout_s``, or none can be opened; it says why.
            StartsOver: it was lost in the very moment in which it was given.
        """
        give_up_at = None if timeout_s is None else self._life.clock.now() + timeout_s
        turn = _Turn(claim, self._life.lease.loop.create_future())
        self._turns.append(turn)
        self._give()
        try:
            if not await done_within(self._life.clock, timeout_s, turn.lane):
                who = ", ".join(sorted(claim.files))
                raise CallNotSent(endpoint, f"other uploads to {who} took more than {timeout_s:g} s")
            lane = turn.lane.result()
            left_s = None if give_up_at is None else max(0.0, give_up_at - self._life.clock.now())
            if not await done_within(self._life.clock, left_s, lane.ready):
                raise _none_opened(endpoint, f"within {timeout_s:g} s", lane.trouble)
            if not lane.ready.result():
                raise _none_opened(endpoint, "", lane.lost)
            if lane.lost is not None:
                raise StartsOver from lane.lost
        except BaseException:
            self._turns = [one for one in self._turns if one is not turn]
            if turn.lane.done():
                self.leave(turn.lane.result(), claim, clean=True)
            else:
                self._give()  # those behind it may have waited for it alone
            raise
        return lane

    def leave(self, lane: Lane, claim: Claim, *, clean: bool) -> None:
        """Done; not ``clean`` when the server may have kept something of it."""
        lane.claims.discard(claim)
        lane.is_retired = lane.is_retired or not clean
        if not lane.claims and lane.lost is None:
            if lane.is_retired:
                lane.end(ConnectionLost("no longer wanted"))
            else:
                self._idle[lane] = self._life.clock.call_at(self._life.clock.now() + _IDLE_S, lambda: self._tire(lane))
        self._give()

    def retire(self) -> None:
        """The session has changed: whoever comes now gets a lane with the new one."""
        for lane in list(self._lanes):
            lane.is_retired = True
            if not lane.claims:
                lane.end(ConnectionLost("no longer wanted"))

    def end(self, *, awaited: bool) -> list[asyncio.Task[None]]:
        """End all; returns what is to be waited for, if anything can be ``awaited``.

        Whoever waits for a lane has been interrupted: he is not to have another opened.
        """
        self._turns.clear()
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        lanes = list(self._lanes)
        for lane in lanes:
            if awaited:
                lane.end(ConnectionLost("closed"))
            else:
                lane.cut_off()
        return [task for lane in lanes for task in lane.ending]

    def _give(self) -> None:
        """Let in who can be, those who have waited longest first."""
        waiting: list[_Turn] = []
        for turn in self._turns:
            lane = self._free_for(turn.claim) if all(turn.claim.fits(one.claim) for one in waiting) else None
            if lane is None:
                waiting.append(turn)
                continue
            lane.claims.add(turn.claim)
            if lane in self._idle:
                self._idle.pop(lane).cancel()
            turn.lane.set_result(lane)
        self._turns = waiting

    def _free_for(self, claim: Claim) -> Lane | None:
        lanes = [lane for lane in self._lanes if lane.lost is None and not lane.is_retired]
        for lane in lanes:
            if all(claim.fits(other) for other in lane.claims):
                return lane
        if len(lanes) >= self._settings.most:
            return None
        lane = Lane(self._settings, self._life, self._session(), self._ended)
        self._lanes.append(lane)
        return lane

    def _tire(self, lane: Lane) -> None:
        del self._idle[lane]
        lane.end(ConnectionLost("no longer wanted"))

    def _ended(self, lane: Lane) -> None:
        """It ends, or has ended: then it is forgotten."""
        if lane in self._idle:
            self._idle.pop(lane).cancel()
        if not lane.ending and lane in self._lanes:
            self._lanes.remove(lane)
        self._give()


def _none_opened(endpoint: str, when: str, why: Exception | None) -> CallNotSent:
    text = f"no connection for its files could be opened {when}".rstrip()
    error = CallNotSent(endpoint, text if why is None else f"{text}: {why}")
    error.__cause__ = why
    return error
