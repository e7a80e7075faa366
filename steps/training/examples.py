"""The utterances that a system is trained on, and those it cannot be trained on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from steps.config.schema import SystemConfig, TrainConfig
from steps.tokens.token_table import TokenTable
from utils.data_dir.perturb import persons
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.errors import DataError

MAX_SHOWN = 10


@dataclass(frozen=True)
class Example:
    """One utterance. `tokens` is None where its transcript is not used."""

    utt_id: str
    feats: str
    num_frames: int
    tokens: tuple[int, ...] | None
    text: str = ""
    classes: dict[str, int] = field(default_factory=dict)  # by the name of the head that learns them
    clean: str = ""  # the features of the same speech without noise
    others: dict[str, tuple[int, ...] | None] = field(default_factory=dict)  # tokens, by the name of their head


@dataclass(frozen=True)
class Examples:
    """What can be trained on, and what was dropped, by reason."""

    kept: list[Example]
    dropped: dict[str, str]


def read_examples(data_dir: Path, table: TokenTable, has_text: bool = True) -> tuple[list[Example], dict[str, str]]:
    """(examples, faults): all utterances with features, and what is wrong with those that have no tokens.

    An utterance with an unknown token keeps its text: it can be scored, but not trained on.
    """
    feats, num_frames = read_table(data_dir / "feats.scp"), read_table(data_dir / "utt2num_frames")
    texts = read_table(data_dir / "text", has_value=False) if has_text else {}
    examples, faults = [], {}
    lines = {utt_id: number for number, utt_id in enumerate(texts, start=1)}
    for utt_id, entry in feats.items():
        if has_text and utt_id not in texts:
            faults[utt_id] = f"{data_dir}/text: utterance '{utt_id}' has features but no transcript"
            continue
        tokens = tuple(table.encode(texts[utt_id])) if has_text else None
        if tokens and None in tokens:
            place = f"{data_dir}/text:{lines[utt_id]}"
            faults[utt_id] = f"{place}: utterance '{utt_id}' holds a token that is not in tokens.txt"
            tokens = None
        examples.append(Example(utt_id, entry, int(num_frames[utt_id]), tokens, table.spell(texts.get(utt_id, ""))))
    return examples, faults


def training_examples(
    data_dir: Path,
    table: TokenTable,
    output_len: Callable[[int], int],
    frames_needed: Callable[[tuple[int, ...]], int],
    settings: TrainConfig,
) -> Examples:
    """Examples with transcripts that a model can learn, the others listed and counted.

    Args:
        data_dir: The training set.
        table: The model's tokens.
        output_len: The model's frames for a number of feature frames.
        frames_needed: The least of them that the model can spell tokens in.
        settings: Of the training, with the shares of utterances that may be dropped.

    Raises: DataError when more than the allowed share is unusable, or nothing is left.
    """
    examples, unknown = read_examples(data_dir, table)
    hidden = hidden_utterances(examples, data_dir, settings.labelled_every)  # whatever their transcripts say
    unknown = {utt_id: why for utt_id, why in unknown.items() if utt_id not in hidden}
    total = len({*unknown, *(example.utt_id for example in examples)} - hidden)
    examples, too_long = drop_too_long(data_dir, examples, settings)
    kept, dropped = [], {}
    for example in examples:
        if example.utt_id in hidden:
            kept.append(replace(example, tokens=None, text=""))
        if example.utt_id in hidden or example.tokens is None:
            continue
        frames, needed = output_len(example.num_frames), frames_needed(example.tokens)
        if not example.tokens:
            dropped[example.utt_id] = "empty transcript"
        elif frames < needed:
            dropped[example.utt_id] = f"too short: {frames} frames for tokens that need {needed}"
        else:
            kept.append(example)
    refuse_faults(list(unknown.values()), total, settings.max_unk, "train.max_unk")
    short = {utt_id: why for utt_id, why in dropped.items() if why != "empty transcript"}
    refuse_faults(located(data_dir, short), total, settings.max_too_short, "train.max_too_short")
    tell_faults(data_dir, dropped, total, "cannot be trained on")
    if not kept:
        raise DataError(f"{data_dir}: no utterance is left to train on")
    return Examples(kept, dropped | too_long | dict.fromkeys(unknown, "unknown token"))


def hidden_utterances(examples: list[Example], data_dir: Path, every: int) -> set[str]:
    """Those whose transcripts are not used, where only every n-th speaker's are."""
    if every == 1:
        return set()
    speakers = speakers_of(data_dir)
    labelled = set(every_speaker(speakers, every, 0))
    return {example.utt_id for example in examples if speakers[example.utt_id] not in labelled}


def hide_transcripts(examples: list[Example], data_dir: Path, every: int) -> list[Example]:
    """The same examples, of which only every n-th speaker's, from the first in C order, keep their transcripts."""
    hidden = hidden_utterances(examples, data_dir, every)
    return [
        replace(e, tokens=None, text="", others=dict.fromkeys(e.others)) if e.utt_id in hidden else e for e in examples
    ]


