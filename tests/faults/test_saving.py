"""A writer of checkpoints that is killed leaves one that can be read, whenever that is."""

import pytest

from tests.faults.saving import Saver, kill_at_random


@pytest.fixture(scope="module")
def saver(tmp_path_factory):
    return Saver(tmp_path_factory.mktemp("saving"))


def test_a_checkpoint_can_be_read_after_a_kill_at_any_call(saver):
    calls = saver.calls()
    assert calls > 20
    assert [saver.kill_at(call) for call in range(1, calls + 1)] == [""] * calls


def test_checkpoints_that_are_written_in_place_are_noticed(saver):
    assert any(saver.kill_at(call, broken="save_in_place") for call in range(1, 6))


def test_a_checkpoint_can_be_read_after_kills_at_random(tmp_path):
    problems, saver = kill_at_random(tmp_path, 20)
    assert problems == [""] * 20 and saver.saved >= 20
