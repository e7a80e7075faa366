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
TOP = {
    "data": DataConfig,
    "features": FeaturesConfig,
    "tokens": TokensConfig,
    "score": ScoreConfig,
    "report": ReportConfig,
}


def load(path: Path, overrides: list[str] = ()) -> Config:
    """Reads and checks a recipe's configuration. Raises: UsageError naming the key and the valid ones."""
    raw = read_toml(path)
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
    built = {name: build_system(name, inherit(name, systems)) for name in systems}
    for name in built:
        if name.removesuffix("_plain") != name and built.get(name.removesuffix("_plain"), built[name]).distill:
            raise UsageError(f"{path}: [{name}] has the name of the twin of [{name.removesuffix('_plain')}]; rename it")
    check_filters(top["features"])
    if top["tokens"].unit == "phone" and top["score"].unit != "phone":
        raise UsageError(f"{path}: tokens.unit = 'phone' and score.unit = '{top['score'].unit}'; set it to 'phone' too")
    check_teachers(built)
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
    """A system's table laid over that of its base: sub-tables are merged, [[distill]] is replaced whole."""
    table = dict(systems[name])
    base = table.pop("base", None)
    if base is None:
        return table
    if base not in systems:
        raise UsageError(f"[{name}] base = '{base}': no such system{near(base, systems)}")
    if "base" in systems[base]:
        raise UsageError(f"[{name}] base = '{base}', which has a base itself; one level only")
    merged = dict(systems[base])
    for key, value in table.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def build_system(name: str, table: dict) -> SystemConfig:
    """One system from its merged table."""
    known = {"model", "train", "spec_augment", "soft_labels", "distill"}
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
    )


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
    """Raises UsageError when the mel filters do not lie below the Nyquist frequency, or hear nothing."""
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
            if slash and not (seed.startswith("seed") and seed[4:].isdigit()):
                raise UsageError(f"[{system.name}] teacher = '{term.teacher}': write it as {teacher}/seed1")


def check_sets(systems: dict[str, SystemConfig], data: DataConfig) -> None:
    """Raises UsageError when a set has two roles, or a term names one that is not there to train on."""
    roles = [data.train, data.dev, *data.test, *data.unlabelled]
    for name in roles:
        if roles.count(name) > 1:
            raise UsageError(f"[data] names '{name}' twice; train, dev, test and unlabelled sets must differ")
    known = {data.train, *data.unlabelled}
    for system in systems.values():
        for name in set(system.sets) - known:
            raise UsageError(f"[{system.name}.distill] sets: '{name}' is not used for training{near(name, known)}")


def near(word: str, valid: object) -> str:
    """A list of the valid names for a message, the nearest first."""
    best = difflib.get_close_matches(str(word), list(valid), n=1)
    ordered = best + sorted(set(valid) - set(best))
    return f"; valid: {', '.join(ordered)}"


def twin_of(system: SystemConfig) -> SystemConfig:
    """The same system without its distillation terms."""
    return dataclasses.replace(system, name=f"{system.name}_plain", distill=())


def all_systems(config: Config) -> dict[str, SystemConfig]:
    """The systems of the configuration and the twins of the distilled ones."""
    twins = {t.name: t for t in map(twin_of, config.systems.values()) if config.systems[t.name[:-6]].distill}
    return {**config.systems, **twins}


def system_named(config: Config, name: str) -> SystemConfig:
    """A system or a twin. Raises: UsageError naming the systems that exist."""
    systems = all_systems(config)
    if name not in systems:
        raise UsageError(f"no system '{name}'{near(name, systems)}")
    return systems[name]


def teacher_of(term: DistillConfig) -> tuple[str, int]:
    """The system and the seed that a term names."""
    name, _, seed = term.teacher.partition("/seed")
    return name, int(seed or 0)
