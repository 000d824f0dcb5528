"""What can be shown live: a stream as a table, a call as its progress, the connection as a badge.

A leaf. A view is started with a function to call when it has changed, says with `html` what there is to see now, and
ends by itself (`is_over`) or when what `start` returned is disposed. Streams call it on their thread, the painter asks
it on another; a lock keeps the two apart. It knows nothing of notebooks: `rxsdk.notebook.cells` shows it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable

from rxsdk.changes import Change, Created, Deleted, Gap, Snapshot, Updated
from rxsdk.core.state import ConnectionState
from rxsdk.limp import ApiService
from rxsdk.notebook.html import Child, Html, framed, tag
from rxsdk.notebook.tables import MOST_ROWS, as_doc, counted, pill, reply, size_text, table_of
from rxsdk.protocols.limp.res import Res, redact
from rxsdk.reactive.call import Call
from rxsdk.reactive.progress import UploadProgress

__all__ = ["Badge", "Live", "Progress", "View"]

_LOG_LENGTH = 20
_TONES = {
    "ready": "good",
    "connecting": "wait",
    "verifying": "wait",
    "authenticating": "wait",
    "reconnecting": "wait",
    "failed": "bad",
}


class View(Protocol):
    """See the module."""

    is_over: bool

    @property
    def ticks(self) -> bool:
        """Whether it changes by time alone, and wants to be asked every second."""

    def start(self, changed: Callable[[], None]) -> abc.DisposableBase:
        """Subscribe; from now on ``changed`` is called when there is something new to see."""

    def html(self) -> Html:
        """What there is to see now."""


class Live:
    """A stream as a live table.

    What comes decides what is shown: messages and changes of a watch create, change and take away rows; a list of
    documents is the whole table; one document with an ``_id`` is a row of it; anything else becomes a log.
    """

    ticks = False

    def __init__(self, source: Observable[Any], title: str) -> None:
        self._source = source
        self._title = title
        self._lock = threading.Lock()
        self._rows: dict[Any, dict[str, Any]] = {}
        self._changed: dict[Any, None] = {}  # since they came all together; the latest last
        self._shown: dict[Any, dict[str, Any]] = {}
        self._log: deque[tuple[float, str]] = deque(maxlen=_LOG_LENGTH)
        self._count = 0
        self._gaps = 0
        self._error: Exception | None = None
        self.is_over = False

    def start(self, changed: Callable[[], None]) -> abc.DisposableBase:
        """See `View`."""

        def on_next(value: Any) -> None:
            self.take(value)
            changed()

        def on_end(error: Exception | None = None) -> None:
            self.end(error)
            changed()

        return self._source.subscribe(on_next, on_end, on_end)

    def take(self, value: Any) -> None:
        """One more value."""
        with self._lock:
            self._count += 1
            self._take(value)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes."""
        with self._lock:
            self._error, self.is_over = error, True

    def html(self) -> Html:
        """See `View`."""
        with self._lock:
            if self._error is not None:
                state = pill("bad", "failed")
            else:
                state = pill("off", "ended") if self.is_over else pill("good", "live")
            body = self._log_table() if self._log else self._table()
            counts = self._counts()
        head = tag(
            "div",
            state,
            tag("span", self._title, class_="rx-name"),
            tag("span", counts, class_="rx-muted"),
            class_="rx-head",
        )
        error = None if self._error is None else tag("div", _named(self._error), class_="rx-foot rx-bad")
        return framed(tag("div", head, body, error, class_="rx-card"))

    def _counts(self) -> str:
        if self._log:
            return counted(self._count, "value")
        gaps = f" · {counted(self._gaps, 'gap')}" if self._gaps else ""
        return f"{counted(len(self._rows), 'doc')} · {counted(self._count, 'message')}{gaps}"

    def _table(self) -> Html:
        rows = self._rows
        if len(rows) > MOST_ROWS:  # what changes is seen
            rows = {key: rows[key] for key in reversed(self._changed)} | rows
        before, self._shown = self._shown, dict(islice(rows.items(), MOST_ROWS))
        if not rows:
            return tag("div", "Nothing yet.", class_="rx-empty")
        # The first rows are no change.
        fresh = [n for n, (key, doc) in enumerate(self._shown.items()) if before and before.get(key) != doc]
        return table_of(list(rows.values()), fresh=fresh)

    def _log_table(self) -> Html:
        rows: list[Mapping[str, Any]] = [
            {"time": time.strftime("%H:%M:%S", time.localtime(at)), "value": text} for at, text in reversed(self._log)
        ]
        return table_of(rows)

    def _take(self, value: Any) -> None:
        if isinstance(value, Res):
            self._take_res(value)
            return
        if isinstance(value, (Snapshot, Created, Updated, Deleted, Gap)):
            self._take_change(value)
            return
        many = list(value.values()) if isinstance(value, Mapping) and "_id" not in value else value
        if isinstance(many, (list, tuple)) and len(rows := _keyed(many)) == len(many):
            self._replace(rows)
        elif row := _keyed([value]):
            self._put(*row.popitem())
        else:
            self._log.append((time.time(), repr(redact(value))))

    def _take_change(self, change: Change[Any]) -> None:
        if isinstance(change, Gap):
            self._gaps += 1
        elif isinstance(change, Snapshot):
            self._replace({key: _plain(doc) or {} for key, doc in change.docs.items()})
        elif isinstance(change, Deleted):
            self._remove(change.id)
        else:
            self._put(change.id, _plain(change.doc) or {})

    def _take_res(self, res: Res[Any]) -> None:
        operation = res.args.get("oper")
        if operation == "delete":
            for key in _keyed(res.docs):
                self._remove(key)
        elif operation is not None:
            for key, doc in _keyed(res.docs).items():
                self._put(key, {**self._rows.get(key, {}), **doc})
        elif "watch" not in res.args:
            self._replace(_keyed(res.docs))

    def _replace(self, rows: dict[Any, dict[str, Any]]) -> None:
        self._rows, self._changed = rows, {}

    def _put(self, key: Any, doc: dict[str, Any]) -> None:
        self._rows[key] = doc
        self._changed.pop(key, None)
        self._changed[key] = None

    def _remove(self, key: Any) -> None:
        self._rows.pop(key, None)
        self._changed.pop(key, None)


