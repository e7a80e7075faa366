"""Fine-tuning: weights taken from another model, weights that stay, learning rates that fall layer by layer."""

import json
import re
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from steps.config.schema import InitConfig
from steps.nnet.model import ModelConfig
from steps.nnet.tensor_file import load_tensors
from steps.tokens.token_table import SPACE, TokenTable
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError, UsageError

NORMALISATION = ("mean", "inverse_sd")  # goes with an encoder
NEVER = -100.0  # logit of a token that a model does not have
LAYER = re.compile(r"^encoder\.(?:.*?\.)??layers\.(\d+)\.")  # of our encoders, or within one of others
OF_TRAINING = {"config", "dropout", "freeze_convolutions"}  # settings of encoders that change nothing in use


@dataclass
class Taken:
    """What became of a model's weights: the names taken, and the reason for each that was not."""

    names: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def has_prefix(name: str, prefixes: list[str]) -> bool:
    """Whether a name begins with one of some dotted prefixes."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def take_weights(model: nn.Module, folder: Path, settings: InitConfig, table: TokenTable) -> Taken:
    """Copies from the model in a folder all weights that have the same name and shape, and logs which.

    The heads of a model with another tokens.txt mean other things, and stay there.

    Raises: StaleError when none fits; UsageError when a prefix in `take` is no part of the model.
    """
    tensors, _ = load_tensors(folder / "model.safetensors")
    own = model.state_dict()
    check_prefixes(settings.take, own, "take")
    found, tokens = Taken(), folder / "tokens.txt"
    is_foreign = tokens.is_file() and tokens.read_text(encoding="utf-8") != table.to_text()
    for name, value in own.items():
        why = reason_to_leave(name, value, tensors.get(name), settings.take)
        if not why and is_foreign and name.startswith("heads."):
            why = "of other tokens"
        if why:
            found.left[name] = why
        else:
            value.copy_(tensors[name])
            found.names.append(name)
    unused = sorted(tensors.keys() - own.keys())
    if not set(found.names) - set(NORMALISATION):
        why = next((text for text in found.left.values() if "shape" in text), "no weight has the same name")
        raise StaleError(f"{folder}: no weight of it fits ({why})")
    log.info(f"{len(found.names)} of {len(own)} weights taken from {folder}, {len(unused)} of its own not used")
    for name, why in found.left.items():
        log.info(f"not taken: {name}: {why}")
    for name in unused:
        log.info(f"not used: {name}")
    return found


def check_base(folder: Path, config: ModelConfig, taken: Taken) -> None:
    """Raises UsageError when a model is not, but for its adapters, the one in a folder, which is all that they keep."""
    for name, why in taken.left.items():
        raise UsageError(f"lora.rank: adapters need all of their base {folder}, and {name} is not taken: {why}")
    base = ModelConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    if base.tokens_sha256 != config.tokens_sha256:
        raise UsageError(f"lora.rank: adapters write the tokens of their base {folder}, and tokens.txt has others")
    heads = [[(name, table["type"]) for name, table in tables.items()] for tables in (base.heads, config.heads)]
    if heads[0] != heads[1]:
        names = ", ".join(name for name, _ in heads[0])
        raise UsageError(f"lora.rank: adapters have the heads of their base {folder}, {names}")
    for key in sorted(base.model.keys() & config.model.keys() - OF_TRAINING):
        pair = base.model[key], config.model[key]
        if pair[0] != pair[1]:
            raise UsageError(f"lora.rank: model.{key} = {pair[1]!r}, and {pair[0]!r} in the base {folder}")


def take_ctc_head(model: nn.Module, settings: dict, table: TokenTable) -> None:
    """Copies the CTC head that belongs to a pre-trained encoder, and logs which tokens it lacks.

    Letters are found in either case, and `|` is a space. A token that it lacks is never said.

    Raises: DataError when it has no such head, or none of our tokens but the blank.
    """
    name = settings["model"]
    weight, bias, places, blank = import_module(f"steps.nnet.{settings['encoder']}").ctc_head_of(name)
    places = {spelt.lower(): i for spelt, i in places.items()}
    rows = [places.get("|" if token in (SPACE, "▁") else token.lower()) for token in table.tokens]
    rows[model.blank_id] = blank
    missing = [token for token, row in zip(table.tokens, rows, strict=True) if row is None]
    if len(missing) >= len(table.tokens) - 1:
        raise DataError(f"{name}: its tokens ({', '.join(list(places)[:8])}, ...) are none of ours")
    silent = torch.tensor([row is None for row in rows])
    chosen = torch.tensor([row or 0 for row in rows])
    linear = model.heads["ctc"].linear
    with torch.no_grad():
        linear.weight.copy_(weight[chosen].masked_fill(silent[:, None], 0.0))
        linear.bias.copy_(bias[chosen].masked_fill(silent, NEVER))
    log.info(f"CTC head taken from {name}, {len(table.tokens) - len(missing)} of {len(table.tokens)} tokens")
    if missing:
        log.warn(f"{name} lacks the tokens {' '.join(missing)}")


def reason_to_leave(name: str, value: Tensor, other: Tensor | None, take: list[str]) -> str:
    """Why a weight is not taken; empty when it is."""
    if take and name not in NORMALISATION and not has_prefix(name, take):
        return "not asked for"
    if other is None:
        return "not there"
    if other.shape != value.shape:
        return f"shape {tuple(other.shape)} there, {tuple(value.shape)} here"
    return ""


def check_prefixes(prefixes: list[str], names: dict[str, Tensor], setting: str) -> None:
    """Raises UsageError for a prefix that no weight has."""
    for prefix in prefixes:
        if not any(has_prefix(name, [prefix]) for name in names):
            parts = sorted({".".join(name.split(".")[:2]) for name in names})
            raise UsageError(f"init.{setting}: no weight begins with '{prefix}'; valid are {', '.join(parts)}")


def freeze(model: nn.Module, prefixes: list[str]) -> None:
    """Keeps the weights below some prefixes as they are. Raises: UsageError when nothing is left to train."""
    named = dict(model.named_parameters())
    check_prefixes(prefixes, named, "freeze")
    for name, weight in named.items():
        if has_prefix(name, prefixes):
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in named.values()):
        raise UsageError("init.freeze leaves no weight to train")


def lr_scales(model: nn.Module, decay: float) -> dict[str, float]:
    """The factor of the learning rate of each weight: `decay` for each layer above it (Clark et al. 2020, appendix A).

    The heads stand on top; what comes before the layers of the encoder lies below the first.
    """
    names = [name for name, _ in model.named_parameters()]
    layers = [int(match[1]) for name in names if (match := LAYER.match(name))]
    top = max(layers, default=-1) + 1
    scales = {}
    for name in names:
        match = LAYER.match(name)
        height = int(match[1]) if match else -1 if name.startswith("encoder.") else top
        scales[name] = decay ** (top - height)
    return scales
