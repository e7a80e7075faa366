"""What models make of one utterance, frame by frame, and a picture of it."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import can_write, check_finite, decoder_of, text_of
from steps.decoding.greedy import spikes
from steps.features.settings import check_features
from steps.heads.ctc import CtcHead
from steps.heads.hmm import HmmHead, best_alignment
from steps.heads.las import LasHead
from steps.heads.transcripts import transcribed
from steps.heads.transformer_decoder import TransformerDecoderHead
from steps.losses.attention_transfer import energy
from steps.nnet.attention import SelfAttention
from steps.nnet.inference import pad
from steps.nnet.model import LoadedModel, Recogniser, load_model
from steps.nnet.output import ModelOutput
from steps.reporting.figures import drawing
from steps.tokens.token_table import lang_of, read_speller
from utils.data_dir.archive import read_feats
from utils.data_dir.tables import read_table, text_file
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError, UsageError

MAX_TOKENS = 40  # rows of a panel
TITLE = {"fontsize": 9, "loc": "left", "parse_math": False}  # a transcript may hold a $


@dataclass(frozen=True)
class View:
    """What a model makes of an utterance.

    Attributes:
        name: Of the system, with its seed.
        feats: (T, F) that it heard, of `shift_s` / subsampling each.
        shift_s: Between two frames of its output.
        tokens: Those shown, in the order in which they are first spoken, the blank last.
        posteriors: (U, N) of them; (U, 0) of heads that say nothing of each frame.
        aligned: (token, frame) of the transcript; empty where it cannot be aligned.
        said: (token, frame) of the best path.
        text: What it writes.
        energy: (U,) sum of squares of the last layer's states, scaled to length 1.
        attention: By its name: (U, U) of the encoder's last layer, the mean of its heads; (L + 1, U) of a decoder with
            attention while it reads the transcript.
    """

    name: str
    feats: np.ndarray
    shift_s: float
    tokens: list[str]
    posteriors: np.ndarray
    aligned: list[tuple[str, int]]
    said: list[tuple[str, int]]
    text: str
    energy: np.ndarray
    attention: dict[str, np.ndarray]


@torch.inference_mode()
def explain(folder: Path, data_dir: Path, utt_id: str, entry: str, lang_dir: Path) -> View:
    """Runs one model on one utterance: its CTC head, or else the first that writes.

    Raises: UsageError when none does; DataError when its output is not finite, or has no frame.
    """
    torch.set_num_threads(1)
    loaded = load_model(folder)
    check_features(data_dir, loaded.config.features)
    writing = [name for name, head in loaded.model.heads.items() if can_write(head)]
    if not writing:
        raise UsageError(f"{folder}: writes nothing that could be drawn")
    name = "ctc" if "ctc" in writing else writing[0]
    feats = read_feats(entry, utt_id)
    with self_attention(loaded.model) as attention:
        output = loaded.model(*pad([feats]))
    if not int(output.lengths[0]):
        raise DataError(f"{data_dir}: '{utt_id}' is too short for {folder}: nothing is left to draw")
    check_finite([utt_id], output, {utt_id: entry})
    (best, *_), *_ = decoder_of(DecodeConfig(head=name), loaded.model)(output)
    said = [] if best.text else list(zip(best.ids, best.frames, strict=True))
    labels = {head: labels_of(loaded, head, data_dir, utt_id, lang_dir) for head in drawn_heads(loaded.model, name)}
    probs, aligned = heard_tokens(loaded.model, name, output, labels[name])
    spoken = [*(token for token, _ in aligned), *(token for token, _ in said), *labels[name]]
    names = loaded.tokens_of(name).tokens
    shown = [*list(dict.fromkeys(spoken))[:MAX_TOKENS], loaded.config.blank_id]
    return View(
        f"{loaded.config.system}, seed {loaded.config.seed}",
        feats,
        loaded.model.frame_shift_ms / 1000,
        [names[i] for i in shown],
        probs[:, shown if probs.size(1) else []].numpy(),
        [(names[token], frame) for token, frame in aligned],
        [(names[token], frame) for token, frame in said],
        text_of(best, loaded.tokens_of(name)),
        energy(output.encoder_out.float(), output.lengths)[0, : len(probs)].numpy(),
        attention | decoder_attention(loaded.model.heads, output, labels),
    )


def heard_tokens(
    model: Recogniser, name: str, output: ModelOutput, labels: list[int]
) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """What a head says of each frame of one utterance.

    Returns: ((U, V) probabilities of tokens, those of an hmm the sums of each token's states, its silence as blank; or
        (U, 0) of a head that says nothing of frames, (token, frame in which it begins) of a transcript).
    """
    head, length = model.heads[name], int(output.lengths[0])
    if isinstance(head, CtcHead):
        log_probs = output.log_probs(name)[0, :length]
        return log_probs.exp(), align(log_probs, labels, model.blank_id)
    if isinstance(head, HmmHead):
        log_probs = output.log_probs(name)[0, :length]
        silence, states = log_probs.exp().split([1, log_probs.size(1) - 1], 1)
        tokens = states.unflatten(1, (-1, head.num_states)).sum(-1)
        blank = head.blank_id
        probs = torch.cat((tokens[:, :blank], silence, tokens[:, blank:]), 1)
        return probs, align_states(head, log_probs, labels)
    return torch.zeros(length, 0), []


def align_states(head: HmmHead, log_probs: torch.Tensor, labels: list[int]) -> list[tuple[int, int]]:
    """As `align`, through the states of a hidden Markov model, from their (U, S) log-posteriors."""
    if not labels or head.frames_needed(tuple(labels)) > len(log_probs):
        return []
    chain, size = head.chain(torch.tensor([labels])), torch.tensor([len(labels)])
    likelihoods = (log_probs - head.log_prior)[:, chain[0]][None]
    path = best_alignment(likelihoods, torch.tensor([len(log_probs)]), size, head.num_states)[0].tolist()
    places = [1 + i * (head.num_states + 1) for i in range(len(labels))]  # of each token's first state in the chain
    return [(token, path.index(place)) for token, place in zip(labels, places, strict=True)]


def drawn_heads(model: Recogniser, first: str) -> list[str]:
    """The heads that show where they hear a transcript: the first, and decoders with attention."""
    kinds = (LasHead, TransformerDecoderHead)
    return list(dict.fromkeys([first, *(name for name, head in model.heads.items() if isinstance(head, kinds))]))


def labels_of(loaded: LoadedModel, head: str, data_dir: Path, utt_id: str, lang_dir: Path) -> list[int]:
    """An utterance's transcript in the tokens of a head; empty where there is none, or it cannot be spelt."""
    name = loaded.config.heads[head].get("tokens", "")
    path, home = text_file(data_dir, name), lang_of(lang_dir, name)
    text = read_table(path, has_value=False).get(utt_id, "") if path.is_file() else ""
    if not text:
        return []
    try:
        found = read_speller(home, loaded.tokens_of(head)).encode(text)
    except (UsageError, DataError, StaleError) as e:
        log.warn(f"the transcript of '{utt_id}' is not drawn for the head {head}: {e}")
        return []
    if None in found:
        log.warn(f"the transcript of '{utt_id}' is not drawn for the head {head}: {home} cannot spell it")
        return []
    return found


