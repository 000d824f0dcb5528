r"""
# Testing your app

You need no server: `pip install 'rxsdk[emulator]'` brings one that behaves as the recorded LIMPd 6.0.5 does, in your
process, in milliseconds.

## With pytest

```python
# conftest.py
pytest_plugins = ["rxsdk.testing.plugin"]
```

| fixture | is |
|---|---|
| `rxsdk_emulator` | a server of this test's own |
| `rxsdk_api` | an open `ApiService` on it |
| `rxsdk_config` | the config it is opened with; override it for other settings |
| `rxsdk_fault_proxy` | a bad network between the two, so far healthy |
| `rxsdk_clock` | a clock that passes when you say so |

`examples/testing_your_app.py` is a whole app with its tests.

## A server that does what you say

```python
def test_a_refusal(rxsdk_api, rxsdk_emulator):
    rxsdk_emulator.refuse_next("order/create", 403, "CORE_SESSION_FORBIDDEN")
    assert place_order(rxsdk_api, "tea") == "You may not order."
```

`reply_to` answers an endpoint (also one no module has), `delay` and `silence` make it slow or mute, `push` sends what
you like, `drop_connections` and `close_with` end connections, `expire_sessions` signs everybody out. Afterwards
`received` and `executed` say what came and what ran. See `rxsdk.emulator`.

## A network that breaks when you say

```python
def test_a_line_that_breaks(rxsdk_api, rxsdk_emulator, rxsdk_fault_proxy):
    rxsdk_fault_proxy.cut_after(10, "down")  # in the middle of the answer
    ...
```

`FaultProxy` delays, cuts, resets, swallows, and heals. See `rxsdk.testing`.

## Time

No test need sleep: with `rxsdk_clock`, a timeout of 30 s is `rxsdk_clock.advance(30)`.

## Your own modules

```python
from rxsdk.emulator import Attr, Emulator, Module, standard_methods

order = Module("order", {"item": Attr("STR"), "count": Attr("INT", default=1)}, standard_methods(["create", "read"]))

with Emulator(modules=[order]) as emulator: ...
```

From a shell, `rxsdk emulate --port 8081` runs the same server for any client.
"""

__all__: list[str] = []
