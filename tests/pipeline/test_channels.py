"""Sets that hold the same moments through a telephone: beside the set they were made from, and nowhere else."""

import json

import numpy as np
import pytest

from tests.pipeline.tiny import run_stages, write_recipe
from tests.support import assert_status
from utils.data_dir.archive import read_feats
from utils.data_dir.tables import read_table

HEARD = '{f"{name}_phone": (name, ["telephone:snr_db=15"]) for name in ("train", "dev", "test")}'


@pytest.fixture
def recipe_of_phones(tmp_path):
    """A recipe that makes train_phone, dev_phone and test_phone too."""
    recipe = write_recipe(tmp_path / "recipe")
    script = recipe / "local" / "prepare_data.py"
    script.write_text(script.read_text().replace("settings={})", f"settings={{}}, heard={HEARD})"))
    return recipe


def test_a_set_of_the_same_moments_has_the_role_of_its_source(recipe_of_phones, corpus):
    sets = ("--set", 'data.unlabelled=["train_phone"]', "--set", 'data.test=["test", "test_phone"]')
    result = run_stages(recipe_of_phones, corpus, *sets, last=2)
    assert_status(result, 0)
    feats, phone = (read_table(recipe_of_phones / "data" / name / "feats.scp") for name in ("train", "train_phone"))
    assert feats.keys() == phone.keys()
    for utt_id in feats:
        matrices = [read_feats(str(recipe_of_phones / x[utt_id]), utt_id) for x in (feats, phone)]
        assert matrices[0].shape == matrices[1].shape and np.abs(matrices[0] - matrices[1]).max() > 1
    assert "nothing to do" in run_stages(recipe_of_phones, corpus, *sets, last=2).stderr


@pytest.mark.parametrize(("name", "last"), [("train_phone", "dan-3"), ("dev_phone", "dan-4")])
def test_a_channel_does_not_make_audio_of_another_role_fit_to_test_on(recipe_of_phones, corpus, name, last):
    result = run_stages(recipe_of_phones, corpus, "--set", f'data.test=["test", "{name}"]', first=1, last=1)
    assert_status(result, 3)
    assert f"'{last}' is the same audio as '{last}' in data/{name.removesuffix('_phone')}" in result.stderr


TELEPHONE = """
[telephone]
base = "student"
controls = ["student"]
data.train = "train_phone"
data.dev = "dev_phone"
data.test = ["test_phone"]
"""


def test_a_student_hears_over_a_telephone_what_its_teacher_heard_clean(recipe_of_phones, corpus):
    conf = recipe_of_phones / "conf.toml"
    conf.write_text(conf.read_text() + TELEPHONE)
    assert_status(run_stages(recipe_of_phones, corpus), 0)
    soft_labels = recipe_of_phones / "exp/teacher/seed0/soft_labels"
    assert [path.name for path in soft_labels.iterdir()] == ["train"]
    results = json.loads((recipe_of_phones / "exp/results.json").read_text())["sets"]
    assert sorted(results) == ["dev", "dev_phone", "test", "test_phone"]
    assert sorted(results["test_phone"]["systems"]) == ["telephone", "telephone_plain"]
    assert sorted(results["test"]["systems"]) == ["student", "student_plain", "teacher"]
    comparison, control = results["test_phone"]["comparisons"]
    assert (comparison["teacher"], comparison["teacher_set"]) == ("teacher", "test")
    assert (comparison["student"], comparison["distilled"]) == ("telephone_plain", "telephone")
    assert (control["student"], control["student_set"], control["twin"]) == ("student", "test", False)
    clean, phone = (results[x]["systems"][y] for x, y in (("test", "student"), ("test_phone", "telephone")))
    assert control["absolute_gain"] == pytest.approx(clean["error_rate"] - phone["error_rate"], abs=1e-3)
    heard = json.loads((recipe_of_phones / "exp/telephone/seed0/config.json").read_text())
    assert heard["train"]["data"] == {"train": "train_phone", "dev": "dev_phone"}
    table = (recipe_of_phones / "exp/RESULTS.md").read_text()
    assert "| telephone | telephone_plain | teacher on test |" in table
    assert "| telephone | student on test | teacher on test |" in table
    again = run_stages(recipe_of_phones, corpus)
    assert_status(again, 0)
    assert "nothing to do" in again.stderr
