"""What a model does on dev: error rate, loss, share of blank frames."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import decoder_of
from steps.decoding.greedy import greedy
from steps.distillation.spikes import compare_spikes
from steps.heads.registry import SELF_SUPERVISED
from steps.nnet.inference import run_model
from steps.nnet.model import Recogniser
from steps.nnet.output import is_frame, zero_padding
from steps.scoring.errors import Errors, count_errors
from steps.scoring.units import Units
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example
from steps.training.terms import DistillTerm
from utils.jobs import log

NUM_SPIKE_UTTS = 100  # that teacher and student are lined up on
MIN_PRIOR = 1e-6


@dataclass(frozen=True)
class DevResult:
    """Figures of one look at dev.

    Attributes:
        head: The first of the model, which decodes.
        error_rate: In percent.
        loss: Of the head, as in training; nan where no utterance could be scored.
        blank_share: Of the frames of a CTC head; nan where there is none.
    """

    head: str
    error_rate: float
    loss: float
    blank_share: float


@torch.inference_mode()
def evaluate(model: Recogniser, examples: list[Example], table: TokenTable, units: Units, device: str) -> DevResult:
    """Decodes all examples greedily by the first head. `units` are those of the error rate."""
    by_id = {example.utt_id: example for example in examples}
    feats = {e.utt_id: e.feats for e in examples}
    num_frames = {e.utt_id: e.num_frames for e in examples}
    name, head = next(iter(model.heads.items()))
    decode = decoder_of(DecodeConfig(), model) if name not in SELF_SUPERVISED else None
    if "hmm" in model.heads:
        set_prior(model, feats, num_frames, device)
    errors, loss, count, blanks, frames = Errors(), 0.0, 0, 0, 0
    model.eval()
    for utt_ids, output in run_model(model, feats, num_frames, device):
        batch, lengths = [by_id[utt_id] for utt_id in utt_ids], output.lengths.tolist()
        for example, hypotheses in zip(batch, decode(output) if decode else [], strict=bool(decode)):
            ref, hyp = units.split(example.text), units.split(table.decode(hypotheses[0].ids))
            errors += count_errors(ref, hyp)
        if "ctc" in output.logits:
            is_blank = output.logits["ctc"].argmax(-1) == model.blank_id
            blanks += int((is_blank & is_frame(output.lengths, is_blank.size(1))).sum())
            frames += sum(lengths)
        labels = [
            e.tokens if e.tokens is not None and n >= model.frames_needed(e.tokens) else None
            for e, n in zip(batch, lengths, strict=True)
        ]
        total, number = head.loss(output, labels)
        loss, count = loss + float(total), count + number
    model.train()
    rate = errors.error_rate if errors.ref_units else float("nan")
    return DevResult(name, rate, loss / count if count else float("nan"), blanks / frames if frames else float("nan"))


@torch.inference_mode()
def set_prior(model: Recogniser, feats: dict[str, str], num_frames: dict[str, int], device: str) -> None:
    """Gives a hidden Markov model the mean of its posteriors as prior of its states, as Kaldi's hybrid systems have."""
    total, count = 0.0, 0
    model.eval()
    for _, output in run_model(model, feats, num_frames, device):
        posteriors = zero_padding(output.log_probs("hmm").exp(), output.lengths)
        total, count = total + posteriors.double().sum((0, 1)), count + int(output.lengths.sum())
    if count:
        model.heads["hmm"].log_prior.copy_((total / count).clamp(min=MIN_PRIOR).log())


def best_paths(model: Recogniser, examples: list[Example], device: str) -> dict[str, np.ndarray]:
    """The best path, shape (U,), of each example."""
    feats = {e.utt_id: e.feats for e in examples}
    num_frames = {e.utt_id: e.num_frames for e in examples}
    model.eval()
    found = {}
    for utt_ids, output in run_model(model, feats, num_frames, device):
        found |= dict(zip(utt_ids, greedy(output, model.blank_id)[1], strict=True))
    model.train()
    return found


class DevLook:
    """Looks at dev, and at how the student's spikes lie after those of its first teacher."""

    def __init__(self, model: Recogniser, dev: list[Example], table: TokenTable, units: Units, device: str):
        self.evaluate = partial(evaluate, model, dev, table, units, device)
        self.model, self.device = model, device
        self.teacher_paths: dict = {}
        self.examples: list[Example] = []

    def listen_to(self, term: DistillTerm, examples: list[Example]) -> None:
        """Takes the teacher's best paths on the first utterances of the training set."""
        self.examples = examples[:NUM_SPIKE_UTTS]
        if term.teacher is not None:
            self.teacher_paths = best_paths(term.teacher, self.examples, self.device)
            term.teacher.eval()
            return
        for example in self.examples:
            target = term.target([example.utt_id], torch.zeros(1), None)
            self.teacher_paths[example.utt_id] = target.top()[0].numpy()

    def __call__(self) -> tuple[DevResult, dict]:
        """(result on dev, further facts for the log)."""
        result = self.evaluate()
        if not self.examples:
            return result, {}
        paths = best_paths(self.model, self.examples, self.device)
        pairs = [(self.teacher_paths[e.utt_id], paths[e.utt_id]) for e in self.examples]
        found = compare_spikes(pairs, self.model.blank_id)
        log.info(f"spikes: {found}")
        return result, {"spike_offset_frames": found.median, "spike_labels": found.labels}
