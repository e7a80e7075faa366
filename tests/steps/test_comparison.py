"""Figures of comparisons by hand: what is pooled, averaged, corrected and drawn."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from steps.config.load import load
from steps.config.systems import set_in_place
from steps.scoring.classes import class_scores, confusions
from steps.scoring.collect import collect_set, runs_of
from steps.scoring.comparison import compare, describe
from steps.scoring.intervals import draws, estimate, holm, pooled, speaker_interval
from steps.scoring.table import comparison_rows, system_rows
from tests.steps.scored import BETTER, TEACHER, TWIN, scores, write_run
from tests.support import ROOT


def test_rates_are_pooled_over_speakers_of_unlike_length():
    assert scores(1, [[1, 9]], (10, 30)).by_seed.tolist() == [25.0]


def test_draws_are_averaged_over_seeds():
    two = scores(2, [[10, 20, 30, 40], [90, 60, 30, 10]])
    each = [pooled(e, two.ref_units, draws(4)) for e in two.errors]
    assert np.allclose(two.by_draw(), (each[0] + each[1]) / 2)


def test_one_seed_has_the_interval_over_speakers():
    assert describe(TEACHER)["ci95"] == pytest.approx(speaker_interval(TEACHER.errors[0], TEACHER.ref_units), abs=1e-3)


def test_a_gap_that_its_own_interval_does_not_hold_is_none():
    teacher = scores(1, [[0, 80, 0, 60]])  # better on the mean of the speakers, and worse for two of them
    assert teacher.by_seed.mean() < TWIN.by_seed.mean()
    assert compare(teacher, TWIN, BETTER)["gap_closed"] is None


def test_a_gain_needs_seeds_and_speakers_each():
    few = np.array([-1.0, 0.0, 1.0])  # standard error 1 / sqrt(3), 2 degrees of freedom: 4.30 of it are needed
    value = 3.6 / 3**0.5
    spread = np.random.default_rng(0).normal(value, 3**-0.5, 20000)
    found = estimate(value, value + few, spread, 1000)
    assert found.seed_interval[0] < 0 < found.interval[0] and found.speaker_interval[0] > 0
    assert not found.is_above_zero()
    many = np.tile(few, 100) * 10  # of as much standard error, 299 degrees of freedom
    draws_of_three = np.random.default_rng(0).normal(value, (2 / 3) ** 0.5 * 3**-0.5, 20000)
    found = estimate(value, value + many, draws_of_three, 3)
    assert found.speaker_interval[0] < 0 < found.interval[0] and found.seed_interval[0] > 0
    assert not found.is_above_zero()


def test_the_speakers_of_a_gain_are_those_heard():
    # one seed's spread is nil: the interval is the paired t over 4 speakers
    gains = np.array([5.0, 7.0, 9.0, 15.0])
    found = compare(None, scores(3, [[40] * 4] * 3), scores(3, [40 - gains] * 3))
    expected = stats.t.interval(0.95, 3, gains.mean(), stats.sem(gains))
    assert found["absolute_gain_ci95"] == pytest.approx(expected, abs=0.6)


SPEAKERS = ("ada", "bob", "eve")
WRONG = {"teacher": 1, "student": 4, "student_plain": 8}


@pytest.fixture
def part(tmp_path):
    config = load(ROOT / "egs" / "speechocean762" / "conf.toml")
    runs = runs_of(config, [0, 1, 2])
    runs["teacher"] = [0, 1]
    ref = {f"{s}-1": "ken lo " * 5 for s in SPEAKERS}
    for system, seeds in runs.items():
        for seed in seeds:
            hyp = {}
            for i, (u, text) in enumerate(ref.items()):
                count = WRONG.get(system, 6) + (0 if system == "teacher" and seed == 0 else (i * (seed + 1)) % 3 - 1)
                if system == "teacher" and seed == 1:
                    count = 3
                hyp[u] = " ".join(["no"] * count + text.split()[count:-1] + (["x", "y"] if system == "teacher" else []))
            folder = tmp_path / system / f"seed{seed}"
            write_run(folder, config, "test", (ref, hyp), hours=0.5, cpu_seconds=60 * (1 + seed))
            factor = {"counts": {"real_time_factor": 0.1 * (1 + seed)}}
            (folder / "decode_test" / "manifest.json").write_text(json.dumps(factor))
    return collect_set(config, [tmp_path], runs, "test")


def test_p_values_of_a_set_are_corrected_together(part):
    tested = [row for row in part["comparisons"] if row["p_value"] is not None]
    assert len(tested) > 1
    assert [row["p_holm"] for row in tested] == pytest.approx(holm([row["p_value"] for row in tested]), abs=2e-5)


def test_the_gap_is_to_the_seeds_of_the_teacher_that_teach(part):
    row = next(r for r in part["comparisons"] if (r["distilled"], r["student"]) == ("student", "student_plain"))
    assert row["teacher_seeds"] == [0] and row["teacher_runs"] == 2
    s = part["systems"]
    gap = s["student_plain"]["error_rate"] - s["teacher"]["seeds"][0]
    assert row["gap_closed"] == pytest.approx(row["absolute_gain"] / gap, abs=1e-3)


def test_comparisons_stand_in_order(part):
    keys = [(not r["twin"], r["student"], -r["absolute_gain"]) for r in part["comparisons"]]
    assert keys == sorted(keys)


def test_the_costs_of_a_system_are_means_of_its_runs(part):
    for _name, s in part["systems"].items():
        assert s["ins"] + s["del"] + s["sub"] == pytest.approx(s["error_rate"], abs=1e-3)
        assert (s["params"], s["updates"], s["labelled_hours"], s["unlabelled_hours"]) == (9, 5, 1.0, 0.5)
        n = len(s["seeds"])
        assert s["cpu_minutes"] == (n + 1) / 2 and s["real_time_factor"] == pytest.approx(0.1 * (n + 1) / 2)


def test_a_row_of_a_table_says_what_its_head_says():
    s = {
        "params": 1000,
        "megabytes": 0.5,
        "error_rate": 12.0,
        "ci95": [10.0, 14.0],
        "ins": 1.0,
        "del": 2.0,
        "sub": 9.0,
        "sd": 0.5,
        "seeds": [1, 2],
        "updates": 70,
        "labelled_hours": 3.0,
        "unlabelled_hours": 4.0,
        "cpu_minutes": 5.0,
        "real_time_factor": 0.01,
    }
    head, row = system_rows({"unit": "word", "systems": {"x": s}})
    assert dict(zip(head, row, strict=True)) == {
        "system": "x",
        "params": "1,000",
        "MB": "0.50",
        "word error % [95 %]": "12.00 [10.00, 14.00]",
        "ins/del/sub %": "1.0/2.0/9.0",
        "sd": "0.50",
        "seeds": "2",
        "updates": "70",
        "hours": "3.00 + 4.00",
        "CPU min": "5.0",
        "RTF": "0.0100",
    }
    c = {
        "distilled": "d",
        "student": "p",
        "teacher": "t",
        "gap_closed": 0.5,
        "gap_closed_ci95": [0.25, 0.75],
        "absolute_gain": 3.0,
        "absolute_gain_ci95": [1.0, 5.0],
        "p_value": 0.01,
        "better": True,
        "seeds": [0, 1, 2],
    }
    assert comparison_rows({"speakers": 4, "systems": {"t": {}}, "comparisons": [c]})[1][3:6] == [
        "3.00 [1.00, 5.00]",
        "50.0 [25.0, 75.0]",
        "0.010",
    ]


def test_the_draws_of_classes_are_averaged_over_seeds():
    ref = {f"{s}-{i}": "ab"[i % 2] for s in "pqrs" for i in range(4)}
    spk = {u: u[0] for u in ref}
    right = confusions(ref, ref, spk)
    half = confusions(ref, {u: ("a" if u[0] in "pq" else x) for u, x in ref.items()}, spk)
    a, b = (class_scores(list(runs))["accuracy"]["ci95"] for runs in ((right, half), (half, right)))
    assert a == pytest.approx(b, abs=1e-3)


def test_only_speakers_with_a_class_count_in_the_whole():
    ref = {"p-1": "a", "q-1": "b", "p-2": "b", "q-2": "a"}
    spk = {u: u[0] for u in ref}
    hyp = ref | {"p-2": "a"}
    few = confusions(ref, hyp, spk)
    more = few | {s: {"": {"a": 0}} for s in "uvwxyz"}
    one, two = class_scores([few])["accuracy"], class_scores([more])["accuracy"]
    assert np.diff(two["ci95"])[0] > 0.8 * np.diff(one["ci95"])[0]


def test_a_system_is_compared_in_the_place_of_its_own_sets():
    ours = SimpleNamespace(name="a", data=SimpleNamespace(dev="dev_x", test=["one_x", "two_x"]))
    theirs = SimpleNamespace(name="b", data=SimpleNamespace(dev="dev", test=["one", "two"]))
    assert [set_in_place(theirs, ours, s) for s in ("dev_x", "one_x", "two_x")] == ["dev", "one", "two"]


def test_methods_of_one_twin_stand_by_their_gain_and_are_corrected_together(tmp_path):
    config = load(ROOT / "egs" / "speechocean762" / "conf_methods.toml")
    runs = runs_of(config, [0, 1, 2])
    ref = {f"s{i}-1": "ken lo " * 20 for i in range(8)}
    generator = np.random.default_rng(0)
    for number, (system, seeds) in enumerate(runs.items()):
        for seed in seeds:
            hyp = {u: " ".join(["no"] * (20 - number % 5 + int(generator.integers(-2, 3))) + ["ken"] * 20) for u in ref}
            write_run(tmp_path / system / f"seed{seed}", config, "dev", (ref, hyp))
    found = collect_set(config, [tmp_path], runs, "dev")["comparisons"]
    tested = [row for row in found if row["p_value"] is not None]
    assert len(tested) > 5 and any(0.001 < row["p_value"] < 0.1 for row in tested)
    assert [row["p_holm"] for row in tested] == pytest.approx(holm([row["p_value"] for row in tested]), abs=3e-4)
    gains = [row["absolute_gain"] for row in found if row["twin"] and row["student"] == "student_plain"]
    assert len(gains) > 5 and gains == sorted(gains, reverse=True) and gains[0] > gains[-1]
    behind = {row["distilled"]: row["behind"] for row in found if "behind" in row}
    assert len(behind) > 5 and min(behind.values()) == 0.0 < max(behind.values())
