import re
import tomllib
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from steps.compare import parse_seeds
from steps.config.load import TOP, load
from steps.config.signature import settings_of
from steps.config.systems import (
    all_sets,
    all_systems,
    check_decoding,
    init_folder,
    pairs_of,
    reference_of,
    soft_label_sets,
    system_named,
    teacher_of,
    trained_sets,
    variant_of,
)
from steps.config.tuning import points_of
from steps.config.types import NaturalInt, PositiveFloat
from steps.list_runs import lines_of, tuning_lines
from steps.scoring.collect import runs_of
from steps.train import inputs_of
from tests.support import ROOT
from utils.jobs.errors import UsageError

BASE = """
[features]
sample_rate_hz = 8000
[teacher.model]
encoder = "conformer"
num_layers = 2
[teacher.train]
updates = 10
[student.model]
encoder = "lstm"
dim = 16
[[student.distill]]
loss = "frame_kl"
temperature = 2
"""


@pytest.fixture
def conf(tmp_path):
    """Writes a conf.toml, and loads it with overrides."""

    def load_text(more="", *overrides, base=BASE):
        (tmp_path / "conf.toml").write_text(base + more)
        return load(tmp_path / "conf.toml", list(overrides))

    return load_text


def test_a_corpus_that_is_no_table_is_refused(conf):
    with pytest.raises(UsageError, match=r"corpus = 3: \[corpus\] is not a table"):
        conf(base=f"corpus = 3\n{BASE}")


