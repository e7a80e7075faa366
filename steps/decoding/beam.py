"""CTC prefix beam search (Hannun et al. 2014, algorithm 1) by flashlight-text, without lexicon and language model.

The beam finds labellings; their scores are then computed exactly, over all paths: those of the search lack the paths
that it pruned, which puts labellings that are close to one another in the wrong order.
"""

from dataclasses import replace
from functools import lru_cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import pad_sequence

from steps.config.schema import DecodeConfig
from steps.decoding.greedy import Hypothesis, collapse
from steps.nnet.output import ModelOutput
from utils.jobs.packages import import_for

TIE_BREAK = 2.0**-10  # of 1 nat and the gap to the best token; float32 tells some thousand amounts of this size apart
TIE_PERIOD = 127  # frames
MAX_CELLS = 2**24  # (labelling, frame, state) of one call of ctc_loss, 8 bytes each


def load_flashlight() -> ModuleType:
    """The decoders of the package. Raises: MachineError when it is not installed."""
    hint = " (Python 3.12 at most), or set it to 'greedy'"
    return import_for("decode.decoder = 'beam'", "flashlight-text", "flashlight.lib.text.decoder", hint)


def beam_search(
    output: ModelOutput, blank_id: int, settings: DecodeConfig, head: str = "ctc"
) -> list[list[Hypothesis]]:
    """The best hypotheses of each utterance, the best first; a score is the log-probability of a labelling."""
    log_probs = output.logits[head].float().log_softmax(-1).cpu()  # (B, U, V)
    return [search(x[:n], blank_id, settings) for x, n in zip(log_probs, output.lengths.tolist(), strict=True)]


def search(log_probs: Tensor, blank_id: int, settings: DecodeConfig) -> list[Hypothesis]:
    """The best hypotheses of one utterance, from log-probabilities (U, V)."""
    if len(log_probs) == 0:
        return [Hypothesis([], [], 0.0)]
    paths = surviving_paths(log_probs, blank_id, settings)
    frames = torch.arange(len(log_probs))
    found = [collapse(path, log_probs[frames, torch.from_numpy(path)].numpy(), blank_id) for path in paths]
    scores = exact_scores(log_probs, [h.ids for h in found], blank_id)
    hypotheses = [replace(h, score=score) for h, score in zip(found, scores, strict=True)]
    return sorted(hypotheses, key=lambda h: (-h.score, h.ids))[: settings.nbest]


def surviving_paths(log_probs: Tensor, blank_id: int, settings: DecodeConfig) -> list:
    """One path, an array (U,) of tokens, of each labelling that is left in the beam after the last frame."""
    flashlight = load_flashlight()
    options = flashlight.LexiconFreeDecoderOptions(
        beam_size=settings.beam_size,
        beam_size_token=settings.beam_tokens,
        beam_threshold=settings.beam_threshold,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=flashlight.CriterionType.CTC,
    )
    # A search begins in its silence token, so that it would lose this token in the first frame: the blank cannot be.
    decoder = flashlight.LexiconFreeDecoder(options, flashlight.ZeroLM(), blank_id, blank_id, [])
    emissions = without_ties(log_probs).contiguous()
    results = decoder.decode(emissions.data_ptr(), *emissions.shape)
    return [np.array(result.tokens[1:-1]) for result in results]  # the search puts silence at both ends


def without_ties(log_probs: Tensor) -> Tensor:
    """Log-probabilities (U, V) against the best of each frame, each lowered by a small fixed amount, the best by none.

    Frames that are alike, as in digital silence, give labellings of the same probability. The search would choose
    among these by their addresses in memory, which differ from run to run.
    """
    num_frames, num_tokens = log_probs.shape
    best, token = log_probs.max(-1, keepdim=True)
    gap = best - log_probs
    shift = tie_breaks(num_tokens).repeat(-(-num_frames // TIE_PERIOD), 1)[:num_frames]
    return -(gap + (1 + gap) * shift).scatter(1, token, 0.0)


@lru_cache(maxsize=1)
def tie_breaks(num_tokens: int) -> Tensor:
    """(TIE_PERIOD, V) amounts without a pattern, the same each time."""
    amounts = np.random.default_rng(0).uniform(TIE_BREAK / 2, TIE_BREAK, (TIE_PERIOD, num_tokens))
    return torch.from_numpy(amounts.astype(np.float32))


def exact_scores(log_probs: Tensor, labellings: list[list[int]], blank_id: int) -> list[float]:
    """The log-probability in nats of each labelling, over all its paths through (U, V)."""
    num_frames = len(log_probs)
    states = 2 * max(map(len, labellings)) + 1
    at_once = max(1, MAX_CELLS // (num_frames * states))
    scores: list[float] = []
    for start in range(0, len(labellings), at_once):
        part = [torch.tensor(ids, dtype=torch.long) for ids in labellings[start : start + at_once]]
        loss = ctc_loss(
            log_probs.double().unsqueeze(1).expand(-1, len(part), -1),  # (U, N, V)
            pad_sequence(part, batch_first=True),
            torch.full((len(part),), num_frames),
            torch.tensor([len(ids) for ids in part]),
            blank=blank_id,
            reduction="none",
        )
        scores += (-loss).tolist()
    return scores
