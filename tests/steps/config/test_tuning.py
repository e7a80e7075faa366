from functools import partial

import pytest

from steps.config.tuning import points_of
from steps.list_runs import tuning_lines
from utils.jobs.errors import UsageError

GRID = """
[student.tune]
distill.0.weight = [0.3, 0.9]
train.lr = [0.001, 0.002]
[student.tune_plain]
train.lr = [0.001, 0.002, 0.004, 0.008]
"""


def with_grid(conf, overrides):
    return conf(GRID, *overrides)


def test_a_grid_is_listed_with_as_many_points_for_the_twin(conf):
    lines = tuning_lines(partial(with_grid, conf), [0, 1], "students", "student")
    assert len(lines) == 16
    assert lines[0] == (
        "student 0 tune/distill.0.weight=0.3,train.lr=0.001 student.distill.0.weight=0.3 student.train.lr=0.001"
    )
    assert lines[-1] == "student_plain 1 tune/train.lr=0.008 student.train.lr=0.008"
    assert (
        tuning_lines(partial(with_grid, conf), [0], "decodings", "student")[-1]
        == "student_plain 0 tune/train.lr=0.008 dev"
    )


def test_points_are_drawn_from_all_combinations(conf):
    values = [round(0.1 * i, 1) for i in range(1, 10)]
    grid = GRID.replace("[0.3, 0.9]", str(values)).replace(".lr = [0.001, 0.002]", ".lr = [0.001, 0.002]\npoints = 4")
    lines = tuning_lines(lambda point: conf(grid, *point), [0], "students", "student")
    drawn = [line for line in lines if line.startswith("student 0")]
    assert len(set(drawn)) == 4 and len(lines) == 8
    grid_points = points_of(conf(grid).systems["student"].tune, "")
    assert len(grid_points) == 4 and grid_points == points_of(conf(grid).systems["student"].tune, "")
    every = points_of({"distill.0.weight": values, "train.lr": [0.001, 0.002]}, "")
    assert [point for point in every if point in grid_points] == grid_points


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("student.tune_plain.train.lr=[0.1]", "4 combinations and .* 1: the twin is tuned with an equal budget"),
        ("student.tune.train.lr=0.1", "write a list of values"),
        ("student.tune.train.lr=[]", "write a list of values"),
        ("student.tune_plain.train.lr=[1, 2, 3, 'x']", "student.train.lr = 'x'"),
        ("student.tune.points=5", "points = 5: write a number from 1 to 4"),
        ("student.tune.points=[2]", "points = .2.: write a number"),
        ("student.tune.points=2", "2 combinations and .* 4"),
    ],
)
def test_a_grid_that_cannot_be_tried_is_refused(conf, text, said):
    with pytest.raises(UsageError, match=said):
        tuning_lines(lambda point: with_grid(conf, [text, *point]), [0], "students", "student")


@pytest.mark.parametrize("name", ["teacher", "student_plain"])
def test_a_system_without_grid_is_not_tuned(conf, name):
    with pytest.raises(UsageError, match=r"has no \[\["):
        tuning_lines(partial(with_grid, conf), [0], "students", name)