RECIPES = sorted((ROOT / "egs").glob("*/conf*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_configurations_of_each_recipe_load(path):
    config = load(path)
    assert all_systems(config)
    for name, system in config.systems.items():
        if system.tune and system.distill:
            assert tuning_lines(lambda point: load(path, point), [0], "students", name)


SNIPPETS = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_what_the_readme_shows_loads(conf, tmp_path, snippet):
    """Systems that a snippet shows in part get a model."""
    shown = tomllib.loads(snippet)
    if "include" in shown:
        conf()
        (tmp_path / "more.toml").write_text(snippet + "[student]\ndistill = []")
        assert len(load(tmp_path / "more.toml").systems) == 4
        return
    systems = [name for name in {"teacher": {}, "student": {}} | shown if name not in TOP]
    partial = [name for name in systems if not {"model", "base"} & shown.get(name, {}).keys()]
    config = conf(snippet, base="".join(f"[{name}.model]\nencoder = 'lstm'\n" for name in partial))
    check_decoding(config)
    for name, system in config.systems.items():
        if system.tune and system.distill:
            assert tuning_lines(lambda point: config, [0], "students", name)
    assert set(config.systems) == set(systems)


def test_defaults_complete_what_a_recipe_leaves_out(conf):
    config = conf()
    assert config.data.test == ["test"] and config.features.num_mel_bins == 80
    assert config.systems["student"].train.updates == 2000
    assert config.systems["student"].model == {
        "encoder": "lstm",
        "dim": 16,
        "num_layers": 1,
        "bidirectional": False,
        "subsampling": 4,
        "layer_norm": False,
        "dropout": 0.1,
        "mean_norm": "none",
    }


def test_the_settings_of_a_loss_are_completed(conf):
    term = conf().systems["student"].distill[0]
    assert term.settings == {
        "divergence": "forward",
        "temperature": 2.0,
        "blank": "keep",
        "delay_frames": 0,
        "top_k": 0,
    }
    assert isinstance(term.settings["temperature"], float)


WAVE = """
[features.wave]
type = "waveform"
[a.data]
train = "train_wave"
dev = "dev_wave"
test = ["test_wave"]
"""
MADE = """
[features.narrow]
type = "model"
model = "maker"
dim = 12
frame_shift_ms = 20
[maker]
model = { encoder = "lstm", subsampling = 2 }
heads.autoencoder.bottleneck = 12
[hearer]
base = "teacher"
data = { train = "train_narrow", dev = "dev_narrow", test = ["test_narrow"] }
"""

CLEANED = """
[features.low]
num_mel_bins = 20
[maker]
model.encoder = "lstm"
heads.autoencoder.clean = "_low"
data = { train = "train_low", dev = "dev_low", test = ["test_low"] }
"""

FAULTS = [
    (CLEANED, "[maker] features of 'train' are drawn on hearing 'train_low', and have another width"),
    (
        MADE.replace("dim = 12\nframe_shift_ms = 20", "output = 'drawn'").replace(
            "= 2 }", "= 2, mean_norm = 'running' }"
        ),
        "[maker.model] mean_norm = 'running': the mean is lost to what it draws",
    ),
    ("[data]\ntrian = 'x'", "[data] has no setting 'trian'; valid: train, dev, test, unlabelled"),
    ("[student.train]\nupdate = 3", "[student.train] has no setting 'update'; valid: updates,"),
    ("[student.train]\nupdates = '3'", "student.train.updates = '3': not of type int"),
    ("[student.train]\nupdates = 3.0", "student.train.updates = 3.0: not of type int"),
    ("[student.train]\nupdates = true", "student.train.updates = True: not of type int"),
    ("[student.train]\nupdates = -1", "student.train.updates = -1: must be at least 0"),
    ("[student.train]\nupdates = 0", "[student.train] updates = 0: the model starts from nothing"),
    ("[student.train]\nranks = 0", "student.train.ranks = 0: must be at least 1"),
    ("[data]\ntest = 'test'", "data.test = 'test': not of type list[str]"),
    ("[tokens]\nunit = 'phon'", "tokens.unit = 'phon': choose one of char, word, phone, bpe"),
    ("[tokens]\nunit = 'phone'", "tokens.unit = 'phone' and score.unit = 'word'; set it to 'phone' too"),
    ("[tokens]\nunit = 'bpe'\n[score]\nunit = 'phone'", "set the latter to 'word' or 'char'"),
    ("[tokens]\nvocab_size = 2", "tokens.vocab_size = 2: must be from 3 to 65536"),
    ("[tokens]\nvocab_size = 65537", "tokens.vocab_size = 65537: must be from 3 to 65536"),
    ("[tokens]\ncharacter_coverage = 0.97", "tokens.character_coverage = 0.97: must be from 0.98 to 1"),
    ("[decode]\ndecoder = 'viterbi'", "decode.decoder = 'viterbi': choose one of greedy, beam"),
    ("[decode]\nbeam_size = 0", "decode.beam_size = 0: must be from 1 to 1000000"),
    ("[decode]\nbeam_threshold = 0", "decode.beam_threshold = 0.0: must be above 0"),
    ("[decode]\ndecoder = 'beam'\nnbest = 17", "decode.nbest = 17 and decode.beam_size = 16; a beam holds no more"),
    ("[tokens]\nunit = 'char'\n[score]\nunit = 'phone'", "writes tokens.unit = 'char' and score.unit = 'phone'"),
    ("[score]\nunit = 'bpe'", "score.unit = 'bpe': choose one of word, char, phone"),
    ("[teacher.soft_labels]\nbits = 4", "teacher.soft_labels.bits = 4: choose one of 8, 16"),
    (
        "[studnet]\nx = 1",
        "[studnet] is neither one of data, features, tokens, decode, score, report, corpus nor a system",
    ),
    ("x = 1", "student.distill.0 has no setting 'x'"),
    ("[other.model]\nencoder = 'rnn'", "other.model.encoder = 'rnn': choose one of cnn, conformer, dnn, "),
    ("[other.model]\ndim = 3", "other.model.encoder = None: choose one of cnn, conformer, dnn, "),
    ("[other.model]\nencoder = 'lstm'\nheads = 3", "other.model has no setting 'heads'; valid: "),
    ("[other.model]\nencoder = 'lstm'\ndim = 'x'", "other.model.dim = 'x': not of type int"),
    ("[other.model]\nencoder = 'lstm'\nsubsampling = 0", "other.model.subsampling = 0: must be at least 1"),
    ("[other.model]\nencoder = 'lstm'\ndropout = -0.1", "dropout = -0.1: must be at least 0 and below 1"),
    ("[other.model]\nencoder = 'lstm'\ndropout = nan", "dropout = nan: must be finite"),
    ("[other.model]\nencoder = 'conformer'\nsubsampling = 5", "subsampling = 5: choose one of 1, 2, 3, 4, 6, 8"),
    ("[other]\nbase = 'studen'", "[other] base = 'studen': no such system; valid: student, other, teacher"),
    ("[a]\nbase = 'b'\n[b]\nbase = 'a'", "[b] base = 'a', whose base is [b] in turn"),
    ("[a]\nbase = 'a'", "[a] base = 'a', whose base is [a] in turn"),
    ("[student.distil]\nloss = 'x'", "[student] has no setting 'distil'; valid: distill"),
    ("[a]\nbase = 'teacher'\n[a.distill]\nloss = 'frame_kl'", "[a.distill] must be written [[a.distill]]"),
    (
        "[[student.distill]]\nloss = 'frame_kll'",
        "student.distill.1.loss = 'frame_kll'; valid: frame_kl, attention_transfer",
    ),
    ("[[student.distill]]\nweight = 1", "student.distill.1.loss = None; valid: "),
    ("[[student.distill]]\nloss = 'frame_kl'\ntemp = 1", "student.distill.1 has no setting 'temp'; valid: "),
    (
        "[[student.distill]]\nloss = 'frame_kl'\nteacher = 'x'",
        "[student] teacher = 'x': no other system; valid: teacher",
    ),
    ("[[student.distill]]\nloss = 'frame_kl'\nteacher = 'student'", "[student] teacher = 'student': no other system"),
    ("[[student.distill]]\nloss = 'frame_kl'\nteacher = 'teacher/1'", "write it as teacher/seed1"),
    (
        "[a]\nbase = 'student'\n[[a.distill]]\nloss = 'frame_kl'\nteacher = 'b'\n"
        "[b]\nbase = 'student'\n[[b.distill]]\nloss = 'frame_kl'\nteacher = 'a'",
        "[a] teaches itself through b",
    ),
    ("[[student.distill]]\nloss = 'frame_kl'\nteacher = []", "student.distill.1.teacher = []: name at least one"),
    ("[[student.distill]]\nloss = 'frame_kl'\nteacher = ['teacher', 'teacher']", "a teacher stands there twice"),
    (
        "[[student.distill]]\nloss = 'frame_kl'\nteacher = ['teacher', 'teacher/seed0']",
        "a teacher stands there twice",
    ),
    (
        "[[student.distill]]\nloss = 'pseudo_labels'\nnbest = 3\n[decode]\ndecoder = 'beam'\nnbest = 2",
        "the loss pseudo_labels: nbest = 3, and the teacher writes 2 of each utterance; set [teacher.soft_labels]",
    ),
    (
        "[teacher.soft_labels]\ndecode = { decoder = 'beam', nbest = 4, beam_size = 2 }",
        "teacher.soft_labels.decode.nbest = 4 and teacher.soft_labels.decode.beam_size = 2",
    ),
    (
        "[[student.distill]]\nloss = 'frame_kl'\nfilter.keep = 0\n[student.train]\nlabelled_every = 2",
        "the loss frame_kl: filter keeps nothing: keep must be above 0",
    ),
    (
        "[[student.distill]]\nloss = 'frame_kl'\nfilter = { min_rate = 2, max_rate = 1 }\n"
        "[student.train]\nlabelled_every = 2",
        "filter keeps nothing: keep must be above 0, and max_rate above min_rate",
    ),
    (
        "[dumb]\nbase = 'teacher'\nheads.best_rq = {}\n[student.train]\nlabelled_every = 2\n"
        "[[student.distill]]\nloss = 'frame_kl'\nfilter = { agree_with = 'dumb' }",
        "filter judges by what [dumb] writes, and it writes nothing",
    ),
    (
        "[a]\nbase = 'teacher'\ninit.model = 'teacher'\ntrain.folds = 2",
        "[a.train] folds = 2: starts from [teacher], which heard whom it leaves out",
    ),
    (
        "[student.train]\nfolds = 2\n[[student.distill]]\nloss = 'frame_kl'",
        "[student.train] folds = 2: learns from [teacher], which heard whom it leaves out",
    ),
    (
        "[[student.distill]]\nloss = 'hint'\nteacher = ['teacher', 'teacher/seed1']",
        "hidden_codes of several teachers cannot be joined by 'average'; write a term for each",
    ),
    (
        "[[student.distill]]\nloss = 'pseudo_labels'\nteacher = ['teacher', 'teacher/seed1']",
        "transcripts of several teachers cannot be joined by 'average'; set combine = 'sampled'",
    ),
    ("[[student.distill]]\nloss = 'frame_kl'\nsource = 'self'", "from which inner_kl alone learns"),
    ("[[student.distill]]\nloss = 'frame_kl'\nema_decay = 0.9", "ema_decay is of source = 'ema', and source = 'store'"),
    ("[[student.distill]]\nloss = 'frame_kl'\ncombine = 'best'", "combine = 'best' needs several teachers"),
    ("[[student.distill]]\nloss = 'frame_kl'\nteacher_sets = ['dev']", "teacher_sets: 'dev' is no set to train on"),
    (
        "[[student.distill]]\nloss = 'frame_kl'\nsource = 'live'\nteacher_sets = ['train']",
        "teacher_sets names, of a store, a set for each that the student hears",
    ),
    (
        "[[student.distill]]\nloss = 'pseudo_labels'\nfilter = { keep = 0.5 }",
        "filter chooses among utterances without a transcript, and [student] hears none",
    ),
    ("[[student.distill]]\nloss = 'codebook'\nsource = 'live'", "source = 'live', and codebooks are stored"),
    ("[[student.distill]]\nloss = 'pseudo_labels'\ntoken_map = 'x'", "token_map is for posteriors of frames"),
    ("[[student.distill]]\nloss = 'token_kl'", "[student] token_topk need a head of type las or transformer_decoder"),
    ("[[student.distill]]\nloss = 'frame_kl'\nhead = 'x'", "head = 'x': frame_topk cannot come from it; valid: ctc"),
    ("[[student.distill]]\nloss = 'frame_kl'\nteacher = 3", "student.distill.1.teacher = 3: not of type str"),
    ("[student.init]\nlayers = ['a']", "student.init.layers = ['a']: not of type list[int]"),
    ("[[student.distill]]\nloss = 'frame_kl'\nsource = 'disk'", "source = 'disk': choose one of store, live"),
    (
        "[[student.distill]]\nloss = 'pseudo_labels'\nsource = 'live'",
        "the loss pseudo_labels: source = 'live', and transcripts come from a store alone",
    ),
    ("[student.heads.whisper_decoder]", "the head whisper_decoder needs [student.model] encoder = 'whisper'"),
    (
        f"{WAVE}[a.model]\nencoder = 'whisper'\nmodel = 'x'\n[a.heads.whisper_decoder]",
        "[a] the head whisper_decoder is used as it is; set [a.train] updates = 0",
    ),
    (
        "[tokens.b]\nunit = 'char'\n[student.heads.ctc]\ntokens = 'b'",
        "tokens = 'b': the first head, and that called ctc, write those of [tokens]",
    ),
    (
        "[tokens.b]\nunit = 'char'\n[student.heads.ctc]\n[student.heads.hmm]\ntokens = 'b'",
        "tokens = 'b': a head of type hmm takes none of its own",
    ),
    ("[score]\nkeywords = ['stop', ' ']", "score.keywords: an empty one"),
    ("[features.wave]\ntype = 'waveform'", "[features.wave]: no system hears it; give one a set called train_wave"),
    ("[tokens.b]\nunit = 'char'", "[tokens.b]: no head writes them; give one tokens = 'b', or leave the table out"),
    (
        "[teacher.heads.las]\n[teacher.heads.sounds]\ntype = 'ctc'\ntokens = 'sounds'\n[tokens.sounds]\nunit = 'word'",
        "[student] the loss frame_kl: the head of [teacher] that it compares has tokens of its own",
    ),
    (
        "[teacher.heads.hmm]\n[a]\nbase = 'teacher'\n[[a.distill]]\nloss = 'tolerant_ctc'\n[student.heads.hmm]",
        "spikes are those of a CTC head, and states of an hmm last",
    ),
    (
        "[[student.distill]]\nloss = 'pseudo_labels'\nfilter = { agree_with = 'teacher/seed0' }",
        "filter.agree_with = 'teacher/seed0': is whom it judges",
    ),
    ("[student]\ncontrols = ['student_plain']", "'student_plain' is no other system"),
    ("[other]\nbase = 'teacher'\n[student]\ncontrols = ['other', 'other']", "'other' stands there twice"),
    ("[student.data]\ntest = ['a', 'b']", "[student.data] test: [teacher] has no set in the place of 'b'"),
    ("[student]\ndata = 3", "[student.data] is not a table"),
    ("[data]\ndev = 'my dev'", "[data] dev: the name 'my dev' has characters that file names lack"),
    ("['../x'.model]\nencoder = 'lstm'", "the name '../x' has characters that file names lack"),
    ("[tokens.'a/b']\nunit = 'char'", "[tokens.a/b]: the name 'a/b' has characters that file names lack"),
    ("[features.'a b']\ndim = 3", "[features.a b]: the name 'a b' has characters that file names lack"),
    ("[teacher.heads.'a.b']\ntype = 'ctc'", "[teacher.heads.a.b]: the name 'a.b' has characters that file names lack"),
    ("[teacher.heads.ctc]\ntype = 'las'", "type = 'las': a head called ctc is of that type; rename it"),
    ("[teacher.heads.x]\ntype = ['ctc']", "type = ['ctc']: no head of this name"),
    ("[other.model]\nencoder = ['lstm']", "other.model.encoder = ['lstm']: choose one of cnn"),
    ("[[student.distill]]\nloss = ['frame_kl']", "student.distill.1.loss = ['frame_kl']; valid: "),
    ("[other]\nbase = ['student']", "[other] base = '['student']': no such system"),
    ("[other]\nbase = 'teacher'\ninit.model = 'techer'", "neither a system nor a folder; valid: teacher, "),
    ("[other]\nbase = 'teacher'\ninit.model = 'teacher/seedx'", "write it as teacher/seed1"),
    ("[other]\nbase = 'teacher'\ninit.model = 'teacher/1'", "write it as teacher/seed1"),
    (
        WAVE.replace("type =", "deltas = 2\ntype =") + "[a.model]\nencoder = 'lstm'",
        "[features.wave] features.type = 'waveform' goes",
    ),
    (
        "[tokens.p]\nunit = 'phone'\n[decode]\nhead = 'p'\n"
        "[teacher.heads]\nctc = {}\np = { type = 'ctc', tokens = 'p' }",
        "decode.head = 'p' writes phones, and score.unit = 'word'; set it to 'phone' too",
    ),
    (
        "[a]\nbase = 'teacher'\nheads.age = { type = 'classifier', label = '../x' }",
        "label: the name '../x' has characters",
    ),
    (
        "[a]\nbase = 'teacher'\nheads.best_rq = {}\n[b]\nbase = 'student'\ncontrols = ['a']",
        "[b] controls: [a] writes nothing that could be compared",
    ),
    ("[score]\nkeywords = ['call me', 'call  me']", "score.keywords: 'call me' stands there twice"),
    (f"{WAVE}[a.model]\nencoder = 'lstm'", "[a.model] encoder = 'lstm' hears frames, and 'train_wave' has samples"),
    (f"{WAVE}[a.model]\nencoder = 'huggingface'", "[a.model] encoder = 'huggingface' needs model, its name or folder"),
    (
        "[a.model]\nencoder = 'whisper'\nmodel = 'x'",
        "[a.model] encoder = 'whisper' hears samples, and 'train' has fbank",
    ),
    (
        "[features.wave]\ntype = 'waveform'\n[a]\nbase = 'teacher'\ndata.test = ['test_wave']",
        "[a] 'test_wave' has other features than 'train'",
    ),
    (MADE.replace("dim = 12", "dim = 13"), "features.narrow.dim = 13: [maker] makes 12; set it so"),
    (MADE.replace("= 20", "= 10"), "features.narrow.frame_shift_ms = 10: [maker] makes 20; set it so"),
    (MADE.replace("train_narrow", "other_narrow"), "'other_narrow' is made of 'other', which no system uses"),
    (
        f"{WAVE}[a]\nmodel = {{ encoder = 'huggingface', model = 'x' }}\ninit.ctc_head = true\ntrain.updates = 0\n"
        "heads = { ctc = {}, age = { type = 'classifier' } }",
        "[a.train] updates = 0: the head age starts from nothing; set [a.init]",
    ),
    (
        "[a]\nbase = 'teacher'\nlora.rank = 2\ninit = { model = 'teacher', layers = [2, 1] }",
        "[a.lora] rank: adapters stand beside a whole model; leave out layers",
    ),
    (
        f"{WAVE}[a]\nmodel = {{ encoder = 'huggingface', model = 'x' }}\n"
        "init = { model = 'teacher', ctc_head = true }\nheads.ctc = {}",
        "[a.init] ctc_head: its ctc head comes from init.model = 'teacher'; set ctc_head = false",
    ),
    (
        "[a]\nbase = 'teacher'\nheads = { ctc = {}, layer3 = { type = 'ctc' } }",
        "[a.heads.layer3]: soft labels of a layer have this name; rename the head",
    ),
    ("[student.init]\nmodel = 'teacher'\n[student.train]\nupdates = 0", "updates = 0: nothing is learnt; leave out"),
    (
        "[a]\nbase = 'teacher'\nlora.rank = 2\ninit = { model = 'teacher', take = ['encoder'] }",
        "[a.lora] rank: adapters stand beside a whole model; leave out take",
    ),
    ("[a]\nbase = 'teacher'\nheads.best_rq.start_share = 0", "start_share = 0: hides nothing"),
    ("[[student.distill]]\nloss = 'frame_kl'\ntemperature = 0", "temperature"),
    ("[[student.distill]]\nloss = 'frame_kl'\ntemperature = -1.0", "temperature"),
    ("[[student.distill]]\nloss = 'frame_kl'\nblank = 'dorp'", "blank = 'dorp'"),
    ("[[student.distill]]\nloss = 'frame_kl'\ndelay_frames = -1", "delay_frames"),
    ("[[teacher]]", "conf.toml"),
    ("[other]\nmodel = 3", "other.model"),
    ("[other]\nmodel.encoder = 'lstm'\ntrain = 3", "other.train"),
    ("not toml", "conf.toml"),
    (
        "[other.model]\nencoder = 'lstm'\n[other.heads.cct]",
        "type = 'cct': no head of this name; valid: ctc,",
    ),
    ("[other.model]\nencoder = 'lstm'\n[other.heads.las]\ndim = 0", "other.heads.las.dim = 0: must be at least 1"),
    ("[other.model]\nencoder = 'lstm'\n[other.heads]\nctc = 1", "[other.heads.ctc] is not a table"),
    ("[other]\nmodel.encoder = 'lstm'\nheads = {}", "write [other.heads.ctc]"),
    ("[other.model]\nencoder = 'lstm'\n[other.heads.ctc]\nweight = 0", "the weights of all heads are 0"),
    ("[teacher.heads.hmm]", "the loss frame_kl compares frames of different heads ([student] ctc, [teacher] hmm)"),
    ("[student.heads.las]", "[student] frame_topk need a head of type ctc or hmm"),
    (
        "[other.model]\nencoder = 'lstm'\n[other.train]\ninner_ctc_weight = 1\n[other.heads.las]",
        "[other] train.inner_ctc_weight needs [other.heads.ctc]",
    ),
]


@pytest.mark.parametrize(("more", "said"), FAULTS)
def test_each_fault_of_a_configuration_is_a_usage_error(conf, more, said):
    with pytest.raises(UsageError) as caught:
        conf(more)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_configuration_that_is_missing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such configuration"):
        load(tmp_path / "conf.toml")


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("student.model.dim=32", lambda c: c.systems["student"].model["dim"] == 32),
        ("student.train.lr=1", lambda c: c.systems["student"].train.lr == 1.0),
        ("student.distill.0.weight=0", lambda c: c.systems["student"].distill[0].weight == 0.0),
        ("student.distill.0.blank=drop", lambda c: c.systems["student"].distill[0].settings["blank"] == "drop"),
        ('data.test=["a", "b"]', lambda c: c.data.test == ["a", "b"]),
        ("data.train=train_clean", lambda c: c.data.train == "train_clean"),
        ("score.unit=char", lambda c: c.score.unit == "char"),
        ("corpus.split=unseen", lambda c: c.corpus == {"split": "unseen"}),
    ],
)
def test_set_overrides_one_setting(conf, override, read):
    assert read(conf("", override))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("student.model.dim", "not of the form table.key=value"),
        ("dim=3", "not of the form table.key=value"),
        ("student.distill.weight=0", "name the number of the term"),
        ("student.distill.1.weight=0", "there is no term 1; there are 1, from 0"),
        ("student.distill.x.weight=0", "there is no term x"),
        ("student.model.dim.x=0", "'dim' is a value, not a table"),
        ("student.model.dims=3", "student.model has no setting 'dims'; valid: dim"),
        ("studnet.model.dim=3", "studnet"),
    ],
)
def test_a_wrong_override_is_a_usage_error(conf, override, said):
    with pytest.raises(UsageError, match=said):
        conf("", override)


