"""What a report says beyond the tables."""

import json
import math
from types import SimpleNamespace

import pytest

from steps.compare import main as compare
from steps.config.load import load
from steps.report import other_commits
from steps.reporting import page
from steps.reporting.calibration import calibrate, unit_confidences
from steps.reporting.outcomes import STATES, TAUGHT, check_counts, compare_outcomes, heard, length_of, read_alignments
from steps.reporting.page import NUM_SHOWN, changed_most, details_of, histories_of, histories_of_all
from steps.scoring.score_set import score_set
from steps.scoring.units import Units
from tests.support import ROOT
from utils.jobs.errors import DataError, StaleError
from utils.jobs.manifest import Manifest, describe

REF = {"a-1": "one two three", "a-2": "four five", "b-1": "one one six", "b-2": "seven"}
TEACHER = {"a-1": "one two three", "a-2": "four five", "b-1": "one one six", "b-2": "ten"}
TWIN = {"a-1": "one too three", "a-2": "five", "b-1": "one one six six", "b-2": "seven"}
DISTILLED = {"a-1": "one two three", "a-2": "for five", "b-1": "one six", "b-2": "ten"}
UTT2SPK = {utt_id: utt_id[0] for utt_id in REF}


@pytest.fixture
def scored(tmp_path):
    """Scores hypotheses, and returns (path of the alignments, alignments, figures)."""

    def score(hyp):
        figures, text = score_set(REF, hyp, UTT2SPK, Units("word"))
        path = tmp_path / "alignments.txt"
        path.write_text(text)
        return path, read_alignments(path), figures

    return score


def test_each_unit_is_fixed_broken_or_as_it_was(scored):
    found = compare_outcomes(*(scored(hyp)[1] for hyp in (TEACHER, TWIN, DISTILLED)), UTT2SPK)
    assert found.total == {"both right": 5, "fixed": 1, "broken": 2, "both wrong": 1}
    assert found.by_teacher["wrong"] == {"broken": 1}
    assert found.insertions == [0, 1, 0]
    assert found.by_word["two"] == {"fixed": 1, TAUGHT: 1} and found.by_word["seven"] == {"broken": 1, TAUGHT: 0}
    assert found.by_speaker["b"]["broken"] == 2 and found.by_speaker["b"][TAUGHT] == 3
    assert found.by_length["1–5"] == found.total | {TAUGHT: 8}
    assert found.gain_of == {"a-1": 1, "a-2": 0, "b-1": 0, "b-2": -1}
    assert found.agreement == pytest.approx((6 / 9, 7 / 9))


def test_outcomes_reconcile_with_the_scores(scored):
    sides = [scored(hyp) for hyp in (TEACHER, TWIN, DISTILLED)]
    found = compare_outcomes(*(alignments for _, alignments, _ in sides), UTT2SPK)
    errors = [figures["sub"] + figures["del"] for _, _, figures in sides]
    assert errors[0] == sum(found.by_teacher["wrong"].values())
    assert errors[1] == found.total["fixed"] + found.total["both wrong"]
    assert errors[2] == found.total["broken"] + found.total["both wrong"]
    assert found.insertions == [figures["ins"] for _, _, figures in sides]
    gains = sum(found.gain_of.values())
    assert gains == sides[1][2]["errors"] - sides[2][2]["errors"]


def test_alignments_that_are_not_those_scored_are_refused(scored):
    path, alignments, figures = scored(TWIN)
    check_counts(path, alignments, figures)
    with pytest.raises(DataError, match="were scored; run steps.score --force"):
        check_counts(path, alignments, figures | {"sub": figures["sub"] + 1})
    path.write_text(path.read_text().replace(" hyp ", " hip ", 1))
    with pytest.raises(StaleError, match="is no alignment"):
        read_alignments(path)


def test_systems_of_other_references_are_not_compared(scored):
    one, other = scored(TWIN)[1], scored(TWIN)[1]
    other["a-1"] = [("one", "one")]
    with pytest.raises(DataError, match="not scored on the same text of 'a-1'"):
        compare_outcomes(one, one, other, UTT2SPK)
    del other["a-1"]
    with pytest.raises(DataError, match="not scored on the same utterances"):
        compare_outcomes(one, one, other, UTT2SPK)


