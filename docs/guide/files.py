r"""
# Files: sending them, following them, fetching them

## Sending

A file stands in the doc, at its top level, alone or in a list:

```python
api.call("album/create", doc={"name": {"ar_AE": "…"}, "cover": Path("london.png"), "photos": [first, second]})
```

| a file is | what is read |
|---|---|
| `Path("a.png")` | the file of that name |
| `open("a.png", "rb")` | from where it stands to its end; close it when the call has ended |
| `b"…"`, `bytearray`, `memoryview` | the bytes, under the attr's name; where the server wants a type, say it by a `File` |
| `File(content, name=…, mime_type=…, last_modified_ms=…)` | one of these, under another name or type |
| `File(chunks(), name=…, size=…)` | what an async iterable of bytes gives, `size` bytes in all |

However large it is, a chunk of it is in memory at a time. An empty or a missing file, a directory, a pipe, a file deeper
in the doc: each raises where the call is made, with its name. One that changes while it is read ends the call with
`rxsdk.UploadError`.

## Following

```python
upload = api.call("album/create", doc={"name": {"ar_AE": "…"}, "cover": Path("london.png")})
upload.progress.subscribe(lambda now: print(now.name, now.sent_bytes, now.total_bytes, now.eta_s, now.phase))
upload.pause()
upload.resume()
upload.cancel()
```

`progress` is told at most 20 times a second, the first and the last always, and never goes back. Its phases:

| phase | the file |
|---|---|
| `queued` | waits for the connection, for a sign-in, or for another upload to the same attr |
| `sending` | is on its way; now `eta_s` tells how long it will take |
| `waiting_for_quota` | waits for the server's next minute |
| `paused` | waits for `resume()` |
| `restarting` | begins anew, and is not yet where it was |
| `done` | has arrived, and the call was answered |
| `failed` | has not, or the call was not |

## What happens when …

| when | then |
|---|---|
| the connection is lost | all files of the call start over on a new one, after a pause as `ReconnectPolicy` has it; five times at most |
| the server's quota is used up | what was refused is sent again after its minute; five times at most |
| nothing moves for `timeout_s` | the call ends |
| the user signs out, or another signs in | the call ends with `rxsdk.CallNotSent` |
| the last subscription is disposed while files go up | the upload is cancelled |
| many calls send files at once | those to the same attr take turns; `upload_lanes` is how many connections carry files |

Nothing of a call is executed before all its files have arrived. Files travel on connections of their own: other calls do
not wait behind them. At level 6.1 they are posted over HTTP instead (`pip install 'rxsdk[http]'`), and all this holds too.

## Fetching

```python
path = api.download_to(Path("photos"), "album", _id, "cover", "london.png").result()
async for piece in api.download("album", _id, "cover", "london.png"):
    ...
print(api.file_url("album", _id, "cover", "london.png"))
```

`download_to` writes beside its target and puts the file there when it is whole; what broke off goes on where it was, in a
later call too, if the server offers that. It has a `progress` as well. `download` gives the bytes at the pace of whoever
takes them. Both end with `rxsdk.DownloadError`, which has the server's `status` when it refused.
"""

__all__: list[str] = []