class Progress:
    """A call: its files going up, then its reply; a watch becomes `Live`."""

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._files: dict[tuple[str, int], UploadProgress] = {}
        self._started = time.monotonic()
        self._reply: Any = None
        self._error: Exception | None = None
        self._live: Live | None = None
        self.ticks = True
        self.is_over = False

    def start(self, changed: Callable[[], None]) -> abc.DisposableBase:
        """See `View`."""

        def on_next(value: Any) -> None:
            with self._lock:
                self._reply, self.ticks = value, False
                if self._live is None and isinstance(value, Res) and "watch" in value.args:
                    self._live = Live(self._call, self._call.endpoint)
            if self._live is not None:
                self._live.take(value)
            changed()

        def on_end(error: Exception | None = None) -> None:
            with self._lock:
                self._error, self.is_over, self.ticks = error, True, False
            if self._live is not None:
                self._live.end(error)
            changed()

        def on_progress(progress: UploadProgress) -> None:
            with self._lock:
                self._files[progress.attr, progress.index] = progress
            changed()

        subscriptions = CompositeDisposable(self._call.subscribe(on_next, on_end, on_end))
        subscriptions.add(self._call.progress.subscribe(on_progress, lambda _error: None))  # the call tells it too
        return subscriptions

    def html(self) -> Html:
        """See `View`."""
        with self._lock:
            files, answer, error = list(self._files.values()), self._reply, self._error
        if self._live is not None:
            return self._live.html()
        lines: list[Child] = [_file_line(progress) for progress in files]
        below = tag("div", lines, class_="rx-lines") if lines else None
        if isinstance(answer, Res):
            return framed(reply(answer, self._call.endpoint, below))
        if error is not None:
            state, note = pill("bad", type(error).__name__), _text_of(error).removeprefix(f"{self._call.endpoint}: ")
        elif answer is not None:
            state, note = pill("good", "done"), repr(answer)
        else:
            state = pill("wait", "uploading" if files else "waiting")
            note = f"{time.monotonic() - self._started:.0f} s"
        head = tag(
            "div",
            state,
            tag("span", self._call.endpoint, class_="rx-name"),
            tag("span", note, class_="rx-muted"),
            class_="rx-head",
        )
        return framed(tag("div", head, below, class_="rx-card"))


