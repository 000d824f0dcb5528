"""Desktop programs: streams delivered on a window's thread, for as long as the window lives.

A leaf. `rxsdk.desktop.qt` (PySide6, the extra ``qt``) and `rxsdk.desktop.tk` (tkinter) have the same two names, a
scheduler and `until_destroyed`; `deliver_on` works with either::

    gui = QtScheduler()
    api.state_stream.pipe(deliver_on(gui, on_overflow="latest"), until_destroyed(window)).subscribe(window.show_state)

Make calls right from the window's thread (``api.call(…)`` never blocks), and never ``.result()`` there: it would freeze
the window.
"""

from rxsdk.reactive.schedulers import WindowScheduler, deliver_on

__all__ = ["WindowScheduler", "deliver_on"]
