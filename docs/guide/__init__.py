"""
# rxsdk

A reactive WebSocket SDK for LIMP: every call returns an Observable, which you can also `await` or block on.

```python
from rxsdk import ApiService, Q, SDKConfig

config = SDKConfig(api="wss://limp.example.com/ws", anon_token="…", auth_attrs=["email"])

with ApiService(config) as api:
    api.auth("email", "ada@example.com", password).result()
    for staff in api.call("staff/read", query=(Q.rank > 3).sort("-rank").limit(5)).result().docs:
        print(staff["name"])
```

| you want to | read |
|---|---|
| know every setting | `docs.guide.settings` |
| know where a connection can be, and how it moves | `docs.guide.states` |
| know what can go wrong, and what to do then | `docs.guide.errors` |
| ask for documents, change them, have them typed | `docs.guide.documents` |
| send files, follow them on their way, fetch them | `docs.guide.files` |
| follow what changes, read page by page, ask again and again | `docs.guide.streams` |
| come from the Angular or the NativeScript SDK | `docs.guide.from_angular` |
| use it in a notebook | `docs.guide.notebooks` |
| send and follow chat messages | `docs.guide.chat` |
| make calls, hold conferences, write messages over a SylkServer | `docs.guide.sylk` |
| write a program with windows | `docs.guide.windows` |
| test your app | `docs.guide.testing` |
| know what it costs, and why | `docs.guide.speed` |
| use it on Windows or macOS | `docs.guide.platforms` |
| look something up | `rxsdk` |
"""

__all__ = [
    "chat",
    "documents",
    "errors",
    "files",
    "from_angular",
    "notebooks",
    "platforms",
    "settings",
    "speed",
    "states",
    "streams",
    "sylk",
    "testing",
    "windows",
]