class Badge:
    """The connection: its state, why, when it tries again, and who is signed in."""

    def __init__(self, api: ApiService) -> None:
        self._api = api
        self._where = repr(api).split()[1]
        self._state = api.state
        self.is_over = False

    @property
    def ticks(self) -> bool:
        """See `View`: while it counts down to the next try."""
        return self._state.retry_at is not None

    def start(self, changed: Callable[[], None]) -> abc.DisposableBase:
        """See `View`."""

        def on_state(state: ConnectionState) -> None:
            self._state = state
            changed()

        def on_end(_error: Exception | None = None) -> None:
            self.is_over = True
            changed()

        return CompositeDisposable(
            self._api.state_stream.subscribe(on_state, on_end, on_end),
            self._api.authed_stream.subscribe(lambda _: changed(), lambda _: None),
        )

    def html(self) -> Html:
        """See `View`."""
        state = self._state
        tried = why = None
        if state.retry_at is not None:
            seconds = max(0, round(state.retry_at - time.time()))
            when = f"in {seconds} s" if seconds else "now"
            tried = tag("span", f"try {state.attempt + 1} {when}", class_="rx-muted")
        if state.reason is not None:
            why = tag("div", str(state.reason), class_="rx-why rx-muted")
        badge = tag(
            "div",
            pill(_TONES.get(state.name, "off"), state.name),
            tag("span", self._where, class_="rx-code"),
            tag("span", _who(self._api), class_="rx-muted"),
            tried,
            class_="rx-line",
        )
        return framed(tag("div", badge, why, class_="rx-card rx-badge"))


def _who(api: ApiService) -> str:
    session = api.session
    if session is None:
        return "nobody signed in"
    user = session.get("user")
    known = user if isinstance(user, Mapping) else {"_id": user}
    return f"signed in as {known.get('email') or known.get('_id')}"


def _file_line(progress: UploadProgress) -> Html:
    share = progress.sent_bytes / progress.total_bytes if progress.total_bytes else 0.0
    notes = [f"{size_text(progress.sent_bytes)} of {size_text(progress.total_bytes)}"]
    if progress.rate_bytes_per_s:
        notes.append(f"{size_text(progress.rate_bytes_per_s)}/s")
    if progress.eta_s is not None:
        notes.append(f"{progress.eta_s:.0f} s left")
    notes.append(progress.phase.replace("_", " "))
    tone = {"done": "rx-good", "failed": "rx-bad", "sending": None}.get(progress.phase, "rx-held")
    return tag(
        "div",
        tag(
            "div",
            tag("span", tag("span", progress.attr, class_="rx-key rx-muted"), progress.name),
            tag("span", " · ".join(notes), class_="rx-muted"),
            class_="rx-line",
        ),
        tag("div", tag("div", style=f"width: {100 * share:.1f}%"), class_=" ".join(filter(None, ["rx-bar", tone]))),
    )


def _keyed(docs: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """Documents by their ``_id``, which is what makes them rows; those without are left out."""
    made = (doc for doc in map(_plain, docs) if doc is not None)
    return {doc["_id"]: doc for doc in made if isinstance(doc.get("_id"), (str, int))}


def _plain(doc: Any) -> dict[str, Any] | None:
    """A document that `table_of` will make fit to be seen, if it comes to be shown; None for what is none."""
    return dict(doc) if isinstance(doc, Mapping) else as_doc(doc)


def _named(error: Exception) -> str:
    return ": ".join(filter(None, [type(error).__name__, str(error)]))


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__
