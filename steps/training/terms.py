"""The terms of a system's loss: CTC, and what it learns from teachers."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from steps.config.schema import DistillConfig
from steps.config.systems import teacher_of
from steps.distillation.store import SoftLabelStore
from steps.distillation.targets import FrameTopk, from_logits
from steps.distillation.transcripts import Transcripts, TranscriptStore
from steps.heads.ctc import CtcHead
from steps.nnet.model import LoadedModel, ModelConfig, Recogniser, load_model
from steps.nnet.output import ModelOutput
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError, UsageError


@dataclass(frozen=True)
class StoredFrames:
    """Stored posteriors, frame by frame."""

    store: SoftLabelStore

    def __call__(self, utt_ids: list[str], feats: Tensor, feat_lens: Tensor, output: ModelOutput) -> FrameTopk:
        """The teacher's word on a batch."""
        target = self.store.batch(utt_ids, feats.device)
        return target.fitted(output.lengths, output.encoder_out.size(1))

    def path(self, example: Example) -> np.ndarray:
        """The best token of each frame, shape (U,)."""
        return self.store.batch([example.utt_id], "cpu").top()[0].numpy()


@dataclass(frozen=True)
class LiveFrames:
    """Posteriors of a teacher that listens beside the student."""

    teacher: Recogniser

    def __call__(self, utt_ids: list[str], feats: Tensor, feat_lens: Tensor, output: ModelOutput) -> FrameTopk:
        """The teacher's word on a batch."""
        with torch.no_grad():
            said = self.teacher(feats, feat_lens)
        target = from_logits(said.logits["ctc"], said.lengths, self.teacher.blank_id)
        return target.fitted(output.lengths, output.encoder_out.size(1))


@dataclass(frozen=True)
class StoredTranscripts:
    """What the teacher writes, in the student's tokens."""

    labels: dict[str, tuple[int, ...] | None]
    blank_id: int

    def __call__(self, utt_ids: list[str], feats: Tensor, feat_lens: Tensor, output: ModelOutput) -> Transcripts:
        """The teacher's word on a batch."""
        return Transcripts([self.labels[utt_id] for utt_id in utt_ids], output.lengths, self.blank_id)


@dataclass
class DistillTerm:
    """One [[distill]] table at work."""

    name: str
    settings: DistillConfig
    loss: Callable
    unit: str  # of the loss's mean
    utt_ids: frozenset[str]  # that the term is for
    target: StoredFrames | LiveFrames | StoredTranscripts

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
        return self.loss(output, self.target(utt_ids, feats, feat_lens, output), **self.settings.settings)


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
    table: TokenTable,
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
        table: Its tokens.
        device: Of a live teacher.

    Raises: StaleError when tokens, frame rate or features differ; UsageError when the labels kept are too few for
        the temperature; DataError when there are none for an utterance.
    """
    name, seed = teacher_of(settings)
    folder = exp_dir / name / f"seed{seed}"
    label = f"{settings.loss}_{name}" + (f"_seed{seed}" if seed else "")
    folders = [soft_label_folder(folder, set_name, settings.target) for set_name in sets]
    if settings.source == "live":
        teacher = load_model(folder, device)
        check_live(teacher, folder, student, model)
        target = LiveFrames(teacher.model)
    elif settings.target == "transcripts":
        target = StoredTranscripts(usable_transcripts(label, folders, examples, model, table), model.blank_id)
    else:
        store = SoftLabelStore(*folders)
        check_frames(label, store, folder, settings, student, model)
        check_lengths(label, store, examples, model)
        target = StoredFrames(store)
    module = import_module(f"steps.losses.{settings.loss}")
    utt_ids = frozenset(example.utt_id for example in examples)
    return DistillTerm(label, settings, getattr(module, settings.loss), module.UNIT, utt_ids, target)


def check_frames(
    label: str, store: SoftLabelStore, folder: Path, settings: DistillConfig, student: ModelConfig, model: Recogniser
) -> None:
    """Raises StaleError or UsageError when the student cannot learn from stored frames."""
    layout, temperature = store.layout, settings.settings.get("temperature", 1.0)
    check_fit(folder, layout.tokens_sha256, layout.frame_shift_ms, student, model)
    if temperature != 1.0 and not layout.is_dense:
        raise UsageError(
            f"{label}: temperature {temperature:g} needs all {layout.num_tokens} tokens, and {layout.top_k} are "
            f'stored; set {folder.parent.name}.soft_labels.top_k = {layout.num_tokens}, or source = "live"'
        )


def usable_transcripts(
    label: str, folders: list[Path], examples: list[Example], model: Recogniser, table: TokenTable
) -> dict[str, tuple[int, ...] | None]:
    """The tokens of each example; None, and counted in the log, where the student cannot spell them in its frames.

    Raises: DataError when utterances are missing.
    """
    store = TranscriptStore(*folders)
    check_there(label, store, examples)
    written, found = store.labels(table), {}
    for example in examples:
        tokens = written[example.utt_id]
        room = int(model.output_lens(torch.tensor(example.num_frames)))
        found[example.utt_id] = tokens if tokens and CtcHead.frames_needed(tokens) <= room else None
    unused = sum(tokens is None for tokens in found.values())
    if unused == len(found):
        told = f"all {unused} transcripts are empty, or cannot be spelt by the student (in other letters, say)"
        raise DataError(f"{label}: {told}; look at {folders[0]}/text")
    if unused:
        log.warn(f"{label}: {unused} of {len(found)} transcripts are empty, or cannot be spelt by the student")
    return found


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


def check_there(label: str, store: SoftLabelStore | TranscriptStore, examples: list[Example]) -> None:
    """Raises DataError for utterances without soft labels."""
    missing = [e.utt_id for e in examples if e.utt_id not in store]
    if missing:
        shown = ", ".join(missing[:5])
        raise DataError(f"{label}: no soft labels for {len(missing)} utterances ({shown}); run stage 6")


def check_lengths(label: str, store: SoftLabelStore, examples: list[Example], model: Recogniser) -> None:
    """Raises DataError or StaleError for stored labels that are missing, or of another length than the student's."""
    check_there(label, store, examples)
    for example in examples:
        frames = store.num_frames(example.utt_id)
        expected = int(model.output_lens(torch.tensor(example.num_frames)))
        if abs(frames - expected) > MAX_ROUNDING:
            raise StaleError(f"{label}: '{example.utt_id}' has {frames} stored frames, the student {expected}")
