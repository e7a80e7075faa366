"""Classes of utterances beside their words, and alone."""

import json

from tests.pipeline.tiny import run_stages
from tests.support import assert_status

SYSTEMS = """
[both]
base = "student"
distill = []
train.updates = 20

[both.heads.ctc]
[both.heads.pitch]
type = "classifier"
weight = 0.3

[alone]
base = "student"
distill = []
train.updates = 20

[alone.heads.pitch]
type = "classifier"
"""


def test_words_and_classes_are_learnt_together_and_scored(recipe, corpus):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + SYSTEMS)
    for name in ("train", "dev", "test"):
        (recipe / f"data/{name}/spk2pitch").write_text("ada high\nbob low\ncleo high\ndan low\n")
    result = run_stages(recipe, corpus, first=5)
    assert_status(result, 0)
    results = json.loads((recipe / "exp/results.json").read_text())
    found = results["classes"]["test"]["pitch"]
    assert set(found) == {"both", "alone"} and 0 <= found["both"]["macro_f1"]["value"] <= 100
    assert "both" in results["sets"]["test"]["systems"] and "alone" not in results["sets"]["test"]["systems"]
    assert "macro F1" in result.stdout and "macro F1" in (recipe / "exp/RESULTS.md").read_text()
    line = json.loads((recipe / "exp/both/seed0/metrics.jsonl").read_text().splitlines()[-1])
    assert line["train_pitch"] > 0 and line["dev_pitch"] > 0 and line["dev_ctc"] > 0
    entry = json.loads((recipe / "exp/both/seed0/decode_test/nbest.jsonl").read_text().splitlines()[0])
    assert abs(sum(entry["classes"]["pitch"].values()) - 1) < 0.01 and entry["nbest"]
    assert not (recipe / "exp/alone/seed0/decode_test/text").exists()
    again = run_stages(recipe, corpus, first=5)
    assert "everything is up to date" in again.stdout + again.stderr


def test_labels_that_are_missing_are_refused_before_training(recipe, corpus):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + SYSTEMS)
    result = run_stages(recipe, corpus, first=7, last=7)
    assert_status(result, 3)
    assert "neither utt2pitch nor spk2pitch is there" in result.stderr
