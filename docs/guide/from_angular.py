r"""
# For those who come from the Angular or the NativeScript SDK

The names are yours, in `snake_case`; a `$` at the end of a stream became `_stream`. What you know still holds: a call
is sent at once, whether or not anybody subscribes; a reply that is not 200 is an error; `awaitAuth` waits.

## Opening

<div class="beside" markdown="1">

```typescript
// Angular
this.api.init({
  api: 'wss://limp.example.com/ws',
  anonToken: ANON_TOKEN,
  authAttrs: ['email'],
  appId: 'shop',
}).subscribe({ error: console.error });

this.api.inited$.subscribe(inited => { /* … */ });
```

```python
api = ApiService()
api.init(SDKConfig(
    api="wss://limp.example.com/ws",
    anon_token=ANON_TOKEN,
    auth_attrs=["email"],
    app_id="shop",
)).subscribe(on_error=print)

api.inited_stream.subscribe(print)
```

</div>

`with ApiService(config) as api:` opens, waits until it is let in, and closes. You need no second `init()` after a lost
connection: it comes back by itself, signed in, its watches made anew.

## Calling

<div class="beside" markdown="1">

```typescript
// Angular
this.api.call<Staff>({
  endpoint: 'staff/read',
  query: [{ rank: { $gt: 3 } }, { $limit: 5 }],
  awaitAuth: true,
}).subscribe({
  next: res => show(res.args.docs),
  error: err => warn(err.args.code),
});
```

```python
api.call(
    "staff/read",
    # or your raw list
    query=(Q.rank > 3).limit(5),
    await_auth=True,
    doc_type=Staff,
).subscribe(
    lambda res: show(res.docs),
    lambda error: warn(error.code),
)
```

</div>

<div class="beside" markdown="1">

```typescript
// NativeScript
this.api.call('staff/read', { query: [] }, true)
  .subscribe(res => { /* … */ });
```

```python
call = api.call("staff/read", await_auth=True)
call.subscribe(print)
res = await call         # or so
res = call.result()      # or so
```

</div>

A reply is kept for whoever subscribes later, and every call has an end: `timeout_s` after it was written,
`queue_timeout_s` before.

## Signing in

<div class="beside" markdown="1">

```typescript
// Angular
this.api.auth('email', email, password)
  .subscribe(() => this.router.navigate(['/home']));

try { this.api.checkAuth().subscribe(); }
catch (e) { /* No credentials cached. */ }

this.api.authed$.subscribe(session => { /* … */ });
this.api.signout().subscribe();
```

```python
api.auth("email", email, password).subscribe(
    lambda res: go_home()
)

try:
    api.check_auth()
except NoCredentials: ...

api.authed_stream.subscribe(print)
api.signout()
```

</div>

Where your `CacheService` was a cookie, `SDKConfig(cache=FileCache(path))` or `KeyringCache()` keeps the session; the
default is memory.

## Watching

<div class="beside" markdown="1">

```typescript
// Angular
let id: string;
this.api.call({ endpoint: 'staff/watch' })
  .subscribe(res => { id = res.args.watch; /* … */ });

this.api.deleteWatch(id).subscribe();
```

```python
watch = api.call("staff/watch").subscribe(
    print
)

watch.dispose()  # deletes the watch on the server
```

</div>

## Files

<div class="beside" markdown="1">

```typescript
// Angular: a FileList of an <input type="file">
this.api.call({
  endpoint: 'staff/create',
  doc: { name, photo: this.input.files },
}).subscribe();
```

```python
api.call(
    "staff/create",
    doc={"name": name, "photo": Path("ada.png")},
)
```

</div>

A `Path`, an open binary file, `File(b"…", name="ada.png")`, or a list of these. It is read piece by piece, sent in
order, and your `doc` is not changed.

## Names

| Angular, NativeScript | rxsdk |
|---|---|
| `anonToken` `authAttrs` `appId` `fileChunkSize` `authHashLevel` | `anon_token` `auth_attrs` `app_id` `file_chunk_size` `auth_hash_level` |
| `inited` `inited$` `authed` `authed$` `session` | `inited` `inited_stream` `authed` `authed_stream` `session` |
| `call` `auth` `reauth` `checkAuth` `signout` | `call` `auth` `reauth` `check_auth` `signout` |
| `generateAuthHash` `deleteWatch` `close` | `generate_auth_hash` `delete_watch` `close` |
| `appActive` (NativeScript) | `suspend()` `resume()` |
| `debug: true` | `debug=True`: the logger `rxsdk.wire`, secrets taken out |
| — | `state` `state_stream` `reconnect_now` `round_trip_stream` |
"""

__all__: list[str] = []