def test_base_is_inherited_and_overlaid(conf):
    config = conf("[small]\nbase = 'student'\n[small.model]\ndim = 8\n[small.train]\nlr = 0.5")
    small, student = config.systems["small"], config.systems["student"]
    assert small.model == {**student.model, "dim": 8}
    assert (small.train.lr, small.train.updates) == (0.5, student.train.updates)
    assert small.distill == student.distill


def test_a_base_may_have_a_base(conf):
    table = "base = 'student'\ncontrols = ['student']\nmodel.dim = 8\ntrain.lr = 0.5"
    config = conf(f"[small]\n{table}\n[smaller]\nbase = 'small'\nmodel.dim = 4")
    small, smaller = config.systems["small"], config.systems["smaller"]
    assert smaller.model == {**small.model, "dim": 4}
    assert (smaller.train, smaller.distill, list(smaller.controls)) == (small.train, small.distill, [])


def test_distillation_terms_replace_those_of_the_base(conf):
    config = conf("[small]\nbase = 'student'\n[[small.distill]]\nloss = 'frame_kl'\nweight = 0.9")
    assert [term.weight for term in config.systems["small"].distill] == [0.9]


def test_the_twin_differs_in_its_name_and_terms_only(conf):
    config = conf()
    twin, student = system_named(config, "student_plain"), system_named(config, "student")
    assert twin.distill == () and twin.name == "student_plain"
    keep = [key for key in asdict(student) if key not in ("name", "distill")]
    assert all(asdict(twin)[key] == asdict(student)[key] for key in keep)