def align(log_probs: torch.Tensor, labels: list[int], blank_id: int) -> list[tuple[int, int]]:
    """(token, frame in which it begins) of a transcript; empty where it does not fit. Source: torchaudio."""
    from torchaudio.functional import forced_align

    repeated = sum(a == b for a, b in zip(labels, labels[1:], strict=False))
    if not labels or len(labels) + repeated > len(log_probs):
        return []
    path, _ = forced_align(log_probs[None].contiguous(), torch.tensor([labels]), blank=blank_id)
    return spikes(path[0].numpy(), blank_id)


@contextmanager
def watched(layers: list[nn.Module], name: str, weigh: Callable[..., torch.Tensor]) -> Iterator[dict[str, np.ndarray]]:
    """Under a name what `weigh`, (layer, its arguments) -> weights, makes of the last of some layers when it runs."""
    found = {}

    def keep(layer: nn.Module, args: tuple) -> None:
        found[name] = weigh(layer, *args).numpy()

    handles = [layer.register_forward_pre_hook(keep) for layer in layers[-1:]]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def self_attention(model: Recogniser) -> AbstractContextManager[dict[str, np.ndarray]]:
    """Where the frames of an utterance look in the encoder's last layer of self-attention, if it has one."""
    layers = [layer for layer in model.encoder.modules() if isinstance(layer, SelfAttention)]
    name = "self-attention of its last layer"
    return watched(layers, name, lambda layer, x, mask, *_: layer.weights(x, mask)[0].mean(0))


