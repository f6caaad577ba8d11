"""The test files that take longest, longest first: a run that is divided among processes begins with them.

Measured with the whole suite on two cores (`--durations=0`, summed by file). Only the order matters, and only roughly: what
is not named comes after, as pytest finds it.
"""

LONGEST_FIRST = [
    "tests/acceptance/test_first_light.py",
    "tests/faults/test_broker.py",
    "tests/faults/test_chaos.py",
    "tests/faults/test_chaos_command.py",
    "tests/interop/test_change_of_hands.py",
    "tests/runtime/test_exactly_once.py",
    "tests/runtime/test_exit_codes.py",
    "tests/demo/test_feeder.py",
    "tests/pages/test_accessibility.py",
    "tests/runtime/test_restore_processes.py",
    "tests/console/test_verify.py",
    "tests/console/jobs/test_engine_orders.py",
    "tests/console/jobs/test_every_row_ends.py",
    "tests/runtime/test_standbys.py",
    "tests/runtime/test_restore.py",
    "tests/conformance/test_conformance.py",
    "tests/console/test_snapshots.py",
    "tests/embedded/test_up.py",
    "tests/pages/test_every_page.py",
    "tests/operators/test_join_models.py",
    "tests/stores/test_machines.py",
    "tests/console/test_live.py",
    "tests/embedded/test_kafka.py",
    "tests/runtime/test_reset.py",
    "tests/faults/test_scenarios.py",
    "tests/runtime/test_production.py",
    "tests/pages/test_browse.py",
    "tests/runtime/test_instances.py",
    "tests/pages/test_wide.py",
    "tests/runtime/test_reads_in_motion.py",
    "tests/conformance/test_differential.py",
]
