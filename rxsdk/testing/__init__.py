"""Test tools for apps that use rxsdk: a bad network, a clock you move, two machines back to back, pytest fixtures.

A leaf: nothing of rxsdk imports it. Importing it needs no extra; the fixtures need pytest and ``rxsdk[emulator]``.

- `FaultProxy`: a TCP proxy that delays, cuts, resets and swallows on demand (`rxsdk.testing.fault_proxy`).
- `FakeClock`: time that passes when the test says so (`rxsdk.testing.fake_clock`).
- `machine_pair`: two protocol machines without a network (`rxsdk.testing.pair`).
- ``rxsdk.testing.plugin``: the fixtures ``rxsdk_emulator``, ``rxsdk_api``, ``rxsdk_fault_proxy``, ``rxsdk_clock``.

How to test your own app, here ``place_order``, against a server that does what you say and a network that breaks when
you say::

    from rxsdk import CallOutcomeUnknown

    pytest_plugins = ["rxsdk.testing.plugin"]  # in your conftest.py

    def place_order(api, item):
        try:
            return api.call("order/create", doc={"item": item}).result().msg
        except CallOutcomeUnknown:
            return "Look at your orders before you try again."

    def test_an_order(rxsdk_api, rxsdk_emulator):
        rxsdk_emulator.reply_to("order/create", status=200, msg="Thank you.")
        assert place_order(rxsdk_api, "tea") == "Thank you."

    def test_an_order_on_a_line_that_breaks(rxsdk_api, rxsdk_emulator, rxsdk_fault_proxy):
        rxsdk_emulator.reply_to("order/create", status=200, msg="Thank you.")
        rxsdk_fault_proxy.cut_after(10, "down")  # in the middle of the answer
        assert place_order(rxsdk_api, "tea").startswith("Look")

No test sleeps: `FakeClock` makes a timeout of 30 s a matter of ``rxsdk_clock.advance(30)``.
"""

from rxsdk.testing.fake_clock import FakeClock
from rxsdk.testing.fault_proxy import FaultProxy
from rxsdk.testing.pair import MachinePair, machine_pair

__all__ = ["FakeClock", "FaultProxy", "MachinePair", "machine_pair"]
