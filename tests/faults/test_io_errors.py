"""Calls of the operating system that fail in the middle of a stage; the whole sweep is part of the battery."""

import random

import pytest

from tests.faults.io_errors import FAULTS, SWEPT

CALLS = 1  # of each step, kind and beginning


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("name", SWEPT)
def test_a_step_with_a_failing_call_is_made_good_by_a_rerun(sweep, name, kind):
    step, generator = sweep.steps[name], random.Random(f"{name} {kind}")
    for is_fresh in (True, False):
        calls = sweep.calls(step, kind, is_fresh)
        for call in generator.sample(range(1, calls + 1), CALLS):
            assert sweep.problem(step, kind, call, is_fresh) == "", f"call {call} of {calls}"


def test_outputs_that_are_believed_because_they_exist_are_noticed(sweep):
    step = sweep.steps["tokens"]
    assert sweep.problem(step, "ENOSPC", 0, True, broken="believe_files") == ""
    sweep.run(step, "--force")
    found = list(sweep.sweep(step, "ENOSPC", True, broken="believe_files"))
    assert any("made other outputs" in problem for problem in found), found


def test_a_fault_that_is_armed_is_met(sweep):
    ended = sweep.run(sweep.steps["cmvn"], "--force", fault=FAULTS["EIO"])
    assert ended.status == 0 and ended.calls > 10
