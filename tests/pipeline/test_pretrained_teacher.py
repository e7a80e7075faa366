"""A teacher from Hugging Face's transformers, as it is, of a student that hears filterbank features."""

import json
import signal

import pytest

import steps.train
from tests.pipeline.tiny import run_stages, write_corpus, write_recipe
from tests.pretrained import CLASSES, save_bundle, save_ctc_model, save_whisper
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
TEACHER

[teacher.model]
encoder = "ENCODER"
model = "MODEL"

[student.model]
encoder = "lstm"
dim = 24
subsampling = 2

[student.train]
updates = 20
max_frames = 600

[[student.distill]]
loss = "LOSS"
weight = 0.5
"""


def write_conf(recipe, encoder, model, teacher="init.ctc_head = true", loss="frame_kl"):
    conf = CONF.replace("ENCODER", encoder).replace("MODEL", str(model)).replace("LOSS", loss)
    (recipe / "conf.toml").write_text(conf.replace("TEACHER", teacher))


def check_served(recipe, corpus, kind):
    """All stages, of which some may be done, and again."""
    assert_status(run_stages(recipe, corpus), 0)
    systems = json.loads((recipe / "exp/results.json").read_text())["sets"]
    assert "teacher" in systems["test_wave"]["systems"] and "student" in systems["test"]["systems"]
    assert (recipe / f"exp/teacher/seed0/soft_labels/train_wave/{kind}/manifest.json").is_file()
    again = run_stages(recipe, corpus)
    assert "everything is up to date" in again.stdout + again.stderr


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path / "recipe")


@pytest.mark.long
@pytest.mark.parametrize("kind", CLASSES)
def test_a_ctc_model_of_transformers_serves(recipe, corpus, tmp_path, kind):
    write_conf(recipe, "huggingface", save_ctc_model(tmp_path / "hub" / kind, kind))
    assert_status(run_stages(recipe, corpus, last=7), 0)
    assert "CTC head taken from" in (recipe / "exp/teacher/seed0/train.log").read_text()
    if kind == "wav2vec2":
        check_served(recipe, corpus, "frame_topk")


@pytest.mark.long
def test_a_bundle_of_torchaudio_serves(recipe, corpus, tmp_path, monkeypatch):
    """Its small bundle is known to this process alone, which makes the model folder; the driver goes on from there."""
    write_conf(recipe, "torchaudio_bundle", save_bundle(tmp_path / "torch", monkeypatch))
    assert_status(run_stages(recipe, corpus, last=3), 0)
    monkeypatch.chdir(recipe)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    steps.train.main(["--system", "teacher", "--seed", "0", "--nj", "1"])
    for number, handler in handlers.items():
        signal.signal(number, handler)
    check_served(recipe, corpus, "frame_topk")


@pytest.mark.parametrize("last", [7, pytest.param(11, marks=pytest.mark.long)])
def test_whisper_serves(recipe, corpus, tmp_path, last):
    teacher = "heads.whisper_decoder.type = 'whisper_decoder'"
    write_conf(
        recipe, "whisper", save_whisper(tmp_path / "hub" / "whisper", letters="lowmid"), teacher, "pseudo_labels"
    )
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text().replace("subsampling = 2", "subsampling = 1"))  # room for repeated letters
    assert_status(run_stages(recipe, corpus, last=7), 0)
    assert (recipe / "exp/teacher/seed0/soft_labels/train_wave/transcripts/manifest.json").is_file()
    assert (recipe / "exp/student/seed0/model.safetensors").is_file()
    if last > 7:
        check_served(recipe, corpus, "transcripts")
