"""The tables of conf.toml as dataclasses.

The settings of an encoder or of a loss are not listed here: they are the keyword-only arguments of its class or
function, read by `steps.config.signature`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DataConfig:
    """[data]: the names of the sets, folders below the data directory."""

    train: str = "train"
    dev: str = "dev"
    test: list[str] = field(default_factory=lambda: ["test"])
    unlabelled: list[str] = field(default_factory=list)  # used without their transcripts


@dataclass(frozen=True)
class FeaturesConfig:
    """[features]: log mel filterbank energies, as sherpa-onnx computes them at run time."""

    sample_rate_hz: int = 16000
    num_mel_bins: int = 80
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    low_freq: float = 20.0  # Hz
    high_freq: float = -400.0  # Hz, below 0: from the Nyquist frequency
    dither: float = 0.0
    snip_edges: bool = False
    resample: bool = False  # convert audio of another rate instead of refusing it
    compress: bool = False  # Kaldi's 8-bit format: a quarter of the size, slightly lossy
    utts_per_shard: int = 200


@dataclass(frozen=True)
class TokensConfig:
    """[tokens]: the units that models emit."""

    unit: str = "char"  # char or word


@dataclass(frozen=True)
class ScoreConfig:
    """[score]: the unit of the error rate."""

    unit: str = "word"  # word, char or phone


@dataclass(frozen=True)
class TrainConfig:
    """[<system>.train]"""

    updates: int = 2000
    max_frames: int = 6000  # per batch, padding counted, before subsampling
    lr: float = 1e-3  # peak
    warmup_updates: int = 200
    final_lr: float = 0.05  # share of the peak that cosine decay ends at
    weight_decay: float = 0.01
    beta2: float = 0.98
    clip_norm: float = 5.0
    ctc_weight: float = 1.0
    average: int = 3  # how many of the best checkpoints on dev are averaged
    checkpoint_updates: int = 150  # between checkpoints for resuming
    valid_updates: int = 0  # between looks at dev; 0: once an epoch
    ranks: int = 1  # parts that each batch's gradient is summed over, on as many processes or fewer
    bf16: bool = False
    max_too_short: float = 0.0  # share of utterances with fewer frames than their tokens need
    max_unk: float = 0.0  # share of training utterances with a token that tokens.txt lacks


@dataclass(frozen=True)
class SpecAugmentConfig:
    """[<system>.spec_augment]: masks only, no time warping (Park et al. 2019)."""

    start_update: int = 0  # no masks before
    num_freq_masks: int = 2
    max_freq_bins: int = 10
    num_time_masks: int = 2
    max_time_frames: int = 20
    max_time_share: float = 0.15  # of the utterance, for each mask


@dataclass(frozen=True)
class DistillConfig:
    """[[<system>.distill]]: one term. What is not listed here is a setting of the loss."""

    loss: str
    teacher: str = "teacher"  # its seed 0; "teacher/seed1" names another
    target: str = "frame_topk"
    source: str = "store"  # store or live
    sets: list[str] = field(default_factory=list)  # empty: the training set
    weight: float = 0.5
    settings: dict = field(default_factory=dict)  # of the loss


@dataclass(frozen=True)
class SoftLabelsConfig:
    """[<teacher>.soft_labels]: what is stored of each frame."""

    top_k: int = 16
    bits: int = 8  # of each log-probability


@dataclass(frozen=True)
class SystemConfig:
    """[<system>]: one model and how it is trained."""

    name: str
    model: dict
    train: TrainConfig = TrainConfig()
    spec_augment: SpecAugmentConfig = SpecAugmentConfig()
    soft_labels: SoftLabelsConfig = SoftLabelsConfig()
    distill: tuple[DistillConfig, ...] = ()


@dataclass(frozen=True)
class Config:
    """A whole conf.toml. `corpus` is read by the recipe's own local/ scripts only."""

    data: DataConfig
    features: FeaturesConfig
    tokens: TokensConfig
    score: ScoreConfig
    corpus: dict
    systems: dict[str, SystemConfig]