def test_a_system_without_terms_has_no_twin(conf):
    assert sorted(all_systems(conf())) == ["student", "student_plain", "teacher"]


def test_a_system_named_like_a_twin_is_refused(conf):
    with pytest.raises(UsageError, match="student_plain"):
        conf("[student_plain.model]\nencoder = 'lstm'\ndim = 3")


def test_an_unknown_system_is_refused_with_the_valid_names(conf):
    with pytest.raises(UsageError, match="no system 'studnet'; valid: student, student_plain, teacher"):
        system_named(conf(), "studnet")


@pytest.mark.parametrize(("teacher", "expected"), [("teacher", ("teacher", 0)), ("teacher/seed2", ("teacher", 2))])
def test_a_teacher_is_named_with_its_seed(conf, teacher, expected):
    config = conf("", f"student.distill.0.teacher={teacher}")
    assert teacher_of(config.systems["student"].distill[0]) == expected


def test_teachers_have_the_seeds_that_are_named(conf):
    config = conf("[[student.distill]]\nloss = 'frame_kl'\nteacher = 'teacher/seed1'")
    assert runs_of(config, [0, 1, 2]) == {"teacher": [0, 1], "student": [0, 1, 2], "student_plain": [0, 1, 2]}


def test_what_systems_hear_together_loads(conf):
    assert conf(MADE) and conf(f"{WAVE}[a.model]\nencoder = 'huggingface'\nmodel = 'x'")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[decode]\nhead = 'cct'", "decode.head = 'cct': [teacher] writes with ctc"),
        ("[decode]\nhead = 'las'\n[teacher.heads]\nctc = {}\nlas = {}", "'las': [student] writes with ctc"),
        ("[a]\nbase = 'teacher'\nheads.hmm = {}\n[decode]\ndecoder = 'beam'", "of [a] is an hmm, with one search"),
        ("[decode]\nctc_weight = 0.3", "no system writes with an attention decoder"),
        ("[a]\nbase = 'teacher'\nheads.las = {}\n[decode]\nctc_weight = 0.3", "beside [a.heads.las] there is no CTC"),
    ],
)
def test_a_decoding_that_systems_cannot_have_is_refused_before_they_are_trained(conf, more, said):
    config = conf(more)
    with pytest.raises(UsageError, match=re.escape(said)):
        check_decoding(config)


