"""The utterances that a system is trained on, and those it cannot be trained on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from steps.config.schema import SystemConfig, TrainConfig
from steps.config.systems import clean_set
from steps.heads.autoencoder import AutoencoderHead
from steps.heads.classifier import ClassifierHead
from steps.tokens.token_table import TokenTable
from utils.data_dir.archive import read_feats
from utils.data_dir.labels import label_file, read_labels
from utils.data_dir.perturb import persons
from utils.data_dir.tables import read_table, text_file
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
    _refuse(list(unknown.values()), total, settings.max_unk, "train.max_unk")
    short = {utt_id: why for utt_id, why in dropped.items() if why != "empty transcript"}
    _refuse(_places(data_dir, short), total, settings.max_too_short, "train.max_too_short")
    _tell(data_dir, dropped, total, "cannot be trained on")
    if not kept:
        raise DataError(f"{data_dir}: no utterance is left to train on")
    return Examples(kept, dropped | too_long | dict.fromkeys(unknown, "unknown token"))


def with_classes(examples: list[Example], data_dir: Path, heads: dict[str, dict]) -> list[Example]:
    """The same examples with the class of each, as the number that the heads of a model give it.

    Args:
        examples: Of one set.
        data_dir: Of the set.
        heads: Settings by name; those with "classes" are classifiers. A class that training lacked has no number.
    """
    for name, table in heads.items():
        if "classes" in table:
            labels, places = (
                read_labels(data_dir, table["label"] or name),
                {c: i for i, c in enumerate(table["classes"])},
            )
            examples = [
                replace(e, classes=e.classes | {name: places[labels[e.utt_id]]})
                if labels.get(e.utt_id) in places
                else e
                for e in examples
            ]
            without = [e.utt_id for e in examples if name not in e.classes]
            place = label_file(data_dir, table["label"] or name)
            if len(without) == len(examples):
                raise DataError(f"{place}: the head {name} knows the class of no utterance of {data_dir}")
            if without:
                shown = ", ".join(without[:5])
                log.warn(f"{place}: {len(without)} of {len(examples)} utterances have no class to learn ({shown})")
    return examples


def with_other_tokens(
    examples: list[Example],
    data_dir: Path,
    heads: dict[str, dict],
    tables: dict[str, TokenTable],
    fits: Callable[[str, tuple[int, ...], int], bool],
    settings: TrainConfig | None = None,
) -> list[Example]:
    """The same examples with the tokens of heads that have some of their own; None where a head cannot write them.

    Those without a transcript of their own are heard, and listed.

    Args:
        examples: Of one set.
        data_dir: Of the set.
        heads: Settings by name.
        tables: Of tokens, by their name.
        fits: Whether a head of this name can write tokens in a number of frames.
        settings: Of the training, with the shares of utterances that may have a fault; None: any.

    Raises: DataError when more have one, or a head learns from none.
    """
    for head, table in heads.items():
        name = table["tokens"]
        if not name:
            continue
        path = text_file(data_dir, name)
        texts, found = read_table(path, has_value=False), dict.fromkeys((e.utt_id for e in examples), None)
        empty, unknown, short = {}, {}, {}
        for e in examples:
            if settings and e.tokens is None:  # hidden
                continue
            tokens = tuple(tables[name].encode(texts.get(e.utt_id, "")))
            if not tokens:
                empty[e.utt_id] = "no transcript"
            elif None in tokens:
                unknown[e.utt_id] = f"holds a token that is not in lang_{name}/tokens.txt"
            elif not fits(head, tokens, e.num_frames):
                short[e.utt_id] = f"too short for {len(tokens)} tokens"
            else:
                found[e.utt_id] = tokens
        if settings:
            _refuse(_places(path, unknown), len(found), settings.max_unk, "train.max_unk")
            _refuse(_places(path, short), len(found), settings.max_too_short, "train.max_too_short")
        if not any(found.values()):
            raise DataError(f"{path}: the head {head} can learn none of it in the tokens of lang_{name}")
        _tell(path, empty | unknown | short, len(found), f"teach nothing to the head {head}", "not learnt")
        examples = [replace(e, others=e.others | {head: found[e.utt_id]}) for e in examples]
    return examples


def with_clean(examples: list[Example], data_dir: Path, heads: dict[str, dict]) -> list[Example]:
    """The same examples with their clean features, where an autoencoder draws those.

    Raises: DataError when the set has none, or of another length.
    """
    source = clean_set(data_dir, heads)
    if source is None:
        return examples
    feats, num_frames = read_table(source / "feats.scp"), read_table(source / "utt2num_frames")
    for example in examples:
        if num_frames.get(example.utt_id) != str(example.num_frames):
            found = f"{num_frames[example.utt_id]} frames" if example.utt_id in num_frames else "nothing"
            told = f"{found} of '{example.utt_id}', which has {example.num_frames} in {data_dir}"
            raise DataError(f"{source}: {told}; a denoiser needs the same utterances in both")
    return [replace(example, clean=feats[example.utt_id]) for example in examples]


def labels_for(name: str, head: object, examples: list[Example]) -> list:
    """What a head learns of each example: its class, its clean features, or its tokens; None where it has none."""
    if isinstance(head, ClassifierHead):
        return [example.classes.get(name) for example in examples]
    if isinstance(head, AutoencoderHead):
        return [torch.from_numpy(read_feats(e.clean, e.utt_id).copy()) if e.clean else None for e in examples]
    return [example.others.get(name, example.tokens) for example in examples]


def find_classes(data_dir: Path, heads: dict[str, dict]) -> dict[str, dict]:
    """The settings of heads, those of classifiers with the classes that a training set has.

    Raises: DataError when there are fewer than two.
    """
    found = {}
    for name, table in heads.items():
        if table["type"] == "classifier":
            label = table["label"] or name
            classes = sorted(set(read_labels(data_dir, label).values()))
            if len(classes) < 2:
                raise DataError(f"{label_file(data_dir, label)}: {len(classes)} class, and there must be two to learn")
            table = table | {"classes": classes}
        found[name] = table
    return found


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
    _refuse(_places(data_dir, dropped), len(examples), settings.max_too_long, "train.max_too_long")
    _tell(data_dir, dropped, len(examples), "are too long")
    return [example for example in examples if example.utt_id not in dropped], dropped


def _places(place: Path, faults: dict[str, str]) -> list[str]:
    """Faults with the place and the utterance of each."""
    return [f"{place}: utterance '{utt_id}': {why}" for utt_id, why in faults.items()]


def _tell(place: Path, faults: dict[str, str], total: int, fault: str, what: str = "dropped") -> None:
    """Lists utterances with their faults, and warns of their number."""
    for utt_id, why in faults.items():
        log.info(f"{what} '{utt_id}': {why}")
    if faults:
        log.warn(f"{place}: {len(faults)} of {total} utterances {fault}; the log lists them")


def _refuse(faults: list[str], total: int, allowed: float, setting: str) -> None:
    """Raises DataError when too many utterances have a fault; lists the first of them."""
    for fault in faults[:MAX_SHOWN]:
        log.info(fault)
    if len(faults) > allowed * total:
        raise DataError(
            f"{faults[0]} ({len(faults)} of {total} utterances are like this; {setting} allows a share of {allowed})"
        )
