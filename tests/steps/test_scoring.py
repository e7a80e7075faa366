import random
import re
from dataclasses import replace

import jiwer
import numpy as np
import pytest
from scipy import stats

from steps.config.load import load
from steps.config.schema import ScoreConfig
from steps.scoring.collect import check_same, check_scored, tell_distance
from steps.scoring.comparison import compare, describe, gather
from steps.scoring.errors import Errors, align, count_errors
from steps.scoring.intervals import draws, estimate, holm, pooled, speaker_interval
from steps.scoring.score_set import alignment_lines, check_ids, score_set
from steps.scoring.table import comparison_rows, size_of, to_markdown, to_text, verdict
from steps.scoring.units import Units, read_map
from tests.steps.scored import BETTER, TEACHER, TWIN, scores
from tests.support import ROOT
from utils.jobs.errors import DataError, StaleError, UsageError


@pytest.mark.parametrize(
    ("ref", "hyp", "ins", "dels", "sub"),
    [
        ("a b c", "a b c", 0, 0, 0),
        ("a b c", "a c", 0, 1, 0),
        ("a b c", "a x c", 0, 0, 1),
        ("a b c", "a b b c", 1, 0, 0),
        ("a b c", "", 0, 3, 0),
        ("", "a b", 2, 0, 0),
        ("", "", 0, 0, 0),
        ("a b c d e f", "x a b z d e", 1, 1, 1),
    ],
)
def test_errors_are_counted_as_by_hand(ref, hyp, ins, dels, sub):
    found = count_errors(ref.split(), hyp.split())
    assert (found.ins, found.dels, found.sub, found.ref_units) == (ins, dels, sub, len(ref.split()))
    assert (found.utterances, found.wrong_utterances) == (1, int(ref != hyp))


def test_total_errors_equal_jiwers_on_1000_random_pairs():
    generator = random.Random(0)
    words = "a b c d e f".split()
    pairs = [
        [[generator.choice(words) for _ in range(generator.randint(low, 12))] for low in (1, 0)] for _ in range(1000)
    ]
    total = sum((count_errors(ref, hyp) for ref, hyp in pairs), Errors())
    reference = jiwer.process_words([" ".join(r) for r, _ in pairs], [" ".join(h) for _, h in pairs])
    assert total.errors == reference.insertions + reference.deletions + reference.substitutions
    assert total.error_rate == pytest.approx(100 * reference.wer, rel=1e-12)
    for (ref, hyp), alignment in zip(pairs, reference.alignments, strict=True):
        size = sum(
            max(a.ref_end_idx - a.ref_start_idx, a.hyp_end_idx - a.hyp_start_idx)
            for a in alignment
            if a.type != "equal"
        )
        assert count_errors(ref, hyp).errors == size


def test_rates_are_pooled_and_not_averaged_over_utterances():
    total = count_errors(["a"], ["b"]) + count_errors(["a"] * 9, ["a"] * 9)
    assert total.error_rate == 10.0


@pytest.mark.parametrize(
    ("text", "unit", "units"),
    [
        ("two  words", "word", ["two", "words"]),
        ("two words", "char", list("twowords")),
        ("t uw", "phone", ["t", "uw"]),
        ("cafe\u0301", "char", list("café")),
        ("", "word", []),
    ],
)
def test_text_is_split_into_units(text, unit, units):
    assert Units(unit).split(text) == units


def test_a_map_joins_units_and_leaves_some_out(tmp_path):
    (tmp_path / "map.txt").write_text("cl sil\nvcl sil\nq\n")
    units = Units.of(ScoreConfig("phone", str(tmp_path / "map.txt")))
    assert units.split("sil cl q t vcl") == ["sil", "sil", "t", "sil"]
    assert units.normalisation == "single spaces, mapped by map.txt"


