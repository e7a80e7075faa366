"""Fine-tuning: weights taken from another model, weights that stay, learning rates that fall layer by layer."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from steps.config.schema import InitConfig
from steps.heads.registry import SELF_SUPERVISED, WRITING
from steps.nnet.model import ModelConfig
from steps.nnet.pruning import narrowed, units_of
from steps.nnet.rounding import load_weights
from steps.tokens.token_table import SPACE, TokenTable
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError, UsageError

NORMALISATION = ("mean", "inverse_sd")  # goes with an encoder
IRRELEVANT = (
    "model.dropout",
    "model.config",
    "model.freeze_convolutions",
    "features.utts_per_shard",
    "features.resample",
    "features.compress",
)  # to whether adapters fit a base
NEVER = -100.0  # logit of a token that a model does not have
LAYER = re.compile(r"^encoder\.(?:.+?\.)??(?:layers|norms)\.(\d+)\.")  # those of a pre-trained encoder lie deeper
BEHIND = ("norm", "out")  # the layers of our encoders


@dataclass
class Taken:
    """What became of a model's weights: the names taken, and the reason for each that was not."""

    names: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def has_prefix(name: str, prefixes: list[str]) -> bool:
    """Whether a name begins with one of some dotted prefixes."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def take_weights(model: nn.Module, folder: Path, settings: InitConfig) -> Taken:
    """Copies from the model in a folder all weights that have the same name and shape, and logs which.

    Raises: StaleError when none fits; UsageError when a prefix in `take` is no part of the model.
    """
    tensors, _ = load_weights(folder / "model.safetensors")
    own = model.state_dict()
    check_prefixes(settings.take, own, "take")
    found, there = Taken(), with_layers(tensors, own, settings.layers)
    if settings.prune:
        there = pruned(there, model, folder)
    for name, value in own.items():
        why = reason_to_leave(name, value, there.get(name), settings.take)
        if why:
            found.left[name] = why
        else:
            value.copy_(there[name])
            found.names.append(name)
    unused = sorted(there.keys() - own.keys())
    if not set(found.names) - set(NORMALISATION):
        why = next((text for text in found.left.values() if "shape" in text), "no weight has the same name")
        raise StaleError(f"{folder}: no weight of it fits ({why})")
    log.info(f"{len(found.names)} of {len(own)} weights taken from {folder}, {len(unused)} of its own not used")
    for name, why in found.left.items():
        log.info(f"not taken: {name}: {why}")
    for name in unused:
        log.info(f"not used: {name}")
    if settings.prune:
        check_pruned(found, folder)
    return found


def with_layers(tensors: dict[str, Tensor], own: dict[str, Tensor], layers: list[int]) -> dict[str, Tensor]:
    """The weights of a model under the names that they get in one of fewer layers, as [init] layers says.

    Raises: UsageError when the numbers are not those of layers, or not as many as the new model has.
    """
    if not layers:
        return tensors
    check_layers(layers, tensors, own)
    log.info("layers taken: " + ", ".join(f"{i} from {number}" for i, number in enumerate(layers, 1)))
    found = {name: tensor for name, tensor in tensors.items() if layer_of(name) < 0}
    for place, number in enumerate(layers):
        for name, tensor in tensors.items():
            if layer_of(name) == number - 1:
                start, end = LAYER.match(name).span(1)
                found[f"{name[:start]}{place}{name[end:]}"] = tensor
    return found


def check_layers(layers: list[int], there: Iterable[str], own: Iterable[str]) -> None:
    """Raises UsageError when [init] layers are not as many as a model has, or none of those it starts from.

    Args:
        layers: As [init] says.
        there: The names of weights of what it starts from.
        own: Those of the model.
    """
    counts = [1 + max((layer_of(name) for name in weights), default=-1) for weights in (there, own)]
    if len(layers) != counts[1]:
        raise UsageError(f"init.layers = {layers}: {len(layers)} of them, and the model has {counts[1]}")
    if wrong := [number for number in layers if not 1 <= number <= counts[0]]:
        raise UsageError(f"init.layers = {layers}: {wrong[0]} is none of the {counts[0]} layers, from 1")


def pruned(tensors: dict[str, Tensor], model: nn.Module, folder: Path) -> dict[str, Tensor]:
    """The weights of a wider model cut to the sizes of this one.

    Raises: UsageError for an encoder without units that can be cut; StaleError when the wider one has no more of them.
    """
    check_prunable(model)
    found, told = narrowed(tensors, model)
    if not told:
        raise StaleError(f"{folder}: init.prune = true, and it has no more units than the model that starts from it")
    for name, (before, after) in told.items():
        log.info(f"pruned: {name}: {after} of {before} units")
    return found


def check_pruned(taken: Taken, folder: Path) -> None:
    """Raises StaleError when most of an encoder does not fit though units were cut: what is around them differs."""
    there = [name for name in taken.names if name.startswith("encoder.")]
    fresh = {name: why for name, why in taken.left.items() if name.startswith("encoder.") and "shape" in why}
    if len(fresh) > len(there):
        name, why = next(iter(fresh.items()))
        told = f"with fewer units, too, {len(fresh)} weights of the encoder do not fit ({name}: {why})"
        raise StaleError(f"{folder}: init.prune = true: {told}; what stands around the units must be the same")
    if fresh:
        log.warn(f"{folder}: init.prune: {len(fresh)} weights of the encoder begin anew; the log lists them")


def check_prunable(model: nn.Module) -> None:
    """Raises UsageError for a model without units that can be cut."""
    if not units_of(model):
        kind = type(model.encoder).__name__
        raise UsageError(
            f"init.prune = true: {kind} has no units that can be cut; leave it out, or take another encoder"
        )


def layer_of(name: str) -> int:
    """The layer that a weight belongs to, from 0; -1 where to none."""
    match = LAYER.match(name)
    return int(match[1]) if match else -1


def check_meaning(
    taken: Taken, folder: Path, heads: dict[str, dict], table: TokenTable, others: dict[str, TokenTable]
) -> None:
    """Raises StaleError when rows of a head were taken that stand for other tokens or classes in its folder.

    Of a head with another number of tokens no rows fit, and what is left of it means the same.

    Args:
        taken: From the folder.
        folder: Of the model taken from.
        heads: Settings of the new model's heads, with their classes.
        table: Its tokens.
        others: Those of heads with tokens of their own, by the name of these.
    """
    there = read_config(folder).get("heads", {})
    for name, settings in heads.items():
        is_taken = any(has_prefix(weight, [f"heads.{name}"]) for weight in taken.names)
        if not is_taken or settings["type"] in SELF_SUPERVISED:
            continue
        if "classes" in settings:
            is_same, what = settings["classes"] == there.get(name, {}).get("classes"), "classes"
        else:
            before, now = tokens_there(folder, there.get(name, {})), others.get(settings["tokens"], table).to_text()
            is_same, what = before == now or before.count("\n") != now.count("\n"), "tokens"
        if not is_same:
            told = f"its head {name} has as many {what}, but others"
            raise StaleError(
                f'{folder}: {told}; leave the head out with init.take = ["encoder"], or give both the same'
            )


def tokens_there(folder: Path, head: dict) -> str:
    """The table of the tokens that a head writes, as it lies in the model's folder; empty where it is missing."""
    path = folder / (f"tokens_{head['tokens']}.txt" if head.get("tokens") else "tokens.txt")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def check_whole(folder: Path) -> None:
    """Raises StaleError when a folder to start from holds adapters alone."""
    base = read_config(folder).get("base")
    if base:
        raise StaleError(f"{folder}: holds adapters alone; start from the model they stand beside, {base['path']}")


