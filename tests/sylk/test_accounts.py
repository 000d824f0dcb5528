"""Accounts: adding, registering, messages and their dispositions, conversations."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from rxsdk import CallNotSent, InvalidCall, Secret, SylkAccount, SylkError, SylkService
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.protocols.sylk import messages
from tests.conftest import wait_until
from tests.sylk.conftest import Enter
from tests.sylk.people import Watcher, register


def test_a_life(sylk: SylkEmulator, service: SylkService) -> None:
    account = service.add_account("ada@example.com", Secret("swordfish")).result(10)
    states = Watcher(account.registration_stream)
    assert states.wait("unregistered").reason is None
    account.register().result(10)
    states.wait("registered")
    account.unregister().result(10)
    states.wait("unregistered")
    account.register().result(10)
    states.wait("registered")
    account.remove().result(10)
    states.wait("removed")
    assert (states.ends, account.address) == ([None], "ada@example.com")
    added = [one.payload for one in sylk.received if one.payload.get("sylkrtc") == "account-add"]
    assert [one["password"] for one in added] == [hashlib.md5(b"ada:example.com:swordfish").hexdigest()]
    with pytest.raises(CallNotSent, match="it is removed"):
        account.register().result(10)


@pytest.mark.parametrize(
    ("address", "reason"), [("ada@example.com", "401 Unauthorized"), ("who@example.com", "404 Not Found")]
)
def test_a_wrong_password_is_told_when_registering(service: SylkService, address: str, reason: str) -> None:
    account = service.add_account(address, "guess").result(10)
    states = Watcher(account.registration_stream)
    account.register().result(10)
    assert states.wait("failed").reason == reason
    with pytest.raises(SylkError, match="Account not authenticated"):
        account.send_message("bob@example.com", "hello").result(10)


def test_another_realm(sylk: SylkEmulator, service: SylkService) -> None:
    service.add_account("ada@example.com", "swordfish", realm="sip").result(10)
    assert sylk.received[-1].payload["password"] == hashlib.md5(b"ada:sip:swordfish").hexdigest()


def test_the_same_account_twice(service: SylkService) -> None:
    account = service.add_account("ada@example.com", "swordfish").result(10)
    with pytest.raises(CallNotSent, match=r"ada@example\.com is added already"):
        service.add_account("ada@example.com", "swordfish").result(10)
    register(account)


def test_refused_when_added(sylk: SylkEmulator, service: SylkService) -> None:
    secret = hashlib.md5(b"ada:example.com:swordfish").hexdigest()
    sylk.refuse_next("account-add", f"no {secret} here")
    with pytest.raises(SylkError, match="no <redacted> here"):
        service.add_account("ada@example.com", "swordfish").result(10)
    service.add_account("ada@example.com", "swordfish").result(10)


def test_a_refused_registration(sylk: SylkEmulator, service: SylkService) -> None:
    account = service.add_account("ada@example.com", "swordfish").result(10)
    sylk.refuse_next("account-register", "DNS lookup error")
    with pytest.raises(SylkError, match="DNS lookup error"):
        account.register().result(10)
    assert (account.registration.name, account.registration.reason) == ("failed", "DNS lookup error")


@pytest.mark.parametrize(
    ("address", "password", "realm", "problem"),
    [
        ("ada", "x", None, "account: must be an address"),
        (5, "x", None, "account: must be a string, not int"),
        ("ada@example.com", "", None, "password: is empty"),
        ("ada@example.com", None, None, "password: must be a string, not NoneType"),
        ("ada@example.com", "\ud800", None, "password: holds a lone surrogate"),
        ("ada@example.com", "x", 5, "realm: must be a string, not int"),
    ],
)
def test_what_cannot_be_an_account(
    service: SylkService, address: str, password: str, realm: str | None, problem: str
) -> None:
    with pytest.raises(InvalidCall, match=f"account-add: {problem}"):
        service.add_account(address, password, realm=realm)


def test_messages_and_what_becomes_of_them(ada: SylkAccount, bob: SylkAccount, enter: Enter) -> None:
    elsewhere = Watcher(enter("ada").events)
    inbox, sent = Watcher(bob.messages), Watcher(ada.dispositions)
    moment = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    message_id = ada.send_message("bob@example.com", "hello", timestamp=moment).result(10)
    message = inbox.first()
    assert (message.content, message.message_id, message.sender) == (
        "hello",
        message_id,
        messages.Identity("ada@example.com", "Ada"),
    )
    assert message.timestamp == "2026-05-04T03:02:01.000+00:00"
    wait_until(lambda: [one.state for one in sent.values] == ["accepted"])
    bob.send_disposition(message, "delivered").result(10)
    bob.send_disposition(message, "displayed").result(10)
    wait_until(lambda: [one.state for one in sent.values] == ["accepted", "delivered", "displayed"])
    assert {one.message_id for one in sent.values} == {message_id}
    assert elsewhere.first(messages.AccountSync).content["content"] == "hello"
    ada.send_message("nobody@example.com", "hello").result(10)
    wait_until(lambda: sent.values[-1].state == "failed")
    assert sent.values[-1].code == 404


def test_conversations(ada: SylkAccount, bob: SylkAccount, enter: Enter) -> None:
    elsewhere, synced = Watcher(enter("bob").events), Watcher(bob.conversations)
    ids = [ada.send_message("bob@example.com", text).result(10) for text in ("one", "two", "three")]
    bob.sync_conversations().result(10)
    assert [one.content for one in synced.first().messages] == ["one", "two", "three"]
    bob.sync_conversations(ids[0], limit=1).result(10)
    wait_until(lambda: len(synced.values) == 2)
    assert [one.content for one in synced.values[1].messages] == ["two"]
    bob.sync_conversations(since=datetime(2100, 1, 1, tzinfo=UTC)).result(10)
    bob.mark_conversation_read("ada@example.com").result(10)
    bob.remove_message(ids[1], "ada@example.com").result(10)
    bob.sync_conversations(since="2000-01-01").result(10)
    bob.remove_conversation("ada@example.com").result(10)
    bob.sync_conversations().result(10)
    wait_until(lambda: len(synced.values) == 5)
    texts = [[(one.content, one.state) for one in event.messages] for event in synced.values[2:]]
    assert texts == [[], [("one", "displayed"), ("three", "displayed")], []]

    def actions() -> list[tuple[str, str]]:
        return [(one.type, one.action) for one in elsewhere.values if isinstance(one, messages.AccountSync)]

    wait_until(lambda: len(actions()) == 3)  # on a connection of its own
    assert actions() == [("conversation", "read"), ("message", "remove"), ("conversation", "remove")]
    with pytest.raises(InvalidCall, match="timestamp: must have a time zone"):
        ada.send_message("bob@example.com", "when?", timestamp=datetime(2026, 1, 1))


def test_public_keys_and_push(service: SylkService, ada: SylkAccount) -> None:
    keys = Watcher(service.public_keys)
    service.lookup_public_key("bob@example.com").result(10)
    service.lookup_public_key("eve@example.com").result(10)
    wait_until(lambda: len(keys.values) == 2)
    assert [one.public_key for one in keys.values] == ["-----BEGIN PGP", None]
    ada.set_device_token("t0ken", platform="ios", device="phone", app="sylk").result(10)
