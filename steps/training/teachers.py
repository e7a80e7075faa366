"""The teachers of a student: what they say, stored or live, and whether it can learn from it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch

from steps.config.schema import Config, DistillConfig
from steps.config.systems import head_for, judged_by, soft_label_folder, soft_label_sets, teachers_of
from steps.distillation.bridges import INSTEAD, FrameMap, map_tokens
from steps.distillation.filters import judge, kept, second_transcripts
from steps.distillation.hidden_codes import CodeStore
from steps.distillation.posteriors import PosteriorStore
from steps.distillation.records import RecordStore
from steps.distillation.sources import Bridge, Listener, Live, Source, StoredFrames, StoredTokens, StoredTranscripts
from steps.distillation.transcripts import Hypotheses, TranscriptStore, weighted
from steps.losses.registry import FORCED
from steps.nnet.model import LoadedModel, ModelConfig, Recogniser, load_model, read_model_config
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError, UsageError

Teacher = tuple[LoadedModel, Listener]
TINY = 1e-300
MAX_ROUNDING = 1  # frame of the slower one, by which teacher and student may differ in length
LEAST_ERROR = 0.1  # percent, of a teacher whose word is weighted by it


@dataclass(frozen=True)
class Student:
    """Whom terms are made for.

    Attributes:
        config: Of the student.
        model: The student.
        tables: Its tokens by their name; "" are those of [tokens].
        device: Where it is.
        seed: Of the training.
    """

    config: ModelConfig
    model: Recogniser
    tables: dict[str, TokenTable]
    device: str
    seed: int

    def table_of(self, head: str) -> TokenTable:
        """Those that a head writes."""
        return self.tables[self.config.heads[head].get("tokens", "")]


def filtered(
    config: Config, settings: DistillConfig, exp_dir: Path, examples: list[Example], student: Student, label: str
) -> list[Example]:
    """The examples that have a transcript, or pass the filter. Raises: DataError when no other is left."""
    judges = judged_by(settings)
    if not judges:
        return examples
    stores = []
    for name, seed, kind in judges:
        sets = soft_label_sets(config, settings, name)
        folders = [soft_label_folder(exp_dir / name / f"seed{seed}", folder, kind) for folder in sets]
        stores.append(TranscriptStore(*folders))
    for store in stores:
        check_there(label, store, [e for e in examples if e.tokens is None])
    other = second_transcripts(stores, settings.filter)
    frame_s = student.model.feature_shift_ms / 1000
    seconds = {e.utt_id: e.num_frames * frame_s for e in examples if e.tokens is None}
    chosen = kept(judge(stores[0], seconds, other), settings.filter)
    hours = [sum(seconds[utt_id] for utt_id in found) / 3600 for found in (chosen, seconds)]
    told = f"{len(chosen):,} of {len(seconds):,} utterances without a transcript, {hours[0]:.2f} of {hours[1]:.2f} h"
    if seconds and not chosen:
        raise DataError(f"{label}: the filter keeps none of {len(seconds):,} utterances without a transcript")
    log.info(f"{label}: the filter keeps {told}")
    return [e for e in examples if e.tokens is not None or e.utt_id in chosen]


def source_of(
    settings: DistillConfig,
    label: str,
    folder: Path,
    sets: list[str],
    examples: list[Example],
    student: Student,
    listeners: dict[Path, Teacher],
) -> Source:
    """What one teacher says, stored or live."""
    head = head_for(settings, student.config.heads)
    if settings.source == "live":
        if folder not in listeners:
            loaded = load_model(folder, student.device)
            listeners[folder] = (loaded, Listener(loaded.model))
        teacher, listener = listeners[folder]
        check_features(teacher, folder, student)
        bridge = bridge_of(settings, folder, teacher.model.frame_shift_ms, student)
        their_head = head_for(settings, teacher.config.heads)
        return Live(listener, settings.kind, their_head, head, settings.settings.get("teacher_layer", 0), bridge)
    folders = [soft_label_folder(folder, set_name, settings.target) for set_name in sets]
    if settings.kind == "transcripts":
        written = usable_transcripts(settings, label, folders, examples, student)
        return StoredTranscripts(written, student.model.heads[head].loss, student.seed)
    store = CodeStore(*folders) if settings.kind == "hidden_codes" else PosteriorStore(*folders)
    if store.layout.tokens_sha256 != read_teacher(folder)[0].tokens_sha256:
        raise StaleError(f"{folders[0]}: made by a teacher of other tokens; run steps.make_soft_labels --force")
    check_there(label, store, examples)
    check_temperature(label, store, settings, folder)
    bridge = bridge_of(settings, folder, store.layout.frame_shift_ms, student)
    if settings.kind in FORCED:
        check_labels(label, folders, examples)
        return StoredTokens(store, head)
    check_lengths(label, store, examples, student.model, bridge)
    return StoredFrames(store, head, bridge)


def weights_of(folders: list[Path], combine: str) -> list[float]:
    """How much each teacher's word counts: alike, or by the inverse of its least error rate on dev."""
    if combine != "weighted":
        return [1.0 / len(folders)] * len(folders)
    inverse = [1.0 / max(least_dev_error(folder), LEAST_ERROR) for folder in folders]
    return [value / sum(inverse) for value in inverse]


