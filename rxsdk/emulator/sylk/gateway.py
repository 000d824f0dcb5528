"""`Gateway`: what each request does: accounts and messages here; calls in `calls`, rooms in `rooms`.

A request is validated, made, and answered: ``ack``, or ``error`` with a text. What is told in the course of it goes out
before the answer where the real gateway does it so (a room's ``progress``), else after it. As there, a message of an
unknown kind is not answered at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from rxsdk.emulator.clock import Alarms
from rxsdk.emulator.scripting import Record, Script
from rxsdk.emulator.sylk.calls import Calls
from rxsdk.emulator.sylk.refusal import Refused
from rxsdk.emulator.sylk.rooms import Rooms
from rxsdk.emulator.sylk.validation import KINDS, Invalid, checked
from rxsdk.emulator.sylk.world import AccountInfo, Client, Stored, World

__all__ = ["Gateway"]

log = logging.getLogger("rxsdk.emulator")

_MOST_SYNCED = 5000


class Gateway:
    """One emulated gateway, all its connections."""

    def __init__(self, world: World, alarms: Alarms, script: Script, record: Record) -> None:
        self._world = world
        self._alarms = alarms
        self._script = script
        self._record = record
        self._after: list[Callable[[], None]] = []
        self._calls = Calls(world, self._after.append)
        self._rooms = Rooms(world, self._after.append)

    def take(self, client: Client, text: str) -> None:
        """A message of a client."""
        message = _parsed(text)
        kind = message.get("sylkrtc")
        if not isinstance(kind, str) or kind not in KINDS:
            self._record.note_received(client.number, message, accepted=False, size=len(text))
            log.debug("connection %d: no request that there is", client.number)
            return
        try:
            request = checked(kind, message)
        except Invalid as error:
            self._record.note_received(client.number, message, accepted=False, size=len(text))
            if "transaction" in message:
                client.send({"sylkrtc": "error", "transaction": message["transaction"], "error": str(error)})
            return
        self._record.note_received(client.number, message, accepted=True, size=len(text))
        played = self._script.play(kind)
        if played is None:
            self._answer(client, kind, request, None, silent=False)
        elif played.silent and not played.execute:
            return
        else:
            reply = played.reply(message) if callable(played.reply) else played.reply
            self._alarms.after(
                played.delay_s, lambda _due: self._answer(client, kind, request, reply, silent=played.silent)
            )

    def _answer(self, client: Client, kind: str, request: dict[str, Any], reply: Any, *, silent: bool) -> None:
        if client.closed:
            return
        try:
            if reply is None:
                self._record.note_executed(kind, request["transaction"])
                self._handler(kind)(client, request)
            elif "error" in reply:
                raise Refused(reply["error"])
        except Refused as error:
            answer = {"sylkrtc": "error", "transaction": request["transaction"], "error": str(error)}
        else:
            answer = {"sylkrtc": "ack", "transaction": request["transaction"]}
        after, self._after[:] = list(self._after), []
        if not silent:
            client.send(answer)
        for tell in after:
            tell()

    def _handler(self, kind: str) -> Callable[[Client, dict[str, Any]], None]:
        group, _, name = kind.partition("-")
        places: dict[str, Any] = {"session": self._calls, "videoroom": self._rooms}
        handler: Callable[[Client, dict[str, Any]], None] = (
            getattr(places[group], name.replace("-", "_"))
            if group in places
            else getattr(self, "_" + kind.replace("-", "_"))
        )
        return handler

    def gone(self, client: Client) -> None:
        """A connection has ended: everything that was its is over."""
        self._world.clients.discard(client)
        self._calls.gone(client)
        self._rooms.gone(client)
        client.accounts.clear()

    # -- accounts

    @staticmethod
    def _account(client: Client, request: dict[str, Any]) -> AccountInfo:
        account = client.accounts.get(request["account"])
        if account is None:
            raise Refused(f"Unknown account specified: {request['account']}")
        return account

    def _authenticated(self, client: Client, request: dict[str, Any]) -> AccountInfo:
        account = self._account(client, request)
        if not account.is_authenticated:
            raise Refused("Account not authenticated")
        return account

    def _ping(self, client: Client, request: dict[str, Any]) -> None:
        pass

    def _lookup_public_key(self, client: Client, request: dict[str, Any]) -> None:
        key = self._world.public_keys.get(request["uri"])
        found = {} if key is None else {"public_key": key}
        client.send({"sylkrtc": "lookup-public-key-event", "uri": request["uri"], **found})

    def _account_add(self, client: Client, request: dict[str, Any]) -> None:
        address = request["account"]
        if address in client.accounts:
            raise Refused(f"Account {address} already added")
        client.accounts[address] = AccountInfo(address, request["password"], request["display_name"])

    def _account_remove(self, client: Client, request: dict[str, Any]) -> None:
        del client.accounts[self._account(client, request).address]

    def _account_register(self, client: Client, request: dict[str, Any]) -> None:
        account = self._account(client, request)
        self._after.append(lambda: self._register(client, account))

    def _register(self, client: Client, account: AccountInfo) -> None:
        self._tell_registration(client, account, "registering")
        if self._world.accepts(account):
            account.is_registered = account.is_authenticated = True
            self._tell_registration(client, account, "registered")
        else:
            reason = "401 Unauthorized" if self._world.knows(account.address) else "404 Not Found"
            self._tell_registration(client, account, "failed", reason=reason)

    @staticmethod
    def _tell_registration(client: Client, account: AccountInfo, state: str, **more: str) -> None:
        if account.state != state:  # "only what is new is told"
            account.state = state
            client.tell_account(account.address, "registration-state", state=state, **more)

    def _account_unregister(self, client: Client, request: dict[str, Any]) -> None:
        self._account(client, request).is_registered = False

    def _account_devicetoken(self, client: Client, request: dict[str, Any]) -> None:
        self._account(client, request)

    # -- messages

    def _account_message(self, client: Client, request: dict[str, Any]) -> None:
        account, uri = self._authenticated(client, request), request["uri"]
        said = {name: request[name] for name in ("message_id", "content", "content_type", "timestamp")}
        reached = self._world.knows(uri)
        state, code, reason = ("accepted", 200, "OK") if reached else ("failed", 404, "Not Found")
        self._store(account.address, Stored(contact=uri, direction="outgoing", state=state, **said))
        if reached:
            self._store(uri, Stored(contact=account.address, direction="incoming", state="received", **said))

        def tell() -> None:
            wanted = ["positive-delivery", "display"]
            for other, _ in self._world.registered(uri):
                other.tell_account(uri, "message", sender=account.identity, disposition_notification=wanted, **said)
            for other in (client, *self._world.with_account(account.address, client)):
                other.tell_account(
                    account.address,
                    "disposition-notification",
                    message_id=said["message_id"],
                    message_timestamp=said["timestamp"],
                    state=state,
                    code=code,
                    reason=reason,
                )

        self._after.append(tell)
        self._sync(client, account, "message", "add", {**said, "uri": uri, "account": account.address})

    def _store(self, address: str, message: Stored) -> None:
        self._world.messages.setdefault(address, []).append(message)

    def _sync(self, client: Client, account: AccountInfo, kind: str, action: str, content: dict[str, Any]) -> None:
        """The account's other devices are told."""
        for other in self._world.with_account(account.address, client):
            other.tell_account(account.address, "sync", type=kind, action=action, content=content)

    def _account_disposition_notification(self, client: Client, request: dict[str, Any]) -> None:
        account, uri = self._authenticated(client, request), request["uri"]
        for address in (account.address, uri):
            for message in self._world.messages.get(address, []):
                if message.message_id == request["message_id"]:
                    message.state = request["state"]
        for other, _ in self._world.registered(uri):
            other.tell_account(
                uri,
                "disposition-notification",
                message_id=request["message_id"],
                message_timestamp=request["timestamp"],
                state=request["state"],
                code=200,
                reason="",
            )

    def _account_sync_conversations(self, client: Client, request: dict[str, Any]) -> None:
        account = self._authenticated(client, request)
        messages = self._world.messages.get(account.address, [])
        ids = [message.message_id for message in messages]
        if request["message_id"] in ids:
            messages = messages[ids.index(request["message_id"]) + 1 :]
        if request["since"] is not None:
            messages = [message for message in messages if message.timestamp > request["since"]]
        shown = [message.shown() for message in messages[: request["limit"] or _MOST_SYNCED]]
        self._after.append(lambda: client.tell_account(account.address, "sync-conversations", messages=shown))

    def _account_mark_conversation_read(self, client: Client, request: dict[str, Any]) -> None:
        account = self._authenticated(client, request)
        for message in self._world.messages.get(account.address, []):
            if message.contact == request["contact"] and message.direction == "incoming":
                message.state = "displayed"
        self._sync(client, account, "conversation", "read", {"contact": request["contact"]})

    def _account_remove_message(self, client: Client, request: dict[str, Any]) -> None:
        account = self._authenticated(client, request)
        self._keep(account, lambda message: message.message_id != request["message_id"])
        content = {"contact": request["contact"], "message_id": request["message_id"]}
        self._sync(client, account, "message", "remove", content)

    def _account_remove_conversation(self, client: Client, request: dict[str, Any]) -> None:
        account = self._authenticated(client, request)
        self._keep(account, lambda message: message.contact != request["contact"])
        self._sync(client, account, "conversation", "remove", {"contact": request["contact"]})

    def _keep(self, account: AccountInfo, which: Callable[[Stored], bool]) -> None:
        messages = self._world.messages.get(account.address, [])
        messages[:] = filter(which, messages)


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