def labelled_part(examples: list[Example], data_dir: Path, settings: TrainConfig) -> list[Example]:
    """The examples as train.labelled_every has them: the other speakers' without transcripts, or left out."""
    if settings.labelled_only:
        hidden = hidden_utterances(examples, data_dir, settings.labelled_every)
        return [e for e in examples if e.utt_id not in hidden]
    return hide_transcripts(examples, data_dir, settings.labelled_every)


def speakers_of(data_dir: Path) -> dict[str, str]:
    """The speaker of each utterance of a set; at another speed it is the same one."""
    utt2uniq = read_table(data_dir / "utt2uniq") if (data_dir / "utt2uniq").is_file() else {}
    return persons(read_table(data_dir / "utt2spk"), utt2uniq)


def every_speaker(speakers: dict[str, str], every: int, first: int) -> list[str]:
    """Every n-th of the speakers of a set, in C order and from a given one on, whatever is made of the set."""
    return sorted(set(speakers.values()), key=str.encode)[first::every]


def outside_fold(examples: list[Example], data_dir: Path, settings: TrainConfig) -> list[Example]:
    """The examples without those of every n-th speaker. Raises: DataError when none, or no transcript, is left."""
    speakers = speakers_of(data_dir)
    left_out = set(every_speaker(speakers, settings.folds, settings.fold))
    found = [e for e in examples if speakers[e.utt_id] not in left_out]
    labelled, left = ([e for e in those if e.tokens is not None] for those in (examples, found))
    if not found or (labelled and not left):
        told = f"train.folds = {settings.folds} and train.labelled_every = {settings.labelled_every} leave nothing"
        raise DataError(f"{data_dir}: {told} to learn from; they take more speakers")
    return found


def heard_part(examples: list[Example], data_dir: Path, settings: TrainConfig) -> list[Example]:
    """The examples of a training set as train.labelled_every and train.folds have them."""
    examples = labelled_part(examples, data_dir, settings)
    return outside_fold(examples, data_dir, settings) if settings.folds else examples


def hidden_speech(system: SystemConfig, sets: list[str], data_dir: Path) -> tuple[dict[str, float], dict[str, str]]:
    """(seconds, transcript where there is one) of each utterance that a system hears without its transcript."""
    seconds, truth = {}, {}
    for name in sets or [system.data.train]:
        folder = data_dir / name
        texts = read_table(folder / "text", has_value=False) if (folder / "text").is_file() else {}
        durations = read_table(folder / "utt2dur")
        examples = [Example(utt_id, "", 0, ()) for utt_id in durations]
        if name == system.data.train:
            examples = heard_part(examples, folder, system.train)
        for example in examples:
            if example.tokens is None or name != system.data.train:
                seconds[example.utt_id] = float(durations[example.utt_id])
                truth |= {example.utt_id: texts[example.utt_id]} if texts.get(example.utt_id) else {}
    return seconds, truth


def drop_too_long(
    data_dir: Path, examples: list[Example], settings: TrainConfig
) -> tuple[list[Example], dict[str, str]]:
    """(kept, dropped with the reason): examples of at most `max_frames`, which bounds the memory of an update.

    Raises: DataError when more than `max_too_long` of them are longer.
    """
    limit = settings.max_frames
    dropped = {
        example.utt_id: f"too long: {example.num_frames:,} frames, train.max_frames is {limit:,}"
        for example in examples
        if example.num_frames > limit
    }
    refuse_faults(located(data_dir, dropped), len(examples), settings.max_too_long, "train.max_too_long")
    tell_faults(data_dir, dropped, len(examples), "are too long")
    return [example for example in examples if example.utt_id not in dropped], dropped


def located(place: Path, faults: dict[str, str]) -> list[str]:
    """Faults with the place and the utterance of each."""
    return [f"{place}: utterance '{utt_id}': {why}" for utt_id, why in faults.items()]


def tell_faults(place: Path, faults: dict[str, str], total: int, fault: str, what: str = "dropped") -> None:
    """Lists utterances with their faults, and warns of their number."""
    for utt_id, why in faults.items():
        log.info(f"{what} '{utt_id}': {why}")
    if faults:
        log.warn(f"{place}: {len(faults)} of {total} utterances {fault}; the log lists them")


def refuse_faults(faults: list[str], total: int, allowed: float, setting: str) -> None:
    """Raises DataError when too many utterances have a fault; lists the first of them."""
    for fault in faults[:MAX_SHOWN]:
        log.info(fault)
    if len(faults) > allowed * total:
        raise DataError(
            f"{faults[0]} ({len(faults)} of {total} utterances are like this; {setting} allows a share of {allowed})"
        )
