"""Every loss at work in a recipe, from the store and live: with weight 0 the student is its twin bit for bit."""

import json

import pytest

from steps.losses.registry import LOSSES
from steps.nnet.rounding import load_weights
from tests.pipeline.tiny import run_stages
from tests.support import assert_status, command

MODELS = """
[features]
sample_rate_hz = 8000
num_mel_bins = 20
[tokens]
unit = "word"
[teacher.model]
encoder = "lstm"
dim = 32
num_layers = 2
bidirectional = true
[teacher.train]
updates = 30
lr = 0.01
warmup_updates = 5
max_frames = 600
[teacher.soft_labels]
codebooks = 2
decode = { decoder = "beam", beam_size = 4, nbest = 3 }
[student.model]
encoder = "lstm"
dim = 16
num_layers = 2
[student.train]
updates = 9
lr = 0.01
warmup_updates = 5
max_frames = 600
checkpoint_updates = 2
average = 20
"""
HEADS = """
[{0}.heads.ctc]
[{0}.heads.las]
dim = 16
[{0}.heads.transducer]
dim = 16
[{0}.heads.hmm]
num_states = 1
"""
MODELS += HEADS.format("teacher") + HEADS.format("student")
STORED = {name: {} for name in LOSSES}
VARIANTS = {
    "frame_reverse": {"loss": "frame_kl", "divergence": "reverse"},
    "hint_lower": {"loss": "hint", "teacher_layer": 1, "student_layer": 1, "distance": "cosine"},
    "states": {"loss": "frame_kl", "head": "hmm"},
    "decoder": {"loss": "pseudo_labels", "head": "las"},
    "three_best": {"loss": "pseudo_labels", "nbest": 3},
    "both": {"teacher": ["teacher", "teacher/seed1"]},
    "weighted": {"teacher": ["teacher", "teacher/seed1"], "combine": "weighted"},
    "best": {"teacher": ["teacher", "teacher/seed1"], "combine": "best"},
    "sampled": {"teacher": ["teacher", "teacher/seed1"], "combine": "sampled"},
    "tokens_of_both": {"loss": "token_kl", "teacher": ["teacher", "teacher/seed1"]},
}
LIVE = {name: {"loss": name, "source": "live"} for name, (_, kind) in LOSSES.items() if kind != "transcripts"} | {
    "average": {"source": "ema", "ema_decay": 0.9},
    "itself": {"loss": "inner_kl", "source": "self"},
    "states": {"loss": "frame_kl", "source": "live", "head": "hmm"},
}
del LIVE["codebook"]


def write_conf(recipe, cases, weight):
    """A student for each case. Returns their names."""
    parts = [f'[s_{name}]\nbase = "student"\n{term(f"s_{name}", name, cases[name], weight)}' for name in cases]
    (recipe / "conf.toml").write_text("\n".join([MODELS, *parts]))
    return [f"s_{name}" for name in cases]


def term(system, name, settings, weight):
    """A [[distill]] table of a system."""
    loss = settings.get("loss", name if name in LOSSES else "frame_kl")
    values = settings | {"loss": loss, "weight": weight}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"[[{system}.distill]]\n{lines}\n"


def weights(recipe, system):
    return load_weights(recipe / "exp" / system / "seed0" / "model.safetensors")[0]


def same(a, b):
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


FEW = {name: STORED[name] for name in ("frame_kl", "hint", "token_kl")} | {"average": LIVE["average"]}
ALL = [FEW, *(pytest.param(cases, marks=pytest.mark.long) for cases in (STORED, VARIANTS, LIVE))]


@pytest.mark.parametrize("cases", ALL, ids=["few", "store", "variants", "live"])
def test_a_term_of_weight_0_leaves_its_twin_and_another_does_not(prepared, corpus, cases):
    names = write_conf(prepared, cases, 0.0)
    assert_status(run_stages(prepared, corpus, first=1, last=7), 0)
    twin = weights(prepared, "student")
    assert [name for name in names if not same(weights(prepared, name), twin)] == []
    write_conf(prepared, cases, 1.0)
    assert_status(run_stages(prepared, corpus, first=6, last=7), 0)
    assert [name for name in names if same(weights(prepared, name), twin)] == []
    assert all(x.isfinite().all() for name in names for x in weights(prepared, name).values())


def test_terms_of_weight_0_of_all_losses_together_leave_the_twin(prepared, corpus):
    cases = [*STORED.items(), *LIVE.items()]
    terms = "".join(term("every", name, settings, 0.0) for name, settings in cases)
    (prepared / "conf.toml").write_text(f'{MODELS}[every]\nbase = "student"\n{terms}')
    assert_status(run_stages(prepared, corpus, first=1, last=7), 0)
    assert same(weights(prepared, "every"), weights(prepared, "student"))


CHAIN = """
[middle]
base = "student"
[[middle.distill]]
loss = "frame_kl"
[small]
base = "student"
init = { model = "teacher", take = ["encoder"], layers = [2], prune = true }
model = { dim = 24, bidirectional = true, num_layers = 1 }
[[small.distill]]
loss = "frame_kl"
teacher = ["middle", "teacher"]
"""


