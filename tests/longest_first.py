"""The test files that take longest, longest first: a run that is divided among processes begins with them.

Measured with the whole suite on two cores (`--durations=0`, summed by file). Only the order matters, and only roughly: what
is not named comes after, as pytest finds it.
"""

LONGEST_FIRST = [
    "tests/stores/test_machines.py",
    "tests/faults/test_chaos.py",
    "tests/conformance/test_conformance.py",
    "tests/faults/test_broker.py",
    "tests/acceptance/test_first_light.py",
    "tests/pages/test_every_page.py",
    "tests/runtime/test_exit_codes.py",
    "tests/stores/test_oracle.py",
    "tests/interop/test_change_of_hands.py",
    "tests/embedded/test_up.py",
    "tests/conformance/test_differential.py",
    "tests/console/test_jobs.py",
    "tests/embedded/test_kafka.py",
    "tests/faults/test_scenarios.py",
    "tests/faults/test_anything_in_any_order.py",
    "tests/faults/test_damage.py",
    "tests/query/test_windows.py",
    "tests/query/test_routing.py",
    "tests/console/test_live.py",
    "tests/stores/test_lifecycle.py",
    "tests/runtime/test_outage.py",
]
