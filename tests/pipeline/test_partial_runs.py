"""Stages run alone after something changed: nothing stale is taken for good."""

import json

import pytest

from steps.config.signature import code_digest
from tests.pipeline.tiny import run_stages, write_recipe
from tests.support import assert_status, error_of


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(("first", "last"), [(11, 11), (10, 11)])
def test_the_report_of_an_edited_test_set_is_refused(recipe, corpus, first, last):
    assert_status(run_stages(recipe, corpus), 0)
    change(recipe / "data" / "test" / "text", "low", "high")
    result = run_stages(recipe, corpus, "--publish", first=first, last=last)
    assert_status(result, 4)
    assert "score read data/test/text, which changed since" in result.stderr
    assert not (recipe / "RESULTS.md").exists()


def test_figures_of_models_that_heard_other_features_are_refused(recipe, corpus):
    options = ("--set", "features.num_mel_bins=18")
    assert_status(run_stages(recipe, corpus, *options, first=2, last=2), 0)
    assert_status(run_stages(recipe, corpus, *options, "--publish", first=9), 4)


def test_students_of_a_teacher_of_another_text_are_refused(recipe, corpus):
    change(recipe / "data" / "train" / "text", "ada-0 ", "ada-0 low ")
    result = run_stages(recipe, corpus, first=6)
    assert_status(result, 4)
    assert "read data/train/text, which changed since; run its stage again" in result.stderr


def test_figures_of_models_of_other_settings_are_refused(recipe, corpus):
    for setting, said in (
        ("student.train.lr", "train.lr 0.01 -> 0.5"),
        ("features.low_freq", "features.low_freq 20.0 -> 0.5"),
    ):
        result = run_stages(recipe, corpus, "--set", f"{setting}=0.5", first=9)
        assert_status(result, 4)
        assert f"trained with other settings ({said})" in result.stderr


def test_features_of_other_settings_are_refused_in_training(recipe, corpus):
    result = run_stages(recipe, corpus, "--set", "features.low_freq=100", "--force", first=5, last=5)
    assert_status(result, 4)
    assert "features of other settings (low_freq 20.0, the model hears 100.0)" in result.stderr


def test_the_recipe_is_prepared_again_when_its_script_changes(recipe, corpus):
    script = recipe / "local" / "prepare_data.py"
    change(script, "texts[path.stem])", "texts[path.stem].upper())")
    assert "input local/prepare_data.py changed" in run_stages(recipe, corpus, "--why").stdout
    assert_status(run_stages(recipe, corpus, last=1), 0)
    assert "LOW" in (recipe / "data" / "train" / "text").read_text()


def test_a_set_that_the_corpus_does_not_have_is_named(recipe, corpus):
    result = run_stages(recipe, corpus, "--set", "data.train=trian", last=1)
    assert_status(result, 3)
    assert "data/trian: no such data directory; there are dev, test, train" in result.stderr


def test_the_code_of_encoder_and_loss_is_a_setting(tmp_path):
    file = tmp_path / "a.py"
    digests = []
    for text in (
        'def f(x):\n    """One."""\n    return x\n',
        "def f(x):  # two\n\n    return x\n",
        "def f(x):\n    return 2 * x\n",
    ):
        file.write_text(text)
        digests.append(code_digest(file))
    assert digests[0] == digests[1] != digests[2]


def test_a_training_tells_of_its_code(made):
    settings = json.loads((made[0] / "exp" / "student" / "seed0" / "manifest.json").read_text())["settings"]
    used = {"nnet/lstm.py", "nnet/subsampling.py", "heads/ctc.py", "losses/frame_kl.py", "distillation/targets.py"}
    assert used <= settings["code"].keys()
    assert not [name for name in settings["code"] if name.endswith(("model.py", "registry.py", "conformer.py"))]


def test_a_dev_set_with_unknown_words_is_scored_whole(recipe, corpus):
    text = recipe / "data" / "dev" / "text"
    text.write_text("".join(f"{line} zebra\n" for line in text.read_text().splitlines()))
    result = run_stages(recipe, corpus, first=2, last=9)
    assert_status(result, 0)
    assert "4 dev utterances are like this: scored, but left out of the loss" in result.stderr
    folder = recipe / "exp" / "teacher" / "seed0"
    best = min(json.loads(row)["dev_error_rate"] for row in (folder / "metrics.jsonl").read_text().splitlines())
    assert best >= 100 * 4 / len(text.read_text().replace("-", " ").split())  # each zebra is an error
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["dev_ctc"] is None


def test_a_dev_set_without_words_is_refused(recipe, corpus):
    text = recipe / "data" / "dev" / "text"
    text.write_text("".join(f"{line.split()[0]}\n" for line in text.read_text().splitlines()))
    result = run_stages(recipe, corpus, first=5, last=5)
    assert_status(result, 3)
    assert "no dev utterance can be scored" in result.stderr


def test_a_configuration_that_breaks_meanwhile_ends_the_run_where_it_is(corpus, tmp_path):
    fresh = write_recipe(tmp_path / "recipe")
    script = fresh / "local" / "prepare_data.py"
    breaks = 'import atexit\n\natexit.register(lambda: open("conf.toml", "a").write("[broken"))\n'
    script.write_text(script.read_text().replace("\n\n\ndef make_sets", f"\n{breaks}\n\ndef make_sets"))
    result = run_stages(fresh, corpus, last=2)
    assert "conf.toml" in error_of(result, 2) and "stage 2" not in result.stderr
