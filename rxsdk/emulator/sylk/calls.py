"""`Calls`: calls between connections, as the gateway and the SIP server behind it put them through.

A call rings at every connection where the called account is registered; the first to answer has it. Media there are
none: a call is ``established`` as soon as it is ``accepted``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from rxsdk.emulator.sylk.refusal import Refused
from rxsdk.emulator.sylk.world import Client, Leg, World

__all__ = ["Calls"]

_ENDS = ("connecting", "progress", "ringing", "accepted", "established", "local-updating", "remote-updating")


class Calls:
    """The requests ``session-…``; ``after`` has something told after the answer."""

    def __init__(self, world: World, after: Callable[[Callable[[], None]], None]) -> None:
        self._world = world
        self._after = after

    @staticmethod
    def _leg(client: Client, request: dict[str, Any]) -> Leg:
        leg = client.legs.get(request["session"])
        if leg is None:
            raise Refused(f"Unknown session {request['session']}")
        return leg

    @staticmethod
    def _in_state(leg: Leg, *states: str) -> None:
        if leg.state not in states:
            raise Refused(f"Invalid state of session {leg.key}: {leg.state}")

    def create(self, client: Client, request: dict[str, Any]) -> None:
        """Call somebody."""
        if request["session"] in client.legs:
            raise Refused(f"Session ID {request['session']} already in use")
        account = client.accounts.get(request["account"])
        if account is None:
            raise Refused(f"Unknown account specified: {request['account']}")
        leg = Leg(request["session"], client, account, is_incoming=False)
        client.legs[leg.key] = leg
        self._after(partial(self._ring, leg, request))

    def _ring(self, leg: Leg, request: dict[str, Any]) -> None:
        leg.state = "progress"
        leg.client.tell_session(leg.key, "state", state="progress")
        if not self._world.accepts(leg.account):
            self._end(leg, "401 Unauthorized")
            return
        called = list(self._world.registered(request["uri"]))
        if not called:
            self._end(leg, "480 Temporarily Unavailable" if self._world.knows(request["uri"]) else "404 Not Found")
            return
        headers = {} if request["headers"] is None else {"headers": request["headers"]}
        call_id = uuid4().hex
        for client, account in called:
            other = Leg(str(uuid4()), client, account, is_incoming=True, others=[leg])
            client.legs[other.key] = other
            leg.others.append(other)
            client.tell_account(
                account.address,
                "incoming-session",
                session=other.key,
                originator=leg.account.identity,
                sdp=request["sdp"],
                call_id=call_id,
                **headers,
            )
        leg.client.tell_session(leg.key, "state", state="proceeding", code=100)
        leg.client.tell_session(leg.key, "state", state="ringing")
        leg.state = "ringing"

    def answer(self, client: Client, request: dict[str, Any]) -> None:
        """Take a call."""
        leg = self._leg(client, request)
        if not leg.is_incoming:
            raise Refused(f"Cannot answer outgoing session {leg.key}")
        self._in_state(leg, "connecting")
        leg.state = "accepted"
        self._after(partial(self._connect, leg, request))

    def _connect(self, leg: Leg, request: dict[str, Any]) -> None:
        [caller] = leg.others
        for rival in [other for other in caller.others if other is not leg]:
            self._end(rival, "200 Call completed elsewhere")
        caller.others = [leg]
        headers = {} if request["headers"] is None else {"headers": request["headers"]}
        leg.client.tell_session(leg.key, "state", state="accepted")
        caller.client.tell_session(
            caller.key, "state", state="accepted", sdp=request["sdp"], call_id=uuid4().hex, **headers
        )
        for one in (leg, caller):
            one.state = "established"
            one.client.tell_session(one.key, "state", state="established")

    def trickle(self, client: Client, request: dict[str, Any]) -> None:
        """Candidates go to the media server, which is not here."""
        self._leg(client, request)

    def terminate(self, client: Client, request: dict[str, Any]) -> None:
        """Hang up, give up or decline."""
        leg = self._leg(client, request)
        self._in_state(leg, *_ENDS)
        self._after(partial(self._hang_up, leg))

    def _hang_up(self, leg: Leg) -> None:
        if leg.is_incoming and leg.state == "connecting":
            self._end(leg, "486 Busy Here")
            [caller] = leg.others
            caller.others.remove(leg)
            if not caller.others:
                self._end(caller, "486 Busy Here")
            return
        rings = leg.state in ("connecting", "progress", "ringing")
        reason = "487 Request Terminated" if rings else "200 OK"
        self._end(leg, reason)
        for other in leg.others:
            self._end(other, reason)
            if rings:
                other.client.tell_account(other.account.address, "missed-session", originator=leg.account.identity)

    @staticmethod
    def _end(leg: Leg, reason: str) -> None:
        if leg.state != "terminated":
            leg.state = "terminated"
            leg.client.legs.pop(leg.key, None)
            leg.client.tell_session(leg.key, "state", state="terminated", reason=reason)

    def gone(self, client: Client) -> None:
        """A connection has ended, and its calls with it."""
        for leg in list(client.legs.values()):
            self._hang_up(leg)

    def update(self, client: Client, request: dict[str, Any]) -> None:
        """Offer other media, or answer to that."""
        leg = self._leg(client, request)
        self._in_state(leg, "established", "remote-updating")
        [other] = leg.others
        if leg.state == "established":
            leg.state, other.state, told = "local-updating", "remote-updating", "received"
        else:
            leg.state, other.state, told = "established", "established", "accepted"
        self._after(partial(other.client.tell_session, other.key, "update", state=told, sdp=request["sdp"]))

    def message(self, client: Client, request: dict[str, Any]) -> None:
        """Write inside the call."""
        leg = self._leg(client, request)
        self._in_state(leg, "established")
        [other] = leg.others
        said = {name: request[name] for name in ("message_id", "content", "content_type", "timestamp")}

        def tell() -> None:
            other.client.tell_session(other.key, "message", sender=leg.account.identity, **said)
            leg.client.tell_session(
                leg.key,
                "disposition-notification",
                message_id=said["message_id"],
                message_timestamp=said["timestamp"],
                state="accepted",
                code=200,
                reason="OK",
            )

        self._after(tell)

    def dtmf_info(self, client: Client, request: dict[str, Any]) -> None:
        """Keys go to the other side's media."""
        self._in_state(self._leg(client, request), "established", "accepted", "local-updating", "remote-updating")