def test_the_path_of_a_model_may_hold_what_looks_like_a_seed(conf):
    config = conf("[other]\nbase = 'teacher'\ninit.model = '../seeds/seed1/model'")
    assert runs_of(config, [0])["other"] == [0]


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        ("sets", ["train train", "dev dev", "test test"]),
        ("teachers", ["teacher 0 ."]),
        ("students", ["student 0 .", "student_plain 0 .", "student 1 .", "student_plain 1 ."]),
        ("soft_labels", ["teacher 0 train frame_topk"]),
    ],
)
def test_runs_are_listed(conf, what, lines):
    assert lines_of(conf(), [0, 1], what) == lines


@pytest.mark.parametrize("text", ["data.dev=test", 'data.test=["test", "test"]', 'data.unlabelled=["train"]'])
def test_a_set_has_one_role(conf, text):
    with pytest.raises(UsageError, match="must differ"):
        conf("", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("features.high_freq=5000", "leave 20 to 5000 Hz"),
        ("features.high_freq=-8000", "leave 20 to -4000 Hz"),
        ("features.low_freq=3700", "leave 3700 to 3600 Hz"),
        ("features.frame_shift_ms=0.01", "frame_shift_ms = 0.01: shorter than two samples"),
        ("features.num_mel_bins=400", "num_mel_bins = 400: .* too narrow"),
    ],
)
def test_filters_that_cannot_be_made_are_refused(conf, text, said):
    with pytest.raises(UsageError, match=said):
        conf("", "features.sample_rate_hz=8000", text)


def test_more_cepstra_than_filters_are_refused(conf):
    with pytest.raises(UsageError, match="num_ceps = 24: more than num_mel_bins = 23; lower the one or raise"):
        conf("", "features.type=mfcc", "features.num_mel_bins=23", "features.num_ceps=24")
    assert conf("", "features.num_mel_bins=23", "features.num_ceps=24").features.type == "fbank"


def test_cepstra_are_not_masked_by_frequency(conf):
    for kind, expected in (("fbank", 2), ("mfcc", 0)):
        systems = conf("", f"features.type={kind}").systems
        assert {s.spec_augment.num_freq_masks for s in systems.values()} == {expected}
    assert conf("", "features.type=mfcc", "student.spec_augment.num_freq_masks=0").systems["student"]
    with pytest.raises(UsageError, match="student.spec_augment.num_freq_masks = 1: cepstra have no frequencies"):
        conf("", "features.type=mfcc", "student.spec_augment.num_freq_masks=1")
    with pytest.raises(UsageError, match="max_freq_warp = 0.1: cepstra have no frequencies to warp"):
        conf("", "features.type=mfcc", "student.spec_augment.max_freq_warp=0.1")


def test_variances_are_normalised_by_speaker_or_utterance_only(conf):
    for kind in ("speaker", "utterance"):
        assert conf("", f"features.cmvn={kind}", "features.norm_vars=true").features.norm_vars
    with pytest.raises(UsageError, match='features.norm_vars = true: needs features.cmvn = "speaker" or "utterance"'):
        conf("", "features.norm_vars=true")
    with pytest.raises(UsageError, match="choose one of global, speaker, utterance"):
        conf("", "features.cmvn=speakers")


@pytest.mark.parametrize("text", ["features.deltas=3", "features.deltas=-1", "features.deltas=true"])
def test_deltas_are_of_order_0_to_2(conf, text):
    with pytest.raises(UsageError, match="choose one of 0, 1, 2"):
        conf("", text)


def test_no_filter_is_refused_that_hears_something(conf):
    for rate, size in ((8000, 256), (16000, 512)):
        for num_bins in range(20, 140, 3):
            made = conf_or_none(conf, f"features.sample_rate_hz={rate}", f"features.num_mel_bins={num_bins}")
            bank = kaldi_mel_banks(rate, size, num_bins)
            assert (made is not None) == bool((bank.sum(1) > 0).all()), (rate, num_bins)


def conf_or_none(conf, *overrides):
    try:
        return conf("", *overrides)
    except UsageError:
        return None


def kaldi_mel_banks(rate, size, num_bins):
    from torchaudio.compliance.kaldi import get_mel_banks

    return get_mel_banks(num_bins, size, rate, 20.0, -400.0, 100.0, -500.0, 1.0)[0]


@pytest.mark.parametrize("text", ["studnt.model.dim=3", "studnt.train.updates=3"])
def test_a_mistyped_system_of_an_override_is_named(conf, text):
    with pytest.raises(UsageError, match="has no system 'studnt'; valid: student, "):
        conf("", text)


@pytest.mark.parametrize("text", ["", "x", "0 0", "-1", "1.5", "0,1", "0 00 000", "²", "0 ²"])
def test_seeds_that_are_no_different_numbers_are_refused(text):
    with pytest.raises(UsageError, match="different numbers separated by spaces"):
        parse_seeds(text)


def test_settings_are_read_from_the_source():
    found = settings_of(ROOT / "steps" / "losses" / "frame_kl.py", "frame_kl")
    assert {key: (s.type, s.default) for key, s in found.items()} == {
        "divergence": (Literal["forward", "reverse", "jensen_shannon"], "forward"),
        "temperature": (PositiveFloat, 1.0),
        "blank": (Literal["keep", "drop", "either"], "keep"),
        "delay_frames": (NaturalInt, 0),
        "top_k": (NaturalInt, 0),
    }


PHONE = """
[phone]
base = "student"
seeds = 2
[phone.data]
train = "train_phone"
dev = "dev_phone"
test = ["test_phone"]
"""


def test_a_system_may_hear_sets_of_its_own(conf):
    config = conf(PHONE)
    assert config.systems["student"].data == config.data
    assert config.systems["phone"].data.train == "train_phone"
    assert all_sets(config) == {
        "train": "train",
        "train_phone": "train",
        "dev": "dev",
        "dev_phone": "dev",
        "test": "test",
        "test_phone": "test",
    }
    assert lines_of(config, [0], "decodings")[1] == "student 0 . dev test"
    assert "phone 0 . dev_phone test_phone" in lines_of(config, [0], "decodings")


