"""The part of results.json on one set, from scores in a folder."""

import json
import shutil

import pytest

from steps.config.load import load
from steps.scoring.collect import collect_set, runs_of
from steps.scoring.score_set import score_set
from steps.scoring.units import Units
from tests.steps.scored import write_run
from tests.support import ROOT
from utils.jobs.errors import DataError, StaleError

SPEAKERS = ("ada", "bob", "eve")


def errors_of(system, seed):
    """How many of each speaker's ten words a system has wrong."""
    return {"teacher": 1, "student": 4 + seed, "student_plain": 8 - seed}.get(system, 6)


@pytest.fixture(params=[3], ids=["3 seeds"])
def made(request, tmp_path):
    """(configuration, runs) of a recipe whose systems are scored."""
    config = load(ROOT / "egs" / "speechocean762" / "conf.toml")
    runs = runs_of(config, list(range(request.param)))
    ref = {f"{s}-1": "ken lo " * 5 for s in SPEAKERS}
    for system, seeds in runs.items():
        for seed in seeds:
            count = errors_of(system, seed)
            wrong = {u: " ".join(["no"] * count + text.split()[count:]) for u, text in ref.items()}
            write_run(tmp_path / system / f"seed{seed}", config, "test", (ref, wrong))
    return config, runs


@pytest.mark.parametrize("made", [2, 3], indirect=True)
def test_only_what_was_tested_counts_among_comparisons(made, tmp_path):
    config, runs = made
    part = collect_set(config, [tmp_path], runs, "test")
    rows = {(row["distilled"], row["student"]): row for row in part["comparisons"]}
    assert len(rows) > 1 and (part["speakers"], part["ref_units"], part["utterances"]) == (3, 30, 3)
    for row in rows.values():
        assert (row["p_value"] is not None) == ("p_holm" in row) == (len(runs["student"]) == 3)
    gain = sum(errors_of("student_plain", k) - errors_of("student", k) for k in runs["student"]) / len(runs["student"])
    assert rows["student", "student_plain"]["absolute_gain"] == pytest.approx(10 * gain, abs=1e-3)
    assert rows["student", "student_plain"]["teacher_runs"] == 1


def test_a_test_set_that_comes_twice_is_no_rotated_one(made, tmp_path):
    config, runs = made
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path, copy)
    with pytest.raises(DataError, match="'test': two of the folders are of the same references"):
        collect_set(config, [tmp_path, copy], runs, "test")


@pytest.mark.parametrize("change", ["another word", "another speaker"])
def test_systems_that_were_scored_against_other_references_are_not_compared(made, tmp_path, change):
    config, runs = made
    for seed in runs["student"]:
        path = tmp_path / "student" / f"seed{seed}" / "decode_test" / "score.json"
        ref = {f"{s}-1": "ken lo " * 5 for s in SPEAKERS}
        ref["ada-1"] = "lo ken " * 5 if change == "another word" else ref["ada-1"]
        utt2spk = {u: u[:3] for u in ref} | ({"eve-1": "zoe"} if change == "another speaker" else {})
        path.write_text(json.dumps(json.loads(path.read_text()) | score_set(ref, ref, utt2spk, Units("phone"))[0]))
    with pytest.raises(StaleError, match="'test': .* and .* do not have the same words of the same speakers"):
        collect_set(config, [tmp_path], runs, "test")
