"""conf.toml and --set -> Config. Every fault of a configuration is found here, before any work.

>>> load(Path("egs/yesno/conf.toml"), ["student.model.dim=32"]).systems["student"].model["dim"]
32
"""

import dataclasses
import difflib
import math
import tomllib
from pathlib import Path

from steps.config.schema import (
    Config,
    DataConfig,
    DecodeConfig,
    DistillConfig,
    FeaturesConfig,
    ReportConfig,
    ScoreConfig,
    SoftLabelsConfig,
    SpecAugmentConfig,
    SystemConfig,
    TokensConfig,
    TrainConfig,
)
from steps.config.signature import settings_of
from steps.config.types import check
from steps.nnet.registry import ENCODERS, encoder_file
from utils.jobs.errors import UsageError

LOSSES = Path(__file__).parents[1] / "losses"  # one file each
OWN = ("seeds", "controls", "tune", "tune_plain")
ROLES = ("train", "dev", "test", "unlabelled")
FIELDS = {f.name: f for f in dataclasses.fields(SystemConfig)}
TOP = {
    "data": DataConfig,
    "features": FeaturesConfig,
    "tokens": TokensConfig,
    "decode": DecodeConfig,
    "score": ScoreConfig,
    "report": ReportConfig,
}


def load(path: Path, overrides: list[str] = (), may_miss: bool = False) -> Config:
    """Reads and checks a recipe's configuration.

    Args:
        path: Its conf.toml.
        overrides: The values of --set.
        may_miss: Whether the defaults are taken where there is no file.

    Raises: UsageError naming the key and the valid ones.
    """
    raw = {} if may_miss and not path.exists() else read_toml(path)
    written = set(raw)
    for text in overrides:
        override(raw, text)
    systems = {name: table for name, table in raw.items() if name not in TOP and name != "corpus"}
    for text in overrides:
        name = text.partition(".")[0]
        if name not in written and name not in TOP and name != "corpus":
            raise UsageError(f"--set {text}: {path} has no system '{name}'{near(name, {*written, *TOP})}")
    for name, table in systems.items():
        if not isinstance(table, dict) or not ({"model", "base"} & table.keys()):
            raise UsageError(
                f"{path}: [{name}] is neither one of {', '.join([*TOP, 'corpus'])} nor a system with a model"
            )
    top = {name: build(cls, raw.get(name, {}), name) for name, cls in TOP.items()}
    merged = {name: inherit(name, systems) for name in systems}
    built = {name: build_system(name, table, raw.get("data", {})) for name, table in merged.items()}
    if top["features"].type == "mfcc":
        built = {name: without_freq_masks(system, merged[name]) for name, system in built.items()}
    for name in built:
        if name.removesuffix("_plain") != name and built.get(name.removesuffix("_plain"), built[name]).distill:
            raise UsageError(f"{path}: [{name}] has the name of the twin of [{name.removesuffix('_plain')}]; rename it")
    check_filters(top["features"])
    if top["features"].norm_vars and top["features"].cmvn == "global":
        raise UsageError('features.norm_vars = true: needs features.cmvn = "speaker" or "utterance"')
    if top["tokens"].unit == "phone" and top["score"].unit != "phone":
        raise UsageError(f"{path}: tokens.unit = 'phone' and score.unit = '{top['score'].unit}'; set it to 'phone' too")
    if top["tokens"].unit == "bpe" and top["score"].unit == "phone":
        raise UsageError(f"{path}: tokens.unit = 'bpe' and score.unit = 'phone'; set the latter to 'word' or 'char'")
    if top["decode"].decoder == "beam" and top["decode"].nbest > top["decode"].beam_size:
        sizes = f"decode.nbest = {top['decode'].nbest} and decode.beam_size = {top['decode'].beam_size}"
        raise UsageError(f"{path}: {sizes}; a beam holds no more hypotheses than its size")
    check_teachers(built)
    check_controls(built)
    check_sets(built, top["data"])
    return Config(**top, corpus=raw.get("corpus", {}), systems=built)


