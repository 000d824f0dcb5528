"""The delays and the table of what is fatal."""

from __future__ import annotations

from typing import Any

import pytest

from rxsdk.core.reconnect import ReconnectPolicy, is_fatal, is_fatal_status
from rxsdk.errors import ConfigurationError, ConnectFailed, ConnectionLost


def test_delays_double_up_to_the_cap() -> None:
    policy = ReconnectPolicy()
    assert [policy.delay_s(attempt, 1.0) for attempt in range(1, 9)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_jitter_takes_any_part_of_the_delay() -> None:
    policy = ReconnectPolicy()
    assert policy.delay_s(3, 0.0) == 0.0
    assert policy.delay_s(3, 0.25) == 0.5


def test_very_many_attempts_do_not_overflow() -> None:
    assert ReconnectPolicy(factor=1000.0).delay_s(10**9, 1.0) == 30.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 426, 499])
def test_client_errors_are_fatal(status: int) -> None:
    assert is_fatal_status(status)


@pytest.mark.parametrize("status", [200, 302, 399, 408, 425, 429, 500, 503, 599])
def test_all_else_may_pass(status: int) -> None:
    assert not is_fatal_status(status)


# -- when it gives up

REFUSED = ConnectFailed("ws://x", "refused")
GONE = ConnectFailed("ws://x", "HTTP 404", status=404, fatal=True)


def test_by_default_only_what_is_fatal_ends_it() -> None:
    policy = ReconnectPolicy()
    assert policy.gives_up(GONE, 1)
    assert not policy.gives_up(REFUSED, 10**6)
    assert not policy.gives_up(ConnectionLost("cut"), 1)
    assert is_fatal(GONE)
    assert not is_fatal(ConnectionLost("cut"))


def test_so_many_tries_and_no_more() -> None:
    policy = ReconnectPolicy(max_attempts=3)
    assert [policy.gives_up(REFUSED, attempt) for attempt in (1, 2, 3, 4)] == [False, False, True, True]


def test_the_application_may_say_what_is_fatal() -> None:
    policy = ReconnectPolicy(is_fatal=lambda error: isinstance(error, ConnectionLost))
    assert policy.gives_up(ConnectionLost("cut"), 1)
    assert not policy.gives_up(GONE, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("base_s", value) for value in (-1, True, "1", float("inf"), float("nan"))),
        *(("factor", value) for value in (0.5, None, float("inf"))),
        *(("cap_s", value) for value in (-0.1, [])),
        *(("max_attempts", value) for value in (0, -1, 1.5, True, "3")),
        ("is_fatal", None),
    ],
)
def test_a_policy_that_cannot_work_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ReconnectPolicy(**{field: value})
    assert caught.value.field == f"reconnect.{field}"


def test_the_least_a_policy_may_be() -> None:
    assert ReconnectPolicy(base_s=0, factor=1, cap_s=0, max_attempts=1).delay_s(1, 1.0) == 0.0
