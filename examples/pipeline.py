"""A pipeline: watch, gather what comes within a window, look each one up (at most 4 at once), upload a report.

Sixty new albums make a handful of reports, whatever the moments they come at. None is lost, not even to a broken line
(that is what ``snapshot`` is for), and the server never has more than four of our questions at a time.
"""

import threading
from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxsdk import ApiService, Created, Doc, File, Q, Watch
from rxsdk.emulator import Emulator
from rxsdk.operators import call_each, docs

CHANGES = 60
WINDOW_S = 0.05
AT_ONCE = 4


def reports(api: ApiService, albums: Watch[Doc]) -> Observable[Doc]:
    """For every window in which albums were created: the album that holds the report of them."""

    look_up = call_each(api, "album/read", lambda created: {"query": Q._id == created.id}, max_in_flight=AT_ONCE)

    def look_up_all(window: list[Created[Doc]]) -> Observable[list[Doc]]:
        return reactivex.from_iterable(window).pipe(look_up, docs(), ops.to_list())

    def report(found: list[Doc]) -> dict[str, Any]:
        text = "\n".join(sorted(f"{album['rank']:>3}  {album['name']['en_AE']}" for album in found))
        cover = File(text.encode(), name="report.png")  # this module takes images only
        return {"name": {"ar_AE": "تقرير"}, "rank": len(found), "tags": ["report"], "cover": cover}

    def upload(doc: Doc) -> Observable[Doc]:
        return api.call("album/create", doc=doc).pipe(ops.map(lambda _: doc))

    return albums.pipe(
        ops.filter(lambda change: isinstance(change, Created) and "report" not in change.doc["tags"]),
        ops.buffer_with_time(WINDOW_S),
        ops.filter(bool),
        ops.concat_map(look_up_all),
        ops.map(report),
        ops.concat_map(upload),
    )


def main() -> None:
    """Sixty albums, one after the other, and the reports of them."""
    all_told, counted = threading.Event(), 0

    def tell(report: Doc) -> None:
        nonlocal counted
        counted += report["rank"]
        print(f"a report of {report['rank']} albums")
        if counted == CHANGES:
            all_told.set()

    def fail(error: Exception) -> None:
        print("the pipeline has ended:", error)
        all_told.set()

    with Emulator() as emulator, ApiService(emulator.config()) as api:  # yours: SDKConfig(api="wss://…/ws", …)
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        albums = api.watch("album/watch", snapshot="album/read")
        with reports(api, albums).subscribe(tell, fail):
            albums.pipe(ops.first()).result()  # the snapshot: from here on every change is told
            for number in range(CHANGES):
                doc = {"name": {"ar_AE": "ألبوم", "en_AE": f"No. {number}"}, "rank": number}
                api.call("album/create", doc=doc).result()
            all_told.wait(30)
    print(f"{counted} albums in all")


if __name__ == "__main__":
    main()
