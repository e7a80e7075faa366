"""Weights on a grid of few bits while learning, so that nothing is lost when they are stored so (Jacob et al. 2018).

Each row of a matrix (each output channel) has a scale of its own, symmetric about 0. The optimiser moves weights of
full precision; outputs and gradients are computed with the rounded ones (straight-through: Bengio et al. 2013).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def rounded(weight: Tensor, bits: int) -> Tensor:
    """A matrix or kernel with each row on a grid of 2^bits - 1 values, symmetric about 0."""
    most = 2 ** (bits - 1) - 1
    scale = weight.detach().abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True) / most
    return (weight / scale.clamp(min=torch.finfo(weight.dtype).tiny)).round() * scale


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


def megabytes(model: nn.Module, bits: int) -> float:
    """The room that a model takes, 10^6 bytes: rounded weights with a scale for each row, all else in 32 bits."""
    size = 0
    for p in model.parameters():
        if bits and is_rounded(p):
            size += p.numel() * bits + 32 * p.size(0)
        else:
            size += 32 * p.numel()
    return size / 8e6
