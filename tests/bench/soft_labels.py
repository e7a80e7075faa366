"""Making soft labels, from an archive to a file, against the teacher alone on features that lie ready in memory."""

from functools import partial
from pathlib import Path

import torch

from bench import systems
from bench.rows import Goal, Row, race, speed_row
from bench.speech import random_examples
from steps.config.schema import SoftLabelsConfig
from steps.distillation.extract import Asked, encode_frames, posterior_layout, write_shard
from steps.nnet.inference import batches_by_length, pad
from utils.data_dir.archive import read_feats
from utils.data_dir.data_dir import DataDir

GOAL = Goal(at_least=0.8)
TOKENS = (systems.NUM_TOKENS, 500)


@torch.inference_mode()
def bare_teacher(model: torch.nn.Module, batches: list) -> None:
    """Runs the model, and keeps nothing."""
    for feats, feat_lens in batches:
        model(feats, feat_lens)


def rows(folder: Path) -> list[Row]:
    """A row for few and for many tokens."""
    examples = random_examples(folder, 100, systems.NUM_TOKENS)
    num_frames = {e.utt_id: e.num_frames for e in examples}
    feats = {e.utt_id: e.feats for e in examples}
    data = DataDir(folder, {"feats.scp": feats, "utt2num_frames": {u: str(n) for u, n in num_frames.items()}})
    batches = [pad([read_feats(feats[u]) for u in batch]) for batch in batches_by_length(num_frames)]
    table = []
    for num_tokens in TOKENS:
        teacher = systems.loaded(systems.TEACHER, num_tokens)
        layout = posterior_layout(teacher, Asked("frame_topk", "ctc", 0, SoftLabelsConfig()))
        encode = partial(encode_frames, head="ctc", layout=layout)
        ours = partial(write_shard, (1, list(feats)), data, teacher, encode, layout, folder, "cpu")
        seconds = race({"ours": ours, "bare": partial(bare_teacher, teacher.model, batches)}, 5)
        duration_s = sum(num_frames.values()) / 100
        name = f"soft labels, bidirectional LSTM, {num_tokens} tokens"
        table.append(speed_row(name, duration_s, seconds["ours"], seconds["bare"], GOAL, "x real time"))
    return table