def read_toml(path: Path) -> dict:
    """A TOML file as nested dictionaries."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such configuration; run in a recipe's folder, or give --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: {e}") from None


def override(raw: dict, text: str) -> None:
    """Applies `table.key=value` in place; the value is TOML, or a plain string."""
    dotted, equals, value = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or len(keys) < 2:
        raise UsageError(f"--set {text}: not of the form table.key=value")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value
    table = raw
    for key in keys[:-1]:
        table = step_into(table, key, text)
    if isinstance(table, list):
        raise UsageError(f"--set {text}: name the number of the term, as in student.distill.0.weight=0.5")
    table[keys[-1]] = parsed


def step_into(table: dict | list, key: str, text: str) -> dict | list:
    """The sub-table `key`; a number chooses from an array of tables."""
    if isinstance(table, list):
        if not key.isdigit() or int(key) >= len(table):
            raise UsageError(f"--set {text}: there is no term {key}; there are {len(table)}, from 0")
        return table[int(key)]
    inner = table.setdefault(key, {})
    if not isinstance(inner, dict | list):
        raise UsageError(f"--set {text}: '{key}' is a value, not a table")
    return inner


def inherit(name: str, systems: dict) -> dict:
    """A system's table laid over that of its base: sub-tables are merged, [[distill]] replaced whole, controls left."""
    table = dict(systems[name])
    base = table.pop("base", None)
    if base is None:
        return table
    if base not in systems:
        raise UsageError(f"[{name}] base = '{base}': no such system{near(base, systems)}")
    if "base" in systems[base]:
        raise UsageError(f"[{name}] base = '{base}', which has a base itself; one level only")
    merged = {key: value for key, value in systems[base].items() if key != "controls"}
    for key, value in table.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def build_system(name: str, table: dict, data: dict) -> SystemConfig:
    """One system from its merged table, and [data] for what its own does not say."""
    known = {
        "model",
        "train",
        "spec_augment",
        "soft_labels",
        "distill",
        "data",
        "seeds",
        "controls",
        "tune",
        "tune_plain",
    }
    for key in table.keys() - known:
        raise UsageError(f"[{name}] has no setting '{key}'{near(key, known)}")
    terms = table.get("distill", [])
    if not isinstance(terms, list):
        raise UsageError(f"[{name}.distill] must be written [[{name}.distill]]")
    distill = tuple(build_distill(term, f"{name}.distill.{i}") for i, term in enumerate(terms))
    return SystemConfig(
        name,
        build_model(table.get("model", {}), f"{name}.model"),
        build(TrainConfig, table.get("train", {}), f"{name}.train"),
        build(SpecAugmentConfig, table.get("spec_augment", {}), f"{name}.spec_augment"),
        build(SoftLabelsConfig, table.get("soft_labels", {}), f"{name}.soft_labels"),
        distill,
        sorted({set_name for term in distill for set_name in term.sets}),
        build(DataConfig, data | table.get("data", {}), f"{name}.data"),
        **{key: check(table[key], FIELDS[key].type, f"{name}.{key}") for key in OWN if key in table},
    )


def without_freq_masks(system: SystemConfig, table: dict) -> SystemConfig:
    """The system without masks over mel bins, for cepstra have none. Raises: UsageError where it asks for some."""
    masks = system.spec_augment
    if "num_freq_masks" in table.get("spec_augment", {}) and masks.num_freq_masks:
        where = f"{system.name}.spec_augment.num_freq_masks = {masks.num_freq_masks}"
        raise UsageError(f"{where}: cepstra have no frequencies to mask; leave it out, or set it to 0")
    return dataclasses.replace(system, spec_augment=dataclasses.replace(masks, num_freq_masks=0))


def build_model(table: object, where: str) -> dict:
    """The settings of an encoder, completed by its defaults."""
    if not isinstance(table, dict):
        raise UsageError(f"[{where}] is not a table")
    encoder = table.get("encoder")
    if encoder not in ENCODERS:
        raise UsageError(f"{where}.encoder = {encoder!r}: choose one of {', '.join(sorted(ENCODERS))}")
    settings = settings_of(encoder_file(encoder), ENCODERS[encoder])
    rest = {key: value for key, value in table.items() if key != "encoder"}
    return {"encoder": encoder, **complete(settings, rest, where)}


def build_distill(table: object, where: str) -> DistillConfig:
    """One distillation term, with the settings of its loss completed."""
    if not isinstance(table, dict):
        raise UsageError(f"[[{where.rpartition('.')[0]}]] is not a table")
    check_loss(table.get("loss"), where)
    fields = {f.name for f in dataclasses.fields(DistillConfig)} - {"settings"}
    own = {key: value for key, value in table.items() if key in fields}
    rest = {key: value for key, value in table.items() if key not in fields}
    settings = complete(settings_of(loss_file(table["loss"]), table["loss"]), rest, where, also=fields)
    return dataclasses.replace(build(DistillConfig, own, where), settings=settings)


