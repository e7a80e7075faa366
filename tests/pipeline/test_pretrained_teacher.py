"""A teacher from Hugging Face's transformers, as it is, of a student that hears filterbank features."""

import json

import pytest

from tests.pipeline.tiny import run_stages, write_corpus, write_recipe
from tests.pretrained import CLASSES, save_ctc_model
from tests.support import assert_status

CONF = """
[features]
sample_rate_hz = 8000
num_mel_bins = 20

[features.wave]
type = "waveform"
sample_rate_hz = 16000
resample = true

[tokens]
unit = "char"

[teacher]
data = { train = "train_wave", dev = "dev_wave", test = ["test_wave"] }
train.updates = 0
train.max_frames = 960000 # samples: a minute
init.ctc_head = true

[teacher.model]
encoder = "huggingface"
model = "MODEL"

[student.model]
encoder = "lstm"
dim = 24
subsampling = 2

[student.train]
updates = 20
max_frames = 600

[[student.distill]]
loss = "frame_kl"
weight = 0.5
"""


@pytest.mark.parametrize("kind", CLASSES)
def test_it_serves_from_soft_labels_to_scores(tmp_path, kind):
    corpus, recipe = write_corpus(tmp_path / "corpus"), write_recipe(tmp_path / "recipe")
    model = save_ctc_model(tmp_path / "hub" / kind, kind)
    (recipe / "conf.toml").write_text(CONF.replace("MODEL", str(model)))
    result = run_stages(recipe, corpus)
    assert_status(result, 0)
    log = (recipe / "exp/teacher/seed0/train.log").read_text()
    assert "CTC head taken from" in log
    systems = json.loads((recipe / "exp/results.json").read_text())["sets"]
    assert "teacher" in systems["test_wave"]["systems"] and "student" in systems["test"]["systems"]
    assert (recipe / "exp/teacher/seed0/soft_labels/train_wave/frame_topk/manifest.json").is_file()
    again = run_stages(recipe, corpus)
    assert "everything is up to date" in again.stdout + again.stderr
