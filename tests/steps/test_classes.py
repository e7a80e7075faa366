import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from steps.config.load import load
from steps.config.schema import DecodeConfig, SystemConfig, TokensConfig
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from steps.score import scored_classes, warn_of_unsaid, written
from steps.scoring.classes import (
    class_scores,
    confusions,
    count_in,
    keyword_confusions,
    keyword_scores,
    pooled_confusions,
)
from steps.scoring.collect import class_files, collect_classes, runs_of
from steps.scoring.table import class_rows
from steps.train import check_data_dirs
from steps.training.examples import Example
from steps.training.head_labels import find_classes, with_classes
from tests.support import ROOT, write_data_dir
from utils.data_dir.labels import read_labels
from utils.jobs.errors import DataError


def answers(seed, count=200, classes="abc"):
    """(reference, hypothesis, speaker) of utterances; some answers are of no reference's class, some are missing."""
    generator = np.random.default_rng(seed)
    ids = [f"u{i:03}" for i in range(count)]
    ref = {u: classes[generator.integers(len(classes))] for u in ids}
    hyp = {u: ref[u] if generator.random() < 0.6 else "abcd"[generator.integers(4)] for u in ids[:-3]}
    return ref, hyp, {u: f"s{i % 7}" for i, u in enumerate(ids)}


@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_those_of_scikit_learn(seed):
    ref, hyp, utt2spk = answers(seed)
    found = class_scores([confusions(ref, hyp, utt2spk)])
    truth, said = list(ref.values()), [hyp.get(u, "") for u in ref]
    labels = ["a", "b", "c"]
    P, R, F1, support = precision_recall_fscore_support(truth, said, labels=labels, zero_division=0)
    assert found["accuracy"]["value"] == pytest.approx(100 * accuracy_score(truth, said), abs=1e-3)
    for i, label in enumerate(labels):
        each = found["classes"][label]
        expected = [100 * P[i], 100 * R[i], 100 * F1[i]]
        assert [each[key]["value"] for key in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-3)
        assert each["times"] == support[i]
    for key, values in (("precision", P), ("recall", R), ("f1", F1)):
        assert found[f"macro_{key}"]["value"] == pytest.approx(100 * values.mean(), abs=1e-3)


def test_intervals_hold_the_figure_and_narrow_with_more_speakers():
    ref, hyp, utt2spk = answers(0, 2000)
    few = class_scores([confusions(ref, hyp, utt2spk)])["macro_f1"]
    many = class_scores([confusions(ref, hyp, {u: f"s{i % 100}" for i, u in enumerate(ref)})])["macro_f1"]
    for found in (few, many):
        assert found["ci95"][0] < found["value"] < found["ci95"][1]


def test_runs_are_averaged_and_one_speaker_gives_no_interval():
    ref, hyp, _ = answers(0)
    alone = dict.fromkeys(ref, "s")
    right, wrong = confusions(ref, ref, alone), confusions(ref, dict.fromkeys(ref, "z"), alone)
    found = class_scores([right, wrong])
    assert found["accuracy"] == {"value": 50.0, "ci95": None, "seeds": [100.0, 0.0]}


def test_speakers_without_a_class_say_nothing_of_it():
    """Else a draw without the only two speakers of a class would call what is always right 0 %."""
    ref = {f"{s:02}-{i}": "rare" if s < 2 else "common" for s in range(20) for i in range(5)}
    found = class_scores([confusions(ref, ref, {u: u[:2] for u in ref})])
    assert found["classes"]["rare"]["f1"]["ci95"] == found["macro_f1"]["ci95"] == [100.0, 100.0]
    hyp = ref | {"00-0": "common", "02-0": "rare"}
    found = class_scores([confusions(ref, hyp, {u: u[:2] for u in ref})])
    widths = [np.diff(found["classes"][name]["recall"]["ci95"])[0] for name in ("rare", "common")]
    assert widths[0] > 10 * widths[1]  # two speakers, and eighteen
    alone = {u: "rare" if u.startswith("00") else "common" for u in ref}
    found = class_scores([confusions(alone, alone, {u: u[:2] for u in ref})])
    assert found["classes"]["rare"]["f1"]["ci95"] is None


def test_folds_are_added_up():
    ref, hyp, utt2spk = answers(1)
    half = list(ref)[:90]
    parts = [{u: ref[u] for u in ids} for ids in (half, [u for u in ref if u not in half])]
    whole = confusions(ref, hyp, utt2spk)
    pooled = pooled_confusions([confusions(part, hyp, utt2spk) for part in parts])
    assert class_scores([pooled]) == class_scores([whole])


