"""Targets, filters and dev by hand: what reaches the student, and what is said of it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from steps.config.build import build_distill
from steps.config.load import load
from steps.config.schema import SpecAugmentConfig, SystemConfig, TrainConfig
from steps.distillation.bridges import FrameMap
from steps.distillation.hidden_codes import share_lost, train_codebooks
from steps.distillation.sources import Average, combined, fitted, lattice_of
from steps.distillation.targets import HiddenStates, from_logits
from steps.distillation.transcripts import TranscriptStore, write_unit
from steps.nnet.model import Recogniser
from steps.nnet.output import ModelOutput
from steps.scoring.units import Units
from steps.sweep_filter import folders_of, sweep
from steps.tokens.token_table import TokenTable
from steps.training import evaluate as evaluation
from steps.training import teachers
from steps.training.evaluate import DevResult, evaluate
from steps.training.examples import Example
from steps.training.heard import hours_of
from steps.training.teachers import Student, filtered, usable_transcripts, weights_of
from tests.support import ROOT

V = 4


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_share_lost_is_of_the_variance():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((600, 4)).astype(np.float32))
    near, far = (share_lost(y, torch.from_numpy(train_codebooks(y.numpy(), 1))) for y in (x, x + 20))
    assert far == pytest.approx(near, rel=0.2)


def test_codes_of_several_frames_are_those_of_the_first():
    codes = torch.arange(4)[None, :, None]
    found = FrameMap(20, 40).states(HiddenStates(torch.zeros(1, 4, 2), torch.tensor([4]), codes))
    assert found.codes[0, :, 0].tolist() == [0, 2]


def test_several_teachers_speak_on_the_frames_that_all_have():
    pair = [from_logits(randn(i, 1, 5, V), torch.tensor([n]), 0) for i, n in enumerate((5, 4))]
    assert combined(pair, pair[0].log_probs).lengths.tolist() == [4]


@pytest.mark.parametrize("theirs", [3, 5])
def test_a_target_is_fitted_to_the_frames_shared(theirs):
    out = ModelOutput(randn(0, 2, 5, 2), torch.tensor([4, 2]), {})
    lengths = torch.tensor([theirs, 3])
    found = fitted(from_logits(randn(1, 2, theirs, V), lengths, 0), out)
    assert found.lengths.tolist() == [min(theirs, 4), 2] and found.log_probs.shape == (2, 5, V)
    found = fitted(HiddenStates(randn(1, 2, theirs, 3), lengths), out)
    assert found.lengths.tolist() == [min(theirs, 4), 2] and found.states.shape == (2, 5, 3)


def test_the_average_follows_faster_at_the_start():
    model = Recogniser({"encoder": "lstm", "dim": 4}, 3, V, 10.0)
    average = Average(model, 0.999)
    with torch.no_grad():
        model.heads["ctc"].linear.bias += 1.0
    before = average.model.heads["ctc"].linear.bias.clone()
    average.follow(model, 1)
    moved = average.model.heads["ctc"].linear.bias - before
    assert torch.allclose(moved, torch.full((V,), 1 - 2 / 11), atol=1e-5)


def test_places_of_a_lattice_stand_frame_after_frame():
    places = randn(0, 1, 6, 3)  # 3 frames of a transcript of one token
    target = from_logits(places, torch.tensor([6]), 0, "transducer")
    out = ModelOutput(randn(1, 1, 3, 2), torch.tensor([3]), {})
    found = lattice_of(target, [1], out)
    for u in range(3):
        for place in range(2):
            assert torch.allclose(found.log_probs[0, u, place], target.log_probs[0, 2 * u + place])


def test_teachers_are_weighted_by_the_inverse_of_their_least_error(tmp_path):
    for name, rates in (("a", [80.0, 10.0, float("inf"), 20.0]), ("b", [70.0, 30.0])):
        (tmp_path / name).mkdir()
        lines = [json.dumps({"dev_error_rate": rate}) for rate in rates]
        (tmp_path / name / "metrics.jsonl").write_text("\n".join(lines))
    folders = [tmp_path / "a", tmp_path / "b"]
    assert weights_of(folders, "weighted") == pytest.approx([0.75, 0.25])
    assert weights_of(folders, "average") == [0.5, 0.5]


CHARS = TokenTable(("<blk>", "<space>", "a", "b"), "char")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A store of what a teacher writes, which agrees with its best path on u1 alone."""
    folder = tmp_path / "store"
    folder.mkdir()
    write_unit(folder, "char")
    (folder / "text").write_text("u1 ab\nu2 b\n")
    (folder / "text_greedy").write_text("u1 ab\nu2 a\n")
    rows = [
        {
            "utt_id": u,
            "nbest": [
                {"text": t, "tokens": list(t), "score": 0.0, "confidence": [c]},
                {"text": "", "tokens": [], "score": -1.0, "confidence": [0.01]},
            ],
        }
        for u, t, c in (("u1", "ab", 0.8), ("u2", "b", 0.9))
    ]
    (folder / "nbest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(teachers, "soft_label_folder", lambda *_: folder)
    return folder


EXAMPLES = [Example("u1", "", 100, None), Example("u2", "", 100, None), Example("u3", "", 100, (2,))]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"agree_with": "greedy"}, {"u1", "u3"}),
        ({"keep": 0.5}, {"u2", "u3"}),
        ({"min_rate": 0.9, "max_rate": 1.1}, {"u1", "u2", "u3"}),  # one word a second
        ({"min_confidence": 0.85}, {"u2", "u3"}),
    ],
)
def test_what_a_filter_leaves_out_is_not_taught(written, tmp_path, settings, expected):
    model = SimpleNamespace(feature_shift_ms=10.0, frame_shift_ms=40.0)
    student = Student(None, model, {}, "cpu", 0)
    term = build_distill({"loss": "frame_kl", "sets": ["more"], "filter": settings}, "test")
    assert {e.utt_id for e in filtered(None, term, tmp_path, EXAMPLES, student, "x")} == expected