def test_a_teacher_speaks_of_the_set_that_it_was_trained_on(conf):
    config = conf(PHONE)
    assert soft_label_sets(config, config.systems["phone"].distill[0], "teacher") == ["train"]
    assert lines_of(config, [0], "soft_labels") == ["teacher 0 train frame_topk"]


def test_students_that_teach_come_before_those_they_teach(conf):
    config = conf("[a]\nbase = 'student'\n[[a.distill]]\nloss = 'frame_kl'\nteacher = ['student/seed1', 'teacher']")
    assert lines_of(config, [0], "generations") == ["1", "2"]
    assert lines_of(config, [0], "teachers") == ["teacher 0 ."]
    first, second = (lines_of(config, [0], "students", number) for number in (1, 2))
    assert first == ["student 0 .", "student_plain 0 .", "student 1 ."] and second == ["a 0 ."]
    assert lines_of(config, [0], "soft_labels", 0) == ["teacher 0 train frame_topk"]
    assert lines_of(config, [0], "soft_labels", 1) == ["student 1 train frame_topk"]


def test_a_system_that_starts_from_a_student_comes_after_it_with_the_same_seed(conf):
    more = "[small]\nbase = 'student'\ndistill = []\ninit.model = 'student/seed*'\ntrain.updates = 0"
    config = conf(more)
    assert lines_of(config, [0, 2], "generations") == ["1", "2"]
    assert lines_of(config, [0, 2], "students", 2) == ["small 0 .", "small 2 ."]
    assert lines_of(config, [0, 2], "pretrained") == []
    folder = init_folder(config, config.systems["small"], Path("exp"), 2)
    assert folder == Path("exp/student/seed2")


def test_a_live_teacher_of_another_set_is_refused(conf):
    with pytest.raises(UsageError, match="was not trained on 'train_phone' but on 'train'"):
        conf(PHONE + "[[phone.distill]]\nloss = 'frame_kl'\nsource = 'live'")


def test_a_set_has_one_role_in_all_systems(conf):
    with pytest.raises(UsageError, match=r"\[phone.data\] 'test' has two roles"):
        conf(PHONE, 'phone.data.dev="test"')


