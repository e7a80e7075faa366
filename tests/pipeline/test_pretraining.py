"""Pre-training without transcripts, and systems that start from it."""

import json

import pytest

from steps.nnet.tensor_file import load_tensors
from tests.pipeline.tiny import run_stages
from tests.support import assert_status

PRETRAINED = """
[pretrained]
base = "student"
distill = []
train.updates = 12

[pretrained.heads.{head}]

[finetuned]
base = "student"
distill = []
train.updates = 12

[finetuned.init]
model = "{model}"
freeze = ["encoder.stack"]
layer_decay = 0.8
"""


def add(recipe, head, model="pretrained"):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + PRETRAINED.format(head=head, model=model))


@pytest.mark.parametrize("head", ["best_rq", pytest.param("reconstruction", marks=pytest.mark.long)])
def test_a_system_starts_from_a_pretrained_encoder(recipe, corpus, head):
    add(recipe, head)
    assert_status(run_stages(recipe, corpus, first=4), 0)
    last = json.loads((recipe / "exp/pretrained/seed0/metrics.jsonl").read_text().splitlines()[-1])
    assert last[f"train_{head}"] > 0 and last[f"dev_{head}"] > 0 and last["dev_error_rate"] is None
    assert not list((recipe / "exp/pretrained/seed0").glob("decode_*"))
    assert "% error" not in (recipe / "exp/pretrained/seed0/train.log").read_text()
    log = (recipe / "exp/finetuned/seed0/train.log").read_text()
    assert "weights taken from exp/pretrained/seed0" in log
    assert "not taken: heads.ctc.linear.weight: not there" in log
    systems = json.loads((recipe / "exp/results.json").read_text())["sets"]["test"]["systems"]
    assert "finetuned" in systems and "pretrained" not in systems
    start, end = (
        load_tensors(recipe / f"exp/{name}/seed0/model.safetensors")[0] for name in ("pretrained", "finetuned")
    )
    same = {name for name in start if name in end and (start[name] == end[name]).all()}
    assert same == {"mean", "inverse_sd", "encoder.stack.linear.weight", "encoder.stack.linear.bias"}
    again = run_stages(recipe, corpus, first=4)
    assert "everything is up to date" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("finetuned", 2, "init.model = 'finetuned': is the system itself"),
        ("gone/nowhere", 3, "nowhere/model.safetensors"),
    ],
)
def test_a_start_that_is_not_there_is_refused(recipe, corpus, model, status, said):
    add(recipe, "best_rq", model)
    result = run_stages(recipe, corpus, first=7, last=7)
    assert_status(result, status)
    assert said in result.stderr


ADAPTERS = """
[customer]
base = "teacher"
init.model = "teacher"
train.updates = 12
lora.rank = 2
"""


def test_a_folder_of_adapters_holds_nothing_of_their_base(recipe, corpus):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + ADAPTERS)
    assert_status(run_stages(recipe, corpus, first=4, last=9), 0)
    folder = recipe / "exp/customer/seed0"
    files = {path: load_tensors(path)[0] for path in folder.glob("**/*.safetensors")}
    assert len(files) > 3
    for path, tensors in files.items():
        names = [name for name in tensors if not name.startswith("optimizer.")]
        assert names and all("lora_" in name for name in names), path
    assert "customer" in json.loads((recipe / "exp/results.json").read_text())["sets"]["test"]["systems"]
    made = (folder / "model.safetensors").read_bytes()
    for name in ("manifest.json", "model.safetensors", "checkpoints/resume-12.safetensors"):
        (folder / name).unlink()
    assert_status(run_stages(recipe, corpus, first=7, last=7), 0)
    assert "goes on after update" in (folder / "train.log").read_text()
    assert (folder / "model.safetensors").read_bytes() == made
