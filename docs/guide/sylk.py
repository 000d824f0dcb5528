r"""
# SylkServer: calls, conferences, messages

`SylkService` speaks sylkRTC (versions 1 and 2) with the WebRTC gateway of a SylkServer: it signals, your WebRTC library
makes the descriptions and candidates and carries the media. One service is one connection, for any number of accounts.

```python
from rxsdk import SylkConfig, SylkService

with SylkService(SylkConfig("wss://sylk.example.com/webrtcgateway/ws")) as sylk:
    ada = sylk.add_account("ada@example.com", password).result()
    ada.registration_stream.subscribe(lambda state: print(state.name, state.reason))
    ada.register().result()
```

Each request is a `Call`: done when the server acknowledged it, failed with `SylkError` when it refused, and with the
errors of every call otherwise. An acknowledged `register` is on its way; whether the password is right is told by
`registration_stream`. On a running loop write `async with` and `await`.

## A call

```python
call = ada.call("bob@example.com", offer)
call.state_stream.subscribe(lambda state: print(state.name, state.reason))
call.trickle(candidates)                # dicts as WebRTC makes them; an empty list says that there are no more
call.state_stream.pipe(ops.filter(lambda state: state.name == "accepted"))   # then call.remote_sdp is the answer
call.terminate()
```

    requested → progress → proceeding → ringing → accepted → established → terminated
    incoming → answering → accepted → established → terminated

Some of the middle may be left out, and media may flow early (`early-media`, `early-established`). A call that comes to
nothing is `terminated`, with the reason: nobody else needs to be asked. Subscribe to `incoming` before you register:

```python
def rings(call):
    print(call.remote.display_name or call.remote.uri)
    call.answer(answer_to(call.remote_sdp))     # or call.terminate(), to decline

ada.incoming.subscribe(rings)
```

Inside a call there are `send_message`, `send_dtmf` and `update` (other media, or the answer to `call.updates`).

## A conference

```python
room = ada.join("tea@conference.example.com", offer)
room.publishers_stream.subscribe(lambda people: print([one.uri for one in people]))

feed = room.attach(room.publishers[0])          # what somebody sends
feed.state_stream.subscribe(lambda state: feed.answer(answer_to(state.sdp)) if state.name == "attached" else None)

room.invite(["eve@example.com"])
room.send_message("hello, everybody")
room.toggle_hand()
room.leave()
```

## Messages

```python
ada.messages.subscribe(lambda message: print(message.sender.uri, message.content))
ada.dispositions.subscribe(lambda fate: print(fate.message_id, fate.state))    # accepted, delivered, displayed, failed
message_id = ada.send_message("bob@example.com", "are you there?").result()

ada.messages.subscribe(lambda message: ada.send_disposition(message, "displayed"))
ada.sync_conversations(since="2026-01-31T12:00:00Z")        # they come in ada.conversations
```

## When the connection is lost

It comes back by itself, and the accounts are added and registered again. Calls and rooms do not survive, for the server
forgets them: their state is `terminated`, with the reason, and so are their feeds `detached`. A request that was on its
way fails with `CallOutcomeUnknown` and is never made twice.

The password itself is not kept: what is, and what goes over the wire, is its HA1, which is as good as the password for
SIP. Use `wss://`.

## From sylkrtc.js

| yours | ours |
|---|---|
| `createConnection({server})`, `stateChanged` | `SylkService(SylkConfig(url))`, `state_stream` |
| `connection.addAccount(options, callback)` | `add_account(address, password)`, whose reply is the account |
| `account.register()`, `registrationStateChanged` | `register()`, `registration_stream` |
| `account.call(uri, options)` | `call(uri, sdp)`; the description is yours to make |
| `incomingCall`, `missedCall`, `conferenceInvite` | `incoming`, `MissedSession` in `account.events`, `invitations` |
| `call.answer(options)`, `call.terminate()` | `answer(sdp)`, `terminate()` |
| `call.on("stateChanged", (old, new, data) => …)` | `call.state_stream`, the latest replayed |
| `account.joinConference(uri, options)` | `join(uri, sdp)` |
| `participantJoined`, `participantLeft` | `room.publishers_stream` |
| `participant.attach()`, `detach()` | `room.attach(publisher)`, which is a feed; `feed.detach()` |
| `account.sendMessage(uri, text)`, `incomingMessage` | `send_message(uri, content)`, `messages` |
| `sendDispositionNotification`, `messageStateChanged` | `send_disposition`, `dispositions` |
| an event nobody handles is lost | `service.events`: all of them, also those rxsdk does not know (`UnknownEvent`) |

`rxsdk.emulator.sylk.SylkEmulator` is a server to test against, `rxsdk emulate --wire sylk` the same from a terminal;
`rxsdk sylk` registers, writes and watches calls. `examples/two_clients_call.py` is a whole call.
"""

__all__: list[str] = []
