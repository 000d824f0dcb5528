"""``rxsdk sylk``: register, message, watch; and ``rxsdk emulate --wire sylk``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from rxsdk import SylkService
from rxsdk.emulator.sylk import SylkEmulator
from tests.cli.conftest import Cli, command, environment, run_python
from tests.cli.emulating import emulating
from tests.sylk.people import sign_in

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SylkEmulator]:
    with SylkEmulator() as running:
        monkeypatch.setenv("RXSDK_SYLK_URL", running.url)
        monkeypatch.setenv("RXSDK_PASSWORD", running.users[ADA])
        yield running


def test_register(cli: Cli, server: SylkEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = cli("sylk", "register", ADA)
    assert (ran.code, ran.err) == (0, f"{ADA} is registered\n")
    monkeypatch.setenv("RXSDK_PASSWORD", "a guess")
    ran = cli("sylk", "register", ADA)
    assert (ran.code, "401 Unauthorized" in ran.err, "guess" in ran.err) == (4, True, False)


def test_message(cli: Cli, server: SylkEmulator) -> None:
    assert cli("sylk", "message", ADA, BOB, "hello").out == "accepted\n"
    ran = cli("sylk", "message", ADA, "nobody@example.com", "hello")
    assert (ran.code, "Not Found" in ran.err) == (1, True)


def test_what_makes_no_sense_is_told(cli: Cli, server: SylkEmulator) -> None:
    ran = cli("sylk", "register", "ada")
    assert (ran.code, "user@domain" in ran.err) == (2, True)
    assert "must start with ws://" in cli("sylk", "register", ADA, "--url", "http://x").err
    server.refuse_next("account-register", "DNS lookup error")
    ran = cli("sylk", "register", ADA)
    assert (ran.code, "DNS lookup error" in ran.err) == (1, True)


@pytest.mark.skipif(os.name == "nt", reason="no signals to a process")
def test_watch(server: SylkEmulator) -> None:
    with subprocess.Popen(
        command("sylk", "watch", ADA, "--calls", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(RXSDK_SYLK_URL=server.url, RXSDK_PASSWORD=server.users[ADA]),
    ) as child:
        assert child.stderr is not None
        assert "waiting for calls" in child.stderr.readline()
        with SylkService(server.config()) as service:
            call = sign_in(server, service, "bob").call(ADA, "offer")
            assert child.stdout is not None
            assert child.stdout.readline() == f"{BOB}  incoming\n"
            call.terminate().result(10)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (0, "")
    assert out == f"{BOB}  terminated: 487 Request Terminated\n"


@pytest.mark.skipif(os.name == "nt", reason="no signals to a process")
def test_a_server_to_try_things_on() -> None:
    with emulating("--wire", "sylk") as running:
        ran = run_python("-c", running.snippet)
        assert (ran.code, ran.err) == (0, "")
        assert "480 Temporarily Unavailable" in ran.out
        code, out, err = running.end()
    assert (code, err) == (0, "")
    assert "The emulator has ended." in out


def test_it_keeps_nothing(cli: Cli) -> None:
    ran = cli("emulate", "--wire", "sylk", "--data", "x.json")
    assert (ran.code, "keeps nothing across runs" in ran.err) == (2, True)
