r"""
# Notebooks

`pip install 'rxsdk[notebook]'`, import `rxsdk.notebook` in a cell, and what ends a cell shows itself:

| a cell ends with | it shows |
|---|---|
| `await api.call("staff/read")`, `….result()` | the reply: status, text, its documents as a table |
| `res.docs` | a table |
| `api.call("staff/create", doc=…)` | the call as it goes: files going up, then the reply or the error |
| `api` | a badge: the state, why, the next try, who is signed in |
| `api.watch("staff/watch", snapshot="staff/read")` | a live table |
| `live(stream)` | a live table, or a log of the latest values |

```python
from rxsdk.notebook import live

live(api.call("staff/watch"), "staff")
```

What a server sent is escaped, secrets are not shown. Without widgets in the frontend the same is plain HTML, and what
has ended is kept in the saved notebook. A table has 50 rows; `table(docs, limit=500)` has more. Of a great live table
you see what changed last, the latest first. A cell too narrow for its value shows all of it when pointed at.

**Run a cell again** and what it showed is disposed: its watch is deleted on the server, an upload that nobody else
listens to is cancelled. **Restart the kernel** and nothing is left. **While a cell computes**, events flow and tables
go on, because the connection has a thread of its own; so `await` and `.result()` both work, and no package is needed
that bends the event loop.

**Interrupt a cell** and its call goes on; only the waiting ends. `.result()` ends at once, while ipykernel (7.4) ends an
idle `await` only when something else comes to its loop: run another cell.

`examples/notebook.ipynb` tells the whole story on the emulator.
"""

__all__: list[str] = []
