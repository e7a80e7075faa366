"""What a model does on dev: error rate, loss, share of blank frames."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import can_write, decoder_of, text_of
from steps.decoding.greedy import greedy
from steps.distillation.spikes import compare_spikes
from steps.heads.hmm import HmmHead
from steps.nnet.inference import run_model
from steps.nnet.model import Recogniser
from steps.nnet.output import is_frame, zero_padding
from steps.scoring.errors import Errors, count_errors
from steps.scoring.units import Units
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example
from steps.training.head_labels import labels_for
from steps.training.terms import DistillTerm, teacher_path
from utils.jobs import log

NUM_SPIKE_UTTS = 100  # that teacher and student are lined up on
MIN_PRIOR = 1e-6


@dataclass(frozen=True)
class DevResult:
    """Figures of one look at dev.

    Attributes:
        error_rate: Of the first head in percent; nan where it writes nothing.
        loss: Of the first head, as in training; nan where no utterance could be scored.
        losses: Of each head.
        blank_share: Of the frames of a CTC head; nan where there is none.
    """

    error_rate: float
    loss: float
    losses: dict[str, float]
    blank_share: float


@torch.inference_mode()
def evaluate(
    model: Recogniser, examples: list[Example], table: TokenTable, units: Units, device: str, ctc_weight: float = 0.0
) -> DevResult:
    """Decodes all examples greedily by the first head, an attention decoder together with CTC of some weight.

    `units` are those of the error rate.
    """
    by_id = {example.utt_id: example for example in examples}
    feats = {e.utt_id: e.feats for e in examples}
    num_frames = {e.utt_id: e.num_frames for e in examples}
    name, head = next(iter(model.heads.items()))
    decode = decoder_of(DecodeConfig(ctc_weight=ctc_weight), model) if can_write(head) else None
    errors, losses, blanks, frames = Errors(), {}, 0, 0
    model.eval()
    for utt_ids, output in run_model(model, feats, num_frames, device):
        batch, lengths = [by_id[utt_id] for utt_id in utt_ids], output.lengths.tolist()
        for example, hypotheses in zip(batch, decode(output) if decode else [], strict=bool(decode)):
            ref, hyp = units.split(example.text), units.split(text_of(hypotheses[0], table))
            errors += count_errors(ref, hyp)
        if "ctc" in output.logits:
            is_blank = output.logits["ctc"].argmax(-1) == model.blank_id
            blanks += int((is_blank & is_frame(output.lengths, is_blank.size(1))).sum())
            frames += sum(lengths)
        fitting = [
            e if e.tokens is not None and n >= model.frames_needed(e.tokens) else replace(e, tokens=None)
            for e, n in zip(batch, lengths, strict=True)
        ]
        for key, other in model.heads.items():
            total, count = other.loss(output, labels_for(key, other, fitting))
            before = losses.get(key, (0.0, 0))
            losses[key] = (before[0] + float(total), before[1] + count)
    model.train()
    rate = errors.error_rate if errors.ref_units else float("nan")
    means = {key: total / count if count else float("nan") for key, (total, count) in losses.items()}
    return DevResult(rate, means[name], means, blanks / frames if frames else float("nan"))


@torch.inference_mode()
def set_priors(model: Recogniser, examples: list[Example], device: str) -> None:
    """Gives hidden Markov models the mean of their posteriors as prior of their states, as Kaldi's hybrid systems have.

    They are counted on the training set: training aligns with them, and dev is to change no weight.
    """
    heads = [head for head in model.heads.values() if isinstance(head, HmmHead)]
    if not heads:
        return
    feats = {e.utt_id: e.feats for e in examples}
    num_frames = {e.utt_id: e.num_frames for e in examples}
    totals, count = [0.0] * len(heads), 0
    model.eval()
    for _, output in run_model(model, feats, num_frames, device):
        posteriors = [zero_padding(output.log_probs(head.name).exp(), output.lengths) for head in heads]
        totals = [total + p.double().sum((0, 1)) for total, p in zip(totals, posteriors, strict=True)]
        count += int(output.lengths.sum())
    for head, total in zip(heads, totals, strict=True):
        if count:
            head.log_prior.copy_((total / count).clamp(min=MIN_PRIOR).log())


def best_paths(model: Recogniser, examples: list[Example], device: str, head: str) -> dict[str, np.ndarray]:
    """The best path of a CTC head, shape (U,), of each example."""
    feats = {e.utt_id: e.feats for e in examples}
    num_frames = {e.utt_id: e.num_frames for e in examples}
    model.eval()
    found = {}
    for utt_ids, output in run_model(model, feats, num_frames, device):
        found |= dict(zip(utt_ids, greedy(output, model.blank_id, head)[1], strict=True))
    model.train()
    return found


class DevLook:
    """Looks at dev, and at how the student's spikes lie after those of its first teacher.

    Attributes:
        heard: Utterances of the training set that priors of states are counted on.
    """

    def __init__(
        self,
        model: Recogniser,
        dev: list[Example],
        table: TokenTable,
        units: Units,
        device: str,
        ctc_weight: float = 0.0,
    ):
        self.evaluate = partial(evaluate, model, dev, table, units, device, ctc_weight)
        self.model, self.device = model, device
        self.teacher_paths: dict = {}
        self.examples: list[Example] = []
        self.heard: list[Example] = []
        self.head = ""

    def listen_to(self, term: DistillTerm, examples: list[Example]) -> None:
        """Takes the teacher's best paths on the first utterances of the training set."""
        self.examples, self.head = examples[:NUM_SPIKE_UTTS], term.head
        self.teacher_paths = {example.utt_id: teacher_path(term, example) for example in self.examples}

    def __call__(self) -> tuple[DevResult, dict]:
        """(result on dev, further facts for the log)."""
        set_priors(self.model, self.heard, self.device)
        result = self.evaluate()
        if not self.examples:
            return result, {}
        paths = best_paths(self.model, self.examples, self.device, self.head)
        pairs = [(self.teacher_paths[e.utt_id], paths[e.utt_id]) for e in self.examples]
        found = compare_spikes(pairs, self.model.blank_id)
        log.info(f"spikes: {found}")
        return result, {"spike_offset_frames": found.median, "spike_labels": found.labels}