def test_a_map_applies_to_reference_and_hypothesis():
    units = Units("phone", {"cl": "sil", "q": ""}, "map.txt")
    figures, alignments = score_set({"a-1": "cl q t"}, {"a-1": "sil d q q"}, {"a-1": "a"}, units)
    assert (figures["ref_units"], figures["errors"], figures["sub"]) == (2, 1, 1)
    assert alignments == "a-1 ref sil t\na-1 hyp sil d\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a b c\n", "map.txt:1: 'a b c' is not '<unit> <unit>', or '<unit>' for one to leave out"),
        ("a b\n\n", "map.txt:2: '' is not"),
        ("a b\na\n", "map.txt:2: 'a' stands in an earlier line already"),
        (None, "map.txt: missing; it is a map of units"),
    ],
)
def test_a_map_that_cannot_be_used_is_told(tmp_path, content, said):
    if content is not None:
        (tmp_path / "map.txt").write_text(content)
    with pytest.raises(UsageError, match=re.escape(said)):
        read_map(tmp_path / "map.txt")


def test_composed_and_decomposed_letters_are_equal():
    figures, _ = score_set({"a-1": "café"}, {"a-1": "cafe\u0301"}, {"a-1": "a"}, Units("word"))
    assert figures["errors"] == 0


@pytest.mark.parametrize(
    ("ref", "hyp"), [("a b c", "a c"), ("a b", "x a b"), ("a b c d", "b x d y"), ("", "a"), ("a", "")]
)
def test_an_alignment_holds_both_sides_and_the_errors(ref, hyp):
    pairs = align(ref.split(), hyp.split())
    assert [r for r, _ in pairs if r] == ref.split() and [h for _, h in pairs if h] == hyp.split()
    assert sum(r != h for r, h in pairs) == count_errors(ref.split(), hyp.split()).errors


def test_alignments_stand_in_columns():
    assert alignment_lines("a-1", ["one", "two"], ["one"]) == ["a-1 ref one two\n", "a-1 hyp one ***\n"]


REF = {"a-1": "x y", "a-2": "x", "b-1": "z z z z z"}
UTT2SPK = {"a-1": "a", "a-2": "a", "b-1": "b"}


def test_a_set_is_scored_in_all_and_by_speaker():
    figures, _ = score_set(REF, {"a-1": "x", "a-2": "x", "b-1": "z z z z y z"}, UTT2SPK, Units("word"))
    assert {k: figures[k] for k in ("ref_units", "errors", "ins", "del", "sub", "error_rate")} == {
        "ref_units": 8,
        "errors": 2,
        "ins": 1,
        "del": 1,
        "sub": 0,
        "error_rate": 25.0,
    }
    assert figures["utterance_error_rate"] == pytest.approx(200 / 3)
    assert figures["per_speaker"]["a"]["errors"] == 1 and figures["per_speaker"]["b"]["ref_units"] == 5


def test_a_missing_hypothesis_counts_as_deletions():
    figures, _ = score_set(REF, {"a-1": "x y", "a-2": "x"}, UTT2SPK, Units("word"))
    assert figures["del"] == 5


def test_a_missing_hypothesis_is_refused_unless_allowed():
    with pytest.raises(DataError, match="1 references without hypothesis: b-1; decode again, or --allow-missing"):
        check_ids(REF, {"a-1": "", "a-2": ""}, allow_missing=False)
    assert check_ids(REF, {"a-1": "", "a-2": ""}, allow_missing=True) == ["b-1"]


@pytest.mark.parametrize("allow_missing", [True, False])
def test_an_extra_hypothesis_is_refused(allow_missing):
    with pytest.raises(DataError, match="1 hypotheses without reference: c-1"):
        check_ids(REF, REF | {"c-1": "x"}, allow_missing)


def test_references_without_a_word_have_no_error_rate():
    with pytest.raises(DataError, match="the references hold no word: the error rate is undefined"):
        score_set({"a-1": ""}, {"a-1": "x"}, UTT2SPK, Units("word"))


def test_draws_are_the_same_each_time_and_draw_as_many_speakers():
    assert np.array_equal(draws(5), draws(5)) and (draws(5).sum(1) == 5).all()


def test_pooled_rates_weigh_speakers():
    weights = np.array([[1, 1], [2, 0], [0, 2]])
    assert pooled(np.array([1, 3]), np.array([10, 10]), weights).tolist() == [20.0, 10.0, 30.0]


