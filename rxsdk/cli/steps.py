"""The steps of ``rxsdk demo``, in order: `STEPS`.

Part of the command line. A step is a title, the line a program would write, and a coroutine that does it, looks at
what came of it, and returns the sentence that says so, or raises.
"""

from __future__ import annotations

import asyncio
import hashlib

from rxsdk import ConnectionState, Doc, Session
from rxsdk.cli import download as http
from rxsdk.cli.show import Screen, milliseconds, size
from rxsdk.cli.story import Step, StepSkipped, Story, check, first, within
from rxsdk.protocols.limp.res import ANON_SID

__all__ = ["STEPS"]

FIRST_TITLE = {"ar_AE": "مبرمجة", "en_AE": "Programmer"}
SECOND_TITLE = {"ar_AE": "عالمة رياضيات", "en_AE": "Mathematician"}
THIRD_TITLE = {"ar_AE": "كونتيسة", "en_AE": "Countess of Lovelace"}
DOC: Doc = {
    "name": {"ar_AE": "آدا لوفلايس", "en_AE": "Ada Lovelace"},
    "job_title": FIRST_TITLE,
    "bio": {"ar_AE": "ولدت في لندن عام 1815", "en_AE": "Born in London in 1815"},
}


async def connect(story: Story) -> str:
    """The first message, conn/verify. Trouble is told at once here; an app would let the SDK go on trying."""
    story.api.init()
    settled = first(story.api.state_stream, lambda state: state.name == "ready" or state.reason is not None)
    state = await within(settled, "the server did not let us in")
    if state.reason is not None:
        raise state.reason
    check(story.api.inited and not story.api.authed, "connected, but not as nobody")
    return "The server knows us as a client; nobody has signed in yet."


async def sign_in(story: Story) -> str:
    """session/auth with the hash."""
    await story.api.auth("email", story.email, story.password)
    session = story.api.session or Session()
    check(story.api.authed and "token" in session, "the server said yes, but there is no session")
    user = session.get("user")
    email = user.get("email") if isinstance(user, dict) else None
    check(email in (story.email, None), f"signed in as {email}, which is somebody else")
    return f"Signed in as {story.email}; every call is now signed with the token of the session."


async def open_watch(story: Story) -> str:
    """staff/watch; its messages are looked for in the later steps."""
    watch = story.api.call("staff/watch")
    res = await watch
    check(isinstance(res.args.get("watch"), str), "the reply names no watch")
    story.listen(watch)
    return "One Observable, and from now on every change of staff comes through it."


async def create(story: Story) -> str:
    """The file in chunks, then the document that names it."""
    res = await story.api.call("staff/create", doc={**DOC, "photo": story.photo})
    check(len(res.docs) == 1 and isinstance(res.docs[0].get("_id"), str), "the reply names no document")
    story.doc_id = res.docs[0]["_id"]
    await story.change("new document", lambda oper, doc: oper == "create")
    return "Created, file and all, and the watch has told us of it."


async def read_back(story: Story) -> str:
    """Every attribute as it was sent."""
    doc = await story.read()
    check(doc is not None, "the document is not there")
    doc = doc or {}
    for attr, value in DOC.items():
        check(doc.get(attr) == value, f"{attr} came back as {doc.get(attr)!r}")
    photo, length = doc.get("photo"), story.photo.stat().st_size
    check(isinstance(photo, dict), "the document came back without its photo")
    told = (photo["name"], photo["size"])  # type: ignore[index]
    check(told == (story.photo.name, length), f"the photo came back as {told}")
    return f"{', '.join(DOC)} came back as they were sent; the photo is known as {size(length)}."


async def download(story: Story) -> str:
    """The file over HTTP, byte for byte."""
    url = story.api.file_url("staff", story.doc_id, "photo", story.photo.name)
    loop = asyncio.get_running_loop()
    started = loop.time()
    story.screen.asked("GET", url)
    try:
        kind, received = await asyncio.to_thread(http.fetch, url)
        story.screen.answered(200, kind, size(len(received)), loop.time() - started)
    except OSError as error:
        if story.is_emulated:
            raise
        raise StepSkipped(f"This server does not give the file to us ({error}); going on without.") from None
    sent = await asyncio.to_thread(story.photo.read_bytes)
    check(received == sent, f"{size(len(received))} came back for the {size(len(sent))} that were sent")
    digest = hashlib.sha256(received).hexdigest()
    return f"{size(len(received))}, the same as in {story.photo.name} (SHA-256 {digest[:8]}…{digest[-8:]})."


