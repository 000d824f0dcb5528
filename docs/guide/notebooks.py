r"""
# Notebooks

`pip install 'rxsdk[notebook]'`, import `rxsdk.notebook` in a cell, and what ends a cell shows itself:

| a cell ends with | it shows |
|---|---|
| `await api.call("staff/read")`, `….result()` | the reply: status, text, its documents as a table |
| `res.docs` | a table |
| `api.call("staff/create", doc=…)` | the call as it goes: files going up, then the reply or the error |
| `api` | a badge: the state, why, the next try, who is signed in |
| `live(stream)` | a live table, or a log of the latest values |

```python
from rxsdk.notebook import live

live(api.call("staff/watch"), "staff")
```

What a server sent is escaped, secrets are not shown. Without widgets in the frontend the same is plain HTML, and what
has ended is kept in the saved notebook.

**Run a cell again** and what it showed is disposed: its watch is deleted on the server, an upload that nobody else
listens to is cancelled. **Restart the kernel** and nothing is left. **While a cell computes**, events flow and tables
go on, because the connection has a thread of its own; so `await` and `.result()` both work, and no package is needed
that bends the event loop.

`examples/notebook.ipynb` tells the whole story on the emulator.
"""

__all__: list[str] = []
