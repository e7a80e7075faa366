"""Small models of every encoder under every head, and utterances that they can learn."""

import numpy as np
import torch

from steps.heads.registry import HEADS
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from steps.nnet.registry import ENCODERS, PRETRAINED

F, V = 12, 5
CLASSES = ["few", "many"]
SMALL = {"dim": 16, "num_layers": 2, "num_heads": 2, "channels": 4, "dropout": 0.0}
CHUNKS = {"chunk_ms": 80, "left_context_ms": 160}
OWN = {  # settings by encoder
    "cnn": {"dim": 16, "channels": 4, "dropout": 0.0},
    "conformer": SMALL,
    "dnn": {"dim": 32, "num_layers": 2, "dropout": 0.0},
    "ebranchformer": SMALL,
    "gru": {"dim": 24, "bidirectional": True, "dropout": 0.0},
    "lstm": {"dim": 24, "bidirectional": True, "dropout": 0.0},
    "tdnn": {"dim": 24, "num_layers": 3, "dropout": 0.0},
    "transformer": SMALL,
}
STREAMING = {  # what is set besides, so that it streams
    "cnn": {"is_causal": True},
    "conformer": CHUNKS,
    "dnn": {"right_frames": 1},
    "ebranchformer": CHUNKS,
    "gru": {"bidirectional": False},
    "lstm": {"bidirectional": False},
    "tdnn": {"is_causal": True},
    "transformer": CHUNKS,
}
OF_HEADS = {
    "autoencoder": {"bottleneck": 8},
    "best_rq": {},
    "classifier": {"classes": CLASSES, "dropout": 0.0},
    "ctc": {},
    "hmm": {"num_states": 2, "flat_updates": 20, "acoustic_scale": 1.0},
    "las": {"dim": 24, "dropout": 0.0, "label_smoothing": 0.0},
    "reconstruction": {},
    "transducer": {"dim": 24, "dropout": 0.0},
    "transformer_decoder": {"dim": 16, "num_heads": 2, "dropout": 0.0, "label_smoothing": 0.0},
}
assert OWN.keys() == STREAMING.keys() == set(ENCODERS) - set(PRETRAINED), "an encoder is not tested"
assert OF_HEADS.keys() == set(HEADS) - {"whisper_decoder"}, "a head is not tested"  # that of Whisper is not trained


def settings_of(encoder: str, streams: bool = False) -> dict:
    """[model] of a small one."""
    return {"encoder": encoder, **OWN[encoder], **(STREAMING[encoder] if streams else {}), "subsampling": 2}


def make(encoder: str, head: str, streams: bool = False, **more: object) -> Recogniser:
    """A model with fresh weights, the same each time."""
    torch.manual_seed(0)
    return Recogniser(settings_of(encoder, streams), F, V, 10.0, heads={head: OF_HEADS[head] | more})


def batch() -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, ...]]]:
    """Eight utterances in which each token sounds for 12 frames, and silence stands between them."""
    generator = np.random.default_rng(0)
    sounds = generator.normal(0, 2, (V, F))
    labels = [tuple(generator.integers(1, V, n).tolist()) for n in (1, 2, 2, 3, 3, 4, 4, 5)]
    feats = []
    for tokens in labels:
        rows = [sounds[0]] * 6 + [sounds[t] for t in tokens for t in [t] * 12 + [0] * 6]
        feats.append((np.array(rows) + 0.1 * generator.normal(size=(len(rows), F))).astype(np.float32))
    return *pad(feats), labels
