"""The page of the connection's states, drawn from the table the services move by."""

from __future__ import annotations

from html import escape

from rxsdk.core.state import TRANSITIONS, StateName

__all__: list[str] = []

PLACES: dict[StateName, tuple[int, int]] = {
    "idle": (90, 60),
    "connecting": (290, 60),
    "verifying": (490, 60),
    "authenticating": (690, 60),
    "ready": (690, 200),
    "reconnecting": (390, 200),
    "suspended": (90, 200),
    "closing": (290, 330),
    "closed": (490, 330),
    "failed": (690, 330),
}
DRAWN: dict[StateName, tuple[StateName, ...]] = {
    "idle": ("connecting",),
    "connecting": ("verifying",),
    "verifying": ("authenticating", "ready"),
    "authenticating": ("ready",),
    "ready": ("reconnecting",),
    "reconnecting": ("connecting",),
    "suspended": ("connecting",),
    "closing": ("closed",),
}
"""The steps that tell the story; the table below has them all."""

_COLOURS: dict[StateName, str] = {"ready": "#2e7d32", "failed": "#b3261e", "closed": "#5f6368"}
_WIDTH, _HEIGHT = 132, 42


def drawing() -> str:
    """The states and the main steps between them, as SVG."""
    steps = [
        _arrow(before, after) for before, found in DRAWN.items() for after in found if after in TRANSITIONS[before]
    ]
    boxes = [_box(name) for name in TRANSITIONS]
    return (
        '<svg class="states" viewBox="0 0 790 390" width="790" role="img" aria-label="The states of a connection" '
        'font-family="system-ui, sans-serif" font-size="14">'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 10 5 0 10z" fill="#5f6368"/></marker></defs>' + "".join(steps) + "".join(boxes) + "</svg>"
    )


def _box(name: StateName) -> str:
    x, y = PLACES[name]
    colour = _COLOURS.get(name, "#1a5fb4")
    return (
        f'<rect x="{x - _WIDTH // 2}" y="{y - _HEIGHT // 2}" width="{_WIDTH}" height="{_HEIGHT}" rx="9" fill="{colour}"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#fff">{name}</text>'
    )


def _arrow(before: StateName, after: StateName) -> str:
    (x1, y1), (x2, y2) = PLACES[before], PLACES[after]
    if y1 == y2:
        x1, x2 = (x1 + _WIDTH // 2, x2 - _WIDTH // 2 - 2) if x1 < x2 else (x1 - _WIDTH // 2, x2 + _WIDTH // 2 + 2)
    else:
        y1, y2 = (y1 + _HEIGHT // 2, y2 - _HEIGHT // 2 - 2) if y1 < y2 else (y1 - _HEIGHT // 2, y2 + _HEIGHT // 2 + 2)
    why = escape(TRANSITIONS[before][after])
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#5f6368" stroke-width="1.6" marker-end="url(#tip)">'
        f"<title>{why}</title></line>"
    )


def table() -> str:
    """Every step there is."""
    lines = ["| from | to | because |", "|---|---|---|"]
    for before, steps in TRANSITIONS.items():
        lines += [f"| `{before}` | `{after}` | {why} |" for after, why in steps.items()]
    return "\n".join(lines)


__doc__ = f"""
# The states of a connection

{drawing()}

From almost everywhere `suspend()` leads to `suspended`, `close()` to `closing`, and an error that trying again cannot
help to `failed`; those arrows are left out above and stand in the table.

`ApiService.state` is where it is now, `state_stream` that and every change, the latest first:

```python
api.state_stream.subscribe(lambda state: print(state.name, state.reason or ""))
```

A `ConnectionState` has the `name`, the `reason` when something went wrong, the `attempt`, and `retry_at`: when the
next try comes, in seconds since 1970. `inited` is true in `ready` only; calls made before wait for it.

{table()}
"""