def loss_file(name: str) -> Path:
    """The file of a loss."""
    return LOSSES / f"{name}.py"


def check_loss(name: object, where: str) -> None:
    """Raises UsageError naming the losses that exist."""
    known = sorted(p.stem for p in LOSSES.glob("*.py") if not p.stem.startswith("_"))
    if name not in known:
        raise UsageError(f"{where}.loss = {name!r}: choose one of {', '.join(known)}")


def complete(settings: dict, given: dict, where: str, also: set[str] = frozenset()) -> dict:
    """The given settings laid over the defaults. Raises: UsageError for an unknown key or a wrong type."""
    values = {key: setting.default for key, setting in settings.items()}
    for key, value in given.items():
        if key not in settings:
            raise UsageError(f"{where} has no setting '{key}'{near(key, {*settings, *also})}")
        values[key] = check(value, settings[key].type, f"{where}.{key}")
    return values


def build(cls: type, table: object, where: str) -> object:
    """A dataclass from a table. Raises: UsageError for an unknown key or a wrong type."""
    if not isinstance(table, dict):
        raise UsageError(f"[{where}] is not a table")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    values = {}
    for key, value in table.items():
        if key not in fields:
            raise UsageError(f"[{where}] has no setting '{key}'{near(key, fields)}")
        values[key] = check(value, fields[key].type, f"{where}.{key}")
    return cls(**values)


def check_filters(settings: FeaturesConfig) -> None:
    """Raises UsageError when the mel filters do not lie below the Nyquist frequency, hear nothing, or are too few."""
    nyquist = settings.sample_rate_hz / 2
    high = settings.high_freq if settings.high_freq > 0 else nyquist + settings.high_freq
    if not settings.low_freq < high <= nyquist:
        raise UsageError(
            f"features.low_freq = {settings.low_freq:g} and high_freq = {settings.high_freq:g} leave "
            f"{settings.low_freq:g} to {high:g} Hz; the first must be lower, and the last at most {nyquist:g} Hz"
        )
    for name in ("frame_shift_ms", "frame_length_ms"):
        if settings.sample_rate_hz * getattr(settings, name) < 2000:
            raise UsageError(f"features.{name} = {getattr(settings, name):g}: shorter than two samples")
    window = int(settings.sample_rate_hz * settings.frame_length_ms / 1000)
    spacing = settings.sample_rate_hz / 2 ** math.ceil(math.log2(window))  # Hz between bins of the spectrum
    low_mel, high_mel = (1127 * math.log(1 + hz / 700) for hz in (settings.low_freq, high))
    step = (high_mel - low_mel) / (settings.num_mel_bins + 1)
    edges = [700 * (math.exp((low_mel + i * step) / 1127) - 1) for i in range(settings.num_mel_bins + 2)]
    deaf = sum(math.floor(a / spacing) + 1 >= c / spacing for a, c in zip(edges, edges[2:], strict=False))
    if settings.type == "mfcc" and settings.num_ceps > settings.num_mel_bins:
        pair = f"features.num_ceps = {settings.num_ceps}: more than num_mel_bins = {settings.num_mel_bins}"
        raise UsageError(f"{pair}; lower the one or raise the other")
    if deaf:
        raise UsageError(
            f"features.num_mel_bins = {settings.num_mel_bins}: {deaf} of them are too narrow to hear anything"
        )


