"""`DeliveryPolicy`: what can be one."""

from __future__ import annotations

from typing import Any

import pytest

from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.errors import ConfigurationError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("mailbox_size", value) for value in (0, -1, 1.5, None, True, "5")],
        *[("on_overflow", value) for value in ("drop", None, "Error")],
        *[("on_raise", value) for value in ("raise", None, True)],
    ],
)
def test_what_cannot_work_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeliveryPolicy(**{field: value})
    assert caught.value.field == f"delivery.{field}"


def test_what_it_grants() -> None:
    assert DeliveryPolicy().mailbox == (16_384, "error")
    assert DeliveryPolicy(5, "latest").mailbox == (1, "latest")
