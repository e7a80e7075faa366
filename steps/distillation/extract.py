"""Runs a teacher over a data directory and writes its soft labels, in shards side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from steps.config.schema import DecodeConfig, SoftLabelsConfig
from steps.decoding.decode_set import check_finite, decode_set, write_hypotheses, writing_head
from steps.distillation.hidden_codes import CODEBOOKS, CodeFormat, encode_states, share_lost, train_codebooks
from steps.distillation.posteriors import PosteriorFormat, choose_top_k, encode_posteriors
from steps.distillation.records import Layout, write_layout, write_records
from steps.distillation.transcripts import write_unit
from steps.features.settings import check_features
from steps.heads.transcripts import transcribed
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel, load_model
from steps.nnet.output import ModelOutput
from steps.nnet.tensor_file import save_tensors
from steps.tokens.token_table import read_speller
from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import read_table, write_table
from utils.jobs.errors import DataError
from utils.jobs.files import sha256
from utils.jobs.workers import map_in_processes

UTTS_PER_SHARD = 500
CODEBOOK_UTTS = 500  # of the teacher's training set, that codebooks are trained on
CODEBOOK_FRAMES = 40_000  # of them

Encode = Callable[[list[str], ModelOutput], dict[str, np.ndarray]]  # utterances, output -> the rows of each


@dataclass(frozen=True)
class Asked:
    """Which soft labels.

    Attributes:
        kind: Of the soft labels.
        head: Of the teacher; empty for hidden states.
        layer: Of the teacher, for hidden states; 0: the last.
        settings: [<teacher>.soft_labels]
    """

    kind: str
    head: str
    layer: int
    settings: SoftLabelsConfig


@dataclass(frozen=True)
class Extraction:
    """What was written: where each utterance is, and how large it is."""

    places: dict[str, str]
    layout: Layout
    bytes_per_second: float
    left_out: list[str]  # utterances without a transcript that could be read


def facts_of(teacher: LoadedModel) -> dict:
    """What every layout says of a teacher."""
    config = teacher.config
    shift = teacher.model.frame_shift_ms
    return {"frame_shift_ms": shift, "tokens_sha256": config.tokens_sha256, "features": config.features}


def posterior_layout(teacher: LoadedModel, asked: Asked) -> PosteriorFormat:
    """The layout of a teacher's posteriors under the [soft_labels] settings."""
    settings, model = asked.settings, teacher.model
    if asked.kind == "lattice":
        num_tokens = top_k = 3  # next label, blank, others
    else:
        frames = asked.kind == "frame_topk"
        num_tokens = model.heads[asked.head].linear.out_features if frames else teacher.config.num_tokens
        top_k = choose_top_k(settings.top_k, num_tokens, settings.bits, model.frame_shift_ms)
    blank = teacher.config.blank_id
    return PosteriorFormat(num_tokens, top_k, settings.bits, blank, kind=asked.kind, **facts_of(teacher))


def encode_frames(utt_ids: list[str], output: ModelOutput, head: str, layout: PosteriorFormat) -> dict[str, np.ndarray]:
    """The posteriors of each frame."""
    log_probs = output.logits[head].float().log_softmax(-1).cpu().numpy()  # (B, U, V)
    pairs = zip(utt_ids, log_probs, output.lengths.tolist(), strict=True)
    return {utt_id: encode_posteriors(matrix[:length], layout) for utt_id, matrix, length in pairs}


