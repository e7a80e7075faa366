"""A set that only the teacher speaks on: from the store and live, together with the training set or alone."""

import json

import numpy as np
import pytest
import soundfile

from steps.nnet.model import read_model_config
from steps.nnet.tensor_file import load_tensors
from tests.pipeline.tiny import RATE, SPEAKERS, run_stages, say
from tests.support import assert_status, command
from utils.data_dir.tables import read_table, write_table

SETS = 'data.unlabelled=["extra"]'


def use(*sets):
    return ("--set", SETS, "--set", f"student.distill.0.sets={list(sets)}".replace("'", '"'))


@pytest.fixture
def extra(recipe, corpus):
    """The recipe with a set `extra`: two utterances more of each speaker, without transcripts."""
    folder = recipe / "data" / "extra"
    (folder / "wav").mkdir(parents=True)
    tables = {"wav.scp": {}, "utt2spk": {}}
    for speaker, pitch in SPEAKERS.items():
        for words in (["low", "top", "mid"], ["high", "low"]):
            utt_id = f"{speaker}-x{len(words)}"
            file = folder / "wav" / f"{utt_id}.wav"
            generator = np.random.default_rng(np.frombuffer(utt_id.encode(), np.uint8))
            soundfile.write(file, say(words, pitch, generator), RATE, subtype="PCM_16")
            tables["wav.scp"][utt_id], tables["utt2spk"][utt_id] = str(file), speaker
    for name, rows in tables.items():
        write_table(folder / name, rows)
    assert_status(command("utils.fix_data_dir", folder, cwd=recipe), 0)
    return recipe


def weights(recipe, system):
    return load_tensors(recipe / "exp" / system / "seed0" / "model.safetensors")[0]


def distance(a, b):
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("sets", [pytest.param(("extra",), marks=pytest.mark.long), ("train", "extra")])
def test_the_store_teaches_as_the_live_teacher_does(extra, corpus, sets):
    assert_status(run_stages(extra, corpus, *use(*sets), first=1, last=7), 0)
    stored, twin = weights(extra, "student"), weights(extra, "student_plain")
    assert_status(run_stages(extra, corpus, *use(*sets), "--set", "student.distill.0.source=live", first=7, last=7), 0)
    live = weights(extra, "student")
    assert distance(stored, live) < 0.05 < distance(stored, twin)


def test_the_sets_of_a_term_matter_to_a_live_teacher_too(extra, corpus):
    live = ("--set", "student.distill.0.source=live")
    assert_status(run_stages(extra, corpus, *use("train", "extra"), *live, first=1, last=7), 0)
    both = weights(extra, "student")
    assert_status(run_stages(extra, corpus, *use("extra"), *live, first=7, last=7), 0)
    assert distance(both, weights(extra, "student")) > 0.01


def test_the_twin_hears_the_same_batches(extra, corpus):
    assert_status(run_stages(extra, corpus, *use("train", "extra"), "--set", "student.distill.0.weight=0", first=1), 0)
    assert distance(weights(extra, "student"), weights(extra, "student_plain")) == 0


def test_unlabelled_hours_are_told_apart(extra, corpus):
    assert_status(run_stages(extra, corpus, *use("train", "extra"), first=1), 0)
    systems = json.loads((extra / "exp" / "results.json").read_text())["sets"]["test"]["systems"]
    assert all(systems[name]["unlabelled_hours"] > 0 for name in ("student", "student_plain"))
    assert systems["teacher"]["unlabelled_hours"] == 0


@pytest.mark.long
def test_the_speakers_without_transcripts_can_be_left_out(recipe, corpus):
    every = ("--set", "student.train.labelled_every=2")
    hours = []
    for only in ("false", "true"):
        options = (*every, "--set", f"student.train.labelled_only={only}")
        assert_status(run_stages(recipe, corpus, *options, first=1), 0)
        systems = json.loads((recipe / "exp" / "results.json").read_text())["sets"]["test"]["systems"]
        hours.append([systems["student_plain"][key] for key in ("labelled_hours", "unlabelled_hours")])
    assert hours[0][0] == hours[1][0] > 0 and hours[0][1] > 0 == hours[1][1]


def test_pretraining_reads_no_transcripts(extra, corpus):
    conf = extra / "conf.toml"
    first = '\n[first]\nmodel.encoder = "lstm"\ntrain.updates = 4\nheads.best_rq = {}\ndata.train = "extra"\n'
    conf.write_text(conf.read_text() + first + '\n[second]\nbase = "student"\ndistill = []\ninit.model = "first"\n')
    assert_status(run_stages(extra, corpus, first=1, last=4), 0)
    assert read_model_config(extra / "exp/first/seed0").labelled_hours == 0
    log = (extra / "exp/first/seed0/train.log").read_text()
    assert "8 utterances, 0 dropped" in log and "warning" not in log
    assert not [
        i for i in json.loads((extra / "exp/first/seed0/manifest.json").read_text())["inputs"] if "text" in str(i)
    ]


