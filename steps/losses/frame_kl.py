"""Kullback-Leibler divergence of frame posteriors from the teacher's (Hinton et al. 2015; CTC: Senior et al. 2015)."""

from typing import Literal

import torch
from torch import Tensor

from steps.config.types import NaturalInt, PositiveFloat
from steps.distillation.targets import Posteriors, tempered
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/frame"


def frame_kl(
    output: ModelOutput,
    target: Posteriors,
    *,
    divergence: Literal["forward", "reverse", "jensen_shannon"] = "forward",
    temperature: PositiveFloat = 1.0,
    blank: Literal["keep", "drop", "either"] = "keep",
    delay_frames: NaturalInt = 0,
    top_k: NaturalInt = 0,
) -> tuple[Tensor, Tensor]:
    """Sum over frames of T^2 D(p_T, q_T), with p_T and q_T the teacher's and student's softmax at temperature T.

    Args:
        output: The student's; its head of the target is compared: tokens of CTC, or states of an HMM.
        target: The teacher's frames, as many as the student's.
        divergence: D: "forward" is KL(p || q), "reverse" is KL(q || p), which lets the student leave out what it cannot
            hold (MiniLLM: Gu et al. 2024), "jensen_shannon" is the mean of both to (p + q) / 2 (f-distill: Wen et al.
            2023).
        temperature: T. The factor T^2 keeps the gradient's size (Hinton et al. 2015, section 2.1).
        blank: "keep" compares all frames; "drop" leaves out those in which the teacher's best token is blank;
            "either" leaves out those in which the student's is, too.
        delay_frames: How many frames later than the teacher the student shall emit.
        top_k: Of the tokens stored, so many of the best in each frame are compared one by one, the others by their
            sum, spread evenly; 0: all that are stored.

    Returns: (sum in nats, number of frames). At equality the sum is 0, and its gradient too.
    """
    logits = output.logits[target.head]
    q = output.log_probs(target.head) if temperature == 1.0 else (logits.float() / temperature).log_softmax(-1)
    q, logits = q[:, delay_frames:], logits[:, delay_frames:]  # (B, U, V)
    target = target.shifted(delay_frames)
    if top_k:
        target = target.best(top_k)
    found = {"forward": forward_kl, "reverse": reverse_kl, "jensen_shannon": jensen_shannon}[divergence]
    values = found(q, target, temperature)  # (B, U)
    mask = is_frame(target.lengths, values.size(1)) & compared_frames(logits, target, blank)
    return temperature**2 * values.masked_fill(~mask, 0.0).sum(), mask.sum()


def forward_kl(q: Tensor, target: Posteriors, temperature: float) -> Tensor:
    """KL(p || q) of each frame: (B, U, V) log-probabilities of the student -> (B, U)."""
    p, rest = tempered(target, temperature)
    chosen = q if target.ids is None else q.gather(-1, target.ids)  # (B, U, K)
    kl = (p.exp() * (p - chosen)).sum(-1)  # (B, U)
    if rest is not None:
        others = target.num_tokens - target.log_probs.size(-1)
        kl = kl + rest.exp() * (others * rest - (q.sum(-1) - chosen.sum(-1)))
    return kl


def reverse_kl(q: Tensor, target: Posteriors, temperature: float) -> Tensor:
    """KL(q || p) of each frame, as `forward_kl`."""
    return (q.exp() * (q - target.dense(temperature))).sum(-1)


def jensen_shannon(q: Tensor, target: Posteriors, temperature: float) -> Tensor:
    """The mean of KL(p || m) and KL(q || m) with m = (p + q) / 2 in each frame, as `forward_kl`."""
    p = target.dense(temperature)
    middle = torch.logaddexp(p, q) - torch.tensor(2.0).log()
    return 0.5 * (p.exp() * (p - middle) + q.exp() * (q - middle)).sum(-1)


def compared_frames(logits: Tensor, target: Posteriors, blank: str) -> Tensor:
    """(B, U) bool: the frames that `blank` leaves in."""
    if blank == "keep":
        return torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
    speaks = target.top() != target.blank_id
    if blank == "either":
        speaks = speaks | (logits.argmax(-1) != target.blank_id)
    return speaks
