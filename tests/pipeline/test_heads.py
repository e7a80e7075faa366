"""Systems with each of the heads, from training to scores."""

import json

import pytest

from steps.heads.registry import WRITING as ALL_WRITING
from tests.pipeline.tiny import hashes, run_stages
from tests.support import assert_status

WRITING = [head for head in ALL_WRITING if head not in ("ctc", "whisper_decoder")]
SYSTEM = """
[{name}]
base = "student"
distill = []
seeds = 1
train.updates = 12
train.ranks = 2

[{name}.heads.{head}]
"""
JOINT = """
[joint]
base = "student"
distill = []
train.updates = 12

[joint.heads.las]
weight = 0.7
[joint.heads.ctc]
weight = 0.3
"""


@pytest.fixture(scope="module")
def texts():
    return "".join(SYSTEM.format(name=f"with_{head}", head=head) for head in WRITING) + JOINT


def add(recipe, text):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + text)


@pytest.mark.long
def test_each_head_is_trained_decoded_and_scored_alike_on_any_number_of_processes(recipe, corpus, texts, tmp_path):
    add(recipe, texts)
    assert_status(run_stages(recipe, corpus, "--nj", "2", first=5), 0)
    results = json.loads((recipe / "exp/results.json").read_text())["sets"]["test"]["systems"]
    for head in WRITING:
        assert 0 <= results[f"with_{head}"]["error_rate"] < 1000
        last = json.loads((recipe / f"exp/with_{head}/seed0/metrics.jsonl").read_text().splitlines()[-1])
        assert last[f"train_{head}"] > 0 and last[f"dev_{head}"] > 0
    before = hashes(recipe)
    assert_status(run_stages(recipe, corpus, "--nj", "1", "--force", first=7, last=9), 0)
    assert hashes(recipe) == before


@pytest.mark.long
def test_a_model_with_two_heads_decodes_with_either(recipe, corpus, texts):
    add(recipe, JOINT)
    assert_status(run_stages(recipe, corpus, first=7), 0)
    line = json.loads((recipe / "exp/joint/seed0/metrics.jsonl").read_text().splitlines()[-1])
    assert line["train_las"] > 0 and line["train_ctc"] > 0 and "dev_las" in line
    by_las = (recipe / "exp/joint/seed0/decode_test/nbest.jsonl").read_bytes()
    assert_status(run_stages(recipe, corpus, "--set", "decode.head=ctc", first=8, last=9), 0)
    assert (recipe / "exp/joint/seed0/decode_test/nbest.jsonl").read_bytes() != by_las


def test_a_head_that_a_model_lacks_is_refused(recipe, corpus):
    result = run_stages(recipe, corpus, "--set", "decode.head=las", first=8, last=8)
    assert_status(result, 2)
    assert "decode.head = 'las': [teacher] writes with ctc" in result.stderr