def check_teachers(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError when a term names a teacher that is no other system, or is itself taught by it."""
    for system in systems.values():
        for term in system.distill:
            teacher, slash, seed = term.teacher.partition("/")
            if teacher not in systems or teacher == system.name:
                others = set(systems) - {system.name}
                raise UsageError(f"[{system.name}] teacher = '{term.teacher}': no other system{near(teacher, others)}")
            if systems[teacher].distill:
                raise UsageError(
                    f"[{system.name}] teacher = '{term.teacher}': is itself distilled; chains are not built yet"
                )
            if term.source == "live" and not term.sets and systems[teacher].data.train != system.data.train:
                raise UsageError(
                    f"[{system.name}] teacher = '{term.teacher}' was not trained on '{system.data.train}' but on "
                    f"'{systems[teacher].data.train}', heard by its soft labels alone: source = \"store\""
                )
            if slash and not (seed.startswith("seed") and seed[4:].isdigit()):
                raise UsageError(f"[{system.name}] teacher = '{term.teacher}': write it as {teacher}/seed1")


def check_controls(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError when a control does not exist, or has other seeds than the system compared with it."""
    for system in systems.values():
        for name in system.controls:
            if name not in systems or name == system.name:
                raise UsageError(
                    f"[{system.name}] controls: '{name}' is no other system{near(name, set(systems) - {system.name})}"
                )
            if systems[name].seeds != system.seeds:
                raise UsageError(
                    f"[{name}] seeds = {systems[name].seeds} and [{system.name}] seeds = {system.seeds}: "
                    "a control has those of the system compared with it"
                )


def check_sets(systems: dict[str, SystemConfig], data: DataConfig) -> None:
    """Raises UsageError when a set has two roles, or a term names one that is not there to train on."""
    role_of: dict[str, str] = {}
    for owner, found in [("data", data), *((f"{name}.data", system.data) for name, system in systems.items())]:
        roles = roles_of(found)
        for name, role in roles:
            if [other for other, _ in roles].count(name) > 1 or role_of.setdefault(name, role) != role:
                raise UsageError(f"[{owner}] '{name}' has two roles; train, dev, test and unlabelled sets must differ")
    for system in systems.values():
        known = {system.data.train, *system.data.unlabelled}
        for name in set(system.sets) - known:
            raise UsageError(f"[{system.name}.distill] sets: '{name}' is not used for training{near(name, known)}")


def roles_of(data: DataConfig) -> list[tuple[str, str]]:
    """(set, role) of each set."""
    sets = ([data.train], [data.dev], data.test, data.unlabelled)
    return [(name, role) for role, names in zip(ROLES, sets, strict=True) for name in names]


def all_sets(config: Config) -> dict[str, str]:
    """The role of each set that a recipe uses; the training set of [data] first."""
    pairs = [pair for data in (config.data, *(s.data for s in config.systems.values())) for pair in roles_of(data)]
    return {name: role for wanted in ROLES for name, role in pairs if role == wanted}


def near(word: str, valid: object) -> str:
    """A list of the valid names for a message, the nearest first."""
    best = difflib.get_close_matches(str(word), list(valid), n=1)
    ordered = best + sorted(set(valid) - set(best))
    return f"; valid: {', '.join(ordered)}"


def twin_of(config: Config, system: SystemConfig) -> SystemConfig:
    """The same system without its distillation terms. Systems that differ in nothing else share the first one's."""
    for other in config.systems.values():
        if other.distill and without_terms(other, "") == without_terms(system, ""):
            return without_terms(other, f"{other.name}_plain")
    raise ValueError(f"[{system.name}] is not distilled")


def without_terms(system: SystemConfig, name: str) -> SystemConfig:
    """A twin of this name."""
    return dataclasses.replace(system, name=name, distill=(), controls=[], tune={}, tune_plain={})


def all_systems(config: Config) -> dict[str, SystemConfig]:
    """The systems of the configuration and the twins of the distilled ones."""
    twins = [twin_of(config, system) for system in config.systems.values() if system.distill]
    return {**config.systems, **{twin.name: twin for twin in twins}}


def soft_label_sets(config: Config, term: DistillConfig) -> list[str]:
    """The sets that a term's teacher hears: those it names, or what the teacher was trained on.

    A student may hear the utterances of its teacher's training set through another channel, under the same ids.
    """
    return term.sets or [config.systems[teacher_of(term)[0]].data.train]


def system_named(config: Config, name: str) -> SystemConfig:
    """A system or a twin. Raises: UsageError naming the systems that exist."""
    systems = all_systems(config)
    origin = config.systems.get(name.removesuffix("_plain"))
    if name not in systems and origin and origin.distill:  # its twin is called after another system
        return without_terms(origin, name)
    if name not in systems:
        raise UsageError(f"no system '{name}'{near(name, systems)}")
    return systems[name]


def teacher_of(term: DistillConfig) -> tuple[str, int]:
    """The system and the seed that a term names."""
    name, _, seed = term.teacher.partition("/seed")
    return name, int(seed or 0)