def test_an_id_in_two_sets_is_refused(extra, corpus):
    folder = extra / "data" / "extra"
    for name in ("wav.scp", "utt2spk"):
        (folder / name).write_text((folder / name).read_text().replace("ada-x2 ", "ada-0 "))
    assert_status(command("utils.fix_data_dir", folder, cwd=extra), 0)
    result = run_stages(extra, corpus, *use("train", "extra"), first=1, last=7)
    assert_status(result, 3)
    assert "stands in train and in extra; ids must differ" in result.stderr


@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_rendering_of_what_is_scored_is_refused_before_any_training(extra, corpus, name):
    assert_status(run_stages(extra, corpus, first=1, last=1), 0)
    scored = min(read_table(extra / "data" / name / "utt2spk"))
    folder = extra / "data" / "extra"
    for table in ("wav.scp", "utt2spk"):
        (folder / table).write_text((folder / table).read_text().replace(f"{scored[:3]}-x2 ", f"{scored} "))
    assert_status(command("utils.fix_data_dir", folder, cwd=extra), 0)
    result = run_stages(extra, corpus, *use("train", "extra"), first=1, last=4)
    assert_status(result, 3)
    assert f"data/extra: utterance '{scored}' is '{scored}' of data/{name}; take it out" in result.stderr


def test_a_temperature_that_the_store_knows_too_little_for_is_refused(recipe, corpus):
    options = ("--set", "teacher.soft_labels.top_k=1")
    result = run_stages(recipe, corpus, *options, first=6, last=7)
    assert_status(result, 2)
    assert "temperature 2 needs all 5 tokens, and 1 are stored; set teacher.soft_labels.top_k = 5" in result.stderr
    assert_status(run_stages(recipe, corpus, *options, "--set", "student.distill.0.temperature=1", first=6, last=7), 0)


FILTERED = """
[teacher.soft_labels.decode]
decoder = "beam"
[picky]
base = "student"
train.labelled_every = 2
[[picky.distill]]
loss = "pseudo_labels"
filter = { keep = 0.5, agree_with = "teacher/seed1", max_difference = 1.0 }
[picky.tune]
distill.0.filter.keep = [1.0, 0.5]
[picky.tune_plain]
train.lr = [0.01, 0.005]
[agreeing]
base = "student"
train.labelled_every = 2
[[agreeing.distill]]
loss = "frame_kl"
filter = { agree_with = "greedy", max_difference = 5.0 }
"""


@pytest.mark.parametrize("is_tuned", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_filter_keeps_a_share_and_a_sweep_shows_what_others_would(recipe, corpus, is_tuned):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + FILTERED)
    assert_status(run_stages(recipe, corpus, last=7), 0)
    log = (recipe / "exp" / "picky" / "seed0" / "train.log").read_text()
    assert "the filter keeps 4 of 8 utterances without a transcript" in log
    log = (recipe / "exp" / "agreeing" / "seed0" / "train.log").read_text()
    assert "the filter keeps 8 of 8 utterances without a transcript" in log
    if is_tuned:
        assert_status(run_stages(recipe, corpus, "--tune", "picky", last=9), 0)
    sweep = ("steps.sweep_filter", "--system", "picky")
    shown = command(*sweep, "exp", cwd=recipe)
    assert_status(shown, 0)
    found = json.loads((recipe / "exp" / "filter" / "picky.0.json").read_text())["rows"]
    assert [row["threshold"] for row in found] == [x / 10 for x in range(10, 0, -1)]
    assert [row["utterances"] for row in found] == [8, 8, 7, 6, 5, 4, 4, 3, 2, 1]
    assert all(row["label_error_rate"] is not None for row in found)
    tried = [row["threshold"] for row in found if row["student_error_rate"] is not None]
    assert tried == ([1.0, 0.5] if is_tuned else [])
    if is_tuned:
        assert_status(run_stages(recipe, corpus, last=11), 0)
        assert "What a filter keeps: picky" in (recipe / "exp" / "RESULTS.md").read_text()
        other = ("--seeds", "0", "--set", "picky.distill.0.filter.max_difference=2.0", "exp")
        stale = command("steps.report", *other, cwd=recipe)
        assert "exp/filter/picky.0.json: left out of the report: " in stale.stderr
    assert_status(command(*sweep, "--over", "max_difference=[0, 10]", "exp", cwd=recipe), 0)
    found = json.loads((recipe / "exp" / "filter" / "picky.0.max_difference.json").read_text())["rows"]
    assert found[0]["utterances"] < found[1]["utterances"] == 4  # half of all are kept
    for wrong, said in (
        (["--term", "3"], "[picky] has 1 terms"),
        (["--over", "agree_with=['x']"], "a list of values for one of min_confidence, keep, max_difference, "),
        (["--over", "keep=[2]"], "--over keep.keep = 2.0: must be from 0 to 1"),
    ):
        result = command(*sweep, *wrong, "exp", cwd=recipe)
        assert_status(result, 2)
        assert said in result.stderr
