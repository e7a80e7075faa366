"""What each head of a model learns of an example: a transcript in its tokens, a class, or clean features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from steps.config.schema import TrainConfig
from steps.config.systems import clean_set
from steps.heads.autoencoder import AutoencoderHead
from steps.heads.classifier import ClassifierHead
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example, located, refuse_faults, tell_faults
from utils.data_dir.archive import read_feats
from utils.data_dir.labels import label_file, read_labels
from utils.data_dir.tables import read_table, text_file
from utils.jobs import log
from utils.jobs.errors import DataError


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
            refuse_faults(located(path, unknown), len(found), settings.max_unk, "train.max_unk")
            refuse_faults(located(path, short), len(found), settings.max_too_short, "train.max_too_short")
        if not any(found.values()):
            raise DataError(f"{path}: the head {head} can learn none of it in the tokens of lang_{name}")
        tell_faults(path, empty | unknown | short, len(found), f"teach nothing to the head {head}", "not learnt")
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