def least_dev_error(folder: Path) -> float:
    """Of a teacher, in percent. Raises: DataError when its metrics.jsonl does not say."""
    path = folder / "metrics.jsonl"
    try:
        rates = [json.loads(line)["dev_error_rate"] for line in path.read_text(encoding="utf-8").splitlines()]
        return min(rate for rate in rates if math.isfinite(rate))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(f'{path}: no error rate on dev ({e}), and combine = "weighted" needs it') from None


def bridge_of(settings: DistillConfig, folder: Path, frame_shift_ms: float, student: Student) -> Bridge:
    """What a teacher's soft labels cross to the student. Raises: StaleError where there is no sound bridge."""
    kind, model = settings.kind, student.model
    config, teacher_table = read_teacher(folder)
    frames, tokens = None, None
    head = student.config.heads.get(head_for(settings, student.config.heads), {})
    if frame_shift_ms != model.frame_shift_ms and kind != "token_topk":
        if kind == "lattice":
            pair = f"{frame_shift_ms:g} ms against {model.frame_shift_ms:g} ms a frame"
            raise StaleError(
                f"{folder}: no bridge between lattices of other frame rates ({pair}); set model.subsampling"
            )
        frames = FrameMap(frame_shift_ms, model.frame_shift_ms, head.get("type") == "ctc")
        log.info(f"{folder}: its frames of {frame_shift_ms:g} ms are mapped to {model.frame_shift_ms:g} ms")
    if kind == "hidden_codes":
        return Bridge(frames)
    if settings.token_map and head.get("type") != "ctc":
        raise StaleError(f"{folder}: token_map is for heads of CTC, and {settings.loss} compares another one")
    is_alone = len(teachers_of(settings)) == 1  # else the map is for the others
    if config.tokens_sha256 == student.config.tokens_sha256 and not (settings.token_map and is_alone):
        check_sizes(settings, folder, config, student)
        return Bridge(frames)
    if kind != "frame_topk" or head.get("type") != "ctc":
        told = f"{folder}: teacher and student have different tokens.txt, and no bridge for {settings.loss}"
        raise StaleError(f"{told}; {INSTEAD}")
    tokens = map_tokens(folder, teacher_table, config.blank_id, student.tables[""], model.blank_id, settings.token_map)
    together = len(tokens.index) - len(set(tokens.index.tolist()))
    log.info(f"{folder}: its {len(tokens.index)} tokens are mapped by name, {together} fall together with others")
    return Bridge(frames, tokens)


def check_sizes(settings: DistillConfig, folder: Path, teacher: ModelConfig, student: Student) -> None:
    """Raises StaleError when the heads compared have other settings that change what they emit: states of an HMM."""
    theirs, ours = (heads[head_for(settings, heads)] for heads in (teacher.heads, student.config.heads))
    pair = theirs.get("num_states"), ours.get("num_states")
    if settings.kind == "frame_topk" and pair[0] != pair[1]:
        raise StaleError(f"{folder}: its states are {pair[0]} for each token, the student's {pair[1]}: no bridge")


def read_teacher(folder: Path) -> tuple[ModelConfig, TokenTable]:
    """A teacher's configuration and tokens, without its weights."""
    config = read_model_config(folder)
    return config, TokenTable.read(folder / "tokens.txt", config.unit)