def test_lengths_fall_into_classes():
    assert [length_of(n) for n in (0, 5, 6, 40, 41, 900)] == ["1–5", "1–5", "6–10", "21–40", "41 or more", "41 or more"]
    assert heard([(None, "x"), ("a", None)]) == [("a", None)]


@pytest.mark.parametrize(
    ("tokens", "tokens_are", "units_are", "expected"),
    [
        (["AA", "B"], "phone", "phone", [0.9, 0.8]),
        (["a", "b", "<space>", "c"], "char", "word", [0.8, 0.6]),
        (["a", "<space>", "c"], "char", "char", [0.9, 0.7]),
        (["▁a", "b", "▁", "c"], "bpe", "word", [0.8, 0.6]),
        (["one", "two"], "word", "word", [0.9, 0.8]),
        (["one"], "word", "char", []),
    ],
)
def test_a_unit_is_as_sure_as_its_least_sure_token(tokens, tokens_are, units_are, expected):
    sure = [0.9, 0.8, 0.7, 0.6][: len(tokens)]
    assert unit_confidences({"tokens": tokens, "confidence": sure}, tokens_are, units_are) == expected
    assert unit_confidences({"tokens": tokens}, tokens_are, units_are) == []


def entry(words, sure):
    return {"nbest": [{"tokens": words, "confidence": sure}]}


def test_the_calibration_error_is_the_mean_gap_of_its_bins():
    alignments = {"u1": [("a", "a"), ("b", "c"), (None, "d"), ("e", None)], "u2": [("f", "f")], "u3": [("g", "g")]}
    entries = {"u1": entry(["a", "c", "d"], [0.95, 0.92, 0.32]), "u2": entry(["f"], [0.38]), "u3": entry([], [])}
    found = calibrate(entries, alignments, "word", "word")
    # bins: 0.9 to 1 holds 0.95 (right) and 0.92 (wrong); 0.3 to 0.4 holds 0.32 (wrong) and 0.38 (right)
    assert found.error == pytest.approx(100 * (2 * abs(0.935 - 0.5) + 2 * abs(0.35 - 0.5)) / 4)
    assert found.counts == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2] and found.left_out == 1
    assert math.isnan(found.accuracy[0]) and found.accuracy[9] == 0.5
    assert calibrate({}, alignments, "word", "word") is None


def test_systems_that_other_code_trained_are_named(tmp_path):
    fold = tmp_path / "fold"
    for name, seed, commit in (
        ("teacher", 0, "old"),
        ("student", 0, "new"),
        ("student", 1, "old"),
        ("plain", 0, "new"),
    ):
        manifest = Manifest("train", 1, {}, {}, {}, made_by={"commit": commit})
        (fold / name / f"seed{seed}").mkdir(parents=True)
        manifest.write(fold / name / f"seed{seed}" / "manifest.json")
    runs = {"teacher": [0], "student": [0, 1], "plain": [0], "not_trained": [0]}
    assert other_commits({fold: fold}, runs, "new") == "old (teacher, student)"
    assert other_commits({fold: fold}, {"plain": [0]}, "new") == ""
    # as exp/unseen, whose models lie in exp/unseen/<speaker>/<system>
    assert other_commits({tmp_path: tmp_path}, {"teacher": [0], "plain": [0]}, "new") == "old (teacher)"


@pytest.mark.parametrize("line", ["{'update': 2}", "2", '{"update": 2}', ""])
def test_a_line_of_a_learning_curve_that_no_training_wrote_is_told_with_its_place(tmp_path, line):
    row = {"update": 1, "dev_error_rate": None, "lr": 0.1}
    file = tmp_path / "student" / "seed0" / "metrics.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(f"{json.dumps(row)}\n")
    assert histories_of(tmp_path, {"student": [0, 1], "teacher": [0]}) == {"student": [[row]]}
    file.write_text(f"{json.dumps(row)}\n{line}\n")
    with pytest.raises(StaleError, match="student/seed0/metrics.jsonl:2: no line of a training"):
        histories_of(tmp_path, {"student": [0]})


