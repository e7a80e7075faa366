"""Encoders and heads of egs/speechocean762/conf_models.toml, and the other heads on its Conformer: training, and greedy
decoding where a head writes, in memory, on one core.

Where torch or torchaudio has a module of the same shapes, the layers of ours are compared with it: forward and
backward on the same frames. Peak memory is that of a process of its own, above what the imports take.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.rows import Goal, Row, race
from steps.config.load import load
from steps.config.schema import DecodeConfig, SystemConfig
from steps.decoding.decode_set import can_write, decoder_of
from steps.heads.registry import SELF_SUPERVISED
from steps.nnet.model import Recogniser
from tests.support import ROOT

CONF = ROOT / "egs" / "speechocean762" / "conf_models.toml"
NUM_MEL_BINS, NUM_TOKENS = 80, 40
B, T, L = 12, 400, 20  # utterances of 4 s
GOAL = Goal(at_most=1.2)
CLASSES = ["one", "other"]
OTHER_HEADS = {
    "transducer_lstm": {"transducer": {"predictor": "lstm"}},
    "classifier": {"classifier": {"classes": CLASSES}},
    "autoencoder": {"autoencoder": {"bottleneck": 40}},
    "best_rq": {"best_rq": {}},
    "reconstruction": {"reconstruction": {}},
}


class LstmLayers(nn.Module):
    """torch's LSTM or GRU of the shapes of our encoder's layers, on (B, U, D)."""

    def __init__(self, cls: type, dim: int, num_layers: int, bidirectional: bool):
        super().__init__()
        self.layers = cls(dim, dim, num_layers, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, U, D), (B,) -> (B, U, D)"""
        return self.layers(x)[0]


class TransformerLayers(nn.Module):
    """torch's Transformer encoder."""

    def __init__(self, dim: int, num_heads: int, expansion: int, num_layers: int):
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, num_heads, dim * expansion, 0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, U, D), (B,) -> (B, U, D)"""
        return self.layers(x, src_key_padding_mask=torch.arange(x.size(1)) >= lengths[:, None])


def counterpart(model: Recogniser, settings: dict) -> nn.Module | None:
    """A module of torch or torchaudio with the shapes of an encoder's layers."""
    from torchaudio.models import Conformer

    kind, s = settings["encoder"], settings
    if kind in ("lstm", "gru"):
        cls = nn.LSTM if kind == "lstm" else nn.GRU
        return LstmLayers(cls, s["dim"], s["num_layers"], s["bidirectional"])
    if kind == "transformer":
        return TransformerLayers(s["dim"], s["num_heads"], s["expansion"], s["num_layers"])
    if kind == "conformer" and not s["chunk_ms"]:
        inner = s["dim"] * s["expansion"]
        return Conformer(s["dim"], s["num_heads"], inner, s["num_layers"], s["kernel_size"], dropout=s["dropout"])
    return None


def step_of(module: nn.Module, *inputs: object) -> Callable[[], None]:
    """Forward and backward of a module."""
    module.train()

    def step() -> None:
        output = module(*inputs)
        output = output[0] if isinstance(output, tuple) else output
        module.zero_grad(set_to_none=True)
        output.square().mean().backward()

    return step


def layers_of(model: Recogniser) -> nn.Module:
    """Our encoder without what makes fewer frames of its input."""
    for part in ("stack", "subsample"):
        if hasattr(model.encoder, part):
            setattr(model.encoder, part, Passing())
    return model.encoder


class Passing(nn.Module):
    """Stands where frames become fewer, and hands on what it gets."""

    def forward(self, x: Tensor, lengths: Tensor, past: object = None) -> tuple[Tensor, Tensor]:
        """(B, U, D), (B,) -> the same"""
        return x, lengths


def systems() -> dict[str, SystemConfig]:
    """By their names."""
    found = load(CONF).systems
    return found | {name: replace(found["conformer"], heads=heads) for name, heads in OTHER_HEADS.items()}


def make(system: SystemConfig) -> Recogniser:
    """A model with weights from seed 0."""
    torch.manual_seed(0)
    return Recogniser(system.model, NUM_MEL_BINS, NUM_TOKENS, 10.0, heads=system.heads)


def batch() -> tuple[Tensor, Tensor, list[tuple[int, ...]]]:
    """Noise and made-up transcripts."""
    generator = torch.Generator().manual_seed(0)
    labels = [tuple(torch.randint(1, NUM_TOKENS, (L,), generator=generator).tolist()) for _ in range(B)]
    return torch.randn(B, T, NUM_MEL_BINS, generator=generator), torch.full((B,), T), labels


def training_step(model: Recogniser) -> Callable[[], None]:
    """Forward, the losses of all heads, backward."""
    feats, feat_lens, labels = batch()
    model.train()

    def step() -> None:
        output = model(feats, feat_lens)
        wanted = {name: [len(CLASSES) - 1] * B if name == "classifier" else labels for name in model.heads}
        wanted |= dict.fromkeys(SELF_SUPERVISED, [None] * B)
        loss = sum(head.loss(output, wanted[name], update=10**6)[0] for name, head in model.heads.items())
        model.zero_grad(set_to_none=True)
        loss.backward()

    return step


@torch.inference_mode()
def decode(model: Recogniser) -> None:
    """Greedy decoding of the batch."""
    feats, feat_lens, _ = batch()
    decoder_of(DecodeConfig(), model)(model.eval()(feats, feat_lens))


def peak_kib() -> int:
    """The most memory that this process ever held; `getrusage` would begin with that of its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def peak_memory_mb(name: str) -> float:
    """Of three training steps, in a process of its own, above that of the imports."""
    command = [sys.executable, "-m", "bench.encoders", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows(folder: Path) -> list[Row]:
    """For each system its speeds, its memory, and its layers against their counterpart."""
    table = []
    for name, system in systems().items():
        model = make(system)
        label = f"{name}, {model.num_params():,} weights"
        runners = {"training": training_step(model)}
        if any(map(can_write, model.heads.values())):
            runners["decoding"] = lambda m=model: decode(m)
        for what, taken in race(runners, 3).items():
            table.append(Row(f"{label}: {what}", B * T / 100 / taken, None, None, Goal(), "x real time"))
        peak = peak_memory_mb(name)
        table.append(Row(f"{label}: peak memory of training on {B * T / 100:g} s", peak, None, None, Goal(), "MB"))
        other = counterpart(model, system.model) if name not in OTHER_HEADS else None
        if other is not None:
            U = T // system.model["subsampling"]
            x, lengths = torch.randn(B, U, system.model["dim"]), torch.full((B,), U)
            runners = {"ours": step_of(layers_of(make(system)), x, lengths), "other": step_of(other, x, lengths)}
            taken = race(runners, 7)
            ratio = taken["ours"] / taken["other"]
            module = type(getattr(other, "layers", other)).__name__
            own = f"{name}: layers alone, against {module if module != 'ModuleList' else type(other).__name__}"
            table.append(Row(own, 1000 * taken["ours"], 1000 * taken["other"], ratio, GOAL, "ms"))
    return table


if __name__ == "__main__":
    torch.set_num_threads(1)
    chosen = make(systems()[sys.argv[1]])
    before = peak_kib()
    work = training_step(chosen)
    for _ in range(3):
        work()
    print((peak_kib() - before) / 1024)