@pytest.mark.parametrize(
    ("text", "keyword", "count"),
    [("call me call", "call", 2), ("call me now", "call me", 1), ("recall me", "call", 0), ("", "call", 0)],
)
def test_keywords_are_counted_by_whole_words(text, keyword, count):
    assert count_in(text, keyword) == count


def test_keywords_have_the_figures_of_what_was_found_and_missed():
    ref = {"a1": "stop now", "a2": "go go", "b1": "hello", "b2": "stop"}
    hyp = {"a1": "stop now", "a2": "go", "b1": "stop hello"}  # one go missed, one stop too many, and one missed
    per_speaker = keyword_confusions(ref, hyp, {u: u[0] for u in ref}, ["stop", "go", "never"])
    found = class_scores([per_speaker])
    figures = found["classes"]
    assert set(figures) == {"stop", "go"} and found["times"] == 4
    assert [figures["stop"][key]["value"] for key in ("precision", "recall", "f1")] == [50.0, 50.0, 50.0]
    assert [figures["go"][key]["value"] for key in ("precision", "recall")] == [100.0, 50.0]
    assert found["accuracy"]["value"] == 50.0


def test_false_alarms_count_in_whichever_run_they_are():
    """A speaker who never says a keyword stands in no row of the runs that hear none."""
    utt2spk = {"a1": "a", "b1": "b"}
    ref = {"a1": "stop", "b1": "hello"}
    quiet, alarmed = ({"a1": "stop", "b1": said} for said in ("hello", "stop stop stop"))
    runs = [pooled_confusions([keyword_confusions(ref, hyp, utt2spk, ["stop"])]) for hyp in (quiet, alarmed, quiet)]
    assert [set(run) for run in runs] == [{"a", "b"}] * 3
    for order in (runs, runs[1:] + runs[:1]):
        found = keyword_scores(order)
        assert sorted(found["macro_precision"]["seeds"]) == [25.0, 100.0, 100.0] and found["speakers"] == 2


def test_a_table_has_a_row_for_each_system():
    ref, hyp, utt2spk = answers(2)
    rows = class_rows({"student": class_scores([confusions(ref, hyp, utt2spk)])})
    assert len(rows) == 2 and len(rows[0]) == len(rows[1]) and rows[0][-1] == "F1 of c"


@pytest.fixture
def data_dir(tmp_path):
    return write_data_dir(tmp_path / "train", {"ada-1": "x", "ada-2": "x", "bob-1": "y"})


def test_labels_are_read_by_utterance_or_by_speaker(data_dir):
    (data_dir / "spk2gender").write_text("ada f\nbob m\n")
    assert read_labels(data_dir, "gender") == {"ada-1": "f", "ada-2": "f", "bob-1": "m"}
    (data_dir / "utt2intent").write_text("ada-2 order\n")
    assert read_labels(data_dir, "intent") == {"ada-2": "order"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("utt2age", "ada-1 old\nada-9 young\n", "utt2age:2: utterance 'ada-9' is not in"),
        ("spk2age", "eve old\n", "spk2age:1: speaker 'eve' is not in"),
        ("spk2age", "ada\n", "spk2age:1"),
        ("utt2size", "ada-1 old\n", "neither utt2age nor spk2age is there"),
        ("spk2age", "ada old\nbob old\n", "1 class, and there must be two"),
        ("spk2age", "", "spk2age: holds no class"),
    ],
)
def test_a_faulty_label_file_is_refused(data_dir, name, text, said):
    (data_dir / name).write_text(text)
    with pytest.raises(DataError, match=said):
        find_classes(data_dir, {"age": {"type": "classifier", "label": ""}})


def test_examples_get_the_number_of_their_class(data_dir):
    (data_dir / "utt2age").write_text("ada-1 old\nada-2 unheard\n")
    heads = {"age": {"type": "classifier", "label": "", "classes": ["old", "young"]}, "ctc": {"type": "ctc"}}
    examples = [Example(utt_id, "", 9, None) for utt_id in ("ada-1", "ada-2", "bob-1")]
    assert [e.classes for e in with_classes(examples, data_dir, heads)] == [{"age": 0}, {}, {}]


def test_a_set_without_a_known_class_is_refused_and_gaps_are_told(data_dir, capsys):
    heads = {"age": {"type": "classifier", "label": "", "classes": ["old", "young"]}}
    examples = [Example(utt_id, "", 9, None) for utt_id in ("ada-1", "ada-2", "bob-1")]
    (data_dir / "utt2age").write_text("ada-1 old\n")
    with_classes(examples, data_dir, heads)
    assert "utt2age: 2 of 3 utterances have no class to learn (ada-2, bob-1)" in capsys.readouterr().err
    (data_dir / "utt2age").write_text("ada-1 unheard\n")
    with pytest.raises(DataError, match="the head age knows the class of no utterance of"):
        with_classes(examples, data_dir, heads)


