r"""
# Programs with windows

In a GUI program the service runs on threads of its own, and so do its callbacks; a toolkit wants to be touched on its
own thread only. `rxsdk.desktop` brings streams there, with Qt (`pip install 'rxsdk[qt]'`) or Tk:

```python
from rxsdk.desktop import deliver_on
from rxsdk.desktop.qt import QtScheduler, follow_sleep, until_destroyed  # or rxsdk.desktop.tk: TkScheduler(root)

gui = QtScheduler()
api.state_stream.pipe(deliver_on(gui, on_overflow="latest"), until_destroyed(window)).subscribe(window.show_state)
api.call("staff/create", doc=ada).pipe(deliver_on(gui), until_destroyed(window)).subscribe(window.saved, window.failed)
sleep = follow_sleep(api)
```

- **Make calls from the window's thread** as they come: `call` never blocks. Never use `.result()` there.
- **`deliver_on`** delivers in slices of 5 ms, between which the window paints and answers. `"latest"` keeps only the
  newest of what piled up: right for a state, a progress, a whole collection. Otherwise 16 384 values may wait.
- **`until_destroyed(widget)`**, put last, ends the subscription with the widget. A Qt window is destroyed on closing
  when it has `WA_DeleteOnClose`.
- The schedulers work with every operator that keeps time: `ops.debounce(0.3, scheduler=gui)`. Any thread may use them.
- **`follow_sleep`** suspends and resumes the service with the machine:

| system | what tells of sleep |
|---|---|
| Linux with systemd | logind, over the system's D-Bus; tested on a bus of our own |
| Android, iOS | Qt (`ApplicationSuspended`); expected, not tried |
| Windows, macOS | nothing that Qt offers; after the wake the connection notices and connects again at once |

`examples/desktop_qt.py` and `examples/desktop_tk.py` are whole programs.
"""

__all__: list[str] = []
