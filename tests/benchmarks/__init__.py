"""Benchmarks: what a unit of work costs with rxsdk, beside a floor without any framework, in the same run.

``python -m tests.benchmarks`` prints the table, ``--json`` the same as data, ``--quick`` in a few seconds.

- `server`: a LIMP server that does next to nothing, in another process and pinned to another core.
- `floor`: the client one would write by hand on `websockets` or `picows`, `msgspec` and an HMAC, for one purpose only.
- `rows`: the work, done once by rxsdk and once by the floor; `processes`: the work that needs a process to itself.
- `profile`, a command of its own: where the µs of an event and of a call go, stage by stage.
- `sides`: what both sides of a row stand on.
- `measure`: paired repetitions, medians; the table.

Cost, where a row's unit says nothing else, is the CPU time of the whole client process (user and system, all threads)
per unit, so a busy machine disturbs it little; what disturbs it still is shared by the two sides, which take turns.
Read the ratios, not the times.
"""
