"""The sample app's documents, as the tests use them."""

from __future__ import annotations

from typing import Any

from rxsdk import File


def staff_doc(name: str = "Ada", photo: Any = None) -> dict[str, Any]:
    """A staff document with a small photo."""
    return {
        "name": {"ar_AE": name, "en_AE": name},
        "job_title": {"ar_AE": "Engineer"},
        "bio": {"ar_AE": "Born in London"},
        "photo": File(b"\x89PNG tiny", name="ada.png") if photo is None else photo,
    }


def album_doc(name: str = "Holiday", **more: Any) -> dict[str, Any]:
    """An album document; needs no file."""
    return {"name": {"ar_AE": name, "en_AE": name}, **more}