@pytest.mark.long
def test_a_student_teaches_the_next_and_starts_from_a_layer_of_its_teacher(prepared, corpus):
    (prepared / "conf.toml").write_text(MODELS + CHAIN)
    assert_status(run_stages(prepared, corpus, first=1), 0)
    manifest = prepared / "exp" / "middle" / "seed0" / "soft_labels" / "train" / "frame_topk" / "manifest.json"
    assert manifest.is_file()
    results = json.loads((prepared / "exp" / "results.json").read_text())["sets"]["test"]
    assert {"small", "small_plain", "middle", "student", "teacher"} <= results["systems"].keys()
    assert ("teacher", "small") in [(row["teacher"], row["distilled"]) for row in results["comparisons"]]
    again = run_stages(prepared, corpus)
    assert_status(again, 0)
    assert "nothing to do" in again.stderr
    log = (prepared / "exp" / "small" / "seed0" / "train.log").read_text()
    assert "layers taken: 1 from 2" in log and "pruned: encoder.layers.0.1: 24 of 32 units" in log
    models = ["exp/teacher/seed0=data/test", "exp/small_plain/seed0", "exp/small/seed0"]
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        drawn = command("steps.explain", "--out", f"one{ending}", "data/test", "ada-5", *models, cwd=prepared)
        assert_status(drawn, 0)
        assert (prepared / f"one{ending}").read_bytes().startswith(start)
    assert "attention of its decoder las" in (prepared / "one.svg").read_text()
    for wrong in (("--out", "one.gif", "data/test", "ada-5"), ("--out", "one.png", "data/test", "ada-99")):
        assert_status(command("steps.explain", *wrong, *models, cwd=prepared), 2)


ROUNDED = """
[whole]
base = "student"
[[whole.distill]]
loss = "frame_kl"
[after]
base = "student"
init.model = "whole/seed*"
train = { updates = 0, weight_bits = 3 }
[aware]
base = "student"
train.weight_bits = 3
[[aware.distill]]
loss = "frame_kl"
"""


@pytest.mark.long
def test_weights_are_rounded_while_learning_or_afterwards(prepared, corpus):
    (prepared / "conf.toml").write_text(MODELS + ROUNDED)
    assert_status(run_stages(prepared, corpus, first=1), 0)
    for name in ("after", "aware"):
        matrices = [x for key, x in weights(prepared, name).items() if x.ndim > 1 and "log_" not in key]
        assert matrices and all(max(len(row.unique()) for row in x.flatten(1)) <= 7 for x in matrices)
    systems = json.loads((prepared / "exp" / "results.json").read_text())["sets"]["test"]["systems"]
    assert systems["after"]["labelled_hours"] == 0 < systems["aware"]["labelled_hours"]
    assert systems["whole"]["megabytes"] > 5 * systems["aware"]["megabytes"] == 5 * systems["after"]["megabytes"]
    whole, aware = (prepared / "exp" / name / "seed0" / "model.safetensors" for name in ("whole", "aware"))
    assert whole.stat().st_size > 3 * aware.stat().st_size
    again = run_stages(prepared, corpus)
    assert "nothing to do" in again.stderr


@pytest.mark.parametrize(
    ("term", "status", "said"),
    [
        ("loss = 'hint'\nteacher_layer = 3", 2, "s.distill.0.teacher_layer = 3: [teacher] has 2 layers; 0 is the last"),
        ("loss = 'similarity'\nstudent_layer = 9", 2, "s.distill.0.student_layer = 9: [s] has 2 layers"),
        (
            "loss = 'inner_kl'\nsource = 'self'\nstudent_layer = 2",
            2,
            "s.distill.0.student_layer = 2: the last layer has nothing to learn from itself",
        ),
        (
            "loss = 'frame_kl'\n[s.init]\nmodel = 'teacher'\nlayers = [1, 7]",
            2,
            "[s] init.layers = [1, 7]: 7 is none of the 2 layers, from 1",
        ),
        ("loss = 'frame_kl'\n[s.model]\nencoder = 'conformer'\ndim = 30", 2, "[s] the conformer cannot be built"),
        ("loss = 'frame_kl'\n[s.model]\nsubsampling = 40", 3, "[s] data/train: utterance "),
        (
            "loss = 'frame_kl'\n[s.model]\nnum_layers = 1\n[s.train]\ninner_ctc_weight = 0.3",
            2,
            "[s] train.inner_ctc_weight needs an encoder of at least two layers",
        ),
        (
            "loss = 'frame_kl'\n[s.init]\nmodel = 'teacher'\nfreeze = ['nope']",
            2,
            "[s] init.freeze: no weight begins with 'nope'",
        ),
        (
            "loss = 'frame_kl'\n[s.heads]\nctc = {}\nage = { type = 'classifier' }",
            3,
            "data/train: neither utt2age nor spk2age is there",
        ),
    ],
)
def test_a_model_that_cannot_learn_as_asked_is_noticed_before_any_is_trained(prepared, corpus, term, status, said):
    (prepared / "conf.toml").write_text(MODELS + f"[s]\nbase = 'student'\n[[s.distill]]\n{term}\n")
    result = run_stages(prepared, corpus, first=1, last=7)
    assert_status(result, status)
    assert said in result.stderr and not (prepared / "exp" / "teacher").exists()