@torch.inference_mode()
def encode_forced(
    utt_ids: list[str],
    output: ModelOutput,
    teacher: LoadedModel,
    head: str,
    layout: PosteriorFormat,
    labels: dict[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    """The posteriors of each token of a transcript, or of each place of its lattice, frame after frame."""
    found = transcribed(output, [labels[utt_id] for utt_id in utt_ids])
    log_probs = teacher.model.heads[head].forced(found).float().log_softmax(-1).cpu().numpy()
    rows = {}
    for i, utt_id in enumerate(utt_ids):
        tokens = int(found.sizes[i]) + 1
        own = log_probs[i, : int(found.lengths[i]), :tokens] if layout.kind == "lattice" else log_probs[i, :tokens]
        rows[utt_id] = encode_posteriors(own.reshape(-1, own.shape[-1]), layout)
    return rows


def encode_hidden(
    utt_ids: list[str], output: ModelOutput, layer: int, books: torch.Tensor, layout: CodeFormat
) -> dict[str, np.ndarray]:
    """The codes of each frame's state."""
    states = output.layer(layer).float()
    books = books.to(states.device)
    pairs = zip(utt_ids, states, output.lengths.tolist(), strict=True)
    return {utt_id: encode_states(x[:length], books).cpu().numpy() for utt_id, x, length in pairs}


def write_shard(
    job: tuple[int, list[str]],
    data: DataDir,
    teacher: LoadedModel,
    encode: Encode,
    layout: Layout,
    out: Path,
    device: str,
) -> dict[str, str]:
    """Writes one shard; returns where its utterances are."""
    number, utt_ids = job
    torch.set_num_threads(1)
    feats_scp = {u: data.tables["feats.scp"][u] for u in utt_ids}
    num_frames = {u: int(data.tables["utt2num_frames"][u]) for u in utt_ids}
    rows = {}
    for batch, output in run_model(teacher.model, feats_scp, num_frames, device):
        check_finite(batch, output, feats_scp)
        rows |= encode(batch, output)
    return write_records(out, number, {utt_id: rows[utt_id] for utt_id in utt_ids}, layout)


def read_labels(teacher: LoadedModel, data_dir: Path, data: DataDir) -> dict[str, tuple[int, ...]]:
    """The transcripts of a set in the teacher's tokens; not those that are empty, or that it cannot spell.

    Raises: DataError when none is left; StaleError when the teacher has other tokens than the data's lang.
    """
    table = read_speller(data_dir.parent / "lang", teacher.tokens)
    texts = read_table(data_dir / "text", has_value=False) if (data_dir / "text").is_file() else {}
    found = {}
    for utt_id in data.tables["feats.scp"]:
        tokens = table.encode(texts.get(utt_id, ""))
        if tokens and None not in tokens:
            found[utt_id] = tuple(tokens)
    if not found:
        raise DataError(f"{data_dir}/text: no transcript that the teacher could read, and this loss compares on some")
    return found


def extract(
    folder: Path, data_dir: Path, train_dir: Path, out: Path, asked: Asked, nj: int, device: str = "cpu"
) -> Extraction:
    """Writes the soft labels of a data directory below `out`; on a GPU in this process alone.

    Args:
        folder: Of the teacher.
        data_dir: Whose utterances it hears.
        train_dir: The teacher's training set, which codebooks are trained on.
        out: Where they go.
        asked: Which.
        nj: Processes side by side.
        device: Of the teacher.
    """
    teacher = load_model(folder, device)
    check_features(data_dir, teacher.config.features)
    data = DataDir.read(data_dir, "feats.scp", "utt2num_frames", "utt2dur")
    utt_ids = list(data.tables["feats.scp"])
    if asked.kind == "hidden_codes":
        books, layout = make_codebooks(teacher, train_dir, out, asked, device)
        encode = partial(encode_hidden, layer=asked.layer, books=books, layout=layout)
    else:
        layout = posterior_layout(teacher, asked)
        encode = partial(encode_frames, head=asked.head, layout=layout)
        if asked.kind != "frame_topk":
            labels = read_labels(teacher, data_dir, data)
            utt_ids = list(labels)
            write_table(out / "labels", {u: " ".join(map(str, tokens)) for u, tokens in labels.items()})
            encode = partial(encode_forced, teacher=teacher, head=asked.head, layout=layout, labels=labels)
    work = partial(write_shard, data=data, teacher=teacher, encode=encode, layout=layout, out=out, device=device)
    results = map_in_processes(work, shards_of(utt_ids), nj if device == "cpu" else 1)
    write_layout(out, layout)
    places = {utt_id: place for result in results for utt_id, place in result.items()}
    size = sum(path.stat().st_size for path in out.glob(f"{asked.kind}.*.bin"))
    seconds = sum(float(data.tables["utt2dur"][utt_id]) for utt_id in utt_ids)
    left_out = [utt_id for utt_id in data.tables["feats.scp"] if utt_id not in places]
    return Extraction(places, layout, size / max(seconds, 1e-9), left_out)


def make_codebooks(
    teacher: LoadedModel, train_dir: Path, out: Path, asked: Asked, device: str
) -> tuple[torch.Tensor, CodeFormat]:
    """Trains the codebooks of a layer on the teacher's training set, the same for all sets that it hears."""
    check_features(train_dir, teacher.config.features)
    return codebooks_of(teacher, torch.cat(list(states_of(teacher, train_dir, asked.layer, device))), out, asked)


def codebooks_of(
    teacher: LoadedModel, states: torch.Tensor, out: Path, asked: Asked
) -> tuple[torch.Tensor, CodeFormat]:
    """Trains codebooks on states (frames, D) and writes them."""
    states = states[:: -(-len(states) // CODEBOOK_FRAMES)]
    books = torch.from_numpy(train_codebooks(states.numpy(), asked.settings.codebooks))
    save_tensors(out / CODEBOOKS, {"books": books})
    lost = round(share_lost(states, books), 4)
    digest = sha256(out / CODEBOOKS)
    layout = CodeFormat(len(books), books.size(2), asked.layer, codebooks_sha256=digest, lost=lost, **facts_of(teacher))
    return books, layout


def states_of(teacher: LoadedModel, data_dir: Path, layer: int, device: str) -> Iterator[torch.Tensor]:
    """(U, D) the states of utterances spread over a set."""
    torch.set_num_threads(1)
    data = DataDir.read(data_dir, "feats.scp", "utt2num_frames")
    chosen = list(data.tables["feats.scp"])
    chosen = chosen[:: -(-len(chosen) // CODEBOOK_UTTS)]
    feats_scp = {u: data.tables["feats.scp"][u] for u in chosen}
    num_frames = {u: int(data.tables["utt2num_frames"][u]) for u in chosen}
    for _, output in run_model(teacher.model, feats_scp, num_frames, device):
        for states, length in zip(output.layer(layer), output.lengths.tolist(), strict=True):
            yield states[:length].float().cpu()


def shards_of(utt_ids: list[str]) -> list[tuple[int, list[str]]]:
    """The utterances in numbered parts."""
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
    for part in map_in_processes(work, shards_of(list(data.tables["feats.scp"])), nj if device == "cpu" else 1):
        found |= part
    texts = write_hypotheses(out, found)
    if settings.decoder == "beam":  # what a filter compares the best hypothesis with
        plain = partial(work, settings=replace(settings, decoder="greedy", nbest=1))
        parts = map_in_processes(plain, shards_of(list(texts)), nj if device == "cpu" else 1)
        greedy = {utt_id: entry["nbest"][0]["text"] for part in parts for utt_id, entry in part.items()}
        write_table(out / "text_greedy", {utt_id: greedy[utt_id] for utt_id in texts})
    write_unit(out, teacher.tokens_of(writing_head(settings, teacher.model)).unit)
    return texts
