"""
# The chat protocol

`ChatService` is one user's connection to one chat server: requests that are answered, events that are acknowledged.

```python
from rxsdk import ChatConfig, ChatService

config = ChatConfig("wss://chat.example.com/ws", {"Authorization": f"Bearer {token}"}, user_id="ada")

with ChatService(config) as chat:
    chat.conversation("bob").subscribe(show)
    receipt = chat.send("bob", "Hello!").result()
    chat.edit("bob", receipt.message_id, "Hello, Bob!").result()
```

Each request is a `Call`. The `chat_id` is a group's id, or in a dialog the other user's. No server at hand?
`rxsdk emulate --wire chat` runs one, `rxsdk chat` talks to a parrot.

## A conversation as it stands

`conversation(chat_id)` gives the messages in order, and again whenever that changes: edits, deletions and marks applied,
whatever order they came in. A `Shown` has a `status`:

| `status` | means |
|---|---|
| `pending` | sent by us, and not confirmed yet |
| `failed` | not sent, or nobody knows: `error` says which. Send it again with its `client_message_id` |
| `undelivered`, `unread`, `read` | the server has it; it reached the other; it was read |
| `deleted` | it has no text any more |

What was not answered is looked up with the server, and after a loss everything is. Older messages come with `history`:

```python
for page in chat.history("bob", count=50):  # async for, on a loop
    print([message.message for message in page])
```

A message lost on its way is sent again by itself, under the same `client_message_id`, by which the server knows it. An
edit or a deletion is not: it ends with `CallOutcomeUnknown`.

## Events, and when they count as arrived

```python
chat.events_of(New).subscribe(notify)
chat.events_of("newCall").subscribe(ring)
chat.events_of(ack="on_receive").subscribe(log)
```

The server gives an event again until it is acknowledged. Each is handed over once in a run, and acknowledged

- `after_delivery`, which is the default: when everybody who asked for that has been handed it. Killed before that, the
  next run has it again.
- `on_receive`: such a subscriber holds nothing up. Where only such ones listen, the event is acknowledged at once.

While nobody listens, events wait. Whoever listens first gets those that waited; so subscribe before `init`, or do it
in one go, when several want different kinds:

```python
chat = ChatService(config)
chat.events_of(New).subscribe(notify)
chat.events_of(Read).subscribe(tick)
chat.init()
```

| killed | without `seen_file` | with `seen_file` |
|---|---|---|
| before it was handed over | comes again | comes again |
| after it, before the file was written | comes again | comes again |
| after the file was written | comes again | is known, and not handed over again |

## Who is there, who types

`presence_stream` is the set of contacts online, `typing_stream` of `(chat_id, user_id)` who type; both start with what
is known. Call `typing(chat_id)` every few seconds while somebody writes: at the other side it ends by itself.
"""

__all__: list[str] = []
