"""What a system hears in training: the utterances of each of its sets, with all that its heads learn of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from steps.config.schema import SystemConfig, TrainConfig
from steps.config.systems import can_transcribe
from steps.features.settings import check_features
from steps.nnet.inference import check_lengths
from steps.nnet.model import ModelConfig, Recogniser
from steps.tokens.token_table import TokenTable
from steps.training.examples import (
    Example,
    Examples,
    drop_too_long,
    heard_part,
    read_examples,
    training_examples,
)
from steps.training.head_labels import with_classes, with_clean, with_other_tokens
from utils.data_dir.data_dir import DataDir
from utils.data_dir.same_utterances import same_utterance
from utils.data_dir.tables import read_table
from utils.jobs.errors import DataError


def find_examples(
    data_dir: Path,
    system: SystemConfig,
    student: ModelConfig,
    model: Recogniser,
    table: TokenTable,
    others: dict[str, TokenTable],
) -> dict[str, Examples]:
    """The utterances of each set that a training hears, with all that the model's heads learn of them."""
    settings, train_dir = system.train, data_dir / system.data.train
    if not can_transcribe(system):
        labelled = untranscribed_examples(train_dir, table, settings)
    else:
        labelled = training_examples(train_dir, table, output_len_of(model), model.frames_needed, settings)
    for name in {system.data.train, system.data.dev, *system.sets}:
        check_features(data_dir / name, student.features)
    labelled = replace(labelled, kept=completed(labelled.kept, train_dir, student.heads, others, model, settings))
    labelled = replace(labelled, kept=heard_part(labelled.kept, train_dir, settings))  # hides the tokens of all heads
    if hasattr(model.encoder, "max_samples"):  # more than which it does not hear
        check_lengths(model, {example.utt_id: example.num_frames for example in labelled.kept})
        for path in (data_dir / name / "utt2num_frames" for name in (system.data.dev, *system.data.test)):
            frames = read_table(path) if path.is_file() else {}
            check_lengths(model, {utt_id: int(count) for utt_id, count in frames.items()})
    found = {system.data.train: labelled} | unlabelled_examples(system, data_dir, table, student.heads)
    check_different({name: examples.kept for name, examples in found.items()})
    return found


def completed(
    examples: list[Example],
    data_dir: Path,
    heads: dict[str, dict],
    tables: dict[str, TokenTable],
    model: Recogniser,
    settings: TrainConfig | None = None,
) -> list[Example]:
    """The examples of a set with all that heads learn besides transcripts in the tokens of [tokens].

    Raises: DataError where more of them have a fault than `settings` of a training allow.
    """

    def fits(head: str, tokens: tuple[int, ...], num_frames: int) -> bool:
        return model.heads[head].frames_needed(tokens) <= output_len_of(model)(num_frames)

    examples = with_classes(examples, data_dir, heads)
    examples = with_other_tokens(examples, data_dir, heads, tables, fits, settings)
    return with_clean(examples, data_dir, heads)


def output_len_of(model: Recogniser) -> Callable[[int], int]:
    """The model's output frames for a number of feature frames."""
    return lambda num_frames: int(model.output_lens(torch.tensor(num_frames)))


def untranscribed_examples(data_dir: Path, table: TokenTable, settings: TrainConfig) -> Examples:
    """All utterances of a set, without their transcripts."""
    examples, _ = read_examples(data_dir, table, has_text=False)
    return Examples(*drop_too_long(data_dir, examples, settings))


def unlabelled_examples(
    system: SystemConfig, data_dir: Path, table: TokenTable, heads: dict[str, dict]
) -> dict[str, Examples]:
    """The utterances of each set that only a teacher speaks on. Raises: DataError for one that is in dev or test."""
    found = {}
    for name in system.sets:
        if name != system.data.train:
            check_apart(data_dir / name, [data_dir / other for other in (system.data.dev, *system.data.test)])
            examples = untranscribed_examples(data_dir / name, table, system.train)
            found[name] = replace(examples, kept=with_clean(examples.kept, data_dir / name, heads))
    return found


def check_apart(path: Path, others: list[Path]) -> None:
    """Raises DataError when a set holds an utterance of others, in whatever rendering, as their tables tell.

    Stage 1 compares the samples, and not whether they are of one utterance.
    """
    ours = DataDir.read(path)
    for other in others:
        if (other / "wav.scp").is_file() and (same := same_utterance(ours, DataDir.read(other))):
            raise DataError(f"{path}: {same}; take it out, for what is scored must not be learnt")


def check_different(by_set: dict[str, list[Example]]) -> None:
    """Raises DataError when an utterance id stands in two sets: soft labels could not tell them apart."""
    home: dict[str, str] = {}
    for name, examples in by_set.items():
        for example in examples:
            if example.utt_id in home:
                pair = f"in {home[example.utt_id]} and in {name}"
                raise DataError(f"utterance '{example.utt_id}' stands {pair}; ids must differ between the sets heard")
            home[example.utt_id] = name


def hours_of(
    examples: list[Example], system: SystemConfig, frame_shift_ms: float, taught: set[str]
) -> dict[str, float]:
    """Hours of speech with transcripts and without, or with classes where a system learns nothing else.

    Of a distilled system what no term speaks on, `taught`, by a filter, counts as unheard; a system that is used as it
    is hears nothing.
    """
    frames = {"labelled_hours": 0, "unlabelled_hours": 0}
    for example in examples if system.train.updates else ():
        is_labelled = example.tokens is not None if can_transcribe(system) else bool(example.classes)
        if is_labelled or not system.distill or example.utt_id in taught:
            frames["labelled_hours" if is_labelled else "unlabelled_hours"] += example.num_frames
    return {name: round(count * frame_shift_ms / 3_600_000, 4) for name, count in frames.items()}
