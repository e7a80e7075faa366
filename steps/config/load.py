"""conf.toml and --set -> Config. Every fault of a configuration is found here, before any work.

>>> load(Path("egs/yesno/conf.toml"), ["student.model.dim=32"]).systems["student"].model["dim"]
32
"""

import copy
import dataclasses
import tomllib
from pathlib import Path

from steps.config.build import build, build_system, without_masks
from steps.config.checks import check_config
from steps.config.expand import NOT_SYSTEMS, expand, inherit
from steps.config.schema import (
    Config,
    DataConfig,
    DecodeConfig,
    FeaturesConfig,
    ReportConfig,
    ScoreConfig,
    TokensConfig,
)
from steps.config.systems import features_of
from steps.config.types import check_name, near
from utils.jobs.errors import UsageError

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
    raw = {} if may_miss and not path.exists() else expand(read_toml(path), path, read_toml)
    written = set(raw)
    for text in overrides:
        override(raw, text)
    systems = {name: table for name, table in raw.items() if name not in NOT_SYSTEMS}
    for name in systems:
        check_name(name, f"{path}: [{name}]")
    for text in overrides:
        name = text.partition(".")[0]
        if name not in written and name not in NOT_SYSTEMS:
            raise UsageError(f"--set {text}: {path} has no system '{name}'{near(name, {*written, *TOP})}")
    for name, table in systems.items():
        if not isinstance(table, dict) or not ({"model", "base"} & table.keys()):
            raise UsageError(
                f"{path}: [{name}] is neither one of {', '.join([*TOP, 'corpus'])} nor a system with a model"
            )
    features, variants = split_table(raw.get("features", {}))
    tokens, others = split_table(raw.get("tokens", {}))
    raw |= {"features": features, "tokens": tokens}
    top = {name: build(cls, raw.get(name, {}), name) for name, cls in TOP.items()}
    for table, names in (("features", variants), ("tokens", others)):
        for name in names:
            check_name(name, f"[{table}.{name}]")
    top["variants"] = {name: build(FeaturesConfig, table, f"features.{name}") for name, table in variants.items()}
    top["other_tokens"] = {name: build(TokensConfig, table, f"tokens.{name}") for name, table in others.items()}
    merged = {name: inherit(name, systems) for name in systems}
    built = {name: build_system(name, table, raw.get("data", {})) for name, table in merged.items()}
    corpus = raw.get("corpus", {})
    if not isinstance(corpus, dict):
        raise UsageError(f"{path}: corpus = {corpus!r}: [corpus] is not a table")
    config = Config(**top, corpus=corpus, systems=built)
    masked = {
        name: without_masks(s, merged[name], kind_of(features_of(config, s.data.train))) for name, s in built.items()
    }
    config = dataclasses.replace(config, systems=masked)
    try:
        check_config(config)
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from None
    return config


def kind_of(features: FeaturesConfig) -> str:
    """The type of features, or what a model makes."""
    return features.output if features.type == "model" else features.type


def split_table(table: object) -> tuple[object, dict[str, dict]]:
    """([features] or [tokens] itself, each [features.<name>] laid over it)."""
    if not isinstance(table, dict):
        return table, {}
    own = {key: value for key, value in table.items() if not isinstance(value, dict)}
    return own, {name: own | value for name, value in table.items() if isinstance(value, dict)}


def read_toml(path: Path) -> dict:
    """A TOML file as nested dictionaries."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such configuration; run in a recipe's folder, or give --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as e:
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
    own(raw, *keys[:2])
    table = raw
    for key in keys[:-1]:
        table = step_into(table, key, text)
    if isinstance(table, list):
        raise UsageError(f"--set {text}: name the number of the term, as in student.distill.0.weight=0.5")
    table[keys[-1]] = parsed


def own(raw: dict, name: str, key: str) -> None:
    """Gives a system a copy of the heads, terms or soft labels that it inherits, so that one value of them changes."""
    system = raw.get(name)
    if key in ("heads", "distill", "soft_labels") and isinstance(system, dict) and "base" in system:
        whole = inherit(name, {k: v for k, v in raw.items() if k not in NOT_SYSTEMS})
        system |= {key: copy.deepcopy(whole[key])} if key in whole else {}


def step_into(table: dict | list, key: str, text: str) -> dict | list:
    """The sub-table `key`; a number chooses from an array of tables."""
    if isinstance(table, list):
        if not key.isdecimal() or int(key) >= len(table):
            raise UsageError(f"--set {text}: there is no term {key}; there are {len(table)}, from 0")
        if not isinstance(table[int(key)], dict):
            raise UsageError(f"--set {text}: '{key}' is a value, not a table")
        return table[int(key)]
    inner = table.setdefault(key, {})
    if not isinstance(inner, dict | list):
        raise UsageError(f"--set {text}: '{key}' is a value, not a table")
    return inner
