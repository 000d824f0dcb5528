"""A pipeline: watch, gather what comes within a window, look each one up (at most 4 at once), upload a report.

Sixty new albums make a handful of reports, whatever the moments they come at; none is lost, and the server never has
more than four of our questions at a time.
"""

import threading
from collections.abc import Sequence
from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxsdk import ApiService, Call, Doc, File, Q, Res
from rxsdk.emulator import Emulator

CHANGES = 60
WINDOW_S = 0.05
AT_ONCE = 4


def reports(api: ApiService, watch: Call[Res[Doc]]) -> Observable[Doc]:
    """For every window in which albums were created: the album that holds the report of them."""

    def look_up(change: Res[Doc]) -> Observable[Doc]:
        # A call is on its way when it is made, so it is made when its turn comes: that is what `defer` is for.
        query = Q._id == change.docs[0]["_id"]
        return reactivex.defer(lambda _: api.call("album/read", query=query).pipe(ops.map(lambda res: res.docs[0])))

    def look_up_all(changes: Sequence[Res[Doc]]) -> Observable[list[Doc]]:
        return reactivex.from_iterable(changes).pipe(ops.map(look_up), ops.merge(max_concurrent=AT_ONCE), ops.to_list())

    def upload(albums: list[Doc]) -> Observable[Doc]:
        text = "\n".join(sorted(f"{album['rank']:>3}  {album['name']['en_AE']}" for album in albums))
        cover = File(text.encode(), name="report.png")  # this module takes images only
        doc = {"name": {"ar_AE": "تقرير"}, "rank": len(albums), "tags": ["report"], "cover": cover}
        return api.call("album/create", doc=doc).pipe(ops.map(lambda _: doc))

    return watch.pipe(
        ops.filter(lambda res: res.args.get("oper") == "create" and "report" not in res.docs[0]["tags"]),
        ops.buffer_with_time(WINDOW_S),
        ops.filter(bool),
        ops.concat_map(look_up_all),
        ops.concat_map(upload),
    )


def main() -> None:
    """Sixty albums, one after the other, and the reports of them."""
    all_told, counted = threading.Event(), 0

    def tell(report: dict[str, Any]) -> None:
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
        watch = api.call("album/watch")
        watch.result()
        subscription = reports(api, watch).subscribe(tell, fail)
        for number in range(CHANGES):
            api.call(
                "album/create", doc={"name": {"ar_AE": "ألبوم", "en_AE": f"No. {number}"}, "rank": number}
            ).result()
        all_told.wait(30)
        subscription.dispose()
    print(f"{counted} albums in all")


if __name__ == "__main__":
    main()
