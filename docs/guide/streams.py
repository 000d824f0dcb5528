r"""
# Watches, pages, polls, operators

## Follow a collection

`api.call("staff/watch")` gives what the server says, reply by reply. `api.watch` gives what it means, for
weeks, through lost connections:

```python
def show(change):
    match change:
        case Snapshot(docs):
            print(len(docs), "documents to begin with")
        case Created(_id, doc):
            print("new:", doc["name"])
        case Updated(_id, doc, before):
            print("changed:", before, "→", doc)
        case Deleted(_id, doc):
            print("gone:", _id)
        case Gap(reason, since):
            print("changes since", since, "may be missing:", reason)

staff = api.watch("staff/watch", snapshot="staff/read")
staff.subscribe(show)
staff.collection().subscribe(lambda docs: print(len(docs), "now"))  # or simply the list, after each change
```

| | `call("staff/watch")` | `watch("staff/watch")` | `watch(…, snapshot="staff/read")` |
|---|---|---|---|
| it gives | `Res` | `Created`, `Updated`, `Deleted` | the same, after a `Snapshot` |
| after a lost connection | goes on (a `Gap` with `gaps=True`) | a `Gap`, then goes on | a `Gap`, then whatever differs: nothing is missed |
| it begins | at once | with the first subscriber | with the first subscriber |
| who comes late | begins with the latest | hears what comes | begins with a `Snapshot` of now |

All subscribers share one watch on the server; the last to leave deletes it there.

## Read page by page, ask again and again

```python
async for page in api.pages("staff/read", Q.rank > 3, size=100):  # one page ahead, however many there are
    for doc in page.docs:
        print(doc["name"])

totals = api.poll("staff/read", Q.limit(1), every_s=30).pipe(ops.map(lambda res: res.args.total))  # never two at once
```

Both are cold: nothing is asked before somebody subscribes, and each subscriber asks for himself.

## Operators

`rxsdk.operators` has what applications do with calls and reactivex has no word for:

| operator | does |
|---|---|
| `call_each(api, endpoint, make, max_in_flight=8)` | makes a call of every value, so many at a time, and emits the replies in order |
| `retry_not_sent(attempts)` | tries again what was certainly never sent |
| `docs()` | takes the replies apart into documents |

```python
covers = staff.pipe(
    ops.filter(lambda change: isinstance(change, Created)),
    call_each(api, "album/read", lambda change: {"query": Q.user == change.id}),
    docs(),
)
```

**A call is hot**: it is on its way when it is made, and to subscribe again is to hear the same reply again. What is to
be tried again is made anew by each subscription:

```python
reading = reactivex.defer(lambda _: api.call("staff/read")).pipe(ops.retry(3))
```

**A callback is a plain function.** An `async def` given to `subscribe` is refused, because nobody would await it. Where
each value is awaited, iterate: `async for change in staff: await tell(change)`.
"""

__all__: list[str] = []
