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
| a call after another, `await` | **1.19**, ≤ 1.15 | **1.41**, ≤ 1.15 |
| the same on a thread of its own, `.result()` | 1.27; without uvloop **1.85**, ≤ 1.6 | |
| a call, 1 000 in flight, `subscribe` | **1.91**, ≤ 1.25 | **2.97**, ≤ 1.4 |
| the same, `await` | **1.44**, ≤ 1.25 | **2.09**, ≤ 1.4 |
| an event of a watch | 1.00, ≤ 1.25 | **2.10**, ≤ 1.45 |
| an event, 100 watches | 0.99, ≤ 1.3 | |
| an event, 100 subscribers | 1.11, ≤ 1.5 | |
| a file of 16 MiB | 1.03, ≤ 1.11 | 1.02, ≤ 1.11 |
| 1 000 connected services: memory; CPU when idle | 1.20; 0.53, ≤ 1.3 | |
| `import rxsdk` beside what it is made of | 0.81, ≤ 1.2 | |
| 10 000 calls in flight beside 100 | **1.11**, ≤ 1.1 | |
| the last of a million calls beside the first thousand | 0.96, ≤ 1.15 | |
| a call with 1 000 services open beside one | 1.09, ≤ 1.15 | |
| an event with 10 000 watches beside one | **1.36**, ≤ 1.15 | |

In time, on that machine: a call among a thousand takes 16 µs, one after another 73, an event 3.8; the same floors 8, 65 and
3.9. Over websockets an event costs no more than the floor, because the messages that came whole in a read are taken
out of it by position, where the floor has the library's parser. A floor that makes one call after another pays for new
pages of memory in some processes and not in others, 40 to 80 µs: there a ratio is good to a third (`await` once more,
without the extra: 1.45).

## What is over, and why

What is over is many small steps, each of which does something for the caller.

| µs | a call in flight | an event |
|---|---|---|
| make it: look at the arguments, JSON, the `Call`, the `Subscription` with its context | 6.3 | |
| id, JWT and HMAC, deadline, the queues | 3.8 | |
| frame, mask and write | 0.7 | |
| read: the system, the loop, the transport | 1.5 | 1.0 |
| JSON to a `Res` | 1.2 | 1.3 |
| whose it is: the table of calls, session, deadline | 1.4 | 0.3 |
| keep the outcome, post it to the subscribers | 1.1 | 0.8 |
| deliver: mailbox, context, guard, clock | 1.4 | 1.1 |
| all (with the stopwatches in it) | 17.3 | 4.5 |
| the floor: websockets; picows | 9.8; 6.6 | 4.4; 2.0 |

- **A call in flight.** Of the floor's own work, JSON, JWT and HMAC are in these figures once more. In a tight loop,
  without the collector, `api.call` takes 2.7 µs (1.2 to look at the arguments and encode them, 1.1 to make the `Call` and
  hand it on), `subscribe` 1.3, signing and queues 3.0, the way back 3.5: small steps, of which only the JWT (1.4) is above half a microsecond.
  A thousand that live at once take half as long again, for memory and the collector. The target over picows leaves 2 µs.
- **An event over picows** may take 0.9 µs more than the floor, for order, mailbox, context, guard and clock; it takes 1.9.
- **One awaited call** is 51 µs where the floor is 31 (`profile_one`): both make the same calls of the system and the same two
  turns of the loop. Of the 20 µs between them 9 are the making and 7 from bytes to a reply; after a wait everything is
  cold, so a step takes longer than among a thousand.
- **10 000 watches.** 100 cost what one does; from 1 000 on an event costs half as much again, and at 10 000 no more than
  that. What a thousand watches are made of (1.5 KiB each) is more than this processor's second cache holds, which would
  explain it; it was not counted.

## To go faster

- `pip install 'rxsdk[fast]'`: picows and uvloop are then taken by themselves, unless a proxy is in the way.
- Many calls at once cost a fifth of one after another: what is made in one turn of the loop leaves in one write.
  `rxsdk.operators.call_each` keeps so many on their way.
- `subscribe` costs less than `await`, and `await` less than `.result()`.

Uploads do not get in the way: beside them the slowest hundredth of the calls takes 1.1 to 1.4 times as long as with nothing
else to do, as what goes up is made and written a few microseconds at a time.
"""

__all__: list[str] = []
