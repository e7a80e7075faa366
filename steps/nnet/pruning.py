"""Structured pruning: a narrower model from a wider one, by its most important units (Li et al. 2017; Xia et al. 2022).

A unit is a hidden one of a feed-forward module or a gated one, a recurrent cell, or an output of the frame stacking
before cells. It has rows in the tensors that make it and columns in those that read it; its importance is the sum of
the squares of all. Which units there are is read from the narrow model; the wide one has tensors of the same names.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steps.nnet.ebranchformer import GatedConvMlp

GATES = {nn.LSTM: 4, nn.GRU: 3}
READERS = ("linear", "enter")  # the maps of heads that the encoder's states go into; an LAS has none that can be cut


@dataclass(frozen=True)
class Place:
    """Where units stand in a tensor.

    Attributes:
        name: Of the tensor.
        axis: Of the units.
        blocks: How often all of them stand there, one after the other, as the gates of a cell.
        part: Which of `parts` equal pieces of the axis holds them, as those of two directions.
        parts: Pieces of the axis.
    """

    name: str
    axis: int
    blocks: int = 1
    part: int = 0
    parts: int = 1

    @property
    def module(self) -> str:
        """What the tensor belongs to."""
        return self.name.rpartition(".")[0]

    def count(self, tensor: Tensor) -> float:
        """How many units stand there."""
        return tensor.size(self.axis) / self.blocks / self.parts

    def view(self, tensor: Tensor) -> Tensor:
        """(blocks, units, rest) the numbers of each unit."""
        x = tensor.movedim(self.axis, 0).flatten(1) if tensor.ndim > 1 else tensor[:, None]
        x = x.view(self.parts, self.blocks, -1, x.size(-1))
        return x[self.part]


Units = list[Place]  # units stand in several tensors in the same order


def units_of(model: nn.Module) -> list[Units]:
    """The units of a model that may be pruned."""
    parts = list(model.named_modules())
    found = [units for name, part in parts for units in of_feed_forward(name, part)]
    found += [of_gated(name) for name, part in parts if isinstance(part, GatedConvMlp)]
    layers = getattr(model.encoder, "layers", [])
    first = layers[0] if isinstance(layers, nn.ModuleList) and layers else None
    if isinstance(first, nn.ModuleList) and type(first[0]) in GATES:
        found += of_cells(model)
    return found


def of_feed_forward(name: str, part: nn.Module) -> list[Units]:
    """The hidden units between two linear maps that follow each other in a sequence."""
    if not isinstance(part, nn.Sequential):
        return []
    linear = [i for i, layer in enumerate(part) if isinstance(layer, nn.Linear)]
    found = []
    for i, j in zip(linear, linear[1:], strict=False):
        if not any(list(layer.parameters()) for layer in part[i + 1 : j]):
            places = [Place(f"{name}.{i}.weight", 0), Place(f"{name}.{i}.bias", 0), Place(f"{name}.{j}.weight", 1)]
            found.append(places)
    return found


def of_gated(name: str) -> Units:
    """The pairs of a hidden unit and the one that gates it."""
    units = [Place(f"{name}.widen.{kind}", 0, 2) for kind in ("weight", "bias")]
    units += [
        Place(f"{name}.{part}.{kind}", 0) for part in ("gate_norm", "depthwise.conv") for kind in ("weight", "bias")
    ]
    return [*units, Place(f"{name}.out.weight", 1)]


def of_cells(model: nn.Module) -> list[Units]:
    """The cells of each layer and direction, and the outputs of the frame stacking."""
    layers = model.encoder.layers
    entered = [Place("encoder.stack.linear.weight", 0), Place("encoder.stack.linear.bias", 0)]
    found = [[*entered, *readers(model, 0, 0, 1)]]
    for i, directions in enumerate(layers):
        for d, cell in enumerate(directions):
            gates, prefix = GATES[type(cell)], f"encoder.layers.{i}.{d}"
            own = [Place(f"{prefix}.{name}_l0", 0, gates) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            own.append(Place(f"{prefix}.weight_hh_l0", 1))
            if i + 1 < len(layers):
                found.append([*own, *readers(model, i + 1, d, len(directions))])
            else:
                heads = [name for name, x in model.heads.named_parameters() if reads_encoder(name, x, model)]
                found.append([*own, *(Place(f"heads.{name}", 1, 1, d, len(directions)) for name in heads)])
    return found


def readers(model: nn.Module, layer: int, part: int, parts: int) -> list[Place]:
    """Where a layer of cells reads its input."""
    directions = range(len(model.encoder.layers[layer]))
    found = [Place(f"encoder.layers.{layer}.{d}.weight_ih_l0", 1, 1, part, parts) for d in directions]
    if isinstance(model.encoder.norms[layer], nn.LayerNorm):
        found += [Place(f"encoder.norms.{layer}.{name}", 0, 1, part, parts) for name in ("weight", "bias")]
    return found


def reads_encoder(name: str, weight: Tensor, model: nn.Module) -> bool:
    """Whether a head's weight is the matrix that the encoder's states go into."""
    part, kind = name.split(".")[-2:]
    return part in READERS and kind == "weight" and weight.size(1) == model.encoder.output_dim


def narrowed(tensors: dict[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], dict[str, tuple[int, int]]]:
    """(the tensors of a wider model cut to a narrower one's sizes, (before, after) of each kind of units by its name).

    Left as they are: units of which the wide model does not have more, or whose tensors do not all exist there; cells
    of another kind (tensors of one module hold different numbers of them); and a tensor that has others in their place,
    as that of a layer which did not follow the one before it.
    """
    own = model.state_dict()
    chosen: dict[tuple[str, int], dict[int, Tensor]] = {}
    told = {}
    for units in units_of(model):
        first = units[0]
        if any(place.name not in tensors for place in units):
            continue
        before, after = (int(first.count(x[first.name])) for x in (tensors, own))
        if before <= after or any(p.count(tensors[p.name]) != before for p in units if p.module == first.module):
            continue
        places = [place for place in units if place.count(tensors[place.name]) == before]
        importance = sum(place.view(tensors[place.name]).float().square().sum((0, 2)) for place in places)
        kept = importance.topk(after).indices.sort().values
        told[first.module] = (before, after)
        for place in places:
            rows = torch.cat([block * before + kept for block in range(place.blocks)])
            chosen.setdefault((place.name, place.axis), {})[place.part] = rows + place.part * place.blocks * before
    found = dict(tensors)
    for (name, axis), parts in chosen.items():
        found[name] = found[name].index_select(axis, torch.cat([parts[part] for part in sorted(parts)]))
    return found, told
