import re

import pytest

from steps.config.systems import check_decoding
from tests.steps.config.examples import LONG
from utils.jobs.errors import UsageError

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
    (
        "[[student.distill]]\nloss = 'decoupled_kl'\nbest_weight = 0\nothers_weight = 0",
        "[student] the loss decoupled_kl: all of its weights are 0, so that nothing is learnt",
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


def test_a_system_named_like_a_twin_is_refused(conf):
    with pytest.raises(UsageError, match="student_plain"):
        conf("[student_plain.model]\nencoder = 'lstm'\ndim = 3")


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


def test_a_head_without_transcripts_is_not_the_first_of_several(conf):
    text = '[first]\nmodel.encoder = "lstm"\n[first.heads.best_rq]\n'
    assert list(conf(text).systems["first"].heads) == ["best_rq"]
    with pytest.raises(UsageError, match="first.heads.best_rq.: the first head chooses checkpoints"):
        conf(text + "[first.heads.ctc]")


def test_a_control_has_a_test_set_in_the_place_of_each(conf):
    with pytest.raises(UsageError, match=r"\[student\] has no set in the place of 'test_2'"):
        conf(LONG, 'student_long.controls=["student"]', 'student_long.data.test=["test", "test_2"]')


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
