"""A small app and its tests: run this file, or ``pytest examples/testing_your_app.py``.

The app places orders. Its tests need no server, no network and no sleep: the emulator answers as told, a proxy breaks
the line where it is told to, and a fake clock makes half a minute pass at once.
"""

import sys

import pytest

from rxsdk import ApiService, CallOutcomeUnknown, CallRejected, CallTimeout
from rxsdk.emulator import Emulator
from rxsdk.testing import FakeClock, FaultProxy

pytest_plugins = ["rxsdk.testing.plugin"]  # in your conftest.py


# -- the app: app.py


def place_order(api: ApiService, item: str) -> str:
    """Order ``item``; what to tell the user."""
    try:
        return api.call("order/create", doc={"item": item}).result().msg
    except CallRejected as refused:
        return f"That cannot be ordered ({refused.code})."
    except (CallOutcomeUnknown, CallTimeout):
        return "Look at your orders before you try again."


# -- its tests: test_app.py


def test_an_order(rxsdk_api: ApiService, rxsdk_emulator: Emulator) -> None:
    rxsdk_emulator.reply_to("order/create", status=200, msg="Thank you.")
    assert place_order(rxsdk_api, "tea") == "Thank you."
    sent = rxsdk_emulator.received[-1].payload
    assert (sent["endpoint"], sent["doc"]) == ("order/create", {"item": "tea"})


def test_what_cannot_be_ordered(rxsdk_api: ApiService, rxsdk_emulator: Emulator) -> None:
    rxsdk_emulator.refuse_next("order/create", 400, "SHOP_ORDER_SOLD_OUT")
    assert place_order(rxsdk_api, "tea") == "That cannot be ordered (SHOP_ORDER_SOLD_OUT)."


def test_a_line_that_breaks(rxsdk_api: ApiService, rxsdk_emulator: Emulator, rxsdk_fault_proxy: FaultProxy) -> None:
    rxsdk_emulator.reply_to("order/create", status=200, msg="Thank you.")
    rxsdk_fault_proxy.cut_after(10, "down")  # in the middle of the answer
    assert place_order(rxsdk_api, "tea").startswith("Look at your orders")


def test_a_server_that_never_answers(rxsdk_api: ApiService, rxsdk_emulator: Emulator, rxsdk_clock: FakeClock) -> None:
    rxsdk_emulator.silence("order/create")
    order = rxsdk_api.call("order/create", doc={"item": "tea"}, timeout_s=5)
    rxsdk_emulator.wait_until(lambda emulator: emulator.received[-1].payload["endpoint"] == "order/create")
    rxsdk_clock.advance(6)
    with pytest.raises(CallTimeout):
        order.result()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider"]))
