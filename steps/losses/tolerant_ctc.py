"""CTC (Graves et al. 2006) on the teacher's spikes with their doubts, which may come earlier or later."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steps.config.types import NaturalInt
from steps.distillation.targets import Posteriors
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/token"
IMPOSSIBLE = -1e4  # log-probability; -inf has no gradient


def tolerant_ctc(
    output: ModelOutput, target: Posteriors, *, early_frames: NaturalInt = 2, late_frames: NaturalInt = 5
) -> tuple[Tensor, int]:
    """Sum over utterances of -ln (sum over alignments of their score).

    The teacher's best path has a spike p_k at frame t_k for each of its labels. An alignment gives each spike in turn
    one frame of the student or several, from t_k - `early_frames` to t_k + `late_frames`; all frames between are
    blank. A frame u that emits spike k scores exp(-KL(p_k || q_u)), a blank one q_u(blank). Between two spikes of one
    label a blank must stand, as in CTC; both may emit where either may, and a frame's score is that of the nearer one.
    Frame by frame, as in `frame_kl`, a student that must hear more before it knows would learn to speak too early, and
    then to be silent.

    Args:
        output: The student's; its head of the target is compared.
        target: The teacher's frames, as many as the student's.
        early_frames: How much earlier than the teacher the student may emit.
        late_frames: How much later.

    Returns: (sum in nats, number of spikes, an utterance without any counted as one). At equality the alignment on the
        teacher's own spikes costs nothing for each of them, and for each blank frame what the teacher itself doubts of
        it; every other alignment lessens that sum, down below 0 where many are as likely.
    """
    q = output.log_probs(target.head)
    spikes = find_spikes(target)
    lengths = torch.minimum(target.lengths, output.lengths)
    kl = spikes.entropy[:, None] - q @ spikes.probs.transpose(1, 2)  # (B, U, S)
    may_emit = spikes.own_frames(q.size(1), early_frames, late_frames)
    runs = spikes.runs[:, None].expand_as(kl)
    scores = torch.full_like(kl, IMPOSSIBLE).scatter_reduce(-1, runs, torch.where(may_emit, -kl, IMPOSSIBLE), "amax")
    scores = torch.cat((q[..., target.blank_id, None], scores), -1)  # (B, U, 1 + S): blank, then the runs of a label
    return alignment_loss(scores, lengths, 1 + spikes.runs, spikes.sizes), int(spikes.sizes.clamp(min=1).sum())


@dataclass(frozen=True)
class Spikes:
    """The labels on a best path, padded.

    Attributes:
        probs: (B, S, V) posteriors where each is surest.
        entropy: (B, S) sum of p ln p, in nats.
        frames: (B, S) where that is.
        runs: (B, S) the number of the run of one label, counted from 0, that each stands in.
        sizes: (B,) how many there are.
    """

    probs: Tensor
    entropy: Tensor
    frames: Tensor
    runs: Tensor
    sizes: Tensor

    def own_frames(self, max_len: int, early_frames: int, late_frames: int) -> Tensor:
        """(B, U, S) in which frames each may emit, and no other of its run is nearer."""
        first, last = self.frames - early_frames, self.frames + late_frames
        middle = (self.frames[:, :-1] + self.frames[:, 1:]) // 2
        is_run = self.runs[:, :-1] == self.runs[:, 1:]
        last[:, :-1] = torch.where(is_run, torch.minimum(last[:, :-1], middle), last[:, :-1])
        first[:, 1:] = torch.where(is_run, torch.maximum(first[:, 1:], middle + 1), first[:, 1:])
        frames = torch.arange(max_len, device=first.device)[None, :, None]
        return (frames >= first[:, None]) & (frames <= last[:, None])


def find_spikes(target: Posteriors) -> Spikes:
    """The labels on the teacher's best path, each in its surest frame."""
    p = target.dense()  # (B, U, V)
    sure, best = p.max(-1)
    best = best.masked_fill(~is_frame(target.lengths, best.size(1)), target.blank_id)
    sizes, places = surest_frames(best, sure, target.blank_id)
    frames = nn.utils.rnn.pad_sequence(places.split(sizes.tolist()), batch_first=True)  # (B, S)
    log_probs = p.gather(1, frames[..., None].expand(-1, -1, p.size(-1)))
    probs = log_probs.exp()
    labels = best.gather(1, frames).masked_fill(~is_frame(sizes, frames.size(1)), target.blank_id)
    runs = nn.functional.pad((labels[:, 1:] != labels[:, :-1]).cumsum(-1), (1, 0))[:, : frames.size(1)]
    return Spikes(probs, (probs * log_probs.clamp(min=IMPOSSIBLE)).sum(-1), frames, runs, sizes)


def surest_frames(best: Tensor, sure: Tensor, blank_id: int) -> tuple[Tensor, Tensor]:
    """The surest frame of each run of a label, the first of equals.

    Args:
        best: (B, U) the best token of each frame.
        sure: (B, U) its log-probability.
        blank_id: The token that is no label.

    Returns: (B,) runs of each utterance, and the frames of all, one utterance after the other.
    """
    B, U = best.size()
    frames, sure = torch.arange(B * U, device=best.device), sure.flatten()
    apart = best * B + torch.arange(B, device=best.device)[:, None]  # no run goes on in the next utterance
    runs, run = apart.flatten().unique_consecutive(return_inverse=True)
    top = torch.full(runs.shape, -torch.inf, device=best.device).scatter_reduce(0, run, sure, "amax")
    surest = torch.where(sure == top[run], frames, B * U)
    first = torch.full_like(runs, B * U).scatter_reduce(0, run, surest, "amin")
    is_label = runs // B != blank_id
    return (runs % B)[is_label].bincount(minlength=B), first[is_label] % U


def alignment_loss(scores: Tensor, lengths: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Sum of -ln (sum over alignments of their score), from log-scores (B, U, 1 + S) that need not sum to 1.

    `labels`, (B, S), are the columns of the scores, of which `sizes`, (B,), are there; column 0 is blank.

    Source: `torch.nn.functional.ctc_loss`, whose gradient supposes log-probabilities that sum to 1: it adds their
    exponential to what is the gradient of the loss. It is taken off here.
    """
    found = sizes > 0
    silent = scores[~found, :, 0].masked_fill(~is_frame(lengths[~found], scores.size(1)), 0.0).sum()
    if not bool(found.any()):
        return -silent
    x, lengths, sizes = scores[found].transpose(0, 1), lengths[found], sizes[found]  # (U, N, 1 + S)
    loss = nn.functional.ctc_loss(x, labels[found], lengths, sizes, blank=0, reduction="sum")
    heard = is_frame(lengths, x.size(0)).transpose(0, 1)[..., None]
    surplus = (x.detach().exp() * x).masked_fill(~heard, 0.0).sum()
    return loss - (surplus - surplus.detach()) - silent
