"""Features that an autoencoder makes, of speech as it is and of noisy speech."""

import json

import pytest

from tests.pipeline.tiny import run_stages
from tests.support import assert_status
from utils.data_dir.tables import read_table

NARROW = """
[features.narrow]
type = "model"
model = "autoencoder"
dim = 12
frame_shift_ms = 20.0

[autoencoder]
train = { updates = 12, max_frames = 600 }

[autoencoder.model]
encoder = "dnn"
dim = 32
num_layers = 2
subsampling = 2

[autoencoder.heads.autoencoder]
bottleneck = 12
noise_sd = 0.1

[on_narrow]
base = "student"
distill = []
train.updates = 12
model.subsampling = 2
data = { train = "train_narrow", dev = "dev_narrow", test = ["test_narrow"] }
"""


def add(recipe, text, *others):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + text)


def test_a_system_hears_the_narrow_layer(recipe, corpus):
    add(recipe, NARROW)
    assert_status(run_stages(recipe, corpus), 0)
    last = json.loads((recipe / "exp/autoencoder/seed0/metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < last["train_autoencoder"] < 10 and last["dev_autoencoder"] > 0
    frames = {name: read_table(recipe / f"data/{name}/utt2num_frames") for name in ("test", "test_narrow")}
    assert all(int(frames["test_narrow"][u]) == -(-int(n) // 2) for u, n in frames["test"].items())
    systems = json.loads((recipe / "exp/results.json").read_text())["sets"]["test_narrow"]["systems"]
    assert "on_narrow" in systems
    again = run_stages(recipe, corpus)
    assert "everything is up to date" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("wrong", "right", "status", "said"),
    [
        ("dim = 12\nframe", "dim = 13\nframe", 2, "features.narrow.dim = 13: [autoencoder] makes 12; set it so"),
        ('model = "autoencoder"', 'model = "student"', 2, "no system with an autoencoder head"),
        ("noise_sd = 0.1", 'clean = "_noisy"', 2, "clean = '_noisy': the set 'train' is not called so"),
    ],
)
def test_what_does_not_fit_is_told(recipe, corpus, wrong, right, status, said):
    add(recipe, NARROW.replace(wrong, right))
    result = run_stages(recipe, corpus, first=1, last=4)
    assert_status(result, status)
    assert said in result.stderr
