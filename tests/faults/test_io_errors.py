"""Calls of the operating system that fail in the middle of a stage; the whole sweep is part of the battery."""

import errno
import random

import pytest

from tests.faults.faultio import Fault
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


def test_a_training_that_begins_anew_in_silence_is_noticed(sweep):
    step = sweep.steps["teacher"]
    last = sweep.calls(step, "kill", True)
    assert "does not go on" in sweep.problem(step, "kill", last - 10, True, broken="forget")


def test_a_call_that_fails_is_met(sweep):
    ended = sweep.run(sweep.steps["cmvn"], "--force", fault=Fault(10, errno.EIO))
    assert ended.status == 5 and ended.calls >= 10 and "Input/output error" in ended.said


def test_a_library_that_hides_an_io_error_is_asked_again(sweep):
    step = sweep.steps["validation"]
    found = [sweep.problem(step, "EIO", call, True) for call in range(20, 32)]
    assert found == [""] * 12
