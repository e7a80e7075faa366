"""Transcripts that were changed on purpose are found by models that never heard their speakers."""

import json
import math
import shutil

from steps.nnet.tensor_file import load_tensors, save_tensors
from tests.pipeline.tiny import WORDS, run_stages, write_corpus, write_recipe
from tests.support import assert_status, command, error_of

FOLDS = """
[fold0]
base = "teacher"
train.folds = 2
train.updates = 120
[fold1]
base = "teacher"
train = { folds = 2, fold = 1, updates = 120 }
"""


def test_wrong_transcripts_are_ranked_first(tmp_path):
    corpus, recipe = write_corpus(tmp_path / "corpus", utts_per_speaker=18), write_recipe(tmp_path / "recipe")
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text().partition("[student.model]")[0] + FOLDS)
    lines = [line.split() for line in (corpus / "text").read_text().splitlines()]
    wrong = {"ada-1", "dan-11"}
    for line in lines:
        if line[0] in wrong:
            line[1] = next(word for word in WORDS if word != line[1])
    (corpus / "text").write_text("".join(" ".join(line) + "\n" for line in lines))
    assert_status(run_stages(recipe, corpus, first=1, last=7), 0)
    (recipe / "wrong").write_text("\n".join(sorted(wrong)) + "\n")
    models = ["exp/fold0/seed0", "exp/fold1/seed0"]
    options = ("--out", "exp/critic", "--truth", "wrong", "data/train", *models)
    found = command("steps.find_label_errors", *options, cwd=recipe)
    assert_status(found, 0)
    assert "may know them" not in found.stderr
    ranked = [line.split("\t")[0] for line in (recipe / "exp/critic/ranking.tsv").read_text().splitlines()[1:]]
    assert len(ranked) == 48 and set(ranked[:4]) >= wrong
    scores = json.loads((recipe / "exp/critic/label_errors.json").read_text())["scores"]
    assert max(row["area"] for row in scores.values()) > 0.9
    assert all(low <= row["area"] <= high for row in scores.values() for low, high in [row["area_ci95"]])
    again = command("steps.find_label_errors", *options, cwd=recipe)
    assert_status(again, 0)
    assert "up to date" in again.stderr
    assert_status(command("utils.subset_data_dir", "--speakers", "bob", "data/train", "part/train", cwd=recipe), 0)
    assert_status(command("steps.make_feats", "--nj", "1", "part/train", cwd=recipe), 0)
    bob = ("--out", "exp/bob", "--lang-dir", "data/lang", "part/train")
    assert_status(command("steps.find_label_errors", *bob, *models, cwd=recipe), 0)
    rows = [set((recipe / f"exp/{name}/ranking.tsv").read_text().splitlines()) for name in ("critic", "bob")]
    assert len(rows[1]) > 10 and rows[1] < rows[0]  # judged by the same model, whatever else is judged
    lines = (recipe / "part/train/utt2spk").read_text().splitlines(keepends=True)
    (recipe / "part/train/utt2spk").write_text("".join(lines[1:]))
    lost = command("steps.find_label_errors", "--force", *bob, *models, cwd=recipe)
    assert_status(lost, 3)
    assert f"utterance '{lines[0].split()[0]}' is not in utt2spk" in lost.stderr
    one = command("steps.find_label_errors", "--out", "exp/one", "data/train", models[0], cwd=recipe)
    assert_status(one, 0)
    assert "24 of 48 utterances are judged by models that may know them" in one.stderr
    silent = recipe / "exp" / "silent"
    drawn = ("steps.explain", "--out", "one.png", "data/train", "ada-0", "exp/silent")
    shutil.copytree(recipe / "exp" / "fold0" / "seed0", silent)
    tensors, facts = load_tensors(silent / "model.safetensors")
    tensors["heads.ctc.linear.bias"][1] = math.nan
    save_tensors(silent / "model.safetensors", tensors, facts)
    assert "not what train wrote" in error_of(command(*drawn, cwd=recipe), 4)
    (silent / "manifest.json").unlink()
    damaged = command("steps.find_label_errors", "--out", "exp/two", "data/train", "exp/silent", cwd=recipe)
    assert "the model's output is not finite" in error_of(damaged, 3)
    assert "the model's output is not finite" in error_of(command(*drawn, cwd=recipe), 3)