def test_a_transcript_that_does_not_fit_the_students_frames_is_none(written):
    model = SimpleNamespace(output_lens=lambda n: n, heads={"ctc": SimpleNamespace(frames_needed=len)})
    student = Student(SimpleNamespace(heads={"ctc": {"type": "ctc"}}), model, {"": CHARS}, "cpu", 0)
    term = build_distill({"loss": "pseudo_labels"}, "test")
    found = usable_transcripts(term, "x", [written], [Example("u1", "", 1, None), Example("u2", "", 1, None)], student)
    assert found == {"u1": [], "u2": [((3,), 1.0)]}


def test_only_the_best_n_hypotheses_are_drawn_from(written):
    found = TranscriptStore(written).hypotheses(CHARS, 2)
    assert len(found["u1"]) == 2
    line = {"utt_id": "u1", "nbest": [{"text": t, "score": 0.0} for t in ("a", "b", "ab")]}
    (written / "nbest.jsonl").write_text(json.dumps(line) + "\n")
    assert [ids for ids, _ in TranscriptStore(written).hypotheses(CHARS, 2)["u1"]] == [(2,), (3,)]


def test_what_a_filter_leaves_out_is_no_hour_of_the_students():
    system = SystemConfig(
        "s", {"encoder": "lstm"}, heads={"ctc": {"type": "ctc"}}, distill=(build_distill({"loss": "frame_kl"}, "t"),)
    )
    found = hours_of([replace(e, num_frames=360_000) for e in EXAMPLES], system, 10.0, {"u1", "u3"})
    assert found == {"labelled_hours": 1.0, "unlabelled_hours": 1.0}


CONF = """
[tokens]
unit = "word"
[teacher]
model.encoder = "lstm"
[student]
base = "teacher"
train.labelled_every = 2
distill = [{ loss = "pseudo_labels", filter = { agree_with = "greedy", min_confidence = 0.65 } }]
"""


