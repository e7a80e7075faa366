"""Runs a teacher over a data directory and writes its soft labels, in shards side by side."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from steps.config.schema import DecodeConfig, SoftLabelsConfig
from steps.decoding.decode_set import decode_set, write_hypotheses, writing_head
from steps.distillation.store import FrameTopkFormat, choose_top_k, encode_frames, write_frames, write_layout
from steps.distillation.transcripts import write_unit
from steps.features.settings import check_features
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel, load_model
from utils.data_dir.data_dir import DataDir
from utils.jobs.workers import map_in_processes

UTTS_PER_SHARD = 500


@dataclass(frozen=True)
class Extraction:
    """What was written: where each utterance is, and how large it is."""

    places: dict[str, str]
    layout: FrameTopkFormat
    bytes_per_second: float


def layout_of(teacher: LoadedModel, settings: SoftLabelsConfig) -> FrameTopkFormat:
    """The layout for a teacher under the [soft_labels] settings."""
    config = teacher.config
    top_k = choose_top_k(settings.top_k, config.num_tokens, settings.bits, teacher.model.frame_shift_ms)
    return FrameTopkFormat(
        config.num_tokens,
        top_k,
        settings.bits,
        config.blank_id,
        teacher.model.frame_shift_ms,
        config.tokens_sha256,
        config.features,
    )


def write_shard(
    job: tuple[int, list[str]], data: DataDir, teacher: LoadedModel, layout: FrameTopkFormat, out: Path, device: str
) -> dict[str, str]:
    """Writes one shard; returns where its utterances are."""
    number, utt_ids = job
    torch.set_num_threads(1)
    feats_scp = {u: data.tables["feats.scp"][u] for u in utt_ids}
    num_frames = {u: int(data.tables["utt2num_frames"][u]) for u in utt_ids}
    rows = {}
    for batch, output in run_model(teacher.model, feats_scp, num_frames, device):
        log_probs = output.logits["ctc"].float().log_softmax(-1).cpu().numpy()  # (B, U, V)
        for utt_id, matrix, length in zip(batch, log_probs, output.lengths.tolist(), strict=True):
            rows[utt_id] = encode_frames(matrix[:length], layout)
    return write_frames(out, number, {utt_id: rows[utt_id] for utt_id in utt_ids}, layout)


def extract(
    folder: Path, data_dir: Path, out: Path, settings: SoftLabelsConfig, nj: int, device: str = "cpu"
) -> Extraction:
    """Writes the posteriors of a data directory below `out`; on a GPU in this process alone."""
    teacher = load_model(folder, device)
    check_features(data_dir, teacher.config.features)
    layout = layout_of(teacher, settings)
    data = DataDir.read(data_dir, "feats.scp", "utt2num_frames", "utt2dur")
    work = partial(write_shard, data=data, teacher=teacher, layout=layout, out=out, device=device)
    results = map_in_processes(work, shards_of(data), nj if device == "cpu" else 1)
    write_layout(out, layout)
    places = {utt_id: place for result in results for utt_id, place in result.items()}
    size = sum(path.stat().st_size for path in out.glob("frame_topk.*.bin"))
    seconds = sum(map(float, data.tables["utt2dur"].values()))
    return Extraction(places, layout, size / max(seconds, 1e-9))


def shards_of(data: DataDir) -> list[tuple[int, list[str]]]:
    """The utterances in numbered parts."""
    utt_ids = list(data.tables["feats.scp"])
    parts = [utt_ids[i : i + UTTS_PER_SHARD] for i in range(0, len(utt_ids), UTTS_PER_SHARD)]
    return list(enumerate(parts, 1))


def transcribe_shard(
    job: tuple[int, list[str]], data: DataDir, teacher: LoadedModel, settings: DecodeConfig, device: str
) -> dict[str, dict]:
    """The entry of each utterance of one shard, as nbest.jsonl holds it."""
    torch.set_num_threads(1)
    feats_scp = {u: data.tables["feats.scp"][u] for u in job[1]}
    num_frames = {u: int(data.tables["utt2num_frames"][u]) for u in job[1]}
    return decode_set(teacher, feats_scp, num_frames, device, settings)


def transcribe(
    folder: Path, data_dir: Path, out: Path, settings: DecodeConfig, nj: int, device: str = "cpu"
) -> dict[str, str]:
    """Writes what a teacher says in a data directory below `out`; returns it."""
    teacher = load_model(folder, device)
    check_features(data_dir, teacher.config.features)
    data = DataDir.read(data_dir, "feats.scp", "utt2num_frames")
    work = partial(transcribe_shard, data=data, teacher=teacher, settings=settings, device=device)
    found = {}
    for part in map_in_processes(work, shards_of(data), nj if device == "cpu" else 1):
        found |= part
    texts = write_hypotheses(out, found)
    write_unit(out, teacher.tokens_of(writing_head(settings, teacher.model)).unit)
    return texts
