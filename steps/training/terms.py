"""The terms of a system's loss: CTC, and what it learns from teachers."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from steps.config.schema import DistillConfig
from steps.config.systems import teacher_of
from steps.distillation.store import SoftLabelStore
from steps.distillation.targets import FrameTopk, from_logits
from steps.nnet.model import LoadedModel, ModelConfig, Recogniser, load_model
from steps.nnet.output import ModelOutput
from steps.training.examples import Example
from utils.jobs.errors import DataError, StaleError, UsageError


@dataclass
class DistillTerm:
    """One [[distill]] table at work."""

    name: str
    settings: DistillConfig
    loss: Callable
    utt_ids: frozenset[str]  # that the term is for
    store: SoftLabelStore | None
    teacher: Recogniser | None  # live

    def target(self, utt_ids: list[str], feats: Tensor, feat_lens: Tensor) -> FrameTopk:
        """The teacher's word on a batch."""
        if self.teacher is None:
            return self.store.batch(utt_ids, feats.device)
        with torch.no_grad():
            output = self.teacher(feats, feat_lens)
        return from_logits(output.logits["ctc"], output.lengths, self.teacher.blank_id)

    def __call__(
        self, output: ModelOutput, utt_ids: list[str], feats: Tensor, feat_lens: Tensor
    ) -> tuple[Tensor, Tensor | float]:
        """(sum, count) of the loss over those utterances of a batch that the term is for."""
        rows = [i for i, utt_id in enumerate(utt_ids) if utt_id in self.utt_ids]
        if not rows:
            return output.logits["ctc"].sum() * 0.0, 0.0
        if len(rows) < len(utt_ids):
            output, utt_ids = output.select(rows), [utt_ids[i] for i in rows]
            feats, feat_lens = feats[rows, : int(feat_lens[rows].max())], feat_lens[rows]
        target = self.target(utt_ids, feats, feat_lens).fitted(output.lengths, output.encoder_out.size(1))
        return self.loss(output, target, **self.settings.settings)


MAX_ROUNDING = 1  # frame, by which features of other kinds may differ in number


def soft_label_folder(teacher: Path, set_name: str, target: str) -> Path:
    """Where a teacher's soft labels of a set are."""
    return teacher / "soft_labels" / set_name / target


def make_term(
    settings: DistillConfig,
    exp_dir: Path,
    sets: list[str],
    examples: list[Example],
    student: ModelConfig,
    model: Recogniser,
    device: str,
) -> DistillTerm:
    """Opens a term's soft labels, or loads its teacher, and checks that the student can learn from them.

    Args:
        settings: The term.
        exp_dir: Where the teacher's folder is.
        sets: What the teacher heard.
        examples: What the student hears, the same utterances by their ids.
        student: The student's configuration.
        model: The student.
        device: Of a live teacher.

    Raises: StaleError when tokens, frame rate or features differ; UsageError when the labels kept are too few for
        the temperature.
    """
    utt_ids = frozenset(example.utt_id for example in examples)
    name, seed = teacher_of(settings)
    folder = exp_dir / name / f"seed{seed}"
    loss = getattr(import_module(f"steps.losses.{settings.loss}"), settings.loss)
    label = f"{settings.loss}_{name}" + (f"_seed{seed}" if seed else "")
    temperature = settings.settings.get("temperature", 1.0)
    if settings.source == "live":
        teacher = load_model(folder, device)
        check_live(teacher, folder, student, model)
        return DistillTerm(label, settings, loss, utt_ids, None, teacher.model)
    store = SoftLabelStore(*(soft_label_folder(folder, set_name, settings.target) for set_name in sets))
    layout = store.layout
    check_fit(folder, layout.tokens_sha256, layout.frame_shift_ms, student, model)
    if temperature != 1.0 and not layout.is_dense:
        raise UsageError(
            f"{label}: temperature {temperature:g} needs all {layout.num_tokens} tokens, and {layout.top_k} are "
            f'stored; set {name}.soft_labels.top_k = {layout.num_tokens}, or source = "live"'
        )
    return DistillTerm(label, settings, loss, utt_ids, store, None)


def check_live(teacher: LoadedModel, folder: Path, student: ModelConfig, model: Recogniser) -> None:
    """Raises StaleError when a live teacher does not fit the student."""
    config = teacher.config
    check_fit(folder, config.tokens_sha256, teacher.model.frame_shift_ms, student, model)
    if config.features != student.features:
        keys = sorted(k for k in config.features if config.features[k] != student.features.get(k))
        raise StaleError(
            f"{folder}: a live teacher hears the student's features, and its own differ ({', '.join(keys)})"
        )


def check_fit(where: Path, tokens_sha256: str, frame_shift_ms: float, student: ModelConfig, model: Recogniser) -> None:
    """Raises StaleError when a teacher's frames cannot be compared with the student's one by one."""
    if tokens_sha256 != student.tokens_sha256:
        pair = f"{tokens_sha256[:12]} against {student.tokens_sha256[:12]}"
        raise StaleError(f"{where}: teacher and student have different tokens.txt (SHA-256 {pair})")
    if frame_shift_ms != model.frame_shift_ms:
        pair = f"{frame_shift_ms:g} ms against {model.frame_shift_ms:g} ms a frame"
        raise StaleError(f"{where}: teacher and student have different frame rates ({pair}); set model.subsampling")


def check_lengths(term: DistillTerm, examples: list[Example], output_len: Callable[[int], int]) -> None:
    """Raises DataError or StaleError for stored labels that are missing, or of another length than the student's."""
    examples = [e for e in examples if e.utt_id in term.utt_ids]
    missing = [e.utt_id for e in examples if e.utt_id not in term.store]
    if missing:
        shown = ", ".join(missing[:5])
        raise DataError(f"{term.name}: no soft labels for {len(missing)} utterances ({shown}); run stage 6")
    for example in examples:
        frames, expected = term.store.num_frames(example.utt_id), output_len(example.num_frames)
        if abs(frames - expected) > MAX_ROUNDING:
            raise StaleError(f"{term.name}: '{example.utt_id}' has {frames} stored frames, the student {expected}")
