"""Weights on a grid of few bits while learning, so that nothing is lost when they are stored so (Jacob et al. 2018).

Each row of a matrix (each output channel) has a scale of its own, symmetric about 0. The optimiser moves weights of
full precision; outputs and gradients are computed with the rounded ones (straight-through: Bengio et al. 2013).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from steps.nnet.tensor_file import load_tensors

CODES, SCALE = ".codes", ".scale"  # of a weight, in a file


def on_grid(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """(whole numbers from -(2^(bits - 1) - 1) to the same above 0, the scale of each row) of a matrix or kernel."""
    scale = weight.detach().abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True) / most_of(bits)
    return (weight / scale.clamp(min=torch.finfo(weight.dtype).tiny)).round(), scale


def most_of(bits: int) -> int:
    """The greatest whole number of so many bits, one of them for the sign."""
    return 2 ** (bits - 1) - 1


def rounded(weight: Tensor, bits: int) -> Tensor:
    """A matrix or kernel with each row on a grid of 2^bits - 1 values, symmetric about 0."""
    codes, scale = on_grid(weight, bits)
    return codes * scale


def is_rounded(weight: Tensor) -> bool:
    """Whether a weight is stored in few bits: matrices and kernels are; biases and the gains of norms are few."""
    return weight.ndim > 1 and weight.is_floating_point()


@contextmanager
def rounded_weights(model: nn.Module, bits: int) -> Iterator[None]:
    """Within it a model computes with rounded weights; 0 bits: with its own."""
    own = {p: p.data for p in model.parameters() if bits and is_rounded(p)}
    for p, weight in own.items():
        p.data = rounded(weight, bits)
    try:
        yield
    finally:
        for p, weight in own.items():
            p.data = weight


def round_all(weights: dict[str, Tensor], names: set[str], bits: int) -> dict[str, Tensor]:
    """A state with those of some names rounded."""
    return {
        name: rounded(value, bits) if bits and name in names and is_rounded(value) else value
        for name, value in weights.items()
    }


def pack(weights: dict[str, Tensor], names: set[str], bits: int) -> tuple[dict[str, Tensor], dict]:
    """(a state as a file holds it, what `unpack` must know): of those of some names their bits and scales."""
    packed, shapes = {}, {}
    for name, value in weights.items():
        if bits and name in names and is_rounded(value):
            codes, scale = on_grid(value, bits)
            whole = (codes + most_of(bits)).to(torch.uint8).flatten().cpu().numpy()
            stream = np.packbits(np.unpackbits(whole[:, None], axis=1)[:, 8 - bits :])
            packed |= {name + CODES: torch.from_numpy(stream), name + SCALE: scale.flatten()}
            shapes[name] = list(value.shape)
        else:
            packed[name] = value
    return packed, {"rounded": {"bits": bits, "shapes": shapes}} if shapes else {}


def unpack(packed: dict[str, Tensor], facts: dict) -> dict[str, Tensor]:
    """The state that was packed, rounded."""
    weights = dict(packed)
    rounded_ones = facts.get("rounded", {"bits": 0, "shapes": {}})
    bits = rounded_ones["bits"]
    for name, shape in rounded_ones["shapes"].items():
        stream, scale = weights.pop(name + CODES).numpy(), weights.pop(name + SCALE)
        each = np.unpackbits(stream, count=bits * int(np.prod(shape))).reshape(-1, bits)
        whole = np.packbits(np.pad(each, ((0, 0), (8 - bits, 0))), axis=1)
        codes = torch.from_numpy(whole).view(shape).to(scale.dtype) - most_of(bits)
        weights[name] = codes * scale.view(-1, *[1] * (len(shape) - 1))
    return weights


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict]:
    """(a model's weights, facts) of a file. Raises: as `steps.nnet.tensor_file.load_tensors`."""
    tensors, facts = load_tensors(path)
    return unpack(tensors, facts), facts


def megabytes(model: nn.Module, bits: int) -> float:
    """The room that a model takes, 10^6 bytes: rounded weights with a scale for each row, all else in 32 bits."""
    size = 0
    for p in model.parameters():
        if bits and is_rounded(p):
            size += p.numel() * bits + 32 * p.size(0)
        else:
            size += 32 * p.numel()
    return size / 8e6