def test_one_speaker_has_no_interval():
    assert speaker_interval(np.array([1]), np.array([10])) is None


def test_equal_speakers_have_an_interval_without_width():
    assert speaker_interval(np.array([1, 1, 1]), np.array([10, 10, 10])) == [10.0, 10.0]


def test_the_speaker_interval_is_about_that_of_the_mean():
    rates = np.random.default_rng(1).normal(20, 4, 400)
    low, high = speaker_interval(rates * 10, np.full(400, 1000))
    assert (low, high) == pytest.approx(stats.norm.interval(0.95, rates.mean(), rates.std() / 20), abs=0.08)


def test_the_seed_interval_is_the_t_interval():
    rates = np.array([10.0, 12.0, 11.5])
    found = estimate(rates.mean(), rates, np.full(2000, rates.mean()), 25)
    expected = stats.t.interval(0.95, 2, rates.mean(), stats.sem(rates))
    assert found.seed_interval == pytest.approx(expected)
    assert found.interval == pytest.approx(expected, abs=1e-4)


def test_the_interval_adds_both_variances():
    rates = np.array([10.0, 12.0, 11.5])
    by_draw = np.random.default_rng(0).normal(11, 2, 2000)
    found = estimate(11.0, rates, by_draw, 5)
    seeds, speakers = rates.var(ddof=1) / 3, by_draw.var() * 5 / 4
    freedom = (seeds + speakers) ** 2 / (seeds**2 / 2 + speakers**2 / 4)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(seeds + speakers)
    assert found.interval == pytest.approx([11 - reach, 11 + reach], abs=1e-4)


def test_error_rates_are_those_of_each_seed():
    assert TWIN.by_seed.tolist() == [40.0, 41.0, 39.0]


def test_the_gap_closed_is_the_gain_over_the_gap():
    found = compare(TEACHER, TWIN, BETTER)
    assert found["absolute_gain"] == pytest.approx(40 - 91 / 3, abs=1e-4)
    assert found["gap_closed"] == pytest.approx((40 - 91 / 3) / 20, abs=1e-4)
    assert found["relative_reduction"] == pytest.approx((40 - 91 / 3) / 40, abs=1e-4)
    assert found["better"] is True
    low, high = found["gap_closed_ci95"]
    assert low < found["gap_closed"] < high


def test_a_speaker_with_hardly_a_gap_does_not_set_the_interval_of_what_is_closed():
    gaps, gains = np.array([1.0, 10.0, 10.0, 10.0]), np.array([20.0, 5.0, 5.0, 5.0])
    found = compare(scores(1, [20 - gaps]), scores(3, [[20] * 4] * 3), scores(3, [20 - gains] * 3))
    closed = gains.sum() / gaps.sum()
    reach = stats.t.ppf(0.975, 3) * stats.sem((gains - closed * gaps) / gaps.mean())
    assert found["gap_closed_ci95"] == pytest.approx([closed - reach, closed + reach], rel=0.1)


def test_the_interval_of_the_gain_is_paired_over_seeds():
    differences = TWIN.by_seed - BETTER.by_seed
    expected = stats.t.interval(0.95, 2, differences.mean(), stats.sem(differences))
    assert compare(TEACHER, TWIN, BETTER)["absolute_gain_ci95"] == pytest.approx(expected, abs=1e-3)


def test_systems_of_unlike_seeds_are_compared_on_those_they_share():
    more = scores(4, [*TWIN.errors.tolist(), [90, 90, 90, 90]])
    assert compare(TEACHER, more, BETTER) == compare(TEACHER, TWIN, BETTER)
    assert compare(TEACHER, BETTER, more) == compare(TEACHER, BETTER, TWIN)


def test_equal_systems_are_not_better():
    found = compare(TEACHER, TWIN, TWIN)
    assert (found["better"], found["absolute_gain"], found["gap_closed"]) == (False, 0.0, 0.0)


def test_one_seed_is_never_better():
    found = compare(TEACHER, scores(1, [[40, 42, 38, 40]]), scores(1, [[10, 12, 8, 10]]))
    assert (found["better"], found["absolute_gain_ci95"]) == (False, None)


