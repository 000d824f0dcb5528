"""Level 6.1: the same calls, their files posted over HTTP."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from rxsdk import CallCancelled, CallNotSent, CallRejected, ConfigurationError, File, ReconnectPolicy, UploadError
from rxsdk.emulator import Emulator
from rxsdk.emulator.clock import ManualClock
from rxsdk.files.http import HttpFiles, http_base
from rxsdk.testing import FakeClock, FaultProxy
from tests.conftest import wait_until
from tests.files.wire import Watcher, archive_emulator, content, file, next_phase, signed_in, stored, upload


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with archive_emulator(api_level="6.1") as running:
        yield running


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 200_000])
def test_every_byte_arrives(emulator: Emulator, size: int) -> None:
    with signed_in(emulator) as api:
        call = upload(api, file=File(content(size), name='ä "b".bin', last_modified_ms=7))
        watcher = Watcher(call)
        created = call.result()
        assert stored(emulator) == {"a": {"file": content(size)}}
        last = watcher.all()[-1]
        assert (last.sent_bytes, last.total_bytes, last.phase) == (size, size, "done")
        read = api.call("archive/read", query=[{"_id": created.docs[0]["_id"]}]).result().docs[0]["file"]
        assert (read["name"], read["lastModified"], read["size"]) == ('ä "b".bin', 7, size)
        assert emulator.connections == 1


def test_lists_stay_lists_and_the_rest_of_the_doc_as_it_was(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        upload(api, "one", many=[file(10)]).result()
        upload(api, "two", many=[file(10), file(3000, 3)], file=file(1)).result()
        assert stored(emulator) == {
            "one": {"many": [content(10)]},
            "two": {"many": [content(10), content(3000, 3)], "file": content(1)},
        }


def test_a_file_the_server_refuses_ends_the_call(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        with pytest.raises(CallNotSent, match="CORE_FILE_INVALID_ATTR") as caught:
            api.call("archive/create", doc={"title": "a", "nothing": file(10)}).result()
        assert isinstance(caught.value.__cause__, CallRejected)
        assert stored(emulator) == {}


def test_refused_for_quota_it_is_posted_again_after_the_minute() -> None:
    server, client = ManualClock(), FakeClock()
    with (
        archive_emulator(api_level="6.1", quotas="stock", clock=server, conn_timeout_s=1e6) as emulator,
        signed_in(emulator, clock=client) as api,
    ):
        base = emulator.http_url
        while True:  # until this address has used its minute up
            try:
                urlopen(f"{base}/archive/retrieve_file/1/file/a", timeout=5)
            except HTTPError as error:
                status = error.code
                error.close()
            if status == 429:
                break
        call = upload(api, file=file(3000))
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and next_phase(client, watcher) == "waiting_for_quota")
        for clock in (server, client):
            clock.advance(61)
        assert call.result(20).status == 200
        assert stored(emulator) == {"a": {"file": content(3000)}}
        told = [one.sent_bytes for one in watcher.all()]
        assert told == sorted(told)
        assert watcher.seen[-1].phase == "done"


@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
def test_a_lost_connection_is_made_anew(emulator: Emulator, part: float) -> None:
    with FaultProxy(emulator.url) as proxy, signed_in(emulator, api=proxy.url, file_chunk_size=20_000) as api:
        proxy.cut_after(int(400_000 * part), "up", times=1)
        call = upload(api, file=file(400_000))
        watcher = Watcher(call)
        assert call.result(20).status == 200
        assert stored(emulator) == {"a": {"file": content(400_000)}}
        told = [one.sent_bytes for one in watcher.all()]
        assert told == sorted(told)
        assert told[-1] == 400_000


@pytest.mark.parametrize("way", ["refuses", "breaks off"])
def test_a_server_of_files_that_is_down_is_tried_again_after_longer_and_longer_pauses(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    clock = FakeClock()
    posts: list[float] = []
    really_post = HttpFiles.post

    async def post(*args: Any) -> Any:
        posts.append(clock.now())
        return await really_post(*args)

    def is_paused_until(when: float) -> bool:
        return any(at == when and timer.callback is not None for at, _, timer in clock._timers)

    monkeypatch.setattr(HttpFiles, "post", post)
    monkeypatch.setattr("random.random", lambda: 1.0)  # the longest pauses that may be drawn
    policy = ReconnectPolicy(base_s=1.0, factor=2.0, cap_s=5.0)
    with serving(BaseRequestHandler) as where:
        base = where if way == "breaks off" else "http://127.0.0.1:1"
        monkeypatch.setattr("rxsdk.files.http.http_base", lambda _: base)
        with signed_in(emulator, clock=clock, reconnect=policy) as api:
            call = upload(api, file=file(10))
            for pause_s in (1.0, 2.0, 4.0, 5.0):
                due = clock.now() + pause_s
                wait_until(lambda due=due: is_paused_until(due))
                before = len(posts)
                clock.advance(pause_s - 0.25)
                assert len(posts) == before
                clock.advance(0.25)
                wait_until(lambda before=before: len(posts) == before + 1)
            with pytest.raises(
                CallNotSent, match=r"the connection was lost 5 times .*: connection lost: file/create: ."
            ):
                call.result(20)
    assert posts == [0.0, 1.0, 3.0, 7.0, 12.0]
    assert stored(emulator) == {}


@contextmanager
def serving(handler: type[BaseRequestHandler]) -> Iterator[str]:
    """A server of our own; the bare `BaseRequestHandler` takes connections and ends them."""
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_server_of_files_that_comes_back_gets_the_file(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    really = http_base
    answers = iter(["http://127.0.0.1:1", "http://127.0.0.1:1"])
    monkeypatch.setattr("rxsdk.files.http.http_base", lambda api: next(answers, really(api)))
    with signed_in(emulator) as api:
        assert upload(api, file=file(3000)).result(20).status == 200
    assert stored(emulator) == {"a": {"file": content(3000)}}


def test_one_who_is_cancelled_in_a_pause_ends_at_once(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr("rxsdk.files.http.http_base", lambda _: "http://127.0.0.1:1")
    with signed_in(emulator, clock=clock, reconnect=ReconnectPolicy(base_s=60.0, cap_s=60.0)) as api:
        call = upload(api, file=file(10))
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and next_phase(clock, watcher) == "restarting")
        call.cancel()
        with pytest.raises(CallCancelled):
            call.result(20)
        assert watcher.all()[-1].phase == "failed"


@pytest.mark.parametrize("way", ["upload", "download", "download_to"])
def test_without_the_extra_one_line_says_what_to_install(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with signed_in(emulator) as api:
        ask = {
            "upload": lambda: upload(api, file=file(10)),
            "download": lambda: api.download("archive", "1", "file", "a"),
            "download_to": lambda: api.download_to(tmp_path, "archive", "1", "file", "a"),
        }[way]
        with pytest.raises(ConfigurationError, match=r"pip install 'rxsdk\[http\]'") as caught:
            ask()
    assert "\n" not in str(caught.value)


def test_a_source_that_fails_ends_the_call(emulator: Emulator) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"1"
        raise KeyError("oh")

    with signed_in(emulator) as api:
        with pytest.raises(UploadError, match=r"a\.bin.*KeyError"):
            upload(api, file=File(failing(), name="a.bin", size=5000)).result(20)
        assert stored(emulator) == {}


def test_cancelled_nothing_is_created(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = upload(api, file=file(50_000))
        call.pause()
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and watcher.seen[-1].phase == "paused")
        call.cancel()
        with pytest.raises(CallCancelled):
            call.result()
        assert watcher.all()[-1].phase == "failed"
        assert stored(emulator) == {}


def test_a_call_that_waits_for_another_session_is_not_made_in_it() -> None:
    clock = ManualClock()
    with archive_emulator(api_level="6.1", clock=clock) as emulator, signed_in(emulator) as api:
        call = upload(api, file=file(50_000))
        call.pause()
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and watcher.seen[-1].phase == "paused")
        emulator.delay("session/signout", 5.0)
        signing_out = api.signout()
        emulator.wait_until(lambda e: "session/signout" in [got.payload["endpoint"] for got in e.received])
        call.resume()
        wait_until(lambda: api._inside._machine._queue)  # posted, it waits for the answer to that
        clock.advance(5.1)
        signing_out.result()
        with pytest.raises(CallNotSent, match="the session changed while its files went up"):
            call.result()
        assert "archive/create" not in [got.payload["endpoint"] for got in emulator.received]


def test_suspended_nothing_is_posted(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        call = upload(api, file=file(50_000))
        call.pause()
        watcher = Watcher(call)
        wait_until(lambda: watcher.seen and watcher.seen[-1].phase == "paused")
        api.suspend()
        wait_until(lambda: emulator.connections == 0)
        call.resume()
        queue = api._inside._machine._queue
        wait_until(lambda: [request.has_files for request in queue] == [True])  # for its turn, not to be written
        api.resume()
        assert call.result().status == 200
        assert stored(emulator) == {"a": {"file": content(50_000)}}


def test_cancelled_when_the_call_is_written_it_says_so(emulator: Emulator) -> None:
    with signed_in(emulator) as api:
        emulator.silence("archive/create", execute=True)
        call = upload(api, file=file(10))
        emulator.wait_until(lambda e: e.executed["archive/create"] == 1)
        call.cancel()
        with pytest.raises(CallCancelled) as caught:
            call.result()
        assert caught.value.written
        assert stored(emulator) == {"a": {"file": content(10)}}


class Answering(BaseHTTPRequestHandler):
    """What is no answer of LIMP, with the statuses of the class in turn, the last again and again."""

    statuses: list[int]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])
        self.end_headers()
        self.wfile.write(b"<html>What a gateway says.")

    def log_message(self, *_: object) -> None:
        """Nobody is told."""


@pytest.mark.parametrize(
    ("statuses", "problem"),
    [
        ([200], "file/create was answered HTTP 200: "),
        ([502, 503, 404], "file/create was answered HTTP 404: "),
        ([502, 503, 504], "the connection was lost 5 times while its files went up: .*: HTTP 504"),
    ],
)
def test_an_answer_that_is_none(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, statuses: list[int], problem: str
) -> None:
    monkeypatch.setattr(Answering, "statuses", statuses, raising=False)
    with serving(Answering) as where, signed_in(emulator) as api:
        monkeypatch.setattr("rxsdk.files.http.http_base", lambda _: where)
        with pytest.raises(CallNotSent, match=problem):
            upload(api, file=file(10)).result(20)
        assert len(statuses) == 1
        assert stored(emulator) == {}