def test_a_sweep_tells_hours_errors_and_confidence(tmp_path):
    (tmp_path / "conf.toml").write_text(CONF)
    config = load(tmp_path / "conf.toml")
    system, data = config.systems["student"], tmp_path / "data"
    folder = folders_of(config, system, 0, tmp_path)[0][0]
    for path in (data / "lang", data / "train", folder):
        path.mkdir(parents=True)
    names = "abcdefghij"
    for name, value in (("text", "so be it"), ("utt2spk", "{}"), ("utt2dur", "3600")):
        (data / "train" / name).write_text("".join(f"{s} {value.format(s)}\n" for s in names))
    write_unit(folder, "word")
    said = dict(zip("bdfhj", ("so be it", "so be", "so", "so be it", "it"), strict=True))  # b, d, f, h are hidden
    (folder / "text").write_text("".join(f"{u} {t}\n" for u, t in said.items()))
    (folder / "text_greedy").write_text("".join(f"{u} {t}\n" for u, t in (said | {"h": "so be"}).items()))
    lines = [
        {"utt_id": u, "nbest": [{"text": t, "tokens": t.split(), "score": 0.0, "confidence": [c]}]}
        for (u, t), c in zip(said.items(), (0.9, 0.8, 0.7, 0.95, 0.5), strict=True)
    ]
    (folder / "nbest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sweep(config, system, 0, SimpleNamespace(exp_dir=tmp_path, data_dir=data, over="keep=[1.0, 0.6, 0.3]"), tmp_path)
    rows = {row["threshold"]: row for row in json.loads((tmp_path / "student.0.json").read_text())["rows"]}
    found = [[rows[k][x] for x in ("utterances", "hours", "confidence", "label_error_rate")] for k in (1.0, 0.6, 0.3)]
    sweep(
        config, system, 0, SimpleNamespace(exp_dir=tmp_path, data_dir=data, over="max_difference=[0.0, 1.0]"), tmp_path
    )
    wider = json.loads((tmp_path / "student.0.max_difference.json").read_text())["rows"]
    assert [row["utterances"] for row in wider] == [3, 4]
    assert found == [
        [3, 3.0, 0.7, pytest.approx(100 * 3 / 9, abs=1e-3)],
        [2, 2.0, 0.8, pytest.approx(100 / 6, abs=1e-3)],
        [1, 1.0, 0.9, 0.0],
    ]


def trainer_of(tmp_path, monkeypatch, **settings):
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    from bench import systems
    from bench.speech import random_examples

    torch.manual_seed(0)
    examples = random_examples(tmp_path, 6, 9)
    trainer = systems.new_trainer(
        systems.new_model({"encoder": "lstm", "dim": 8, "dropout": 0.0}, 9), examples, tmp_path, []
    )
    train = TrainConfig(updates=100, clip_norm=1e9, **settings)
    trainer.system = replace(
        trainer.system, train=train, spec_augment=SpecAugmentConfig(num_freq_masks=0, num_time_masks=0)
    )
    return trainer, examples


def test_the_gradient_is_that_of_the_loss_per_token(tmp_path, monkeypatch):
    from steps.nnet.inference import pad
    from steps.training.spec_augment import SpecAugment
    from utils.data_dir.archive import read_feats

    trainer, examples = trainer_of(tmp_path, monkeypatch)
    trainer.augment = SpecAugment(trainer.system.spec_augment)
    batch = examples[:3]
    model = trainer.model
    output = model(*pad([read_feats(e.feats, e.utt_id) for e in batch]))
    log_probs = output.log_probs("ctc").transpose(0, 1)
    labels, sizes = torch.tensor([t for e in batch for t in e.tokens]), torch.tensor([len(e.tokens) for e in batch])
    loss = torch.nn.functional.ctc_loss(log_probs, labels, output.lengths, sizes, reduction="sum") / len(labels)
    expected = torch.autograd.grad(loss, list(model.parameters()))
    trainer.update(batch)
    for name_and_weight, grad in zip(model.named_parameters(), expected, strict=True):
        assert torch.allclose(name_and_weight[1].grad, grad, atol=1e-5), name_and_weight[0]


def test_the_checkpoints_of_least_error_on_dev_are_kept(tmp_path, monkeypatch):
    trainer, _ = trainer_of(tmp_path, monkeypatch, average=2)
    for update, rate in enumerate((50.0, 20.0, float("nan"), 30.0, 40.0), 1):
        trainer.progress.update = update
        trainer.timed = (0.0, 0.0)
        trainer.look_at_dev = lambda rate=rate: (DevResult(rate, 1.0, {"ctc": 1.0}, 0.5), {})
        trainer.look()
    assert [update for _, _, update in trainer.progress.best] == [2, 4]


def test_dev_is_scored_on_the_frames_and_references_that_are_there(monkeypatch):
    model = Recogniser({"encoder": "lstm", "dim": 4}, 3, 3, 10.0)
    logits = torch.full((2, 4, 3), 0.0)
    for b, path in enumerate(([1, 0, 2, 0], [0, 0, 0, 0])):  # of the second two frames are there
        for u, token in enumerate(path):
            logits[b, u, token] = 9.0
    output = ModelOutput(torch.zeros(2, 4, 4), torch.tensor([4, 2]), {"ctc": logits})
    monkeypatch.setattr(evaluation, "run_model", lambda *_: [(["u1", "u2"], output)])
    table = TokenTable(("<blk>", "a", "b"), "word")
    examples = [Example("u1", "", 4, (1, 2), "a b"), Example("u2", "", 2, (1,), "a")]
    found = evaluate(model, examples, table, Units("word"), "cpu")
    assert found.error_rate == pytest.approx(100 / 3) and found.blank_share == pytest.approx(4 / 6)
    total, count = model.heads["ctc"].loss(output, [(1, 2), (1,)])
    assert count == 3 and found.loss == pytest.approx(float(total) / 3)