def test_one_speaker_is_never_better():
    found = compare(scores(1, [[20]], [100]), scores(3, [[40], [41], [39]], [100]), scores(3, [[10], [11], [9]], [100]))
    assert (found["better"], found["absolute_gain_ci95"]) == (False, None)


def test_seeds_that_disagree_are_not_better():
    assert compare(TEACHER, TWIN, scores(3, [[30] * 4, [60] * 4, [20] * 4]))["better"] is False


def test_speakers_that_disagree_are_not_better():
    worse_for_one = scores(3, [[0, 0, 0, 150], [1, 1, 1, 151], [0, 0, 0, 149]])
    assert compare(TEACHER, TWIN, worse_for_one)["better"] is False


def test_without_a_gap_nothing_is_closed():
    found = compare(scores(1, [[40, 42, 38, 40]]), TWIN, BETTER)
    assert (found["gap_closed"], found["gap_closed_ci95"]) == (None, None)


def test_a_system_is_described_by_its_mean_seeds_and_deviation():
    found = describe(TWIN)
    assert (found["error_rate"], found["seeds"], found["sd"]) == (40.0, [40.0, 41.0, 39.0], 1.0)
    assert found["ci95"][0] < 40.0 < found["ci95"][1]


def test_one_seed_has_no_deviation():
    assert describe(TEACHER)["sd"] is None


def test_the_interval_of_an_error_rate_stops_at_zero():
    assert describe(scores(2, [[0, 1, 0, 0], [9, 9, 9, 9]]))["ci95"][0] == 0.0


def score_json(seed, speakers):
    return {"seed": seed, "per_speaker": {s: {"errors": e, "ref_units": n} for s, (e, n) in speakers.items()}}


def test_folds_of_a_rotated_test_set_are_pooled():
    found = gather([[score_json(0, {"b": (1, 10)}), score_json(0, {"a": (2, 20), "b": (3, 10)})]])
    assert (found.speakers, found.errors.tolist(), found.ref_units.tolist()) == (["a", "b"], [[2, 4]], [20, 20])


@pytest.mark.parametrize(
    ("better", "speakers", "seeds", "said"),
    [
        (True, 4, 3, "better"),
        (False, 4, 3, "not better"),
        (False, 1, 3, "undecided: one speaker"),
        (True, 4, 2, "undecided: fewer than 3 seeds"),
    ],
)
def test_the_verdict_says_why_it_is_undecided(better, speakers, seeds, said):
    assert verdict({"speakers": speakers}, {"better": better, "seeds": list(range(seeds))}) == said


def test_one_of_a_thing_has_no_plural():
    part = {"utterances": 1, "ref_units": 1200, "unit": "word", "speakers": 1}
    assert size_of(part) == "1 utterance, 1,200 words, 1 speaker"


def test_no_gap_is_said():
    found = {**compare(scores(1, [[40, 42, 38, 40]]), TWIN, BETTER), "teacher": "t", "student": "p", "distilled": "s"}
    part = {"speakers": 4, "systems": {"t": {}}, "comparisons": [found]}
    assert comparison_rows(part)[1][4] == "no gap"
    assert comparison_rows(part | {"systems": {}})[1][4] == "–"  # the teacher writes nothing
    alone = found | {"teacher": None, "student_set": "clean"}
    assert comparison_rows(part | {"comparisons": [alone]})[1][:3] == ["s", "p on clean", "–"]


def test_a_small_p_value_is_not_written_as_none():
    found = {**compare(scores(1, [[40, 42, 38, 40]]), TWIN, BETTER), "teacher": "t", "student": "p", "distilled": "s"}
    rows = [
        comparison_rows({"speakers": 4, "systems": {}, "comparisons": [found | {"p_value": p}]}) for p in (4e-5, 0.02)
    ]
    assert [row[1][5] for row in rows] == ["< 0.001", "0.020"]


def test_seeds_that_no_system_shares_are_refused():
    with pytest.raises(DataError, match="none in common"):
        compare(TEACHER, TWIN, replace(BETTER, seeds=[3, 4, 5]))