def check_left_out(folder: Path, left_out: list[str]) -> None:
    """Raises StaleError when a model to start from learnt transcripts of speakers whom a fold leaves out."""
    there = read_config(folder)
    has_read = not {head["type"] for head in there.get("heads", {}).values()}.isdisjoint(WRITING)
    if has_read and (known := sorted(set(left_out) - set(there.get("left_out", [])))):
        told = f"knows the transcripts of '{known[0]}', whom this fold leaves out"
        raise StaleError(f"{folder}: {told}; start from a model of the same folds and fold")


def check_base(taken: Taken, folder: Path, student: ModelConfig) -> None:
    """Raises StaleError when a model with adapters differs from its base, which is loaded in its place afterwards."""
    found = read_config(folder)
    keys = [f"model.{key}" for key, value in student.model.items() if found["model"].get(key) != value]
    keys += [f"features.{key}" for key, value in student.features.items() if found["features"].get(key, value) != value]
    keys = [key for key in keys if key not in IRRELEVANT]
    heads = found.get("heads", student.heads), student.heads
    kinds = [{name: table["type"] for name, table in tables.items()} for tables in heads]
    keys += ["heads"] if kinds[0] != kinds[1] else []
    keys += ["tokens"] if found["tokens_sha256"] != student.tokens_sha256 else []
    if taken.left or keys:
        why = f"differs in {', '.join(keys or list(taken.left)[:3])}"
        raise StaleError(f"{folder}: adapters need a whole model like their own as base, and this one {why}")


def read_config(folder: Path) -> dict:
    """The config.json of a model folder. Raises: StaleError when it cannot be read."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise StaleError(f"{folder}/config.json: cannot be read ({e}); restore it") from None


def take_ctc_head(model: nn.Module, settings: dict, table: TokenTable) -> None:
    """Copies the CTC head that belongs to a pre-trained encoder, and logs which tokens it lacks.

    Letters are found as they are, or else in the other case, and `|` is a space. A token that it lacks is never said.

    Raises: DataError when it has no such head, or none of our tokens but the blank.
    """
    name = settings["model"]
    weight, bias, places, blank = import_module(f"steps.nnet.{settings['encoder']}").ctc_head_of(name)
    in_either_case: dict[str, int] = {}
    for spelt, i in places.items():
        in_either_case.setdefault(spelt.lower(), i)
    wanted = ["|" if token in (SPACE, "▁") else token for token in table.tokens]
    rows = [places.get(token, in_either_case.get(token.lower())) for token in wanted]
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

    The heads, and what comes behind the encoder's layers, stand on top; what comes before these lies below the first.
    """
    names = [name for name, _ in model.named_parameters()]
    top = max(map(layer_of, names), default=-1) + 1
    behind = [f"encoder.{part}" for part in (*BEHIND, *getattr(model.encoder, "behind_layers", ()))]
    is_below = {name: name.startswith("encoder.") and not has_prefix(name, behind) for name in names}
    heights = {name: layer_of(name) if is_below[name] else top for name in names}
    return {name: decay ** (top - height) for name, height in heights.items()}
