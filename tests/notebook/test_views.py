"""What is shown live, without a notebook."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from reactivex.subject import Subject

pytest.importorskip("IPython", reason="IPython is not installed (extra: notebook)")

from rxsdk import ApiService, Args, CallRejected, File, Res, SDKConfig
from rxsdk.changes import Created, Deleted, Gap, Snapshot, Updated
from rxsdk.emulator import Emulator
from rxsdk.notebook import tables
from rxsdk.notebook.views import Badge, Live, Progress, View
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.staff import album_doc, staff_doc


class Changes:
    """Counts how often a view said that it changed."""

    def __init__(self, view: View) -> None:
        self.count = 0
        self.subscription = view.start(self._changed)

    def _changed(self) -> None:
        self.count += 1


def text_of(view: View) -> str:
    """What a person reads."""
    markup = re.sub(r"<style>.*?</style>", "", view.html(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


def message(operation: str, *docs: dict[str, Any]) -> Res[Any]:
    return Res(200, "Detected.", Args({"oper": operation, "docs": list(docs)}))


def test_a_watch_keeps_a_table() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "staff")
    changes = Changes(live)
    assert text_of(live) == "live staff 0 docs · 0 messages Nothing yet."
    source.on_next(Res(200, "Created watch task.", Args({"watch": "id"})))
    source.on_next(message("create", {"_id": "1", "name": "Ada"}))
    source.on_next(message("create", {"_id": "2", "name": "Grace"}))
    assert text_of(live) == "live staff 2 docs · 3 messages _id name 1 Ada 2 Grace"
    source.on_next(message("update", {"_id": "2", "name": "Admiral"}))
    source.on_next(message("delete", {"_id": "1"}))
    source.on_next(message("delete", {"_id": "unknown"}))
    assert text_of(live) == "live staff 1 doc · 6 messages _id name 2 Admiral"
    assert changes.count == 6
    source.on_completed()
    assert text_of(live).startswith("ended staff")
    assert live.is_over


def test_the_changes_of_a_watch_keep_a_table() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "staff")
    Changes(live)
    for change, expected in [
        (Snapshot({"1": {"_id": "1", "n": 1}, "2": {"_id": "2", "n": 1}}), "2 docs · 1 message _id n 1 1 2 1"),
        (Created("3", {"_id": "3", "n": 1}), "3 docs · 2 messages _id n 1 1 2 1 3 1"),
        (Updated("2", {"_id": "2", "n": 2}), "3 docs · 3 messages _id n 1 1 2 2 3 1"),
        (Deleted("1"), "2 docs · 4 messages _id n 2 2 3 1"),
        (Gap(ValueError("lost"), datetime.now(UTC)), "2 docs · 5 messages · 1 gap _id n 2 2 3 1"),
    ]:
        source.on_next(change)
        assert text_of(live) == f"live staff {expected}"


def test_what_changed_lights_up_once() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "staff")
    Changes(live)
    live.html()
    source.on_next([{"_id": "1", "n": 1}, {"_id": "2", "n": 1}])
    assert live.html().count('class="rx-fresh"') == 0
    source.on_next({"_id": "3", "n": 1})
    assert live.html().count('class="rx-fresh"') == 1
    assert live.html().count('class="rx-fresh"') == 0
    source.on_next([{"_id": "1", "n": 1}, {"_id": "2", "n": 2}])
    assert live.html().count('class="rx-fresh"') == 1


def test_collections_documents_and_replies() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "x")
    Changes(live)
    for value, expected in [
        ([{"_id": "1"}], "1 doc · 1 message _id 1"),
        (({"_id": "2"}, {"_id": "3"}), "2 docs · 2 messages _id 2 3"),
        ({"4": {"_id": "4"}}, "1 doc · 3 messages _id 4"),
        ({"_id": "5"}, "2 docs · 4 messages _id 4 5"),
        (Res(200, "", Args({"docs": [{"_id": "6"}]})), "1 doc · 5 messages _id 6"),
        ([], "0 docs · 6 messages Nothing yet."),
    ]:
        source.on_next(value)
        assert text_of(live) == f"live x {expected}"


def test_a_great_collection_is_shown_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at 50 rows pays for 50, however many there are."""
    taken_apart: list[Any] = []
    monkeypatch.setattr(tables, "redact", lambda doc: taken_apart.append(doc) or doc)
    docs = [{"_id": str(number), "n": number} for number in range(100_000)]
    source: Subject[Any] = Subject()
    live = Live(source, "x")
    Changes(live)
    source.on_next(docs)
    text = text_of(live)
    assert text.startswith("live x 100,000 docs")
    assert text.endswith("49 49 99,950 more rows")
    assert len(taken_apart) == tables.MOST_ROWS
    source.on_next({"_id": "7", "n": -7})
    assert live.html().count('class="rx-fresh"') == 1
    assert len(taken_apart) == 2 * tables.MOST_ROWS


def test_changes_of_a_great_collection_are_seen() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "x")
    Changes(live)
    docs = [{"_id": str(number), "n": number} for number in range(1000)]
    for value, first_rows in [
        (docs, "0 0 1 1 2 2"),
        ({"_id": "700", "n": -700}, "700 -700 0 0 1 1"),
        (message("create", {"_id": "new", "n": 1000}), "new 1,000 700 -700 0 0"),
        (Updated("700", {"_id": "700", "n": 7}), "700 7 new 1,000 0 0"),
        (Deleted("700"), "new 1,000 0 0 1 1"),
        (Snapshot({doc["_id"]: doc for doc in docs}), "0 0 1 1 2 2"),
    ]:
        source.on_next(value)
        assert text_of(live).split(" _id n ")[1].startswith(first_rows)