@pytest.mark.parametrize("num_speakers", [2, 3, 6, 25])
def test_few_speakers_hold_their_level(num_speakers):
    """Where speakers alone differ, an interval of 95 % holds the truth in about 95 % of sets, however few they are."""
    generator, held = np.random.default_rng(num_speakers), 0
    for _ in range(400):
        gains = generator.normal(3, 2, num_speakers)
        by_draw = draws(num_speakers) @ gains / num_speakers
        low, high = estimate(gains.mean(), np.full(3, gains.mean()), by_draw, num_speakers).speaker_interval
        held += low <= 3 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_tables_are_aligned():
    assert to_text([["a", "bb"], ["ccc", "d"]]) == "a    bb\n---  --\nccc  d"
    assert to_markdown([["a", "b"], ["c", "d"]]) == "| a | b |\n| --- | --- |\n| c | d |"
    assert to_markdown([["F1 of 0|9"]]) == "| F1 of 0\\|9 |\n| --- |"


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [([], []), ([0.03], [0.03]), ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5, 0.6], [1.0, 1.0])],
)
def test_p_values_are_corrected_for_their_number(p_values, corrected):
    """By hand: the least times n, the next times n - 1, and none less than those before it (Holm 1979)."""
    assert holm(p_values) == pytest.approx(corrected)


def test_the_p_value_agrees_with_the_verdict():
    generator = np.random.default_rng(0)
    for shift in (0.0, 0.5, 1.0, 2.0):
        for _ in range(20):
            by_seed = generator.normal(shift, 0.6, 5)
            by_draw = generator.normal(by_seed.mean(), 0.4, 2000)
            found = estimate(float(by_seed.mean()), by_seed, by_draw, 25)
            lows = [found.seed_interval[0], found.speaker_interval[0], found.interval[0]]
            assert found.is_above_zero() == (min(lows) > 0)


def test_seeds_and_speakers_that_each_leave_out_the_other_do_not_suffice():
    """Each test alone says 2.2 standard errors; of both variances added it is 1.6."""
    by_seed = 2.2 + np.array([-2.0, -1.0, 0.0, 1.0, 2.0] * 6) * 30**0.5 / 2**0.5 * (29 / 30) ** 0.5
    by_draw = np.random.default_rng(0).normal(2.2, (24 / 25) ** 0.5, 20000)
    found = estimate(2.2, by_seed, by_draw, 25)
    assert found.seed_interval[0] > 0 and found.speaker_interval[0] > 0 > found.interval[0]
    assert not found.is_above_zero() and found.p_value > 0.05


def test_a_speaker_without_words_is_none_over_whom_an_interval_could_be():
    assert speaker_interval(np.array([3, 3]), np.array([10, 0])) is None
    pair, three = (
        speaker_interval(np.array(e), np.array(n)) for e, n in (([2, 4], [10, 10]), ([2, 4, 0], [10, 10, 0]))
    )
    assert three == pytest.approx(pair, rel=0.1)
    assert scores(3, [[3, 3]] * 3, (10, 0)).by_draw() is None


def test_what_was_not_tested_has_no_p_value_and_is_not_counted():
    few = {**compare(TEACHER, scores(1, [[40] * 4]), scores(1, [[30] * 4])), "twin": True}
    names = {"teacher": "t", "student": "p", "distilled": "s"}
    tested = {**compare(TEACHER, TWIN, BETTER), "p_holm": 0.06}
    part = {"speakers": 4, "systems": {}, "comparisons": [few | names, tested | names]}
    assert [row[5:] for row in comparison_rows(part)[1:]] == [
        ["–", "undecided: fewer than 3 seeds"],
        [comparison_rows(part)[2][5], "better alone, not among 1"],
    ]


