"""The page of `SDKConfig`, made of its docstring and its defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re

from rxsdk import QuotaPolicy, ReconnectPolicy, SDKConfig

__all__: list[str] = []


def described(kind: type) -> dict[str, str]:
    """What the docstring of ``kind`` says of each field: ``name: text``, going on in lines that are indented more."""
    names = {field.name for field in dataclasses.fields(kind)}
    told: dict[str, str] = {}
    about: list[str] = []
    for line in (inspect.getdoc(kind) or "").splitlines():
        begun = re.match(r" *([\w, ]+): (.+)", line)
        if begun and names.issuperset(begun[1].split(", ")):
            about = begun[1].split(", ")
            told |= dict.fromkeys(about, begun[2])
        elif line.startswith("    ") and about:
            told |= {name: f"{told[name]} {line.strip()}" for name in about}
        else:
            about = []
    return told


def table(kind: type) -> str:
    """Every field of ``kind``: its default, and what it means."""
    lines = ["| setting | default | it is |", "|---|---|---|"]
    told = described(kind)
    for field in sorted(
        dataclasses.fields(kind), key=lambda field: field.name not in kind.__annotations__
    ):  # own first
        lines.append(f"| `{field.name}` | {_default(field)} | {told.get(field.name, '')} |")
    return "\n".join(lines)


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{getattr(field.default, '__name__', None) or repr(field.default)}`"
    if field.default_factory is not dataclasses.MISSING:
        return f"`{getattr(field.default_factory, '__name__', '…')}()`"
    return "needed"


__doc__ = f"""
# Settings

Everything an `rxsdk.ApiService` can be told stands in one frozen `rxsdk.SDKConfig`. It is checked when it is made: what
cannot work raises `rxsdk.ConfigurationError`, which names the field. Times are seconds.

{table(SDKConfig)}

## When to connect again: `ReconnectPolicy`

{table(ReconnectPolicy)}

Delays have full jitter: a random part of `base_s * factor ** (attempt - 1)`, never more than `cap_s`.

## What to do about the server's quota: `QuotaPolicy`

{table(QuotaPolicy)}

## On the command line

`rxsdk` takes `--api`, `--anon-token`, `--auth-attrs`, `--app-id`, `--origin`, `--auth-hash-level` and `--timeout-s`, or
`RXSDK_API` … `RXSDK_TIMEOUT_S` from the environment, or a profile of its config file (`rxsdk doctor` says where that
is):

```toml
[default]
api = "wss://limp.example.com/ws"
anon_token = "…"

[shop]                       # rxsdk call order/read --profile shop
api = "wss://shop.example.com/ws"
anon_token = "…"
auth_attrs = ["username", "email"]
```
"""
