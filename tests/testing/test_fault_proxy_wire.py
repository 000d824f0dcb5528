"""Each fault of `FaultProxy`, seen with plain sockets at both ends."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from functools import partial

import pytest

from tests.testing.conftest import Wire, crash, is_quiet, is_reset, receive, receive_all, wait_until

BIG = b"0123456789abcdef" * 65536  # 1 MiB


# -- without a fault


def test_bytes_pass_both_ways_and_are_counted(wire: Wire) -> None:
    client, server = wire.pair()
    client.sendall(b"hello")
    assert receive(server, 5) == b"hello"
    server.sendall(b"good day")
    assert receive(client, 8) == b"good day"
    assert (wire.proxy.bytes_up, wire.proxy.bytes_down) == (5, 1 + 8)
    assert (wire.proxy.connections, wire.proxy.accepted) == (1, 1)


def test_a_slow_reader_makes_the_sender_wait_and_loses_nothing(wire: Wire) -> None:
    client, server = wire.pair()
    sender = threading.Thread(target=lambda: [client.sendall(BIG) for _ in range(24)])
    sender.start()
    wait_until(lambda: wire.proxy.bytes_up > 0)
    assert sender.is_alive()
    for _ in range(24):
        assert receive(server, len(BIG)) == BIG
    sender.join()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_half_close_passes_and_the_other_half_goes_on(wire: Wire, who: str) -> None:
    client, server = wire.pair()
    first, second = (client, server) if who == "client" else (server, client)
    first.sendall(b"that is all")
    first.shutdown(socket.SHUT_WR)
    assert receive_all(second) == b"that is all"
    second.sendall(b"and more")
    assert receive(first, 8) == b"and more"
    second.close()
    assert receive_all(first) == b""
    wait_until(lambda: wire.proxy.connections == 0)


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_passes_as_a_reset(wire: Wire, who: str) -> None:
    client, server = wire.pair()
    first, second = (client, server) if who == "client" else (server, client)
    crash(first)
    assert is_reset(second)
    wait_until(lambda: wire.proxy.connections == 0)


def test_a_client_that_vanishes_after_its_fin_does_not_leave_the_server_open(wire: Wire) -> None:
    client, server = wire.pair()
    client.shutdown(socket.SHUT_WR)
    assert receive_all(server) == b""
    crash(client)

    def is_told() -> bool:
        server.sendall(b"is anybody there?")
        return False

    with pytest.raises(ConnectionError):
        wait_until(is_told)
    wait_until(lambda: wire.proxy.connections == 0)


def test_a_server_that_is_not_there_is_a_reset(wire: Wire) -> None:
    wire.listener.close()
    assert wire.is_refused()
    wait_until(lambda: wire.proxy.connections == 0)


# -- settings


def test_latency_delays_each_direction_and_what_is_under_way_already(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.latency(0.03, direction="up")
    begin = time.monotonic()
    client.sendall(b"x")
    assert receive(server, 1) == b"x"
    assert time.monotonic() - begin >= 0.03
    wire.proxy.latency(60, direction="both")
    client.sendall(b"y")
    server.sendall(b"z")
    assert is_quiet(server)
    wire.proxy.latency(0)
    assert (receive(server, 1), receive(client, 1)) == (b"y", b"z")


def test_jitter_is_drawn_from_the_seed_and_keeps_the_order(wire: Wire) -> None:
    wire.proxy.latency(0.0, jitter_s=0.02)
    client, server = wire.pair()
    for number in range(20):
        client.sendall(bytes([number]))
    assert receive(server, 20) == bytes(range(20))


def test_bandwidth_lets_bytes_out_little_by_little(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.bandwidth(50_000, direction="up")
    begin = time.monotonic()
    client.sendall(bytes(3_500))
    receive(server, 1_000)
    assert wire.proxy.bytes_up <= 1_000 + (time.monotonic() - begin) * 50_000
    receive(server, 2_500)
    assert time.monotonic() - begin >= 0.04
    wire.proxy.bandwidth(1)
    server.sendall(bytes(100_000))
    wire.proxy.bandwidth(None)
    assert receive(client, 100_000) == bytes(100_000)


def test_tiny_segments_are_segments(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.tiny_segments(3)
    server.sendall(b"abc" * 100)
    assert receive(client, 300) == b"abc" * 100
    if hasattr(socket, "TCP_INFO"):
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (data_segments_in,) = struct.unpack_from("<I", info, 152)
        assert data_segments_in >= 30  # some may have been merged by the kernel
    wire.proxy.tiny_segments(None)
    server.sendall(BIG)
    assert receive(client, len(BIG)) == BIG


def test_all_settings_together(wire: Wire) -> None:
    wire.proxy.latency(0.005, jitter_s=0.005)
    wire.proxy.tiny_segments(7)
    wire.proxy.bandwidth(1_000_000)
    client, server = wire.pair()
    client.sendall(bytes(range(256)))
    client.shutdown(socket.SHUT_WR)
    assert receive_all(server) == bytes(range(256))


def test_a_black_hole_takes_everything_and_healed_gives_it_back(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.black_hole()
    client.sendall(b"held ")
    server.sendall(b"back")
    server.shutdown(socket.SHUT_WR)
    assert is_quiet(server)
    assert is_quiet(client)
    client.sendall(b"still")
    assert (wire.proxy.bytes_up, wire.proxy.bytes_down) == (0, 1)
    wire.proxy.heal()
    assert receive(server, 10) == b"held still"
    assert receive_all(client) == b"back"


def test_connections_begun_in_a_black_hole_reach_the_server_when_it_is_healed(wire: Wire) -> None:
    wire.proxy.black_hole()
    client, gone = wire.client(), wire.client()
    client.sendall(b"hello")
    wire.listener.settimeout(0.03)
    with pytest.raises(TimeoutError):
        wire.listener.accept()
    crash(gone)
    wait_until(lambda: wire.proxy.connections == 1)
    wire.listener.settimeout(10)
    wire.proxy.black_hole(False)
    assert receive(wire.accept(), 5) == b"hello"
    assert wire.proxy.connections == 1


def test_a_client_that_leaves_a_black_hole_is_gone_for_the_server_when_it_is_healed(wire: Wire) -> None:
    client, server = wire.pair()
    quiet, its_server = wire.pair()
    wire.proxy.black_hole()
    quiet.shutdown(socket.SHUT_WR)
    for leaving in (client, quiet):
        crash(leaving)
    assert is_quiet(server)
    server.sendall(b"is anybody there?")
    wire.proxy.heal()
    assert is_reset(server)
    assert receive_all(its_server) == b""
    its_server.close()
    wait_until(lambda: wire.proxy.connections == 0)


def test_an_end_that_is_under_way_is_the_end_even_if_a_reset_follows(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.latency(60, direction="up")
    client.sendall(b"the last word")
    client.shutdown(socket.SHUT_WR)
    assert is_quiet(client, 0.01)
    crash(client)
    server.sendall(b"hm?")
    wait_until(lambda: wire.proxy.bytes_down == 4)
    wire.proxy.latency(0)
    assert receive_all(server) == b"the last word"
    wait_until(lambda: wire.proxy.connections == 0)


def test_a_full_black_hole_makes_the_sender_wait(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.black_hole()
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.sendall(64 * BIG)
    wire.proxy.heal()
    client.close()
    assert len(receive_all(server)) > 4 * len(BIG)


def test_a_slow_close_reaches_the_client_late(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.slow_close(60)
    server.sendall(b"bye")
    server.close()
    assert receive(client, 3) == b"bye"
    assert is_quiet(client)
    client.sendall(b"and you?")  # into nothing
    wire.proxy.slow_close(0)
    assert client.recv(1) == b""


def test_a_client_that_leaves_before_the_slow_close_does_not_wait_for_it(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.slow_close(60)
    crash(server)
    client.sendall(b"hello?")
    assert is_quiet(client)
    client.close()
    wait_until(lambda: wire.proxy.connections == 0)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_cut_comes_after_exactly_so_many_bytes(wire: Wire, direction: str) -> None:
    client, server = wire.pair()
    sender, receiver = (client, server) if direction == "up" else (server, client)
    sender.sendall(b"not counted")
    receive(receiver, 11)
    wire.proxy.cut_after(5, direction)  # type: ignore[arg-type]
    receiver.sendall(b"the other way is not counted")
    sender.sendall(b"123")
    assert receive(receiver, 3) == b"123"
    sender.sendall(b"456789")
    assert receive_all(receiver) == b"45"
    receive(sender, 28)
    assert is_reset(sender)
    receiver.close()
    wait_until(lambda: wire.proxy.connections == 0)


def test_cuts_come_to_new_connections_until_they_are_used_up_or_healed(wire: Wire) -> None:
    wire.proxy.cut_after(4, times=2)
    ends = []
    for _ in range(3):
        client, server = wire.client(), wire.accept()
        server.sendall(b"12345")
        with suppress(OSError):  # it may have been reset by now
            server.shutdown(socket.SHUT_WR)
        ends.append(receive_all(client))
    assert ends == [b"1234", b"1234", b"12345"]
    for undo in (lambda: wire.proxy.cut_after(None), wire.proxy.heal):
        client, server = wire.pair()
        wire.proxy.cut_after(4)
        undo()
        server.sendall(b"12345")
        assert receive(client, 5) == b"12345"


def test_each_connection_is_cut_until_healed(wire: Wire) -> None:
    wire.proxy.cut_after(1, "up")
    for _ in range(3):
        client, server = wire.pair()
        client.sendall(b"12345")
        assert receive_all(server) == b"1"


def test_refused_connections_are_reset_and_open_ones_go_on(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.refuse()
    assert wire.is_refused()
    client.sendall(b"x")
    assert receive(server, 1) == b"x"
    wire.proxy.refuse(False)
    client, server = wire.pair()
    client.sendall(b"y")
    assert receive(server, 1) == b"y"


# -- acts


def test_reset_is_an_rst_at_both_ends(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.reset()
    assert is_reset(client)
    assert is_reset(server)
    wait_until(lambda: wire.proxy.connections == 0)
    client, server = wire.pair()  # new ones are not touched
    client.sendall(b"x")
    assert receive(server, 1) == b"x"


def test_half_open_closes_the_server_and_the_client_never_hears_again(wire: Wire) -> None:
    client, server = wire.pair()
    wire.proxy.half_open()
    assert receive_all(server) == b""
    client.sendall(b"hello?")
    assert is_quiet(client)
    wire.proxy.heal()
    client.sendall(b"hello??")
    assert is_quiet(client)
    assert wire.proxy.bytes_up == 0
    client.close()
    wait_until(lambda: wire.proxy.connections == 0)


def test_acts_in_a_black_hole_befall_connections_that_are_still_alone(wire: Wire) -> None:
    wire.proxy.black_hole()
    reset, left_alone = wire.client(), wire.client()
    wait_until(lambda: wire.proxy.accepted == 2)
    wire.proxy.half_open()
    wire.proxy.heal()
    assert is_quiet(left_alone)
    wire.proxy.reset()
    assert is_reset(reset)


def test_a_reset_while_the_server_is_dialed(wire: Wire) -> None:
    """Whatever the moment, both ends hear of it and nothing is left."""

    def all_gone() -> bool:
        wire.proxy.reset()  # again: the connection may not have been accepted yet
        return wire.proxy.connections == 0

    for before in range(30):
        client = wire.client()
        wait_until(partial(_has_accepted_more_than, before, wire))
        wait_until(all_gone)
        assert is_reset(client)


def _has_accepted_more_than(count: int, wire: Wire) -> bool:
    return wire.proxy.accepted > count
