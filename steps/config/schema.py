"""The tables of conf.toml as dataclasses.

The settings of an encoder or of a loss are not listed here: they are the keyword-only arguments of its class or
function, read by `steps.config.signature`.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal

from steps.config.types import (
    BeamSize,
    Coverage,
    Fraction,
    Names,
    NaturalFloat,
    NaturalInt,
    PositiveFloat,
    PositiveInt,
    Share,
    VocabSize,
)
from steps.losses.registry import LOSSES

EMA_DECAY = 0.999
CTC = {"type": "ctc", "weight": 1.0, "tokens": ""}


@dataclass(frozen=True)
class DataConfig:
    """[data], or [<system>.data] where one differs: the names of the sets, folders below the data directory."""

    train: str = "train"
    dev: str = "dev"
    test: list[str] = field(default_factory=lambda: ["test"])
    unlabelled: list[str] = field(default_factory=list)  # used without their transcripts


@dataclass(frozen=True)
class FeaturesConfig:
    """[features]: by default log mel filterbank energies, as sherpa-onnx computes them at run time.

    [features.<name>] holds what is different in sets called `<set>_<name>`, which are copies of `<set>`.
    """

    # A waveform is its samples, for models that begin with them; "model": what an autoencoder makes of other features.
    type: Literal["fbank", "mfcc", "waveform", "model"] = "fbank"
    model: str = ""  # the system that makes them
    output: Literal["bottleneck", "drawn"] = "bottleneck"  # its narrow layer, or the features that it draws
    dim: NaturalInt = 0  # of a model's features; 0: num_mel_bins
    sample_rate_hz: PositiveInt = 16000
    num_mel_bins: PositiveInt = 80
    num_ceps: PositiveInt = 13  # of mfcc, C0 included
    cepstral_lifter: NaturalFloat = 22.0  # of mfcc; 0: none
    use_energy: bool = False  # of mfcc: the log energy in place of C0
    deltas: Literal[0, 1, 2] = 0  # order of the deltas that follow the features, over 2 frames to each side
    # "speaker" and "utterance": their mean is taken off beforehand, before deltas. Neither is streaming.
    cmvn: Literal["global", "speaker", "utterance"] = "global"  # the model itself normalises by the training set
    norm_vars: bool = False  # give each speaker or utterance the variance 1 too
    frame_length_ms: PositiveFloat = 25.0
    frame_shift_ms: PositiveFloat = 10.0
    low_freq: NaturalFloat = 20.0  # Hz
    high_freq: float = -400.0  # Hz, below 0: from the Nyquist frequency
    dither: NaturalFloat = 0.0  # on samples in [-1, 1]: Kaldi's 1.0 is 3e-5 here
    snip_edges: bool = False
    resample: bool = False  # convert audio of another rate instead of refusing it
    compress: bool = False  # Kaldi's 8-bit format: a quarter of the size, slightly lossy
    utts_per_shard: PositiveInt = 200


@dataclass(frozen=True)
class TokensConfig:
    """[tokens]: the units that models emit; [tokens.<name>]: those of heads with tokens = "<name>", in lang_<name>."""

    unit: Literal["char", "word", "phone", "bpe"] = "char"  # phones: of <data-dir>/local/dict/lexicon.txt
    vocab_size: VocabSize = 500  # of bpe: tokens in all, with the blank
    character_coverage: Coverage = 1.0  # of bpe: share of all characters in the text; below 1 the rarest are unknown

    def in_use(self) -> dict:
        """The settings that matter for the unit."""
        return asdict(self) if self.unit == "bpe" else {"unit": self.unit}


@dataclass(frozen=True)
class DecodeConfig:
    """[decode]: how dev and test sets are decoded; a training looks at dev greedily in any case."""

    decoder: Literal["greedy", "beam"] = "greedy"
    beam_size: BeamSize = 16  # of beam: hypotheses kept after each frame, those that end in a blank counted apart
    beam_tokens: BeamSize = 20  # of beam: tokens tried in each frame, the most probable
    beam_threshold: PositiveFloat = 20.0  # of beam: nats below the best where hypotheses are dropped
    nbest: PositiveInt = 1  # of beam: hypotheses written of each utterance, where so many are left
    head: str = ""  # of the model; empty: its first
    ctc_weight: Share = 0.0  # of the CTC head beside an attention decoder, on dev too (steps.decoding.joint)

    def in_use(self) -> dict:
        """The settings that matter for the decoder."""
        always = ("decoder", "head", "ctc_weight")
        found = {key: value for key, value in asdict(self).items() if self.decoder == "beam" or key in always}
        return {key: value for key, value in found.items() if (key, value) not in (("head", ""), ("ctc_weight", 0.0))}


@dataclass(frozen=True)
class ScoreConfig:
    """[score]: the unit of the error rate."""

    unit: Literal["word", "char", "phone"] = "word"
    map: str = ""  # a file, seen from the recipe, that units go through: `<unit> <unit>` a line; nothing: left out
    keywords: list[str] = field(default_factory=list)  # words, or several in a row, whose precision and recall are told


@dataclass(frozen=True)
class ReportConfig:
    """[report]: what the published table says besides its figures."""

    note: str = ""  # stands above the tables


@dataclass(frozen=True)
class TrainConfig:
    """[<system>.train]"""

    updates: NaturalInt = 2000  # 0: the weights that it starts from are used as they are
    max_frames: PositiveInt = 6000  # per batch, padding counted, before subsampling; of an utterance too
    lr: PositiveFloat = 1e-3  # peak
    warmup_updates: NaturalInt = 200
    final_lr: Share = 0.05  # share of the peak that cosine decay ends at
    weight_decay: NaturalFloat = 0.01
    beta2: Fraction = 0.98
    clip_norm: PositiveFloat = 5.0
    inner_ctc_weight: NaturalFloat = 0.0  # of CTC on the middle layer through the same head, in training only
    curriculum_epochs: NaturalInt = 0  # at the start, in which short utterances come before long ones
    average: PositiveInt = 3  # how many of the best checkpoints on dev are averaged
    checkpoint_updates: PositiveInt = 150  # between checkpoints for resuming
    valid_updates: NaturalInt = 0  # between looks at dev; 0: once an epoch
    labelled_every: PositiveInt = 1  # n: only every n-th speaker's transcripts are used, the speakers sorted
    labelled_only: bool = False  # leave the other speakers out; else a teacher may speak on them, and a twin hears them
    folds: NaturalInt = 0  # n: every n-th speaker is left out, to be judged by a model that never heard it; 0: none
    fold: NaturalInt = 0  # from which one on, below `folds`
    ranks: PositiveInt = 1  # parts that each batch's gradient is summed over, on as many processes or fewer
    bf16: bool = False
    weight_bits: Literal[0, 2, 3, 4, 5, 6, 7, 8] = 0  # of matrices, rounded while learning (steps.nnet.rounding); 0: 32
    max_too_short: Share = 0.0  # share of utterances with fewer frames than their tokens need
    max_too_long: Share = 0.0  # share of utterances with more than max_frames
    max_unk: Share = 0.0  # share of training utterances with a token that tokens.txt lacks


@dataclass(frozen=True)
class InitConfig:
    """[<system>.init]: fine-tuning, from the weights of another model."""

    # A system of the recipe, its seed 0, or "<system>/seed1", or with "<system>/seed*" the seed that is trained; or the
    # path of a model's folder.
    model: str = ""
    take: list[str] = field(default_factory=list)  # beginnings of the names of weights, as "encoder"; empty: all
    ctc_head: bool = False  # of a huggingface encoder: take the CTC head that belongs to it, by the spelling of tokens
    # The student's layers from below, each from the layer of the model whose number stands there (the lowest is 1), as
    # [1, 4, 8]; empty: from the layer of the same number.
    layers: list[int] = field(default_factory=list)
    prune: bool = False  # where the model is wider, take its most important units (steps.nnet.pruning)
    freeze: list[str] = field(default_factory=list)  # beginnings of the names of weights that stay as they are
    layer_decay: Share = 1.0  # of the learning rate, from each layer to the one below


@dataclass(frozen=True)
class LoraConfig:
    """[<system>.lora]: adapters beside the weights of [<system>.init] model, which stay (Hu et al. 2022)."""

    rank: NaturalInt = 0  # of the product that each adapter adds; 0: no adapters
    alpha: PositiveFloat = 16.0  # what they add is scaled by alpha / rank
    dropout: Fraction = 0.0  # before them
    targets: list[str] = field(default_factory=list)  # ends of names of linear maps, as "qkv"; empty: all


@dataclass(frozen=True)
class SpecAugmentConfig:
    """[<system>.spec_augment]: masks only, no time warping (Park et al. 2019)."""

    start_update: NaturalInt = 0  # no masks before
    num_freq_masks: NaturalInt = 2
    max_freq_bins: NaturalInt = 10
    num_time_masks: NaturalInt = 2
    max_time_frames: NaturalInt = 20
    max_time_share: Share = 0.15  # of the utterance, for each mask
    max_freq_warp: Fraction = 0.0  # to either side, of all frequencies, as if another voice spoke; only of fbank


@dataclass(frozen=True)
class FilterConfig:
    """filter of a term: which utterances without a transcript it keeps, by what its first teacher writes of them."""

    min_confidence: Share = 0.0  # geometric mean of the probabilities of tokens
    keep: Share = 1.0  # share of those that pass all else, the most confident
    agree_with: str = ""  # whose transcript must be alike: another teacher, or "greedy": the first one's best path
    max_difference: NaturalFloat = 0.0  # between the two, errors per word or phone
    min_rate: NaturalFloat = 0.0  # words or phones per second
    max_rate: NaturalFloat = 0.0  # 0: any


@dataclass(frozen=True)
class DistillConfig:
    """[[<system>.distill]]: one term. What is not listed here is a setting of the loss."""

    loss: str
    teacher: Names = "teacher"  # its seed 0; "teacher/seed1" names another; a list of them is an ensemble
    # "average" and "weighted" (by the error on dev) mean their probabilities, "best" takes one for each utterance,
    # "sampled" one for each batch
    combine: Literal["average", "weighted", "best", "sampled"] = "average"
    # "live": the teacher listens beside the student; "ema": an average of the student's own weights does; "self": the
    # student's own output is the target. Of the last two `teacher` only says what gap the gain is a share of.
    source: Literal["store", "live", "ema", "self"] = "store"
    ema_decay: Fraction = EMA_DECAY  # of "ema"
    head: str = ""  # of teacher and student; empty: the first of each that the loss can compare
    token_map: str = ""  # a file, seen from the recipe, `<teacher's token> <student's>` a line; empty: by their names
    sets: list[str] = field(default_factory=list)  # empty: the training set
    # What its teachers hear of the same utterances, without noise, say; empty: `sets`, or what each was trained on.
    teacher_sets: list[str] = field(default_factory=list)
    weight: NaturalFloat = 0.5
    filter: FilterConfig = FilterConfig()
    settings: dict = field(default_factory=dict)  # of the loss

    @property
    def kind(self) -> str:
        """The kind of soft labels that the loss reads."""
        return LOSSES[self.loss][1]

    @property
    def target(self) -> str:
        """The folder of these soft labels: the kind, and what tells it from others of the kind."""
        layer = self.settings.get("teacher_layer", 0)
        return ".".join([self.kind, *([self.head] if self.head else []), *([f"layer{layer}"] if layer else [])])


@dataclass(frozen=True)
class SoftLabelsConfig:
    """[<teacher>.soft_labels]: what is stored of each frame."""

    top_k: NaturalInt = 0  # tokens kept; 0: as many as fit in 400 bytes per second of speech
    bits: Literal[8, 16] = 8  # of each log-probability
    codebooks: PositiveInt = 8  # of hidden states, a byte a frame each
    decode: DecodeConfig | None = None  # [<teacher>.soft_labels.decode], of transcripts; without it [decode]


@dataclass(frozen=True)
class SystemConfig:
    """[<system>]: one model and how it is trained."""

    name: str
    model: dict
    heads: dict = field(
        default_factory=lambda: {"ctc": {"type": "ctc", "weight": 1.0, "tokens": ""}}
    )  # the first one decodes
    init: InitConfig = InitConfig()
    lora: LoraConfig = LoraConfig()
    train: TrainConfig = TrainConfig()
    spec_augment: SpecAugmentConfig = SpecAugmentConfig()
    soft_labels: SoftLabelsConfig = SoftLabelsConfig()
    distill: tuple[DistillConfig, ...] = ()
    sets: list[str] = field(default_factory=list)  # that the terms name; the twin has them too, for the same batches
    data: DataConfig = DataConfig()
    seeds: NaturalInt = 0  # only the first n of --seeds; 0: all
    controls: list[str] = field(default_factory=list)  # further systems that it is compared with, beside its twin
    tune: dict = field(default_factory=dict)  # values to try on dev, by setting
    tune_plain: dict = field(default_factory=dict)  # the same for its twin

    def training(self) -> dict:
        """The settings that its weights depend on."""
        others = ("name", "soft_labels", "seeds", "controls", "tune", "tune_plain")
        found = {key: value for key, value in asdict(self).items() if key not in others}
        if self.train.labelled_every == 1:
            del found["train"]["labelled_only"]
        return found | {"data": {"train": self.data.train, "dev": self.data.dev}}


@dataclass(frozen=True)
class Config:
    """A whole conf.toml. `corpus` is read by the recipe's own local/ scripts only."""

    data: DataConfig
    features: FeaturesConfig
    variants: dict[str, FeaturesConfig]
    other_tokens: dict[str, TokensConfig]
    tokens: TokensConfig
    decode: DecodeConfig
    score: ScoreConfig
    report: ReportConfig
    corpus: dict
    systems: dict[str, SystemConfig]