def test_each_system_is_set_beside_the_best_with_its_twin():
    told = {"a": BETTER, "b": TWIN, "c": BETTER, "d": TWIN}
    names = zip("aabc", "abcd", (True, True, False, True), strict=True)
    rows = [
        {"teacher": "t", "student": f"p{group}", "distilled": name, "twin": is_twin, "seeds": [0, 1, 2]}
        | {key: value for key, value in compare(TEACHER, TWIN, told[name]).items() if key != "seeds"}
        for group, name, is_twin in names
    ]
    tell_distance(rows, told)
    expected = float(TWIN.by_seed.mean() - BETTER.by_seed.mean())
    assert (rows[0]["behind"], rows[0]["behind_ci95"], rows[1]["best"]) == (0.0, None, "a")
    assert rows[1]["behind"] == pytest.approx(expected, abs=1e-3) and rows[1]["behind_ci95"][0] < expected
    assert not any("behind" in row for row in rows[2:])
    shown = comparison_rows({"speakers": 4, "systems": {}, "comparisons": rows})
    assert shown[0][-1] == "behind the best, points [95 %]" and [row[-1] for row in shown[3:]] == ["–", "–"]
    assert len(comparison_rows({"speakers": 4, "systems": {}, "comparisons": rows[2:]})[0]) == 7


def test_a_teacher_is_named_with_its_seed_where_its_own_row_is_of_several():
    found = {**compare(TEACHER, TWIN, BETTER), "teacher": "t", "student": "p", "distilled": "s", "teacher_seeds": [0]}
    part = {"speakers": 4, "systems": {}}
    rows = [comparison_rows(part | {"comparisons": [found | {"teacher_runs": n}]})[1] for n in (1, 2)]
    assert [row[2] for row in rows] == ["t", "t/seed0"]


def scored(said, utt2spk, unit="word"):
    """score.json of references that were heard as they are."""
    return score_set(said, said, utt2spk, Units(unit))[0] | {"seed": 0, "system": "s", "set": "test", "decode": None}


def test_references_are_the_same_whatever_their_utterances_are_called():
    here, there = scored({"a-1": "x y", "b-1": "z"}, {"a-1": "a", "b-1": "b"}), {"t-a-1": "a", "t-b-1": "b"}
    assert here["references"] == scored({"t-b-1": "z", "t-a-1": "x y"}, there)["references"]
    assert here["references"] != scored({"t-b-1": "y", "t-a-1": "x z"}, there)["references"]
    assert here["references"] != scored({"t-b-1": "x y", "t-a-1": "z"}, there)["references"]


def test_seeds_that_were_counted_otherwise_are_refused():
    utt2spk = {"a-1": "a"}
    runs = [[scored({"a-1": "xy z"}, utt2spk)], [scored({"a-1": "xy z"}, utt2spk, "char") | {"seed": 1}]]
    with pytest.raises(StaleError, match="'test': the references of s/seed1 are not those of its other seeds"):
        gather(runs)
    assert gather([runs[0], runs[0]]).by_seed.tolist() == [0.0, 0.0]


def test_systems_with_other_references_are_not_compared():
    with pytest.raises(StaleError, match="'test' and 'far': t and s do not have the same words"):
        check_same("t", TEACHER, "s", replace(TWIN, references=["other"]), "test", "far")
    check_same("t", TEACHER, "s", TWIN, "test", "test")


def test_a_score_of_other_units_is_not_that_of_the_configuration():
    config = load(ROOT / "egs" / "yesno" / "conf.toml")
    score = scored({"a-1": "x y"}, {"a-1": "a"}) | {"decode": config.decode.in_use()}
    check_scored("score.json", score, config, Units("word"))
    with pytest.raises(
        StaleError, match="counted with another .score.: word .NFC, single spaces. -> word .* mapped by m"
    ):
        check_scored("score.json", score, config, Units("word", {"x": "y"}, "m"))


def test_the_p_value_of_a_loss_is_that_of_the_same_gain():
    by_seed, by_draw = np.array([9.0, 10.0, 11.0]), np.random.default_rng(0).normal(10, 1, 2000)
    gain, loss = estimate(10.0, by_seed, by_draw, 25), estimate(-10.0, -by_seed, -by_draw, 25)
    assert gain.p_value == loss.p_value < 0.01
    assert estimate(0.0, np.zeros(3), np.zeros(2000), 25).p_value == 1.0
