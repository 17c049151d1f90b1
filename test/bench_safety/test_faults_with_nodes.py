"""Faults of several kinds against the real controller_node in a process of its own."""

import pytest

from mode_ros.bench_safety.faults import FAULTS, find
from mode_ros.bench_safety.journal import Journal
from mode_ros.bench_safety.run import run

QUICK = ('emergency stop', 'states silent', 'controller SIGINT')


def tries(folder):
    return list(Journal(folder, Journal.settings_in(folder)).tries.values())


def test_a_moving_arm_is_brought_to_rest_within_its_limits_and_the_cause_is_named(tmp_path):
    told = []
    rows = run(find(QUICK), 2, tmp_path, told.append)
    assert [row.fault for row in rows] == list(QUICK)
    assert len(told) == 2 * len(QUICK)
    for made in tries(tmp_path):
        assert made.rest is not None, made
        assert made.worst == 0.0, made
        assert made.named, made
        assert made.released in {fault.name: fault.release for fault in FAULTS}[made.fault], made
    again = []
    assert run(find(QUICK), 2, tmp_path, again.append) == rows
    assert again == [], 'what is finished is not made again'


@pytest.mark.slow
@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.name)
def test_no_fault_exceeds_a_limit(tmp_path, fault):
    run([fault], 2, tmp_path, print)
    for made in tries(tmp_path):
        assert made.worst == 0.0, made
        assert fault.limit is None or made.rest is not None, made
        assert made.named, made
        assert made.released in fault.release or fault.limit is None, made
