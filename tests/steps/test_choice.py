"""What is chosen on dev, by hand."""

import json
from types import SimpleNamespace

import numpy as np

from steps import sweep_filter, tune
from steps.config.tuning import points_of
from steps.distil_to_budget import Shape
from steps.distillation.spikes import compare_spikes


def test_more_updates_rank_before_fewer_errors():
    assert Shape({}, 0.01, None, {750: 30.0, 3000: 25.0}).rank < Shape({}, 0.01, None, {750: 20.0}).rank


def test_the_points_are_drawn_from_the_whole_grid():
    points = points_of({"points": 3, "x": list(range(50))}, "s.tune")
    assert max(int(p["x"]) for p in points) > 10 and points == points_of({"points": 3, "x": list(range(50))}, "s.tune")


def test_points_are_ordered_by_their_mean_over_seeds(tmp_path):
    tried = []
    for value, rates in (("1", (10.0, 40.0)), ("2", (20.0, 20.0))):
        files = [tmp_path / f"{value}.{k}" for k in range(2)]
        for file, rate in zip(files, rates, strict=True):
            file.write_text(json.dumps({"error_rate": rate}))
        tried.append(({"x": value}, files))
    tune.collect({"s": tried}, "dev", [0, 1], tmp_path)
    assert [r["settings"]["x"] for r in json.loads((tmp_path / "s.json").read_text())["systems"]["s"]] == ["2", "1"]


def test_a_sweep_shows_the_best_of_the_students_own_points(tmp_path, monkeypatch):
    monkeypatch.setattr("steps.scoring.collect.passes", lambda *_: True)
    (tmp_path / "tune").mkdir()

    def row(keep, rate, lr):
        return {"settings": {"distill.0.filter.keep": keep, "lr": lr}, "error_rate": rate}

    told = {
        "systems": {
            "s": [row("0.5", 10.0, "1"), row("0.5", 20.0, "2"), row("1.0", 30.0, "1")],
            "s_plain": [row("0.5", 99.0, "1")],
        }
    }
    (tmp_path / "tune" / "s.json").write_text(json.dumps(told))
    found = sweep_filter.tried_thresholds(
        SimpleNamespace(exp_dir=tmp_path), None, SimpleNamespace(name="s"), "distill.0.filter.keep"
    )
    assert found == {0.5: 10.0, 1.0: 30.0}


def test_the_first_quartile_is_the_lower_one():
    found = compare_spikes(
        [
            (np.array([1, 0, 0, 0, 2, 0]), np.array([0, 1, 0, 0, 0, 2])),
            (np.array([3, 0, 0, 0]), np.array([0, 0, 0, 3])),
        ],
        0,
    )
    assert found.low <= found.median <= found.high and found.low < found.high
