"""What the log of a training that was killed tells."""

import pytest

from tests.faults.kills import aims, began_anew

BEGIN = "2026-01-31 12:00:00 train: command: train --system student\n"
GOES_ON = "2026-01-31 12:00:00 train: goes on after update {} of 40\n"
EPOCH = "2026-01-31 12:00:00 train: epoch 1, update {}: ctc 1.0 nats/token; dev: 9 % error\n"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (BEGIN + EPOCH.format(3) + EPOCH.format(6), ""),
        (BEGIN + EPOCH.format(3) + EPOCH.format(6) + BEGIN + GOES_ON.format(5) + EPOCH.format(6), ""),
        (BEGIN + EPOCH.format(3) + BEGIN + EPOCH.format(3), ""),  # it may not have been saved
        (BEGIN + EPOCH.format(3) + EPOCH.format(6) + BEGIN + EPOCH.format(3), "began anew after update 3"),
        (BEGIN + BEGIN + GOES_ON.format(2) + BEGIN + EPOCH.format(3), "began anew after update 2"),
        (BEGIN + BEGIN + GOES_ON.format(6) + BEGIN + GOES_ON.format(5), "went back from update 6 to 5"),
    ],
)
def test_a_training_that_began_anew_is_noticed_in_its_log(log, said):
    assert began_anew(log) == said


def test_four_fifths_of_the_kills_are_aimed_at_trainings():
    assert len(aims(50)) == 50 and aims(50).count("") >= 40
