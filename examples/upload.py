"""Send files with a document, watch their progress, and see that both have arrived."""

import tempfile
from pathlib import Path

from rxsdk import ApiService, Q
from rxsdk.emulator import Emulator

with tempfile.TemporaryDirectory() as folder, Emulator() as emulator:  # yours: SDKConfig(api="wss://…/ws", …)
    photos = [Path(folder, "street.png"), Path(folder, "harbour.png")]
    for photo in photos:
        photo.write_bytes(b"\x89PNG" + bytes(1_000_000))

    with ApiService(emulator.config()) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()

        upload = api.call("album/create", doc={"name": {"ar_AE": "لندن", "en_AE": "London"}, "photos": photos})
        upload.progress.subscribe(
            lambda now: print(f"{now.name}: {now.sent_bytes:,} of {now.total_bytes:,}, {now.phase}")
        )

        # upload.pause() and upload.resume() hold it for a while, upload.cancel() takes it back
        _id = upload.result().docs[0]["_id"]

        album = api.call("album/read", query=Q._id == _id).result().docs[0]

    print("there are", " and ".join(photo["name"] for photo in album["photos"]))
