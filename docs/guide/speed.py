r"""
# Speed: what a call and an event cost, and why

Nobody should drop to a raw WebSocket for speed. So each figure stands beside a *floor*: the client one would write by hand
for that one purpose, on the same library, measured in the same run (`tests/benchmarks/floor.py`). It has no streams,
deadlines, mailboxes, reconnects or isolation; ours has all of them.

```console
python -m tests.benchmarks              # the table below
python -m tests.benchmarks.profile      # where the µs of an event and of a call go
python -m tests.benchmarks.profile_one  # the same of one awaited call, beside the floor
python -m tests.files.latency           # how long calls take beside uploads
```

## The table

CPU time of the client's process over the floor's; medians of five pairs on 2 cores of a virtual machine, Python 3.11.
Each cell is the ratio and the one that is wanted; **bold** is over it.

| work | websockets | picows (extra `fast`) |
|---|---|---|
| a call after another, `await` | **1.51**, ≤ 1.15 | **1.57**, ≤ 1.15 |
| the same on a thread of its own, `.result()` | 1.26; without uvloop **2.12**, ≤ 1.6 | |
| a call, 1 000 in flight, `subscribe` | **1.60**, ≤ 1.25 | **2.77**, ≤ 1.4 |
| the same, `await` | 1.22, ≤ 1.25 | **1.82**, ≤ 1.4 |
| an event of a watch | 0.85, ≤ 1.25 | **1.73**, ≤ 1.45 |
| an event, 100 watches | 0.85, ≤ 1.3 | |
| an event, 100 subscribers | 1.17, ≤ 1.5 | |
| a file of 16 MiB | 1.00, ≤ 1.11 | 0.99, ≤ 1.11 |
| 1 000 connected services: memory; CPU when idle | 1.24; 0.60, ≤ 1.3 | |
| `import rxsdk` beside what it is made of | 0.79, ≤ 1.2 | |
| 10 000 calls in flight beside 100 | 1.09, ≤ 1.1 | |
| the last of a million calls beside the first thousand | 1.00, ≤ 1.15 | |
| a call with 1 000 services open beside one | 1.04, ≤ 1.15 | |
| an event with 10 000 watches beside one | **1.36**, ≤ 1.15 | |

In time, on that machine: a call among a thousand takes 14 µs, one after another 65, an event 2.9; the same floors 8, 44 and
3.6. Over websockets an event costs less than the floor, because the messages that came whole in a read are taken out of
it by position, where the floor has the library's parser.

A floor that makes one call after another takes two new pages of memory a call in some processes and none in others, 64 or
44 µs, and the ratio goes with it: 1.0 to 1.2 or 1.5. In the table are 15 pairs of the dearer kind for `await`, 5 for
`.result()`, which had a floor of 64 µs and is over its target, too, beside one of 44.

## What is over, and why

What is over is many small steps, each of which does something for the caller.

| µs | a call in flight | an event |
|---|---|---|
| make it: look at the arguments, JSON, the `Call`, the `Subscription` with its context | 4.4 | |
| id, JWT and HMAC, deadline, the queues | 3.2 | |
| frame, mask and write | 0.5 | |
| read: the system, the loop, the transport | 1.1 | 0.7 |
| JSON to a `Res` | 1.2 | 1.1 |
| whose it is: the table of calls, session, deadline | 1.1 | 0.2 |
| hand up and deliver: keep the outcome, mailbox, context, guard, clock | 2.1 | 1.1 |
| all (with the stopwatches in it) | 13.6 | 3.1 |
| the floor: websockets; picows | 9.1; 6.3 | 3.8; 1.9 |

- **A call in flight.** Of the floor's own work, JSON, JWT and HMAC are in these figures once more. In a tight loop `api.call`
  takes 2.3 µs, `subscribe` 1.2, signing and queues 2.7, the way back 3.9: small steps, of which only the JWT (1.2) and the
  JSON of the answer (1.1) are above half a microsecond. The target over picows leaves 2 µs for all of it.
- **An event over picows** may take 0.9 µs more than the floor, for order, mailbox, context, guard and clock; it takes 1.3.
- **One awaited call** makes the same calls of the system and the same two turns of the loop as the floor, and some 1 700
  bytecodes more: of the process's own time it takes 40 µs where the floor takes 20. Among a thousand the same steps take a
  quarter of that; after a wait everything is cold.
- **10 000 watches.** Only the frame of each watch's latest change is kept, as letting go of what it was decoded to took
  longer than all the rest. What is left are the dozen cache lines of a watch and its subscriber, which of thousands
  are cold; that is inferred, not counted.

## To go faster

- `pip install 'rxsdk[fast]'`: picows and uvloop are then taken by themselves, unless a proxy is in the way.
- Many calls at once cost a fifth of one after another: what is made in one turn of the loop leaves in one write.
  `rxsdk.operators.call_each` keeps so many on their way.
- `subscribe` costs less than `await`, and `await` less than `.result()`.

Uploads do not get in the way: beside them the slowest hundredth of the calls takes 1.1 to 1.4 times as long as with nothing
else to do, as what goes up is made and written a few microseconds at a time.
"""

__all__: list[str] = []
