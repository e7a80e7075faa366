"""What a model does on dev: error rate, loss, share of blank frames."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from steps.decoding.greedy import greedy
from steps.distillation.spikes import compare_spikes
from steps.nnet.inference import run_model
from steps.nnet.model import CtcModel
from steps.scoring.errors import Errors, count_errors
from steps.scoring.units import Units
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example, frames_needed
from steps.training.terms import DistillTerm, ctc
from utils.jobs import log

NUM_SPIKE_UTTS = 100  # that teacher and student are lined up on


@dataclass(frozen=True)
class DevResult:
    """Figures of one look at dev. `loss` is CTC in nats a token, nan where no utterance could be scored."""

    error_rate: float
    loss: float
    blank_share: float


def evaluate(model: CtcModel, examples: list[Example], table: TokenTable, units: Units, device: str) -> DevResult:
    """Decodes all examples greedily. `units` are those of the error rate."""
    by_id = {example.utt_id: example for example in examples}
    feats = {e.utt_id: e.feats for e in examples}
    num_frames = {e.utt_id: e.num_frames for e in examples}
    errors, loss, tokens, blanks, frames = Errors(), 0.0, 0, 0, 0
    model.eval()
    for utt_ids, output in run_model(model, feats, num_frames, device):
        hypotheses, paths = greedy(output, model.blank_id)
        batch = [by_id[utt_id] for utt_id in utt_ids]
        for example, hypothesis, path in zip(batch, hypotheses, paths, strict=True):
            ref, hyp = units.split(example.text), units.split(table.decode(hypothesis.ids))
            errors += count_errors(ref, hyp)
            blanks, frames = blanks + int((path == model.blank_id).sum()), frames + len(path)
        fits = [e.tokens is not None and len(p) >= frames_needed(e.tokens) for p, e in zip(paths, batch, strict=True)]
        scored = [
            e if fit else Example(e.utt_id, e.feats, e.num_frames, None) for e, fit in zip(batch, fits, strict=True)
        ]
        batch_loss, count = ctc(output, scored, model.blank_id)
        loss, tokens = loss + float(batch_loss), tokens + count
    model.train()
    rate = errors.error_rate if errors.ref_units else float("nan")
    return DevResult(rate, loss / tokens if tokens else float("nan"), blanks / max(frames, 1))


def best_paths(model: CtcModel, examples: list[Example], device: str) -> dict[str, np.ndarray]:
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

    def __init__(self, model: CtcModel, dev: list[Example], table: TokenTable, units: Units, device: str):
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
