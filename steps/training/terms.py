"""The terms of a system's loss that come from teachers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from steps.config.schema import Config, DistillConfig
from steps.config.systems import has_teacher, head_for, soft_label_sets, teachers_of
from steps.distillation.hidden_codes import CodeStore
from steps.distillation.sources import Average, Ensemble, Heard, Itself, Live, Source
from steps.heads.ctc import CtcHead
from steps.heads.transcripts import transcribed
from steps.losses.registry import FORCED, find_loss
from steps.losses.shape import LossShape
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from steps.nnet.output import ModelOutput
from steps.training.examples import Example
from steps.training.teachers import Student, Teacher, filtered, source_of, weights_of
from utils.data_dir.archive import read_feats
from utils.jobs import log
from utils.jobs.errors import DataError, UsageError


@dataclass
class DistillTerm:
    """One [[distill]] table at work."""

    name: str
    settings: DistillConfig
    loss: Callable  # (output, target) -> (sum, count)
    unit: str  # of the loss's mean
    utt_ids: frozenset[str]  # that the term is for
    source: Source
    model: Recogniser  # the student
    head: str  # of the student, which is compared

    @property
    def weights(self) -> nn.Module:
        """The loss's own weights, if it has some."""
        return self.loss if isinstance(self.loss, nn.Module) else nn.Module()

    def __call__(self, output: ModelOutput, heard: Heard) -> tuple[Tensor, Tensor | float]:
        """(sum, count) of the loss over those utterances of a batch that the term is for."""
        rows = [i for i, utt_id in enumerate(heard.utt_ids) if utt_id in self.utt_ids]
        if not rows:
            return output.encoder_out.sum() * 0.0, 0.0
        if len(rows) < len(heard.utt_ids):
            output, heard = output.select(rows), heard.select(rows)
        target = self.source(heard, output)
        if self.settings.kind in FORCED:
            scores = self.model.heads[self.head].forced(transcribed(output, heard.labels))
            output = replace(output, logits=output.logits | {self.head: scores}, _log_probs={})
        return self.loss(output, target)

    def follow(self, model: Recogniser, update: int) -> None:
        """Called after each update of the student."""
        if self.average:
            self.average.follow(model, update)

    @property
    def average(self) -> Average | None:
        """The average of the student that teaches it, if it is one."""
        listener = getattr(self.source, "listener", None)
        return listener if isinstance(listener, Average) else None


def has_spikes(term: DistillTerm) -> bool:
    """Whether a term's teacher, which is not the student itself, says of each frame which token it holds, or none."""
    is_ctc = term.settings.kind == "frame_topk" and isinstance(term.model.heads[term.head], CtcHead)
    return is_ctc and has_teacher(term.settings)


def make_terms(
    config: Config, terms: tuple[DistillConfig, ...], exp_dir: Path, heard: list[list[Example]], student: Student
) -> list[DistillTerm]:
    """The distillation terms of a system; `heard` holds the utterances that each is for."""
    found: list[DistillTerm] = []
    listeners: dict[Path, Teacher] = {}
    for settings, examples in zip(terms, heard, strict=True):
        term = make_term(config, settings, exp_dir, examples, student, listeners)
        if term.name in [other.name for other in found]:
            term.name = f"{term.name}_{len(found)}"
        found.append(term)
    return found


def make_term(
    config: Config,
    settings: DistillConfig,
    exp_dir: Path,
    examples: list[Example],
    student: Student,
    listeners: dict[Path, Teacher],
) -> DistillTerm:
    """Opens a term's soft labels, or loads its teachers, and checks that the student can learn from them.

    Args:
        config: The recipe's.
        settings: The term.
        exp_dir: Where the teachers' folders are.
        examples: What the student hears, the same utterances as the teacher's soft labels by their ids.
        student: Who learns.
        listeners: Teachers that are loaded already.

    Raises: StaleError when there is no bridge between teacher and student; UsageError when the labels kept are too few
        for the temperature, or a layer does not exist; DataError when there are none for an utterance.
    """
    label = label_of(settings)
    examples = [e for e in filtered(config, settings, exp_dir, examples, student, label) if e.num_frames]
    head = head_for(settings, student.config.heads)
    if settings.kind in FORCED:
        count, examples = len(examples), [example for example in examples if example.tokens]
        if len(examples) < count:
            log.warn(f"{label}: compares on transcripts, which {count - len(examples):,} of {count:,} utterances lack")
    if not examples:
        raise DataError(f"{label}: there is no utterance that it could learn from")
    if settings.source in ("ema", "self"):
        itself = Average(student.model, settings.ema_decay) if settings.source == "ema" else Itself(student.model)
        source: Source = Live(itself, settings.kind, head, head, settings.settings.get("teacher_layer", 0))
        sources, weights = [source], [1.0]
    else:
        named = teachers_of(settings)
        folders = [exp_dir / name / f"seed{seed}" for name, seed in named]
        sources = [
            source_of(settings, label, folder, soft_label_sets(config, settings, name), examples, student, listeners)
            for folder, (name, _) in zip(folders, named, strict=True)
        ]
        weights = weights_of(folders, settings.combine)
    if settings.kind == "transcripts":  # of which the empty ones say nothing
        examples = [e for e in examples if any(source.hypotheses[e.utt_id] for source in sources)]
    source = sources[0] if len(sources) == 1 else Ensemble(sources, settings.combine, weights, student.seed)
    loss, unit = ready_loss(settings, label, sources[0], examples, student)
    utt_ids = frozenset(example.utt_id for example in examples)
    check_frames_left(label, settings, examples, student.model)
    return DistillTerm(label, settings, loss, unit, utt_ids, source, student.model, head)


