"""Artefacts that no longer belong together, and features that no loss can be made of: refused or skipped by name."""

import json

import kaldiio
import numpy as np
import pytest

from steps.nnet.tensor_file import load_tensors
from tests.faults.bit_flips import put
from tests.support import change_keeping_size_and_time
from utils.data_dir.archive import read_feats
from utils.data_dir.tables import read_table

TEACHER = "exp/teacher/seed0"


@pytest.fixture
def steps(sweep):
    """The steps of the recipe, which is put right afterwards."""
    yield sweep.steps
    for step in sweep.steps.values():
        if sweep.run(step).status != 0:
            assert sweep.run(step, "--force").status == 0


def said(ended, status):
    """The error line of a step that ended with a status."""
    assert ended.status == status and "Traceback" not in ended.said, ended
    return [line for line in ended.said.splitlines() if " error: " in line][-1]


def swap_tokens(path):
    """Swaps the last two tokens, so that the file keeps its size."""
    lines = path.read_text().splitlines()
    (a, i), (b, j) = (line.split(" ") for line in lines[-2:])
    change_keeping_size_and_time(path, ("\n".join([*lines[:-2], f"{b} {i}", f"{a} {j}"]) + "\n").encode())


@pytest.mark.parametrize("name", ["decoding test by teacher", "soft labels"])
def test_a_model_with_swapped_tokens_is_refused(sweep, steps, name):
    path = sweep.path / TEACHER / "tokens.txt"
    good = path.read_bytes()
    swap_tokens(path)
    put(path, path.read_bytes())
    assert "tokens.txt: not the tokens that the model was trained with" in said(sweep.run(steps[name], "--force"), 4)
    put(path, good)


def test_a_student_of_a_teacher_with_other_tokens_is_refused(sweep, steps):
    path = sweep.path / "data" / "lang" / "tokens.txt"
    good = path.read_bytes()
    swap_tokens(path)
    ended = sweep.run(steps["student"], "--force")
    path.write_bytes(good)
    assert "tokens.txt" in said(ended, 4)


def test_soft_labels_of_another_frame_rate_are_mapped_by_time(sweep, steps):
    ended = sweep.run(steps["student"], "--force", "--set", "student.model.subsampling=2")
    assert ended.status == 0 and "its frames of 40 ms are mapped to 20 ms" in ended.said


def test_soft_labels_of_a_teacher_that_was_trained_anew_are_refused(sweep, steps):
    assert sweep.run(steps["teacher"], "--set", "teacher.train.lr=0.02").status == 0
    ended = sweep.run(steps["student"], "--force")
    assert sweep.run(steps["teacher"]).status == 0
    line = said(ended, 4)
    assert "make_soft_labels read exp/teacher/seed0" in line and "run its stage again" in line


def test_an_utterance_longer_than_a_batch_is_refused_by_name_before_training(sweep, steps):
    lengths = read_table(sweep.path / "data" / "train" / "utt2num_frames")
    longest = max(lengths, key=lambda utt_id: int(lengths[utt_id]))
    limit = int(lengths[longest]) - 1
    ended = sweep.run(steps["teacher"], "--force", "--set", f"teacher.train.max_frames={limit}")
    assert f"'{longest}': too long: {limit + 1} frames, train.max_frames is {limit}" in said(ended, 3)
    ended = sweep.run(
        steps["teacher"], "--set", f"teacher.train.max_frames={limit}", "--set", "teacher.train.max_too_long=0.5"
    )
    counts = json.loads((sweep.path / TEACHER / "manifest.json").read_text())["counts"]
    assert ended.status == 0 and counts["dropped"] == 1 and longest in counts["dropped_ids"]


@pytest.mark.parametrize("name", ["teacher", "decoding test by student"])
def test_a_lack_of_memory_names_the_utterance(sweep, steps, name):
    ended = sweep.run(steps[name], "--force", broken="lack_memory")
    assert "out of memory in a batch with utterance '" in said(ended, 5) and "update" not in ended.said


def test_a_feature_that_is_no_number_costs_its_batches_and_not_the_model(sweep, steps):
    path = sweep.path / "data" / "train" / "feats" / "feats.1.ark"
    scp = read_table(sweep.path / "data" / "train" / "feats.scp")
    good, (utt_id, entry) = path.read_bytes(), next(iter(scp.items()))
    matrix = np.array(read_feats(f"{path}:{entry.rsplit(':', 1)[1]}", utt_id))
    matrix[3] = np.nan
    start = int(entry.rsplit(":", 1)[1])
    (damaged := bytearray(good))[start + 15 : start + 15 + matrix.nbytes] = matrix.tobytes()
    assert kaldiio.load_mat(f"{path}:{start}").nbytes == matrix.nbytes
    put(path, bytes(damaged))
    ended = sweep.run(steps["teacher"], "--force")
    put(path, good)
    assert ended.status == 0 and "skipped: loss or gradient is not finite, in a batch with" in ended.said
    tensors, _ = load_tensors(sweep.path / TEACHER / "model.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert sweep.run(steps["teacher"], "--force").status == 0


@pytest.mark.parametrize("lost", [1, 20_000])
def test_features_that_are_cut_off_are_refused_by_name(sweep, steps, lost):
    path = sweep.path / "data" / "train" / "feats" / "feats.1.ark"
    good = path.read_bytes()
    put(path, good[:-lost])
    ended = sweep.run(steps["teacher"], "--force")
    put(path, good)
    assert "cannot be read" in said(ended, 3) and "run steps.make_feats --force" in said(ended, 3)
