"""A conversation is the same whatever order things arrive in, and however often."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from rxsdk.errors import CallTimeout
from rxsdk.protocols.chat.codec import load, load_event
from rxsdk.protocols.chat.conversation import Conversation, Shown
from rxsdk.protocols.chat.types import Message, Receipt, ReplyTo

ATTACHED = {"type": "file", "id": "f", "filename": "a", "url": "/a", "meta": {"extension": "pdf", "size": 1}}


@pytest.fixture
def chat() -> Conversation:
    return Conversation("bob", "ada")


def event(event_type: str, **payload: Any) -> Any:
    frame = {"type": "event", "id": 1, "timestamp": 50, "eventType": event_type, "payload": {"chatId": "bob"} | payload}
    loaded = load_event(frame)
    assert type(loaded.payload) is not dict, loaded
    return loaded


def new(message_id: int, message: str, sender: str | None = "bob", **more: Any) -> Any:
    more = {"clientMessageId": f"c{message_id}", "status": "undelivered", "missed": 1} | more
    return event("new", messageId=message_id, message=message, **({"sender": sender} if sender else {}), **more)


def mark(kind: str, message_id: int, **more: Any) -> Any:
    return event(kind, messageId=message_id, clientMessageId="", timestamp=60, **more)


def stored(message_id: int, **fields: Any) -> Message:
    raw = {"messageId": message_id, "clientMessageId": f"c{message_id}", "sender": "bob", "status": "unread"}
    message: Message = load(Message, raw | {"type": "new", "createdAt": message_id, "message": "text"} | fields)
    return message


def receipt(message_id: int) -> Receipt:
    return Receipt(message_id=message_id, timestamp=70, client_message_id="mine")


def texts(chat: Conversation) -> list[tuple[str | None, str]]:
    return [(shown.message, shown.status) for shown in chat.messages()]


def only(chat: Conversation) -> Shown:
    (shown,) = chat.messages()
    return shown


# -- what we send


def test_what_is_being_sent_is_pending_then_confirmed(chat: Conversation) -> None:
    chat.apply(new(1, "theirs"))
    chat.sending("mine", "hi", [], None, 5.0)
    pending = chat.messages()[-1]
    assert (pending.status, pending.is_mine, pending.sender, pending.created_at) == ("pending", True, "ada", 5000)
    chat.sent("mine", receipt(2))
    chat.sent("mine", receipt(2))
    assert texts(chat) == [("theirs", "undelivered"), ("hi", "undelivered")]
    assert chat.messages()[-1].created_at == 70
    assert chat.oldest_id == 1


def test_what_could_not_be_sent_failed_and_may_be_tried_again(chat: Conversation) -> None:
    error = CallTimeout("new", 5.0)
    chat.sending("mine", "hi", [], None, 5.0)
    chat.failed("mine", error)
    assert (only(chat).status, only(chat).error) == ("failed", error)
    chat.sending("mine", "hi", [], None, 6.0)
    assert (only(chat).status, only(chat).error) == ("pending", None)
    chat.failed("mine", error)
    chat.sending("mine", "hi again", [], None, 6.0)
    assert only(chat).message == "hi again"
    chat.sent("mine", receipt(1))
    chat.failed("mine", error)
    chat.sending("mine", "hi", [], None, 7.0)
    assert texts(chat) == [("hi again", "undelivered")]


def test_the_text_is_the_one_that_the_server_has(chat: Conversation) -> None:
    """The first try was stored after all, and the second had another text; or it was edited elsewhere."""
    chat.sending("mine", "second try", [], None, 5.0)
    chat.sent("mine", receipt(1))
    chat.loaded([stored(1, clientMessageId="mine", sender="ada", message="first try")])
    assert texts(chat) == [("first try", "unread")]
    chat.loaded([stored(1, clientMessageId="mine", sender="ada", message="edited", updatedAt=99)])
    assert (only(chat).message, only(chat).edited) == ("edited", True)
    chat.apply(new(1, "first try", sender="ada", clientMessageId="mine"))
    assert only(chat).message == "edited"
    chat.apply(event("edit", messageId=2, originalMessageId=1, message="edited again"))
    chat.loaded([stored(1, clientMessageId="mine", sender="ada", message="edited", updatedAt=99)])
    assert only(chat).message == "edited again"


def test_answers_about_what_is_not_known_are_no_matter(chat: Conversation) -> None:
    chat.sent("other", receipt(1))
    chat.failed("other", CallTimeout("new", 5.0))
    assert chat.messages() == ()
    assert chat.oldest_id is None


def test_our_message_told_by_the_server_is_the_one_we_sent(chat: Conversation) -> None:
    """It was stored, the answer was lost: the page, or an event of another device of ours, has it."""
    reply = ReplyTo(message_id=1, client_message_id="c", sender="bob", created_at=1)
    chat.sending("mine", "hi", [], reply, 5.0)
    chat.loaded([stored(4, clientMessageId="mine", sender="ada", status="read", message="hi")])
    assert only(chat).reply_to is reply
    chat.apply(new(4, "hi", sender="ada", clientMessageId="mine"))
    chat.sent("mine", receipt(4))
    assert texts(chat) == [("hi", "read")]


def test_our_message_known_by_its_id_only_is_not_shown_twice(chat: Conversation) -> None:
    chat.sending("mine", "hi", [], None, 5.0)
    chat.apply(new(4, "hi", sender="ada", clientMessageId="another"))
    chat.sent("mine", receipt(4))
    assert texts(chat) == [("hi", "undelivered")]


# -- marks


def test_marks_advance_what_is_ours_up_to_a_message(chat: Conversation) -> None:
    for number in (1, 2, 3):
        chat.sending(f"m{number}", str(number), [], None, 1.0)
        chat.sent(f"m{number}", receipt(number))
    chat.apply(new(4, "theirs"))
    chat.apply(mark("read", 1))
    chat.apply(mark("dlvrd", 2))
    chat.apply(mark("dlvrd", 1))
    assert [status for _, status in texts(chat)] == ["read", "unread", "undelivered", "undelivered"]


def test_what_we_mark_advances_what_is_theirs(chat: Conversation) -> None:
    for number in (1, 2, 3):
        chat.apply(new(number, str(number)))
    chat.sending("mine", "hi", [], None, 1.0)
    chat.sent("mine", receipt(4))
    chat.marked("read", 1)
    chat.marked("unread", 3)
    chat.apply(new(5, "after that"))
    assert [status for _, status in texts(chat)] == ["read", "unread", "unread", "undelivered", "undelivered"]


def test_what_one_member_of_a_group_read_is_told_of_all_before_it() -> None:
    chat = Conversation("team", "ada")
    mark = _in_team("read", {"userId": "eve", "messageId": 2})
    chat.apply(load_event(mark))
    for number in (1, 2, 3):
        chat.loaded([stored(number, sender="ada", delivering=[{"userId": "bob", "dlvrd": 5}])])
    chat.apply(load_event(mark))
    chat.apply(load_event(_in_team("read", {"userId": "bob", "messageId": 1})))
    reached = [{each.user_id: each.read for each in shown.delivering or []} for shown in chat.messages()]
    assert reached == [{"bob": 60, "eve": 60}, {"bob": None, "eve": 60}, {"bob": None}]


def test_a_group_tells_how_far_it_got_with_each() -> None:
    chat = Conversation("team", "ada")
    members = [{"userId": "bob"}, {"userId": "eve", "dlvrd": 5}]
    chat.loaded([stored(1, sender="ada", delivering=members)])
    chat.apply(load_event(_in_team("read", {"userId": "eve"})))
    chat.apply(load_event(_in_team("dlvrd", {"userId": "bob"})))
    chat.apply(load_event(_in_team("read", {})))
    assert [(each.user_id, each.dlvrd, each.read) for each in only(chat).delivering or []] == [
        ("bob", 60, None),
        ("eve", 5, 60),
    ]
    assert only(chat).status == "read"


def _in_team(kind: str, more: dict[str, Any]) -> dict[str, Any]:
    payload = {"chatId": "team", "messageId": 1, "clientMessageId": "c1", "timestamp": 60, **more}
    return {"type": "event", "eventType": kind, "payload": payload}


# -- edits and deletions


def test_edits_and_deletions_of_ours_and_theirs(chat: Conversation) -> None:
    chat.apply(new(1, "theirs", attachments=[ATTACHED]))
    chat.sending("mine", "ours", [], None, 1.0)
    chat.sent("mine", receipt(2))
    chat.edited(2, receipt(3), "ours, edited", None)
    chat.apply(event("edit", messageId=4, originalMessageId=1, message="theirs, edited"))
    assert texts(chat) == [("theirs, edited", "undelivered"), ("ours, edited", "undelivered")]
    assert all(shown.edited for shown in chat.messages())
    assert chat.messages()[0].attachments
    chat.deleted(2)
    chat.apply(event("delete", messageId=5, originalMessageId=1))
    assert texts(chat) == [(None, "deleted"), (None, "deleted")]
    assert chat.messages()[0].attachments is None


def test_stored_edits_and_deletions_change_what_they_are_about(chat: Conversation) -> None:
    original = {"originalMessageId": 1, "originalClientMessageId": "c1"}
    chat.loaded([stored(5, type="edit", payload=original, message="edited")])
    assert chat.messages() == ()
    chat.loaded([stored(1), stored(2), stored(6, type="edit", payload={"odd": 1})])
    assert [shown.message for shown in chat.messages()] == ["edited", "text", "text"]
    chat.loaded([stored(7, type="delete", payload={**original, "originalMessageId": 2})])
    assert texts(chat) == [("edited", "unread"), (None, "deleted"), ("text", "unread")]


def test_a_page_tells_what_was_deleted_meanwhile(chat: Conversation) -> None:
    chat.apply(new(1, "theirs"))
    chat.loaded([stored(1, status="deleted", deletedAt=9), stored(2, status="deleted", attachments=[ATTACHED])])
    assert texts(chat) == [(None, "deleted"), (None, "deleted")]
    assert chat.messages()[1].attachments is None
    call = stored(3, type="call", payload={"direction": "incoming", "callType": "audio"})
    chat.loaded([call])
    assert chat.messages()[2].payload.direction == "incoming"


def test_events_of_other_chats_and_kinds_are_not_ours(chat: Conversation) -> None:
    assert not chat.apply(event("new", chatId="eve", messageId=1, clientMessageId="c", status="x", missed=0))
    assert not chat.apply(event("typing", userId="bob"))
    assert not chat.apply(load_event({"eventType": "online", "payload": {"userId": "bob"}}))
    assert chat.apply(new(1, "from the other, who is not named", sender=None))
    assert only(chat).sender == "bob"


# -- any order


STORY = [
    new(1, "one"),
    new(2, "two", sender="ada"),
    new(3, "three", sender="ada"),
    event("edit", messageId=4, originalMessageId=1, message="one, edited"),
    event("edit", messageId=5, originalMessageId=1, message="one, edited twice"),
    mark("dlvrd", 3),
    mark("read", 2),
    event("delete", messageId=6, originalMessageId=3),
]
OUTCOME = [("one, edited twice", "undelivered"), ("two", "read"), (None, "deleted")]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_and_the_number_of_times_do_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    told = [*STORY, *chance.choices(STORY, k=5)]
    chance.shuffle(told)
    chat = Conversation("bob", "ada")
    for each in told:
        assert chat.apply(each)
    assert texts(chat) == OUTCOME


def test_the_confirmation_may_come_anywhere() -> None:
    told = [lambda chat, each=each: chat.apply(each) for each in STORY[1:3]]
    told.append(lambda chat: chat.sent("c2", receipt(2)))
    for order in itertools.permutations(told):
        chat = Conversation("bob", "ada")
        chat.sending("c2", "two", [], None, 1.0)
        for step in order:
            step(chat)
        assert [shown.message for shown in chat.messages()] == ["two", "three"]
