"""How little a recogniser believes a transcript: several scores, each greater the less it does."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from steps.decoding.greedy import spikes
from steps.scoring.intervals import MIN_SPEAKERS, draws, of_speakers

WINDOW = 4  # tokens of a stretch


@dataclass(frozen=True)
class Disbelief:
    """Scores of one transcript.

    Attributes:
        loss: -ln p(transcript) per token, by CTC.
        margin: ln p(what the model writes) - ln p(transcript), per token.
        difference: Errors between the two, per token of the transcript.
        stretch: ln p(best token) - ln p(aligned token), summed over the frames of the worst few tokens in a row: a
            single wrong word stands out in a long transcript.
    """

    loss: float
    margin: float
    difference: float
    stretch: float


SCORES = tuple(Disbelief.__dataclass_fields__)


NO_BELIEF = Disbelief(*[float("inf")] * len(SCORES))  # in a transcript that cannot be spelt


def disbelief(log_probs: Tensor, tokens: list[int], blank_id: int) -> Disbelief:
    """The scores of a transcript; infinite where it cannot be spelt in the frames.

    Args:
        log_probs: (U, V) of a CTC head.
        tokens: Of the transcript, at least one.
        blank_id: Of the blank.
    """
    best = log_probs.argmax(-1)
    said = [token for token, _ in spikes(best.numpy(), blank_id)]
    loss = ctc_cost(log_probs, tokens, blank_id)
    if loss == float("inf"):
        return NO_BELIEF
    margin = loss - ctc_cost(log_probs, said, blank_id)
    difference = Levenshtein.distance(tokens, said) / len(tokens)
    stretch = worst_stretch(log_probs, tokens, blank_id)
    return Disbelief(loss / len(tokens), margin / len(tokens), difference, stretch)


def ctc_cost(log_probs: Tensor, tokens: list[int], blank_id: int) -> float:
    """-ln p(tokens); infinite where they do not fit."""
    sizes = torch.tensor([len(log_probs)]), torch.tensor([len(tokens)])
    labels = torch.tensor([tokens or [blank_id]], dtype=torch.long)
    return float(torch.nn.functional.ctc_loss(log_probs[:, None], labels, *sizes, blank_id, reduction="sum"))


def worst_stretch(log_probs: Tensor, tokens: list[int], blank_id: int) -> float:
    """The greatest sum over frames of what the aligned token is less probable than the best one, in `WINDOW` tokens.

    Source: torchaudio's `forced_align`. A token's frames last until the next one's begin.
    """
    from torchaudio.functional import forced_align

    path, aligned = forced_align(log_probs[None], torch.tensor([tokens]), blank=blank_id)
    lost = log_probs.max(-1).values - aligned[0]  # (U,)
    before = torch.nn.functional.pad(path[0, :-1], (1, 0), value=blank_id)
    begins = (path[0] != blank_id) & (path[0] != before)
    number = begins.cumsum(0).clamp(min=1) - 1  # of the token that a frame belongs to
    by_token = torch.zeros(len(tokens)).scatter_add_(0, number, lost)
    width = min(WINDOW, len(tokens))
    return float(by_token.unfold(0, width, 1).sum(-1).max())


def mean_of(found: list[Disbelief]) -> Disbelief:
    """The mean of what several models think of a transcript."""
    return Disbelief(*(sum(getattr(one, name) for one in found) / len(found) for name in SCORES))


def area_under_curve(scores: dict[str, float], wrong: set[str]) -> float:
    """How likely a wrong transcript scores higher than a right one (the area under the ROC curve).

    Source: `scipy.stats.mannwhitneyu`.
    """
    from scipy.stats import mannwhitneyu

    sides = [[score for utt_id, score in scores.items() if (utt_id in wrong) == is_wrong] for is_wrong in (True, False)]
    return float(mannwhitneyu(*sides).statistic / (len(sides[0]) * len(sides[1])))


def precision_at(scores: dict[str, float], wrong: set[str], share: float) -> float:
    """Of the share with the highest scores, how many are wrong."""
    ranked = sorted(scores, key=lambda utt_id: (-scores[utt_id], utt_id))
    top = ranked[: max(1, round(share * len(ranked)))]
    return sum(utt_id in wrong for utt_id in top) / len(top)


def by_draw(
    scores: dict[str, float], wrong: set[str], share: float, speakers: dict[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """The area and the precision in bootstrap draws of speakers, (N,) each; draws without wrong or right ones are left.

    Args:
        scores: Of each utterance.
        wrong: Those that are.
        share: Of the utterances, among which precision is told.
        speakers: Who speaks each utterance.
    """
    ranked = sorted(scores, key=lambda utt_id: (-scores[utt_id], utt_id))
    values, is_wrong = np.array([scores[u] for u in ranked]), np.array([u in wrong for u in ranked])
    names, who = np.unique([speakers[u] for u in ranked], return_inverse=True)
    pairs = np.zeros((len(names), len(names)))  # wrong ones of a speaker above right ones of another; equal ones: half
    for speaker in range(len(names)):
        right = np.sort(values[(who == speaker) & ~is_wrong])
        below, up_to = (np.searchsorted(right, values[is_wrong], side) for side in ("left", "right"))
        np.add.at(pairs[:, speaker], who[is_wrong], (below + up_to) / 2)
    weights = draws(len(names)).astype(float)
    sizes = [weights @ np.bincount(who[chosen], minlength=len(names)) for chosen in (is_wrong, ~is_wrong)]
    has_both = (sizes[0] > 0) & (sizes[1] > 0)
    weights, sizes = weights[has_both], [size[has_both] for size in sizes]
    areas = np.einsum("ns,st,nt->n", weights, pairs, weights, optimize=True) / (sizes[0] * sizes[1])
    precisions = []
    for drawn in weights:
        heard = drawn[who]
        top = np.cumsum(heard) <= max(1.0, share * heard.sum())
        precisions.append((heard * is_wrong)[top].sum() / max(heard[top].sum(), 1.0))
    return areas, np.array(precisions)


def figures(found: dict[str, Disbelief], wrong: set[str], speakers: dict[str, str]) -> dict[str, dict]:
    """Of each score the area under the curve, and the precision among as many as are wrong, with their 95 % intervals.

    Args:
        found: Of each utterance.
        wrong: Those whose transcripts are.
        speakers: Who speaks each utterance; with one alone there are no intervals.
    """
    share, table = len(wrong & found.keys()) / len(found), {}
    num_speakers = len({speakers[utt_id] for utt_id in found})
    for name in SCORES:
        scores = {utt_id: asdict(one)[name] for utt_id, one in found.items()}
        row = {"area": area_under_curve(scores, wrong), "precision": precision_at(scores, wrong, share), "share": share}
        table[name] = {key: round(value, 4) for key, value in row.items()}
        for key, drawn in zip(("area", "precision"), by_draw(scores, wrong, share, speakers), strict=True):
            is_known = num_speakers >= MIN_SPEAKERS and len(drawn) > 0
            ends = of_speakers(drawn, num_speakers).interval(row[key]) if is_known else None
            table[name][f"{key}_ci95"] = [round(min(max(end, 0.0), 1.0), 4) for end in ends] if ends else None
    return table
