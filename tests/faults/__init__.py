"""Reliability suites: what becomes of calls when everything around them breaks. Short forms run in pytest.

``python -m tests.faults.chaos``, ``soak``, ``close_races`` and ``fuzz`` are the long forms; each prints what it counted
and exits 1 when something did not hold. Only `wires` knows protocols: every suite runs over each of them.
"""
