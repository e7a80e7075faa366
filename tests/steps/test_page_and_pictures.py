"""What critic, pictures and page say, by hand."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from steps.config.load import load
from steps.reporting import explained, page
from steps.reporting import figures as drawn
from steps.reporting.calibration import Calibration, calibrate
from steps.reporting.explained import View, decoder_attention, self_attention
from steps.reporting.outcomes import compare_outcomes
from tests.models import F, make
from tests.support import ROOT


def test_a_frame_s_attention_is_the_mean_of_the_heads():
    model = make("conformer", "ctc").eval()
    layers = [m for m in model.encoder.modules() if isinstance(m, explained.SelfAttention)]
    seen = []
    layers[-1].register_forward_pre_hook(lambda layer, args: seen.append(layer.weights(args[0], args[1])[0]))
    with torch.inference_mode(), self_attention(model) as found:
        model(torch.randn(1, 20, F), torch.tensor([20]))
    (weights,) = found.values()
    assert len(seen[0]) > 1 and weights == pytest.approx(seen[0].mean(0).numpy(), abs=1e-6)


def test_the_first_row_of_a_decoder_is_before_any_token():
    model = make("lstm", "las").eval()
    with torch.inference_mode():
        output = model(torch.randn(1, 20, F), torch.tensor([20]))
        one, two = (
            next(iter(decoder_attention(model.heads, output, {"las": read}).values())) for read in ([1], [1, 2])
        )
    assert two[:2] == pytest.approx(one, abs=1e-6)


class Axes:
    """Keeps what is drawn."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


def test_marks_stand_where_they_are_heard():
    axes = Axes()
    view = View(
        "a", np.zeros((4, 2)), 0.04, ["x", "<blk>"], np.full((5, 2), 0.5), [("x", 1)], [("x", 3)], "x", np.ones(5), {}
    )
    explained.draw_posteriors(axes, view)
    points = {kw["label"]: [list(map(float, c)) for c in args] for name, args, kw in axes.calls if name == "scatter"}
    assert points == {
        "transcript, aligned": [[pytest.approx(0.06)], [0.0]],
        "best path": [[pytest.approx(0.14)], [0.0]],
    }


class Drawing:
    def __init__(self, axes):
        self.axes = axes

    def __call__(self, *a, **k):
        return self

    def __enter__(self):
        return None, self.axes

    def __exit__(self, *a):
        return False


def test_a_reliability_diagram_has_accuracy_over_confidence_and_a_curve_all_looks(monkeypatch):
    axes = Axes()
    monkeypatch.setattr(drawn, "drawing", Drawing(axes))
    monkeypatch.setattr(drawn, "to_svg", lambda figure: "")
    drawn.reliability({"a": Calibration(1.0, [0.2, 0.9], [0.1, 0.7], [1, 2], 0)})
    assert [list(map(list, a[:2])) for name, a, _ in axes.calls if name == "plot"][1] == [[0.2, 0.9], [0.1, 0.7]]
    axes.calls.clear()
    drawn.learning_curves(
        {
            "a": [
                [
                    {"update": 1, "dev_error_rate": 9.0},
                    {"update": 2, "dev_error_rate": None},
                    {"update": 3, "dev_error_rate": 5.0},
                ]
            ]
        }
    )
    assert [list(map(list, a)) for name, a, _ in axes.calls if name == "plot"] == [[[1, 3], [9.0, 5.0]]]


def test_a_certain_unit_falls_into_the_last_bin():
    found = calibrate({"u": {"nbest": [{"tokens": ["a"], "confidence": [1.0]}]}}, {"u": [("a", "a")]}, "word", "word")
    assert found.counts == [0] * 9 + [1]


ROW = {"teacher": "t", "student": "p", "distilled": "d", "twin": True, "seeds": [1, 2], "teacher_seeds": [0]}


def test_a_comparison_is_looked_at_in_the_seeds_and_sets_of_each(tmp_path):
    files = page.score_files(tmp_path, ROW | {"teacher_set": "clean"}, "far", [0, 1, 1])
    assert [str(f.relative_to(tmp_path)) for f in files] == [
        "t/seed0/decode_clean/score.json",
        "p/seed1/decode_far/score.json",
        "d/seed1/decode_far/score.json",
    ]


def test_the_seeds_shown_are_the_teachers_and_the_students(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        page,
        "sections",
        lambda results: [SimpleNamespace(set_name="test", part={"comparisons": [ROW]}, experiment="exp")],
    )
    monkeypatch.setattr(page, "score_files", lambda exp, row, name, seeds: seen.append(seeds) or [tmp_path / "none"])
    page.details_of(load(ROOT / "egs" / "demo" / "conf.toml", []), {}, {"exp": tmp_path}, tmp_path)
    assert seen == [[0, 1, 1]]


def test_the_utterances_that_changed_most_stand_first(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "audio_of", lambda *_: "")
    monkeypatch.setattr(page.DataDir, "read", lambda folder: SimpleNamespace(utterances=lambda: []))
    outcomes = SimpleNamespace(gain_of={"a": 1, "b": -3, "c": 0, "d": 2})
    alignments = [dict.fromkeys("abcd", name) for name in ("t", "p", "d")]
    clips = page.clips_of(None, tmp_path, outcomes, alignments)
    assert [(c["utt_id"], c["rows"]) for c in clips] == [(u, ["t", "p", "d"]) for u in "bda"]


def test_the_report_says_what_was_counted(tmp_path, monkeypatch):
    teacher = {"u": [("a", "a"), ("b", "x"), ("c", "c"), ("e", "e"), ("f", "f")]}
    twin = {"u": [("a", "y"), ("b", "b"), ("c", "c"), ("e", "z"), ("f", "f")]}
    student = {"u": [("a", "a"), ("b", "x"), ("c", "c"), ("e", "e"), ("f", "f")]}
    outcomes = compare_outcomes(teacher, twin, student, {"u": "s"})
    clip = {"utt_id": "u", "gain": outcomes.gain_of["u"], "rows": [teacher["u"], twin["u"], student["u"]], "audio": ""}
    one = page.Detail("title", ["t", "p", "d"], outcomes, {}, "", [clip])
    monkeypatch.setattr(page, "details_of", lambda *_: ([one], 0))
    monkeypatch.setattr(page, "histories_of_all", lambda *_: {})
    monkeypatch.setattr(page, "sections", lambda results: [])
    html = re.sub(r"\s+", " ", page.page(None, {}, {}, {}, tmp_path, "x", {"commands": [], "made": ""}, "", []))
    for name, counts in (
        ("all", (2, 1, 0, 2, 1)),
        ("that the teacher has right", (2, 0, 0, 2, 2)),
        ("that the teacher has wrong", (0, 1, 0, 0, -1)),
    ):
        assert f"<tr><td>{name}</td>" + "".join(f"<td>{n}</td>" for n in counts) in html
    assert "The same as the teacher in 40.0 % of the units before, in 100.0 % after distillation." in html
    assert "<b>u</b>: -1 errors" in html