def check_frames_left(label: str, settings: DistillConfig, examples: list[Example], model: Recogniser) -> None:
    """Raises UsageError when a delay leaves no frame of any utterance."""
    delay = settings.settings.get("delay_frames", 0)
    frames = model.output_lens(torch.tensor([example.num_frames for example in examples]))
    if delay >= frames.max():
        raise UsageError(f"{label}: delay_frames = {delay}, and the longest utterance has {int(frames.max())} frames")
    if short := int((frames <= delay).sum()) if delay else 0:
        log.warn(f"{label}: {short:,} of {len(examples):,} utterances are no longer than delay_frames = {delay}")


def label_of(settings: DistillConfig) -> str:
    """What a term is called in the log."""
    if settings.source in ("ema", "self"):
        return f"{settings.loss}_{settings.source}"
    return "_".join([settings.loss, *(name + (f"_seed{seed}" if seed else "") for name, seed in teachers_of(settings))])


def ready_loss(
    settings: DistillConfig, label: str, source: Source, examples: list[Example], student: Student
) -> tuple[Callable, str]:
    """A loss with its settings, as (output, target) -> (sum, count), and the unit of its mean.

    Raises: UsageError when a layer that it compares does not exist.
    """
    loss, unit = find_loss(settings.loss)
    if "student_layer" not in settings.settings:
        return partial(loss, **settings.settings), unit
    shape = shape_of(settings, label, source, examples, student)
    if not isinstance(loss, type):
        return partial(loss, **settings.settings), unit
    with torch.random.fork_rng(devices=[]):  # which leaves the student's random numbers alone
        torch.manual_seed(student.seed)
        try:
            return loss(shape, **settings.settings).to(student.device), unit
        except ValueError as e:
            raise UsageError(f"{label}: {e}") from None


def shape_of(
    settings: DistillConfig, label: str, source: Source, examples: list[Example], student: Student
) -> LossShape:
    """The sizes of what a loss compares, as one utterance shows them.

    Raises: UsageError for a layer that is not there.
    """
    shortest = min(examples, key=lambda example: example.num_frames)
    heard, output = listen(student.model, [shortest], student.device)
    layer = settings.settings["student_layer"]
    if settings.source == "self" and layer in (0, len(output.hidden) + 1):
        raise UsageError(f"{label}: the last layer has nothing to learn from itself; set student_layer lower")
    where = f"student_layer = {layer}"
    try:
        states = output.layer(layer)
        where = f"teacher_layer = {settings.settings.get('teacher_layer', 0)}"
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            target = source(heard, output)
    except UsageError as e:
        raise UsageError(f"{label}: {where}: {e}") from None
    width = target.states.size(-1) if hasattr(target, "states") else 0
    shape = LossShape(states.size(-1), width, getattr(target, "num_tokens", 0))
    store = getattr(source, "store", None)
    if isinstance(store, CodeStore):
        shape = replace(shape, num_codebooks=len(store.books), codebook_size=store.books.size(1))
    return shape


@torch.no_grad()
def listen(model: Recogniser, examples: list[Example], device: str) -> tuple[Heard, ModelOutput]:
    """A batch without masks, and what a model in training says of it when it is at rest."""
    feats, lens = pad([read_feats(e.feats, e.utt_id) for e in examples])
    heard = Heard([e.utt_id for e in examples], [e.tokens for e in examples], feats.to(device), lens.to(device))
    was_training = model.training
    output = model.eval()(heard.feats, heard.feat_lens)
    model.train(was_training)
    return heard, output


def teacher_path(term: DistillTerm, example: Example) -> np.ndarray:
    """(U,) the best token of each of the student's frames, as a term's teacher hears an utterance."""
    heard, output = listen(term.model, [example], next(term.model.parameters()).device)
    with torch.no_grad():
        target = term.source(heard, output)
    return target.top()[0, : int(target.lengths[0])].cpu().numpy()