def test_the_learning_curves_of_each_experiment_are_shown(tmp_path):
    for name, rate in (("one", 10.0), ("two", 90.0)):
        (tmp_path / name / "student" / "seed0").mkdir(parents=True)
        line = json.dumps({"update": 1, "dev_error_rate": rate})
        (tmp_path / name / "student" / "seed0" / "metrics.jsonl").write_text(f"{line}\n")
    homes = {name: tmp_path / name for name in ("one", "two")}
    both = histories_of_all(homes, {"student": [0]})
    assert {name: found[0][0]["dev_error_rate"] for name, found in both.items()} == {
        "one: student": 10.0,
        "two: student": 90.0,
    }
    assert list(histories_of_all({"one": homes["one"], "two": homes["one"]}, {"student": [0]})) == ["student"]


def test_results_that_were_altered_are_not_shown(tmp_path, capsys):
    file, manifest = tmp_path / "results.json", tmp_path / "compare.manifest.json"
    show = ["--show", "--config", str(ROOT / "egs" / "demo" / "conf.toml"), str(tmp_path)]
    file.write_text('{"sets": {}}')
    with pytest.raises(StaleError, match="compare.manifest.json: missing"):
        compare(show)
    Manifest("compare", 1, {}, {}, {"results.json": describe(file)}).write(manifest)
    compare(show)
    assert capsys.readouterr().out
    file.write_text("{}")
    with pytest.raises(StaleError, match="results.json: not what compare wrote; run it again with --force"):
        compare(show)
    file.write_text("{")
    with pytest.raises(DataError, match="results.json: cannot be read"):
        compare(show)


@pytest.mark.parametrize(("folds", "shown"), [(1, 1), (6, 0)])
def test_what_is_not_shown_unit_by_unit_is_counted(tmp_path, monkeypatch, folds, shown):
    row = {"teacher": "teacher", "student": "student_plain", "distilled": "student", "twin": True}
    row |= {"seeds": [0], "teacher_seeds": [0]}
    control = row | {"student": "labelled", "twin": False}
    parts = {"dev": {"comparisons": [row]}, "test": {"folds": folds, "comparisons": [row, control]}}
    found = [SimpleNamespace(set_name=name, part=part, experiment="exp") for name, part in parts.items()]
    monkeypatch.setattr(page, "sections", lambda results: found)
    monkeypatch.setattr(page, "detail", lambda *args: "shown")
    config = load(ROOT / "egs" / "demo" / "conf.toml", [])
    arguments = (config, {}, {"exp": tmp_path}, tmp_path)
    assert details_of(*arguments) == ([], 1)  # no decodings lie here
    for name in ("teacher", "student_plain", "student"):
        (tmp_path / name / "seed0" / "decode_test").mkdir(parents=True)
        (tmp_path / name / "seed0" / "decode_test" / "alignments.txt").write_text("")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "utt2spk").write_text("")
    assert details_of(*arguments) == (["shown"] * shown, 1 - shown)
    monkeypatch.setattr(page, "detail", lambda *args: None)
    assert details_of(*arguments) == ([], 1)  # one that cannot be


def test_the_best_with_each_twin_is_shown_first():
    rows = [{"student": twin, "distilled": name} for twin, name in zip("xxxyyz", "abcdef", strict=True)]
    assert [row["distilled"] for row in page.best_of_each(rows)] == list("adfbec")


def test_what_is_left_out_of_a_list_stands_below_it_as_a_sum():
    counts = {f"s{i:02}": dict(zip((*STATES, TAUGHT), (i, 1, 2, 3, 4), strict=True)) for i in range(NUM_SHOWN + 2)}
    rows = changed_most(counts)
    assert [name for name, _ in rows[:2]] == ["s13", "s12"] and rows[-1][0] == "2 others"
    for state in (*STATES, TAUGHT):
        assert sum(found[state] for _, found in rows) == sum(found[state] for found in counts.values())
    assert len(changed_most(dict(list(counts.items())[:NUM_SHOWN]))) == NUM_SHOWN