def test_test_sets_without_labels_or_own_transcripts_are_refused_before_training(data_dir):
    test = write_data_dir(data_dir.with_name("test"), {"eve-1": "x"})
    heads = {"age": {"type": "classifier", "label": "", "tokens": ""}, "two": {"type": "ctc", "tokens": "letters"}}
    system = SystemConfig("a", {}, heads=heads)
    (data_dir / "spk2age").write_text("ada old\nbob young\n")
    with pytest.raises(DataError, match="test: neither utt2age nor spk2age is there"):
        check_data_dirs(system, data_dir.parent)
    (test / "spk2age").write_text("eve old\n")
    check_data_dirs(system, data_dir.parent)
    (data_dir / "text_letters").write_text("ada-1 x\n")
    with pytest.raises(DataError, match="test/text_letters: missing, while .*train/text_letters is there"):
        check_data_dirs(system, data_dir.parent)


def test_a_head_is_scored_against_its_own_transcripts(data_dir, tmp_path):
    config, decode_dir = SimpleNamespace(decode=DecodeConfig(head="two"), tokens=TokensConfig()), tmp_path / "m/decode"
    decode_dir.mkdir(parents=True)
    heads = {"ctc": {"tokens": ""}, "two": {"tokens": "letters", "unit": "bpe"}}
    (tmp_path / "m/config.json").write_text(json.dumps({"heads": heads}))
    assert written(config, data_dir, decode_dir) == ("bpe", "lang_letters", data_dir / "text")
    (data_dir / "text_letters").write_text("ada-1 X\n")
    assert written(config, data_dir, decode_dir) == ("bpe", "lang_letters", data_dir / "text_letters")


def test_keywords_that_are_never_said_have_no_figures(data_dir, tmp_path):
    (tmp_path / "text").write_text("ada-1 x\nada-2 x\nbob-1 x\n")
    found = [scored_classes(data_dir, tmp_path, data_dir / "text", [word]) for word in ("x", "X")]
    assert found[0]["keywords"]["times"] == 2
    assert found[1] == {"keywords": {"times": 0, "per_speaker": {"ada": {}, "bob": {}}}}


def test_false_alarms_of_a_fold_in_which_a_keyword_is_never_said_count(tmp_path):
    config, folds = load(ROOT / "egs" / "yesno" / "conf.toml", ['score.keywords=["help"]']), []
    runs = runs_of(config, [0, 1])
    for name, ref, hyp in (("a", "help", "help"), ("b", "so", "help help help help")):
        per_speaker = keyword_confusions({"u": ref}, {"u": hyp}, {"u": name}, ["help"])
        folds.append(tmp_path / name)
        for path in (file for files in class_files(config, folds[-1:], runs).values() for file in files):
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"heads": {"keywords": {"per_speaker": per_speaker}}}))
    found = collect_classes(config, folds, runs)["test"]["keywords"]["student"]
    assert (found["macro_precision"]["value"], found["found"]["value"], found["speakers"]) == (20.0, 100.0, 2)
    assert "accuracy" not in found


def test_keywords_that_are_never_said_are_told(capsys):
    warn_of_unsaid(["stop", "STOP", "go"], "text", {"a": "stop now"})
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "'STOP' is never said, and has no figures; its words are there in other" in told[0]
    assert told[1].endswith("'go' is never said, and has no figures")


def test_a_classifier_learns_by_heart_and_padding_changes_nothing():
    torch.manual_seed(0)
    heads = {"kind": {"type": "classifier", "classes": ["a", "b", "c"], "dropout": 0.0}}
    model = Recogniser({"encoder": "lstm", "dim": 16, "dropout": 0.0}, 6, 5, 10.0, heads=heads)
    generator = torch.Generator().manual_seed(1)
    feats, feat_lens = pad([torch.randn(n, 6, generator=generator).numpy() for n in (40, 12, 5, 30)])
    head, labels = model.heads["kind"], [0, 1, None, 2]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss, count = head.loss(model(feats, feat_lens), labels)
        optimizer.zero_grad()
        (loss / count).backward()
        optimizer.step()
    with torch.inference_mode():
        whole = head.scores(model.eval()(feats, feat_lens))
        assert count == 3 and whole[[0, 1, 3]].argmax(-1).tolist() == [0, 1, 2]
        alone = head.scores(model(feats[1:2, :12], feat_lens[1:2]))
    assert torch.allclose(whole[1], alone[0], atol=1e-5)