COPIES = """
[data]
test = ["test", "test_b"]
unlabelled = ["more_b"]
[features.a]
[features.b]
[copies]
base = "student"
data = { train = "train_a", dev = "dev_a", test = ["test_a"], unlabelled = ["more_a"] }
[first]
model.encoder = "lstm"
heads.best_rq = {}
data = { train = "more_a", dev = "dev_a", test = [] }
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("copies.data.unlabelled=['test_b']", "unlabelled: 'test_b' has the audio of 'test', whose role is test"),
        ("copies.data.unlabelled=['test_a_b']", "unlabelled: 'test_a_b' has the audio of 'test', whose role is test"),
        ("copies.data.unlabelled=['train_b']", "unlabelled: 'train_b' has the audio of 'train', whose role is train"),
        ("copies.data.dev='test_b'", "[copies.data] dev: 'test_b' has the audio of 'test', whose role is test"),
        ("data.unlabelled=['test_a']", "[data] unlabelled: 'test_a' has the audio of 'test', whose role is test"),
        ("first.data.train='test_a'", "[first.data] train: 'test_a' has the audio of 'test', whose role is test"),
    ],
)
def test_a_copy_for_other_features_has_the_role_of_its_set(conf, text, said):
    sets = all_sets(conf(COPIES))
    assert sets["more_a"] == sets["more_b"] == "unlabelled" and sets["test_a"] == sets["test_b"] == "test"
    with pytest.raises(UsageError, match=re.escape(said)):
        conf(COPIES, text)


def test_copies_for_other_features_have_one_role_where_their_set_has_none(conf):
    with pytest.raises(UsageError, match="'test_a' has the audio of 'test_b', whose role is test"):
        conf(COPIES, "data.test=['test_b']", "data.unlabelled=['test_a']")


def test_a_system_without_transcripts_may_be_trained_on_what_has_none(conf):
    text = "[first]\nmodel.encoder = 'lstm'\ndata.train = 'more'\nheads.best_rq = {}\n"
    for overrides in ((), ("data.unlabelled=['more']",)):
        config = conf(text, *overrides)
        assert all_sets(config)["more"] == "unlabelled" and all_sets(config)["train"] == "train"
        assert trained_sets(config) == ["train", "more"]
        assert lines_of(config, [0], "trained") == ["train", "more"]
    with pytest.raises(UsageError, match=r"\[first.data\] train: 'test' is a test set"):
        conf(text, "first.data.train='test'")


def test_only_so_many_seeds_of_a_system_are_trained(conf):
    assert runs_of(conf(PHONE), [3, 4, 5])["phone"] == [3, 4]
    assert runs_of(conf(PHONE), [3, 4, 5])["phone_plain"] == [3, 4]


def test_a_system_with_another_encoder_takes_over_nothing_of_its_bases_model(conf):
    other = conf('[other]\nbase = "student"\nmodel.encoder = "dnn"\nmodel.dim = 7').systems["other"].model
    assert other == {**other, "encoder": "dnn", "dim": 7, "num_layers": 4} and "layer_norm" not in other
    wider = conf('[other]\nbase = "student"\nmodel.dim = 7').systems["other"].model
    assert (wider["encoder"], wider["dim"], wider["num_layers"]) == ("lstm", 7, 1)


def test_a_head_without_transcripts_is_not_the_first_of_several(conf):
    text = '[first]\nmodel.encoder = "lstm"\n[first.heads.best_rq]\n'
    assert list(conf(text).systems["first"].heads) == ["best_rq"]
    with pytest.raises(UsageError, match="first.heads.best_rq.: the first head chooses checkpoints"):
        conf(text + "[first.heads.ctc]")


def test_a_training_reads_who_speaks_and_the_files_of_a_pretrained_encoder(conf, tmp_path):
    for path in ("data/train_wave/spk2age", "data/dev_wave/utt2age", "hub/config.json", "hub/model.safetensors"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    model = f'{{ encoder = "huggingface", model = "{tmp_path}/hub" }}'
    sets = "data = { train = 'train_wave', dev = 'dev_wave', test = ['test_wave'] }"
    wave = "[features.wave]\ntype = 'waveform'\n"
    config = conf(f"{wave}[first]\n{sets}\nmodel = {model}\n[first.heads.age]\ntype = 'classifier'")
    data = tmp_path / "data"
    inputs = inputs_of(config, config.systems["first"], 0, data, data / "lang", tmp_path / "exp")
    assert {tmp_path / "hub/config.json", tmp_path / "hub/model.safetensors"} <= set(inputs)
    assert data / "train_wave/utt2spk" in inputs and data / "dev_wave/utt2spk" not in inputs


def test_heads_are_taken_over_or_replaced_whole(conf):
    text = '[first]\nmodel.encoder = "lstm"\n[first.heads.las]\n[first.heads.ctc]\n[second]\nbase = "first"\n'
    assert list(conf(text).systems["second"].heads) == ["las", "ctc"]
    assert list(conf(text + "[second.heads.hmm]").systems["second"].heads) == ["hmm"]


LONG = "[student_long]\nbase = 'student'\ndistill = []\ntrain.updates = 9\n"


def test_a_distilled_system_is_compared_with_its_twin_and_its_controls(conf):
    config = conf(LONG, 'student.controls=["student_long"]')
    pairs = [("teacher", "student_plain", "student"), ("teacher", "student_long", "student")]
    assert pairs_of(config) == pairs
    assert sorted(all_systems(config)) == ["student", "student_long", "student_plain", "teacher"]


def test_a_system_without_a_teacher_is_compared_with_its_controls_alone(conf):
    config = conf(LONG, 'student_long.controls=["teacher"]')
    assert pairs_of(config)[1:] == [(None, "teacher", "student_long")]


def test_a_control_has_a_test_set_in_the_place_of_each(conf):
    with pytest.raises(UsageError, match=r"\[student\] has no set in the place of 'test_2'"):
        conf(LONG, 'student_long.controls=["student"]', 'student_long.data.test=["test", "test_2"]')


def test_in_a_second_round_a_teacher_may_hear_without_the_noise_it_was_trained_in(conf):
    noisy = "data.train = 'train_noisy'\n[[{0}.distill]]\nloss = 'frame_kl'\n"
    first = f"[first]\nbase = 'student'\n{noisy.format('first')}"
    second = f"[second]\nbase = 'student'\n{noisy.format('second')}teacher = 'first'\n"
    for more, expected in (("", "train_noisy"), ("teacher_sets = ['train']", "train")):
        config = conf(first + second + more)
        assert soft_label_sets(config, config.systems["second"].distill[0], "first") == [expected]


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        ('"teacher/seed1"', ("teacher", [1])),
        ('["teacher", "teacher/seed2"]', ("teacher", [0, 2])),
        ('["student", "teacher/seed2"]', ("teacher", [0])),  # the student's own
    ],
)
def test_the_gap_is_that_to_the_teacher_that_is_named_or_to_its_own(conf, teacher, expected):
    config = conf(f"[other]\nbase = 'student'\n[[other.distill]]\nloss = 'frame_kl'\nteacher = {teacher}")
    assert reference_of(config, config.systems["other"]) == expected


def test_the_gap_is_that_to_a_teacher_that_writes(conf):
    silent = "[silent]\nmodel.encoder = 'lstm'\nheads.best_rq = {}\n"
    terms = "[[other.distill]]\nloss = 'hint'\nteacher = 'silent'\n[[other.distill]]\nloss = 'frame_kl'"
    config = conf(f"{silent}[other]\nbase = 'student'\n{terms}")
    assert reference_of(config, config.systems["other"]) == ("teacher", [0])


def test_systems_that_differ_in_their_terms_alone_share_a_twin(conf):
    config = conf("[other]\nbase = 'student'\n[[other.distill]]\nloss = 'frame_kl'\nweight = 0.9")
    assert sorted(all_systems(config)) == ["other", "student", "student_plain", "teacher"]
    assert pairs_of(config)[1] == ("teacher", "student_plain", "other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('student.controls=["student_lang"]', "'student_lang' is no other system; valid: student_long, teacher"),
        ('student.controls=["student"]', "'student' is no other system"),
        ("student_long.seeds=1", "a control has those of the system compared with it"),
    ],
)
def test_a_control_that_cannot_be_compared_with_is_refused(conf, text, said):
    with pytest.raises(UsageError, match=said):
        conf(LONG, 'student.controls=["student_long"]', text)


GRID = """
[student.tune]
distill.0.weight = [0.3, 0.9]
train.lr = [0.001, 0.002]
[student.tune_plain]
train.lr = [0.001, 0.002, 0.004, 0.008]
"""


def with_grid(conf, overrides):
    return conf(GRID, *overrides)


def test_a_grid_is_listed_with_as_many_points_for_the_twin(conf):
    lines = tuning_lines(partial(with_grid, conf), [0, 1], "students", "student")
    assert len(lines) == 16
    assert lines[0] == (
        "student 0 tune/distill.0.weight=0.3,train.lr=0.001 student.distill.0.weight=0.3 student.train.lr=0.001"
    )
    assert lines[-1] == "student_plain 1 tune/train.lr=0.008 student.train.lr=0.008"
    assert (
        tuning_lines(partial(with_grid, conf), [0], "decodings", "student")[-1]
        == "student_plain 0 tune/train.lr=0.008 dev"
    )


def test_points_are_drawn_from_all_combinations(conf):
    values = [round(0.1 * i, 1) for i in range(1, 10)]
    grid = GRID.replace("[0.3, 0.9]", str(values)).replace(".lr = [0.001, 0.002]", ".lr = [0.001, 0.002]\npoints = 4")
    lines = tuning_lines(lambda point: conf(grid, *point), [0], "students", "student")
    drawn = [line for line in lines if line.startswith("student 0")]
    assert len(set(drawn)) == 4 and len(lines) == 8
    grid_points = points_of(conf(grid).systems["student"].tune, "")
    assert len(grid_points) == 4 and grid_points == points_of(conf(grid).systems["student"].tune, "")
    every = points_of({"distill.0.weight": values, "train.lr": [0.001, 0.002]}, "")
    assert [point for point in every if point in grid_points] == grid_points


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("student.tune_plain.train.lr=[0.1]", "4 combinations and .* 1: the twin is tuned with an equal budget"),
        ("student.tune.train.lr=0.1", "write a list of values"),
        ("student.tune.train.lr=[]", "write a list of values"),
        ("student.tune_plain.train.lr=[1, 2, 3, 'x']", "student.train.lr = 'x'"),
        ("student.tune.points=5", "points = 5: write a number from 1 to 4"),
        ("student.tune.points=[2]", "points = .2.: write a number"),
        ("student.tune.points=2", "2 combinations and .* 4"),
    ],
)
def test_a_grid_that_cannot_be_tried_is_refused(conf, text, said):
    with pytest.raises(UsageError, match=said):
        tuning_lines(lambda point: with_grid(conf, [text, *point]), [0], "students", "student")


@pytest.mark.parametrize("name", ["teacher", "student_plain"])
def test_a_system_without_grid_is_not_tuned(conf, name):
    with pytest.raises(UsageError, match=r"has no \[\["):
        tuning_lines(partial(with_grid, conf), [0], "students", name)


METHODS = """
[student]
distill = []
[grid]
students = ["student"]
methods.plain_kl = { distill = [{ loss = "frame_kl" }] }
[grid.methods.longer]
train.updates = 20
distill = [{ loss = "hint" }]
"""


def test_a_configuration_lies_over_the_one_it_includes(conf, tmp_path):
    conf()
    (tmp_path / "more.toml").write_text(
        '[include]\nfile = "conf.toml"\nsystems = ["teacher", "student"]\n'
        "[features]\nnum_mel_bins = 40\n[teacher.train]\nlr = 0.01\n" + METHODS
    )
    config = load(tmp_path / "more.toml", ["student_longer.train.lr=0.5"])
    assert (config.features.sample_rate_hz, config.features.num_mel_bins) == (8000, 40)
    assert (config.systems["teacher"].train.updates, config.systems["teacher"].train.lr) == (10, 0.01)
    assert set(config.systems) == {"teacher", "student", "student_plain_kl", "student_longer"}
    longer = config.systems["student_longer"]
    assert (longer.train.updates, longer.train.lr, longer.distill[0].loss) == (20, 0.5, "hint")
    assert longer.model == config.systems["student"].model


def test_a_student_without_teacher_is_the_twin_of_those_that_differ_in_nothing_else(conf, tmp_path):
    conf()
    (tmp_path / "more.toml").write_text('[include]\nfile = "conf.toml"\nsystems = ["teacher", "student"]\n' + METHODS)
    config = load(tmp_path / "more.toml")
    assert pairs_of(config) == [
        ("teacher", "student", "student_plain_kl"),
        ("teacher", "student_longer_plain", "student_longer"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[include]\nfile = "no.toml"', "no.toml: no such configuration"),
        ('[include]\nfile = "conf.toml"\nsystem = []', "[include] has no setting 'system'; valid: systems, file"),
        ('[include]\nfile = "conf.toml"\nsystems = ["techer"]', "conf.toml has no system 'techer'; valid: teacher"),
        ("[include]\nfile = 3", "include.file = 3: not of type str"),
        ('[include]\nfile = "more.toml"', "which includes another itself; one level only"),
        (BASE + '[grid]\nstudents = ["studnt"]', "grid.students: no system 'studnt'; valid: student"),
        (BASE + "[grid]\nstudents = 'student'", "grid.students = 'student': not of type list[str]"),
        (BASE + "[grid]\nstudents = ['student']\nmethods.a = 3", "[grid.methods.a]: [student_a] needs a table"),
        (BASE + "[student_a]\nbase = 'teacher'\n[grid]\nstudents = ['student']\nmethods.a = {}", "is there already"),
        (BASE + "[grid]\nmethod.a = {}", "[grid] has no setting 'method'; valid: methods"),
    ],
)
def test_faults_of_includes_and_grids_are_usage_errors(conf, tmp_path, text, said):
    conf()
    (tmp_path / "more.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(said)):
        load(tmp_path / "more.toml")


def test_one_grid_student_is_changed_alone(conf, tmp_path):
    conf()
    term = '{ loss = "frame_kl", teacher = "other" }'
    methods = f'students = ["student", "teacher"]\nmethods.kl = {{ distill = [{term}] }}\n'
    more = '[include]\nfile = "conf.toml"\nsystems = ["teacher", "student"]\n[other]\nbase = "teacher"\n[grid]\n'
    (tmp_path / "more.toml").write_text(more + methods)
    systems = load(tmp_path / "more.toml", ["student_kl.distill.0.weight=0.1"]).systems
    assert (systems["student_kl"].distill[0].weight, systems["teacher_kl"].distill[0].weight) == (0.1, 0.5)


def test_the_twin_of_one_that_starts_from_a_student_comes_after_it_too(conf):
    more = "[small]\nbase = 'student'\ninit.model = 'student/seed*'\ntrain.updates = 5"
    assert lines_of(conf(more), [0], "students", 2) == ["small 0 .", "small_plain 0 ."]


def test_a_second_teacher_that_a_filter_alone_names_is_trained_with_the_others(conf):
    hidden = "student.train.labelled_every=2"
    config = conf("[judge]\nbase = 'teacher'", hidden, "student.distill.0.filter.agree_with=judge")
    assert lines_of(config, [0], "teachers") == ["teacher 0 .", "judge 0 ."]
    assert "judge 0 train transcripts" in lines_of(config, [0], "soft_labels", 0)


PHONES = """
[tokens]
unit = "char"
[tokens.phones]
unit = "phone"
[score]
unit = "phone"
[decode]
head = "phones"
[teacher.heads]
ctc = {}
phones = { type = "ctc", tokens = "phones" }
[student.heads]
ctc = {}
phones = { type = "ctc", tokens = "phones" }
"""


@pytest.mark.parametrize(
    "more",
    ["", "[pre]\nbase = 'teacher'\nheads = { best_rq = {} }", "[other]\nmodel.encoder = 'lstm'"],
    ids=["both", "one that writes nothing", "one without this head"],
)
def test_phones_may_be_counted_where_letters_are_written_too(conf, more):
    assert conf(PHONES + more).score.unit == "phone"


def test_a_ctc_head_is_brought_where_the_start_has_none(conf):
    start = "[a]\nmodel = { encoder = 'huggingface', model = 'x' }\nheads = { age = { type = 'classifier' } }\n"
    after = "[s]\nbase = 'a'\nheads = { ctc = {} }\ninit = { model = 'a', ctc_head = true }\n"
    assert conf(WAVE + start + after).systems["s"].init.ctc_head


def test_a_denoiser_is_told_at_once_which_set_has_no_clean_one(conf):
    noisy = "[a]\nbase = 'student'\ndata = { train = 'train_noisy', dev = 'dev_noisy', test = ['test_noisy'] }\n"
    noisy += "heads = { ctc = {}, autoencoder = { clean = '_noisy' } }\n"
    noisy += "distill = [{ loss = 'frame_kl', sets = ['train_noisy', 'extra'] }]\n[data]\nunlabelled = ['extra']\n"
    with pytest.raises(UsageError, match=r"\[a\] clean = '_noisy': the set 'extra' is not called so"):
        conf(noisy)


HEIR = """
[las]
base = "teacher"
heads = { las = { weight = 0.7, dim = 24 }, ctc = { weight = 0.3 } }
soft_labels.decode = { decoder = "beam", beam_size = 8, nbest = 4 }
[heir]
base = "las"
[other]
base = "student"
"""


def test_an_override_of_an_heir_changes_one_value_of_what_it_inherits(conf):
    heir = conf(HEIR, "heir.heads.ctc.weight=0.5").systems["heir"]
    assert list(heir.heads) == ["las", "ctc"] and (heir.heads["las"]["dim"], heir.heads["ctc"]["weight"]) == (24, 0.5)
    decode = conf(HEIR, "heir.soft_labels.decode.beam_size=16").systems["heir"].soft_labels.decode
    assert (decode.decoder, decode.beam_size, decode.nbest) == ("beam", 16, 4)
    changed = conf(HEIR, "other.distill.0.weight=0.3").systems
    assert [changed[name].distill[0].weight for name in ("other", "student")] == [0.3, 0.5]
    assert list(conf(HEIR, "heir.heads={ctc={}}").systems["heir"].heads) == ["ctc"]
    written = conf(f"{HEIR}[heir.soft_labels.decode]\nbeam_size = 16\n".replace('[other]\nbase = "student"\n', ""))
    assert written.systems["heir"].soft_labels.decode.decoder == "beam"


def test_the_longest_name_of_features_that_a_set_ends_in_is_its_own():
    config = SimpleNamespace(variants={"tel": None, "fast_tel": None})
    assert [variant_of(config, name) for name in ("train_fast_tel", "train_tel", "train")] == ["fast_tel", "tel", ""]
