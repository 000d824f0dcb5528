"""The pytest plugin, in a pytest of its own, and the example in the package's docstring."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

import rxsdk.testing

pytest_plugins = ["pytester"]


@pytest.fixture
def pytester(
    pytester: pytest.Pytester, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """One whose tests fail on every warning, as ours do."""
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = -p no:cacheprovider\n")
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    return pytester


def test_the_example_of_the_docstring_runs(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"^(?:    .*\n|\n)+", rxsdk.testing.__doc__ or "", re.MULTILINE)
    example = textwrap.dedent(max(blocks, key=len))
    assert "def test_an_order" in example
    pytester.makepyfile(example)
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_the_fixtures_know_of_each_other(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["rxsdk.testing.plugin"]')
    pytester.makepyfile(
        """
        import pytest
        from rxsdk import CallTimeout

        def test_all_of_them(rxsdk_api, rxsdk_emulator, rxsdk_fault_proxy, rxsdk_clock):
            assert rxsdk_api.inited
            assert (rxsdk_emulator.connections, rxsdk_fault_proxy.connections) == (1, 1)
            rxsdk_emulator.silence("shop/order")
            call = rxsdk_api.call("shop/order")
            rxsdk_emulator.wait_until(lambda e: e.received[-1].payload["endpoint"] == "shop/order")
            rxsdk_clock.advance(25)
            rxsdk_clock.advance(5)
            with pytest.raises(CallTimeout):
                call.result()

        def test_without_proxy_and_clock(rxsdk_api, rxsdk_emulator):
            rxsdk_api.auth("email", rxsdk_emulator.admin_email, rxsdk_emulator.admin_password).result()
            assert rxsdk_api.authed

        class TestOtherSettings:
            @pytest.fixture
            def rxsdk_config(self, rxsdk_emulator):
                return rxsdk_emulator.config(timeout_s=0.02)

            def test_they_are_used(self, rxsdk_api, rxsdk_emulator):
                rxsdk_emulator.silence("shop/order")
                with pytest.raises(CallTimeout):
                    rxsdk_api.call("shop/order").result()
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_without_the_emulators_extra_it_says_in_one_line_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('import sys; sys.modules["mongomock"] = None\npytest_plugins = ["rxsdk.testing.plugin"]')
    pytester.makepyfile("def test_it(rxsdk_api): ...")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    needs = [line for line in result.outlines if "pip install" in line]
    assert "rxsdk_emulator: the emulator needs two more packages: pip install 'rxsdk[emulator]'" in needs
    assert "Traceback" not in result.stdout.str()


def test_importing_the_tools_imports_no_extra() -> None:
    code = (
        "import sys, rxsdk.testing\n"
        "extras = {'pytest', 'aiohttp', 'mongomock', 'rxsdk.emulator', 'rxsdk.testing.plugin'}\n"
        "print(sorted(extras & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
