"""Tables of conf.toml -> dataclasses, completed by their defaults and by those of the encoder or loss they name."""

import dataclasses
import re
from pathlib import Path

from steps.config.schema import (
    DataConfig,
    DecodeConfig,
    DistillConfig,
    FilterConfig,
    InitConfig,
    LoraConfig,
    SoftLabelsConfig,
    SpecAugmentConfig,
    SystemConfig,
    TrainConfig,
)
from steps.config.signature import Setting, settings_of
from steps.config.types import NaturalFloat, check, check_name, near
from steps.heads.registry import HEADS, head_file
from steps.losses.registry import LOSSES, loss_file
from steps.nnet.registry import ENCODERS, encoder_file
from utils.jobs.errors import UsageError

WEIGHT = Setting(NaturalFloat, 1.0)  # of a head's loss
NORMALISATION = Path(__file__).parents[1] / "nnet" / "normalisation.py"
OWN = ("seeds", "controls", "tune", "tune_plain")
FIELDS = {f.name: f for f in dataclasses.fields(SystemConfig)}


def build_system(name: str, table: dict, data: dict) -> SystemConfig:
    """One system from its merged table, and [data] for what its own does not say."""
    known = FIELDS.keys() - {"name", "sets"}
    for key in table.keys() - known:
        raise UsageError(f"[{name}] has no setting '{key}'{near(key, known)}")
    terms = table.get("distill", [])
    if not isinstance(terms, list):
        raise UsageError(f"[{name}.distill] must be written [[{name}.distill]]")
    distill = tuple(build_distill(term, f"{name}.distill.{i}") for i, term in enumerate(terms))
    return SystemConfig(
        name,
        build_model(table.get("model", {}), f"{name}.model"),
        build_heads(table.get("heads", {"ctc": {}}), f"{name}.heads"),
        build(InitConfig, table.get("init", {}), f"{name}.init"),
        build(LoraConfig, table.get("lora", {}), f"{name}.lora"),
        build(TrainConfig, table.get("train", {}), f"{name}.train"),
        build(SpecAugmentConfig, table.get("spec_augment", {}), f"{name}.spec_augment"),
        build_soft_labels(table.get("soft_labels", {}), f"{name}.soft_labels"),
        distill,
        sorted({set_name for term in distill for set_name in term.sets}),
        build(DataConfig, laid_over(data, table.get("data", {})), f"{name}.data"),
        **{key: check(table[key], FIELDS[key].type, f"{name}.{key}") for key in OWN if key in table},
    )


def laid_over(below: object, above: object) -> object:
    """A table over another one; what is no table stays as it is, to be refused."""
    return below | above if isinstance(below, dict) and isinstance(above, dict) else above


def without_masks(system: SystemConfig, table: dict, features: str) -> SystemConfig:
    """The system without masks and warps that its features cannot have. Raises: UsageError where it asks for some.

    Args:
        system: With the defaults of fbank.
        table: What is written of it.
        features: Their type, or what a model makes.
    """
    of_frequencies = ("num_freq_masks", "max_freq_warp")
    none = {
        "mfcc": ("cepstra have no frequencies to", of_frequencies),
        "bottleneck": ("a narrow layer has no frequencies to", of_frequencies),
        "waveform": ("samples have no frames to", ("num_freq_masks", "num_time_masks", "max_freq_warp")),
    }
    why, keys = none.get(features, ("", ()))
    masks = system.spec_augment
    for key in keys:
        if key in table.get("spec_augment", {}) and getattr(masks, key):
            where = f"{system.name}.spec_augment.{key} = {getattr(masks, key):g}"
            verb = "warp" if "warp" in key else "mask"
            raise UsageError(f"{where}: {why} {verb}; leave it out, or set it to 0")
        masks = dataclasses.replace(masks, **{key: 0})
    return dataclasses.replace(system, spec_augment=masks)


def build_model(table: object, where: str) -> dict:
    """The settings of an encoder, completed by its defaults."""
    if not isinstance(table, dict):
        raise UsageError(f"[{where}] is not a table")
    encoder = table.get("encoder")
    if not isinstance(encoder, str) or encoder not in ENCODERS:
        raise UsageError(f"{where}.encoder = {encoder!r}: choose one of {', '.join(sorted(ENCODERS))}")
    settings = settings_of(encoder_file(encoder), ENCODERS[encoder])
    settings |= settings_of(NORMALISATION, "without_mean")
    rest = {key: value for key, value in table.items() if key != "encoder"}
    return {"encoder": encoder, **complete(settings, rest, where)}


def build_heads(table: object, where: str) -> dict[str, dict]:
    """The settings of each head and the weight of its loss, completed by their defaults."""
    if not isinstance(table, dict) or not table:
        raise UsageError(f"[{where}] is not a table of heads; write [{where}.ctc]")
    found = {}
    for name, given in table.items():
        if not isinstance(given, dict):
            raise UsageError(f"[{where}.{name}] is not a table")
        check_name(name, f"[{where}.{name}]")
        if re.fullmatch(r"layer\d+", name):
            raise UsageError(f"[{where}.{name}]: soft labels of a layer have this name; rename the head")
        kind = given.get("type", name)
        if not isinstance(kind, str) or kind not in HEADS:
            raise UsageError(f"[{where}.{name}] type = {kind!r}: no head of this name{near(kind, HEADS)}")
        if name in HEADS and kind != name:
            raise UsageError(f"[{where}.{name}] type = '{kind}': a head called {name} is of that type; rename it")
        common = {"type": Setting(str, kind), "weight": WEIGHT, "tokens": Setting(str, "")}
        settings = common | settings_of(head_file(kind), HEADS[kind])
        found[name] = complete(settings, given, f"{where}.{name}")
        if found[name].get("label"):
            check_name(found[name]["label"], f"{where}.{name}.label")
    if not sum(head["weight"] for head in found.values()):
        raise UsageError(f"[{where}] the weights of all heads are 0")
    return found


def build_soft_labels(table: object, where: str) -> SoftLabelsConfig:
    """What a teacher's soft labels hold."""
    if not isinstance(table, dict) or "decode" not in table:
        return build(SoftLabelsConfig, table, where)
    rest = {key: value for key, value in table.items() if key != "decode"}
    decode = build(DecodeConfig, table["decode"], f"{where}.decode")
    return dataclasses.replace(build(SoftLabelsConfig, rest, where), decode=decode)


def build_distill(table: object, where: str) -> DistillConfig:
    """One distillation term, with the settings of its loss completed."""
    if not isinstance(table, dict):
        raise UsageError(f"[[{where.rpartition('.')[0]}]] is not a table")
    check_loss(table.get("loss"), where)
    fields = {f.name for f in dataclasses.fields(DistillConfig)} - {"settings"}
    own = {key: value for key, value in table.items() if key in fields and key != "filter"}
    rest = {key: value for key, value in table.items() if key not in fields}
    settings = complete(settings_of(loss_file(table["loss"]), LOSSES[table["loss"]][0]), rest, where, also=fields)
    chosen = build(FilterConfig, table.get("filter", {}), f"{where}.filter")
    return dataclasses.replace(build(DistillConfig, own, where), settings=settings, filter=chosen)


def check_loss(name: object, where: str) -> None:
    """Raises UsageError naming the losses that exist."""
    if not isinstance(name, str) or name not in LOSSES:
        raise UsageError(f"{where}.loss = {name!r}{near(name, LOSSES)}")


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
