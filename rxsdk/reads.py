"""`Pages` and `Poll`: one call made again and again (by an `Asker`), as one stream.

Floor 3. What `ApiService.pages` and `ApiService.poll` return. Both are cold: each subscriber has calls of its own, made
when it subscribes, and leaving takes back the one that is on its way.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxsdk.config import SDKConfig
from rxsdk.core.clock import Timer
from rxsdk.errors import InvalidCall
from rxsdk.protocols.limp.request import Request, make_request
from rxsdk.protocols.limp.res import Query, Res
from rxsdk.reactive.call import Call
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Stream

if TYPE_CHECKING:
    from rxsdk.limp_life import LimpLife

__all__ = ["Asker", "Pages", "Poll", "attrs_of", "check_size", "check_without", "has_conditions"]

D = TypeVar("D")


class Pages(Stream[Res[D]]):
    """The pages of a collection, each a `Res`; see `ApiService.pages`::

        subscriber   ──────1───────2───────3|
        calls        ─1────╴2──────╴3           (╴ asked for when the page before it is handed over)

    One page is ahead at most. ``async for`` asks for the next but one when the next is taken, so a slow loop is a slow
    reader of the collection. It completes after the last page, and ends with a call's error.
    """

    def __init__(self, life: Life, ask: Callable[[int], Call[Any]], size: int) -> None:
        super().__init__(life.dispatcher, Observable(self._begin))
        self._ask = ask
        self._size = size

    def __repr__(self) -> str:
        return "<Pages>"

    def _begin(self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        run = _PageRun(self._ask, self._size, observer)
        run.ask()
        return Disposable(run.stop)

    async def __aiter__(self) -> AsyncGenerator[Res[D], None]:  # type: ignore[override]
        skip = 0
        ahead = self._ask(skip)
        try:
            while True:
                page = await ahead
                read = skip + len(page.docs)
                if _is_last(page, read, self._size):
                    break
                ahead = self._ask(read)
                yield page
                skip = read
        finally:
            ahead.cancel()
        if page.docs or not skip:
            yield page


def _is_last(page: Res[Any], read: int, size: int) -> bool:
    """Whether no page comes after this one. The server may give less than ``size`` at a time: ``total`` tells."""
    total = page.args.get("total")
    return not page.docs or (read >= total if isinstance(total, int) else len(page.docs) < size)


class _PageRun:
    """One subscriber of `Pages`. Called by the dispatcher, but for `stop`."""

    def __init__(self, ask: Callable[[int], Call[Any]], size: int, observer: abc.ObserverBase[Any]) -> None:
        self._ask = ask
        self._size = size
        self._observer = observer
        self._skip = 0
        self._call: Call[Any] | None = None
        self._is_stopped = False

    def ask(self) -> None:
        call = self._call = self._ask(self._skip)
        call.subscribe(self._on_page, self._observer.on_error)
        if self._is_stopped:  # in this moment
            call.cancel()

    def stop(self) -> None:
        self._is_stopped = True
        if self._call is not None:
            self._call.cancel()

    def _on_page(self, page: Res[Any]) -> None:
        if self._is_stopped:
            return
        is_first = not self._skip
        self._skip += len(page.docs)
        is_last = _is_last(page, self._skip, self._size)
        if not is_last:
            self.ask()
        if page.docs or is_first:
            self._observer.on_next(page)
        if is_last:
            self._observer.on_completed()


class Poll(Stream[Res[D]]):
    """The answers to a call made every so often; see `ApiService.poll`::

        subscriber   ───1─────2──────────3──
        calls        ─1─╴   2─╴   3──────╴4─    (never two at once: a late answer delays the next call)

    It ends with the error of a call: ``ops.retry()`` begins it anew. It completes when the service is closed.
    """

    def __init__(self, life: Life, ask: Callable[[], Call[Any]], every_s: float) -> None:
        super().__init__(life.dispatcher, Observable(self._begin))
        self._life = life
        self._ask = ask
        self._every_s = every_s

    def __repr__(self) -> str:
        return "<Poll>"

    def _begin(self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        run = _PollRun(self._life, self._ask, self._every_s, observer)
        run.begin()
        return Disposable(run.stop)


class _PollRun:
    """One subscriber of `Poll`: a call, or the timer of the next one."""

    def __init__(
        self, life: Life, ask: Callable[[], Call[Any]], every_s: float, observer: abc.ObserverBase[Any]
    ) -> None:
        self._life = life
        self._ask = ask
        self._every_s = every_s
        self._observer = observer
        self._call: Call[Any] | None = None
        self._timer: Timer | None = None
        self._due = 0.0
        self._is_stopped = False
        self._end: abc.DisposableBase | None = None

    def begin(self) -> None:
        # That the service closes is heard from its states; the call of the moment, if there is one, ends otherwise.
        self._end = self._life.states.subscribe(None, self._fail, self._complete)
        self.ask()

    def ask(self) -> None:
        if self._is_stopped:
            return
        if self._life.is_used:
            self._due = self._life.clock.now() + self._every_s
        call = self._call = self._ask()
        call.subscribe(self._on_answer, self._on_call_failed)
        if self._is_stopped:  # in this moment
            call.cancel()

    def stop(self) -> None:
        self._is_stopped = True
        if self._end is not None:
            self._end.dispose()
        if self._call is not None:
            self._call.cancel()
        if self._life.is_used:
            self._life.on_loop(self._cancel_timer, None)

    def _on_answer(self, answer: Res[Any]) -> None:
        if not self._is_stopped:
            self._observer.on_next(answer)
            self._life.on_loop(self._wait, None)

    def _wait(self, _: None) -> None:
        if not self._is_stopped:
            self._timer = self._life.clock.call_at(self._due, self.ask)

    def _cancel_timer(self, _: None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _on_call_failed(self, error: Exception) -> None:
        if self._life.is_open or not self._life.is_used:  # else it has closed, and its states say with what
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._is_stopped:
            self.stop()
            self._observer.on_error(error)

    def _complete(self) -> None:
        if not self._is_stopped:
            self.stop()
            self._observer.on_completed()


class Asker:
    """Makes one call again and again. Does not hold the service: a stream of calls does not keep it open.

    Raises:
        InvalidCall: these arguments cannot make a call.
    """

    def __init__(
        self,
        config: SDKConfig,
        inside: LimpLife,
        endpoint: str,
        query: Query | None,
        *,
        await_auth: bool,
        decode: Callable[[Any], Any] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._inside = inside
        self._decode = decode
        self._make = partial(
            make_request,
            endpoint,
            doc=None,
            await_auth=await_auth,
            sid=None,
            token=None,
            timeout_s=config.timeout_s,
            queue_timeout_s=config.queue_timeout_s,
            idempotent=None,
        )
        self._make(query=query)
        self._query = copy.deepcopy([] if query is None else list(query))

    def request(self, more: Sequence[Any] = ()) -> Request:
        """Another request, with ``more`` at the end of its query."""
        return self._make(query=[*self._query, *more])

    def __call__(self, more: Sequence[Any] = ()) -> Call[Any]:
        """Another call, on its way."""
        return self._inside.send(self.request(more), self._decode)


def check_size(endpoint: str, name: str, value: Any) -> None:
    """Raise `InvalidCall` unless ``value`` is a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidCall(endpoint, name, "must be a whole number of at least 1")


def attrs_of(query: Any) -> Iterator[str]:
    """The attributes that a query (one that can be sent) names, also within its ORs: conditions and special ones."""
    if isinstance(query, Mapping):
        for name, value in query.items():
            if name.startswith("__or"):
                yield from attrs_of(value)
            else:
                yield name
    elif isinstance(query, Sequence) and not isinstance(query, str):
        for item in query:
            yield from attrs_of(item)


def has_conditions(query: Query | None) -> bool:
    """Whether a document may be there and not be found by ``query``."""
    return any(not name.startswith("$") for name in attrs_of(query))


def check_without(endpoint: str, query: Query | None, attrs: Sequence[str], problem: str) -> None:
    """Raise `InvalidCall` where one of ``attrs`` is in the query."""
    for attr in attrs_of(query):
        if attr in attrs:
            raise InvalidCall(endpoint, "query", f"{attr} {problem}")