def test_secrets_of_documents_are_not_shown() -> None:
    doc = {"_id": "1", "password": "S3CRET"}
    for value in (doc, [doc], message("create", doc), Created("1", doc), Snapshot({"1": doc})):
        source: Subject[Any] = Subject()
        live = Live(source, "x")
        Changes(live)
        source.on_next(value)
        assert "1 doc " in text_of(live)
        assert "S3CRET" not in live.html()


def test_other_values_become_a_log() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "numbers")
    Changes(live)
    for value in range(30):
        source.on_next(value)
    source.on_next({"token": "S3CRET"})
    assert "31 values" in text_of(live)
    assert re.search(r"&#x27;token&#x27;.* 29 .* 28 ", text_of(live))
    assert "S3CRET" not in live.html()
    assert " 10 " not in text_of(live)


def test_a_stream_that_fails_says_why() -> None:
    source: Subject[Any] = Subject()
    live = Live(source, "x")
    Changes(live)
    source.on_error(ValueError("too <many>"))
    assert text_of(live) == "failed x 0 docs · 0 messages Nothing yet. ValueError: too &lt;many&gt;"
    source2: Subject[Any] = Subject()
    silent = Live(source2, "x")
    Changes(silent)
    source2.on_error(ValueError())
    assert text_of(silent).endswith("ValueError")


def test_a_call_becomes_its_reply(signed_in: ApiService, emulator: Emulator) -> None:
    emulator.delay("staff/read", 0.2)
    view = Progress(signed_in.call("staff/read"))
    Changes(view)
    assert text_of(view) == "waiting staff/read 0 s"
    assert view.ticks
    wait_until(lambda: view.is_over)
    assert text_of(view).startswith("200 staff/read Found 0 docs.")
    assert not view.ticks


def test_a_call_that_fails_says_why(signed_in: ApiService, unhandled: list[BaseException]) -> None:
    view = Progress(signed_in.call("cinema/read"))
    Changes(view)
    wait_until(lambda: view.is_over)
    assert text_of(view).startswith(CallRejected.__name__ + " cinema/read 400 ")
    assert unhandled == []


def test_a_call_whose_reply_is_no_message(api: ApiService) -> None:
    view = Progress(api.close())
    Changes(view)
    wait_until(lambda: view.is_over)
    assert text_of(view).startswith("done close ConnectionState(")


def test_an_upload_shows_its_files(emulator: Emulator) -> None:
    with (
        FaultProxy(emulator.url) as network,
        ApiService(emulator.config(api=network.url, file_chunk_size=20_000)) as api,
    ):
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        network.bandwidth(150_000)
        call = api.call("album/create", doc=album_doc(cover=File(bytes(100_000), name="beach.jpg")))
        view = Progress(call)
        Changes(view)
        wait_until(lambda: "sending" in text_of(view) and " left" in text_of(view))
        assert re.search(r"uploading album/create \d s cover beach.jpg [\d.]+ KiB of 97.7 KiB", text_of(view))
        network.heal()
        wait_until(lambda: view.is_over)
        assert re.search(r"200 album/create .* cover beach.jpg 97.7 KiB of 97.7 KiB .* done", text_of(view))


def test_a_watch_becomes_a_live_table(signed_in: ApiService, emulator: Emulator) -> None:
    view = Progress(signed_in.call("staff/watch"))
    changes = Changes(view)
    wait_until(lambda: text_of(view).startswith("live staff/watch"))
    signed_in.call("staff/create", doc=staff_doc("Ada")).result()
    wait_until(lambda: " Ada " in text_of(view))
    changes.subscription.dispose()
    wait_until(lambda: emulator.watches == 0)
    other = Progress(signed_in.call("staff/watch"))
    Changes(other)
    wait_until(lambda: text_of(other).startswith("live"))
    signed_in.delete_watch("__all").result()
    wait_until(lambda: other.is_over)
    assert text_of(other).startswith("ended")


def test_the_badge_follows_the_connection(emulator: Emulator, config: SDKConfig) -> None:
    with FaultProxy(emulator.url) as network:
        api = ApiService(emulator.config(api=network.url + "?secret=S3CRET"))
        badge = Badge(api)
        Changes(badge)
        assert text_of(badge) == f"idle {network.url} nobody signed in"
        api.init()
        wait_until(lambda: text_of(badge).startswith("ready"))
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        wait_until(lambda: text_of(badge) == f"ready {network.url} signed in as {emulator.admin_email}")
        network.refuse()
        network.reset()
        wait_until(lambda: badge.ticks)
        wait_until(lambda: re.search(r"reconnecting .* try \d+ (in \d+ s|now) .+", text_of(badge)))
        assert "S3CRET" not in badge.html()
        network.heal()
        api.reconnect_now()
        wait_until(lambda: text_of(badge).startswith("ready"))
        assert not badge.ticks
        api.close().result()
        wait_until(lambda: badge.is_over)
        assert text_of(badge).startswith("closed")