def decoder_attention(heads: dict, output: ModelOutput, labels: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Where decoders with attention, if there are any, listen while they read a transcript in their tokens."""
    drawn = {}
    for name, head in heads.items():
        read = labels.get(name, [])
        if not read:
            continue
        found, title = transcribed(output, [tuple(read)]), f"attention of its decoder {name}"
        if isinstance(head, LasHead):
            state, weights = head.start(found.encoder_out, found.lengths), []
            for last in [head.end_id, *read]:
                _, state = head.advance(torch.tensor([last]), state)
                weights.append(state["weights"][0, : int(found.lengths[0])].numpy())
            drawn[title] = np.stack(weights)
        elif isinstance(head, TransformerDecoderHead):
            layers = [layer.multihead_attn for layer in head.layers]
            with watched(layers, title, lambda layer, x, memory, _: layer.forward(x, memory, memory)[1][0]) as one:
                head.forced(found)
            drawn |= one
    return drawn


def picture(utt_id: str, text: str, views: list[View], kind: str) -> bytes:
    """The panels under one another on one axis of time. `kind` is png, svg or pdf."""
    rows = 1 + sum(1 + len(view.attention) for view in views)
    heights = [1.2]
    for view in views:
        heights += [0.5 + 0.13 * len(view.tokens), *([1.4] * len(view.attention))]
    seconds = max(len(view.posteriors) * view.shift_s for view in views)
    width = min(max(6.0, 2.2 * seconds), 30.0)
    shape = {"nrows": rows, "sharex": True, "height_ratios": heights, "squeeze": False, "layout": "constrained"}
    with drawing(width, sum(heights) + 0.3 * rows, **shape) as (figure, grid):
        axes = iter(grid[:, 0])
        first = next(axes)
        feats = next((view.feats for view in views if view.feats.shape[1] > 1), views[0].feats)  # rather than samples
        first.imshow(feats.T, origin="lower", aspect="auto", cmap="Greys", extent=(0, seconds, 0, 1))
        first.set_yticks([])
        first.set_title(f"{utt_id}: {text}", **TITLE)
        for view in views:
            draw_posteriors(next(axes), view)
            for about, weights in view.attention.items():
                draw_attention(next(axes), f"{view.name}: {about}", weights, view.shift_s)
        grid[-1, 0].set_xlabel("seconds")
        marks = {}
        for one in grid[:, 0]:
            marks |= dict(reversed(pair) for pair in zip(*one.get_legend_handles_labels(), strict=True))
        figure.legend(marks.values(), marks, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
        out = io.BytesIO()
        figure.savefig(out, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
        return out.getvalue()


def draw_posteriors(axes: object, view: View) -> None:
    """Posteriors as shades, the transcript as crosses, the best path as circles, the states' energy as a line."""
    U, N = len(view.posteriors), len(view.tokens)
    extent = (0, U * view.shift_s, N - 0.5, -0.5)
    shades = view.posteriors if view.posteriors.size else np.zeros((U, N))
    axes.imshow(shades.T, aspect="auto", cmap="Blues", vmin=0, vmax=1, extent=extent)
    axes.set_yticks(range(N), view.tokens, fontsize=7, parse_math=False)
    places = {token: i for i, token in enumerate(view.tokens)}
    marks = (("transcript, aligned", view.aligned, "x", "#c2571a"), ("best path", view.said, "o", "#222222"))
    for label, found, marker, colour in marks:
        points = [((frame + 0.5) * view.shift_s, places[token]) for token, frame in found if token in places]
        if points:
            style = {"marker": marker, "s": 22, "linewidths": 0.9}
            fill = {"facecolors": "none", "edgecolors": colour} if marker == "o" else {"color": colour}
            axes.scatter(*zip(*points, strict=True), **style, **fill, label=label)
    times, heights = (np.arange(U) + 0.5) * view.shift_s, view.energy / max(view.energy.max(), 1e-9)
    line = {"color": "#2a8f4e", "linewidth": 0.7, "alpha": 0.7}
    axes.plot(times, N - 0.5 - N * heights, **line, label="size of the last layer's states")
    axes.set_title(f"{view.name}: {view.text}", **TITLE)


def draw_attention(axes: object, title: str, weights: np.ndarray, shift_s: float) -> None:
    """Where each frame looked, or a decoder listened while it read each token, from the top down; (rows, U)."""
    rows, U = weights.shape
    axes.imshow(weights, aspect="auto", cmap="Purples", extent=(0, U * shift_s, rows - 0.5, -0.5))
    axes.set_yticks([])
    axes.set_title(title, **TITLE)