async def update(story: Story) -> str:
    """A change, seen by the watch."""
    return await _retitle(story, SECOND_TITLE)


async def _retitle(story: Story, title: dict[str, str]) -> str:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await story.api.call("staff/update", query=story.by_id, doc={"job_title": title})
    await story.change("change", lambda oper, doc: oper == "update" and doc.get("job_title") == title)
    seconds = loop.time() - started
    return f'The watch delivered it: "{title["en_AE"]}", {milliseconds(seconds)} after we asked for the change.'


async def reconnect(story: Story) -> str:
    """The connection is lost; verify, reauth and the watch come back by themselves."""
    sid = (story.api.session or Session()).get("_id")
    messages = story.api.init()
    signed_in = first(messages, lambda res: isinstance(res.args.get("session"), Session))
    watching = first(messages, lambda res: res.code == "CORE_WATCH_OK")
    states = story.api.state_stream.subscribe(lambda state: _show_state(story.screen, state))
    gone = first(story.api.state_stream, lambda state: state.name != "ready")
    try:
        await asyncio.sleep(0)  # the three above listen from here on
        await _lose(story, gone)
        await within(signed_in, "nobody signed in again")
        await within(watching, "the watch was not made anew")
    finally:
        states.dispose()
        for task in (signed_in, watching, gone):
            task.cancel()
    check(story.api.authed and story.api.session is not None, "connected again, but nobody is signed in")
    check((story.api.session or Session()).get("_id") == sid, "came back with another session")
    await _retitle(story, THIRD_TITLE)
    return f'Verified, signed in and watching again, by itself; the next change came: "{THIRD_TITLE["en_AE"]}".'


async def _lose(story: Story, gone: asyncio.Task[ConnectionState]) -> None:
    if story.cut is not None:
        story.screen.happened("the emulator cuts it off")
        await asyncio.to_thread(story.cut)
    else:
        story.api.suspend()
    await within(gone, "the connection did not go away")
    story.api.resume()


def _show_state(screen: Screen, state: ConnectionState) -> None:
    if state.name in ("reconnecting", "suspended"):
        screen.happened(str(state.reason) if state.reason else "the connection is put down, as by an app that sleeps")
    elif state.name == "connecting":
        screen.happened(f"connecting again{f', try {state.attempt}' if state.attempt > 1 else ''}")


async def delete(story: Story) -> str:
    """Deleted softly or for good, the watch tells of both."""
    await story.api.call("staff/delete", query=story.by_id)
    await story.change("deletion", lambda oper, doc: oper == "delete" or doc.get("__deleted") is True)
    check(await story.read() is None, "deleted, and still there")
    story.doc_id = ""
    return "Gone, and the watch has told us so."


async def sign_out(story: Story) -> str:
    """session/signout; the connection goes on."""
    res = await story.api.signout()
    session = res.args.get("session")
    check(isinstance(session, Session) and session.get("_id") == ANON_SID, "the server did not make us nobody")
    check(story.api.session is None and not story.api.authed, "signed out, but a session is there")
    check(story.api.inited, "signing out ended the connection")
    return "Nobody is signed in; the connection is still there."


async def close(story: Story) -> str:
    """The goodbye."""
    state = await story.api.close()
    check(state.name == "closed", f"the connection is {state.name}")
    check(story.watch_is_over, "the watch did not complete")
    return "The watch completed, and the connection is closed."


STEPS: tuple[Step, ...] = (
    Step("Connect and be let in", "api = ApiService(config); api.init()", connect),
    Step("Sign in", 'api.auth("email", email, password)', sign_in),
    Step("Watch the staff", 'api.call("staff/watch").subscribe(print)', open_watch),
    Step(
        "Create a document with a file",
        'api.call("staff/create", doc={"name": …, "photo": Path("photo.png")})',
        create,
    ),
    Step("Read it back", 'api.call("staff/read", query=[{"_id": _id}])', read_back),
    Step("Download the file", "GET http://…/staff/retrieve_file/{_id}/photo/photo.png", download),
    Step("Watch it change", 'api.call("staff/update", query=[{"_id": _id}], doc={"job_title": …})', update),
    Step("Lose the connection", "# nothing to write: it comes back by itself", reconnect),
    Step("Delete the document", 'api.call("staff/delete", query=[{"_id": _id}])', delete),
    Step("Sign out", "api.signout()", sign_out),
    Step("Close", "api.close()", close),
)
