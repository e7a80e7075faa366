"""Tables of conf.toml -> dataclasses, completed by their defaults and by those of the encoder or loss they name."""

import dataclasses
from pathlib import Path

from steps.config.schema import (
    DataConfig,
    DistillConfig,
    SoftLabelsConfig,
    SpecAugmentConfig,
    SystemConfig,
    TrainConfig,
)
from steps.config.signature import settings_of
from steps.config.types import check, near
from steps.nnet.registry import ENCODERS, encoder_file
from utils.jobs.errors import UsageError

LOSSES = Path(__file__).parents[1] / "losses"  # one file each
NORMALISATION = Path(__file__).parents[1] / "nnet" / "normalisation.py"
OWN = ("seeds", "controls", "tune", "tune_plain")
FIELDS = {f.name: f for f in dataclasses.fields(SystemConfig)}


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
    asked_for = table.get("spec_augment", {})
    for name, verb in {"num_freq_masks": "mask", "max_freq_warp": "warp"}.items():
        value = getattr(masks, name)
        if name in asked_for and value:
            where = f"{system.name}.spec_augment.{name} = {value:g}"
            raise UsageError(f"{where}: cepstra have no frequencies to {verb}; leave it out, or set it to 0")
    return dataclasses.replace(system, spec_augment=dataclasses.replace(masks, num_freq_masks=0))


def build_model(table: object, where: str) -> dict:
    """The settings of an encoder, completed by its defaults."""
    if not isinstance(table, dict):
        raise UsageError(f"[{where}] is not a table")
    encoder = table.get("encoder")
    if encoder not in ENCODERS:
        raise UsageError(f"{where}.encoder = {encoder!r}: choose one of {', '.join(sorted(ENCODERS))}")
    settings = settings_of(encoder_file(encoder), ENCODERS[encoder])
    settings |= settings_of(NORMALISATION, "without_mean")
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