def check_features(teacher: LoadedModel, folder: Path, student: Student) -> None:
    """Raises StaleError when a live teacher does not hear the student's features."""
    theirs, ours = teacher.config.features, student.config.features
    if theirs != ours:
        keys = sorted(k for k in theirs if theirs[k] != ours.get(k))
        raise StaleError(
            f"{folder}: a live teacher hears the student's features, and its own differ ({', '.join(keys)})"
        )


def check_temperature(label: str, store: RecordStore, settings: DistillConfig, folder: Path) -> None:
    """Raises UsageError when a store keeps too little for the temperature."""
    layout, temperature = store.layout, settings.settings.get("temperature", 1.0)
    if temperature != 1.0 and not layout.is_dense:
        raise UsageError(
            f"{label}: temperature {temperature:g} needs all {layout.num_tokens} tokens, and {layout.top_k} are "
            f'stored; set {folder.parent.name}.soft_labels.top_k = {layout.num_tokens}, or source = "live"'
        )


def usable_transcripts(
    settings: DistillConfig, label: str, folders: list[Path], examples: list[Example], student: Student
) -> dict[str, Hypotheses]:
    """The hypotheses of each example and their weights; none, and listed in the log, where the student cannot spell
    one in its frames.

    Raises: DataError when utterances are missing.
    """
    store = TranscriptStore(*folders)
    check_there(label, store, examples)
    nbest = settings.settings.get("nbest", 1)
    name = head_for(settings, student.config.heads)
    written = store.hypotheses(student.table_of(name), nbest)
    head, found = student.model.heads[name], {}
    for example in examples:
        room = int(student.model.output_lens(torch.tensor(example.num_frames)))
        fitting = [
            (t, math.log(max(w, TINY))) for t, w in written[example.utt_id] if t and head.frames_needed(t) <= room
        ]
        found[example.utt_id] = weighted(fitting)
    unused = [utt_id for utt_id, hypotheses in found.items() if not hypotheses]
    if len(unused) == len(found):
        told = f"all {len(unused)} transcripts are empty, or cannot be spelt by the student (in other letters, say)"
        raise DataError(f"{label}: {told}; look at {folders[0]}/text")
    if unused:
        log.info(f"{label}: no transcript that can be used: {' '.join(unused)}")
        told = "are empty, or cannot be spelt by the student; the log lists them"
        log.warn(f"{label}: {len(unused)} of {len(found)} transcripts {told}")
    return found


def check_there(label: str, store: RecordStore | TranscriptStore, examples: list[Example]) -> None:
    """Raises DataError for utterances without soft labels."""
    missing = [e.utt_id for e in examples if e.utt_id not in store]
    if missing:
        log.info(f"{label}: no soft labels for: {' '.join(missing)}")
        shown = ", ".join(missing[:5])
        told = f"no soft labels for {len(missing)} utterances ({shown}) in {', '.join(map(str, store.folders))}"
        raise DataError(f"{label}: {told}; run stage 6, if the teacher's set holds them")


def check_labels(label: str, folders: list[Path], examples: list[Example]) -> None:
    """Raises StaleError when a teacher read other transcripts than the student's."""
    read = {utt_id: value for folder in folders for utt_id, value in read_table(folder / "labels").items()}
    for example in examples:
        if read.get(example.utt_id, "") != " ".join(map(str, example.tokens)):
            raise StaleError(f"{label}: the teacher read another transcript of '{example.utt_id}'; run stage 6")


def check_lengths(label: str, store: RecordStore, examples: list[Example], model: Recogniser, bridge: Bridge) -> None:
    """Raises StaleError for stored labels of another length than the student's output."""
    ratio = bridge.frames.teacher_ms / bridge.frames.student_ms if bridge.frames else 1
    allowed = MAX_ROUNDING * max(1, math.ceil(ratio))  # frames of the student
    for example in examples:
        frames = store.num_rows(example.utt_id)
        mapped = bridge.frames.most(frames) if bridge.frames else frames
        expected = int(model.output_lens(torch.tensor(example.num_frames)))
        if abs(mapped - expected) > allowed:
            raise StaleError(f"{label}: '{example.utt_id}' has {frames} stored frames, the student {expected}")
